"""Scores of patches and volumes against direct computations, and the tables that collect them."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import ndimage
from scipy.stats import ttest_rel
from skimage.metrics import peak_signal_noise_ratio, structural_similarity
from small_data import VOXEL_SIZE_NM, make_store, sharp

from txm2sem_core import io
from txm2sem_core.catalogue.metrics import OF_PATCHES
from txm2sem_core.config import MeasureSettings, Run
from txm2sem_core.errors import InputError
from txm2sem_core.io import PatchStore
from txm2sem_core.measure.evaluate import evaluate_files, readable
from txm2sem_core.measure.evaluate_rock import RockOptions
from txm2sem_core.measure.paper_table import latex_table, table_rows
from txm2sem_core.measure.patches import measure_patches
from txm2sem_core.measure.summary import summarise_metrics
from txm2sem_core.measure.volumes import measure_volume, summarise_volumes
from txm2sem_core.metrics import multi_otsu_thresholds
from txm2sem_core.metrics.numerals import plus_minus

AUTO = MeasureSettings()


def predictions(store: PatchStore, path: Path, seed: int = 0, spread: float = 8.0) -> np.ndarray:
    """The measured test patches with noise, as a prediction."""
    rng = np.random.default_rng(seed)
    scale = spread * (store.data_range() / 255)
    targets = [store.sem_patch(r["pair"], r["y"], r["x"]) for r in store.of_split("test").to_dict("records")]
    predicted = np.stack([t + rng.normal(0, scale, t.shape) for t in targets]).astype(np.float32)
    io.write_tiff(path, predicted)
    return predicted


# --- patches


def patch_outputs(folder: Path) -> tuple[Path, Path, Path]:
    return folder / "out.csv", folder / "spectra.csv", folder / "resolution.csv"


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_scores_against_scikit_image(tmp_path: Path, dtype: type) -> None:
    store = make_store(tmp_path / "p", dtype=dtype)
    predicted = predictions(store, tmp_path / "patches.tif")
    measure_patches(tmp_path / "patches.tif", tmp_path / "p", AUTO, *patch_outputs(tmp_path))
    table = io.read_csv(tmp_path / "out.csv")
    rows = store.of_split("test")
    pd.testing.assert_frame_equal(table[["patch", "pair", "z", "y", "x"]], rows[["patch", "pair", "z", "y", "x"]])
    low, high = (0, 255) if dtype == np.uint8 else (store.sem_range.low, store.sem_range.high)
    for n, row in enumerate(table.to_dict("records")):
        place = row["pair"], row["y"], row["x"]
        mask = store.mask_patch(*place)
        target = store.sem_patch(*place).astype(float)
        error = predicted[n][mask] - target[mask]
        assert row["psnr"] == pytest.approx(10 * np.log10((high - low) ** 2 / np.mean(error**2)), rel=1e-6)
        assert row["mae"] == pytest.approx(np.abs(error).mean() / (high - low), rel=1e-6)
        grey = [(image - low) / (high - low) * 255 for image in (predicted[n].astype(float), target)]
        eight = [np.floor(np.clip(image + 1e-3, 0, 255)).astype(np.uint8) for image in grey]
        assert row["psnr_8bit"] == pytest.approx(peak_signal_noise_ratio(eight[1], eight[0]), rel=1e-4)
        assert row["ssim_8bit"] == pytest.approx(structural_similarity(*eight), rel=1e-4)
        if mask.all():
            options = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "data_range": high - low}
            assert row["ssim"] == pytest.approx(structural_similarity(predicted[n].astype(float), target, **options))


def test_a_better_prediction_wins_resolution(tmp_path: Path) -> None:
    store = make_store(tmp_path / "p")
    won = []
    for spread in (0.5, 2000.0):
        predictions(store, tmp_path / "patches.tif", spread=spread)
        here = tmp_path / str(spread)
        measure_patches(tmp_path / "patches.tif", tmp_path / "p", AUTO, *patch_outputs(here))
        curves = io.read_csv(here / "resolution.csv").groupby("source")["resolution_nm"].first()
        won.append(curves["prediction"])
    assert won[0] == pytest.approx(2 * VOXEL_SIZE_NM[1])  # two of the larger pixels, the smallest period
    assert won[1] > won[0]
    spectra = io.read_csv(here / "spectra.csv")
    assert set(spectra["source"]) == {"prediction", "sem", "txm"}
    power = spectra.groupby("source")["power"].sum()
    assert power["prediction"] > 10 * power["sem"]  # the noise


def test_a_prediction_of_another_number_of_patches(tmp_path: Path) -> None:
    make_store(tmp_path / "p", evaluation=3)
    io.write_tiff(tmp_path / "patches.tif", np.zeros((2, 32, 32), np.float32))
    with pytest.raises(InputError, match=r"patches\.tif: 2 patches, the index has 3"):
        measure_patches(tmp_path / "patches.tif", tmp_path / "p", AUTO, *patch_outputs(tmp_path))


# --- the tables


RUNS = [
    Run("identity", 0, "baseline", "identity", 1),
    Run("net_z", 0, "feedforward", "resnet_9blocks", 1),
    Run("net_z", 1, "feedforward", "resnet_9blocks", 1),
    Run("linearfilt", 0, "feedforward", "linearfilt", 1),
    Run("srcnn_x2", 0, "srcnn", "sr_resnet_9blocks", 2),
]


def scores(folder: Path) -> list[Path]:
    rng = np.random.default_rng(0)
    paths = []
    for number in range(len(RUNS)):
        columns = {"patch": range(10, 18), "pair": ["000"] * 4 + ["001"] * 4, "z": 1, "y": range(8), "x": 3}
        values = {key: rng.uniform(0.1, 0.9, 8) for key in (*OF_PATCHES[1:], "psnr_8bit", "ssim_8bit")}
        io.write_csv(
            folder / f"{number}.csv", pd.DataFrame({**columns, "psnr": rng.normal(15 + number, 1, 8), **values})
        )
        paths.append(folder / f"{number}.csv")
    return paths


@pytest.fixture
def collected(tmp_path: Path) -> Path:
    frequency = {"frequency_per_px": [0.0, 0.1], "frequency_per_nm": [0.0, 0.01]}
    for number in range(len(RUNS)):
        for name, sources in (("spectra", ("prediction", "sem", "txm")), ("resolution", ("prediction", "txm"))):
            parts = [pd.DataFrame({"source": k, **frequency, "power": float(number)}) for k in sources]
            io.write_csv(tmp_path / f"{name}{number}.csv", pd.concat(parts))
    curves = ([tmp_path / f"{name}{n}.csv" for n in range(len(RUNS))] for name in ("spectra", "resolution"))
    summarise_metrics(RUNS, scores(tmp_path), *curves, tmp_path / "out")
    return tmp_path / "out"


def test_the_tidy_table_has_one_row_a_run_and_patch(collected: Path) -> None:
    tidy = io.read_csv(collected / "patches.csv")
    assert len(tidy) == len(RUNS) * 8
    assert not tidy.duplicated(["variant", "seed", "patch"]).any()
    assert set(tidy["pair"]) == {"000", "001"}
    assert dict(zip(tidy["variant"], tidy["kind"], strict=True)) == {
        "identity": "baseline",
        "net_z": "learned",
        "linearfilt": "baseline",
        "srcnn_x2": "learned",
    }


def test_the_summary_against_pandas(collected: Path) -> None:
    tidy = io.read_csv(collected / "patches.csv")
    summary = io.read_csv(collected / "summary.csv").set_index("variant")
    assert list(summary["psnr_mean"]) == sorted(summary["psnr_mean"], reverse=True)
    for variant, group in tidy.groupby("variant"):
        row = summary.loc[str(variant)]
        assert (row["n"], row["slices"]) == (8, 2)
        assert row["seeds"] == group["seed"].nunique()
        for score in OF_PATCHES:
            over_seeds = group.pivot_table(index="patch", columns="seed", values=score)
            slices = group.groupby("pair")[score].mean()  # as many patches of each
            assert row[f"{score}_mean"] == pytest.approx(slices.mean())
            assert row[f"{score}_stderr"] == pytest.approx(slices.sem())
            assert row[f"{score}_low"] < row[f"{score}_mean"] < row[f"{score}_high"]
            spread = over_seeds.mean().std() if over_seeds.shape[1] > 1 else np.nan
            assert row[f"{score}_seed_spread"] == pytest.approx(spread, nan_ok=True)
        assert row["psnr_8bit_mean"] == pytest.approx(group["psnr_8bit"].mean())


def test_the_table_in_markdown(collected: Path) -> None:
    text = (collected / "table.md").read_text()
    lines = [line for line in text.splitlines() if line.startswith("|")]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    assert {len(row) for row in cells} == {11}
    assert cells[0][:6] == ["Variant", "Kind", "Factor", "Seeds", "n", "Slices"]
    assert set(cells[1]) == {"---"}
    summary = io.read_csv(collected / "summary.csv")
    for row, expected in zip(cells[2:-1], summary.to_dict("records"), strict=True):
        assert row[0] == expected["variant"].replace("_", " ")
        assert row[6] == plus_minus(expected["psnr_mean"], expected["psnr_stderr"], 2)
        distance = 100 * expected["histogram_distance_mean"], 100 * expected["histogram_distance_stderr"]
        assert row[10] == plus_minus(*distance, 2)
    assert cells[-1] == ["Anderson et al. 2020, best model*", "published", "1", "–", "–", "–", "15.8", *["–"] * 4]
    assert "theirs, of other data" in text


def test_the_table_in_csv_marks_what_is_theirs(collected: Path) -> None:
    table = io.read_csv(collected / "table.csv")
    assert list(table["kind"] == "published") == [False] * 4 + [True]
    assert list(table["source"].notna()) == [False] * 4 + [True]
    assert table["psnr"].iloc[-1] == 15.8


def test_the_table_in_latex_has_as_many_cells_as_columns(collected: Path) -> None:
    text = (collected / "table.tex").read_text()
    columns = re.search(r"\\begin\{tabular\}\{(\w+)\}", text)
    assert columns is not None
    rows = [line for line in text.splitlines() if line.endswith(r"\\")]
    assert len(rows) == 1 + 4 + 1
    for row in rows:
        assert len(row.split(" & ")) == len(columns[1])
        assert not re.search(r"(?<!\\)[%_#]", row)  # what LaTeX would take for a comment or an index
        assert row.count("$") % 2 == 0
    assert text.count(r"\begin{tabular}") == text.count(r"\end{tabular}") == 1


def test_numbers_of_any_size_are_latex() -> None:
    sizes = {"psnr": (-1e-5, 2e-7), "ssim": (0.9, 0.012), "ms_ssim": (0.9, 0.0), "structure": (float("inf"), 1.0)}
    row = {"label": "a", "kind": "learned", "factor": 1, "seeds": 1, "n": 1, "slices": 2}
    row |= {f"{score}_mean": mean for score, (mean, _) in sizes.items()} | {"histogram_distance_mean": 2e-9}
    row |= {f"{score}_stderr": error for score, (_, error) in sizes.items()} | {"histogram_distance_stderr": 1e-9}
    text = latex_table(table_rows(pd.DataFrame([row])))
    assert text.isascii()
    assert r"($-$1.000 $\pm$ 0.020)$\times10^{-5}$" in text


def test_every_two_variants_are_tested(collected: Path) -> None:
    pairs = io.read_csv(collected / "pairs.csv")
    summary = io.read_csv(collected / "summary.csv").set_index("variant")
    assert len(pairs) == 5 * 6  # scores, pairs of four variants
    for row in pairs.to_dict("records"):
        means = summary[f"{row['score']}_mean"]
        assert row["difference"] == pytest.approx(means[row["first"]] - means[row["second"]])
        assert row["low"] <= row["difference"] <= row["high"]
        assert row["p_holm"] >= row["p"]
        assert (row["n"], row["slices"], row["unit"]) == (8, 2, "slice")
        if row["better"] == row["better"]:
            assert row["p_holm"] < 0.05
    tidy = io.read_csv(collected / "patches.csv")
    one = pairs[(pairs["score"] == "psnr") & (pairs["first"] == "srcnn_x2") & (pairs["second"] == "identity")].iloc[0]
    scores_of = tidy.groupby(["variant", "pair"])["psnr"].mean()
    assert one["p"] == pytest.approx(ttest_rel(scores_of["srcnn_x2"], scores_of["identity"]).pvalue)


def collect(folder: Path, table: pd.DataFrame) -> Path:
    """Tables of two variants with the same scores' places; the second's are a tenth higher."""
    curve = pd.DataFrame({"source": ["prediction", "sem", "txm"], "frequency_per_px": 0.1, "frequency_per_nm": 0.1})
    io.write_csv(folder / "c.csv", curve)
    for number in range(2):
        columns = dict.fromkeys((*OF_PATCHES, "psnr_8bit", "ssim_8bit"), table["psnr"] + number / 10)
        io.write_csv(folder / f"{number}.csv", table.assign(**columns))
    files = [folder / "0.csv", folder / "1.csv"]
    summarise_metrics(RUNS[:2], files, [folder / "c.csv"] * 2, [folder / "c.csv"] * 2, folder / "out")
    return folder / "out"


def test_a_patch_that_was_drawn_several_times_counts_once(tmp_path: Path) -> None:
    """As a random evaluation set of small slices draws them."""
    places = pd.DataFrame({"pair": list("aaabbb"), "z": 1, "y": [0, 1, 2] * 2, "x": 5, "psnr": [1.0, 2, 3, 7, 8, 9]})
    drawn = places.iloc[[0, 0, 0, 1, 2, 2, 3, 4, 5, 5]].reset_index(drop=True)
    drawn.insert(0, "patch", range(10))
    once = places.assign(patch=range(6))
    several, single = (collect(tmp_path / name, table) for name, table in (("several", drawn), ("once", once)))
    for name in ("summary.csv", "pairs.csv", "table.csv"):
        pd.testing.assert_frame_equal(io.read_csv(several / name), io.read_csv(single / name))
    assert io.read_csv(several / "summary.csv")["n"].tolist() == [6, 6]
    assert len(io.read_csv(several / "patches.csv")) == 20


def test_of_one_slice_there_are_no_errors_and_nothing_is_better(tmp_path: Path) -> None:
    table = pd.DataFrame({"patch": range(6), "pair": "a", "z": 1, "y": range(6), "x": 5, "psnr": [1.0, 2, 3, 7, 8, 9]})
    out = collect(tmp_path, table)
    summary, pairs = io.read_csv(out / "summary.csv"), io.read_csv(out / "pairs.csv")
    assert summary[["psnr_stderr", "psnr_low", "psnr_high"]].isna().all(axis=None)
    assert pairs[["low", "high", "p", "p_holm"]].isna().all(axis=None)
    assert set(pairs["better"]) == {"too few slices to tell"}
    text = (out / "table.md").read_text()
    assert "±" not in text
    assert "| 5.10 |" in text
    assert "over test slices" in text


def test_curves_of_what_was_measured_stand_once(collected: Path) -> None:
    for name, shared in (("spectra", {"sem", "txm"}), ("resolution", {"txm"})):
        curves = io.read_csv(collected / f"{name}.csv")
        assert set(curves[curves["variant"].isna()]["source"]) == shared
        assert len(curves) == 2 * (len(RUNS) + len(shared))
        assert set(curves["variant"].dropna()) == {run.variant for run in RUNS}


# --- volumes


def volume_pair(folder: Path, dtype: type = np.uint8) -> tuple[np.ndarray, np.ndarray]:
    truth = sharp((6, 40, 48), 5, dtype)
    predicted = ndimage.gaussian_filter(truth, (0, 1, 1))[:, :36, :44]
    io.write_ome_zarr(folder / "pred.ome.zarr", iter(predicted), predicted.shape, dtype, VOXEL_SIZE_NM)  # type: ignore[arg-type]
    io.write_tiff(folder / "truth.tif", truth)
    return predicted, truth[:, :36, :44]


def test_a_volume_against_its_truth(tmp_path: Path) -> None:
    store = make_store(tmp_path / "p")
    predicted, truth = (v.astype(float) for v in volume_pair(tmp_path))
    settings = MeasureSettings(phases=2)
    measure_volume(
        tmp_path / "pred.ome.zarr",
        tmp_path / "truth.tif",
        tmp_path / "p",
        settings,
        tmp_path / "v.json",
        tmp_path / "axes.csv",
    )
    found = io.read_json(tmp_path / "v.json")
    assert found["psnr"] == pytest.approx(10 * np.log10(255**2 / np.mean((predicted - truth) ** 2)))
    assert found["mae"] == pytest.approx(np.abs(predicted - truth).mean() / 255)
    training = store.pairs[store.of_split("train")["pair"].iloc[0]]
    (threshold,) = multi_otsu_thresholds(training.sem[training.mask > 0], 2)
    dark, true_dark = (np.mean(v <= threshold) for v in (predicted, truth))
    both = [abs(dark - found["fraction_0"]), abs(true_dark - found["fraction_0_truth"])]
    assert max(both) < 0.01  # the threshold's own level may lie on either side
    assert 0.5 < found["dice_0"] < 1


def test_a_volume_without_truth_has_its_own_continuity(tmp_path: Path) -> None:
    make_store(tmp_path / "p")
    volume_pair(tmp_path)
    measure_volume(tmp_path / "pred.ome.zarr", None, tmp_path / "p", AUTO, tmp_path / "v.json", tmp_path / "axes.csv")
    found = io.read_json(tmp_path / "v.json")
    assert found["slices"] == 6
    assert found["self_continuity_ratio"] > 0
    assert {"neighbour_ssim_z", "jitter_z", "shift_jitter_px", "spectrum_high_ratio"} <= found.keys()
    assert not any(key.endswith("_truth") for key in found)
    axes = io.read_csv(tmp_path / "axes.csv")
    assert set(axes["source"]) == {"prediction"}
    assert axes["frequency_per_nm"].max() == pytest.approx(0.5 / VOXEL_SIZE_NM[2])


def test_a_constant_volume_without_truth_has_no_continuity(tmp_path: Path) -> None:
    make_store(tmp_path / "p")
    io.write_tiff(tmp_path / "constant.tif", np.full((4, 36, 44), 7, np.uint8))
    measure_volume(tmp_path / "constant.tif", None, tmp_path / "p", AUTO, tmp_path / "v.json", tmp_path / "axes.csv")
    assert io.read_json(tmp_path / "v.json") == {"slices": 4}


def test_equal_volumes_have_no_finite_psnr_and_json_stays_json(tmp_path: Path) -> None:
    make_store(tmp_path / "p")
    _, truth = volume_pair(tmp_path)
    io.write_tiff(tmp_path / "same.tif", truth)
    measure_volume(
        tmp_path / "same.tif", tmp_path / "truth.tif", tmp_path / "p", AUTO, tmp_path / "v.json", tmp_path / "axes.csv"
    )
    found = json.loads((tmp_path / "v.json").read_text(), parse_constant=lambda name: pytest.fail(name))
    assert found["psnr"] is None
    assert (found["ssim"], found["mae"]) == (1, 0)


def test_volumes_are_collected(tmp_path: Path) -> None:
    for name, value in (("a", 1.5), ("b", None)):
        io.write_json(tmp_path / f"{name}.json", {"psnr": value})
        parts = [pd.DataFrame({"source": k, "axis": list("zyx"), "power": 1.0}) for k in ("prediction", "truth")]
        io.write_csv(tmp_path / f"{name}.csv", pd.concat(parts))
    files, spectra = ([tmp_path / f"{name}.{kind}" for name in "ab"] for kind in ("json", "csv"))
    summarise_volumes([("a", 0), ("b", 3)], files, spectra, tmp_path / "v.csv", tmp_path / "axes.csv")
    axes = io.read_csv(tmp_path / "axes.csv")
    assert list(axes["variant"].fillna("-")) == ["-"] * 3 + ["a"] * 3 + ["b"] * 3
    table = io.read_csv(tmp_path / "v.csv")
    assert list(table["variant"]) == ["a", "b"]
    assert list(table["seed"]) == [0, 3]
    assert table["psnr"].iloc[0] == 1.5
    assert np.isnan(table["psnr"].iloc[1])


# --- two files


def two_files(folder: Path, shape: tuple[int, ...], dtype: type) -> tuple[Path, Path, np.ndarray, np.ndarray]:
    target = sharp(shape, 1, dtype)
    prediction = ndimage.gaussian_filter(target, 0.8)
    for name, image in (("p.tif", prediction), ("t.tif", target)):
        io.write_tiff(folder / name, image)
    return folder / "p.tif", folder / "t.tif", prediction.astype(float), target.astype(float)


@pytest.mark.parametrize(("dtype", "full"), [(np.uint8, None), (np.uint8, 200.0), (np.uint16, 65535.0)])
def test_two_images(tmp_path: Path, dtype: type, full: float | None) -> None:
    p, t, prediction, target = two_files(tmp_path, (40, 44), dtype)
    found = evaluate_files(p, t, None, full, tmp_path / "m.json")
    data_range = full or 255.0
    assert found["data_range"] == data_range
    assert found["shape"] == [1, 40, 44]
    assert found["psnr"] == pytest.approx(peak_signal_noise_ratio(target, prediction, data_range=data_range))
    assert found["mae"] == pytest.approx(np.abs(prediction - target).mean() / data_range)
    assert io.read_json(tmp_path / "m.json") == found


def test_two_volumes(tmp_path: Path) -> None:
    p, t, prediction, target = two_files(tmp_path, (5, 40, 44), np.uint8)
    found = evaluate_files(p, t, None, None, tmp_path / "m.json")
    assert found["slices"] == 5
    assert found["psnr"] == pytest.approx(peak_signal_noise_ratio(target, prediction, data_range=255))
    assert "continuity_ratio" in found


@pytest.mark.parametrize("shape", [(40, 44), (3, 40, 44)])
def test_only_pixels_of_the_mask_count(tmp_path: Path, shape: tuple[int, ...]) -> None:
    p, t, prediction, target = two_files(tmp_path, shape, np.uint8)
    mask = np.zeros(shape, np.uint8)
    mask[..., 10:30, 5:40] = 255
    io.write_tiff(tmp_path / "mask.tif", mask)
    found = evaluate_files(p, t, tmp_path / "mask.tif", None, tmp_path / "m.json")
    inside = mask > 0
    assert found["psnr"] == pytest.approx(10 * np.log10(255**2 / np.mean((prediction - target)[inside] ** 2)))
    io.write_tiff(tmp_path / "mask.tif", mask[..., :20, :])
    with pytest.raises(InputError, match=r"mask\.tif has the shape"):
        evaluate_files(p, t, tmp_path / "mask.tif", None, tmp_path / "m.json")


def test_what_cannot_be_compared(tmp_path: Path) -> None:
    p, t, _, _ = two_files(tmp_path, (40, 44), np.uint16)
    with pytest.raises(InputError, match=r"t\.tif: uint16 data has no range of its own. Give --data-range"):
        evaluate_files(p, t, None, None, tmp_path / "m.json")
    io.write_tiff(tmp_path / "other.tif", np.zeros((40, 45), np.uint16))
    with pytest.raises(InputError, match=r"p\.tif: shape \(1, 40, 44\).*other\.tif has \(1, 40, 45\)"):
        evaluate_files(p, tmp_path / "other.tif", None, 65535, tmp_path / "m.json")
    assert not (tmp_path / "m.json").exists()


def test_equal_images_are_written_as_json(tmp_path: Path) -> None:
    p, _, _, _ = two_files(tmp_path, (40, 44), np.uint8)
    assert evaluate_files(p, p, None, None, tmp_path / "m.json")["psnr"] == float("inf")
    assert json.loads((tmp_path / "m.json").read_text(), parse_constant=pytest.fail)["psnr"] == "inf"


def test_resolution_needs_a_voxel_size(tmp_path: Path) -> None:
    p, t, _, _ = two_files(tmp_path, (40, 44), np.uint8)
    assert "resolution_nm" not in evaluate_files(p, t, None, None, tmp_path / "m.json")
    fine, coarse = (
        evaluate_files(p, t, None, None, tmp_path / "m.json", (step, step, step))["resolution_nm"]
        for step in (5.0, 10.0)
    )
    assert coarse == pytest.approx(2 * fine)
    assert fine >= 10


def test_volumes_have_all_of_continuity_and_a_shell_correlation(tmp_path: Path) -> None:
    p, t, _, _ = two_files(tmp_path, (18, 40, 44), np.uint8)
    found = evaluate_files(p, t, None, None, tmp_path / "m.json", (5.0, 5.0, 5.0))
    for name in ("jitter_z", "brightness_jitter", "neighbour_ssim_z", "spectrum_high_z", "self_continuity_ratio"):
        assert math.isfinite(found[name])
        assert math.isfinite(found[f"{name}_truth"])
    assert 10 <= found["resolution_nm"] < 80
    table = readable(found).splitlines()
    assert table[0].split() == ["prediction", "truth"]
    (line,) = (line for line in table if line.startswith("jitter_z "))
    assert line.split()[1:3] == [f"{found['jitter_z']:.6g}", f"{found['jitter_z_truth']:.6g}"]


def test_volumes_that_state_different_voxel_sizes_are_reported(tmp_path: Path) -> None:
    make_store(tmp_path / "p")
    volume_pair(tmp_path)
    io.write_tiff(tmp_path / "other.tif", sharp((6, 40, 48), 5), (VOXEL_SIZE_NM[0], 99.0, VOXEL_SIZE_NM[2]))
    files = tmp_path / "p", MeasureSettings(phases=2), tmp_path / "v.json", tmp_path / "axes.csv"
    with pytest.warns(UserWarning, match=r"other\.tif state voxel sizes that differ \(along y: .* and 99 nm\)"):
        measure_volume(tmp_path / "pred.ome.zarr", tmp_path / "other.tif", *files)


@pytest.mark.parametrize(
    ("change", "full", "words"),
    [
        (lambda image: image, None, []),
        (lambda image: image.astype(np.uint16) * 257, 65535.0, []),
        (
            lambda image: (image // 100).astype(np.uint8),
            None,
            ["scores refer to a data range of 255", "Give --data-range"],
        ),
        (lambda image: image.astype(np.uint16) * 257, 255.0, ["which the data range of 255 does not hold"]),
    ],
)
def test_grey_levels_that_no_score_can_be_taken_of_are_reported(
    tmp_path: Path, recwarn: pytest.WarningsRecorder, change: Any, full: float | None, words: list[str]
) -> None:
    image = change(sharp((40, 48), 3))
    io.write_tiff(tmp_path / "t.tif", image)
    io.write_tiff(tmp_path / "p.tif", np.roll(image, 1, axis=1))
    evaluate_files(tmp_path / "p.tif", tmp_path / "t.tif", None, full, tmp_path / "m.json", rock=RockOptions(0))
    said = " ".join(str(warning.message) for warning in recwarn)
    assert all(word in said for word in words)
    assert bool(said) == bool(words)


def test_two_bit_depths_are_reported(tmp_path: Path) -> None:
    image = sharp((40, 48), 3)
    io.write_tiff(tmp_path / "t.tif", image)
    io.write_tiff(tmp_path / "p.tif", image.astype(np.uint16) * 257)
    with pytest.warns(UserWarning, match=r"p.tif is uint16 and .*t.tif uint8: .*same bit depth"):
        evaluate_files(tmp_path / "p.tif", tmp_path / "t.tif", None, None, tmp_path / "m.json", rock=RockOptions(0))
