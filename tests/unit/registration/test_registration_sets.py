"""What is wrong with a set of pairs that pass one by one: numbers one off, contrasts of two detectors."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import ndimage

from txm2sem_core import io
from txm2sem_core.config import RegisterSettings
from txm2sem_core.registration import register_pairs
from txm2sem_core.samples.raw_pairs import RawPair
from txm2sem_core.samples.warnings import doubtful, registration_warnings, set_warnings

QUICK = RegisterSettings(transform="translation", max_rotation_deg=0, mirrored=False, scales=(1, 1))
SIDE = 128


@lru_cache
def rock() -> np.ndarray:
    """A volume with structures of some voxels, so that neighbouring slices are alike."""
    return ndimage.gaussian_filter(np.random.default_rng(0).normal(size=(8, SIDE, SIDE)), (1.5, 3, 3))


def stack(folder: Path, off: int, inverted: tuple[int, ...] = ()) -> list[RawPair]:
    """Five pairs; FIB-SEM slice i shows slice i + `off`."""
    pairs = []
    scaled = (rock() - rock().min()) / np.ptp(rock())
    for i in range(5):
        noise = np.random.default_rng(i).normal(size=(2, SIDE, SIDE))
        txm, sem = 20000 + 20000 * scaled[1 + i] + 500 * noise[0], 20 + 200 * scaled[1 + i + off] + 5 * noise[1]
        sem = 255 - sem if i in inverted else sem
        io.write_tiff(folder / f"txm{i}.tif", txm.astype(np.uint16), None)
        io.write_tiff(folder / f"sem{i}.tif", sem.clip(0, 255).astype(np.uint8), None)
        pairs.append(RawPair(f"{i:03d}", i, folder / f"txm{i}.tif", folder / f"sem{i}.tif"))
    return pairs


@pytest.mark.parametrize(
    ("off", "words"),
    [(0, None), (1, "4 of 4 .* TXM slice after their own .* one too low"), (-1, "4 of 4 .* before .* one too high")],
)
def test_numbers_one_off_are_said_and_every_such_pair_is_doubtful(
    off: int, words: str | None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    register_pairs(stack(tmp_path, off), QUICK, tmp_path / "out")
    quality = io.read_csv(tmp_path / "out/quality.csv")
    assert quality["accepted"].all()
    found = set_warnings(quality)
    assert len(found) == (words is not None)
    if words is not None:
        assert pd.Series(found).str.contains(words).all()
        assert found[0] in capsys.readouterr().err
    compared = quality["similarity_to_next" if off >= 0 else "similarity_to_previous"].notna()
    assert (doubtful(quality) == (compared & (off != 0))).all()


def test_slices_of_two_contrasts_are_named_with_what_to_do(tmp_path: Path) -> None:
    register_pairs(stack(tmp_path, 0, inverted=(1, 3)), QUICK, tmp_path / "out")
    (warning,) = registration_warnings(io.read_csv(tmp_path / "out/quality.csv"))
    assert "of 2 of 5 pairs is inverted against the others': 001, 003 (" in warning
    assert "255 - image" in warning


def test_all_inverted_alike_is_nothing_to_say(tmp_path: Path) -> None:
    register_pairs(stack(tmp_path, 0, inverted=(0, 1, 2, 3, 4)), QUICK, tmp_path / "out")
    assert registration_warnings(io.read_csv(tmp_path / "out/quality.csv")) == []
