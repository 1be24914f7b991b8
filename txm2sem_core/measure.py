"""Measure predictions: test patches, volumes, and the tables that collect them over variants and seeds."""

from __future__ import annotations

import math
import sys
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from txm2sem_core import io
from txm2sem_core.config import FILTERS, MeasureSettings
from txm2sem_core.errors import InputError
from txm2sem_core.field_of_view import FieldOfView, Measured
from txm2sem_core.gaps import NOT_MEASURED, Gaps, as_row, say, with_gaps
from txm2sem_core.io import PatchStore
from txm2sem_core.io.voxel_sizes import UNKNOWN, differing_axes
from txm2sem_core.metrics import (
    Correlation,
    CorrelationMeter,
    LineSpectra,
    NeighbourMeter,
    Segmenter,
    compare_volumes,
    gmsd,
    histogram_distance,
    holm,
    mae,
    paired_test,
    psnr,
    self_continuity,
    shell_figures,
    summarise,
)
from txm2sem_core.metrics.image import check_pair, mean_similarity, psnr_8bit, ssim_8bit, to_8bit
from txm2sem_core.metrics.lags import equal_lags, plane_step
from txm2sem_core.metrics.structure import mean_structure, multi_scale_similarity
from txm2sem_core.metrics.volume import NEIGHBOURS, TWO_POINT
from txm2sem_core.metrics.windows import WindowPair
from txm2sem_core.score_tables import latex_table, markdown_table, table_rows
from txm2sem_core.segmentation import fit_segmenter

SCORES = ("psnr", "ssim", "mae", "ms_ssim", "structure", "gmsd", "histogram_distance")
TESTED = ("psnr", "ssim", "ms_ssim", "structure", "histogram_distance")  # those of the table, between variants
TOO_FEW_SLICES = "too few slices to tell"
_COMPARISON = "comparison with the truth"
_CURVES = "spectra and resolution"
_POWER = ["source", "frequency_per_px", "frequency_per_nm", "power"]
_RESOLUTION = [*_POWER[:3], "correlation", "half_bit", "resolution_nm", "resolution_half_bit_nm"]
LOWER_IS_BETTER = {"mae", "gmsd", "histogram_distance"}


@dataclass(frozen=True)
class Run:
    """One trained (or fitted) model of the comparison."""

    variant: str
    seed: int
    family: str
    generator: str
    factor: int
    models: int = 1  # more than one: their mean, an ensemble over seeds

    @property
    def kind(self) -> str:
        """`baseline` or `learned`."""
        return "baseline" if self.family == "baseline" or self.generator in FILTERS else "learned"


def measure_patches(
    predicted: str | Path,
    patches: Path,
    settings: MeasureSettings,
    output: str | Path,
    spectra: str | Path,
    resolution: str | Path,
) -> None:
    """Scores of every test patch, one row a patch, and what the patches hold at each spatial frequency.

    Columns of the scores: patch, pair, z, y, x; psnr (dB), ssim, mae, ms_ssim, structure, gmsd, histogram_distance over
    uncharged pixels in float; psnr_8bit, ssim_8bit over all pixels as the published comparison has them; not_measured,
    the scores that failed, which are empty, and why.

    Args:
        predicted: `patches.tif`, float SEM grey levels [N, Y, X].
        patches: folder of the full-resolution patch store.
        settings: the data range.
        output: CSV of the scores.
        spectra: CSV, radially averaged over all patches: source (`prediction`, `sem`, `txm`), frequency_per_px,
            frequency_per_nm (empty where the pixel size is not known), power (density, squared grey levels of the
            source times squared pixels).
        resolution: CSV of the Fourier ring correlation with the measured SEM, pooled over all patches: source
            (`prediction`, `txm`), the frequencies, correlation, half_bit (that threshold), and for each source
            resolution_nm (at 1/7) and resolution_half_bit_nm.
    """
    store = io.read_patch_store(patches)
    rows = store.of_split("test")
    volume = io.open_volume(predicted)
    if volume.shape[0] != len(rows):
        raise InputError(f"{predicted}: {volume.shape[0]} patches, the index has {len(rows)} of the test split.")
    full = store.data_range(settings.data_range)
    low, high = (0.0, 255.0) if store.sem_dtype == np.uint8 else (store.sem_range.low, store.sem_range.high)
    gaps = Gaps("measure_patches")
    table = []
    rings = {source: CorrelationMeter(_pixels(store)) for source in ("prediction", "txm")}
    for row, prediction in zip(rows.to_dict("records"), volume.slices(), strict=True):
        place = (row["pair"], row["y"], row["x"])
        target, mask = store.sem_patch(*place), store.mask_patch(*place)
        with gaps.of(_CURVES):
            rings["prediction"].add(prediction, target, mask)
            rings["txm"].add(store.txm_patch(*place, context=0)[0], target, mask)
        own = Gaps()
        scores = _scores_of(_Patch(prediction, target, mask, full, low, high), own)
        here = {key: row[key] for key in ("patch", "pair", "z", "y", "x")}
        table.append({**here, **scores, NOT_MEASURED: own.as_text()})
    failed = Counter(text for row in table if (text := row[NOT_MEASURED]))
    for reason, number in failed.items():
        say("measure_patches", f"scores of {number} of {len(table)} patches", reason)
    io.write_csv(output, pd.DataFrame(table))
    _write_curves(rings, store, spectra, resolution, gaps)


