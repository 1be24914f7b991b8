"""What a change runs again: one case for every row of the tables in config/README.md.

Each case takes the finished tiny run, changes one key or file, and compares the exact set of jobs of a dry run.
"""

from __future__ import annotations

import ast
import copy
import os
import re
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from conftest import FIGURES, ROOT, TINY, Workflow

from txm2sem_core import io
from txm2sem_core.catalogue.figures import FIGURES as CATALOGUE
from txm2sem_core.config.figures import FigureSettings, load_figure_settings

VARIANTS = ("pointwise", "feedforward", "srcnn_x2")
LEARNED = ("feedforward", "srcnn_x2")
COARSE = ("srcnn_x2",)


def jobs_of(rule: str, variants: tuple[str, ...] = VARIANTS, seed: int = 0) -> set[str]:
    def name(variant: str) -> str:
        return "fit_baseline" if rule == "train_model" and variant == "pointwise" else rule

    return {f"{name(variant)} sample=tiny, variant={variant}, seed={seed}" for variant in variants}


def one(*rules: str) -> set[str]:
    return {f"{rule} sample=tiny" for rule in rules}


def sections(variants: tuple[str, ...] = VARIANTS) -> set[str]:
    return {f"draw_sections sample=tiny, variant={variant}" for variant in variants if variant in LEARNED}


REPORT = {"write_report", "write_provenance"}  # the record of the run comes after the report
MONTAGE = {"draw_montage sample=tiny, number=1"}
TABLES = one("summarise_metrics", "summarise_volumes", "suggest_slices")
TRUE_ROCK = one("measure_true_rock", "summarise_rock")
ROCK = {f"measure_rock sample=tiny, variant={variant}, seed=0" for variant in VARIANTS} | TRUE_ROCK
CHARTS = one("draw_spectra")
PORES = one("draw_distributions", "draw_representative", "draw_rock")
MAPS = one("draw_phases", "draw_pore_space")
SUMMARY = one("summarise_consistency")
MEASURED = ("measure_volume", "measure_rock", "measure_consistency")  # of volumes
FORWARD = one("learn_forward_model", "measure_true_consistency") | SUMMARY
FACTOR = {f"{rule} sample=tiny, factor=2" for rule in ("downsample_patches", "downsample_volume")}


def after_prediction(variants: tuple[str, ...]) -> set[str]:
    measured = jobs_of("measure_patches", variants) | jobs_of("measure_volume", variants)
    measured |= jobs_of("measure_rock", variants) | one("summarise_rock")
    measured |= jobs_of("measure_consistency", variants) | SUMMARY
    maps = MAPS if set(variants) & set(LEARNED) else set()
    return measured | TABLES | MONTAGE | sections(variants) | one("draw_comparison") | CHARTS | PORES | maps | REPORT


def after_training(variants: tuple[str, ...]) -> set[str]:
    predicted = jobs_of("predict_test", variants) | jobs_of("predict_volume", variants)
    curves = one("draw_curves") if set(variants) & set(LEARNED) else set()
    return predicted | after_prediction(variants) | curves


