"""Images as data embedded in the page itself: figures, and slices of volumes."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Sequence
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
LEAST_FIGURE_PX = 320  # a figure that has to be smaller still is not embedded
_LESS = 0.85  # of the width, at a time


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


def figure_data(path: Path, widest_px: int = GREATEST_FIGURE_PX, *, always: bool = False) -> dict[str, Any]:
    """Data address, width and height of a figure; a large one compressed, at most so wide, and `always` if asked for.

    Raises:
        InputError: the file is missing, or no PNG: other formats may start other programs (Ghostscript for PostScript).
    """
    try:
        content = read_bytes(path)
        with opened_png(io.BytesIO(content), len(content), path) as image:
            image.load()
            kind = "png"
            if always or len(content) > GREATEST_FIGURE_BYTES:
                image.thumbnail((widest_px, 10 * widest_px))
                colour = image.convert("RGBA")
                flat = Image.alpha_composite(Image.new("RGBA", colour.size, "white"), colour).convert("RGB")
                content, kind = _encoded(flat, "WEBP", FIGURE_QUALITY), "webp"
            width, height = image.size
    except PNG_DAMAGE as error:
        raise InputError(
            f"{path}: this figure of the report cannot be read as a PNG ({error}). Draw it again."
        ) from error
    return {"address": _address(content, kind), "width": width, "height": height, "reduced": kind != "png"}


def figures_within(paths: Sequence[Path], most: int) -> list[dict[str, Any]]:
    """The figures of a page within so many characters of data: the largest in fewer pixels, the others as they are.

    Of each `reduced`, whether it is not as it was drawn, and `address`, None where it could not be embedded.

    Raises:
        InputError: see `figure_data`.
    """
    found = [figure_data(path) for path in paths]
    allowed = _allowance([len(figure["address"]) for figure in found], most)
    return [
        figure if len(figure["address"]) <= allowed else _smaller(path, figure, allowed)
        for path, figure in zip(paths, found, strict=True)
    ]


def _allowance(sizes: Sequence[int], most: int) -> int:
    """What each may take, so that all together take `most` at the most: what small ones leave goes to the large."""
    left, allowed = most, max(sizes, default=0)
    for number, size in enumerate(sorted(sizes)):
        allowed = left // (len(sizes) - number)
        if size > allowed:
            return max(allowed, 0)
        left -= size
    return max(sizes, default=0)


def _smaller(path: Path, figure: dict[str, Any], allowed: int) -> dict[str, Any]:
    """A figure within so many characters: the first guess is that they grow with its pixels."""
    width = int(figure["width"] * (allowed / len(figure["address"])) ** 0.5 / _LESS)
    while width >= LEAST_FIGURE_PX:
        smaller = figure_data(path, width, always=True)
        if len(smaller["address"]) <= allowed:
            return smaller
        width = int(width * _LESS)
    return {**figure, "address": None, "reduced": True}


def image_data(content: bytes, kind: str) -> dict[str, Any]:
    """Data address, width and height of an image of our own."""
    with Image.open(io.BytesIO(content), formats=[kind.upper()]) as image:
        width, height = image.size
    return {"address": _address(content, kind), "width": width, "height": height}


def _address(content: bytes, kind: str) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(content).decode('ascii')}"


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
