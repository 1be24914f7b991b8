"""Train a variant, or fit a baseline, and leave its model: checks before, choice of weights and files after."""

from __future__ import annotations

import hashlib
import math
import sys
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from txm2sem_core import checkpoint, io
from txm2sem_core.config import TrainSettings
from txm2sem_core.config.train import BY_PORES
from txm2sem_core.errors import ConfigError, Txm2semError, print_warnings
from txm2sem_core.families import Family, family_of, family_plugin
from txm2sem_core.families.scores import pore_threshold
from txm2sem_core.io import PatchStore
from txm2sem_core.networks import Baseline, ImageGenerator, build_generator, plugin_of
from txm2sem_core.provenance import made_with
from txm2sem_core.runtime.device import choose_device, device_name
from txm2sem_core.runtime.out_of_memory import memory_remedy
from txm2sem_core.training.batches import epoch_batches, further_scans, training_distribution
from txm2sem_core.training.denoised import with_denoised_targets
from txm2sem_core.training.resume import state_key
from txm2sem_core.training.slice_stacks import SliceStacks
from txm2sem_core.training.start import start_of
from txm2sem_core.training.trainer import DIED, Plan, Trainer
from txm2sem_core.training.validation import validate
from txm2sem_core.training.volume_fit import check_volume

_MEMORY_REMEDY = (
    "On a machine or GPU with more memory the same command goes on from the last checkpoint. A smaller batch_size, "
    "generator.width or patches.size_px needs less, and begins again."
)
_HISTORY = "history.csv"
MODEL_FILES = (checkpoint.WEIGHTS_FILE, checkpoint.DESCRIPTION_FILE, "best.safetensors", "last.safetensors")
_SAME_WEIGHT = 1e-6  # of the largest weight
_FIT_PATCHES = 400  # baselines are fitted on the first so many training patches, whose positions are random already


def train_model(
    patches: Path,
    settings: TrainSettings,
    seed: int,
    output: Path,
    *,
    name: str = "model",
    device: str = "auto",
    tensorboard: bool = False,
    volume: Path | None = None,
    measured: Path | None = None,
    overwrite: bool = True,
) -> None:
    """Train one variant and leave `generator.safetensors`, `model.json` and `history.csv` in `output`.

    Beside them stand `best.safetensors` and `last.safetensors`, the weights of the best epoch and of the last one;
    `generator.safetensors` is the one that `settings.select` chooses. A killed training resumes from its last
    checkpoint, if settings, seed and patches are the same, and ends with the same bytes.

    Args:
        patches: folder of the patch store, at the factor of the settings.
        settings: the variant.
        seed: decides the initial weights, the order of the patches and the noise.
        output: the model's folder.
        name: what the progress calls it.
        device: auto, cpu, cuda or mps.
        tensorboard: write TensorBoard logs to `output/tensorboard`.
        volume: TXM volume at the factor of the settings; read only for `z_penalty.stack`, which needs it.
        measured: mask of what was measured of it, also of the finer volume that it was made from; found if not given.
        overwrite: an earlier model of ours in `output`, of other settings, is replaced when this one is trained.

    Raises:
        ConfigError: patches, volume and settings do not fit, or the device is not there; or no weight of the model of
            `settings.init_from` can be taken.
        InputError: the volume cannot be read, has no slices to draw from, or is not that of the patches; or something
            else stands in `output` (see `io.check_output`).
        TrainingError: a loss is not finite or too large, or the process got a signal to end.
        OutOfMemoryError: a step does not fit into memory.
    """
    read = [patches, volume, measured, None if settings.init_from is None else Path(settings.init_from)]
    io.check_output(read, files=[output / file for file in MODEL_FILES])
    store = io.read_patch_store(patches)
    family = family_of(settings, store.scans)
    store = store.of_scans(family.scans).in_memory()
    _check_fit(store, settings)
    with io.exclusive(output, f"train {name}"), memory_remedy(f"train {name}: a step", _MEMORY_REMEDY):
        if not family.rules.trained:
            _fit(Plan(store, None, family, seed, output, "", name), overwrite=overwrite)
            return
        if settings.denoise:
            store = with_denoised_targets(store, settings.denoise, name)
        store, slice_stacks = _with_stacks(store, settings, volume, measured, name)
        start = start_of(family)
        if start is not None:
            print(f"train {name}: starts from {start.model}: {start.fit.text()}.", file=sys.stderr)
        key = state_key(store, slice_stacks, settings, seed, "" if start is None else start.weights_sha256)
        plan = Plan(store, slice_stacks, family, seed, output, key, name, tensorboard, start)
        _train(plan, device, overwrite=overwrite)


