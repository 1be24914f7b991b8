"""Pictures of a predicted volume for the head of the report, from what the viewer embeds."""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw

from txm2sem_core.geometry import Array
from txm2sem_core.report.page import Picture, ViewerData, ViewerVolume

WIDTH_PX = 480
_SHEAR = (0.55, 0.4)  # of the depth, to the right and up
_SHADES = (1.0, 0.85, 0.65)  # of front, top and side
_BARS_NM = [step * 10**power for power in range(7) for step in (1, 2, 5)]


def pictures_of(viewer: ViewerData | None, label: str) -> tuple[list[Picture], str]:
    """TXM and prediction in the middle slice, the prediction as a block, and a caption; nothing without a viewer."""
    volumes = [] if viewer is None else [v for v in viewer["volumes"] if v["role"] == "txm" or v["name"] == label]
    if viewer is None or len(volumes) < 2:
        return [], ""
    middle = viewer["shape"][0] // 2
    _, y_nm, x_nm = viewer["voxel_nm"]
    bar_nm = None if x_nm is None else _bar_nm(viewer["shape"][2] * x_nm)
    bar_share = 0.0 if bar_nm is None or x_nm is None else bar_nm / (viewer["shape"][2] * x_nm)
    aspect = 1.0 if x_nm is None or y_nm is None else y_nm / x_nm
    found: list[Picture] = [
        {"title": title, "kind": "jpeg", "content": _section(volume["slices"][middle], aspect, bar_share)}
        for title, volume in zip(("TXM, measured", "FIB-SEM, predicted"), volumes[:2], strict=True)
    ]
    found.append({"title": "Predicted volume", "kind": "webp", "content": _block(volumes[1], viewer)})
    bar = "" if bar_nm is None else f" Bar: {_length(bar_nm)}."
    return found, f"Slice z = {middle * viewer['z_step']} of both.{bar}"


def _bar_nm(width_nm: float) -> float:
    """A round length, at most a third of the width."""
    return max((bar for bar in _BARS_NM if bar <= width_nm / 3), default=_BARS_NM[0])


def _length(nm: float) -> str:
    return f"{nm / 1000:g} µm" if nm >= 1000 else f"{nm:g} nm"


def _decoded(content: bytes) -> Image.Image:
    with Image.open(io.BytesIO(content), formats=["JPEG"]) as image:
        return image.convert("L")


def _section(content: bytes, aspect: float, bar_share: float) -> bytes:
    """A slice, enlarged, with a scale bar that is a share of its width."""
    image = _decoded(content)
    size = WIDTH_PX, max(1, round(WIDTH_PX * image.height * aspect / image.width))
    image = image.resize(size, Image.Resampling.BICUBIC)
    if bar_share:
        right, bottom, thick = size[0] - 14, size[1] - 14, max(4, size[1] // 80)
        box = right - round(bar_share * size[0]), bottom - thick, right, bottom
        draw = ImageDraw.Draw(image)
        draw.rectangle([box[0] - 2, box[1] - 2, box[2] + 2, box[3] + 2], fill=0)
        draw.rectangle(box, fill=255)
    return _saved(image, "JPEG")


def _block(volume: ViewerVolume, viewer: ViewerData) -> bytes:
    """The volume seen from the front, the right and above: its first slice, last column and first row."""
    planes: Sequence[Array] = [np.asarray(_decoded(content)) for content in volume["slices"]]
    z_nm, y_nm, x_nm = (edge or 1.0 for edge in viewer["voxel_nm"])
    scale = 0.8 * WIDTH_PX / planes[0].shape[1]  # pixels of the picture for one voxel along x
    width, height = round(0.8 * WIDTH_PX), max(1, round(planes[0].shape[0] * scale * y_nm / x_nm))
    depth = max(1, round(len(planes) * scale * z_nm / x_nm))
    right, up = (max(1, round(depth * share)) for share in _SHEAR)
    faces = (
        Image.fromarray(planes[0]).resize((width, height), Image.Resampling.BICUBIC),
        Image.fromarray(np.stack([plane[0] for plane in planes])).resize((width, up), Image.Resampling.BICUBIC),
        Image.fromarray(np.stack([plane[:, -1] for plane in planes], 1)).resize(
            (right, height), Image.Resampling.BICUBIC
        ),
    )
    slope = right / up
    placed = (  # from pixels of the picture to those of each face
        (1, 0, 0, 0, 1, -up),
        (1, slope, -right, 0, -1, up),
        (1, 0, -width, 1 / slope, 1, -up - width / slope),
    )
    size = width + right, height + up
    picture, covered = np.zeros(size[::-1]), np.zeros(size[::-1])
    for face, matrix, shade in zip(faces, placed, _SHADES, strict=True):
        whole = Image.new("L", face.size, 255)
        there = np.asarray(whole.transform(size, Image.Transform.AFFINE, matrix, Image.Resampling.NEAREST)) > 0
        seen = np.asarray(face.transform(size, Image.Transform.AFFINE, matrix, Image.Resampling.BILINEAR))
        picture[there] = shade * seen[there]
        covered[there] = 255
    both = np.stack([picture, covered], axis=-1).round().astype(np.uint8)
    return _saved(Image.fromarray(both, "LA").convert("RGBA"), "WEBP")


def _saved(image: Image.Image, kind: str) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, quality=86)
    return buffer.getvalue()