# what shows several variants side by side
COMPARED = TABLES | MONTAGE | one("summarise_rock", "draw_comparison", "draw_curves") | CHARTS | PORES | MAPS | REPORT
COMPARED |= SUMMARY
AFTER_MEASURE = (
    jobs_of("measure_patches") | jobs_of("measure_volume") | TABLES | MONTAGE | one("draw_comparison") | CHARTS | REPORT
)
AFTER_ROCK = ROCK | PORES | REPORT
AFTER_PHASES = jobs_of("measure_volume") | one("summarise_volumes") | CHARTS | MAPS | AFTER_ROCK
ALL_FROM_PATCHES = (
    one("extract_patches") | TRUE_ROCK | FORWARD | FACTOR | jobs_of("train_model") | after_training(VARIANTS)
)
ALL_FROM_REGISTER = ALL_FROM_PATCHES | one("register_pairs", "draw_registration")
EVERYTHING = ALL_FROM_REGISTER | one("make_phantom")
PICTURES = MONTAGE | sections() | one("draw_registration", "draw_curves", "draw_comparison")
DRAWN = PICTURES | CHARTS | PORES | MAPS | REPORT
LEARNED_AGAIN = jobs_of("train_model", LEARNED) | after_training(LEARNED)
COARSE_AGAIN = FACTOR | jobs_of("train_model", COARSE) | after_training(COARSE)
ONE_AGAIN = jobs_of("train_model", ("feedforward",)) | after_training(("feedforward",))
NEW_SEED = (
    jobs_of("train_model", LEARNED, 1)
    | jobs_of("predict_test", LEARNED, 1)
    | jobs_of("predict_volume", LEARNED, 1)
    | jobs_of("measure_patches", LEARNED, 1)
    | jobs_of("measure_volume", LEARNED, 1)
    | jobs_of("measure_rock", LEARNED, 1)
    | jobs_of("measure_consistency", LEARNED, 1)
    | SUMMARY
    | one("summarise_rock")
    | TABLES
    | one("draw_curves", "draw_comparison")
    | CHARTS
    | PORES
    | REPORT
)


OF_VOLUMES = {job for rule in MEASURED for job in jobs_of(rule, LEARNED, 1)} | SUMMARY | PORES
OF_VOLUMES |= one("summarise_volumes", "summarise_rock")


def uncertain(rule: str, run: str) -> set[str]:
    return {f"{rule} sample=tiny, run={run}"}


def ensemble(rule: str, variants: tuple[str, ...] = LEARNED) -> set[str]:
    return {f"{rule} sample=tiny, variant={variant}" for variant in variants}


SLABS = {f"{job}, slab={slab}, slabs=2" for job in jobs_of("predict_slab") for slab in (1, 2)}
AFTER_VOLUMES = jobs_of("measure_volume") | jobs_of("measure_rock") | one("summarise_volumes", "summarise_rock")
AFTER_VOLUMES |= jobs_of("measure_consistency") | SUMMARY
AFTER_VOLUMES |= sections() | CHARTS | PORES | MAPS | REPORT
UNCERTAIN_RULES = ("predict_test_uncertainty", "predict_volume_uncertainty", "measure_uncertainty", "draw_uncertainty")
ENSEMBLES = (
    {job for rule in UNCERTAIN_RULES for name in LEARNED for job in uncertain(rule, f"{name}/ensemble")}
    | ensemble("measure_ensemble_patches")
    | ensemble("measure_ensemble_volume")
    | ensemble("measure_ensemble_consistency")
    | one("summarise_uncertainty")
)
DROPOUT = (
    {job for rule in UNCERTAIN_RULES for job in uncertain(rule, "feedforward/seed0")}
    | one("summarise_uncertainty")
    | after_prediction(("feedforward",))
)
# what a key needs beside it to mean anything
ALSO: dict[str, dict[str, Any]] = {key: {"seeds": [0, 1]} for key in ("predict.uncertainty.ensemble", "measure.seeds")}

