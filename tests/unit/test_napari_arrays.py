"""Volumes as arrays of napari, and which layers a folder of results has; `make test-second` asks napari itself."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from txm2sem_core import io
from txm2sem_core.errors import InputError
from txm2sem_core.io import Volume
from txm2sem_core.napari_plugin import get_reader
from txm2sem_core.napari_plugin.arrays import VolumeArray
from txm2sem_core.napari_plugin.layers import read_layers

SHAPE, SIZE_NM = (7, 30, 40), (40.0, 20.0, 10.0)
VOXELS = np.random.default_rng(0).integers(1, 255, SHAPE).astype(np.uint8)


def keys(length: int) -> st.SearchStrategy[Any]:
    ends = st.none() | st.integers(-length - 2, length + 2)
    steps = st.none() | st.integers(1, 3) | st.integers(-3, -1)
    return st.integers(-length, length - 1) | st.builds(slice, ends, ends, steps)


@settings(max_examples=200, deadline=None)
@given(st.tuples(*map(keys, SHAPE)), st.integers(0, 3), st.booleans())
def test_it_is_sliced_like_an_array(key: tuple[Any, ...], count: int, dots: bool) -> None:
    array = VolumeArray(Volume.of_array(VOXELS))
    key = (..., *key[3 - count :]) if dots else key[:count]
    np.testing.assert_array_equal(array[key], VOXELS[key])


def test_it_reads_no_more_slices_than_it_shows() -> None:
    asked: list[tuple[int, int]] = []

    def read(z0: int, z1: int) -> np.ndarray:
        asked.append((z0, z1))
        return VOXELS[z0:z1]

    array = VolumeArray(Volume(SHAPE, VOXELS.dtype, SIZE_NM, "v", read))
    np.testing.assert_array_equal(array[3], VOXELS[3])
    np.testing.assert_array_equal(array[-1, 2:4, ::2], VOXELS[-1, 2:4, ::2])
    assert asked == [(3, 4), (6, 7)]
    np.testing.assert_array_equal(np.asarray(array), VOXELS)
    assert (array.shape, array.ndim, array.size) == (SHAPE, 3, VOXELS.size)


def write_pairs(folder: Path, numbers: list[int], **more: str) -> None:
    """Pairs of these slices: the first covers all of it, the others a part."""
    rows = []
    for place, z in enumerate(numbers):
        y0, y1, x0, x1 = (0, 30, 0, 40) if place == 0 else (2, 28, 1, 40)
        files = {kind: f"pairs/{place:03d}_{kind}.tif" for kind in ("txm", "sem")}
        for file in files.values():
            io.write_tiff(folder / file, VOXELS[z][y0:y1, x0:x1])
        rows.append({"pair": f"{place:03d}", "z": z, "y0": y0, "y1": y1, "x0": x0, "x1": x1, **files, **more})
    io.write_csv(folder / "index.csv", pd.DataFrame(rows))


def results(root: Path) -> Path:
    """As a run leaves them, of one sample."""
    sample = root / "results/rock"
    for z, plane in enumerate(VOXELS):
        io.write_tiff(sample / f"raw/txm_volume/txm_{z:03d}.tif", plane, SIZE_NM)
    io.write_volume_tiff(sample / "raw/truth/sem.tif", iter(VOXELS), SIZE_NM)
    write_pairs(sample / "registered", [1, 4])
    (root / "results/.txm2sem-results").touch()
    large = np.random.default_rng(0).integers(1, 255, (5, 300, 280)).astype(np.uint8)
    volumes = sample / "volumes/feedforward"
    size, mark = large.shape, {"txm2sem": {}}
    io.write_ome_zarr(volumes / "seed0/sem.ome.zarr", iter(large), size, large.dtype, SIZE_NM, mark)
    both = iter(np.stack([large, large // 9]).swapaxes(0, 1))
    channels = (io.Channel("prediction"), io.Channel("uncertainty", from_zero=True))
    io.write_ome_zarr(volumes / "ensemble/sem.ome.zarr", both, size, large.dtype, SIZE_NM, mark, channels, "0.4")
    return root / "results"


NAMES = [
    "TXM",
    "prediction: feedforward ensemble",
    "uncertainty: feedforward ensemble",
    "prediction: feedforward seed0",
    "truth",
    "pairs: TXM",
    "pairs: FIB-SEM",
]


@pytest.mark.parametrize("place", [".", "rock"])
def test_the_layers_of_a_sample(tmp_path: Path, place: str) -> None:
    folder = str(results(tmp_path) / place)
    reader = get_reader(folder)
    assert reader is not None
    layers = reader(folder)
    assert [arguments["name"] for _, arguments, _ in layers] == NAMES
    assert [arguments["name"] for _, arguments, _ in layers if arguments["visible"]] == NAMES[:2]
    by_name = {arguments["name"]: (data, arguments) for data, arguments, _ in layers}
    data, arguments = by_name["prediction: feedforward ensemble"]
    assert [level.shape for level in data] == [(5, 300, 280), (3, 150, 140)]
    assert arguments["scale"] == SIZE_NM
    spread, _ = by_name["uncertainty: feedforward ensemble"]
    np.testing.assert_array_equal(spread[0][2], data[0][2] // 9)
    np.testing.assert_array_equal(by_name["TXM"][0][4], VOXELS[4])
    pairs, arguments = by_name["pairs: FIB-SEM"]
    np.testing.assert_array_equal(pairs[0], VOXELS[1])
    np.testing.assert_array_equal(pairs[1][2:28, 1:], VOXELS[4][2:28, 1:])
    assert not pairs[1][28:].any()
    assert not pairs[1][:, 0].any()
    assert (arguments["scale"], arguments["translate"]) == ((3 * 40.0, 20.0, 10.0), (40.0, 0.0, 0.0))
    assert all(low < high for low, high in (arguments["contrast_limits"] for _, arguments, _ in layers))


@pytest.mark.parametrize(("numbers", "more"), [([1, 2, 5], {}), ([4, 1], {}), ([1, 3], {"plane": "1 0 0"})])
def test_pairs_that_lie_on_no_even_slices_come_in_order(tmp_path: Path, numbers: list[int], more: Any) -> None:
    made = results(tmp_path)
    shutil.rmtree(made / "rock/registered")
    write_pairs(made / "rock/registered", numbers, **more)
    (_, arguments, _) = read_layers(str(made))[-1]
    assert (arguments["scale"], arguments["translate"]) == (SIZE_NM, (0.0, 0.0, 0.0))


@pytest.mark.parametrize(("family", "shown"), [("flow", "flow seed0"), ("pix2pix", "better seed0")])
def test_the_prediction_that_speaks_for_the_rock_is_shown(tmp_path: Path, family: str, shown: str) -> None:
    made = results(tmp_path)
    for variant in ("better", "finer", "flow"):
        volume = made / f"rock/volumes/{variant}/seed0/sem.ome.zarr"
        io.write_ome_zarr(volume, iter(VOXELS), SHAPE, VOXELS.dtype, SIZE_NM, {"txm2sem": {}})
    rows = [("bicubic_x2", "baseline", "baseline", 1), ("finer", "learned", "srgan", 2)]
    rows += [("better", "learned", "feedforward", 1), ("flow", "learned", family, 1)]
    io.write_csv(made / "rock/metrics/summary.csv", pd.DataFrame(rows, columns=["variant", "kind", "family", "factor"]))
    visible = [arguments["name"] for _, arguments, _ in read_layers(str(made)) if arguments["visible"]]
    assert visible == ["TXM", f"prediction: {shown}"]


def test_other_folders_are_left_to_other_readers(tmp_path: Path) -> None:
    made = results(tmp_path)
    (tmp_path / "empty").mkdir()
    others = [tmp_path, tmp_path / "empty", made / "rock/raw", made / "rock/raw/truth/sem.tif", tmp_path / "nowhere"]
    assert [get_reader(str(path)) for path in others] == [None] * len(others)
    assert get_reader([str(made), str(made)]) is None


def test_a_sample_with_nothing_to_show_says_so(tmp_path: Path) -> None:
    (tmp_path / "results/rock/raw").mkdir(parents=True)
    (tmp_path / "results/.txm2sem-results").touch()
    with pytest.raises(InputError, match="no volume and no registered pair in it yet"):
        read_layers(str(tmp_path / "results"))