@dataclass(frozen=True)
class _Patch:
    """A predicted test patch and the measured one, with the pixels that count, and the ranges of scores."""

    prediction: np.ndarray
    target: np.ndarray
    mask: np.ndarray
    full: float
    low: float  # grey levels that are 0 and 255 in 8 bits
    high: float


def _scores_of(patch: _Patch, gaps: Gaps) -> dict[str, float]:
    """All scores of a patch; NaN of one that fails."""
    images, mask, full = (patch.prediction, patch.target), patch.mask, patch.full

    @cache
    def pair() -> WindowPair:
        return WindowPair.of(*check_pair(*images))

    @cache
    def eight_bit() -> tuple[np.ndarray, np.ndarray]:
        own, true = (to_8bit(image, patch.low, patch.high) for image in images)
        return own, true

    measures: dict[str, Callable[[], float]] = {
        "psnr": lambda: psnr(*images, full, mask),
        "ssim": lambda: mean_similarity(pair(), full, mask),
        "mae": lambda: mae(*images, full, mask),
        "ms_ssim": lambda: multi_scale_similarity(pair(), full, mask),
        "structure": lambda: mean_structure(pair(), full, mask),
        "gmsd": lambda: gmsd(*images, full, mask),
        "histogram_distance": lambda: histogram_distance(*images, full, mask),
        "psnr_8bit": lambda: psnr_8bit(*eight_bit()),
        "ssim_8bit": lambda: ssim_8bit(*eight_bit()),
    }
    scores = dict.fromkeys(measures, math.nan)
    for name, measure in measures.items():
        with gaps.of(name):
            scores[name] = measure()
    return scores


def _write_curves(
    rings: dict[str, CorrelationMeter], store: PatchStore, spectra: str | Path, resolution: str | Path, gaps: Gaps
) -> None:
    """Power and correlation of the patches; tables without rows where they could not be measured."""
    x_nm = math.nan if store.pixel_size_nm is None else store.pixel_size_nm[1]
    parts, curves = [pd.DataFrame(columns=_POWER)], [pd.DataFrame(columns=_RESOLUTION)]
    if _CURVES not in gaps.reasons:
        powers = {"prediction": rings["prediction"].power()[0], "sem": rings["txm"].power()[1]}
        powers["txm"] = rings["txm"].power()[0]
        frequency = rings["txm"].rings.frequency_per_nm  # per pixel: the spacing was given in pixels
        columns = {"frequency_per_px": frequency, "frequency_per_nm": frequency / x_nm}
        parts = [pd.DataFrame({"source": key, **columns, "power": power}) for key, power in powers.items()]
        curves = [_resolution_rows(k, meter.correlation(either_sign=k == "txm"), x_nm) for k, meter in rings.items()]
    io.write_csv(spectra, pd.concat(parts, ignore_index=True))
    io.write_csv(resolution, pd.concat(curves, ignore_index=True))


