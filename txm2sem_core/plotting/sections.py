"""Sections through volumes in all three planes, laid out as they meet in space."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from txm2sem_core.config.figures import CommonStyle, SectionsStyle
from txm2sem_core.errors import InputError
from txm2sem_core.plotting.canvas import axes_mm, drawing, letter, line_height_mm, new_figure, text_mm
from txm2sem_core.plotting.images import Image, add_corner_label, add_scale_bar, grey_range, show_image

GAP_MM = 0.8
VOLUME_GAP_MM = 4.0
PLANE_COLOURS = {"XY": "#009E73", "XZ": "#E69F00", "YZ": "#56B4E9"}


@dataclass(frozen=True)
class VolumeSections:
    """Three sections of one volume, which meet in one voxel.

    Attributes:
        label: the volume, in words.
        xy: `[Y, X]` at `position`'s z.
        xz: `[Z, X]` at its y.
        yz: `[Z, Y]` at its x.
        position: voxel (z, y, x) where the sections meet.
        voxel_size_nm: (Z, Y, X).
        modality: predictions and truth are `sem` and share one grey scale; `txm` has its own.
        reference: its grey levels set the scale of its modality (the truth); if none is, all of them do.
    """

    label: str
    xy: Image
    xz: Image
    yz: Image
    position: tuple[int, int, int]
    voxel_size_nm: tuple[float, float, float]
    modality: Literal["txm", "sem"]
    reference: bool = False

    @property
    def size_nm(self) -> tuple[float, float, float]:
        """Depth, height and width of what is shown (Z, Y, X)."""
        shape = (self.xz.shape[0], *self.xy.shape)
        depth, height, width = (n * size for n, size in zip(shape, self.voxel_size_nm, strict=True))
        return depth, height, width


def cut_sections(slices: Iterable[Image], position: tuple[int, int, int]) -> tuple[Image, Image, Image]:
    """Read a volume once, slice by slice, and keep the three sections that meet at voxel (z, y, x).

    Returns:
        `[Y, X]`, `[Z, X]`, `[Z, Y]`.

    Raises:
        InputError: the position lies outside the volume.
    """
    z, y, x = position
    xy: Image | None = None
    xz_lines, yz_lines = [], []
    for index, image in enumerate(slices):
        if not (0 <= y < image.shape[0] and 0 <= x < image.shape[1]):
            raise InputError(f"the sections' y, x = {y}, {x} lie outside slices of shape {image.shape}")
        if index == z:
            xy = image.copy()
        xz_lines.append(image[y, :].copy())
        yz_lines.append(image[:, x].copy())
    if xy is None:
        raise InputError(f"the sections' z = {z} lies outside a volume of {len(xz_lines)} slices")
    return xy, np.stack(xz_lines), np.stack(yz_lines)


def draw_sections(volumes: Sequence[VolumeSections], style: SectionsStyle, common: CommonStyle) -> Figure:
    """Draw the XY, XZ and YZ sections of every volume, side by side, all at one physical scale.

    XZ lies below XY and shares its x axis; YZ lies to the right and shares its y axis, with z to the right. Frames have
    their plane's colour, and lines of it show where a plane cuts the others. A volume much flatter than wide is shown
    cropped around the sections' meeting point, so that the XZ and YZ sections can be read.

    Raises:
        InputError: no volumes, or volumes of different physical size.
    """
    if not volumes:
        raise InputError("there is no volume to draw sections of")
    for volume in volumes[1:]:
        if not np.allclose(volume.size_nm, volumes[0].size_nm, rtol=0.02):
            raise InputError(
                f"volumes {volumes[0].label} and {volume.label} differ in size: "
                f"{volumes[0].size_nm} and {volume.size_nm} nm (Z, Y, X)"
            )
    shown = [_cropped(volume, style.least_depth) for volume in volumes]
    depth, height, width = shown[0].size_nm
    with drawing(common):
        line = line_height_mm(common)
        block = (common.width_mm(style.columns) - (len(shown) - 1) * VOLUME_GAP_MM) / len(shown)
        available = common.max_height_mm - line - GAP_MM
        scale = min((block - GAP_MM) / (width + depth), (available - GAP_MM) / (height + depth))  # mm a nm
        figure = new_figure(common.width_mm(style.columns), line + GAP_MM + (height + depth) * scale + GAP_MM)
        for index, volume in enumerate(shown):
            left = index * (block + VOLUME_GAP_MM)
            limits = _limits(shown, volume, style)
            if common.panel_letters:
                text_mm(figure, left, line * 0.8, letter(index), va="baseline", weight="bold")
            indent = line if common.panel_letters else 0.0
            text_mm(figure, left + indent, line * 0.8, volume.label, va="baseline")
            _draw_volume(figure, volume, (left, line + 0.3), scale, limits, style, common)
    return figure


def _draw_volume(
    figure: Figure,
    volume: VolumeSections,
    corner: tuple[float, float],
    scale: float,
    limits: tuple[float, float],
    style: SectionsStyle,
    common: CommonStyle,
) -> None:
    left, top = corner
    depth, height, width = volume.size_nm
    x_right, y_below = left + width * scale + GAP_MM, top + height * scale + GAP_MM
    panels = {
        "XY": (axes_mm(figure, left, top, width * scale, height * scale), volume.xy, (height, width)),
        "XZ": (axes_mm(figure, left, y_below, width * scale, depth * scale), volume.xz, (depth, width)),
        "YZ": (axes_mm(figure, x_right, top, depth * scale, height * scale), volume.yz.T, (height, depth)),
    }
    z, y, x = ((p + 0.5) * s for p, s in zip(volume.position, volume.voxel_size_nm, strict=True))
    cuts = {"XY": ((x, "YZ"), (y, "XZ")), "XZ": ((x, "YZ"), (z, "XY")), "YZ": ((z, "XY"), (y, "XZ"))}
    for plane, (axes, image, size_nm) in panels.items():
        show_image(axes, image, size_nm, limits)
        _add_frame(axes, PLANE_COLOURS[plane])
        add_corner_label(axes, plane, common)
        if style.show_planes:
            (across, vertical), (down, horizontal) = cuts[plane]
            axes.axvline(across, color=PLANE_COLOURS[vertical], linewidth=0.5, linestyle=(0, (4, 3)))
            axes.axhline(down, color=PLANE_COLOURS[horizontal], linewidth=0.5, linestyle=(0, (4, 3)))
    add_scale_bar(panels["XY"][0], (height, width), style.scale_bar_fraction, common)


def _add_frame(axes: Axes, colour: str) -> None:
    for spine in axes.spines.values():
        spine.set_visible(True)
        spine.set_color(colour)
        spine.set_linewidth(0.8)


def _limits(volumes: Sequence[VolumeSections], volume: VolumeSections, style: SectionsStyle) -> tuple[float, float]:
    """Grey range of this volume's modality."""
    same = [other for other in volumes if other.modality == volume.modality]
    chosen = [other for other in same if other.reference] or same
    return grey_range([image for other in chosen for image in (other.xy, other.xz, other.yz)], style.grey_percentiles)


def _cropped(volume: VolumeSections, least_depth: float) -> VolumeSections:
    """Cut y and x to a window around the meeting point if the volume is flatter than `least_depth`."""
    depth, height, width = volume.size_nm
    side_nm = depth / least_depth
    z, y, x = volume.position
    y_start, y_stop = _window(y, volume.xy.shape[0], side_nm / volume.voxel_size_nm[1])
    x_start, x_stop = _window(x, volume.xy.shape[1], side_nm / volume.voxel_size_nm[2])
    if side_nm >= max(height, width):
        return volume
    return replace(
        volume,
        xy=volume.xy[y_start:y_stop, x_start:x_stop],
        xz=volume.xz[:, x_start:x_stop],
        yz=volume.yz[:, y_start:y_stop],
        position=(z, y - y_start, x - x_start),
    )


def _window(centre: int, length: int, wanted: float) -> tuple[int, int]:
    """A range of about `wanted` pixels around a centre that stays within the length."""
    size = min(length, max(1, round(wanted)))
    start = min(max(centre - size // 2, 0), length - size)
    return start, start + size