def _fit(plan: Plan, *, overwrite: bool) -> None:
    store, family = plan.store, plan.family
    generator = _fit_baseline(plan)
    source, cpu = family.batches(store), torch.device("cpu")
    scores = validate(family, generator, store, source, cpu, pore_threshold(store))
    history = pd.DataFrame([{"epoch": 1, **scores}])
    _save(plan, history, {"best": generator, "last": generator}, "cpu", overwrite=overwrite)


def _train(plan: Plan, device: str, *, overwrite: bool) -> None:
    output = plan.output
    if _is_trained(output, plan.key):
        print(f"train {plan.name}: already trained with the same settings, patches and code.", file=sys.stderr)
        return
    io.check_standing(output / checkpoint.DESCRIPTION_FILE, folder=False, overwrite=overwrite)
    if not checkpoint.training_state_path(output, plan.key).exists():  # else a history may be of this one, half saved
        io.check_standing(output / _HISTORY, folder=False, overwrite=overwrite)
    trainer = Trainer(plan, choose_device(device))
    trainer.run()
    best = build_generator(**plan.family.generator_arguments(), seed=0)
    best.load_state_dict(trainer.reached.best_weights)
    weights = {"best": best, "last": trainer.learner.kept_generator.cpu()}
    for generator in weights.values():
        plan.family.complete(generator, plan.store)
    used, history = device_name(trainer.learner.device), pd.DataFrame(trainer.reached.history)
    chosen, _ = _chosen(history, plan.family)
    warnings = [] if plan.start is None else plan.start.warnings()
    warnings += [DIED] if trainer.is_constant(weights[chosen]) else []
    if _is_untrained(weights[chosen], plan):
        rate = plan.family.settings.optimiser.learning_rate
        warnings.append(
            f"The network was never updated: after {len(history)} epochs its weights are those that it began with. "
            f"Raise train.optimiser.learning_rate, which is {rate:g}, or train for longer."
        )
    _save(plan, history, weights, used, warnings, overwrite=overwrite)


def _is_trained(output: Path, key: str) -> bool:
    """Whether all files are there and whole, left by a training that was the same in all that matters."""
    try:
        model = checkpoint.load_model(output)
    except Txm2semError:
        return False
    whole = all((output / name).is_file() for name in (*MODEL_FILES, _HISTORY))
    return whole and model.description.get("training_key") == key


def _save(
    plan: Plan,
    history: pd.DataFrame,
    weights: dict[str, ImageGenerator],
    used: str,
    warnings: Sequence[str] = (),
    *,
    overwrite: bool,
) -> None:
    """Write the model's files; `used` is the device's name, `warnings` are of the weights."""
    output = plan.output
    chosen, no_criterion = _chosen(history, plan.family)
    found = [*no_criterion, *warnings]
    print_warnings("train", found)
    description = _describe(plan, history, chosen, made_with(used))
    description["warnings"] += found
    description |= {"training_key": plan.key} if plan.key else {}
    io.write_csv(output / _HISTORY, history, overwrite=overwrite)
    description["sha256"] = {_HISTORY: io.sha256_file(output / _HISTORY)}  # a CSV has no room for a mark of its own
    for which, generator in weights.items():
        checkpoint.save_weights(output / f"{which}.safetensors", generator, overwrite=overwrite)
    checkpoint.save_model(output, weights[chosen], description, overwrite=overwrite)
    checkpoint.remove_training_states(output)


def _chosen(history: pd.DataFrame, family: Family) -> tuple[str, list[str]]:
    """Which weights are kept, `best` or `last`, and a warning where the criterion was no number in any epoch."""
    select = family.settings.select
    if select == "last":
        return "last", []
    if any(map(math.isfinite, _criteria(history, family))):
        return "best", []
    return "last", [
        f"train.select = {select} has no value in any epoch, so there is no best one: the last epoch's "
        "weights are kept. Look at the validation patches, or choose another criterion."
    ]


def _criteria(history: pd.DataFrame, family: Family) -> list[float]:
    """The score of each epoch."""
    return [family.criterion(row) for row in history.to_dict("records")]  # type: ignore[arg-type]


