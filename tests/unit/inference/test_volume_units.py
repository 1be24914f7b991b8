"""Volumes that are killed, stopped, damaged, cut into slabs, or made by two processes at once: the same bytes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import zarr
from small_volumes import SIZE_NM, digests, make_model, make_source

from txm2sem_core import io
from txm2sem_core.checkpoint import load_model
from txm2sem_core.config import PredictSettings
from txm2sem_core.errors import ConfigError, InputError
from txm2sem_core.inference import Predictor, load_ensemble, predict_volume
from txm2sem_core.io import Volume
from txm2sem_core.io.zarr_levels import mean_of_eight

DEPTH, UNITS = 70, 5
NAMES = ["v.ome.zarr", "v.tif"]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model, a source, and the volume as one undisturbed call makes it."""
    folder = tmp_path_factory.mktemp("whole")
    make_model(folder / "model", in_channels=3)
    make_source(folder / "txm.tif", (DEPTH, 40, 300))
    for name in NAMES:
        result = predict_volume(folder / "model", folder / "txm.tif", folder / name, device="cpu")
        assert (result.whole, result.made, len(result.units)) == (True, UNITS, UNITS)
    return folder


def predict(place: Path, target: Path, **options: object) -> object:
    return predict_volume(place / "model", place / "txm.tif", target, device="cpu", **options)  # type: ignore[arg-type]


def stop_after(slices: int) -> object:
    asked = iter(range(10**6))
    return lambda: next(asked) >= slices


def work_folder(target: Path) -> Path:
    (folder,) = target.parent.glob(f".{target.name}.units-*")
    return folder


def command(place: Path, target: Path, *options: str) -> list[str]:
    base = [sys.executable, "-m", "txm2sem_core", "predict", "--model", str(place / "model"), "--device", "cpu"]
    return [*base, "--input", str(place / "txm.tif"), "--output", str(target), "--threads", "1", *options]


