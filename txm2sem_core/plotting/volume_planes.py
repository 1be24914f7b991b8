"""Planes that were found in a volume, in three dimensions: outlines in the volume's box, whose far faces are shown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from matplotlib.figure import Figure
from mpl_toolkits.mplot3d.art3d import Line3DCollection, Poly3DCollection
from numpy.typing import NDArray

from txm2sem_core.config.figures import CommonStyle, PoreSpaceStyle
from txm2sem_core.plotting.canvas import MUTED, PALETTE, drawing, letter, line_height_mm, new_figure, size_mm, text_mm
from txm2sem_core.plotting.images import grey_range, length_label

MOST_TILES = 72  # of a face along its longer side, as drawn
FILL = 0.6  # opacity of all planes one behind the other
FOUND, HELD, REFUSED = "found", "held by its neighbours", "refused"
_COLOURS = {FOUND: PALETTE[0], HELD: PALETTE[4], REFUSED: PALETTE[1]}
ALONG = 0.95  # of an axis, seen so nearly along it that it is not named
EDGE_ON = 0.01  # a face that is seen no more than this shows nothing
_FROM_ABOVE = (90.0, -90.0)  # elevation and azimuth: along y, x to the right
_ROUND = [0, 1, 3, 2, 0]  # corners of a slice, one after the other

Points = NDArray[np.float64]


@dataclass(frozen=True)
class PlaneInVolume:
    """A slice in a volume.

    Attributes:
        label: its number.
        corners_xyz: `[4, 3]`, see `planes.corners_xyz`, in voxels.
        state: `FOUND`, `HELD` or `REFUSED`.
    """

    label: str
    corners_xyz: Points
    state: str = FOUND


@dataclass(frozen=True)
class VolumeBox:
    """A volume with the faces that are drawn.

    Attributes:
        shape: (Z, Y, X).
        voxel_size_nm: (Z, Y, X).
        faces: by axis ("z", "y", "x") the images `[Y, X]`, `[Z, X]` and `[Z, Y]` of its first and last slice there; NaN
            where nothing was measured.
    """

    shape: tuple[int, int, int]
    voxel_size_nm: tuple[float, float, float]
    faces: dict[str, tuple[NDArray[np.floating], NDArray[np.floating]]]

    @property
    def size(self) -> Points:
        """(x, z, y) in nm: y, which runs down, is the height of the box."""
        z, y, x = (n * s for n, s in zip(self.shape, self.voxel_size_nm, strict=True))
        return np.array([x, z, y])

    def placed(self, xyz: Points) -> Points:
        """Where voxels (x, y, z) `[N, 3]` lie in the box: (x, z, height) in nm."""
        nm = (xyz + 0.5) * np.array(self.voxel_size_nm[::-1])
        return np.stack([nm[:, 0], nm[:, 2], self.size[2] - nm[:, 1]], axis=1)


def draw_volume_planes(
    box: VolumeBox, planes: Sequence[PlaneInVolume], style: PoreSpaceStyle, common: CommonStyle
) -> Figure:
    """Draw the planes in the volume, from the point of view that the style names and along y.

    x runs to the right, z into the depth, and y down, as in the figure of the pores.
    """
    width = common.width_mm(2)
    side = width / 2
    with drawing(common):
        line = line_height_mm(common)
        figure = new_figure(width, side + 3 * line)
        views = ((style.elevation_deg, style.azimuth_deg), _FROM_ABOVE)
        for index, (view, label) in enumerate(zip(views, ("Planes in the volume", "Seen along y"), strict=True)):
            _draw_view(figure, box, planes, (index * side, line), side, view)
            if common.panel_letters:
                text_mm(figure, index * side, line * 0.8, letter(index), va="baseline", weight="bold")
            indent = line if common.panel_letters else 0.0
            text_mm(figure, index * side + indent, line * 0.8, label, va="baseline")
        across, depth, height = (length_label(float(f"{size:.3g}")) for size in box.size)
        bottom = size_mm(figure)[1]
        text_mm(figure, width / 2, bottom - line - 1.0, _counted(planes), ha="center", va="bottom")
        said = f"Volume of {across} × {height} × {depth} (x, y, z)"
        text_mm(figure, width / 2, bottom - 1.0, said, ha="center", va="bottom", color=MUTED)
    return figure


def _counted(planes: Sequence[PlaneInVolume]) -> str:
    """How many slices there are of each state, and how they are drawn."""
    names = {FOUND: "found (blue)", HELD: "held by neighbours (orange)", REFUSED: "refused (red, dashed)"}
    counts = [(sum(plane.state == state for plane in planes), words) for state, words in names.items()]
    return ", ".join(f"{count} {words}" for count, words in counts if count) or "no plane was found"


def _draw_view(
    figure: Figure,
    box: VolumeBox,
    planes: Sequence[PlaneInVolume],
    corner: tuple[float, float],
    side: float,
    view: tuple[float, float],
) -> None:
    total_width, total_height = size_mm(figure)
    place = (corner[0] / total_width, 1 - (corner[1] + side) / total_height, side / total_width, side / total_height)
    axes = cast("Any", figure.add_axes(place, projection="3d", computed_zorder=False))
    towards = _towards(*view)
    for axis, name in enumerate("xzy"):
        if abs(towards[axis]) > EDGE_ON:
            _draw_face(axes, box, axis, name, far_at_last=towards[axis] < 0)
    _draw_edges(axes, box, towards)
    corners = {id(plane): box.placed(plane.corners_xyz) for plane in planes}
    ordered = sorted(planes, key=lambda plane: float(corners[id(plane)].mean(axis=0) @ towards))
    for order, plane in enumerate(ordered):
        _draw_plane(axes, plane, corners[id(plane)], 10 + order, fill=FILL / len(planes))
    for plane in (planes[0], planes[-1]) if planes else ():  # the others would hide each other
        look = {"color": _COLOURS[plane.state], "zorder": 1000, "ha": "left", "va": "center"}
        axes.text(*corners[id(plane)][1], plane.label, **look)
    size = box.size
    axes.set(xlim=(0, size[0]), ylim=(0, size[1]), zlim=(0, size[2]))
    axes.set_box_aspect(tuple(size), zoom=0.95)
    axes.set_proj_type("ortho")
    axes.view_init(elev=view[0], azim=view[1])
    axes.set_axis_off()


def _towards(elevation_deg: float, azimuth_deg: float) -> Points:
    """The direction (x, z, height) to the viewer."""
    up, round_ = np.deg2rad([elevation_deg, azimuth_deg])
    return np.array([np.cos(up) * np.cos(round_), np.cos(up) * np.sin(round_), np.sin(up)])


def _draw_plane(axes: Any, plane: PlaneInVolume, corners: Points, order: int, *, fill: float) -> None:
    colour, dashed = _COLOURS[plane.state], plane.state == REFUSED
    ring = corners[_ROUND]
    if not dashed:
        axes.add_collection3d(Poly3DCollection([ring[:4]], facecolors=colour, alpha=fill, zorder=order))
    look = {"colors": colour, "linewidths": 0.9, "linestyles": "--" if dashed else "-"}
    axes.add_collection3d(Line3DCollection([ring], zorder=order + 0.5, **look))


def _draw_face(axes: Any, box: VolumeBox, axis: int, name: str, *, far_at_last: bool) -> None:
    """The face of the box that lies behind, as grey tiles; `axis` counts (x, z, height)."""
    last = far_at_last != (name == "y")  # the height is 0 at the last y
    image = np.asarray(box.faces[name][int(last)], dtype=np.float64)
    step = max(1, -(-max(image.shape) // MOST_TILES))
    image = image[::step, ::step]
    black, white = grey_range([image], (1.0, 99.0)) if np.isfinite(image).any() else (0.0, 1.0)
    grey = np.clip((image - black) / max(white - black, 1e-12), 0, 1)
    rows, columns = (np.linspace(0, 1, n + 1) for n in image.shape)
    size = box.size
    flat = size[axis] * far_at_last
    down, right = {"x": (size[1], size[2]), "z": (size[2], size[0]), "y": (size[1], size[0])}[name]
    a, b = np.meshgrid(rows * down, columns * right, indexing="ij")
    flat_of = np.full(a.shape, flat)
    # [Z, Y], [Y, X] and [Z, X] of the volume; y runs down
    grids = {"x": (flat_of, a, size[2] - b), "z": (b, flat_of, size[2] - a), "y": (b, a, flat_of)}
    points = np.stack(grids[name], axis=-1)
    quads = np.stack([points[:-1, :-1], points[:-1, 1:], points[1:, 1:], points[1:, :-1]], axis=2).reshape(-1, 4, 3)
    shades = np.where(np.isfinite(grey), 0.35 + 0.6 * grey, 1.0).ravel()  # pale, so that planes stand out
    colours = np.repeat(shades[:, None], 3, axis=1)
    look = {"facecolors": colours, "edgecolors": "none", "antialiased": False}  # else seams show
    tiles = Poly3DCollection(quads, rasterized=True, zorder=1, **look)
    axes.add_collection3d(tiles)


def _draw_edges(axes: Any, box: VolumeBox, towards: Points) -> None:
    """The twelve edges of the box; the three at its nearest corner are drawn over the planes. Axes are named."""
    size = box.size
    ends = np.array([[x, z, y] for x in (0, size[0]) for z in (0, size[1]) for y in (0, size[2])], dtype=np.float64)
    nearest = int(np.argmax(ends @ towards))
    for i, first in enumerate(ends):
        for k in range(i + 1, len(ends)):
            if np.count_nonzero(first != ends[k]) == 1:
                order = 500 if nearest in (i, k) else 2
                line = Line3DCollection([np.stack([first, ends[k]])], colors=MUTED, linewidths=0.5, zorder=order)
                axes.add_collection3d(line)
    beyond = 0.05 * size.max()
    x, z, height = size / 2
    places = {"x": (x, -beyond, 0), "z": (2 * x + beyond, z, 0), "y": (-beyond, 0, height)}
    for axis, (name, at) in enumerate(places.items()):
        if abs(towards[axis]) < ALONG:
            axes.text(*at, name, color=MUTED, zorder=1000, ha="center", va="center")
