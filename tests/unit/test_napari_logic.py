"""What the widgets of napari do, without napari: predictions of a shown volume, and landmarks of a pair."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from saved_models import saved

from txm2sem_core import io
from txm2sem_core.config import PredictSettings
from txm2sem_core.errors import InputError
from txm2sem_core.inference import predict_volume
from txm2sem_core.io import Volume
from txm2sem_core.napari_plugin.arrays import VolumeArray
from txm2sem_core.napari_plugin.marking import pixels_of, write_landmarks
from txm2sem_core.napari_plugin.prediction import Prediction, place_of, voxel_size_nm

VOXELS = np.random.default_rng(0).integers(0, 255, (9, 40, 48)).astype(np.uint8)


@dataclass
class Layer:
    """What is used of a layer of napari, with its arithmetic: place in the viewer = scale * place + translate."""

    data: Any
    name: str = "TXM"
    scale: tuple[float, ...] = (1.0, 1.0, 1.0)
    translate: tuple[float, ...] = (0.0, 0.0, 0.0)
    units: tuple[str, ...] = field(default=("nm", "nm", "nm"))
    multiscale: bool = False
    rgb: bool = False

    @property
    def ndim(self) -> int:
        return len(self.scale)

    def data_to_world(self, point: Any) -> Any:
        return np.asarray(point) * self.scale + self.translate

    def world_to_data(self, point: Any) -> Any:
        return (np.asarray(point)[-self.ndim :] - self.translate) / self.scale


def ran(prediction: Prediction) -> tuple[list[tuple[int, int]], Any]:
    steps, found = prediction.steps(), []
    while True:
        try:
            found.append(next(steps))
        except StopIteration as end:
            return found, end.value


@pytest.mark.parametrize("multiscale", [False, True])
def test_a_shown_volume_is_predicted_as_by_the_command_and_lies_on_it(tmp_path: Path, multiscale: bool) -> None:
    model = saved(tmp_path / "model")
    shown = VolumeArray(Volume.of_array(VOXELS))
    place = {"scale": (64.0, 32.0, 32.0), "translate": (5.0, 6.0, 7.0)}
    layer = Layer([shown, VOXELS[::2]] if multiscale else shown, multiscale=multiscale, **place)
    steps, (voxels, arguments, kind) = ran(Prediction(model, layer))
    assert steps == [(done, 9) for done in range(10)]
    expected = predict_volume(model, VOXELS, settings=PredictSettings(), voxel_size_nm=(64.0, 32.0, 32.0))
    np.testing.assert_array_equal(voxels, expected)
    assert (arguments, kind) == ({"name": "prediction: TXM, model", "units": ("nm",) * 3, **place}, "image")


@given(st.integers(1, 4), st.tuples(*[st.floats(0.1, 100)] * 3), st.tuples(*[st.floats(-100, 100)] * 3))
def test_finer_pixels_cover_the_same_place(factor: int, scale: Any, translate: Any) -> None:
    """Edges of the first and the last pixel agree."""
    layer = Layer(VOXELS, scale=scale, translate=translate)
    finer = place_of(layer, factor)
    for axis, length in enumerate(VOXELS.shape):
        counts = (length, length * (factor if axis else 1))
        ends = [
            (where["translate"][axis] - where["scale"][axis] / 2, where["scale"][axis] * count)
            for where, count in zip(({"scale": scale, "translate": translate}, finer), counts, strict=True)
        ]
        assert ends[0] == pytest.approx(ends[1])


def test_voxel_sizes_are_in_nm_where_the_unit_is_a_length() -> None:
    assert voxel_size_nm(Layer(VOXELS, scale=(0.064, 32, 32), units=("micrometer", "nanometer", "nm"))) == (64, 32, 32)
    assert voxel_size_nm(Layer(VOXELS, units=("nm", "pixel", "pixel"))) is None


def test_a_prediction_that_is_stopped_leaves_none(tmp_path: Path) -> None:
    """Before its first slice, since it would not wait; `test_second_napari` stops one on the way."""
    prediction = Prediction(saved(tmp_path / "model"), Layer(VOXELS))
    prediction.stop()
    assert ran(prediction) == ([], None)


def test_mistakes_are_named(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="empty"):
        ran(Prediction(tmp_path / "empty", Layer(VOXELS)))
    for layer in (Layer(VOXELS[0]), Layer(VOXELS, rgb=True)):
        with pytest.raises(InputError, match=r"TXM: a TXM volume \[Z, Y, X\] of grey levels is needed"):
            ran(Prediction(saved(tmp_path / "model"), layer))


# --- landmarks

POINTS = st.lists(st.tuples(st.floats(0, 39), st.floats(0, 47)), min_size=2, max_size=6)
SIZES = st.tuples(st.floats(0.01, 100), st.floats(0.01, 100))


@settings(max_examples=50, deadline=None)
@given(POINTS, SIZES, SIZES)
def test_points_are_pixels_of_their_image_whatever_the_scales(points: Any, image_scale: Any, points_scale: Any) -> None:
    image = Layer(VOXELS[0], scale=image_scale, translate=(3.0, -4.0))
    on_layer = (np.array(points) * image_scale + (3.0, -4.0)) / points_scale
    marked = Layer(on_layer, scale=points_scale, translate=(0.0, 0.0))
    np.testing.assert_allclose(pixels_of(image, marked), points, atol=1e-6)


def images(shape: tuple[int, int] = (40, 48)) -> Layer:
    return Layer(np.zeros(shape, np.uint8), "slice", (1.0, 1.0), (0.0, 0.0))


def marks(points: Any, name: str) -> Layer:
    return Layer(np.array(points, float), name, (1.0, 1.0), (0.0, 0.0))


def test_what_is_written_is_read_as_the_landmarks_of_the_pair(tmp_path: Path) -> None:
    on_txm, on_sem = [(1.5, 2), (30, 40.25), (0.1 + 0.2, 5)], [(2, 3), (31, 41), (4, 6)]
    files = write_landmarks(tmp_path / "marks", "003", (images(), marks(on_txm, "a")), (images(), marks(on_sem, "b")))
    assert files == (tmp_path / "marks/txm/003.csv", tmp_path / "marks/sem/003.csv")
    for file, points in zip(files, (on_txm, on_sem), strict=True):
        np.testing.assert_array_equal(io.read_napari(file), np.array(points)[:, ::-1])  # (x, y)
    before = files[0].read_bytes()
    with pytest.raises(InputError, match=r"003.csv: the pair has landmarks already"):
        write_landmarks(tmp_path / "marks", "003", (images(), marks(on_sem, "a")), (images(), marks(on_txm, "b")))
    assert files[0].read_bytes() == before


def test_points_in_a_slice_of_a_stack_are_those_of_the_slice() -> None:
    stack = Layer(VOXELS, "stack")
    marked = Layer(np.array([(3, 1, 2), (3, 5, 6)], float), "a")
    np.testing.assert_array_equal(pixels_of(stack, marked), [(1, 2), (5, 6)])
    with pytest.raises(InputError, match="a: its points lie in several slices"):
        pixels_of(stack, Layer(np.array([(3, 1, 2), (4, 5, 6)], float), "a"))
    flat = marks([(1, 2), (5, 6)], "b")  # marked while the stack was not there
    np.testing.assert_array_equal(pixels_of(stack, flat), [(1, 2), (5, 6)])


@pytest.mark.parametrize(
    ("pair", "on_txm", "on_sem", "says"),
    [
        ("3b", [(1, 1), (2, 2)], [(1, 1), (2, 2)], "pair: '3b' is no number"),
        ("", [(1, 1), (2, 2)], [(1, 1), (2, 2)], "pair: '' is no number"),
        ("3", [(1, 1), (2, 2)], [(1, 1)], "a has 2 points and b 1: each point needs its partner"),
        ("3", [(1, 1)], [(1, 1)], "a: 1 points are too few"),
        ("3", np.zeros((0, 2)), np.zeros((0, 2)), "a: 0 points are too few"),
        ("3", [(1, 1), (2, 48)], [(1, 1), (2, 2)], r"a: point 2 lies outside of slice, which has 40 x 48 pixels"),
    ],
)
def test_points_that_are_no_landmarks_are_refused(
    tmp_path: Path, pair: str, on_txm: Any, on_sem: Any, says: str
) -> None:
    with pytest.raises(InputError, match=says):
        write_landmarks(tmp_path, pair, (images(), marks(on_txm, "a")), (images(), marks(on_sem, "b")))
    assert list(tmp_path.iterdir()) == []