def _pixels(store: PatchStore) -> tuple[float, float]:
    """Steps along y and x in pixel widths along x."""
    size = store.pixel_size_nm
    return (1.0, 1.0) if size is None else (size[0] / size[1], 1.0)


def _resolution_rows(source: str, curve: Correlation, pixel_nm: float) -> pd.DataFrame:
    frequency = curve.rings.frequency_per_nm
    return pd.DataFrame(
        {
            "source": source,
            "frequency_per_px": frequency,
            "frequency_per_nm": frequency / pixel_nm,
            "correlation": curve.correlation,
            "half_bit": curve.half_bit,
            "resolution_nm": curve.resolution_nm() * pixel_nm,
            "resolution_half_bit_nm": curve.resolution_nm(curve.half_bit) * pixel_nm,
        }
    )


def measure_volume(
    predicted: str | Path,
    truth: str | Path | None,
    patches: Path,
    settings: MeasureSettings,
    output: str | Path,
    spectra: str | Path,
    labels: Path | None = None,
) -> None:
    """Figures of a predicted volume: against the truth where it is known, else its own continuity along z.

    Where a part was not measured, they are of the rest: what needs whole slices of the largest box within (see
    `field_of_view`), whose size stands beside them.

    Args:
        predicted: OME-Zarr or TIFF.
        truth: a volume that covers the prediction from its first voxel on, or None.
        patches: folder of the full-resolution patch store.
        settings: data range, and how phases are parted.
        output: JSON; `not_measured` holds the measures that failed, whose figures are not there, and why.
        spectra: CSV of the power along each axis: source (`prediction`, `truth`), axis (z, y, x), frequency_per_px,
            frequency_per_nm (empty where the voxel size is not known), power (squared grey levels a voxel).
        labels: folder of the placed label images, where phases are parted by them.
    """
    store = io.read_patch_store(patches)
    volumes = [io.open_volume(path) for path in (predicted, truth) if path is not None]
    gaps, figures, spectra_of = Gaps("measure_volume"), {"slices": float(volumes[0].shape[0])}, dict[str, LineSpectra]()
    with gaps.of("volume"):
        seen = Measured.of(*(FieldOfView(volume, guess=False) for volume in volumes))  # a truth is known everywhere
        if not seen.is_whole:
            print(f"measure {predicted}: {seen.remark()}", file=sys.stderr)
        full = store.data_range(settings.data_range)
        meters = [NeighbourMeter.of_volume(seen.box.shape, volumes[0].voxel_size_nm, full) for _ in volumes]
        if truth is None:
            with gaps.of("continuity"):
                figures |= _own_figures(seen.boxed(0), meters[0])
        else:
            _tell_sizes(*volumes)
            segmenter: Segmenter | None = None
            with gaps.of("phases"):
                segmenter = fit_segmenter(store, settings, labels)
            figures |= _compared(seen, full, segmenter, (meters[0], meters[1]), gaps)
        if not gaps.reasons.keys() & ({"continuity"} if truth is None else {_COMPARISON, NEIGHBOURS}):
            spectra_of = {name: own.spectra for name, own in zip(("prediction", "truth"), meters, strict=False)}
        figures |= seen.figures()
    io.write_csv(spectra, _axis_rows(spectra_of, volumes[0].voxel_size_nm))
    finite = {key: value if math.isfinite(value) else None for key, value in figures.items()}
    io.write_json(output, with_gaps(finite, gaps))


def _tell_sizes(predicted: io.Volume, true: io.Volume) -> None:
    """Warn of voxel sizes that differ."""
    if differing := differing_axes(predicted.voxel_size_nm or UNKNOWN, true.voxel_size_nm or UNKNOWN):
        warnings.warn(
            f"{predicted.source} and {true.source} state voxel sizes that differ (along {'; along '.join(differing)}), "
            "so that lengths and rates of change in them are on different scales. Mend whichever file is wrong.",
            stacklevel=3,
        )