# --- stopped and killed


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("slices", [0, 15, 16, 40])
def test_what_was_stopped_goes_on_and_is_the_same_to_the_byte(
    place: Path, tmp_path: Path, name: str, slices: int
) -> None:
    target = tmp_path / name
    seen: list[tuple[int, int]] = []
    stopped = predict(place, target, should_stop=stop_after(slices), on_progress=lambda *n: seen.append(n))
    assert (stopped.whole, stopped.made) == (False, slices // 16)  # type: ignore[attr-defined]
    assert seen == [(n, DEPTH) for n in range(slices + 1)]
    assert not target.exists()
    seen.clear()
    resumed = predict(place, target, on_progress=lambda *n: seen.append(n))
    assert (resumed.whole, resumed.made) == (True, UNITS - slices // 16)  # type: ignore[attr-defined]
    assert seen[0] == (slices // 16 * 16, DEPTH)
    assert seen[-1] == (DEPTH, DEPTH)
    assert digests(target) == digests(place / name)
    assert [path.name for path in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize("moment", ["first unit", "third unit", "closing"])
def test_a_killed_command_goes_on_and_is_the_same_to_the_byte(place: Path, tmp_path: Path, moment: str) -> None:
    """SIGKILL when the process itself has come so far; what is marked then is not made again."""
    target = tmp_path / "v.ome.zarr"
    wanted = {"first unit": 1, "third unit": 3, "closing": UNITS}[moment]
    process = subprocess.Popen(command(place, target), stderr=subprocess.PIPE, stdout=subprocess.DEVNULL)
    marked = 0
    while process.poll() is None and marked < wanted:
        marked = len(list(tmp_path.glob(".v.ome.zarr.units-*/marks/0.*.json")))
        time.sleep(0.001)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    there = 0
    if process.returncode != 0:  # else it was faster than the look
        assert process.returncode == -signal.SIGKILL
        assert not target.exists()
        there = len(list((work_folder(target) / "marks").glob("0.*.json")))
        assert there >= wanted
        with pytest.raises(InputError, match="not a readable OME-Zarr"):
            io.open_volume(work_folder(target) / "volume")
    result = subprocess.run(command(place, target), capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert not there or f"{there} of {UNITS} units are there already" in result.stderr
    assert digests(target) == digests(place / "v.ome.zarr")
    assert [path.name for path in tmp_path.iterdir()] == ["v.ome.zarr"]


def test_another_model_or_tile_or_source_does_not_take_the_units(place: Path, tmp_path: Path) -> None:
    target = tmp_path / "v.ome.zarr"
    predict(place, target, should_stop=stop_after(20))
    first = work_folder(target)
    predict(place, target, should_stop=stop_after(20), tile=24)
    other = make_model(tmp_path / "other", in_channels=3, width=5)
    stopped = predict_volume(other, place / "txm.tif", target, device="cpu", should_stop=stop_after(20))  # type: ignore[arg-type]
    assert not stopped.whole
    changed = make_source(tmp_path / "txm.tif", (DEPTH, 40, 301))
    predict_volume(place / "model", changed, target, device="cpu", should_stop=stop_after(20))  # type: ignore[arg-type]
    assert len(list(tmp_path.glob(".v.ome.zarr.units-*"))) == 4
    resumed = predict(place, target)
    assert resumed.made == UNITS - 1  # type: ignore[attr-defined]
    assert not first.exists()
    assert not list(tmp_path.glob(".v.ome.zarr.units-*"))  # what the others left is cleared away


def test_a_volume_in_memory_is_known_by_its_voxels(place: Path, tmp_path: Path) -> None:
    array = io.open_volume(place / "txm.tif").read(0, DEPTH).copy()
    model = Predictor(load_model(place / "model"), PredictSettings(), "cpu")
    target = tmp_path / "v.ome.zarr"
    predict_volume(model, Volume.of_array(array), target, should_stop=stop_after(20))  # type: ignore[arg-type]
    assert predict_volume(model, Volume.of_array(array, SIZE_NM), target).made == UNITS - 1
    assert digests(target) == digests(place / "v.ome.zarr")
    predict_volume(model, Volume.of_array(array), target, should_stop=stop_after(20))  # type: ignore[arg-type]
    array[3, 4, 5] ^= 1
    assert predict_volume(model, Volume.of_array(array), target).made == UNITS


# --- damage


def test_a_unit_that_changed_on_disk_is_named_and_made_again(
    place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "v.ome.zarr"
    predict(place, target, slab=(1, 1))
    shard = work_folder(target) / "volume/0/c/2/0/0"
    shard.write_bytes(shard.read_bytes()[:-9] + b"corrupted")
    (work_folder(target) / "volume/0/c/3/0/0").unlink()
    with pytest.raises(InputError, match=r"v\.ome\.zarr: 2 of 5 units are missing \(2 of them changed .* 32 to 47"):
        predict(place, target, only_finish=True)
    assert not target.exists()
    capsys.readouterr()
    assert predict(place, target).made == 2  # type: ignore[attr-defined]
    message = capsys.readouterr().err
    assert "slices 32 to 47 (unit 2) were changed after they were written; they are made again" in message
    assert "3 of 5 units are there already" in message
    assert digests(target) == digests(place / "v.ome.zarr")


def test_a_mark_that_cannot_be_read_counts_as_none(place: Path, tmp_path: Path) -> None:
    target = tmp_path / "v.ome.zarr"
    predict(place, target, slab=(1, 1))
    (work_folder(target) / "marks/0.00001.json").write_text("{")
    assert predict(place, target).made == 1  # type: ignore[attr-defined]
    assert digests(target) == digests(place / "v.ome.zarr")


def test_the_pyramid_grows_with_the_volume(place: Path, tmp_path: Path) -> None:
    """A coarser unit is made as soon as all that it is the mean of is there, in whatever order it comes."""
    target = tmp_path / "v.ome.zarr"
    predict(place, target, should_stop=stop_after(40))  # the first two units
    marks = sorted(mark.stem for mark in (work_folder(target) / "marks").glob("*.json"))
    assert marks == ["0.00000", "0.00001", "1.00000"]
    predict(place, target)
    assert digests(target) == digests(place / "v.ome.zarr")


def test_a_level_of_the_pyramid_that_was_half_made_is_made(place: Path, tmp_path: Path) -> None:
    target = tmp_path / "v.ome.zarr"
    predict(place, target, slab=(1, 1))
    store = io.UnitStore(target, "", (DEPTH, 40, 300), np.dtype(np.uint8), ())
    store.folder = work_folder(target)
    store.build_pyramid()
    shard = store.folder / "volume/1/c/1/0/0"
    shard.write_bytes(b"")
    assert predict(place, target).made == 0  # type: ignore[attr-defined]
    assert digests(target) == digests(place / "v.ome.zarr")


# --- slabs


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("slabs", [2, 3, 7])
def test_slabs_in_any_order_change_no_byte(place: Path, tmp_path: Path, name: str, slabs: int) -> None:
    target = tmp_path / name
    with pytest.raises(InputError, match="5 of 5 units are missing"):
        predict(place, target, only_finish=True)
    assert list(tmp_path.iterdir()) == []
    made = 0
    for number in reversed(range(1, slabs + 1)):
        result = predict(place, target, slab=(number, slabs))
        assert not result.whole  # type: ignore[attr-defined]
        made += result.made  # type: ignore[attr-defined]
        assert not target.exists()
    assert made == UNITS
    finished = predict(place, target, only_finish=True)
    assert (finished.whole, finished.made) == (True, 0)  # type: ignore[attr-defined]
    assert digests(target) == digests(place / name)
    at_once = predict(place, tmp_path / f"at_once{target.suffix}")
    assert finished.digest == at_once.digest  # type: ignore[attr-defined]


def test_a_missing_slab_is_reported_and_nothing_is_put_in_place(place: Path, tmp_path: Path) -> None:
    target = tmp_path / "v.ome.zarr"
    predict(place, target, slab=(1, 2))
    with pytest.raises(InputError, match="3 of 5 units are missing, the first with slices 32 to 47 of axis z"):
        predict(place, target, only_finish=True)
    assert not target.exists()


@pytest.mark.parametrize("slab", [(0, 2), (3, 2)])
def test_a_slab_that_cannot_be(place: Path, tmp_path: Path, slab: tuple[int, int]) -> None:
    with pytest.raises(ConfigError, match="slabs are counted from 1/N to N/N"):
        predict(place, tmp_path / "v.ome.zarr", slab=slab)
    with pytest.raises(ConfigError, match="a slab is no whole volume"):
        predict(place, tmp_path / "v.ome.zarr", slab=(1, 2), only_finish=True)


def test_two_commands_at_the_same_time_make_one_volume(place: Path, tmp_path: Path) -> None:
    target = tmp_path / "v.ome.zarr"
    both = [
        subprocess.Popen(command(place, target), stderr=subprocess.STDOUT, stdout=subprocess.PIPE) for _ in range(2)
    ]
    for process in both:
        output, _ = process.communicate()
        assert process.returncode == 0, output.decode()
    assert digests(target) == digests(place / "v.ome.zarr")
    assert [path.name for path in tmp_path.iterdir()] == ["v.ome.zarr"]


def test_uncertainty_goes_on_and_has_slabs_too(place: Path, tmp_path: Path) -> None:
    models = [place / "model", make_model(tmp_path / "m", in_channels=3, width=5)]
    several = load_ensemble(models, PredictSettings(), "cpu")
    source = io.open_volume(place / "txm.tif")
    for name in NAMES:
        predict_volume(several, source, tmp_path / "whole" / name)
        predict_volume(several, source, tmp_path / "cut" / name, slab=(2, 2))
        predict_volume(several, source, tmp_path / "cut" / name, should_stop=stop_after(20))  # type: ignore[arg-type]
        assert predict_volume(several, source, tmp_path / "cut" / name).made == 1
        assert digests(tmp_path / "cut" / name) == digests(tmp_path / "whole" / name)
    assert digests(tmp_path / "cut/v_uncertainty.tif") == digests(tmp_path / "whole/v_uncertainty.tif")


# --- what is stored


def test_shards_have_whole_units_and_no_shard_has_two(place: Path) -> None:
    group = zarr.open_group(place / "v.ome.zarr", mode="r")
    for level in ("0", "1"):
        array = group[level]
        assert isinstance(array, zarr.Array)
        assert array.shards is not None
        assert array.shards[0] == 16
        assert array.chunks[0] == 16
        files = [file for file in (place / "v.ome.zarr" / level / "c").rglob("*") if file.is_file()]
        assert len(files) == -(-array.shape[0] // 16)


@pytest.mark.parametrize("dtype", [np.uint8, np.int8, np.uint16, np.int16, np.uint32, np.int32, np.float32])
@pytest.mark.parametrize("shape", [(4, 6, 8), (3, 5, 7), (1, 1, 9), (2, 3, 4, 5)])
def test_means_of_the_pyramid(shape: tuple[int, ...], dtype: type) -> None:
    """Against means in float64, rounded by NumPy; whole range of the dtype, with many halves among them."""
    rng, whole = np.random.default_rng(0), np.dtype(dtype).kind in "iu"
    bounds = (np.iinfo(dtype).min, np.iinfo(dtype).max) if whole else (-1e3, 1e3)
    for low, high in (bounds, (0, 4)):
        voxels = rng.uniform(low, high, shape).round(0 if whole else 3).astype(dtype)
        padded = np.pad(voxels, [(0, 0)] * (len(shape) - 3) + [(0, n % 2) for n in shape[-3:]], mode="edge")
        z, y, x = (n // 2 for n in padded.shape[-3:])
        expected = padded.reshape(*shape[:-3], z, 2, y, 2, x, 2).astype(np.float64).mean(axis=(-5, -3, -1))
        found = mean_of_eight(voxels)
        assert found.dtype == dtype
        np.testing.assert_allclose(found, np.rint(expected) if whole else expected, atol=0 if whole else 1e-3)


def test_every_slice_is_read_once(place: Path, tmp_path: Path) -> None:
    """Though the network sees three, and those at the border of a slab belong to two jobs."""
    file = io.open_volume(place / "txm.tif")
    read: list[int] = []

    def counted(z0: int, z1: int) -> np.ndarray:
        read.extend(range(z0, z1))
        return file.read(z0, z1)

    source = Volume(file.shape, file.dtype, SIZE_NM, str(place / "txm.tif"), counted)
    predict_volume(place / "model", source, tmp_path / "v.ome.zarr", device="cpu")
    beside = [DEPTH // 2]  # for the digest
    sampled = np.linspace(0, DEPTH - 1, 5).round().astype(int).tolist()  # for all that is asked before the start
    assert sorted(read) == sorted([*range(DEPTH), *beside, *sampled])


def test_a_full_disk_is_reported_and_leaves_what_is_done(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "v.ome.zarr"
    write = io.zarr_levels.ZarrLevels.write

    def full(self: io.zarr_levels.ZarrLevels, level: int, blocks: object) -> dict[str, str]:
        if level == 0 and len(list(tmp_path.glob(".*/marks/0.*"))) == 2:
            raise OSError(28, os.strerror(28))
        return write(self, level, blocks)  # type: ignore[arg-type]

    monkeypatch.setattr(io.zarr_levels.ZarrLevels, "write", full)
    with pytest.raises(InputError, match=r"slices 32 to 47 of level 0 cannot be written \(No space left on device"):
        predict(place, target)
    monkeypatch.undo()
    assert predict(place, target).made == UNITS - 2  # type: ignore[attr-defined]
    assert digests(target) == digests(place / "v.ome.zarr")
