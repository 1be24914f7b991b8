"""Measure predictions: test patches, volumes, and the tables that collect them over variants and seeds."""

from __future__ import annotations

import math
import sys
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path

import pandas as pd

from txm2sem_core import io
from txm2sem_core.config import MeasureSettings
from txm2sem_core.io.field_of_view import FieldOfView, Measured
from txm2sem_core.io.voxel_sizes import UNKNOWN, differing_axes
from txm2sem_core.measure.patches import COMPARISON
from txm2sem_core.measure.rows import rows_of_runs
from txm2sem_core.metrics import (
    LineSpectra,
    NeighbourMeter,
    Segmenter,
    compare_volumes,
    shell_metrics,
)
from txm2sem_core.metrics.continuity import SelfContinuityMeter
from txm2sem_core.metrics.gaps import Gaps, with_gaps
from txm2sem_core.metrics.lags import equal_lags, plane_step
from txm2sem_core.metrics.volume import NEIGHBOURS, SLAB, TWO_POINT
from txm2sem_core.phases import fit_segmenter
from txm2sem_core.runtime.workers import Task, Workers, slabs


def measure_volume(
    predicted: str | Path,
    truth: str | Path | None,
    patches: Path,
    settings: MeasureSettings,
    output: str | Path,
    spectra: str | Path,
    labels: Path | None = None,
    threads: int = 1,
) -> None:
    """Metrics of a predicted volume: against the truth where it is known, else its own continuity along z.

    Where a part was not measured, they are of the rest: what needs whole slices of the largest box within (see
    `field_of_view`), whose size stands beside them.

    Args:
        predicted: OME-Zarr or TIFF.
        truth: a volume that covers the prediction from its first voxel on, or None.
        patches: folder of the full-resolution patch store.
        settings: data range, and how phases are separated.
        output: JSON; `not_measured` holds the metrics that failed, and why; their values are missing.
        spectra: CSV of the power along each axis: source (`prediction`, `truth`), axis (z, y, x), frequency_per_px,
            frequency_per_nm (empty where the voxel size is not known), power (squared grey levels a voxel).
        labels: folder of the placed label images, where they are used to separate the phases.
        threads: that measure; what they write is the same bytes whatever their number.
    """
    with Workers(threads) as workers:
        _measure(predicted, truth, patches, settings, output, spectra, labels, workers)


def _measure(
    predicted: str | Path,
    truth: str | Path | None,
    patches: Path,
    settings: MeasureSettings,
    output: str | Path,
    spectra: str | Path,
    labels: Path | None,
    workers: Workers,
) -> None:
    store = io.read_patch_store(patches)
    volumes = [io.open_volume(path) for path in (predicted, truth) if path is not None]
    gaps, metrics, spectra_of = Gaps("measure_volume"), {"slices": float(volumes[0].shape[0])}, dict[str, LineSpectra]()
    with gaps.of("volume"):
        seen = Measured.of(*(FieldOfView(volume, guess=False) for volume in volumes))  # a truth is known everywhere
        if not seen.is_whole:
            print(f"measure {predicted}: {seen.remark()}", file=sys.stderr)
        full = store.data_range(settings.data_range)
        meters = [NeighbourMeter.of_volume(seen.box.shape, volumes[0].voxel_size_nm, full) for _ in volumes]
        if truth is None:
            with gaps.of("continuity"):
                metrics |= _own_metrics(seen.boxed(0), meters[0], workers)
        else:
            _warn_of_sizes(*volumes)
            segmenter: Segmenter | None = None
            with gaps.of("phases"):
                segmenter = fit_segmenter(store, settings, labels)
            metrics |= _compared(seen, full, segmenter, (meters[0], meters[1]), gaps, workers)
        if not gaps.reasons.keys() & ({"continuity"} if truth is None else {COMPARISON, NEIGHBOURS}):
            spectra_of = {name: own.spectra for name, own in zip(("prediction", "truth"), meters, strict=False)}
        metrics |= seen.metrics()
    io.write_csv(spectra, _axis_rows(spectra_of, volumes[0].voxel_size_nm))
    finite = {key: value if math.isfinite(value) else None for key, value in metrics.items()}
    io.write_json(output, with_gaps(finite, gaps))


