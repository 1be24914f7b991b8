"""Planes in a volume: where they are drawn, and which faces of the volume stand behind them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from PIL import Image

from txm2sem_core import io, planes, plotting
from txm2sem_core.config.figures import FigureSettings
from txm2sem_core.figures import planes as planes_module
from txm2sem_core.plotting import FOUND, HELD, REFUSED, PlaneInVolume, VolumeBox

SHAPE = (12, 20, 30)
STYLE = FigureSettings()
COMMON = STYLE.common.model_copy(update={"dpi": 60})
FACES = {"z": (20, 30), "y": (12, 30), "x": (12, 20)}


def box(**changed: tuple[np.ndarray, np.ndarray]) -> VolumeBox:
    rng = np.random.default_rng(0)
    faces = {name: (rng.normal(size=shape), rng.normal(size=shape)) for name, shape in FACES.items()}
    return VolumeBox(SHAPE, (20.0, 10.0, 10.0), faces | changed)


def plane(state: str, z: float = 6) -> PlaneInVolume:
    lying = planes.centred_plane((15, 10, z), (10, 16), 1.0, 20, 10, 30)
    return PlaneInVolume("007", planes.corners_xyz(lying, (10, 16)), state)


def pixels(folder: Path, drawn: list[PlaneInVolume], of: VolumeBox, **view: float) -> np.ndarray:
    style = STYLE.pore_space.model_copy(update=view)
    plotting.save_figure(plotting.draw_volume_planes(of, drawn, style, COMMON), folder / "a.png", COMMON)
    with Image.open(folder / "a.png") as image:
        return np.asarray(image.convert("RGB")).astype(int)


def test_a_voxel_lies_where_its_position_says() -> None:
    corners = np.array([[-0.5, -0.5, -0.5], [29.5, 19.5, 11.5]])
    assert_allclose(box().placed(corners), [[0, 0, 200], [300, 240, 0]])  # x, z, and the height, which y runs down


@pytest.mark.parametrize(("state", "colour"), [(FOUND, "blue"), (HELD, "red"), (REFUSED, "red")])
def test_planes_have_the_colour_of_what_became_of_them(state: str, colour: str, tmp_path: Path) -> None:
    without, shown = (pixels(tmp_path, drawn, box()) for drawn in ([], [plane(state)]))
    assert (np.ptp(without, axis=2) < 3).all()  # grey
    excess = shown[..., 2] - shown[..., 0]
    assert ((excess if colour == "blue" else -excess) > 60).sum() > 100


def test_what_there_is_is_counted_and_nothing_is_no_error() -> None:
    figure = plotting.draw_volume_planes(
        box(), [plane(FOUND), plane(FOUND, 8), plane(REFUSED)], STYLE.pore_space, COMMON
    )
    said = [text.get_text() for text in figure.texts]
    assert "2 found (blue), 1 refused (red, dashed)" in said
    assert "Volume of 300 nm × 200 nm × 240 nm (x, y, z)" in said
    empty = plotting.draw_volume_planes(box(), [], STYLE.pore_space, COMMON)
    assert "no plane was found" in [text.get_text() for text in empty.texts]


@pytest.mark.parametrize("azimuth", [-56.0, 34.0, 124.0, -146.0])
@pytest.mark.parametrize("elevation", [22.0, -22.0])
def test_only_faces_behind_the_planes_are_drawn(azimuth: float, elevation: float, tmp_path: Path) -> None:
    """Those in front of them are looked through, whatever they show."""
    view = {"azimuth_deg": azimuth, "elevation_deg": elevation}
    whole = pixels(tmp_path, [], box(), **view)
    z_first, x_first = np.sin(np.deg2rad(azimuth)) > 0, np.cos(np.deg2rad(azimuth)) > 0
    seen = {"z": 0 if z_first else 1, "x": 0 if x_first else 1}
    if elevation > 0:  # the other view, along y, shows the last y whatever the first shows
        seen["y"] = 1
    for name, drawn in seen.items():
        first, last = box().faces[name]
        blank = (first, np.full_like(last, np.nan)) if drawn == 0 else (np.full_like(first, np.nan), last)
        assert_array_equal(pixels(tmp_path, [], box(**{name: blank}), **view), whole)
        assert (pixels(tmp_path, [], box(**{name: blank[::-1]}), **view) != whole).any()


def test_faces_are_the_volume_s_outermost_slices() -> None:
    voxels = np.random.default_rng(1).integers(0, 99, (200, 5, 7)).astype(np.uint8)
    faces = planes_module._faces(io.volume_of(voxels, (1.0, 1.0, 1.0)))
    assert_array_equal(faces["z"], [voxels[0], voxels[-1]])
    assert len(faces["y"][0]) == planes_module.MOST_SLICES  # no more slices are read than are worth it
    assert_array_equal([faces["y"][1][0], faces["y"][1][-1]], [voxels[0, -1], voxels[-1, -1]])
    assert_array_equal([faces["x"][0][0], faces["x"][0][-1]], [voxels[0, :, 0], voxels[-1, :, 0]])
