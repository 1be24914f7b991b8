"""The runs of a configuration, chosen as the stages need them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from txm2sem_core.config import Run, Runs, load_config
from txm2sem_core.errors import ConfigError

VARIANTS: dict[str, Any] = {
    "pointwise": {"family": "baseline", "generator": {"name": "pointwise"}},
    "gammafilt": {"family": "feedforward", "generator": {"name": "gammafilt"}},
    "net": {"family": "feedforward", "generator": {"name": "unet_32"}},
    "dropping": {"family": "srcnn", "factor": 2, "generator": {"name": "sr_resnet_4blocks", "dropout": True}},
    "repaired": {"family": "repair"},
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


@pytest.mark.parametrize(
    ("chosen", "learned"),
    [("all", ("seed3", "seed1")), ("first", ("seed3",)), ([3], ("seed3",)), ([3, 1], ("seed3", "seed1"))],
)
def test_volumes_are_measured_of_the_seeds_that_are_chosen(chosen: Any, learned: tuple[str, ...]) -> None:
    runs = runs_of(measure={"seeds": chosen}, predict={"uncertainty": {"ensemble": True}})
    own = [f"{name}/{seed}" for name in ("gammafilt", "net", "dropping") for seed in learned]
    assert folders(runs.rocks).split() == ["pointwise/seed3", *own]
    assert runs.measured_volumes == runs.rocks + runs.ensembles
    assert set(runs.first) <= set(runs.rocks)  # which figures show
    assert folders(runs.single) == folders(runs_of().single)  # all are predicted, and score their test patches


def test_further_samples_are_measured_of_the_same_seeds() -> None:
    variants = {"flow": {"family": "flow"}}
    runs = runs_of(variants=variants, measure={"seeds": "first"}, predict={"samples": 3})
    assert folders(runs.rocks) == "flow/seed3 flow/seed3_sample2 flow/seed3_sample3"


@pytest.mark.parametrize("chosen", [[1], [3, 5], [1, 3], [3, 3]])
def test_measured_seeds_that_do_not_fit_are_refused(chosen: list[int]) -> None:
    with pytest.raises(ConfigError, match=r"measure.seeds: .* some of seeds, \[3, 1\], each once, and begin with its"):
        runs_of(measure={"seeds": chosen})


def test_side_tasks_have_runs_of_their_own() -> None:
    runs = runs_of()
    assert runs.tasks == ["repair", "segmentation"]
    assert folders(runs.of_task("repair")) == "repaired/seed3 repaired/seed1"
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


def test_what_the_report_does_not_show_passes_if_so_chosen() -> None:
    uncertainty = {"ensemble": True, "dropout_samples": 2}
    assert runs_of(predict={"uncertainty": uncertainty}).passing == ()
    runs = runs_of(predict={"uncertainty": uncertainty, "keep": "shown"})
    assert folders(runs.passing) == "gammafilt/seed1 net/seed1 dropping/seed1"
    assert set(runs.passing) | set(runs.shown) == set(runs.measured)


def test_further_samples_pass_of_every_seed() -> None:
    config = {"seeds": [3, 1], "variants": {"flow": {"family": "flow"}}, "predict": {"samples": 2, "keep": "shown"}}
    runs = Runs(load_config(config))
    assert folders(runs.passing) == "flow/seed1 flow/seed3_sample2 flow/seed1_sample2"