def _warn_of_sizes(predicted: io.Volume, true: io.Volume) -> None:
    """Warn of voxel sizes that differ."""
    if differing := differing_axes(predicted.voxel_size_nm or UNKNOWN, true.voxel_size_nm or UNKNOWN):
        warnings.warn(
            f"{predicted.source} and {true.source} state voxel sizes that differ (along {'; along '.join(differing)}), "
            "so that lengths and rates of change in them are on different scales. Correct whichever file is wrong.",
            stacklevel=3,
        )


def _compared(
    seen: Measured,
    full: float,
    segmenter: Segmenter | None,
    meters: tuple[NeighbourMeter, NeighbourMeter],
    gaps: Gaps,
    workers: Workers,
) -> dict[str, float]:
    """Metrics of a prediction against the truth: of all that was measured; those of a box, of the largest one."""
    metrics: dict[str, float] = {}
    boxes = seen.boxed(0), seen.boxed(1)
    with gaps.of(COMPARISON):
        of_box = gaps if seen.is_whole else Gaps("measure_volume")
        own, wanted = (box.slices() for box in boxes)
        metrics |= compare_volumes(own, wanted, full, segmenter, None, meters, of_box, workers)
        if not seen.is_whole:
            gaps.reasons |= {name: why for name, why in of_box.reasons.items() if name in (NEIGHBOURS, TWO_POINT)}
            (own, wanted), masks = seen.apart()
            metrics |= compare_volumes(own, wanted, full, segmenter, masks, gaps=gaps, workers=workers)
    with gaps.of("resolution"):
        own, wanted = (box.slices() for box in boxes)
        metrics |= shell_metrics(own, wanted, seen.box.shape, boxes[0].voxel_size_nm, workers)
    return metrics


def _own_metrics(volume: io.Volume, meter: NeighbourMeter, workers: Workers) -> dict[str, float]:
    """Continuity without truth; nothing of a constant volume or of a single slice."""
    if volume.shape[0] < 2 or _is_constant(volume):
        return {}
    step = plane_step(volume.voxel_size_nm)
    fits = all(n > lag.high for n, lag in zip(volume.shape, equal_lags(step), strict=True))
    own = SelfContinuityMeter(step) if fits else None  # else z and the plane share no distance within the volume
    for planes in workers.ahead(slabs(volume.slices(), SLAB)):
        tasks: list[Task] = [*meter.tasks(planes)]
        if own is not None:
            tasks.append(partial(own.add_all, planes))
        for outcome in workers.run(tasks):
            outcome()
    found = {} if own is None else {f"self_continuity_{k}": v for k, v in asdict(own.result()).items()}
    return found | meter.result().metrics()


def _is_constant(volume: io.Volume) -> bool:
    """Whether all voxels are equal, as the constant baseline predicts them: continuity says nothing of it then."""
    value = volume.read(0, 1)[0, 0, 0]
    return all((plane == value).all() for plane in volume.slices())


def _axis_rows(sources: dict[str, LineSpectra], voxel_size_nm: io.VoxelSize | None) -> pd.DataFrame:
    """Spectra along the axes as rows; none where no line fits."""
    parts = [pd.DataFrame(columns=["source", "axis", "frequency_per_px", "frequency_per_nm", "power"])]
    for source, spectra in sources.items():
        for row, axis in enumerate("zyx"):
            step = voxel_size_nm[row] if voxel_size_nm is not None else None
            columns = {"frequency_per_px": spectra.frequency(row), "power": spectra.power()[row]}
            columns["frequency_per_nm"] = spectra.frequency(row) / (step or math.nan)
            part = pd.DataFrame({"source": source, "axis": axis, **columns})
            if part["power"].notna().all():
                parts.append(part)
    return pd.concat(parts[1:], ignore_index=True)[parts[0].columns] if len(parts) > 1 else parts[0]


def summarise_volumes(
    runs: Sequence[tuple[str, int | str]],
    files: Iterable[str | Path],
    spectra: Iterable[str | Path],
    output: str | Path,
    curves: str | Path,
) -> None:
    """Collect the volumes' metrics, one row per run, and their spectra along the axes; the truth's come first."""
    io.write_csv(output, pd.DataFrame(rows_of_runs(runs, files)))
    parts = []
    for number, ((variant, seed), file) in enumerate(zip(runs, spectra, strict=True)):
        table = io.read_csv(file)
        shared = table["source"] == "truth"
        own = table[~shared].assign(variant=variant, seed=seed)
        parts += [table[shared], own] if number == 0 else [own]
    collected = pd.concat(parts, ignore_index=True)
    io.write_csv(curves, collected[["variant", "seed", *(n for n in collected if n not in ("variant", "seed"))]])
