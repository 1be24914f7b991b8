"""Slices that are stretched are named, where they pass without an affine transform and where they are refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from test_registration_placing import SIDE, sem_of, txm_of
from test_volume_placing import SHAPE
from typer.testing import CliRunner

from txm2sem_core import io, planes
from txm2sem_core.cli import app
from txm2sem_core.config import PhantomSettings, RegisterSettings
from txm2sem_core.geometry import Matrix, centred_similarity, corner_error_px
from txm2sem_core.intensity.measured import Slice
from txm2sem_core.phantom import make_phantom
from txm2sem_core.phantom.oblique import cut_plane
from txm2sem_core.registration import place, register_pairs, volume_stage
from txm2sem_core.registration.frames import mirroring
from txm2sem_core.registration.stretching import stretch_of
from txm2sem_core.samples.raw_pairs import RawPair
from txm2sem_core.samples.warnings import registration_warnings


def lying(factor: float, axis: int, *, turn_deg: float = 4.0, width: float = 1.0) -> Matrix:
    """A slice that is seen `factor` times too short along x (axis 0) or y, turned a little and shifted."""
    matrix = centred_similarity(turn_deg, width, (3.0, -2.0), (SIDE, SIDE), (SIDE, SIDE))
    along = np.eye(3)
    along[axis, axis], along[axis, 2] = factor, (1 - factor) * (SIDE - 1) / 2
    return matrix @ along


@pytest.mark.parametrize("transform", ["rigid", "similarity"])
@pytest.mark.parametrize("axis", [0, 1])
def test_a_stretched_slice_that_passes_is_notable(transform: str, axis: int) -> None:
    settings, seed = RegisterSettings(transform=transform), 4
    for factor in (1.0, 1.03):
        truth = lying(factor, axis)
        txm, sem = Slice(txm_of(seed)), Slice(sem_of(seed, truth, (SIDE, SIDE)))
        placed = place(txm, sem, settings)
        assert placed.found is not None
        found = stretch_of(txm, sem, placed.found.matrix, settings)
        assert found is not None
        assert found.notable == (factor != 1)
        if found.notable:
            assert found.ratio == pytest.approx(factor, abs=0.01)
            off = corner_error_px(placed.found.matrix, truth, sem.shape)
            assert found.corners_px == pytest.approx(off, rel=0.3)


def test_it_is_no_question_where_slices_may_be_stretched() -> None:
    txm, sem = Slice(txm_of(3)), Slice(sem_of(3, lying(1.03, 0), (SIDE, SIDE)))
    for transform in ("none", "affine"):
        assert stretch_of(txm, sem, np.eye(3), RegisterSettings(transform=transform)) is None


@pytest.mark.parametrize("seed", [3, 4])
@pytest.mark.parametrize(
    ("transform", "truth", "found"),
    [
        ("translation", lying(1, 0, turn_deg=2), lying(1, 0, turn_deg=0)),
        ("rigid", lying(1, 0, width=1.02), lying(1, 0)),
        ("similarity", lying(1, 0), lying(1, 0, turn_deg=5.5)),
    ],
)
def test_what_another_turn_or_scale_would_mend_is_no_stretch(
    transform: str, truth: Matrix, found: Matrix, seed: int
) -> None:
    """As where the transform may not turn or scale, or landmarks that count exactly are off."""
    txm, sem = Slice(txm_of(seed)), Slice(sem_of(seed, truth, (SIDE, SIDE)))
    stretch = stretch_of(txm, sem, found, RegisterSettings(transform=transform))
    assert stretch is not None
    assert not stretch.notable


@pytest.mark.parametrize("case", ["nothing measured", "flat", "one row", "beside each other", "mirrored"])
def test_what_cannot_be_asked_is_no_stretch(case: str) -> None:
    txm, image = Slice(txm_of(3)), sem_of(3, lying(1, 0), (SIDE, SIDE))
    sem = {
        "nothing measured": Slice(image, np.zeros(image.shape, dtype=bool)),
        "flat": Slice(np.full_like(image, 9)),
        "one row": Slice(image[:1]),
    }.get(case, Slice(image))
    matrix = lying(1, 0)
    if case == "beside each other":
        matrix[0, 2] += 2 * SIDE
    if case == "mirrored":
        sem = Slice(np.ascontiguousarray(image[:, ::-1]))
        matrix = matrix @ mirroring(SIDE)
    found = stretch_of(txm, sem, matrix, RegisterSettings())
    assert (found is None) == (case != "mirrored")
    assert found is None or not found.notable


def test_table_log_and_report_say_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pairs = []
    for k, factor in enumerate((1.0, 1.03, 1.03)):
        files = [tmp_path / kind / f"{k:03d}.tif" for kind in ("txm", "sem")]
        for path, image in zip(files, (txm_of(k), sem_of(k, lying(factor, 1), (SIDE, SIDE))), strict=True):
            io.write_tiff(path, image, (None, 32, 32))
        pairs.append(RawPair(f"{k:03d}", k, *files))
    register_pairs(pairs, RegisterSettings(), tmp_path / "out")
    words = "2 of 3 FIB-SEM slices fit clearly better stretched, by 3."
    remedy = "Set register.transform: affine."
    assert words in capsys.readouterr().err
    quality = io.read_csv(tmp_path / "out/quality.csv")
    assert quality["stretch"].tolist() == pytest.approx([1, 1.03, 1.03], abs=0.01)
    assert (quality["stretch_px"] > 0).tolist() == [False, True, True]
    assert quality["found"].fillna("").str.contains("stretched").tolist() == [False, True, True]
    assert any(words in each and "001, 002" in each and remedy in each for each in registration_warnings(quality))
    register_pairs(pairs, RegisterSettings(transform="affine"), tmp_path / "affine")
    again = io.read_csv(tmp_path / "affine/quality.csv")
    assert not registration_warnings(again)
    assert again["found"].fillna("").str.contains(r"stretched by [23]\.\d %").tolist() == [False, True, True]
    assert again[["stretch", "stretch_px"]].isna().all(axis=None)  # it was not asked


def test_one_slice_by_itself(tmp_path: Path) -> None:
    for name, image in (("txm", txm_of(3)), ("sem", sem_of(3, lying(1.03, 0), (SIDE, SIDE)))):
        io.write_tiff(tmp_path / f"{name}.tif", image, None)
    given = [
        "register",
        "--fixed",
        tmp_path / "txm.tif",
        "--moving",
        tmp_path / "sem.tif",
        "--output",
        tmp_path / "out",
    ]
    result = CliRunner().invoke(app, [str(word) for word in given])
    assert result.exit_code == 0, result.output
    assert "1 of 1 FIB-SEM slices fit clearly better stretched" in result.output
    record = io.read_json(tmp_path / "out/transform.json")
    assert record["stretch"] == pytest.approx(1.03, abs=0.01)
    assert record["stretch_px"] > 1


def test_slices_in_a_volume(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One is cut from the truth on pixels that are not square."""
    raw = tmp_path / "raw"
    make_phantom(PhantomSettings(shape=SHAPE, seed=6, pair_every=56), raw)
    sem, labels = (io.open_volume(raw / f"truth/{name}.tif").read(0, SHAPE[0]) for name in ("sem", "labels"))
    size = (130, 140)
    for factor in (1.0, 1.03):
        plane = planes.centred_plane((84, 84, 26), size, 1.0, 20, 5, 60)
        plane[:, 1] *= factor
        image = cut_plane(sem, labels, plane, size, 32, 300, np.random.default_rng(1))
        path, out = tmp_path / f"{factor}.tif", tmp_path / f"out_{factor}"
        io.write_tiff(path, image.grey, (None, 32, 32))
        given = ["--fixed", raw / "txm_volume", "--moving", path, "--output", out, "--z", "26"]
        result = CliRunner().invoke(app, ["register", *map(str, given)])
        assert result.exit_code == 0, result.output
        record = io.read_json(out / "plane.json")
        assert ("clearly better stretched" in result.output) == (factor != 1)
        assert ("Save them with square pixels" in result.output) == (factor != 1)
        assert record["stretch"] == pytest.approx(factor, abs=0.012)
    monkeypatch.setattr(volume_stage, "stretch_of", lambda *_: None)  # as where nothing can be told
    given[given.index(out)] = tmp_path / "untold"
    result = CliRunner().invoke(app, ["register", *map(str, given)])
    assert result.exit_code == 0, result.output
    assert io.read_json(tmp_path / "untold/plane.json")["stretch"] is None