# key, new value, jobs; `variant:` keys are of the variant `feedforward`
KEYS: list[tuple[str, Any, set[str]]] = [
    ("preset", "paper", EVERYTHING - one("make_phantom", "register_pairs", "draw_registration")),
    ("title", "Another title", REPORT),
    ("seeds", [0, 1], NEW_SEED),
    ("device", "cpu", set()),
    ("tensorboard", True, set()),
    ("memory_gib", 0.5, set()),
    ("container", "txm2sem.sif", REPORT),  # everything with --sdm apptainer, as Snakemake has it
    ("leave_out", ["srcnn_x2"], COMPARED),
    ("plugins", [str(ROOT / "tests/workflow/my_network.py")], jobs_of("train_model") | after_training(VARIANTS)),
    ("phantom.shape", [16, 128, 144], EVERYTHING),
    ("phantom.voxel_size_nm", [30, 30, 30], EVERYTHING),
    ("phantom.seed", 1, EVERYTHING),
    ("phantom.pair_every", 2, EVERYTHING),
    ("phantom.beam_energy_kev", 9, EVERYTHING),
    ("phantom.max_rotation_deg", 2, EVERYTHING),
    ("phantom.max_scale_percent", 1, EVERYTHING),
    ("phantom.max_shift_px", 2, EVERYTHING),
    ("phantom.misfit_px", 1, EVERYTHING),
    ("phantom.psf_fwhm_nm", [100, 90, 90], EVERYTHING),
    ("phantom.photons", 1000, EVERYTHING),
    ("phantom.further_photons", 1000, EVERYTHING),
    ("phantom.sem_electrons", 90, EVERYTHING),
    ("phantom.milled.slices", 1, EVERYTHING),
    ("phantom.milled.tilt_deg", 5, EVERYTHING),
    ("phantom.milled.towards_deg", 5, EVERYTHING),
    ("phantom.milled.turn_deg", 5, EVERYTHING),
    ("phantom.milled.mirrored", True, EVERYTHING),
    ("phantom.milled.pixel", 0.5, EVERYTHING),
    ("phantom.milled.share", 0.3, EVERYTHING),
    ("phantom.milled.spacing", 2, EVERYTHING),
    ("phantom.milled.jitter", 0, EVERYTHING),
    ("phantoms", {"tiny": {"seed": 1}}, EVERYTHING),
    ("register.transform", "affine", ALL_FROM_REGISTER),
    ("register.median_px", 5, ALL_FROM_REGISTER),
    ("register.smooth_px", 1.5, ALL_FROM_REGISTER),
    ("register.levels", 3, ALL_FROM_REGISTER),
    ("register.max_rotation_deg", 12, ALL_FROM_REGISTER),
    ("register.max_tilt_deg", 10, ALL_FROM_REGISTER),
    ("register.max_scale_percent", 12, ALL_FROM_REGISTER),
    ("register.scales", [0.5, 1.5], ALL_FROM_REGISTER),
    ("register.mirrored", False, ALL_FROM_REGISTER),
    ("register.max_shift_fraction", 0.3, ALL_FROM_REGISTER),
    ("register.max_disagreement_px", 3, ALL_FROM_REGISTER),
    ("register.min_overlap", 0.4, ALL_FROM_REGISTER),
    ("register.min_similarity", 0.01, ALL_FROM_REGISTER),
    ("register.bend_px", 3, ALL_FROM_REGISTER),
    ("register.bend_spacing_px", 32, ALL_FROM_REGISTER),
    ("register.landmarks", "exact", ALL_FROM_REGISTER),
    ("register.curtains.direction", "vertical", ALL_FROM_REGISTER),
    ("register.curtains.width_px", 8, ALL_FROM_REGISTER),
    ("register.curtains.length_px", 100, ALL_FROM_REGISTER),
    ("register.refused", "stop", ALL_FROM_REGISTER),
    ("patches.size_px", 48, ALL_FROM_PATCHES),
    ("patches.train", 12, ALL_FROM_PATCHES),
    ("patches.evaluation", "random", ALL_FROM_PATCHES),
    ("patches.evaluation_count", 3, ALL_FROM_PATCHES),
    ("patches.grid_px", 2, ALL_FROM_PATCHES),
    ("patches.context", 0, ALL_FROM_PATCHES),
    ("patches.txm.contrast", 1.2, ALL_FROM_PATCHES),
    ("patches.txm.offset_px", [2, -1], ALL_FROM_PATCHES),
    ("patches.min_uncharged", 0.9, ALL_FROM_PATCHES),
    ("patches.min_nonzero", 0.7, ALL_FROM_PATCHES),
    ("patches.percentiles", [1, 99], ALL_FROM_PATCHES),
    ("patches.split", {"train": 0.6, "validation": 0.2, "test": 0.2}, ALL_FROM_PATCHES),
    ("patches.seed", 1, ALL_FROM_PATCHES),
    ("downsample.method", "nearest", COARSE_AGAIN),
    ("downsample.psf_sigma_px", 0.7, COARSE_AGAIN),
    ("downsample.noise_sigma", 0.1, COARSE_AGAIN),
    ("downsample.seed", 1, COARSE_AGAIN),
    ("train.optimiser", {"learning_rate": 1e-3}, LEARNED_AGAIN),
    ("variant:pixel_loss", "L2", ONE_AGAIN),
    ("variant:pixel_shift_px", 2, ONE_AGAIN),
    ("variant:z_penalty", {"projection": 1e-4}, ONE_AGAIN),
    ("variant:z_penalty", {"stack": 0.1}, ONE_AGAIN),
    ("predict.tile_px", 64, jobs_of("predict_test") | jobs_of("predict_volume") | after_prediction(VARIANTS)),
    ("predict.overlap_px", 16, jobs_of("predict_test") | jobs_of("predict_volume") | after_prediction(VARIANTS)),
    (
        "predict.compute.precision",
        "bfloat16",
        jobs_of("predict_test") | jobs_of("predict_volume") | after_prediction(VARIANTS),
    ),
    ("predict.compute.compile", True, jobs_of("predict_test") | jobs_of("predict_volume") | after_prediction(VARIANTS)),
    (
        "predict.compute.channels_last",
        True,
        jobs_of("predict_test") | jobs_of("predict_volume") | after_prediction(VARIANTS),
    ),
    (
        "predict.compute.accelerate",
        False,
        jobs_of("predict_test") | jobs_of("predict_volume") | after_prediction(VARIANTS),
    ),
    ("predict.jobs", 2, SLABS | jobs_of("predict_volume") | AFTER_VOLUMES),
    ("predict.ome_zarr", "0.4", jobs_of("predict_volume") | AFTER_VOLUMES),
    ("predict.uncertainty.ensemble", True, NEW_SEED | ENSEMBLES),
    ("predict.uncertainty.dropout_samples", 2, DROPOUT),
    ("predict.uncertainty.seed", 1, REPORT),  # of the dropout, which is off here
    ("predict.samples", 3, REPORT),  # which no variant draws here: test_drawn_samples.py
    ("predict.coherence", 0.5, REPORT),
    ("predict.guided_steps", 6, REPORT),  # of samples, likewise
    ("predict.keep", "shown", set()),
    ("tiff_volumes", True, jobs_of("export_volume")),
    ("measure.data_range", 200, AFTER_MEASURE),
    ("measure.phases", 3, AFTER_PHASES),
    ("measure.thresholds", [90], AFTER_PHASES),
    ("measure.segmentation", "labels", AFTER_PHASES | one("place_labels")),
    ("measure.seeds", "first", NEW_SEED - OF_VOLUMES),  # the volume of the other seed is predicted, but not measured
    ("measure.forest.trees", 20, REPORT),  # of the forest, which is not chosen here
    ("measure.forest.depth", 8, REPORT),
    ("measure.forest.largest_px", 4, REPORT),
    ("measure.forest.pixels", 500, REPORT),
    ("measure.forest.seed", 1, REPORT),
    ("measure.rock.cube_px", 64, AFTER_ROCK),
    ("measure.rock.blocks", 2, AFTER_ROCK),
    ("measure.rock.flow", True, AFTER_ROCK),
    ("measure.rock.axes", ["x"], REPORT),  # of the flow, which is off here
]


