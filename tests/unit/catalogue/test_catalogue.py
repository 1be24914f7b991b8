"""What a run leaves: every figure, table and metric in one list, from which all else follows."""

from __future__ import annotations

import importlib
import inspect
import json
import re
from typing import Any

import numpy as np
import pytest
import yaml
from workflow_rules import REPOSITORY, rules, section

from txm2sem_core.catalogue.figures import FIGURES, Figure, caption_of, figure_names
from txm2sem_core.catalogue.metrics import METRICS, OF_PATCHES, PAPER, Metric, meaning_of, metric_of
from txm2sem_core.catalogue.readme import completed
from txm2sem_core.catalogue.readme import rows as rows_of_readme
from txm2sem_core.catalogue.tables import TABLES, table_files
from txm2sem_core.catalogue.targets import sample_targets
from txm2sem_core.config import Runs, load_config
from txm2sem_core.config.figures import FigureSettings
from txm2sem_core.metrics.scores import SCORES, ImagePair
from txm2sem_core.samples.files import SampleFiles
from txm2sem_core.samples.table import Sample

STYLE = FigureSettings()
VARIANTS: dict[str, Any] = {
    "pointwise": {"family": "baseline", "generator": {"name": "pointwise"}},
    "net": {"family": "feedforward", "generator": {"name": "unet_32"}},
    "x2": {"family": "srcnn", "factor": 2, "generator": {"name": "sr_resnet_4blocks"}},
    "repaired": {"family": "repair"},
    "classes": {"family": "segmentation"},
}
EVERYTHING = {"seeds": [0, 1], "predict": {"uncertainty": {"ensemble": True}}, "tiff_volumes": True}


def sample_of(source: str = "phantom", **changes: Any) -> SampleFiles:
    config = load_config({"variants": VARIANTS, **changes})
    folders = {"pair_z": "find"} if source == "phantom" else {"txm": "own/txm", "sem": "own/sem"}
    return SampleFiles(Sample(sample="a", source=source, **folders), config, Runs(config))  # type: ignore[arg-type]


# --- figures


OF_VOLUMES = {"rock", "sections", "phases", "pore_space", "distributions", "representative"}


def names_of(here: SampleFiles) -> dict[str, list[str]]:
    return {figure.name: figure.names(here, STYLE) for figure in FIGURES}


def test_a_sample_with_everything_has_every_figure() -> None:
    here = sample_of(**EVERYTHING)
    names = names_of(here)
    assert all(names.values())
    assert [name for own in names.values() for name in own] == figure_names(here, STYLE)
    assert names["comparison"] == ["comparison"]
    assert names["montage"] == ["montage_1", "montage_2"]
    assert names["sections"] == ["sections/net", "sections/x2"]
    assert names["uncertainty"] == ["uncertainty/net/ensemble", "uncertainty/x2/ensemble"]
    assert names["side_task"] == ["repair/repaired", "segmentation/classes"]


def test_a_sample_has_the_figures_alone_that_there_is_something_for() -> None:
    several = names_of(sample_of("pairs"))
    assert {name for name, own in several.items() if not own} == OF_VOLUMES | {"uncertainty", "planes"}
    fitted = names_of(sample_of(variants={"pointwise": VARIANTS["pointwise"]}))
    assert {name for name, own in fitted.items() if not own} == {"sections", "uncertainty", "side_task", "curves"}


@pytest.mark.parametrize(
    ("name", "title"),
    [
        ("comparison", "Comparison"),
        ("montage_2", "Test patch 2"),
        ("sections/feedforward_z", "Sections: feedforward z"),
        ("uncertainty/unet/ensemble", "Uncertainty: unet ensemble"),
        ("pore_space", "Pore space"),
        ("repair/net", "Repair: net"),
    ],
)
def test_a_figure_has_its_title_with_its_number_variant_or_run(name: str, title: str) -> None:
    assert caption_of(name).title == title


def values_of(figure: Figure, here: SampleFiles) -> dict[str, str]:
    return {key: str(value) for key, value in figure.values(here, STYLE)[0].items()}