def _compared(
    seen: Measured, full: float, segmenter: Segmenter | None, meters: tuple[NeighbourMeter, NeighbourMeter], gaps: Gaps
) -> dict[str, float]:
    """Figures of a prediction against the truth: of all that was measured, where they need a box of the largest."""
    figures: dict[str, float] = {}
    boxes = seen.boxed(0), seen.boxed(1)
    with gaps.of(_COMPARISON):
        of_box = gaps if seen.is_whole else Gaps("measure_volume")
        own, wanted = (box.slices() for box in boxes)
        figures |= compare_volumes(own, wanted, full, segmenter, neighbours=meters, gaps=of_box)
        if not seen.is_whole:
            gaps.reasons |= {name: why for name, why in of_box.reasons.items() if name in (NEIGHBOURS, TWO_POINT)}
            (own, wanted), masks = seen.apart()
            figures |= compare_volumes(own, wanted, full, segmenter, masks, gaps=gaps)
    with gaps.of("resolution"):
        own, wanted = (box.slices() for box in boxes)
        figures |= shell_figures(own, wanted, seen.box.shape, boxes[0].voxel_size_nm)
    return figures


def _own_figures(volume: io.Volume, meter: NeighbourMeter) -> dict[str, float]:
    """Continuity without truth; nothing of a constant volume or of a single slice."""
    if volume.shape[0] < 2 or _is_constant(volume):
        return {}
    for plane in volume.slices():
        meter.add(plane)
    step = plane_step(volume.voxel_size_nm)
    if any(n <= lag.high for n, lag in zip(volume.shape, equal_lags(step), strict=True)):
        return meter.result().figures()  # the distance that z and the plane share does not fit into the volume
    own = self_continuity(volume.slices(), step)
    return {f"self_continuity_{k}": v for k, v in asdict(own).items()} | meter.result().figures()


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


def summarise_metrics(
    runs: Sequence[Run],
    tables: Iterable[str | Path],
    spectra: Iterable[str | Path],
    resolutions: Iterable[str | Path],
    output: Path,
) -> None:
    """Collect the patches' scores of all runs.

    Leaves `patches.csv` (tidy: one row a run and patch), `summary.csv` (one row a variant: mean, standard error and
    Student's 95 % interval over slices, of scores averaged over seeds and over the patches of a slice first; and the
    spread over seeds), the same as a table ready for a paper beside the published figures, `table.csv`, `table.md` and
    `table.tex`; `pairs.csv`, tests between variants over slices. A patch that was drawn several times counts once.
    `spectra.csv` and `resolution.csv` are those of all runs (see `measure_patches`), with `variant` and `seed`, which
    are empty of the TXM and SEM images.
    """
    parts = []
    for run, path in zip(runs, tables, strict=True):
        own = pd.DataFrame([{**asdict(run), "kind": run.kind}])
        parts.append(own.merge(io.read_csv(path), how="cross"))
    tidy = pd.concat(parts, ignore_index=True)
    scored = distinct_patches(tidy)
    summary = pd.DataFrame([_summary_row(group) for _, group in scored.groupby("variant", sort=False)])
    summary = summary.sort_values("psnr_mean", ascending=False, kind="stable")
    io.write_csv(output / "patches.csv", tidy)
    io.write_csv(output / "summary.csv", summary)
    io.write_csv(output / "pairs.csv", _pairs(scored, list(summary["variant"])))
    io.write_csv(output / "spectra.csv", _curves(runs, spectra, ("sem", "txm")))
    io.write_csv(output / "resolution.csv", _curves(runs, resolutions, ("txm",)))
    rows = table_rows(summary)
    io.write_csv(output / "table.csv", rows)
    io.write_text(output / "table.md", markdown_table(rows))
    io.write_text(output / "table.tex", latex_table(rows))


def _curves(runs: Sequence[Run], files: Iterable[str | Path], measured: tuple[str, ...]) -> pd.DataFrame:
    """Curves of all runs; those of the measured images, which all runs share, once and first."""
    parts = []
    for number, (run, file) in enumerate(zip(runs, files, strict=True)):
        table = io.read_csv(file)
        shared = table["source"].isin(measured)
        own = table[~shared].assign(variant=run.variant, seed=run.seed)
        parts += [table[shared], own] if number == 0 else [own]
    curves = pd.concat(parts, ignore_index=True)
    curves["seed"] = curves["seed"].astype("Int64")
    return curves[["variant", "seed", *(name for name in curves if name not in ("variant", "seed"))]]