@pytest.mark.parametrize(("key", "value", "expected"), KEYS, ids=[key for key, _, _ in KEYS])
def test_a_key_runs_again_what_depends_on_it(
    finished: Workflow, tmp_path: Path, key: str, value: Any, expected: set[str]
) -> None:
    config = copy.deepcopy(TINY) | ALSO.get(key, {})
    if key.startswith("variant:"):
        config["variants"]["feedforward"][key.removeprefix("variant:")] = value
    else:
        *groups, last = key.split(".")
        place = config
        for group in groups:
            place = place.setdefault(group, {})
        place[last] = value
    # a dry run changes nothing, so it needs no copy of the results, only another config
    other = tmp_path / "config.yaml"
    other.write_text(yaml.safe_dump(config, sort_keys=False))
    assert finished.planned("--configfile", str(other)) == expected


def other_value(style: str) -> dict[str, Any]:
    """A key of a group of the figures' style, with another value that it may have."""
    group = getattr(load_figure_settings(FIGURES), style)
    key, value = next((key, value) for key, value in group if isinstance(value, bool | int | float))
    other = not value if isinstance(value, bool) else 3 - value if key == "columns" else value * 1.1
    return {key: other}


def drawn_with(style: str) -> set[str]:
    rules = {f"draw_{figure.name}" for figure in CATALOGUE if style in ("common", figure.style)}
    return {job for job in DRAWN if job.split()[0] in rules} | REPORT