def _is_untrained(generator: ImageGenerator, plan: Plan) -> bool:
    """Whether the weights are those that the training began with, but for rounding."""
    begun = build_generator(**plan.family.generator_arguments(), seed=plan.seed)
    if plan.start is not None:
        plan.start.put_into(begun)
    now, before = (torch.cat([p.detach().flatten() for p in each.parameters()]) for each in (generator, begun))
    return bool((now - before).abs().max() <= _SAME_WEIGHT * before.abs().max())


def _check_fit(store: PatchStore, settings: TrainSettings) -> None:
    by_pores = settings.select in BY_PORES and settings.rules.translates
    if by_pores and pore_threshold(store) is None:
        raise ConfigError(
            f"train.select: {settings.select} needs the pores, but the training FIB-SEM slices hold too few grey "
            "levels to be separated into four phases. Choose best_psnr, best_ssim or last."
        )
    steps = settings.schedule.total_epochs * math.ceil(len(store.of_split("train")) / settings.batch_size)
    if settings.rules.adversarial and steps < settings.critic_steps:
        raise ConfigError(
            f"train.critic_steps: {settings.critic_steps} discriminator steps come before the generator's first, but "
            f"the training has {steps}. Lower it, or train for more epochs."
        )
    if store.factor != settings.factor:
        raise ConfigError(
            f"factor: the variant has {settings.factor}, the patches have {store.factor}. Give its patches."
        )
    if store.context < settings.context:
        raise ConfigError(
            f"context: the variant sees {settings.context} slices on each side, the patches hold {store.context}. "
            "Raise patches.context."
        )


def _with_stacks(
    store: PatchStore, settings: TrainSettings, volume: Path | None, measured: Path | None, name: str
) -> tuple[PatchStore, SliceStacks | None]:
    """The source of slice stacks, and the store with the warnings that the volume gives."""
    if not settings.z_penalty.stack:
        return store, None
    if store.scans > 1:
        raise ConfigError(
            f"z_penalty.stack: this penalty compares slices of one TXM scan, but the patches hold {store.scans}. Set "
            "it to 0."
        )
    if volume is None:
        raise ConfigError("z_penalty.stack: this penalty draws slices from the TXM volume. Give --volume, or set it 0.")
    opened = io.with_mask(io.open_volume(volume), measured, store.factor)
    slice_stacks = SliceStacks(opened, store, settings.context)
    found = [warning for warning in check_volume(store, opened) if warning not in store.warnings]
    print_warnings(f"train {name}", found)
    return replace(store, warnings=(*store.warnings, *found)), slice_stacks


def _fit_baseline(plan: Plan) -> ImageGenerator:
    settings = plan.family.settings
    generator = build_generator(**plan.family.generator_arguments(), seed=0)
    still = settings.model_copy(update={"flips": False, "turns": False, "batch_size": _FIT_PATCHES})
    batch = next(epoch_batches(plan.store, still, seed=0, epoch=0))
    if not isinstance(generator, Baseline):
        raise ConfigError(f"generator.name: {settings.generator.name!r} is no baseline; give it another family.")
    generator.fit(batch.txm, batch.sem, batch.mask)
    return generator.eval()


def _describe(plan: Plan, history: pd.DataFrame, chosen: str, made: dict[str, str]) -> dict[str, Any]:
    """What `model.json` says."""
    store, family, settings = plan.store, plan.family, plan.family.settings
    scores = _criteria(history, family)
    epoch = history["epoch"].iloc[-1 if chosen == "last" else scores.index(max(scores))]
    plugins = {"plugin": plugin_of(settings.generator.name), "family_plugin": family_plugin(family.name)}
    return {
        "generator": family.generator_arguments(),
        **{key: plugin for key, plugin in plugins.items() if plugin},
        "normalisation": {"txm": store.txm_range.as_dict(), "sem": store.sem_range.as_dict()},
        "histograms": {"txm": training_distribution(store).as_dict()},
        **further_scans(store),
        "preparation": asdict(store.preparation),
        "sem_dtype": store.sem_dtype.name,
        "txm_dtype": store.txm_dtype.name if store.preparation.is_none else None,
        "voxel_size_nm": list(store.voxel_size_nm),
        "inference_mode": settings.inference_mode,
        "family": settings.family,
        "seed": plan.seed,
        **({} if plan.start is None else {"started_from": plan.start.record()}),
        "selected": {"weights": chosen, "epoch": int(epoch), "criterion": settings.select},
        "settings": settings.model_dump(mode="json"),
        "config_digest": hashlib.sha256(settings.canonical_json().encode()).hexdigest(),
        "patches_sha256": store.digest,
        "made_with": made,
        "warnings": list(store.warnings),
    }
