"""The pore space in three dimensions, as a shaded mesh of its walls."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from matplotlib.colors import LightSource
from matplotlib.figure import Figure
from mpl_toolkits.mplot3d.art3d import Line3DCollection, Poly3DCollection
from numpy.typing import NDArray

from txm2sem_core.config.figures import CommonStyle, PoreSpaceStyle
from txm2sem_core.errors import InputError
from txm2sem_core.plotting.canvas import MUTED, drawing, letter, line_height_mm, new_figure, size_mm, text_mm
from txm2sem_core.plotting.images import length_label

_SMOOTHING_PX = 0.7  # takes the steps of the voxels from the walls; for looks alone
_MIDDLE = 0.5  # between pore (1) and solid (0), also where neighbouring voxels were averaged
_CELL_PX, _CELLS = 0.5, 7  # of the grid of what lies before what; and how many of them around are looked at, a side
_BEHIND_PX = 4.0  # the nearest wall, where others are still drawn: a steep one is drawn whole


@dataclass(frozen=True)
class PoreSpace:
    """Pores of a block of one volume.

    Attributes:
        label: the volume, in words.
        pore: `[Z, Y, X]`, the share of pore in each voxel, 0 to 1.
        voxel_size_nm: (Z, Y, X).
        note: what is said beside the label, such as the porosity.
    """

    label: str
    pore: NDArray[np.floating]
    voxel_size_nm: tuple[float, float, float]
    note: str = ""


def draw_pore_space(spaces: Sequence[PoreSpace], style: PoreSpaceStyle, common: CommonStyle) -> Figure:
    """Draw the walls of the pores of each volume, side by side, from one point of view and at one scale.

    x runs to the right, z into the depth, and y down, as in the sections. The box has the size of the block.

    Raises:
        InputError: no volumes, or blocks of different physical size.
    """
    if not spaces:
        raise InputError("there is no pore space to draw")
    sizes = [tuple(n * s for n, s in zip(each.pore.shape, each.voxel_size_nm, strict=True)) for each in spaces]
    if any(not np.allclose(size, sizes[0], rtol=0.05) for size in sizes):
        raise InputError(f"the blocks of the pore spaces differ in size: {sizes} nm (Z, Y, X)")
    width = common.width_mm(style.columns)
    side = width / len(spaces)
    with drawing(common):
        line = line_height_mm(common)
        figure = new_figure(width, min(side, common.max_height_mm - 2 * line) + 2 * line)
        for index, space in enumerate(spaces):
            _draw_block(figure, space, (index * side, line), side, style)
            indent = line if common.panel_letters else 0.0
            if common.panel_letters:
                text_mm(figure, index * side, line * 0.8, letter(index), va="baseline", weight="bold")
            text_mm(figure, index * side + indent, line * 0.8, space.label, va="baseline")
            text_mm(figure, (index + 1) * side - 1.0, line * 0.8, space.note, va="baseline", ha="right", color=MUTED)
        depth, height, across = (length_label(float(f"{size:.3g}")) for size in sizes[0])
        text_mm(
            figure,
            width / 2,
            size_mm(figure)[1] - 1.0,
            f"Blocks of {across} × {height} × {depth} (x, y, z)",
            ha="center",
            va="bottom",
            color=MUTED,
        )
    return figure


def _draw_block(
    figure: Figure, space: PoreSpace, corner: tuple[float, float], side: float, style: PoreSpaceStyle
) -> None:
    total_width, total_height = size_mm(figure)
    box = (
        corner[0] / total_width,
        1 - (corner[1] + side) / total_height,
        side / total_width,
        side / total_height,
    )
    axes = cast("Any", figure.add_axes(box, projection="3d"))
    size = [n * s for n, s in zip(space.pore.shape, space.voxel_size_nm, strict=True)]
    corners, triangles = _wall(space)
    if len(triangles):
        faces = corners[_in_sight(corners / min(space.voxel_size_nm), triangles, style)]
        light = LightSource(azdeg=315, altdeg=45)
        look = {"facecolors": style.colour, "edgecolors": style.colour, "linewidths": 0.2}  # edges close fine gaps
        walls = Poly3DCollection(faces, shade=True, lightsource=light, rasterized=True, **look)
        axes.add_collection3d(walls)
    axes.add_collection3d(Line3DCollection(_edges(size), colors=MUTED, linewidths=0.5))
    depth, height, width = size
    axes.set(xlim=(0, width), ylim=(0, depth), zlim=(0, height))
    axes.set_box_aspect((width, depth, height), zoom=1.02)
    axes.set_proj_type("ortho")
    axes.view_init(elev=style.elevation_deg, azim=style.azimuth_deg)
    axes.set_axis_off()


def _wall(space: PoreSpace) -> tuple[NDArray[np.float64], NDArray[np.intp]]:
    """The pores' walls as triangles.

    Returns:
        corners `[M, 3]` as (x, z, height above the floor) in nm, where y runs down; and the three of each triangle,
        `[N, 3]`, by number, counted against the clock as seen from the solid.
    """
    from scipy import ndimage  # here, not above: heavy, and imported with this package by every figure
    from skimage.measure import marching_cubes

    smooth = ndimage.gaussian_filter(np.asarray(space.pore, dtype=np.float32), _SMOOTHING_PX)
    closed = np.pad(smooth, 1)  # pores are closed where the block cuts them
    if closed.max() <= _MIDDLE:
        return np.empty((0, 3)), np.empty((0, 3), dtype=np.intp)
    corners, triangles, _, _ = marching_cubes(closed, _MIDDLE)  # type: ignore[no-untyped-call]
    nm = (corners - 0.5) * np.asarray(space.voxel_size_nm)
    height = space.pore.shape[1] * space.voxel_size_nm[1]
    return np.stack([nm[:, 2], nm[:, 0], height - nm[:, 1]], axis=1), triangles


def _in_sight(corners: NDArray[np.float64], triangles: NDArray[np.intp], style: PoreSpaceStyle) -> NDArray[np.intp]:
    """The triangles that can be seen; in rough pores the others take ten times as much memory and time.

    Those that face the eye, and lie no farther behind the nearest such wall than `_BEHIND_PX`: of the cells of a grid
    around it, in that one where this wall is farthest, since walls end within cells.

    Args:
        corners: `[M, 3]` in voxels.
        triangles: `[N, 3]`, as `_wall` gives them.
        style: the point of view.
    """
    from scipy import ndimage

    elevation, azimuth = np.deg2rad([style.elevation_deg, style.azimuth_deg])
    to_eye = np.array([np.cos(elevation) * np.cos(azimuth), np.cos(elevation) * np.sin(azimuth), np.sin(elevation)])
    right = np.array([-np.sin(azimuth), np.cos(azimuth), 0.0])
    seen = (corners @ np.stack([right, np.cross(to_eye, right), to_eye], axis=1)).astype(np.float32)
    (ax, ay), (bx, by), (cx, cy) = (seen[triangles[:, corner], :2].T for corner in range(3))
    facing = triangles[(bx - ax) * (cy - ay) > (cx - ax) * (by - ay)]
    across, up, nearness = sum(seen[facing[:, corner]] for corner in range(3)).T / 3
    cells = tuple(((each - each.min()) / _CELL_PX).astype(np.intp) for each in (across, up))
    nearest = np.full([each.max() + 1 for each in cells], -np.inf, dtype=np.float32)
    np.maximum.at(nearest, cells, nearness)
    covered = ndimage.minimum_filter(nearest, _CELLS, mode="nearest")
    return facing[nearness >= covered[cells] - _BEHIND_PX]


def _edges(size: Sequence[float]) -> list[NDArray[np.float64]]:
    """The twelve edges of the box, (x, z, y)."""
    depth, height, width = size
    ends = np.array([[x, z, y] for x in (0, width) for z in (0, depth) for y in (0, height)], dtype=np.float64)
    return [
        np.stack([first, second])
        for i, first in enumerate(ends)
        for second in ends[i + 1 :]
        if np.count_nonzero(first != second) == 1
    ]
