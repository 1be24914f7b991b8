"""Images as data embedded in the page itself: figures, and slices of volumes."""

from __future__ import annotations

import base64
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray
from PIL import Image

from txm2sem_core.errors import InputError
from txm2sem_core.io.files import read_bytes
from txm2sem_core.io.images import PNG_DAMAGE, opened_png
from txm2sem_core.report.page.data import ViewerData

GREATEST_FIGURE_BYTES = 400_000  # a larger PNG is embedded as WebP
GREATEST_FIGURE_PX = 2400
FIGURE_QUALITY = 86


def encode_plane(plane: NDArray[Any], low: float, high: float, size_yx: tuple[int, int], quality: int) -> bytes:
    """A plane [Y, X] as grey JPEG of `size_yx` pixels, black at `low` and white at `high`, averaged where smaller.

    NaN, which was not measured, is black.
    """
    grey = (np.nan_to_num(plane.astype(np.float32), nan=low) - low) * (255 / max(high - low, 1e-6))
    image = Image.fromarray(grey, "F")
    if grey.shape != size_yx:
        image = image.resize((size_yx[1], size_yx[0]), Image.Resampling.BOX)
    eight_bit = np.clip(np.rint(np.asarray(image)), 0, 255).astype(np.uint8)
    return _encoded(Image.fromarray(eight_bit), "JPEG", quality)


def figure_data(path: Path) -> dict[str, Any]:
    """Data address, width and height of a figure; a large one compressed, at most 2400 pixels wide.

    Raises:
        InputError: the file is missing, or no PNG: other formats may start other programs (Ghostscript for PostScript).
    """
    try:
        content = read_bytes(path)
        with opened_png(io.BytesIO(content), len(content), path) as image:
            image.load()
            kind = "png"
            if len(content) > GREATEST_FIGURE_BYTES:
                image.thumbnail((GREATEST_FIGURE_PX, 10 * GREATEST_FIGURE_PX))
                colour = image.convert("RGBA")
                flat = Image.alpha_composite(Image.new("RGBA", colour.size, "white"), colour).convert("RGB")
                content, kind = _encoded(flat, "WEBP", FIGURE_QUALITY), "webp"
            width, height = image.size
    except PNG_DAMAGE as error:
        raise InputError(
            f"{path}: this figure of the report cannot be read as a PNG ({error}). Draw it again."
        ) from error
    address = f"data:image/{kind};base64,{base64.b64encode(content).decode('ascii')}"
    return {"address": address, "width": width, "height": height}


def viewer_data(viewer: ViewerData) -> dict[str, Any]:
    """What the page's viewer needs: `meta` as JSON text, and each volume's slices, base64, one a line.

    Raises:
        InputError: a slice is not of the viewer's shape, or a volume lacks slices.
    """
    depth, height, width = viewer["shape"]
    for volume in viewer["volumes"]:
        if len(volume["slices"]) != depth:
            raise InputError(f"{volume['name']}: the report's viewer needs {depth} slices, not {len(volume['slices'])}")
        for z, content in enumerate(volume["slices"]):
            with Image.open(io.BytesIO(content), formats=["JPEG"]) as image:
                if image.size != (width, height):
                    raise InputError(
                        f"{volume['name']}, slice {z}: the report's viewer needs {height} x {width} pixels (Y, X), "
                        f"not {image.height} x {image.width}"
                    )
    meta = {
        "shape": [depth, height, width],
        "voxelNm": [None if size is None else float(size) for size in viewer["voxel_nm"]],
        "zStep": viewer["z_step"],
        "fullShape": list(viewer["full_shape"]),
        "volumes": [
            {"name": v["name"], "role": v["role"], "low": float(v["low"]), "high": float(v["high"])}
            for v in viewer["volumes"]
        ],
    }
    strips = ["\n".join(base64.b64encode(s).decode("ascii") for s in v["slices"]) for v in viewer["volumes"]]
    return {**viewer, "meta": Markup(script_json(meta)), "strips": strips}


def script_json(value: Any) -> str:
    """JSON that can stand in a script element: no text in it can end the element."""
    text = json.dumps(value, allow_nan=False)
    for sign in "<>&":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return text


def _encoded(image: Image.Image, kind: str, quality: int) -> bytes:
    buffer = io.BytesIO()
    options = {"optimize": True} if kind == "JPEG" else {"method": 4}
    image.save(buffer, kind, quality=quality, **options)
    return buffer.getvalue()
