"""Stages on data so small that they run in a moment, and the files that they start from."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from small_data import blurred, make_store, sharp, tiny
from small_volumes import make_model, make_source

from txm2sem_core import io
from txm2sem_core.config import PatchesSettings, RegisterSettings, parse_settings
from txm2sem_core.patches.extract import extract_patches
from txm2sem_core.registration import register_pairs
from txm2sem_core.samples.raw_pairs import RawPair

PAIRS = 4
SETTINGS = tiny("feedforward").canonical_json()


def make_pairs(folder: Path, seed: int = 0) -> list[RawPair]:
    """Raw slices that lie on each other."""
    pairs = []
    for number, sem in enumerate(sharp((PAIRS, 96, 96), seed)):
        files = {kind: folder / f"{kind}{number:03d}.tif" for kind in ("txm", "sem")}
        io.write_tiff(files["sem"], sem)
        io.write_tiff(files["txm"], blurred(sem))
        pairs.append(RawPair(f"{number:03d}", number, files["txm"], files["sem"]))
    return pairs


def register(raw: Path, output: Path) -> None:
    """Register the pairs of `make_pairs`."""
    files = sorted(raw.glob("txm*.tif"))
    pairs = [RawPair(f.stem[3:], int(f.stem[3:]), f, f.with_name(f"sem{f.stem[3:]}.tif")) for f in files]
    register_pairs(pairs, parse_settings(RegisterSettings, "{}", transform="none"), output)


def cut(registered: Path, output: Path) -> None:
    """Patches of registered pairs."""
    settings = parse_settings(PatchesSettings, "{}", size_px=32, train=8, evaluation_count=4)
    extract_patches(registered, None, settings, (40.0, 20.0, 10.0), output)


def make_start(folder: Path) -> Path:
    """All that the stages start from: `raw`, `registered`, `patches`, `model`, `txm.tif`."""
    make_pairs(folder / "raw")
    register(folder / "raw", folder / "registered")
    make_store(folder / "patches")
    make_model(folder / "model", "resnet_2blocks")
    make_source(folder / "txm.tif")
    return folder


def predict_arguments(start: Path, output: Path) -> list[object]:
    """Of the command that predicts the volume."""
    return ["predict", "--model", start / "model", "--input", start / "txm.tif", "--output", output, "--device", "cpu"]


def train_arguments(start: Path, output: Path) -> list[object]:
    """Of the command that trains a model."""
    return ["train", "--patches", start / "patches", "--settings", SETTINGS, "--output", output, "--device", "cpu"]


def is_alive(volume: Path) -> bool:
    """Whether a predicted volume holds more than one grey level: else equal bytes would say little."""
    opened = io.open_volume(volume)
    return len(np.unique(opened.read(0, opened.shape[0]))) > 10