def distinct_patches(scores: pd.DataFrame) -> pd.DataFrame:
    """The rows without those that score a place again: a random set of patches may draw one several times."""
    place = [name for name in ("variant", "seed", "pair", "y", "x") if name in scores]
    return scores.drop_duplicates(place)


def _pairs(tidy: pd.DataFrame, variants: Sequence[str]) -> pd.DataFrame:
    """Tests between every two variants, of scores averaged over seeds; Holm's correction over the pairs of a score.

    `better` names a variant, is empty where the difference may be noise, and says so where there are too few slices.
    """
    columns = ["score", "first", "second", "n", "slices", "unit", "difference", "low", "high", "p", "p_holm", "better"]
    slices = tidy.drop_duplicates("patch").set_index("patch")["pair"]
    rows = []
    for score in TESTED:
        means = tidy.pivot_table(index="patch", columns="variant", values=score, aggfunc="mean")
        means = means.reindex(columns=list(variants))  # without one whose every score is missing
        tests = []
        for first, second in combinations(variants, 2):
            both = means[[first, second]].dropna()
            if np.isinf(both).any(axis=1).all():
                continue  # equal images: there is no difference to test
            found = paired_test(both[first].to_list(), both[second].to_list(), slices[both.index].to_list())
            values = {k: v for k, v in asdict(found).items() if k != "clusters"}
            tests.append({"score": score, "first": first, "second": second, "slices": found.clusters, **values})
        for test, adjusted in zip(tests, holm([test["p"] for test in tests]), strict=True):
            ahead = (test["difference"] > 0) != (score in LOWER_IS_BETTER)
            better = (test["first"] if ahead else test["second"]) if adjusted < 0.05 else ""
            if math.isnan(adjusted):
                better = TOO_FEW_SLICES
            rows.append({**test, "p_holm": adjusted, "better": better})
    return pd.DataFrame(rows, columns=columns)


def _summary_row(scores: pd.DataFrame) -> dict[str, Any]:
    first = scores.iloc[0]
    row: dict[str, Any] = {
        "variant": first["variant"],
        "label": str(first["variant"]).replace("_", " "),
        "kind": first["kind"],
        "family": first["family"],
        "generator": first["generator"],
        "factor": first["factor"],
        "seeds": max(scores["seed"].nunique(), first["models"]),
        "n": scores["patch"].nunique(),
        "slices": scores["pair"].nunique(),
    }
    slices = scores.groupby("patch")["pair"].first()
    for score in SCORES:
        patches = scores.groupby("patch")[score].mean().dropna()
        if patches.empty:
            row |= {f"{score}_{figure}": math.nan for figure in ("mean", "stderr", "low", "high", "seed_spread")}
            continue
        each = summarise(patches, slices[patches.index].to_list())
        row |= {f"{score}_mean": each.mean, f"{score}_stderr": each.stderr}
        row |= {f"{score}_low": each.low, f"{score}_high": each.high}
        row[f"{score}_seed_spread"] = scores.groupby(["seed", "pair"])[score].mean().groupby("seed").mean().std(ddof=1)
    return row | {f"{score}_mean": scores[score].mean() for score in ("psnr_8bit", "ssim_8bit")}


def summarise_volumes(
    runs: Sequence[tuple[str, int | str]],
    files: Iterable[str | Path],
    spectra: Iterable[str | Path],
    output: str | Path,
    curves: str | Path,
) -> None:
    """Collect the volumes' figures, one row a run, and their spectra along the axes, the truth's once and first."""
    rows = [{"variant": v, "seed": s, **as_row(io.read_json(f))} for (v, s), f in zip(runs, files, strict=True)]
    io.write_csv(output, pd.DataFrame(rows))
    parts = []
    for number, ((variant, seed), file) in enumerate(zip(runs, spectra, strict=True)):
        table = io.read_csv(file)
        shared = table["source"] == "truth"
        own = table[~shared].assign(variant=variant, seed=seed)
        parts += [table[shared], own] if number == 0 else [own]
    collected = pd.concat(parts, ignore_index=True)
    io.write_csv(curves, collected[["variant", "seed", *(n for n in collected if n not in ("variant", "seed"))]])
