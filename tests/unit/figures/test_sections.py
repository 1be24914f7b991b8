"""Figures of sections read what they draw, and the TXM volume once for all variants."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from txm2sem_core import io
from txm2sem_core.config.figures import CommonStyle, SectionsStyle
from txm2sem_core.errors import InputError
from txm2sem_core.figures import sections
from txm2sem_core.io.field_of_view import FieldOfView
from txm2sem_core.io.readers.zarr_store import FolderStore
from txm2sem_core.provenance import digests

SHAPE = (20, 300, 520)
CIRCLE = np.hypot(*np.ogrid[-1:1:300j, -1:1:520j]) < 0.9


@pytest.fixture(autouse=True)
def _all_is_old_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(digests, "_YOUNG_NS", 0)  # or nothing that a test has just written would be believed


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How many slices of each volume are read from now on, by the name of its file."""
    found: Counter[str] = Counter()
    whole_read = io.Volume.read

    def read(self: io.Volume, z0: int, z1: int) -> np.ndarray:
        found[Path(self.source).name] += z1 - z0
        return whole_read(self, z0, z1)

    monkeypatch.setattr(io.Volume, "read", read)
    return found


@pytest.fixture
def stored_bytes(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The bytes of each part of a zarr that is read from now on."""
    found: list[int] = []
    get, get_sync = FolderStore.get, FolderStore.get_sync

    async def counted(self: FolderStore, *arguments: Any, **options: Any) -> Any:
        buffer = await get(self, *arguments, **options)
        found.append(0 if buffer is None else len(buffer))
        return buffer

    def counted_sync(self: FolderStore, *arguments: Any, **options: Any) -> Any:
        buffer = get_sync(self, *arguments, **options)
        found.append(0 if buffer is None else len(buffer))
        return buffer

    monkeypatch.setattr(FolderStore, "get", counted)
    monkeypatch.setattr(FolderStore, "get_sync", counted_sync)
    return found


def noise(shape: tuple[int, int, int], seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(1, 255, shape).astype(np.uint8)


def written(path: Path, voxels: np.ndarray, marks: dict[str, Any] | None = None) -> Path:
    shape = (voxels.shape[0], voxels.shape[1], voxels.shape[2])
    attributes = {"txm2sem": {"result_sha256": "a", **marks}} if marks else None
    io.write_ome_zarr(path, list(voxels), shape, voxels.dtype, (9.0, 9.0, 9.0), attributes)
    return path


def stated() -> tuple[np.ndarray, dict[str, Any]]:
    voxels = noise(SHAPE)
    voxels[:9, ~CIRCLE] = 0
    voxels[9:, ::3] = 0  # a grey level there
    return voxels, {io.UNMEASURED: 0, io.WHOLE_SLICES: "9-19"}


def of_float() -> tuple[np.ndarray, dict[str, Any]]:
    voxels = noise(SHAPE).astype(np.float32)
    voxels[:, ~CIRCLE] = np.nan
    voxels[10] = np.nan
    return voxels, {io.UNMEASURED: "nan"}


@pytest.mark.parametrize("kind", [stated, of_float, lambda: (noise(SHAPE), {})], ids=["stated", "float", "whole"])
@pytest.mark.parametrize("shape", [SHAPE, (18, 290, 500), (24, 320, 540)], ids=["same", "smaller", "larger"])
def test_what_is_read_by_parts_is_what_all_slices_show(
    tmp_path: Path, kind: Callable[[], tuple[np.ndarray, dict[str, Any]]], shape: tuple[int, int, int]
) -> None:
    """Whatever the shape of the volume whose middle is cut."""
    volume = io.open_volume(written(tmp_path / "p.ome.zarr", *kind()))
    parts = sections._parts(FieldOfView(volume, guess=False), shape)
    for part, whole in zip(parts, sections._whole(volume, shape, guess=False), strict=True):
        np.testing.assert_array_equal(part, whole)


def test_a_middle_outside_is_refused_as_of_all_slices(tmp_path: Path) -> None:
    volume = io.open_volume(written(tmp_path / "p.ome.zarr", noise((4, 40, 40))))
    for shape in ((4, 90, 40), (20, 40, 40)):
        with pytest.raises(InputError, match="the sections'"):
            sections._sections(volume, shape, False, None)


def test_only_the_chunks_that_a_section_touches_are_read(tmp_path: Path, stored_bytes: list[int]) -> None:
    shape = (
        32,
        1000,
        1000,
    )  # of 4 x 4 chunks in a plane, 7 of which XZ and YZ touch; XY touches 16 in one of two layers
    volume = io.open_volume(written(tmp_path / "p.ome.zarr", noise(shape)))
    stored_bytes.clear()
    sections._whole(volume, shape, guess=False)
    all_bytes = sum(stored_bytes)
    assert all_bytes > 0.9 * np.prod(shape)
    stored_bytes.clear()
    sections._sections(volume, shape, False, None)
    assert sum(stored_bytes) < all_bytes * (8 / 16 + 1 / 2) * 1.05  # XZ and YZ one by one, then XY
    stored_bytes.clear()
    volume.read_part(slice(0, 32), slice(500, 501), slice(0, 1000))
    assert sum(stored_bytes) < all_bytes * 4 / 16 * 1.05


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    found: list[Any] = []
    monkeypatch.setattr(sections, "draw_sections", lambda shown, *_: found.append(shown))
    monkeypatch.setattr(sections, "save", lambda *_: None)
    return found


def figure(folder: Path, variant: str, truth: bool = True) -> None:
    io.write_json(folder / "patches/store.json", {"voxel_size_nm": [9.0, 9.0, 9.0]}, overwrite=True)
    sections.sections_figure(
        variant,
        folder / "txm.tif",
        None,
        folder / f"{variant}.ome.zarr",
        folder / "truth.tif" if truth else None,
        folder / "patches/store.json",
        SectionsStyle(),
        CommonStyle(),
        [folder / "f.png"],
    )


def test_the_txm_and_the_truth_are_read_once_for_all_variants(
    tmp_path: Path, reads: Counter[str], drawn: list[Any]
) -> None:
    small = (8, 40, 48)
    for name in ("txm", "truth"):
        io.write_volume_tiff(tmp_path / f"{name}.tif", noise(small, 7), (9.0, 9.0, 9.0))
    for number, variant in enumerate("abc"):
        written(tmp_path / f"{variant}.ome.zarr", noise(small, number))
        figure(tmp_path, variant)
    assert reads == {"txm.tif": small[0] + 5, "truth.tif": small[0]}  # and five slices that tell of the field of view
    for shown in drawn[1:]:
        for number in (0, 2):
            for plane in sections.PLANES:
                first, again = (getattr(each[number], plane) for each in (drawn[0], shown))
                np.testing.assert_array_equal(first, again)
        assert (shown[1].xy != drawn[0][1].xy).any()
    (tmp_path / "txm.tif").unlink()
    io.write_volume_tiff(tmp_path / "txm.tif", noise(small, 8), (9.0, 9.0, 9.0))
    figure(tmp_path, "a")
    assert (drawn[-1][0].xy != drawn[0][0].xy).any()
    assert reads == {"txm.tif": 2 * (small[0] + 5), "truth.tif": small[0]}


def test_figures_that_are_drawn_at_the_same_time_read_the_txm_once(tmp_path: Path, reads: Counter[str]) -> None:
    io.write_volume_tiff(tmp_path / "txm.tif", noise((8, 40, 48)), (9.0, 9.0, 9.0))
    at_once = threading.Barrier(4)

    def cut(_: int) -> sections.Sections:
        with io.open_volume(tmp_path / "txm.tif") as volume:
            at_once.wait()
            return sections._sections(volume, (8, 40, 48), True, tmp_path / "kept.npz")

    with ThreadPoolExecutor(4) as pool:
        first, *others = pool.map(cut, range(4))
    assert reads == {"txm.tif": 8 + 5}
    for other in others:
        for one, again in zip(first, other, strict=True):
            np.testing.assert_array_equal(one, again)
