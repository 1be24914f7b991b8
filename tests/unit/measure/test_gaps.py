"""One measure that fails leaves a gap with its reason in tables, figures and report, and never costs the others."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from small_data import VOXEL_SIZE_NM, make_store, sharp

from txm2sem_core import io
from txm2sem_core import metrics as scores_of
from txm2sem_core.config import MeasureSettings, Run
from txm2sem_core.config.figures import (
    ChartStyle,
    CommonStyle,
    ComparisonStyle,
    PhasesStyle,
    PoreSpaceStyle,
    SectionsStyle,
)
from txm2sem_core.errors import InputError, OutOfMemoryError, UnreadableError
from txm2sem_core.figures.comparison import comparison_figure
from txm2sem_core.figures.distributions import distributions_figure
from txm2sem_core.figures.phases import phases_figure
from txm2sem_core.figures.pore_space import pore_space_figure
from txm2sem_core.figures.sections import sections_figure
from txm2sem_core.figures.spectra import spectra_figure
from txm2sem_core.measure.evaluate import evaluate_files, readable
from txm2sem_core.measure.evaluate_rock import RockOptions
from txm2sem_core.measure.patches import measure_patches
from txm2sem_core.measure.rock import measure_rock, summarise_rock
from txm2sem_core.measure.side_tasks import SCORES, summarise_repair
from txm2sem_core.measure.summary import summarise_metrics
from txm2sem_core.measure.volumes import measure_volume, summarise_volumes
from txm2sem_core.metrics.gaps import NOT_MEASURED, Gaps, reasons_text
from txm2sem_core.metrics.pores.summary import rock_metrics
from txm2sem_core.report.warnings import gaps_of, of_one_phase

AUTO, COMMON = MeasureSettings(), CommonStyle()


@pytest.mark.parametrize("error", [InputError("too few"), ValueError("too few"), ZeroDivisionError("too few")])
def test_what_the_data_do_not_allow_is_a_gap(error: Exception, capsys: pytest.CaptureFixture[str]) -> None:
    gaps, metrics = Gaps("measure"), {"a": 1.0}
    for _ in range(2):
        with gaps.of("phases"):
            raise error
    with gaps.of("others"):
        metrics["b"] = 2.0
    assert gaps.reasons == {"phases": "too few"}
    assert metrics == {"a": 1.0, "b": 2.0}
    assert capsys.readouterr().err == "measure: warning: phases not measured: too few\n"


@pytest.mark.parametrize("error", [OutOfMemoryError("x"), MemoryError("x"), UnreadableError("x"), KeyError("x")])
def test_files_memory_and_our_own_faults_are_none(error: Exception) -> None:
    with pytest.raises(type(error)), Gaps("measure").of("phases"):
        raise error


def test_a_slice_that_cannot_be_read_is_named_as_such() -> None:
    def read(z0: int, z1: int) -> np.ndarray:
        raise InputError("shard 3 is damaged")

    volume = io.Volume((2, 2, 2), np.dtype(np.uint8), None, "v", read)
    with pytest.raises(UnreadableError, match="shard 3"), Gaps("measure").of("phases"):
        list(volume.slices())


def test_reasons_that_are_shared_are_said_once() -> None:
    assert reasons_text({"psnr": "NaN at (0, 0).", "ssim": "NaN at (0, 0).", "mae": "other"}) == (
        "psnr, ssim: NaN at (0, 0). mae: other."
    )


def scored(folder: Path, *, masked: bool) -> list[Path]:
    """Scores, spectra and resolution of the measured test patches with noise; where `masked`, no pixel counts."""
    store = make_store(folder / "p", evaluation=3)
    places = [(row["pair"], row["y"], row["x"]) for row in store.of_split("test").to_dict("records")]
    rng = np.random.default_rng(0)
    images = np.stack([store.sem_patch(*place) + rng.normal(0, 8, (32, 32)) for place in places])
    io.write_tiff(folder / "patches.tif", images.astype(np.float32))
    if masked:
        store.pairs[places[0][0]].mask[:] = 0
        io.write_patch_store(folder / "p", store)
    outputs = [folder / name for name in ("patches.csv", "spectra.csv", "resolution.csv")]
    measure_patches(folder / "patches.tif", folder / "p", AUTO, *outputs)
    return outputs


def test_scores_that_fail_cost_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = [scored(tmp_path / "right", masked=False), scored(tmp_path / "masked", masked=True)]
    calls, right = iter(range(3)), scores_of.psnr

    def fails_once(*arguments: Any) -> float:
        if next(calls) == 1:
            raise InputError("no such patch")
        return right(*arguments)

    monkeypatch.setattr("txm2sem_core.metrics.scores.psnr", fails_once)
    files.append(scored(tmp_path / "one", masked=False))
    tables = [io.read_csv(outputs[0]) for outputs in files]
    assert [table["psnr"].isna().tolist() for table in tables] == [[False] * 3, [True] * 3, [False, True, False]]
    assert not any(table["psnr_8bit"].isna().any() for table in tables)
    pd.testing.assert_frame_equal(
        tables[2].drop(columns=["psnr", NOT_MEASURED]), tables[0].drop(columns=["psnr", NOT_MEASURED])
    )
    runs = [Run(name, 0, "feedforward", "net", 1) for name in ("right", "masked", "one")]
    metrics = tmp_path / "metrics"
    patches, spectra, resolutions = zip(*files, strict=True)
    summarise_metrics(runs, patches, spectra, resolutions, metrics)
    summary = io.read_csv(metrics / "summary.csv").set_index("variant")
    assert summary["psnr_mean"].isna().to_dict() == {"right": False, "masked": True, "one": False}
    assert "| masked |" in io.read_text(metrics / "table.md")
    masked, one = sorted(gaps_of(metrics, ["patches.csv"]), key=len, reverse=True)
    assert "of 3 of 9 rows in patches.csv (masked): psnr, ssim" in masked
    assert one == "Not measured of 1 of 9 rows in patches.csv (one): psnr: no such patch."
    drawn = [tmp_path / f"{name}.png" for name in ("comparison", "all", "none")]
    comparison_figure(metrics / "summary.csv", metrics / "patches.csv", ComparisonStyle(), COMMON, drawn[:1])
    curves = metrics / "spectra.csv", metrics / "resolution.csv"
    spectra_figure(*curves, ["right", "masked", "one"], ChartStyle(), COMMON, drawn[1:2])
    spectra_figure(files[1][1], files[1][2], [], ChartStyle(), COMMON, drawn[2:])
    assert all(path.stat().st_size for path in drawn)


def few_levels(folder: Path) -> tuple[Path, Path]:
    """A patch store whose FIB-SEM slices hold three grey levels, and a predicted volume."""
    store = make_store(folder / "p")
    for pair in store.pairs.values():
        pair.sem[:] = 80 * np.digitize(pair.sem, [60, 150]) + 40
    io.write_patch_store(folder / "p", store)
    volume = sharp((20, 40, 48), 5)
    io.write_ome_zarr(folder / "v.ome.zarr", list(volume), volume.shape, volume.dtype, VOXEL_SIZE_NM)
    return folder / "p", folder / "v.ome.zarr"


def test_phases_that_cannot_be_separated_cost_neither_scores_nor_tables_nor_figures(tmp_path: Path) -> None:
    patches, volume = few_levels(tmp_path)
    metrics = tmp_path / "metrics"
    for run, settings in (("few", AUTO), ("three", MeasureSettings(phases=3))):
        measure_rock(volume, patches, settings, metrics / run / "rock.json")
        measure_volume(volume, volume, patches, settings, metrics / run / "volume.json", metrics / run / "spectra.csv")
    few, three = (io.read_json(metrics / run / "volume.json") for run in ("few", "three"))
    assert "3 different grey levels cannot be separated into 4 phases" in few.pop(NOT_MEASURED)["phases"]
    assert few == {key: value for key, value in three.items() if key in few}
    assert {"ssim", "continuity_ratio", "resolution_nm"} <= few.keys()
    runs: list[tuple[str, int | str]] = [("few", 0), ("three", 0)]
    rocks = [(variant, seed, 1) for variant, seed in runs]
    summarise_rock(rocks, [metrics / run / "rock.json" for run, _ in runs], metrics)
    rock = io.read_csv(metrics / "rock.csv")
    assert rock["porosity"].isna().tolist() == [True, False]
    assert "4 phases" in rock[NOT_MEASURED][0]
    volumes, spectra = ([metrics / run / name for run, _ in runs] for name in ("volume.json", "spectra.csv"))
    summarise_volumes(runs, volumes, spectra, metrics / "volumes.csv", metrics / "volume_spectra.csv")
    assert len(gaps_of(metrics, ["rock.csv", "volumes.csv", "summary.csv"])) == 2
    summarise_rock(rocks[:1], [metrics / "few" / "rock.json"], tmp_path / "alone")
    assert io.read_csv(tmp_path / "alone" / "rock_intervals.csv").empty
    drawn = [tmp_path / "phases.png", tmp_path / "pores.png"]
    shown = [volume], ["few"], None, patches / "store.json"
    phases_figure(*shown, AUTO, PhasesStyle(), COMMON, drawn[:1])
    pore_space_figure(*shown, AUTO, PoreSpaceStyle(), COMMON, drawn[1:])
    assert all(path.stat().st_size for path in drawn)
    table = tmp_path / "alone" / "rock_distributions.csv"
    distributions_figure(table, ["few"], ChartStyle(), COMMON, [tmp_path / "d.png"])
    assert (tmp_path / "d.png").stat().st_size


def test_a_comparison_that_fails_leaves_no_half_of_its_spectra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    patches, volume = few_levels(tmp_path)

    monkeypatch.setattr("txm2sem_core.measure.volumes.compare_volumes", fails)
    settings = MeasureSettings(phases=3)
    measure_volume(volume, volume, patches, settings, tmp_path / "volume.json", tmp_path / "spectra.csv")
    metrics = io.read_json(tmp_path / "volume.json")
    assert metrics[NOT_MEASURED] == {"comparison with the truth": "no such thing"}
    assert metrics["resolution_nm"] > 0
    assert io.read_csv(tmp_path / "spectra.csv").empty


def fails(*_: object, **__: object) -> Any:
    raise InputError("no such thing")


PARTS = {  # a function that fails, the measure that goes with it, and how its figures begin
    "volume_parts.psnr_from_mse": ("psnr", ("psnr",)),
    "scores.mean_similarity": ("ssim", ("ssim",)),
    "scores.mae": ("mae", ("mae",)),
    "scores.multi_scale_similarity": ("ms_ssim", ("ms_ssim",)),
    "scores.mean_structure": ("structure", ("structure",)),
    "scores.gmsd": ("gmsd", ("gmsd",)),
    "volume_parts.HistogramMeter.add": ("histogram_distance", ("histogram_distance",)),
    "volume_parts.ContinuityMeter.result": ("continuity", ("continuity_",)),
    "volume_parts.NeighbourMeter.result": (
        "neighbours",
        ("neighbour_", "jitter_", "brightness", "shift_", "spectrum_"),
    ),
    "volume_parts.confusion": ("phases", ("fraction_", "dice_")),
    "volume_parts.two_point_errors": ("two-point probability", ("two_point_",)),
}


@pytest.fixture(scope="module")
def compared() -> tuple[np.ndarray, np.ndarray, dict[str, float]]:
    volume = sharp((6, 40, 48), 5)
    moved = np.roll(volume, 1, axis=2)
    return moved, volume, scores_of.compare_volumes(moved, volume, 255, scores_of.Thresholds((100.0,)))


@pytest.mark.parametrize("function", PARTS)
def test_every_measure_of_a_comparison_fails_alone(
    function: str, compared: tuple[np.ndarray, np.ndarray, dict[str, float]], monkeypatch: pytest.MonkeyPatch
) -> None:
    prediction, truth, all_of_them = compared
    measure_, starts = PARTS[function]
    monkeypatch.setattr(f"txm2sem_core.metrics.{function}", fails)
    gaps = Gaps()
    phases = scores_of.Thresholds((100.0,))
    found = scores_of.compare_volumes(prediction, truth, 255, phases, gaps=gaps)
    assert gaps.reasons == {measure_: "no such thing"}
    assert found == {key: value for key, value in all_of_them.items() if not key.startswith(starts)}
    assert len(found) < len(all_of_them)
    with pytest.raises(InputError, match="no such thing"):
        scores_of.compare_volumes(prediction, truth, 255, phases)


ROCK = {
    "summary.PoreMeter.result": ("pores", ("porosity_", "specific", "euler", "mean_chord")),
    "blocks.pore_diameters": ("pore sizes", ("pore_diameter",)),
    "blocks.solve_permeability": ("permeability z, permeability y, permeability x", ("permeability",)),
}


@pytest.mark.parametrize("function", ROCK)
def test_every_measure_of_the_rock_fails_alone(function: str, monkeypatch: pytest.MonkeyPatch) -> None:
    volume, phases = sharp((8, 20, 24), 5), scores_of.Thresholds((100.0,))
    whole, table = rock_metrics(iter(volume), volume.shape, (10, 10, 10), phases, flow=True)  # type: ignore[arg-type]
    monkeypatch.setattr(f"txm2sem_core.metrics.pores.{function}", fails)
    gaps = Gaps()
    found, rows = rock_metrics(iter(volume), volume.shape, (10, 10, 10), phases, flow=True, gaps=gaps)  # type: ignore[arg-type]
    names, starts = ROCK[function]
    assert ", ".join(gaps.reasons) == names
    missing = whole.keys() - found.keys()
    assert missing == {key for key in whole if key.startswith(starts)}
    assert missing
    assert all(found[key] == pytest.approx(whole[key], nan_ok=True) for key in found)
    assert set(rows["what"]) == set(table["what"]) - (
        {"two_point", "chord"}
        if "pores" in names.split(", ")
        else {"pore_diameter"}
        if names == "pore sizes"
        else set()
    )


def test_what_a_solver_did_not_come_to_is_reported_as_a_gap(monkeypatch: pytest.MonkeyPatch) -> None:
    volume, gaps = sharp((8, 20, 24), 5), Gaps()
    monkeypatch.setattr("txm2sem_core.metrics.pores.blocks.diffusivity", fails)
    with pytest.warns(UserWarning, match="no such thing; left empty"):
        found, _ = rock_metrics(
            iter(volume), (8, 20, 24), (10, 10, 10), scores_of.Thresholds((100.0,)), flow=True, gaps=gaps
        )
    assert math.isnan(found["tortuosity_z"])
    assert found["permeability_z_m2"] >= 0
    assert gaps.reasons.keys() == {"diffusivity z", "diffusivity y", "diffusivity x"}


def test_a_volume_without_anything_measured_costs_its_figures_and_not_the_report(tmp_path: Path) -> None:
    patches, _ = few_levels(tmp_path)
    volume = np.full((6, 40, 48), np.nan, np.float32)
    io.write_ome_zarr(tmp_path / "n.ome.zarr", list(volume), volume.shape, volume.dtype, VOXEL_SIZE_NM)
    settings, metrics = MeasureSettings(phases=3), tmp_path / "metrics"
    measure_volume(tmp_path / "n.ome.zarr", None, patches, settings, metrics / "volume.json", metrics / "spectra.csv")
    assert "nothing was measured" in io.read_json(metrics / "volume.json")[NOT_MEASURED]["volume"]
    assert io.read_csv(metrics / "spectra.csv").empty
    measure_rock(tmp_path / "n.ome.zarr", patches, settings, metrics / "own/rock.json")
    assert "nothing was measured" in io.read_json(metrics / "own/rock.json")[NOT_MEASURED]["rock"]
    runs: list[tuple[str, int | str]] = [("net", 0)]
    summarise_rock([(variant, seed, 1) for variant, seed in runs], [metrics / "own/rock.json"], metrics)
    summarise_volumes(
        runs, [metrics / "volume.json"], [metrics / "spectra.csv"], metrics / "volumes.csv", metrics / "all.csv"
    )
    assert len(gaps_of(metrics, ["rock.csv", "volumes.csv"])) == 2


@pytest.mark.parametrize("kind", ["nothing", "no box"])
def test_a_volume_that_cannot_be_drawn_leaves_the_reason_in_its_figures(tmp_path: Path, kind: str) -> None:
    patches, volume = few_levels(tmp_path)
    voxels = np.full((20, 40, 48), np.nan, np.float32)
    if kind == "no box":  # what was measured moves from slice to slice
        for z in range(20):
            voxels[z, 2 * z : 2 * z + 2] = sharp((2, 48), z)
    io.write_ome_zarr(tmp_path / "n.ome.zarr", list(voxels), voxels.shape, voxels.dtype, VOXEL_SIZE_NM)
    measure_, predicted = MeasureSettings(phases=3), tmp_path / "n.ome.zarr"
    shown = [predicted], ["net"], None, patches / "store.json"
    drawn = [tmp_path / f"{name}.png" for name in ("phases", "pores", "sections")]
    phases_figure(*shown, measure_, PhasesStyle(), COMMON, drawn[:1])
    pore_space_figure(*shown, measure_, PoreSpaceStyle(), COMMON, drawn[1:2])
    sections_figure("net", volume, None, predicted, None, patches / "store.json", SectionsStyle(), COMMON, drawn[2:])
    assert all(path.stat().st_size for path in drawn)


def test_evaluate_gives_what_can_be_measured_and_says_what_cannot(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    volume = sharp((8, 24, 26), 3)
    io.write_tiff(tmp_path / "t.tif", volume, (10.0, 10.0, 10.0))
    io.write_tiff(tmp_path / "p.tif", np.roll(volume, 1, axis=2), (10.0, 10.0, 10.0))
    monkeypatch.setattr("txm2sem_core.metrics.pores.blocks.pore_diameters", fails)
    monkeypatch.setattr("txm2sem_core.metrics.scores.gmsd", fails)
    rock = RockOptions(phases=2)
    evaluate_files(tmp_path / "p.tif", tmp_path / "t.tif", None, None, tmp_path / "m.json", rock=rock)
    found = io.read_json(tmp_path / "m.json")
    assert found[NOT_MEASURED] == {"gmsd": "no such thing", "pore sizes": "no such thing"}
    assert {"psnr", "ssim", "porosity", "euler_per_um3"} <= found.keys()
    last = readable(found).splitlines()[-1]
    assert last == "Not measured: gmsd, pore sizes: no such thing."


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda image: image, "compares an image with itself"),
        (lambda image: np.full_like(image, 7), r"p\.tif: slice z = \d has one grey level, 7"),
    ],
)
@pytest.mark.parametrize("depth", [1, 4])
def test_scores_that_mean_nothing_are_reported(tmp_path: Path, change: Any, words: str, depth: int) -> None:
    target = sharp((depth, 24, 26), 3)
    io.write_tiff(tmp_path / "t.tif", target)
    io.write_tiff(tmp_path / "p.tif", change(target))
    with pytest.warns(UserWarning, match=words):
        evaluate_files(tmp_path / "p.tif", tmp_path / "t.tif", None, None, tmp_path / "m.json", rock=RockOptions(0))


def test_a_target_of_few_grey_levels_has_no_figures_of_the_rock_and_its_json_says_so(tmp_path: Path) -> None:
    target = (sharp((24, 26), 3) > 100).astype(np.uint8) * 200
    io.write_tiff(tmp_path / "t.tif", target)
    io.write_tiff(tmp_path / "p.tif", sharp((24, 26), 3))
    with pytest.warns(UserWarning, match="no metrics of the rock"):
        evaluate_files(tmp_path / "p.tif", tmp_path / "t.tif", None, None, tmp_path / "m.json")
    assert "cannot be separated into 4 phases" in io.read_json(tmp_path / "m.json")[NOT_MEASURED]["rock"]


def test_a_damaged_volume_is_an_error_and_no_gap(tmp_path: Path) -> None:
    patches, volume = few_levels(tmp_path)
    shards = [path for path in volume.rglob("*") if path.suffix != ".json" and path.is_file()]
    shard = max(shards, key=lambda path: path.stat().st_size)
    shard.write_bytes(shard.read_bytes()[:-40] + bytes(40))
    with pytest.raises(InputError):
        measure_rock(volume, patches, MeasureSettings(phases=3), tmp_path / "rock.json")
    assert not (tmp_path / "rock.json").exists()


def test_a_repair_without_any_score_is_still_collected(tmp_path: Path) -> None:
    table = pd.DataFrame({"pair": ["a", "b"], "y": 0, "x": 0, "damaged": 0.5, **dict.fromkeys(SCORES, math.nan)})
    io.write_csv(tmp_path / "t.csv", table)
    summarise_repair([("repaired", 0)], [tmp_path / "t.csv"], tmp_path / "repair.csv")
    assert io.read_csv(tmp_path / "repair.csv")["psnr_mean"].isna().all()


def test_a_volume_of_one_phase_is_reported(tmp_path: Path) -> None:
    table = pd.DataFrame({"variant": ["truth", "net", "dead_net"], "seed": 0, "porosity": [0.2, 1.0, 0.0]})
    io.write_csv(tmp_path / "rock.csv", table)
    none, full = of_one_phase(tmp_path, ["rock.csv"], [])
    assert "porosity of dead net is 0%" in none
    assert "porosity of net is 100%" in full
    baseline = {"variant": "dead_net", "kind": "baseline"}  # a constant is of one phase, as it must
    assert of_one_phase(tmp_path, ["rock.csv"], [baseline, {"variant": "net", "kind": "learned"}]) == [full]
    assert of_one_phase(tmp_path, ["volumes.csv"], []) == []
    io.write_csv(tmp_path / "gap" / "rock.csv", table[["variant", "seed"]])  # nothing of it was measured
    assert of_one_phase(tmp_path / "gap", ["rock.csv"], []) == []
