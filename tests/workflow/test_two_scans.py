"""A phantom that was scanned twice, through the whole workflow, beside the same one with the first scan alone."""

from __future__ import annotations

import copy
from typing import Any

import pandas as pd
import pytest
from conftest import TINY, Workflow, shared_run

from txm2sem_core import io

# the first scan is nearly noise, just enough to register by; the second, at the same energy, has next to none
FURTHER = {"further_energies_kev": [8.0], "further_photons": 1e6}
CONFIG: dict[str, Any] = {
    **TINY,
    "phantom": {**TINY["phantom"], "photons": 60},
    "phantoms": {"both": FURTHER},
    "patches": {"size_px": 32, "train": 64, "evaluation_count": 12},
    "train": {
        "schedule": {"policy": "constant", "epochs": 8},
        "batch_size": 8,
        "optimiser": {"learning_rate": 2.0e-3},
    },
    "variants": {
        "pointwise": {"family": "baseline", "generator": {"name": "pointwise"}},
        "network": {"family": "feedforward", "generator": {"name": "unet_32", "width": 8}},
    },
}
SAMPLES = "sample\tsource\nboth\tphantom\nfirst\tphantom\n"
TARGETS = [
    "results/both/metrics/summary.csv",
    "results/first/metrics/summary.csv",
    *(f"results/both/volumes/{variant}/seed0/sem.digest" for variant in ("network", "pointwise")),
]


@pytest.fixture(scope="session")
def scanned(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Workflow:
    """Both samples up to their scores, and the volumes of one. Takes two minutes: two dozen jobs that start Python."""

    def make(folder: Any) -> None:
        result = Workflow.create(folder, copy.deepcopy(CONFIG), SAMPLES).run(*TARGETS)
        assert result.returncode == 0, result.stdout

    return shared_run(tmp_path_factory, worker_id, "scanned", make)


def psnr(workflow: Workflow, sample: str, variant: str) -> float:
    table = pd.read_csv(workflow.folder / f"results/{sample}/metrics/summary.csv").set_index("variant")
    return float(table.loc[variant, "psnr_mean"])


def test_a_network_that_sees_both_scans_beats_one_that_sees_the_first(scanned: Workflow) -> None:
    """By 1.1 dB when this was written; the map of single pixels, of the first scan, is the same in both samples."""
    assert psnr(scanned, "both", "network") > psnr(scanned, "first", "network") + 0.5
    assert psnr(scanned, "both", "pointwise") == psnr(scanned, "first", "pointwise")


def test_models_and_volumes_say_which_scans_they_are_of(scanned: Workflow) -> None:
    results = scanned.folder / "results"
    both = io.read_json(results / "both/models/network/seed0/model.json")
    first = io.read_json(results / "first/models/network/seed0/model.json")
    context = both["settings"]["context"]
    assert context == 1
    assert both["generator"]["in_channels"] == 2 * first["generator"]["in_channels"] == 2 * (2 * context + 1)
    store = io.read_patch_store(results / "both/patches")
    assert [each["range"] for each in both["further_scans"]] == [each.as_dict() for each in store.further_ranges]
    assert "further_scans" not in first
    volumes = [io.open_volume(results / f"both/volumes/{name}/seed0/sem.ome.zarr") for name in ("network", "pointwise")]
    assert [volume.shape for volume in volumes] == [(16, 128, 128)] * 2


def test_another_second_scan_leaves_the_sample_without_it_alone(scanned: Workflow) -> None:
    assert scanned.planned(*TARGETS) == set()
    config = copy.deepcopy(CONFIG)
    config["phantoms"]["both"]["further_energies_kev"] = [9.0]
    scanned.write_config(config)
    planned = scanned.planned(*TARGETS)
    scanned.write_config(CONFIG)
    assert "make_phantom sample=both" in planned
    assert "predict_volume sample=both, variant=network, seed=0" in planned
    assert not [job for job in planned if "sample=first" in job]
