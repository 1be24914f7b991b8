"""From predictions with a spread to tables, a figure and the report; what the configuration and the command refuse."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_data import make_store, sharp, tiny

from txm2sem_core import cli, io, plotting
from txm2sem_core.config import load_config
from txm2sem_core.config.figures import FigureSettings
from txm2sem_core.config.train import WITHOUT_DROPOUT
from txm2sem_core.errors import ConfigError, InputError
from txm2sem_core.figures.uncertainty import uncertainty_figure
from txm2sem_core.io import Channel
from txm2sem_core.measure.uncertainty import measure_uncertainty, summarise_uncertainty
from txm2sem_core.metrics import Calibration
from txm2sem_core.networks import build_generator, generator_names, has_dropout
from txm2sem_core.training import train_model

STYLE = FigureSettings()
COMMON = STYLE.common.model_copy(update={"dpi": 80})


# --- the configuration


def config(uncertainty: dict[str, Any], variants: dict[str, Any] | None = None, **others: Any) -> Any:
    variants = variants or {
        "pointwise": {"family": "baseline", "generator": {"name": "pointwise"}},
        "plain": {"family": "feedforward"},
        "dropping": {"family": "feedforward", "generator": {"dropout": True}},
        "flat": {"family": "pix2pix", "generator": {"name": "unet_32"}},
    }
    return load_config({"variants": variants, "predict": {"uncertainty": uncertainty}, **others})


def test_ensembles_are_of_what_is_trained_and_dropout_of_what_has_it() -> None:
    both = config({"ensemble": True, "dropout_samples": 4}, seeds=[0, 1])
    assert both.ensembles == ("plain", "dropping", "flat")
    assert both.dropout_variants == ("dropping",)  # unet_32 is asked for dropout, but has no place for it
    none = config({})
    assert none.ensembles == none.dropout_variants == ()


@pytest.mark.parametrize(
    ("uncertainty", "others", "words"),
    [
        ({"ensemble": True}, {}, r"predict\.uncertainty\.ensemble: .*at least two seeds, but seeds is \[0\]"),
        (
            {"ensemble": True},
            {"seeds": [0, 1], "variants": {"a": {"family": "baseline", "generator": {"name": "constant"}}}},
            "all variants are baselines",
        ),
        ({"dropout_samples": 1}, {}, r"dropout_samples must be 0 \(off\) or at least 2"),
        ({"dropout_samples": 4}, {"variants": {"a": {"family": "feedforward"}}}, r"generator\.dropout: true"),
        ({"ensembel": True}, {}, "Did you mean 'ensemble'"),
        (
            {"ensemble": True},
            {"seeds": [0, 1], "variants": {"a": {"family": "feedforward"}, "a_ensemble": {"family": "feedforward"}}},
            r"variants\.a_ensemble: the ensemble of a has this name",
        ),
    ],
)
def test_what_the_configuration_refuses(uncertainty: dict[str, Any], others: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        config(uncertainty, others.pop("variants", None), **others)


def test_the_networks_said_to_have_no_dropout_have_none_and_the_others_do() -> None:
    ours = [
        name for name in generator_names() if name.startswith(("unet_", "resnet_", "sr_resnet_", "linear", "gamma"))
    ]
    assert len(ours) > len(WITHOUT_DROPOUT)
    for name in ours:
        generator = build_generator(name, width=2, dropout=True, factor=2 if name.startswith("sr_") else 1)
        assert has_dropout(generator) == (name not in WITHOUT_DROPOUT), name


# --- the measure


@pytest.fixture
def predicted(tmp_path: Path) -> Path:
    """A store, test patches whose errors are Gaussian with sqrt((2 spread)^2 + 3^2), and a volume of such errors."""
    store = make_store(tmp_path / "patches", evaluation=6)
    rng = np.random.default_rng(0)
    rows = store.of_split("test")[["pair", "y", "x"]].itertuples(index=False)
    target = np.stack([store.sem_patch(*place) for place in rows]).astype(np.float32)
    spread = rng.gamma(3.0, 1.5, target.shape).astype(np.float32)
    calibration = Calibration(2.0, 3.0)
    mean = target + rng.standard_normal(target.shape) * calibration.apply(spread)
    io.write_tiff(tmp_path / "run" / "patches.tif", mean.astype(np.float32), store.voxel_size_nm)
    io.write_tiff(tmp_path / "run" / "spread.tif", spread, store.voxel_size_nm)
    description = {**calibration.as_dict(), "models": 4, "samples": 0, "seed": 0}
    (tmp_path / "run" / "calibration.json").write_text(json.dumps(description))
    shape = (6, 40, 44)
    truth = np.clip(sharp(shape, 3), 60, 190)
    own = rng.gamma(3.0, 1.5, shape)
    error = rng.standard_normal(shape) * calibration.apply(own)
    channels = np.stack([np.rint(truth + error).clip(0, 255), np.rint(calibration.apply(own)), np.rint(own).clip(1)], 1)
    names = [Channel(name) for name in ("prediction", "uncertainty", "spread")]
    io.write_ome_zarr(tmp_path / "v.ome.zarr", iter(channels), shape, np.uint8, (40.0, 20.0, 10.0), None, names)
    larger = np.pad(truth, ((0, 0), (0, 3), (0, 5)), mode="reflect")  # a truth may reach further than the prediction
    io.write_volume_tiff(tmp_path / "truth.tif", iter(larger), (40.0, 20.0, 10.0))
    return tmp_path


def measure(predicted: Path, *, with_volume: bool = True) -> Path:
    volume, truth = (predicted / "v.ome.zarr", predicted / "truth.tif") if with_volume else (None, None)
    outputs = predicted / "metrics/uncertainty.csv", predicted / "metrics/reliability.csv"
    measure_uncertainty(predicted / "run", predicted / "patches", volume, truth, *outputs)
    return predicted / "metrics"


def test_coverage_before_and_after_the_calibration(predicted: Path) -> None:
    table = io.read_csv(measure(predicted) / "uncertainty.csv").set_index(["of", "stated"])
    assert list(table.index) == [(of, s) for of in ("test patches", "volume") for s in ("spread", "calibrated")]
    for of in ("test patches", "volume"):
        before, after = table.loc[(of, "spread")], table.loc[(of, "calibrated")]
        assert before["within_1"] < 0.45
        assert after["within_1"] == pytest.approx(0.683, abs=0.03)
        assert after["within_2"] == pytest.approx(0.954, abs=0.02)
        assert after["nll"] < before["nll"]
        assert after["correlation"] > 0.9
        assert (after["models"], after["scale"], after["floor"]) == (4, 2.0, 3.0)
    store = io.read_patch_store(predicted / "patches")
    usable = sum(
        store.mask_patch(*place).sum() for place in store.of_split("test")[["pair", "y", "x"]].itertuples(index=False)
    )
    assert table.loc[("test patches", "spread"), "pixels"] == usable  # charged pixels do not count
    assert table.loc[("volume", "spread"), "pixels"] == 6 * 40 * 44


def test_the_curve_holds_the_pixels_of_the_scores(predicted: Path) -> None:
    folder = measure(predicted)
    table, bins = io.read_csv(folder / "uncertainty.csv"), io.read_csv(folder / "reliability.csv")
    for row in table.to_dict("records"):
        own = bins[(bins["of"] == row["of"]) & (bins["uncertainty"] == row["stated"])]
        assert own["pixels"].sum() == row["pixels"]
        assert own["stated"].is_monotonic_increasing
        rms = np.sqrt((own["error"] ** 2 * own["pixels"]).sum() / row["pixels"])
        assert rms == pytest.approx(row["rms_error"])


def test_patches_alone_where_the_truth_is_not_known(predicted: Path) -> None:
    table = io.read_csv(measure(predicted, with_volume=False) / "uncertainty.csv")
    assert set(table["of"]) == {"test patches"}


def test_patches_of_another_store_are_refused(predicted: Path) -> None:
    make_store(predicted / "patches", evaluation=3)
    with pytest.raises(InputError, match="6 patches, the index has 3"):
        measure(predicted)


def test_runs_are_collected(predicted: Path) -> None:
    scores = measure(predicted) / "uncertainty.csv"
    runs = [("feedforward", "ensemble"), ("pix2pix", "seed1")]
    summarise_uncertainty(runs, [scores, scores], predicted / "all.csv")
    table = io.read_csv(predicted / "all.csv")
    assert list(table["variant"]) == ["feedforward"] * 4 + ["pix2pix"] * 4
    assert list(table["method"].unique()) == ["ensemble", "dropout"]
    assert list(table["run"].unique()) == ["ensemble", "seed1"]


# --- the figure


@pytest.mark.parametrize("with_volume", [True, False])
def test_the_figure_shows_uncertainty_and_error_on_one_scale(predicted: Path, with_volume: bool) -> None:
    metrics = measure(predicted, with_volume=with_volume)
    images = [predicted / "run" / name for name in ("patches.tif", "spread.tif", "calibration.json")]
    tables = metrics / "uncertainty.csv", metrics / "reliability.csv", predicted / "patches/store.json"
    volumes = (predicted / "v.ome.zarr", predicted / "truth.tif") if with_volume else ()
    outputs = [predicted / "figure.png"]
    uncertainty_figure(*images, *tables, STYLE.uncertainty, COMMON, outputs, *volumes)
    assert outputs[0].stat().st_size > 5000


def view(**changes: Any) -> plotting.UncertaintyView:
    rng = np.random.default_rng(0)
    target = rng.integers(0, 255, (30, 40)).astype(np.uint8)
    prediction = np.full((30, 40), 100, np.uint8)
    rising = np.linspace(2.0, 9.0, 8)
    values: dict[str, Any] = {
        "prediction": prediction,
        "uncertainty": rng.gamma(3.0, 2.0, (30, 40)),
        "target": target,
        "target_name": "the truth",
        "pixel_size_nm": (20.0, 10.0),
        "coverages": [
            plotting.StatedCoverage("Test patches", "spread", rising, 2 * rising, (0.3, 0.6)),
            plotting.StatedCoverage("Test patches", "calibrated", 2 * rising, 2 * rising, (0.69, 0.95)),
        ],
    }
    return plotting.UncertaintyView(**(values | changes))


def test_the_drawing() -> None:
    figure = plotting.draw_uncertainty(view(), STYLE.uncertainty, COMMON)
    prediction, uncertainty, error = (axes.images[0] for axes in figure.axes[:3])
    assert uncertainty.get_clim() == error.get_clim()
    assert error.get_clim()[0] == 0
    np.testing.assert_array_equal(error.get_array(), np.abs(100.0 - view().target))
    np.testing.assert_array_equal(prediction.get_array(), view().prediction)
    width, height = plotting.size_mm(figure)
    assert width == pytest.approx(COMMON.width_mm(2))
    assert height <= COMMON.max_height_mm
    box = figure.axes[0].get_position()
    assert (box.height * height) / (box.width * width) == pytest.approx(30 * 20 / (40 * 10))  # nm, not pixels
    tall = plotting.draw_uncertainty(
        view(prediction=np.zeros((400, 20)), uncertainty=np.ones((400, 20)), target=np.eye(400, 20)),
        STYLE.uncertainty,
        COMMON,
    )
    assert plotting.size_mm(tall)[1] <= COMMON.max_height_mm


def test_the_drawing_refuses_what_does_not_belong_together() -> None:
    for changes in ({"target": np.zeros((3, 3))}, {"coverages": []}):
        with pytest.raises(InputError, match="of one shape and a coverage"):
            plotting.draw_uncertainty(view(**changes), STYLE.uncertainty, COMMON)


# --- the command


def run(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    monkeypatch.setattr(sys, "argv", ["txm2sem", *map(str, arguments)])
    try:
        cli.main()
    except SystemExit as end:
        return int(end.code or 0)
    return 0


def test_an_ensemble_from_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    make_store(tmp_path / "patches")
    for seed in (0, 1):
        train_model(tmp_path / "patches", tiny("feedforward"), seed, tmp_path / f"m{seed}", device="cpu")
    models = [option for seed in (0, 1) for option in ("--model", tmp_path / f"m{seed}")]
    io.write_tiff(tmp_path / "txm.tif", sharp((3, 40, 44), 0), (40.0, 20.0, 10.0))
    volume = ["--input", tmp_path / "txm.tif", "--device", "cpu", "--output"]
    assert run(monkeypatch, "predict-test", *models, "--patches", tmp_path / "patches", "--output", tmp_path / "t") == 0
    calibration = tmp_path / "t" / "calibration.json"
    assert run(monkeypatch, "predict", *models, *volume, tmp_path / "v.zarr", "--calibration", calibration) == 0
    assert io.open_volume(tmp_path / "v.zarr").channels == 3
    assert run(monkeypatch, "predict", *models, *volume, tmp_path / "v.tif") == 0
    assert (tmp_path / "v_uncertainty.tif").is_file()
    assert run(monkeypatch, "predict", *models[:2], *volume, tmp_path / "one.zarr") == 0
    assert io.open_volume(tmp_path / "one.zarr").channels == 1

    capsys.readouterr()
    for options, words in (
        ([*models[:2], "--samples", 4], "needs a network with dropout"),
        ([*models, "--samples", 4], "needs a network with dropout"),
        ([*models[:2], "--calibration", calibration], "one model has no spread"),
        ([*models[:2], *models[:2]], "given twice"),
        ([*models, "--calibration", tmp_path / "none.json"], "none.json"),
    ):
        assert run(monkeypatch, "predict", *options, *volume, tmp_path / "x.zarr") == 1
        message = capsys.readouterr().err
        assert words in message
        assert "Traceback" not in message
    assert not [path for path in tmp_path.iterdir() if "x.zarr" in path.name]
