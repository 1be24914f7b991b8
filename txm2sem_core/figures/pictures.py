"""Figures of patches, sections, trainings, scores and registration."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from txm2sem_core import io
from txm2sem_core.config import MeasureSettings
from txm2sem_core.config.figures import (
    CommonStyle,
    ComparisonStyle,
    CurvesStyle,
    MontageStyle,
    RegistrationStyle,
    SectionsStyle,
    UncertaintyStyle,
)
from txm2sem_core.figures.saving import or_reason, save, save_reason
from txm2sem_core.geometry import Array, Mask, Matrix, covered_by, warp
from txm2sem_core.intensity.measured import Slice, filled
from txm2sem_core.io.field_of_view import FieldOfView, as_shown
from txm2sem_core.metrics import Calibration, psnr, ssim
from txm2sem_core.metrics.damage import interpolated
from txm2sem_core.metrics.density import CLASSES
from txm2sem_core.metrics.gaps import Gaps
from txm2sem_core.plotting import (
    Column,
    History,
    MontageRow,
    RegistrationView,
    StatedCoverage,
    UncertaintyView,
    VolumeSections,
    cut_sections,
    draw_comparison,
    draw_curves,
    draw_montage,
    draw_registration,
    draw_sections,
    draw_side_task,
    draw_uncertainty,
)
from txm2sem_core.samples.raw_pairs import RawPair


@dataclass(frozen=True)
class PredictedPatches:
    """One variant's predicted test patches: `patches.tif`, and the patch store that it was predicted from."""

    label: str
    predicted: Path
    patches: Path


def montage_figure(
    number: int,
    runs: Sequence[PredictedPatches],
    measure: MeasureSettings,
    style: MontageStyle,
    common: CommonStyle,
    outputs: Iterable[Path],
) -> None:
    """Draw TXM, prediction, FIB-SEM and error of every variant on one test patch.

    Args:
        number: which of `style.patches` test patches, evenly over the split.
        runs: a row each.
        measure: the data range of PSNR and SSIM.
        style: of this figure.
        common: of all figures.
        outputs: files to write; their suffixes are the formats.
    """
    rows = []
    for run in runs:
        store = io.read_patch_store(run.patches)
        test = store.of_split("test")
        place = round((number + 0.5) * len(test) / style.patches - 0.5)
        patch = test.iloc[place]
        target = store.sem_patch(patch["pair"], int(patch["y"]), int(patch["x"]))
        txm = store.txm_patch(patch["pair"], int(patch["y"]), int(patch["x"]), 0)[0]
        prediction = io.open_volume(run.predicted).read(place, place + 1)[0]
        mask = store.mask_patch(patch["pair"], int(patch["y"]), int(patch["x"]))
        full_range = store.data_range(measure.data_range)
        note = "not measured"
        with Gaps("draw_montage").of(f"scores of patch {place}"):
            scores = psnr(prediction, target, full_range, mask), ssim(prediction, target, full_range, mask)
            note = f"{scores[0]:.2f} dB, SSIM {scores[1]:.3f}"
        rows.append(MontageRow(run.label, txm, prediction, target, store.pixel_size_nm, note))
    save(draw_montage(rows, style, common), outputs, common)


