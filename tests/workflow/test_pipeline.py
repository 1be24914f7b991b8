"""The whole pipeline on a tiny phantom, with real registration, training and prediction."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
import tifffile
import zarr
from conftest import TINY, Workflow

VARIANTS = list(TINY["variants"])
LEARNED = ["feedforward", "srcnn_x2"]


def test_every_stage_leaves_its_results(finished: Workflow) -> None:
    here = finished.folder / "results" / "tiny"
    for variant in VARIANTS:
        model = here / "models" / variant / "seed0"
        assert {file.name for file in model.iterdir()} == {
            "generator.safetensors",
            "best.safetensors",
            "last.safetensors",
            "model.json",
            "history.csv",
        }
        assert (here / "volumes" / variant / "seed0" / "sem.ome.zarr" / "zarr.json").is_file()
    for variant in LEARNED:
        assert (here / "figures" / "sections" / f"{variant}.png").stat().st_size > 1000
    for figure in ("montage_1", "curves", "comparison", "registration"):
        assert (here / "figures" / f"{figure}.png").stat().st_size > 1000
    assert (finished.folder / "results" / "report.html").stat().st_size > 10_000


def test_a_second_run_finds_nothing_to_do(finished: Workflow) -> None:
    result = finished.run("--nolock")
    assert result.returncode == 0
    assert "Nothing to be done" in result.stdout


def test_volumes_have_the_shape_and_voxel_size_of_the_txm(finished: Workflow) -> None:
    for variant in VARIANTS:
        group = zarr.open_group(finished.folder / f"results/tiny/volumes/{variant}/seed0/sem.ome.zarr", mode="r")
        multiscale = group.attrs["ome"]["multiscales"][0]
        assert group["0"].shape == tuple(TINY["phantom"]["shape"])
        assert group["0"].dtype == np.uint8
        assert multiscale["datasets"][0]["coordinateTransformations"][0]["scale"] == [32.0, 32.0, 32.0]


def test_registration_finds_the_phantoms_transforms(finished: Workflow) -> None:
    here = finished.folder / "results" / "tiny"
    truth = json.loads((here / "raw" / "truth" / "transforms.json").read_text())
    found = json.loads((here / "registered" / "transforms.json").read_text())
    errors = []
    for pair, entry in found.items():
        height, width = tifffile.imread(here / "raw" / "sem" / f"SEM{pair}.tif").shape
        corners = np.array([[x, y, 1] for x in (0, width - 1) for y in (0, height - 1)]).T
        difference = (np.array(entry["matrix"]) - np.array(truth[pair]["matrix"])) @ corners
        errors.append(np.hypot(*difference[:2]).mean())
    assert len(errors) >= 4
    assert np.mean(errors) <= 0.5


def test_splits_share_no_slice_and_scores_are_of_the_test_split(finished: Workflow) -> None:
    here = finished.folder / "results" / "tiny"
    index = pd.read_csv(here / "patches" / "index.csv", dtype={"pair": str})
    assert (index.groupby("pair")["split"].nunique() == 1).all()
    test = index[index["split"] == "test"]
    scores = pd.read_csv(here / "metrics" / "patches.csv", dtype={"pair": str})
    assert set(scores["variant"]) == set(VARIANTS)
    for _, own in scores.groupby("variant"):
        assert list(own["patch"]) == list(test["patch"])


def test_the_summary_is_the_mean_of_the_slices(finished: Workflow) -> None:
    here = finished.folder / "results" / "tiny" / "metrics"
    scores = pd.read_csv(here / "patches.csv")
    summary = pd.read_csv(here / "summary.csv").set_index("variant")
    for variant, own in scores.groupby("variant"):
        slices = own.groupby("pair")["psnr"].mean()
        assert summary.loc[variant, "psnr_mean"] == pytest.approx(slices.mean())
        assert summary.loc[variant, "psnr_stderr"] == pytest.approx(slices.sem(), nan_ok=True)
        assert (summary.loc[variant, "n"], summary.loc[variant, "slices"]) == (len(own), len(slices))
    table = (here / "table.md").read_text()
    assert all(variant.replace("_", " ") in table for variant in VARIANTS)


def test_the_report_names_every_variant_and_needs_no_network(finished: Workflow) -> None:
    html = (finished.folder / "results" / "report.html").read_text()
    assert all(variant.replace("_", " ") in html for variant in VARIANTS)
    assert 'src="http' not in html
    assert 'href="http' not in html


def test_training_reports_its_progress(finished: Workflow) -> None:
    log = (finished.folder / "results/logs/tiny/train_model/feedforward_seed0.log").read_text()
    assert "epoch 1 of 1" in log
    assert "PSNR" in log


def test_jobs_in_a_container_need_one(finished: Workflow) -> None:
    refused = finished.run("--dry-run", "--nolock", "--sdm", "apptainer")
    assert refused.returncode != 0
    assert "txm2sem: error: --sdm apptainer: container: names no image to run jobs in. Set it in" in refused.stdout
