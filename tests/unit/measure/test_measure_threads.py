"""Measuring a volume in threads: the same bytes whatever their number, and no slices that are held for longer."""

from __future__ import annotations

import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_data import VOXEL_SIZE_NM, make_store

from txm2sem_core import io
from txm2sem_core.config import MeasureSettings, RockSettings
from txm2sem_core.measure.rock import measure_rock
from txm2sem_core.measure.volumes import measure_volume
from txm2sem_core.metrics import Thresholds, compare_volumes
from txm2sem_core.metrics.pores.summary import measure_pores
from txm2sem_core.metrics.volume import SLAB
from txm2sem_core.metrics.volume_parts import Slice
from txm2sem_core.runtime.workers import Workers

SHAPE = (70, 40, 52)  # two slabs of rock, five of a comparison, and a few slices
LEVELS = (90.0, 130.0)


def rock(seed: int, kind: str) -> np.ndarray:
    volume = np.random.default_rng(seed).normal(120, 40, SHAPE)
    for axis in range(3):
        volume = (volume + np.roll(volume, 1, axis)) / 2
    volume = np.clip(volume, 1, 255).astype(np.uint8 if kind == "uint8" else np.float32)
    if kind == "masked":
        volume[:, :6, :9] = np.nan
        volume[3] = np.nan
    return volume


def measured(folder: Path, threads: int, kind: str, *, truth: bool) -> list[bytes]:
    settings = MeasureSettings(thresholds=LEVELS, rock=RockSettings(cube_px=16, blocks=4, flow=True, axes=("x",)))
    made = folder / f"by {threads}"
    true = folder / "truth.tif" if truth else None
    measure_volume(
        folder / "own.tif", true, folder / "p", settings, made / "v.json", made / "axes.csv", threads=threads
    )
    if not truth:
        measure_rock(folder / "own.tif", folder / "p", settings, made / "rock.json", threads=threads)
    return [path.read_bytes() for path in sorted(made.iterdir()) if path.suffix in (".json", ".csv")]


@pytest.mark.filterwarnings("ignore:.*state voxel sizes")
@pytest.mark.parametrize("kind", ["uint8", "float32", "masked"])
@pytest.mark.parametrize("truth", [False, True])
def test_any_number_of_threads_gives_the_same_bytes(tmp_path: Path, kind: str, truth: bool) -> None:
    make_store(tmp_path / "p")
    for name, seed in (("own", 1), ("truth", 2)):
        io.write_tiff(tmp_path / f"{name}.tif", rock(seed, kind if name == "own" else "uint8"), VOXEL_SIZE_NM)
    expected = measured(tmp_path, 1, kind, truth=truth)
    assert len(expected) == (2 if truth else 5)
    for threads in (2, 3):
        assert measured(tmp_path, threads, kind, truth=truth) == expected


def watched(count: int, alive: list[int]) -> Iterator[np.ndarray]:
    """Slices, and how many of those that were given are still held somewhere."""
    given: list[weakref.ref[np.ndarray]] = []
    rng = np.random.default_rng(0)
    for _ in range(count):
        plane = rng.integers(0, 255, (24, 26)).astype(np.uint8)
        given.append(weakref.ref(plane))
        yield plane
        del plane
        alive.append(sum(reference() is not None for reference in given))


@pytest.mark.parametrize("threads", [1, 4])
def test_slices_that_were_measured_are_forgotten(threads: int) -> None:
    """The slices held at once are as many of a long volume as of a short one, whatever the number of threads."""
    most = []
    for count in (200, 400):
        alive: list[int] = []
        with Workers(threads) as workers:
            measure_pores(
                watched(count, alive), (count, 24, 26), (8.0, 8.0, 8.0), Thresholds(LEVELS), workers=workers, cube_px=8
            )
        most.append(max(alive))
    assert most[0] == most[1] <= 2 * 32 + 1


def test_a_caller_may_use_one_array_for_all_slices() -> None:
    own, true = rock(1, "uint8"), rock(2, "uint8")

    def reused(volume: np.ndarray) -> Iterator[np.ndarray]:
        held = np.empty_like(volume[0])
        for plane in volume:
            held[:] = plane
            yield held

    count = SLAB + 3
    expected = compare_volumes(own[:count], true[:count], 255.0, Thresholds(LEVELS))
    assert compare_volumes(reused(own[:count]), reused(true[:count]), 255.0, Thresholds(LEVELS)) == expected


@pytest.mark.parametrize("threads", [1, 3])
def test_slices_that_were_compared_are_forgotten(threads: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """At most those for the spectra along z, a slab that is worked on, and two that are read ahead."""
    most = []
    for count in (120, 240):
        given: list[weakref.ref[np.ndarray]] = []
        alive: list[int] = []

        def kept(own: np.ndarray, *others: object, given: list[Any] = given, alive: list[int] = alive) -> Slice:
            given.append(weakref.ref(own))
            alive.append(sum(reference() is not None for reference in given))
            return Slice(own, *others)  # type: ignore[arg-type]

        monkeypatch.setattr("txm2sem_core.metrics.volume.Slice", kept)
        volume = np.random.default_rng(0).integers(1, 255, (count, 24, 26)).astype(np.uint8)
        with Workers(threads) as workers:
            compare_volumes(iter(volume), iter(volume), 255.0, workers=workers)
        most.append(max(alive))
    assert max(most) <= 32 + 3 * SLAB
    assert threads > 1 or most[0] == most[1]
