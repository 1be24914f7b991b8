"""What file managers and network file systems leave in folders is no slice, and changes no digest."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import zarr

from txm2sem_core import io
from txm2sem_core.commands.compare import compare_results
from txm2sem_core.io.litter import is_litter
from txm2sem_core.io.ownership import first_foreign
from txm2sem_core.io.results import check_results, mark_results
from txm2sem_core.provenance import raw_digest

LEFT = (
    *(".DS_Store", "._s003.tif", "Icon\r", "Thumbs.db", "THUMBS.DB", "thumbs.db", "desktop.ini", "Desktop.ini"),
    *(
        ".directory",
        ".nfs000000000a1b2c3d",
        ".nfs0001",
        ".fuse_hidden0000000f00000001",
        ".~lock.notes.odt#",
        "~$notes.docx",
    ),
    *("ehthumbs.db", "@eaDir/s003.tif/SYNOPHOTO_THUMB_M.jpg", "__MACOSX/._s003.tif", ".Trash-1000/files/s003.tif"),
    ".AppleDouble/s003.tif",
)
SLICES = np.arange(3 * 8 * 8, dtype=np.uint8).reshape(3, 8, 8)


def as_slices(folder: Path) -> None:
    for z, plane in enumerate(SLICES):
        io.write_tiff(folder / f"s{z:03d}.tif", plane)


def as_zarr(folder: Path) -> None:
    io.write_ome_zarr(folder, iter(SLICES), (3, 8, 8), np.uint8, (32.0, 32.0, 32.0), {"txm2sem": {}})


def as_old_zarr(folder: Path) -> None:
    zarr.create_array(folder, data=SLICES, chunks=(1, 8, 8), zarr_format=2)


def leave(folder: Path, name: str) -> None:
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(b"\0\5\26\7 no image")


@pytest.mark.parametrize("name", LEFT)
@pytest.mark.parametrize("make", [as_slices, as_zarr])
def test_it_changes_neither_volume_nor_digest(tmp_path: Path, make: Callable[[Path], None], name: str) -> None:
    make(tmp_path / "volume")
    before = raw_digest([tmp_path / "volume"])
    leave(tmp_path / "volume", name)
    assert raw_digest([tmp_path / "volume"]) == before
    volume = io.open_volume(tmp_path / "volume")
    np.testing.assert_array_equal(volume.read(0, 3), SLICES)


def test_every_file_that_is_someones_counts(tmp_path: Path) -> None:
    as_old_zarr(tmp_path / "volume")
    digests = {raw_digest([tmp_path / "volume"])}
    for file in sorted((tmp_path / "volume").rglob("*")):  # `.zarray` and such among them
        kept = file.read_bytes()
        file.write_bytes(kept + b"\n")
        digests.add(raw_digest([tmp_path / "volume"]))
        file.write_bytes(kept)
    assert len(digests) == 1 + sum(1 for _ in (tmp_path / "volume").rglob("*"))


@pytest.mark.parametrize(
    "name", ["s003.tif", ".zarray", ".hidden.tif", "nfs0001", "Thumbs.dbx", "DS_Store", "icon.png"]
)
def test_other_names_are_no_litter(name: str) -> None:
    assert not is_litter(name)


@pytest.mark.parametrize("name", [name for name in LEFT if "/" not in name])
def test_results_with_it_are_still_ours_and_the_same(tmp_path: Path, name: str) -> None:
    for run in ("first", "second"):
        mark_results(tmp_path / run)
        as_zarr(tmp_path / run / "rock/volumes/net/seed0/sem.ome.zarr")
    volume = tmp_path / "second/rock/volumes/net/seed0/sem.ome.zarr"
    assert first_foreign(volume) is None
    leave(volume, name)
    leave(tmp_path / "second/rock", name)
    check_results(tmp_path / "second", ["rock"])
    assert first_foreign(volume) is None
    assert all(each.same for each in compare_results(tmp_path / "first", tmp_path / "second"))