STYLES = [
    (style, other_value(style), drawn_with(style))
    for style in ("common", *dict.fromkeys(figure.style for figure in CATALOGUE))
    if drawn_with(style) > REPORT
]


def test_the_style_of_every_figure_of_the_run_is_tried(finished: Workflow) -> None:
    drawn = {job for job in finished.planned("--forceall") if job.startswith("draw_")}
    assert drawn == {job for job in DRAWN if job.startswith("draw_")}
    assert {group for group, _, _ in STYLES} == set(FigureSettings.model_fields) - {"uncertainty"}


@pytest.mark.parametrize(("group", "values", "expected"), STYLES, ids=[group for group, _, _ in STYLES])
def test_a_figures_style_redraws_that_figure_alone(
    finished: Workflow, tmp_path: Path, group: str, values: dict[str, Any], expected: set[str]
) -> None:
    figures = copy.deepcopy(FIGURES)
    figures.setdefault(group, {}).update(values)
    (tmp_path / "figures.yaml").write_text(yaml.safe_dump(figures))
    config = {**copy.deepcopy(TINY), "figures": str(tmp_path / "figures.yaml")}
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config, sort_keys=False))
    assert finished.planned("--configfile", str(tmp_path / "config.yaml")) == expected


def edited(file: Path) -> None:
    """Other code."""
    file.write_text(file.read_text() + "\n_ADDED = 1\n")


def reworded(file: Path) -> None:
    """The same code with other words and another layout."""
    if file.suffix == ".py":
        tree = ast.parse(file.read_text())
        tree.body = tree.body[ast.get_docstring(tree) is not None :]
        text = ast.unparse(tree)  # without comments and blank lines
        file.write_text(f'"""Other words."""\n# a comment\n\n\n{text}\n')
    else:
        file.write_text(file.read_text() + "\n# a comment\n")


def touched(file: Path) -> None:
    later = time.time() + 5
    os.utime(file, (later, later))


