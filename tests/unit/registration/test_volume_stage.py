"""`txm2sem register` with a volume: files in, planes and images out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from test_volume_placing import SHAPE
from typer.testing import CliRunner

from txm2sem_core import io, planes
from txm2sem_core.cli import app
from txm2sem_core.config import PhantomSettings, RegisterSettings
from txm2sem_core.errors import ConfigError
from txm2sem_core.phantom import make_phantom
from txm2sem_core.phantom.oblique import cut_plane, jittered_stack
from txm2sem_core.registration.tables import AT_END
from txm2sem_core.registration.volume_stage import is_volume, register_in_volume
from txm2sem_core.samples.sought import GUESS_REACH, Depths, depths_sought, is_sought
from txm2sem_core.samples.warnings import set_warnings

SIZE = (150, 160)
SCALE = 0.7


@pytest.fixture(scope="module")
def rock(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A phantom's volume, and three slices of one oblique stack with their truth."""
    folder = tmp_path_factory.mktemp("files")
    raw = folder / "raw"
    make_phantom(PhantomSettings(shape=SHAPE, seed=5, pair_every=56), raw)
    sem, labels = (io.open_volume(raw / f"truth/{name}.tif").read(0, SHAPE[0]) for name in ("sem", "labels"))
    first = planes.centred_plane((86, 84, 24), SIZE, SCALE, -70, 9, 200)
    rng = np.random.default_rng(3)
    stack = jittered_stack(first, [0, 4, 8], 0.3, rng)
    for k, plane in enumerate(stack):
        image = cut_plane(sem, labels, plane, SIZE, 32 * SCALE, 300, rng)
        io.write_tiff(folder / f"stack/slice{k + 1:02d}.tif", image.grey, (None, 32 * SCALE, 32 * SCALE))
    np.save(folder / "truth.npy", stack)
    return folder


def run(*words: object) -> str:
    result = CliRunner().invoke(app, ["register", *map(str, words)])
    assert result.exit_code == 0, result.output
    return result.output


def check(folder: Path, truth: np.ndarray) -> None:
    record = io.read_json(folder / "plane.json")
    matrix = np.array(record["matrix"])
    assert matrix.shape == (3, 4)
    assert planes.corner_rms(matrix, truth, SIZE) < 1
    txm, sem = (io.read_image(folder / name).astype(float) for name in ("txm.tif", "registered.tif"))
    assert txm.shape == sem.shape
    assert np.corrcoef(txm[sem > 0], sem[sem > 0])[0, 1] > 0.5
    on_grid = np.array(record["in_grid"]) @ [10, 20, 1]
    np.testing.assert_allclose(np.array(record["grid"]) @ [*on_grid[:2], 0, 1], matrix @ [10, 20, 0, 1], atol=1e-6)


def test_one_slice_is_found(rock: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    run("--fixed", rock / "raw/txm_volume", "--moving", rock / "stack/slice02.tif", "--output", out, "--z", "28")
    check(out, np.load(rock / "truth.npy")[1])
    assert "tilt" in io.read_json(out / "plane.json")["found"]


def test_a_folder_is_a_stack(rock: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    run("--fixed", rock / "raw/txm_volume", "--moving", rock / "stack", "--output", out, "--z", "28")
    for k, truth in enumerate(np.load(rock / "truth.npy")):
        check(out / f"slice{k + 1:02d}", truth)


def test_a_slice_of_nowhere_is_refused_and_leaves_nothing(rock: Path, tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (90, 100)).astype(np.uint8)
    io.write_tiff(tmp_path / "noise.tif", noise, (None, 32, 32))
    words = ["--fixed", rock / "raw/txm_volume", "--moving", tmp_path / "noise.tif", "--output", tmp_path / "out"]
    words += ["--z", "20-24"]
    result = CliRunner().invoke(app, ["register", *map(str, words)])
    assert result.exit_code != 0
    assert not (tmp_path / "out").exists()


def test_what_a_volume_does_not_allow_is_refused(rock: Path, tmp_path: Path) -> None:
    for change, words in (
        ({"transform": "none"}, "none registers"),
        ({"transform": "affine"}, "affine: no slice is str"),
    ):
        with pytest.raises(ConfigError, match=rf"register\.transform: {words}"):
            register_in_volume(
                rock / "raw/txm_volume", rock / "stack/slice02.tif", tmp_path / "out", RegisterSettings(**change)
            )


def test_a_volume_is_told_from_a_slice(rock: Path, tmp_path: Path) -> None:
    stack = np.zeros((3, 8, 8), dtype=np.uint16)
    io.write_volume_tiff(tmp_path / "stack.tif", iter(stack), None)
    assert is_volume(rock / "raw/txm_volume")
    assert is_volume(tmp_path / "stack.tif")
    assert not is_volume(rock / "stack/slice01.tif")


def test_where_slices_are_sought() -> None:
    assert depths_sought("find", 2) == [None, None]
    assert depths_sought("find 20-60", 2) == [Depths(20, 60)] * 2
    assert depths_sought("find 40", 2) == [Depths(40 - GUESS_REACH, 40 + GUESS_REACH, guessed=True)] * 2
    assert depths_sought("find 40, 48", 2)[1] == Depths(48 - GUESS_REACH, 48 + GUESS_REACH, guessed=True)
    assert is_sought("find 20-60")
    assert not is_sought("0:10:1")
    for text in ("find 60-20", "find here", "find 1,2,3"):
        with pytest.raises(ConfigError):
            depths_sought(text, 2)


def test_what_may_lie_beyond_the_volume_is_said(rock: Path, tmp_path: Path) -> None:
    """By the command, and by the table, of accepted slices alone."""
    txm = io.open_volume(rock / "raw/txm_volume")
    io.write_volume_tiff(tmp_path / "cut.tif", iter(txm.read(19, SHAPE[0])), txm.voxel_size_nm)
    said = run("--fixed", tmp_path / "cut.tif", "--moving", rock / "stack/slice01.tif", "--output", tmp_path / "out")
    record = io.read_json(tmp_path / "out/plane.json")
    truth = np.load(rock / "truth.npy")[0] - [[0, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 19]]
    assert planes.corner_rms(np.array(record["matrix"]), truth, SIZE) < 1
    assert record["at_end"]
    assert AT_END in record["found"]
    assert (
        "1 of 1 FIB-SEM slices were found where the TXM volume begins or ends, and may lie beyond it: slice01" in said
    )
    quality = pd.DataFrame({"pair": ["007", "009"], "accepted": [True, False], "at_end": [True, True]})
    (warning,) = set_warnings(quality)
    assert warning.startswith("1 of 1 FIB-SEM slices")
    assert set_warnings(quality.assign(at_end=False)) == []