@pytest.mark.parametrize("figure", FIGURES, ids=lambda figure: figure.name)
@pytest.mark.parametrize("source", ["phantom", "pairs"])
def test_the_function_of_a_figure_is_given_what_it_takes_and_takes_what_it_is_given(
    figure: Figure, source: str
) -> None:
    here = sample_of(source, **EVERYTHING)
    if not figure.values(here, STYLE):
        return
    module, _, name = figure.function.partition(":")
    parameters = inspect.signature(getattr(importlib.import_module(f"txm2sem_core.{module}"), name)).parameters
    values = values_of(figure, here)
    sources = figure.sources(here, values)
    given = {*sources.tables, *sources.images, *sources.beside, *figure.params, *values, "style", "common", "outputs"}
    given |= {"store"} if isinstance(sources.store, str) else set()
    needed = {key for key, parameter in parameters.items() if parameter.default is parameter.empty}
    assert needed <= given
    assert given - set(values) <= set(parameters)
    for param in figure.params.values():
        json.dumps(param(here, values))


@pytest.mark.parametrize("figure", FIGURES, ids=lambda figure: figure.name)
def test_every_figure_is_captioned_and_has_a_style(figure: Figure) -> None:
    here = sample_of(**EVERYTHING)
    assert {re.split(r"/|_\d", name)[0] for name in figure.names(here, STYLE)} == set(figure.captions)
    assert all(len(caption.text) > 40 for caption in figure.captions.values())
    assert figure.style in FigureSettings.model_fields


def test_every_style_is_of_a_figure_and_stands_in_the_file_that_users_edit() -> None:
    styles = {"common", *(figure.style for figure in FIGURES)}
    assert styles == set(FigureSettings.model_fields)
    assert styles == set(yaml.safe_load((REPOSITORY / "config/figures.yaml").read_text()))


def test_every_figure_has_a_rule_which_the_cluster_groups_with_the_report() -> None:
    drawn = {name: text for name, text in rules() if name.startswith("draw_")}
    assert set(drawn) == {f"draw_{figure.name}" for figure in FIGURES}
    assert len({section(text, "output") for text in drawn.values()}) == len(FIGURES)
    groups = yaml.safe_load((REPOSITORY / "profiles/slurm/config.yaml").read_text())["groups"]
    assert {groups.get(name) for name in drawn} == {"report"}


# --- tables and targets


def test_a_sample_is_asked_for_the_tables_that_it_can_have() -> None:
    always = "patches.csv summary.csv pairs.csv table.md table.tex table.csv spectra.csv resolution.csv"
    of_volumes, of_rest = (
        "volumes.csv volume_spectra.csv consistency.csv suggestions.csv rock.csv rock_intervals.csv",
        "uncertainty.csv repair.csv segmentation.csv",
    )
    few = {"net": VARIANTS["net"]}
    for here, names in (
        (sample_of("pairs", variants=few), always),
        (sample_of(variants=few), f"{always} {of_volumes}"),
        (sample_of(**EVERYTHING), f"{always} {of_volumes} {of_rest}"),
    ):
        assert table_files(here) == [f"results/a/metrics/{name}" for name in names.split()]


def test_a_rule_makes_every_table() -> None:
    outputs = " ".join(section(text, "output") or "" for _, text in rules())
    for table in TABLES:
        for form in table.forms:
            made = f"<results>/{{sample}}/metrics/{table.name}{form}"
            assert made in outputs or table.name in ("repair", "segmentation"), made


def test_the_targets_of_a_sample() -> None:
    targets = sample_targets(sample_of(**EVERYTHING), STYLE)
    learned = ("net", "x2", "repaired", "classes")
    models = ["pointwise/seed0", *(f"{name}/seed{seed}" for name in learned for seed in range(2))]
    assert targets["models"] == [f"results/a/models/{model}/generator.safetensors" for model in models]
    folders = [*models[:5], "net/ensemble", "x2/ensemble"]
    volumes = [f"results/a/volumes/{folder}/{file}" for folder in folders for file in ("sem.ome.zarr", "sem.tif")]
    uncertain = [f"results/a/volumes/{name}/ensemble/sem_uncertainty.tif" for name in ("net", "x2")]
    assert targets["volumes"] == volumes + uncertain
    assert targets["figures"][:2] == ["results/a/figures/comparison.png", "results/a/figures/comparison.pdf"]
    assert sample_targets(sample_of("pairs"), STYLE)["volumes"] == []


