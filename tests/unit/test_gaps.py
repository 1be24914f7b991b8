"""One measure that fails leaves a gap with its reason in tables, figures and report, and never costs the others."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from small_data import VOXEL_SIZE_NM, make_store, sharp

from txm2sem_core import io, measure
from txm2sem_core import metrics as scores_of
from txm2sem_core.config import MeasureSettings
from txm2sem_core.errors import InputError, OutOfMemoryError, UnreadableError
from txm2sem_core.figure_settings import ChartStyle, CommonStyle, ComparisonStyle, PhasesStyle, PoreSpaceStyle
from txm2sem_core.figures import (
    ShownVolume,
    comparison_figure,
    distributions_figure,
    phases_figure,
    pore_space_figure,
    spectra_figure,
)
from txm2sem_core.gaps import NOT_MEASURED, Gaps, told
from txm2sem_core.measure import Run, measure_patches, measure_volume, summarise_metrics, summarise_volumes
from txm2sem_core.reporting.cautions import gaps_of, of_one_phase
from txm2sem_core.rock_measures import measure_rock, summarise_rock
from txm2sem_core.side_measures import SCORES, summarise_repair

AUTO, COMMON = MeasureSettings(), CommonStyle()


@pytest.mark.parametrize("error", [InputError("too few"), ValueError("too few"), ZeroDivisionError("too few")])
def test_what_the_data_do_not_allow_is_a_gap(error: Exception, capsys: pytest.CaptureFixture[str]) -> None:
    gaps, figures = Gaps("measure"), {"a": 1.0}
    for _ in range(2):
        with gaps.of("phases"):
            raise error
    with gaps.of("others"):
        figures["b"] = 2.0
    assert gaps.reasons == {"phases": "too few"}
    assert figures == {"a": 1.0, "b": 2.0}
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
    assert told({"psnr": "NaN at (0, 0).", "ssim": "NaN at (0, 0).", "mae": "other"}) == (
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

    monkeypatch.setattr(measure, "psnr", fails_once)
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
    spectra_figure(*curves, None, ["right", "masked", "one"], ChartStyle(), COMMON, drawn[1:2])
    spectra_figure(files[1][1], files[1][2], None, [], ChartStyle(), COMMON, drawn[2:])
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


def test_phases_that_cannot_be_parted_cost_neither_scores_nor_tables_nor_figures(tmp_path: Path) -> None:
    patches, volume = few_levels(tmp_path)
    metrics = tmp_path / "metrics"
    for run, settings in (("few", AUTO), ("three", MeasureSettings(phases=3))):
        measure_rock(volume, patches, settings, metrics / run / "rock.json")
        measure_volume(volume, volume, patches, settings, metrics / run / "volume.json", metrics / run / "spectra.csv")
    few, three = (io.read_json(metrics / run / "volume.json") for run in ("few", "three"))
    assert "3 different grey levels cannot be parted into 4 phases" in few.pop(NOT_MEASURED)["phases"]
    assert few == {key: value for key, value in three.items() if key in few}
    assert {"ssim", "continuity_ratio", "resolution_nm"} <= few.keys()
    runs: list[tuple[str, int | str]] = [("few", 0), ("three", 0)]
    summarise_rock(runs, [metrics / run / "rock.json" for run, _ in runs], metrics)
    rock = io.read_csv(metrics / "rock.csv")
    assert rock["porosity"].isna().tolist() == [True, False]
    assert "4 phases" in rock[NOT_MEASURED][0]
    volumes, spectra = ([metrics / run / name for run, _ in runs] for name in ("volume.json", "spectra.csv"))
    summarise_volumes(runs, volumes, spectra, metrics / "volumes.csv", metrics / "volume_spectra.csv")
    assert len(gaps_of(metrics, ["rock.csv", "volumes.csv", "summary.csv"])) == 2
    summarise_rock(runs[:1], [metrics / "few" / "rock.json"], tmp_path / "alone")
    assert io.read_csv(tmp_path / "alone" / "rock_intervals.csv").empty
    shown, drawn = [ShownVolume("few", volume)], [tmp_path / "phases.png", tmp_path / "pores.png"]
    phases_figure(shown, patches, AUTO, PhasesStyle(), COMMON, drawn[:1])
    pore_space_figure(shown, patches, AUTO, PoreSpaceStyle(), COMMON, drawn[1:])
    assert all(path.stat().st_size for path in drawn)
    table = tmp_path / "alone" / "rock_distributions.csv"
    distributions_figure(table, ["few"], ChartStyle(), COMMON, [tmp_path / "d.png"])
    assert (tmp_path / "d.png").stat().st_size


def test_a_comparison_that_fails_leaves_no_half_of_its_spectra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    patches, volume = few_levels(tmp_path)

    def fails(*_: object, **__: object) -> None:
        raise InputError("no such thing")

    monkeypatch.setattr(measure, "compare_volumes", fails)
    settings = MeasureSettings(phases=3)
    measure_volume(volume, volume, patches, settings, tmp_path / "volume.json", tmp_path / "spectra.csv")
    figures = io.read_json(tmp_path / "volume.json")
    assert figures[NOT_MEASURED] == {"comparison with the truth": "no such thing"}
    assert figures["resolution_nm"] > 0
    assert io.read_csv(tmp_path / "spectra.csv").empty


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
    summarise_repair([("mend", 0)], [tmp_path / "t.csv"], tmp_path / "repair.csv")
    assert io.read_csv(tmp_path / "repair.csv")["psnr_mean"].isna().all()


def test_a_volume_of_one_phase_is_told(tmp_path: Path) -> None:
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
