"""The runs of a configuration, chosen as the stages need them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from txm2sem_core.config import Run, Runs, load_config

VARIANTS: dict[str, Any] = {
    "pointwise": {"family": "baseline", "generator": {"name": "pointwise"}},
    "gammafilt": {"family": "feedforward", "generator": {"name": "gammafilt"}},
    "net": {"family": "feedforward", "generator": {"name": "unet_32"}},
    "dropping": {"family": "srcnn", "factor": 2, "generator": {"name": "sr_resnet_4blocks", "dropout": True}},
    "mended": {"family": "repair"},
    "classes": {"family": "segmentation"},
}


def runs_of(**changes: Any) -> Runs:
    return Runs(load_config({"seeds": [3, 1], "variants": VARIANTS, **changes}))


def folders(runs: tuple[Run, ...]) -> str:
    return " ".join(run.folder for run in runs)


def test_without_uncertainty_each_seed_of_each_variant_is_measured_and_baselines_have_one() -> None:
    runs = runs_of()
    every = "pointwise/seed3 gammafilt/seed3 gammafilt/seed1 net/seed3 net/seed1 dropping/seed3 dropping/seed1"
    assert folders(runs.single) == folders(runs.measured) == every
    assert folders(runs.first) == folders(runs.shown) == "pointwise/seed3 gammafilt/seed3 net/seed3 dropping/seed3"
    assert folders(runs.trained) == every.removeprefix("pointwise/seed3 ")
    assert folders(runs.drawn) == "net/seed3 dropping/seed3"
    assert runs.ensembles == runs.uncertain == ()


def test_ensembles_and_dropout_are_runs_too() -> None:
    runs = runs_of(predict={"uncertainty": {"ensemble": True, "dropout_samples": 2}})
    ensembles = "gammafilt/ensemble net/ensemble dropping/ensemble"
    assert folders(runs.ensembles) == ensembles
    assert folders(runs.measured) == f"{folders(runs.single)} {ensembles}"
    assert folders(runs.shown) == f"{folders(runs.first)} {ensembles}"
    assert folders(runs.uncertain) == f"{ensembles} dropping/seed3 dropping/seed1"
    assert folders(runs.behind("net/ensemble")) == "net/seed3 net/seed1"
    assert folders(runs.behind("dropping/seed1")) == "dropping/seed1"


def test_side_tasks_have_runs_of_their_own() -> None:
    runs = runs_of()
    assert runs.tasks == ["repair", "segmentation"]
    assert folders(runs.of_task("repair")) == "mended/seed3 mended/seed1"
    assert runs.side_tasks == runs.of_task("repair") + runs.of_task("segmentation")
    assert runs.first_of("classes").folder == "classes/seed3"
    assert runs_of(variants={"net": VARIANTS["net"]}).tasks == []


def test_where_nothing_is_learned_all_variants_are_drawn() -> None:
    few = {name: VARIANTS[name] for name in ("pointwise", "gammafilt")}
    assert folders(runs_of(variants=few).drawn) == "pointwise/seed3 gammafilt/seed3"


@pytest.mark.parametrize("uncertainty", [{}, {"ensemble": True}])
def test_a_run_comes_back_from_its_row(uncertainty: dict[str, Any]) -> None:
    for run in runs_of(predict={"uncertainty": uncertainty}).measured:
        assert Run.of_row(json.loads(json.dumps(run.row()))) == run


def test_in_tables_an_ensemble_is_a_variant_of_its_own() -> None:
    run = Run("net", 3, "feedforward", "gammafilt", 1, models=2)
    assert run.row() == ["net_ensemble", 3, "feedforward", "gammafilt", 1, 2]
    assert run.columns() == {
        "variant": "net_ensemble",
        "seed": 3,
        "family": "feedforward",
        "generator": "gammafilt",
        "factor": 1,
        "models": 2,
        "kind": "baseline",
    }
    assert Run("a_ensemble", 0, "pix2pix", "net", 1).folder == "a_ensemble/seed0"
    assert Run.of_row(["a_ensemble", 0, "pix2pix", "net", 1, 1]).variant == "a_ensemble"