def sections_figure(
    label: str,
    txm: io.Volume,
    predicted: Path,
    truth: Path | None,
    voxel_size_nm: tuple[float, float, float],
    style: SectionsStyle,
    common: CommonStyle,
    outputs: Iterable[Path],
) -> None:
    """Draw sections through the middle of the TXM volume, the predicted volume, and the truth where it is known.

    What was not measured has a colour of its own, and the grey scale is of the rest.
    """
    files = list(outputs)
    opened = io.open_volume(predicted)
    depth, height, width = opened.shape
    position = (depth // 2, height // 2, width // 2)
    sources = [("TXM", txm, "txm", False), (label, opened, "sem", False)]
    if truth is not None:
        sources.append(("Truth", io.open_volume(truth), "sem", True))
    with or_reason("Sections", files, common):
        volumes = []
        for name, volume, modality, is_reference in sources:
            field = FieldOfView(volume, guess=modality == "txm")
            planes = (as_shown(p, field.of(p, z))[:height, :width] for z, p in enumerate(field.volume.slices()))
            sections = cut_sections(planes, position)
            volumes.append(VolumeSections(name, *sections, position, voxel_size_nm, modality, is_reference))  # type: ignore[arg-type]
        save(draw_sections(volumes, style, common), files, common)


def repair_figure(
    predictions: Path,
    patches: Path,
    style: MontageStyle,
    common: CommonStyle,
    outputs: Iterable[Path],
) -> None:
    """Draw test patches of a repair: TXM, damaged, repaired, measured; the damage is white as the network sees it."""
    store = io.read_patch_store(patches)
    places, rows = _shown_patches(store, style)
    repaired, damages = (io.open_volume(predictions / name) for name in ("patches.tif", "damage.tif"))
    true = [store.sem_patch(*place) for place in places]
    laid = [damages.read(row, row + 1)[0] > 0 for row in rows]
    columns = [
        Column("TXM", [store.txm_patch(*place, 0)[0] for place in places], "txm"),
        Column("Damaged", [np.where(d, store.sem_range.high, t) for d, t in zip(laid, true, strict=True)]),
        Column("Repaired", [repaired.read(row, row + 1)[0] for row in rows]),
        Column("Interpolated", [interpolated(t, d) for d, t in zip(laid, true, strict=True)]),
        Column("FIB-SEM", true),
    ]
    save(draw_side_task(columns, store.pixel_size_nm, (), style, common), outputs, common)


def segmentation_figure(
    predictions: Path,
    patches: Path,
    style: MontageStyle,
    common: CommonStyle,
    outputs: Iterable[Path],
) -> None:
    """Draw test patches of a segmentation: TXM, FIB-SEM, predicted and true classes."""
    store = io.read_patch_store(patches)
    places, rows = _shown_patches(store, style)
    predicted = io.open_volume(predictions / "patches.tif")
    classes = [store.class_patch(*place) for place in places]
    columns = [
        Column("TXM", [store.txm_patch(*place, 0)[0] for place in places], "txm"),
        Column("FIB-SEM", [store.sem_patch(*place) for place in places]),
        Column("Predicted", [predicted.read(row, row + 1)[0] for row in rows], ""),
        Column("True", [own for own in classes if own is not None], ""),
    ]
    save(draw_side_task(columns, store.pixel_size_nm, CLASSES, style, common), outputs, common)


def _shown_patches(store: io.PatchStore, style: MontageStyle) -> tuple[list[tuple[str, int, int]], list[int]]:
    """Places of the test patches that are shown, evenly over the split, and their rows."""
    test = store.of_split("test")
    count = min(max(style.patches, 3), len(test))
    rows = [round((number + 0.5) * len(test) / count - 0.5) for number in range(count)]
    places = [(str(test["pair"][row]), int(test["y"][row]), int(test["x"][row])) for row in rows]
    return places, rows


def uncertainty_figure(
    metrics: Path,
    predictions: Path,
    patches: Path,
    volume_and_truth: tuple[Path, Path] | None,
    style: UncertaintyStyle,
    common: CommonStyle,
    outputs: Iterable[Path],
) -> None:
    """Draw a prediction, its uncertainty and its error: of the volume's middle slice, or else of a test patch.

    Args:
        metrics: folder with `uncertainty.csv` and `reliability.csv`.
        predictions: folder with `patches.tif`, `spread.tif` and `calibration.json`.
        patches: folder of the full-resolution patch store.
        volume_and_truth: the predicted OME-Zarr and the true volume, where both are.
        style: of this figure.
        common: of all figures.
        outputs: files to write; their suffixes are the formats.
    """
    store = io.read_patch_store(patches)
    if volume_and_truth is not None:
        volume, truth = volume_and_truth
        depth, height, width = io.open_volume(volume).shape
        z = depth // 2
        field = FieldOfView(io.open_volume(volume), guess=False)
        plane = field.volume.read(z, z + 1)[0]
        mask = field.of(plane, z)
        stated = io.open_volume(volume, 1).read(z, z + 1)[0]
        prediction, uncertainty = as_shown(plane, mask), as_shown(stated, mask)
        target, name = as_shown(io.open_volume(truth).read(z, z + 1)[0, :height, :width], mask), "the noise-free truth"
    else:
        number = len(store.of_split("test")) // 2
        mean, spread = (
            io.open_volume(predictions / file).read(number, number + 1)[0] for file in ("patches.tif", "spread.tif")
        )
        calibration = Calibration.from_dict(io.read_json(predictions / "calibration.json"))
        row = store.of_split("test").iloc[number]
        prediction, uncertainty = mean, calibration.apply(spread)
        target, name = store.sem_patch(row["pair"], int(row["y"]), int(row["x"])), "the FIB-SEM patch"
    coverages = _coverages(metrics)
    if not coverages:
        save_reason("Uncertainty", "It could not be measured; the report's warnings say why.", outputs, common)
        return
    view = UncertaintyView(prediction, uncertainty, target, name, store.pixel_size_nm, coverages)
    save(draw_uncertainty(view, style, common), outputs, common)


def _coverages(metrics: Path) -> list[StatedCoverage]:
    bins = io.read_csv(metrics / "reliability.csv")
    coverages = []
    for row in io.read_csv(metrics / "uncertainty.csv").to_dict("records"):
        if pd.isna(row.get("within_1")):  # not measured
            continue
        own = bins[(bins["of"] == row["of"]) & (bins["uncertainty"] == row["stated"])]
        within = row["within_1"], row["within_2"]
        curve = own["stated"].to_numpy(), own["error"].to_numpy()
        coverages.append(StatedCoverage(str(row["of"]).capitalize(), row["stated"], *curve, within))
    return coverages


def curves_figure(
    runs: Sequence[tuple[str, int, Path]], style: CurvesStyle, common: CommonStyle, outputs: Iterable[Path]
) -> None:
    """Draw losses and validation scores of the trainings: (label, seed, `history.csv`) each."""
    histories = []
    for label, seed, path in runs:
        table = io.read_csv(path)
        losses = {
            f"{name.removeprefix('loss_').replace('_', ' ').capitalize()} loss": table[name].to_numpy()
            for name in map(str, table)
            if name.startswith("loss_") and table[name].any()
        }
        epochs, psnrs, ssims = (table[name].to_numpy() for name in ("epoch", "validation_psnr", "validation_ssim"))
        histories.append(History(label, seed, epochs, psnrs, ssims, losses))
    save(draw_curves(histories, style, common), outputs, common)


def comparison_figure(
    summary: Path, patches: Path, style: ComparisonStyle, common: CommonStyle, outputs: Iterable[Path]
) -> None:
    """Draw mean PSNR and SSIM of every variant, from `summary.csv` and `patches.csv` (for the seeds)."""
    scores = io.read_csv(patches).drop_duplicates(["variant", "seed", "pair", "y", "x"])
    slices = scores.groupby(["variant", "seed", "pair"], sort=False)[["psnr", "ssim"]].mean()
    by_seed = slices.groupby(["variant", "seed"], sort=False).mean().reset_index()
    seeds = by_seed.rename(columns={"psnr": "psnr_mean", "ssim": "ssim_mean"})
    several = seeds if seeds["seed"].nunique() > 1 else None
    save(draw_comparison(io.read_csv(summary), style, common, several), outputs, common)


def registration_figure(
    pairs: Sequence[RawPair],
    registered: Path,
    pixel_size_nm: tuple[float, float] | None,
    style: RegistrationStyle,
    common: CommonStyle,
    outputs: Iterable[Path],
) -> None:
    """Draw checkerboards of some pairs before and after registration: the worst, the best, and evenly between."""
    quality = io.read_csv(registered / "quality.csv")
    transforms = io.read_json(registered / "transforms.json")
    drawn = quality[quality["pair"].isin(transforms)].sort_values("correlation_after", key=np.abs, kind="stable")
    places = np.unique(np.linspace(0, len(drawn) - 1, min(style.slices, len(drawn))).round().astype(int))
    raw = {pair.pair: pair for pair in pairs}
    views = [
        _registration_view(row, raw[row["pair"]], transforms, pixel_size_nm) for _, row in drawn.iloc[places].iterrows()
    ]
    save(draw_registration(views, style, common), outputs, common)


def _registration_view(
    row: pd.Series,
    pair: RawPair,
    transforms: dict[str, dict[str, list[list[float]]]],
    pixel_size_nm: tuple[float, float] | None,
) -> RegistrationView:
    fixed, moving = pair.read_txm(), pair.read_sem()
    known, moving_known = _known(fixed), _known(moving)
    matrix = np.asarray(transforms[pair.pair]["matrix"])
    before, after = (_placed(moving.image, moving_known, m, fixed.shape) for m in (np.eye(3), matrix))
    verdict = "" if row["accepted"] else ", refused"
    text = f"correlation {row['correlation_before']:.2f} before, {row['correlation_after']:.2f} after{verdict}"
    text += "".join(
        f", {100 * share:.0f} % of the {name} measured"
        for name, share in (("TXM", known.mean()), ("FIB-SEM", moving_known.mean()))
        if share < 1
    )
    shown = np.where(known, fixed.image.astype(np.float64), np.nan)
    return RegistrationView(f"Pair {pair.pair}", shown, before, after, pixel_size_nm, text)


def _known(slice_: Slice) -> Mask:
    """Where a slice was measured; of a blank one all is drawn as it is."""
    return slice_.mask if slice_.mask.any() else np.isfinite(slice_.image)


def _placed(moving: Array, known: Mask, matrix: Matrix, shape: tuple[int, int]) -> Array:
    """The FIB-SEM slice on the TXM's pixels; NaN where it does not reach or was not measured."""
    image = warp(filled(moving, known).astype(np.float32), matrix, shape, order=1, fill=np.nan)
    return np.where(covered_by(known, matrix, shape), image, np.float32(np.nan))