TRAINED_AGAIN = jobs_of("train_model") | after_training(VARIANTS)
PREDICTED_AGAIN = jobs_of("predict_test") | jobs_of("predict_volume") | after_prediction(VARIANTS)
OF_METRICS = one("summarise_metrics", "suggest_slices", "draw_comparison", "draw_rock")
FILES: list[tuple[str, Callable[[Path], None], set[str]]] = [
    ("txm2sem_core/training/trainer.py", edited, TRAINED_AGAIN),
    ("txm2sem_core/training/trainer.py", touched, set()),
    ("txm2sem_core/training/trainer.py", reworded, set()),
    ("txm2sem_core/families/pix2pix.py", edited, TRAINED_AGAIN),
    ("txm2sem_core/families/pix2pix.py", reworded, set()),
    ("txm2sem_core/networks/resnet.py", edited, TRAINED_AGAIN),
    ("txm2sem_core/networks/resnet.py", reworded, set()),
    ("txm2sem_core/inference/tiling.py", edited, PREDICTED_AGAIN),
    ("txm2sem_core/metrics/density.py", edited, ALL_FROM_PATCHES),
    ("txm2sem_core/geometry.py", edited, ALL_FROM_REGISTER),
    ("txm2sem_core/metrics/image.py", edited, TRAINED_AGAIN),
    (
        "txm2sem_core/metrics/continuity.py",
        edited,
        jobs_of("measure_volume") | one("summarise_volumes") | CHARTS | REPORT,
    ),
    ("txm2sem_core/metrics/scores.py", edited, AFTER_MEASURE - MONTAGE),
    ("txm2sem_core/catalogue/metrics.py", edited, (OF_METRICS | CHARTS | REPORT) - one("draw_rock")),
    ("txm2sem_core/metrics/pores/permeability.py", edited, AFTER_ROCK),
    ("txm2sem_core/metrics/point_spread.py", edited, FORWARD | TRAINED_AGAIN),  # flows learn what their TXM shows
    ("txm2sem_core/phantom/stage.py", edited, EVERYTHING),
    ("txm2sem_core/plotting/montage.py", edited, MONTAGE | REPORT),
    ("txm2sem_core/plotting/phases.py", edited, one("draw_phases") | REPORT),
    ("txm2sem_core/plotting/images.py", edited, DRAWN - CHARTS - PORES - one("draw_curves", "draw_comparison")),
    ("txm2sem_core/catalogue/figures.py", edited, REPORT),
    ("workflow/scripts/call_function.py", edited, DRAWN),
    ("txm2sem_core/report/page/page.py", edited, REPORT),
    ("txm2sem_core/report/page/templates/report.css", reworded, REPORT),
    ("txm2sem_core/provenance/crate.py", edited, {"write_provenance"}),
    ("txm2sem_core/provenance/machine.py", edited, {"write_provenance"}),
    ("txm2sem_core/config/stages.py", edited, set()),
    ("txm2sem_core/config/families.py", edited, set()),
    ("txm2sem_core/cli.py", edited, set()),
    ("txm2sem_core/errors.py", edited, set()),
    ("workflow/scripts/summarise_volumes.py", edited, one("summarise_volumes", "draw_spectra") | REPORT),
    ("workflow/scripts/summarise_volumes.py", reworded, set()),
    ("workflow/scripts/make_phantom.py", touched, set()),
    ("workflow/scripts/common.py", edited, set()),
    ("workflow/rules/train.smk", reworded, set()),
    ("samples.tsv", touched, set()),
]


@pytest.mark.parametrize(("file", "change", "expected"), FILES, ids=[f"{f} {c.__name__}" for f, c, _ in FILES])
def test_a_file_runs_again_what_is_made_with_it(
    changed: Workflow, file: str, change: Callable[[Path], None], expected: set[str]
) -> None:
    change(changed.folder / file)
    assert changed.planned() == expected


@pytest.mark.parametrize("change", [touched, reworded])
def test_other_times_or_words_of_all_files_run_nothing_again(changed: Workflow, change: Callable[[Path], None]) -> None:
    """As after a checkout to and fro, a copy, or a formatter."""
    made = [changed.folder / name for name in ("results", ".snakemake")]
    files = [file for file in changed.folder.rglob("*") if file.is_file() and not set(made) & set(file.parents)]
    chosen = files if change is touched else [file for file in files if file.suffix in (".py", ".smk")]
    assert len(chosen) > 200
    for file in chosen:
        change(file)
    assert changed.planned() == set()


@pytest.mark.parametrize("backwards", [False, True])
def test_results_that_were_copied_without_their_times_are_as_good_as_before(changed: Workflow, backwards: bool) -> None:
    """Every file is new, in the order of names. At the real size, what is large is more than Snakemake compares."""
    now = time.time()
    for number, file in enumerate(sorted((changed.folder / "results").rglob("*"), reverse=backwards)):
        if file.is_file():
            os.utime(file, (now + number / 100,) * 2)
    assert changed.planned() == set()
    large = [file for file in (changed.folder / "results").rglob("*.safetensors") if file.stat().st_size > 16_000]
    assert len(large) > 5
    again = changed.planned("--max-checksum-file-size", "16000")
    assert again <= REPORT | PORES  # whose inputs are tables and pictures