def test_the_readme_of_the_results_names_every_table_and_figure() -> None:
    text = (REPOSITORY / "results/README.md").read_text()
    assert completed(text) == text, "run: python -m txm2sem_core.catalogue.readme results/README.md"
    assert all(row in text.splitlines() for row in rows_of_readme())


# --- metrics


@pytest.mark.parametrize("name", OF_PATCHES)
def test_which_value_of_a_metric_is_better_is_as_it_computes(name: str) -> None:
    """Of an image beside itself, and of another beside it."""
    target, other = (np.random.default_rng(seed).integers(50 * seed, 255, (96, 96)) for seed in (0, 1))
    same, worse = (SCORES[name](ImagePair(image, target, 255.0)) for image in (target, other))
    assert (same < worse) == METRICS[name].lower_is_better
    assert same != worse


def test_metrics_of_patches_are_those_that_are_computed() -> None:
    assert list(OF_PATCHES) == list(SCORES)
    assert set(PAPER) <= set(OF_PATCHES)


def test_a_column_is_the_metric_its_mean_or_that_of_the_truth() -> None:
    assert metric_of("psnr_mean") is METRICS["psnr"]
    assert metric_of("psnr_interpolated_mean") is METRICS["psnr_interpolated"]
    assert metric_of("jitter_z_truth") == Metric("jitter_z_truth", "Jitter along z, truth")
    assert metric_of("neighbour_ssim_z_truth") is METRICS["neighbour_ssim_z_truth"]
    assert metric_of("psnr_stderr") is None
    assert METRICS["psnr"].heading == "PSNR / dB"
    assert METRICS["porosity"].heading == "Porosity"


def test_metrics_of_each_phase_or_axis_share_a_meaning() -> None:
    assert meaning_of("dice_3") == "agreement on a phase, 1 at best"
    assert meaning_of("block_porosity") == "porosity of the block for pore sizes and flow"
    assert meaning_of("permeability_z_nd") == "Stokes flow through the pores"
    assert meaning_of("no_such_metric") == ""


@pytest.mark.parametrize("source", ["phantom", "pairs"])
def test_volumes_that_pass_are_no_targets_but_their_stacks_are(source: str) -> None:
    kept = {**EVERYTHING, "predict": {**EVERYTHING["predict"], "keep": "shown"}}
    here = sample_of(source, **kept)
    here = SampleFiles(here.sample.model_copy(update={"txm_volume": "own/volume"}), here.config, here.runs)
    files = sample_targets(here, STYLE)["volumes"]
    gone = set(here.volumes(here.runs.passing))
    assert gone == {here.volume(f"{name}/seed1") for name in ("net", "x2")}
    assert gone.isdisjoint(files)
    assert {f"{volume.removesuffix('.ome.zarr')}.tif" for volume in gone} <= set(files)
    assert set(here.volumes(here.runs.measured)) - gone < set(files)


def test_a_volume_that_would_pass_unread_is_not_made() -> None:
    def predicted(**changes: Any) -> set[str]:
        here = sample_of(**{"seeds": [0, 1], **changes})
        return {run.folder for run in here.predicted}

    first = {"measure": {"seeds": "first"}}
    shown = {"predict": {"keep": "shown"}}
    every = {"pointwise/seed0", *(f"{name}/seed{seed}" for name in ("net", "x2") for seed in (0, 1))}
    assert predicted() == predicted(**first) == predicted(**shown) == every
    assert predicted(**first, **shown) == {name for name in every if name.endswith("seed0")}
    assert predicted(**first, **shown, tiff_volumes=True) == every
