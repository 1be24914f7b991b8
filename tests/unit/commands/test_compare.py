"""What `txm2sem compare` says of two results folders."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from small_data import sharp

from txm2sem_core import io
from txm2sem_core.commands.compare import TOLERANCE, compare_results
from txm2sem_core.errors import InputError

VOLUME, TABLE = "s/volumes/a/seed0/sem.ome.zarr", "s/metrics/summary.csv"


def write_volume(path: Path, voxels: np.ndarray) -> None:
    io.write_ome_zarr(path, iter(voxels), voxels.shape, voxels.dtype, (1.0, 1.0, 1.0), {})


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    """Two copies of a few results, with times that differ."""
    one, other = tmp_path / "one", tmp_path / "other"
    write_volume(one / VOLUME, sharp((4, 40, 40), seed=0))
    table = pd.DataFrame({"variant": ["a", "b"], "psnr": [20.0, 18.0], "note": ["x", None], "n": [np.inf, 4]})
    io.write_csv(one / TABLE, table)
    for name in ("s/models/a/seed0/generator.safetensors", "s/figures/curves.png", "s/raw/pairs.csv"):
        (one / name).parent.mkdir(parents=True)
        (one / name).write_bytes(b"bytes")
    shutil.copytree(one, other)
    for number, folder in enumerate((one, other)):
        hidden = f"{Path(VOLUME).parent}/.state/x.pt"
        digest = f"{VOLUME.removesuffix('.ome.zarr')}.digest"
        for name in ("README.md", "logs/x.log", "report.html", "report.digest", "provenance.json", hidden, digest):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(f"at {number}")
    return one, other


def command(*folders: Path) -> subprocess.CompletedProcess[str]:
    words = [sys.executable, "-m", "txm2sem_core", "compare", *map(str, folders)]
    return subprocess.run(words, capture_output=True, text=True, check=False)


def test_the_same_bytes_but_for_times(folders: tuple[Path, Path]) -> None:
    compared = compare_results(*folders)
    assert {result.name for result in compared} == {
        *(VOLUME, TABLE, "s/models/a/seed0/generator.safetensors", "s/figures/curves.png", "s/raw/pairs.csv")
    }
    assert all(result.same and result.agrees for result in compared)
    run = command(*folders)
    assert run.returncode == 0
    assert "differs" not in run.stdout.lower()


@pytest.mark.parametrize("both", [False, True])
@pytest.mark.parametrize("same", [False, True])
def test_a_volume_that_was_not_kept_is_compared_by_its_digest(
    folders: tuple[Path, Path], both: bool, same: bool
) -> None:
    for number, folder in enumerate(folders):
        beside = folder / f"{VOLUME.removesuffix('.ome.zarr')}.digest"
        beside.write_text(f'{{"sha256": "{0 if same else number}"}}')
        if both or number:
            shutil.rmtree(folder / VOLUME)
    (result,) = (result for result in compare_results(*folders) if result.kind == "volumes")
    assert (result.name, result.same, result.missing, result.difference) == (VOLUME, same, False, None)
    assert all(result.agrees for result in compare_results(*folders))


def test_a_volume_without_a_digest_is_missing(folders: tuple[Path, Path]) -> None:
    shutil.rmtree(folders[1] / Path(VOLUME).parent)
    (result,) = (result for result in compare_results(*folders) if result.kind == "volumes")
    assert result.missing
    assert not result.agrees


def test_into_how_many_jobs_a_volume_was_cut_is_no_difference(folders: tuple[Path, Path]) -> None:
    report = folders[0] / Path(VOLUME).parent / "slabs/1of2.json"
    report.parent.mkdir()
    report.write_text("{}")
    assert all(result.same for result in compare_results(*folders))


def test_voxels_differ_by_their_root_mean_square(folders: tuple[Path, Path]) -> None:
    one, other = folders
    voxels = io.open_volume(one / VOLUME).read(0, 4).astype(float)
    changed = (voxels + 5 * np.random.default_rng(0).standard_normal(voxels.shape)).clip(0, 255).astype(np.uint8)
    shutil.rmtree(other / VOLUME)
    write_volume(other / VOLUME, changed)
    (result,) = (result for result in compare_results(one, other) if not result.same)
    assert result.name == VOLUME
    assert result.difference == pytest.approx(np.sqrt(((changed - voxels) ** 2).mean()) / voxels.std())
    run = command(one, other)
    assert run.returncode == 0
    assert f"differs: {VOLUME}: {result.difference:.3g}" in run.stdout


@pytest.mark.parametrize(
    ("column", "values", "difference"),
    [
        ("psnr", [20.0, 18.5], 0.025),
        ("psnr", [20.0, 14.5], 0.175),
        ("psnr", [20.0, None], np.inf),
        ("note", ["y", None], np.inf),
        ("variant", ["b", "a"], np.inf),
    ],
)
def test_tables_differ_by_their_numbers(
    folders: tuple[Path, Path], column: str, values: list[object], difference: float
) -> None:
    table = io.read_csv(folders[1] / TABLE)
    table[column] = values
    table.to_csv(folders[1] / TABLE, index=False)
    (result,) = (result for result in compare_results(*folders) if not result.same)
    assert (result.name, result.difference) == (TABLE, pytest.approx(difference))
    assert result.agrees == (difference <= TOLERANCE)
    run = command(*folders)
    assert run.returncode == int(not result.agrees)
    assert f"{'differs' if result.agrees else 'DISAGREES'}: {TABLE}" in run.stdout


def test_weights_and_figures_are_compared_by_bytes_alone(folders: tuple[Path, Path]) -> None:
    for name in ("s/models/a/seed0/generator.safetensors", "s/figures/curves.png"):
        (folders[1] / name).write_bytes(b"other")
    differing = [result for result in compare_results(*folders) if not result.same]
    assert [result.kind for result in differing] == ["figures", "models"]
    assert all(result.agrees for result in differing)


@pytest.mark.parametrize("name", [VOLUME, TABLE])
def test_what_is_missing_disagrees(folders: tuple[Path, Path], name: str) -> None:
    gone = folders[1] / name
    shutil.rmtree(gone) if gone.is_dir() else gone.unlink()
    (result,) = (result for result in compare_results(*folders) if not result.same)
    assert (result.name, result.agrees) == (name, False)
    assert command(*folders).returncode == 1


def test_no_results(folders: tuple[Path, Path], tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="empty: there are no results"):
        compare_results(folders[0], tmp_path / "empty")
    assert "Traceback" not in command(folders[0], tmp_path / "none").stderr


def test_voxels_that_were_not_measured_agree_where_they_are_the_same(folders: tuple[Path, Path]) -> None:
    one, other = folders
    voxels = sharp((4, 40, 40), seed=0).astype(np.float32)
    voxels[:, :5] = np.nan
    changed = voxels.copy()
    changed[2, 20, 20] += 1
    moved = changed.copy()
    moved[:, 5] = np.nan
    for folder, array in ((one, voxels), (other, changed)):
        shutil.rmtree(folder / VOLUME)
        write_volume(folder / VOLUME, array)
    (result,) = (result for result in compare_results(one, other) if not result.same)
    assert 0 < result.difference < 0.01
    shutil.rmtree(other / VOLUME)
    write_volume(other / VOLUME, moved)
    (result,) = (result for result in compare_results(one, other) if not result.same)
    assert result.difference == np.inf
