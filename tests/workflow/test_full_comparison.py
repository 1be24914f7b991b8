"""The full comparison of config/config.yaml: it plans at once, and each of its variants trains for two steps."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from conftest import ROOT, Workflow

from txm2sem_core.config import ScheduleSettings, load_config
from txm2sem_core.intensity import IntensityRange, Preparation
from txm2sem_core.io import PairImages, PatchStore, write_patch_store
from txm2sem_core.training import train_model

CONFIG = load_config(yaml.safe_load((ROOT / "config" / "config.yaml").read_text()))


def test_it_plans_without_data_of_ones_own(tmp_path: Path) -> None:
    workflow = Workflow.create(tmp_path / "plan")
    (workflow.folder / "config").mkdir()
    for name in ("config.yaml", "samples.tsv", "figures.yaml"):
        (workflow.folder / "config" / name).write_bytes((ROOT / "config" / name).read_bytes())
    jobs = workflow.planned("--configfile", "config/config.yaml")
    trained = {job for job in jobs if job.startswith(("train_model", "fit_baseline"))}
    assert len(trained) == len(CONFIG.variants)
    rules = {name: "train_model" if name in CONFIG.trained else "fit_baseline" for name in CONFIG.variants}
    assert {f"{rule} sample=phantom, variant={name}, seed=0" for name, rule in rules.items()} == trained
    assert "write_report" in jobs


def test_it_plans_for_a_cluster(tmp_path: Path) -> None:
    """The profile's groups hold all rules that belong together: Snakemake refuses a circle through a group."""
    planned = Workflow.create(tmp_path / "plan").run("--dry-run", "--workflow-profile", "profiles/slurm")
    assert planned.returncode == 0, planned.stdout
    assert "rule write_provenance:" in planned.stdout


def test_the_published_comparison_is_complete() -> None:
    families = {
        (v.family, v.factor, v.objective, bool(v.z_penalty.weights)) for v in map(CONFIG.variant, CONFIG.variants)
    }
    for penalised in (False, True):
        assert ("feedforward", 1, "vanilla", penalised) in families
        for factor in (2, 4):
            assert ("srcnn", factor, "vanilla", penalised) in families
        for objective in ("vanilla", "wgangp"):
            assert ("pix2pix", 1, objective, penalised) in families
            for factor in (2, 4):
                assert ("srgan", factor, objective, penalised) in families
    baselines = {CONFIG.variant(name).generator.name for name in CONFIG.variants}
    assert {"identity", "bicubic", "linearfilt", "gammafilt"} <= baselines


@pytest.mark.parametrize("name", list(CONFIG.variants))
def test_each_variant_trains_for_two_steps(name: str, tmp_path: Path) -> None:
    """As configured but for the width (the published one takes a GPU) and the number of patches."""
    settings = CONFIG.variant(name)
    steps = 2 * (settings.critic_steps if settings.family in ("pix2pix", "srgan") else 1)
    size, factor = 256, settings.factor
    rng = np.random.default_rng(0)
    sem = rng.integers(0, 255, (size, size), dtype=np.uint8)
    txm = sem[::factor, ::factor].astype(np.uint16)[None] * 200
    pairs = {split: PairImages(txm, sem, np.ones_like(sem)) for split in ("train", "validation", "test")}
    rows = [{"split": "train", "pair": "train"}] * steps
    rows += [{"split": split, "pair": split} for split in ("validation", "test")]
    index = pd.DataFrame(rows).assign(patch=range(len(rows)), z=0, y=0, x=0)
    ranges = IntensityRange(0, 51000), IntensityRange(0, 255)
    store = PatchStore(pairs, index, size, factor, 0, *ranges, (32.0, 32.0, 32.0), Preparation(), "")
    write_patch_store(tmp_path / "patches", store)
    small = settings.model_copy(
        update={
            "batch_size": 1,
            "generator": settings.generator.model_copy(update={"width": 4}),
            "discriminator": settings.discriminator.model_copy(update={"width": 4}),
            "schedule": ScheduleSettings(policy="constant", epochs=1),
        }
    )
    train_model(tmp_path / "patches", small, 0, tmp_path / "model", device="cpu")
    history = pd.read_csv(tmp_path / "model" / "history.csv")
    assert np.isfinite(history.to_numpy()).all()
    for method in settings.z_penalty.weights:
        assert history[f"loss_z_{method}"].gt(0).all()
    if settings.family in ("pix2pix", "srgan"):
        assert {"loss_adversarial", "loss_discriminator"} <= set(history)