def test_predictions_of_another_content_are_measured_again(changed: Workflow) -> None:
    """Their digest tells, whatever the times say."""
    digest = changed.folder / "results/tiny/volumes/feedforward/seed0/sem.digest"
    os.utime(digest, (time.time() + 5,) * 2)
    assert changed.planned() == set()
    digest.write_text(digest.read_text().replace('"sha256": "', '"sha256": "0'))
    expected = {f"{rule} sample=tiny, variant=feedforward, seed=0" for rule in MEASURED}
    expected |= one("summarise_volumes", "summarise_rock") | SUMMARY | CHARTS | PORES | MAPS | REPORT
    assert changed.planned() - {"draw_sections sample=tiny, variant=feedforward"} == expected


def test_labels_run_only_measures_again(changed: Workflow) -> None:
    """Labels are drawn in rounds: neither a forest nor other labels may run a registration or training again."""
    forest = {**copy.deepcopy(TINY), "measure": {"segmentation": "forest"}}
    changed.write_config(forest)
    shape = io.read_image(changed.folder / "results/tiny/raw/sem/SEM001.tif").shape
    bands = np.broadcast_to(np.arange(shape[1], dtype=np.uint8) // 16 % 5, shape)
    io.write_tiff(changed.folder / "labels/labels001.tif", bands)
    target = "results/tiny/metrics/truth/rock.json"
    result = changed.run(target)
    assert result.returncode == 0, result.stdout
    assert changed.planned(target) == set()
    shutil.copy(changed.folder / "labels/labels001.tif", changed.folder / "labels/labels002.tif")
    assert changed.planned(target) == one("place_labels", "measure_true_rock")
    changed.write_config(forest | {"measure": {"segmentation": "forest", "forest": {"seed": 1}}})
    (changed.folder / "labels/labels002.tif").unlink()
    assert changed.planned(target) == one("measure_true_rock")


def test_the_users_raw_files_count_by_content(finished: Workflow, tmp_path: Path) -> None:
    """A touched or copied raw file runs nothing again; other pixels run the sample's pipeline again."""
    raw = tmp_path / "raw"
    shutil.copytree(finished.folder / "results" / "tiny" / "raw", raw)
    samples = f"sample\tsource\ttxm\tsem\tcharge\ttxm_volume\tpair_z\nown\tpairs\t{raw}/txm\t{raw}/sem\t{raw}/charge"
    config = {**copy.deepcopy(TINY), "register": {"min_similarity": 0.01}}
    workflow = Workflow.create(tmp_path / "own", config, samples + f"\t{raw}/txm_volume\t1:16:3\n")
    target = "results/own/patches/store.json"
    result = workflow.run(target)
    assert result.returncode == 0, result.stdout
    assert workflow.planned(target) == set()
    touched(raw / "sem" / "SEM000.tif")
    assert workflow.planned(target) == set()
    shutil.copy(raw / "sem" / "SEM001.tif", raw / "sem" / "SEM000.tif")
    assert workflow.planned(target) == {"register_pairs sample=own", "extract_patches sample=own"}


def _is_tested(key: str, tested: set[str]) -> bool:
    """Whether the key, or the group that holds it, has a case."""
    parts = key.split(".")
    return any(".".join(parts[:count]) in tested for count in range(1, len(parts) + 1))


def test_every_row_of_the_documentation_is_tested() -> None:
    """Keys that config/README.md says run something again, against the cases above."""
    text = (ROOT / "config" / "README.md").read_text()
    stages = re.split(r"^## ", text, flags=re.MULTILINE)
    tested = {key for key, _, _ in KEYS}
    missing = []
    for section in stages:
        stage = re.match(r"`(\w+):`", section)
        prefix = f"{stage[1]}." if stage else ""
        if "a change runs again" not in section:
            continue
        for cell in re.findall(r"^\| (`[^|]*) \|", section, flags=re.MULTILINE):
            missing += [
                f"{prefix}{key}" for key in re.findall(r"`([\w.]+)`", cell) if not _is_tested(f"{prefix}{key}", tested)
            ]
    # paths: the tests above change what they lead to; equalisation and further scans are refused beside
    # super-resolution, as here; the phantom's super-resolution must be the one of the sample table
    refused = ["phantom.super_resolution", "phantom.further_energies_kev", "patches.txm.equalise"]
    assert missing == ["samples", "figures", "results_dir", *refused]
