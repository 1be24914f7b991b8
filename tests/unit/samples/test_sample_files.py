"""The paths of a sample's files, and what its jobs get of its table."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from txm2sem_core.config import Runs, load_config
from txm2sem_core.samples.files import SampleFiles
from txm2sem_core.samples.table import Sample, parse_sample

VARIANTS: dict[str, Any] = {
    "map": {"family": "baseline", "generator": {"name": "pointwise"}},
    "net": {"family": "feedforward", "generator": {"name": "unet_32"}},
    "x2": {
        "family": "srcnn",
        "factor": 2,
        "generator": {"name": "sr_resnet_4blocks"},
        "z_penalty": {"stack": 0.1},
    },
}
OWN = {"source": "pairs", "txm": "raw/txm", "sem": "raw/sem"}
WITH_VOLUME = OWN | {"txm_volume": "raw/my volume.tif", "txm_volume_measured": "raw/it's seen.tif"}


def files_of(row: dict[str, Any], **changes: Any) -> SampleFiles:
    config = load_config({"results_dir": "out/r", "variants": VARIANTS, **changes})
    return SampleFiles(Sample(sample="a", **row), config, Runs(config))


def test_a_phantom_has_a_volume_and_a_truth() -> None:
    here = files_of({"source": "phantom"})
    assert (here.name, here.folder, here.raw) == ("a", "out/r/a", Path("out/r/a/raw"))
    assert (here.has_truth, here.has_volume) == (True, True)
    assert (here.txm_volume, here.truth) == ("out/r/a/raw/txm_volume", "out/r/a/raw/truth/sem.tif")
    runs = ["map/seed0", "net/seed0", "x2/seed0"]
    assert [file for *_, file in here.rocks] == [f"out/r/a/metrics/{run}/rock.json" for run in ("truth", *runs)]
    assert [run for *run, _ in here.rocks][:2] == [["truth", "", 1], ["map", 0, 1]]
    assert here.judged_volumes("net/seed0") == here.volumes(here.runs.single)[1:2]


def test_pairs_have_no_truth_and_a_volume_only_where_the_table_names_one() -> None:
    without, own = files_of(OWN), files_of(WITH_VOLUME)
    assert (without.has_volume, without.has_truth, without.truth) == (False, False, "")
    assert without.volumes(without.runs.single) == []
    assert own.txm_volume == "raw/my volume.tif"
    assert own.volumes(own.runs.first)[0] == "out/r/a/volumes/map/seed0/sem.ome.zarr"
    assert own.judged_volumes("net/seed0") == []
    assert [variant for variant, *_ in own.rocks] == ["map", "net", "x2"]


def test_a_coarser_variant_has_patches_and_a_volume_of_its_own() -> None:
    here = files_of(WITH_VOLUME)
    assert (here.store_of("net"), here.store_of("x2")) == ("out/r/a/patches", "out/r/a/patches_x2")
    assert here.input_volume("net") == "raw/my volume.tif"
    assert here.input_volume("x2") == "out/r/a/patches_x2/txm_volume.ome.zarr"


def test_what_the_table_says_of_the_volume_is_passed_to_commands_and_quoted() -> None:
    here = files_of(WITH_VOLUME | {"voxel_size_nm": "32,16.5,16"})
    mask = "--measured 'raw/it'\"'\"'s seen.tif'"
    assert here.volume_options("net") == f"--voxel-size-nm 32 16.5 16 {mask}"
    assert here.volume_options("x2") == mask  # a coarser volume states its own size
    assert files_of({"source": "phantom"}).volume_options("net") == ""
    assert here.training_options("net") == ""
    assert here.training_options("x2") == f"--volume out/r/a/patches_x2/txm_volume.ome.zarr {mask}"


def test_results_of_runs() -> None:
    here = files_of({"source": "phantom"}, seeds=[0, 1])
    net = here.runs.behind("net/seed1")
    assert here.models(net, "model.json") == ["out/r/a/models/net/seed1/model.json"]
    assert here.measured(net, "rock.json") == ["out/r/a/metrics/net/seed1/rock.json"]
    assert here.patches("net/seed1") == "out/r/a/predictions/net/seed1/patches.tif"


@pytest.mark.parametrize(
    ("measure", "keys", "labels"),
    [
        ({}, {"phases", "segmentation", "thresholds"}, ""),
        ({"segmentation": "labels"}, {"phases", "segmentation", "thresholds"}, "out/r/a/labels"),
        ({"segmentation": "forest"}, {"phases", "segmentation", "thresholds", "forest"}, "out/r/a/labels"),
    ],
)
def test_the_forest_counts_only_where_there_is_one(measure: dict[str, Any], keys: set[str], labels: str) -> None:
    here = files_of({"source": "phantom"}, measure=measure)
    assert json.loads(here.phase_settings()).keys() == keys
    assert json.loads(here.phase_settings("rock")).keys() == keys | {"rock"}
    assert here.labels == labels


def test_a_row_is_passed_without_the_labels_which_come_after_the_training() -> None:
    row = files_of(WITH_VOLUME | {"labels": "raw/labels", "voxel_size_nm": "32,16,16"}).row()
    assert parse_sample(row) == Sample(sample="a", **WITH_VOLUME, voxel_size_nm="32,16,16")
    assert json.dumps(json.loads(row), sort_keys=True) == row
