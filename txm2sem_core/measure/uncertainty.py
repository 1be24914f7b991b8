"""Measure whether the stated uncertainty of predictions covers their true error."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pandas as pd

from txm2sem_core import io
from txm2sem_core.errors import UnreadableError
from txm2sem_core.io.field_of_view import FieldOfView, Measured
from txm2sem_core.metrics import Calibration, Coverage, CoverageMeter
from txm2sem_core.metrics.gaps import CALIBRATION, NOT_MEASURED, Gaps

PATCHES, VOLUME = "test patches", "volume"  # what the error is of: measured SEM images, and the noise-free truth
SPREAD, CALIBRATED = "spread", "calibrated"  # what is stated: before and after the calibration
Meters = Mapping[str, CoverageMeter]


def measure_uncertainty(
    predictions: Path, patches: Path, volume: Path | None, truth: Path | None, scores: Path, reliability: Path
) -> None:
    """Coverage of the test patches' error, and of the volume's where the truth is known, before and after calibration.

    Args:
        predictions: folder with `patches.tif`, `spread.tif` and `calibration.json`.
        patches: folder of the full-resolution patch store.
        volume: OME-Zarr with the channels prediction, uncertainty and spread; its rounded values are measured.
        truth: a volume that covers the prediction from its first voxel on.
        scores: CSV to write, a row for each of `PATCHES`, `VOLUME` and `SPREAD`, `CALIBRATED`: metrics of `Coverage`;
            of `SPREAD` alone where `calibration.json` says that it holds no calibration.
        reliability: CSV to write, the bins of the same.
    """
    description = io.read_json(predictions / "calibration.json")
    calibration, gaps = Calibration.from_dict(description), Gaps("measure_uncertainty")
    gaps.reasons |= description.get(NOT_MEASURED, {})
    store = io.read_patch_store(patches)
    measures: dict[str, Callable[[], Meters]] = {PATCHES: lambda: _of_patches(predictions, calibration, store)}
    if volume is not None and truth is not None:
        measures[VOLUME] = lambda: _of_volume(volume, truth)
    results: list[tuple[str, str, Coverage]] = []
    shown = (SPREAD,) if CALIBRATION in gaps.reasons else (SPREAD, CALIBRATED)
    for of, measure in measures.items():
        with gaps.of(of):
            results += [(of, stated, meter.result()) for stated, meter in measure().items() if stated in shown]
    made = {"models": description["models"], "samples": description["samples"], **calibration.as_dict()}
    rows = [{"of": of, "stated": stated, **result.scores(), **made} for of, stated, result in results]
    rows += [{"of": of, **made, NOT_MEASURED: reason} for of, reason in gaps.reasons.items()]
    io.write_csv(scores, pd.DataFrame(rows))
    bins = [
        {"of": of, "uncertainty": stated, "bin": number, **asdict(one)}
        for of, stated, result in results
        for number, one in enumerate(result.bins)
    ]
    io.write_csv(reliability, pd.DataFrame(bins, columns=None if bins else ["of", "uncertainty", "bin"]))


def _of_patches(predictions: Path, calibration: Calibration, store: io.PatchStore) -> Meters:
    rows = store.of_split("test").to_dict("records")
    mean, spread = (io.open_volume(predictions / name) for name in ("patches.tif", "spread.tif"))
    if not mean.shape[0] == spread.shape[0] == len(rows):
        raise UnreadableError(f"{predictions}: {mean.shape[0]} patches, the index has {len(rows)} of the test split.")
    meters = {SPREAD: CoverageMeter(), CALIBRATED: CoverageMeter()}
    for row, own_mean, own_spread in zip(rows, mean.slices(), spread.slices(), strict=True):
        position = (row["pair"], row["y"], row["x"])
        error, mask = own_mean - store.sem_patch(*position).astype(np.float32), store.mask_patch(*position)
        meters[SPREAD].add(error, own_spread, mask)
        meters[CALIBRATED].add(error, calibration.apply(own_spread), mask)
    return meters


def _of_volume(volume: Path, truth: Path) -> Meters:
    prediction, uncertainty, spread = (io.open_volume(volume, channel) for channel in range(3))
    seen = Measured.of(FieldOfView(prediction, guess=False), FieldOfView(io.open_volume(truth), guess=False))
    meters = {SPREAD: CoverageMeter(), CALIBRATED: CoverageMeter()}
    sources = (seen.slices(), uncertainty.slices(), spread.slices())
    for (planes, mask), stated, own_spread in zip(*sources, strict=True):
        error = planes[0].astype(np.float32) - planes[1].astype(np.float32)
        meters[SPREAD].add(error, own_spread, mask)
        meters[CALIBRATED].add(error, stated, mask)
    return meters


def summarise_uncertainty(runs: Sequence[tuple[str, str]], files: Iterable[str | Path], output: str | Path) -> None:
    """Collect the scores of all runs: (variant, `ensemble` or `seedN`) each, in the order of the files."""
    parts = []
    for (variant, run), path in zip(runs, files, strict=True):
        method = "ensemble" if run == "ensemble" else "dropout"
        parts.append(
            pd.DataFrame([{"variant": variant, "run": run, "method": method}]).merge(io.read_csv(path), "cross")
        )
    io.write_csv(output, pd.concat(parts, ignore_index=True))
