"""Epochs, checkpoints, history and the choice of weights."""

from __future__ import annotations

import hashlib
import math
import sys
import threading
from collections.abc import Iterator
from dataclasses import asdict, replace
from itertools import islice
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from torch.optim.lr_scheduler import ReduceLROnPlateau

from txm2sem_core import checkpoint, io
from txm2sem_core.config import TrainSettings
from txm2sem_core.config.train import ADVERSARIAL, BY_PORES, SIDE_TASKS
from txm2sem_core.errors import ConfigError, InputError, TrainingError, Txm2semError, print_warnings
from txm2sem_core.families.architecture import generator_arguments
from txm2sem_core.io import PatchStore
from txm2sem_core.networks import Baseline, ImageGenerator, build_generator, inference, plugin_of
from txm2sem_core.provenance import made_with
from txm2sem_core.runtime.device import choose_device, device_name
from txm2sem_core.runtime.out_of_memory import memory_remedy
from txm2sem_core.runtime.progress import progress
from txm2sem_core.training.batches import Batch, epoch_batches, evaluation_batches, training_spread
from txm2sem_core.training.neighbours import NeighbourSlices
from txm2sem_core.training.resume import Checkpoint, Reached, place_of, state_key, termination
from txm2sem_core.training.schedules import build_scheduler
from txm2sem_core.training.selection import criterion, pore_threshold
from txm2sem_core.training.steps import Learner
from txm2sem_core.training.tasks import Task, task_of
from txm2sem_core.training.validation import validate
from txm2sem_core.training.volume_fit import check_volume

_SHOWN_SCORES = (
    ("validation_psnr", "PSNR / dB", ".2f"),
    ("validation_ssim", "SSIM", ".4f"),
    ("validation_dice", "Dice", ".4f"),
)
_MEMORY_REMEDY = (
    "On a machine or GPU with more memory the same command goes on from the last checkpoint. A smaller batch_size, "
    "generator.width or patches.size_px needs less, and begins anew."
)
_DIED = (
    "The network predicts one value everywhere: it has died, or was never trained. Lower "
    "train.optimiser.learning_rate, or look at the losses in history.csv."
)
_NO_VALUE = (
    "train.select = {} has no value. Where it has none in any epoch, the last one's weights are kept. Look at the "
    "validation patches, or choose another criterion."
)
_HISTORY = "history.csv"
MODEL_FILES = (checkpoint.WEIGHTS_FILE, checkpoint.DESCRIPTION_FILE, "best.safetensors", "last.safetensors")
_SAME_VALUE = 1e-6  # in units of a network's range
_FIT_PATCHES = 400  # baselines are fitted on the first so many training patches, which are in random places already


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
    `generator.safetensors` is the one that `settings.select` chooses. A training that is killed goes on from its last
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
        ConfigError: patches, volume and settings do not fit, or the device is not there.
        InputError: the volume cannot be read, has no slices to draw from, or is not that of the patches; or something
            else stands in `output` (see `io.check_output`).
        TrainingError: a loss is not finite or too large, or the process was asked to end.
        OutOfMemoryError: a step does not fit into memory.
    """
    io.check_output([patches, volume, measured], files=[output / file for file in MODEL_FILES])
    store = io.read_patch_store(patches).in_memory()
    _check_fit(store, settings)
    with io.exclusive(output, f"train {name}"), memory_remedy(f"train {name}: a step", _MEMORY_REMEDY):
        if settings.family == "baseline":
            _fit(store, settings, seed, output, overwrite=overwrite)
        else:
            store, neighbours = _with_neighbours(store, settings, volume, measured, name)
            _train(store, neighbours, settings, seed, output, name, device, tensorboard, overwrite=overwrite)


def _fit(store: PatchStore, settings: TrainSettings, seed: int, output: Path, *, overwrite: bool) -> None:
    generator = _fit_baseline(store, settings)
    scores = validate(generator, store, settings, torch.device("cpu"), Task(), pore_threshold(store))
    history = pd.DataFrame([{"epoch": 1, **scores}])
    weights = {"best": generator, "last": generator}
    _save(store, settings, seed, output, history, weights, "cpu", overwrite=overwrite)


def _train(
    store: PatchStore,
    neighbours: NeighbourSlices | None,
    settings: TrainSettings,
    seed: int,
    output: Path,
    name: str,
    device: str,
    tensorboard: bool,
    *,
    overwrite: bool,
) -> None:
    key = state_key(store, neighbours, settings, seed)
    if _is_trained(output, key):
        print(f"train {name}: already trained with the same settings, patches and code.", file=sys.stderr)
        return
    io.check_standing(output / checkpoint.DESCRIPTION_FILE, folder=False, overwrite=overwrite)
    if not checkpoint.training_state_path(output, key).exists():  # else a history may be of this training, half saved
        io.check_standing(output / _HISTORY, folder=False, overwrite=overwrite)
    learner = Learner(settings, seed, choose_device(device))
    reached = _run_epochs(learner, store, neighbours, seed, output, key, name, tensorboard)
    best = build_generator(**generator_arguments(settings), seed=0)
    best.load_state_dict(reached.best_weights)
    weights = {"best": best, "last": learner.kept_generator.cpu()}
    used = device_name(learner.device)
    _save(store, settings, seed, output, pd.DataFrame(reached.history), weights, used, key, overwrite=overwrite)


def _is_trained(output: Path, key: str) -> bool:
    """Whether all files are there and whole, left by a training that was the same in all that matters."""
    try:
        model = checkpoint.load_model(output)
    except Txm2semError:
        return False
    whole = all((output / name).is_file() for name in (*MODEL_FILES, _HISTORY))
    return whole and model.description.get("training_key") == key


def _training_key(output: Path) -> str | None:
    """That of the model which stands in `output`, whole or not; None if there is none that says so."""
    try:
        return str(io.read_json(output / checkpoint.DESCRIPTION_FILE)["training_key"])
    except (InputError, KeyError, TypeError):
        return None


def _save(
    store: PatchStore,
    settings: TrainSettings,
    seed: int,
    output: Path,
    history: pd.DataFrame,
    weights: dict[str, ImageGenerator],
    used: str,
    key: str | None = None,
    *,
    overwrite: bool,
) -> None:
    chosen, warnings = _chosen(history, settings)
    if settings.family != "baseline" and _is_constant(weights[chosen], store, settings, torch.device("cpu")):
        warnings.append(_DIED)
    if settings.family != "baseline" and _is_untrained(weights[chosen], settings, seed):
        warnings.append(
            f"The network was never updated: after {len(history)} epochs its weights are those that it began with. "
            f"Raise train.optimiser.learning_rate, which is {settings.optimiser.learning_rate:g}, or train for longer."
        )
    print_warnings("train", warnings)
    description = _describe(store, settings, seed, history, chosen, made_with(used))
    description["warnings"] += warnings
    description |= {} if key is None else {"training_key": key}
    io.write_csv(output / _HISTORY, history, overwrite=overwrite)
    description["sha256"] = {_HISTORY: io.sha256_file(output / _HISTORY)}  # a CSV has no room for a mark of its own
    for which, generator in weights.items():
        checkpoint.save_weights(output / f"{which}.safetensors", generator, overwrite=overwrite)
    checkpoint.save_model(output, weights[chosen], description, overwrite=overwrite)
    checkpoint.remove_training_states(output)


def _chosen(history: pd.DataFrame, settings: TrainSettings) -> tuple[str, list[str]]:
    """Which weights are kept, `best` or `last`, and a warning where the criterion was no number in any epoch."""
    if settings.select == "last":
        return "last", []
    scores = [criterion(row, settings.select) for row in history.to_dict("records")]  # type: ignore[arg-type]
    if any(map(math.isfinite, scores)):
        return "best", []
    return "last", [
        f"train.select = {settings.select} has no value in any epoch, so there is no best one: the last epoch's "
        "weights are kept. Look at the validation patches, or choose another criterion."
    ]


def _is_untrained(generator: ImageGenerator, settings: TrainSettings, seed: int) -> bool:
    """Whether the weights are those that the training began with, but for rounding."""
    begun = build_generator(**generator_arguments(settings), seed=seed)
    now, before = (torch.cat([p.detach().flatten() for p in each.parameters()]) for each in (generator, begun))
    return bool((now - before).abs().max() <= _SAME_VALUE * before.abs().max())


def _is_constant(generator: ImageGenerator, store: PatchStore, settings: TrainSettings, device: torch.device) -> bool:
    """Whether the first validation patches are predicted as one value."""
    batch = next(task_of(store, settings).validation(evaluation_batches(store, "validation", settings.context, 4)))
    with inference(generator, settings.inference_mode):
        made = generator(batch.txm.to(device))
    return bool((made - made.flatten()[0]).abs().max() < _SAME_VALUE)


def _check_fit(store: PatchStore, settings: TrainSettings) -> None:
    by_pores = settings.select in BY_PORES and settings.family not in SIDE_TASKS
    if by_pores and pore_threshold(store) is None:
        raise ConfigError(
            f"train.select: {settings.select} needs the pores, but the training FIB-SEM slices hold too few grey "
            "levels to be parted into four phases. Choose best_psnr, best_ssim or last."
        )
    steps = settings.schedule.total_epochs * math.ceil(len(store.of_split("train")) / settings.batch_size)
    if settings.family in ADVERSARIAL and steps < settings.critic_steps:
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


def _with_neighbours(
    store: PatchStore, settings: TrainSettings, volume: Path | None, measured: Path | None, name: str
) -> tuple[PatchStore, NeighbourSlices | None]:
    """What neighbours are drawn from, and the store with the warnings that the volume gives."""
    if not settings.z_penalty.stack:
        return store, None
    if volume is None:
        raise ConfigError("z_penalty.stack: this penalty draws slices from the TXM volume. Give --volume, or set it 0.")
    opened = io.with_mask(io.open_volume(volume), measured, store.factor)
    neighbours = NeighbourSlices(opened, store, settings.context)
    found = [warning for warning in check_volume(store, opened) if warning not in store.warnings]
    print_warnings(f"train {name}", found)
    return replace(store, warnings=(*store.warnings, *found)), neighbours


def _fit_baseline(store: PatchStore, settings: TrainSettings) -> ImageGenerator:
    generator = build_generator(**generator_arguments(settings), seed=0)
    still = settings.model_copy(update={"flips": False, "turns": False, "batch_size": _FIT_PATCHES})
    batch: Batch = next(epoch_batches(store, still, seed=0, epoch=0))
    if not isinstance(generator, Baseline):
        raise ConfigError(f"generator.name: {settings.generator.name!r} is no baseline; give it another family.")
    generator.fit(batch.txm, batch.sem, batch.mask)
    return generator.eval()


def _run_epochs(
    learner: Learner,
    store: PatchStore,
    neighbours: NeighbourSlices | None,
    seed: int,
    output: Path,
    key: str,
    name: str,
    tensorboard: bool,
) -> Reached:
    settings = learner.settings
    schedulers = [build_scheduler(optimiser, settings.schedule) for optimiser in learner.optimisers]
    checkpoint_ = Checkpoint(learner, schedulers, output, key)
    reached = Reached()
    checkpoint_.load(reached, name)
    threshold = pore_threshold(store)
    task, said = task_of(store, settings), set[str]()
    writer = _tensorboard_writer(output) if tensorboard else None
    with termination() as asked_to_end:
        for epoch in _remaining_epochs(reached, settings, name):
            losses = _run_epoch(learner, store, neighbours, seed, task, reached, checkpoint_, asked_to_end)
            scores = validate(learner.kept_generator, store, settings, learner.device, task, threshold)
            rate = learner.optimiser.param_groups[0]["lr"]
            reached.history.append({"epoch": epoch + 1, "learning_rate": rate, **losses, **scores})
            score = criterion(scores, settings.select)
            for doubt in _doubts(learner, store, settings, score, said):
                print(f"train {name}: warning: after epoch {epoch + 1}: {doubt}", file=sys.stderr)
            if score > reached.best_score or not reached.best_weights:
                reached.best_score = score
                weights = learner.kept_generator.state_dict()
                reached.best_weights = {key: value.detach().cpu().clone() for key, value in weights.items()}
            for scheduler in schedulers:
                if isinstance(scheduler, ReduceLROnPlateau):
                    scheduler.step(next(iter(scores.values())))
                else:
                    scheduler.step()
            reached.epoch, reached.step, reached.sums, reached.counts = epoch + 1, 0, {}, {}
            checkpoint_.save(reached)
            if writer is not None:
                for key, value in reached.history[-1].items():
                    writer.add_scalar(key, value, epoch + 1)
    if writer is not None:
        writer.close()
    return reached


def _doubts(learner: Learner, store: PatchStore, settings: TrainSettings, score: float, said: set[str]) -> list[str]:
    """What makes the rest of a training doubtful, as soon as an epoch shows it; each once, as kept in `said`."""
    found = []
    if _DIED not in said and _is_constant(learner.kept_generator, store, settings, learner.device):
        found.append(_DIED)
    if not math.isfinite(score) and _NO_VALUE not in said and settings.select != "last":
        found.append(_NO_VALUE)
    said.update(found)
    return [text.format(settings.select) for text in found]


def _remaining_epochs(reached: Reached, settings: TrainSettings, name: str) -> Iterator[int]:
    total = settings.schedule.total_epochs
    epochs = range(reached.epoch, total)
    for epoch in progress(epochs, f"train {name}", len(epochs), "epochs"):
        yield epoch
        row = reached.history[-1]
        terms = ", ".join(f"{k.removeprefix('loss_')} {v:.4g}" for k, v in row.items() if k.startswith("loss_"))
        scores = ", ".join(f"{label} {row[key]:{form}}" for key, label, form in _SHOWN_SCORES if key in row)
        print(
            f"train {name}: epoch {epoch + 1} of {total}: validation {scores}; losses: {terms}",
            file=sys.stderr,
            flush=True,
        )


def _run_epoch(
    learner: Learner,
    store: PatchStore,
    neighbours: NeighbourSlices | None,
    seed: int,
    task: Task,
    reached: Reached,
    checkpoint_: Checkpoint,
    asked_to_end: threading.Event,
) -> dict[str, float]:
    """What is left of one pass over the training patches; returns each loss term's mean over the steps that had it."""
    epoch, batch_size = reached.epoch, learner.settings.batch_size
    if reached.step == 0:
        # all randomness of an epoch follows from (seed, epoch)
        torch.manual_seed((seed + 1) * 1_000_003 + epoch)
        learner.noise.manual_seed((seed + 1) * 2_000_003 + epoch)
    learner.generator.train()
    patches = len(store.of_split("train"))
    first = epoch * math.ceil(patches / batch_size)  # counted over all epochs
    done = reached.step * batch_size
    stacks = islice(neighbours.of_epoch(patches, seed, epoch), done, None) if neighbours else None
    batches = epoch_batches(store, learner.settings, seed, epoch, stacks, start=done)
    for batch in task.training(batches, seed, epoch, done):
        update_generator = (first + reached.step + 1) % learner.settings.critic_steps == 0
        terms = learner.step(batch, update_generator or learner.discriminator is None)
        _check_losses(terms, learner.settings.loss_limit, reached, checkpoint_)
        for key, value in terms.items():
            reached.sums[key] = reached.sums.get(key, torch.zeros((), device=learner.device)) + value
            reached.counts[key] = reached.counts.get(key, 0) + 1
        reached.step += 1
        if asked_to_end.is_set():
            checkpoint_.save(reached)
            raise TrainingError(
                f"{place_of(reached)}: asked to end (SIGTERM). The state is saved in {checkpoint_.path}; the same "
                "command goes on from there."
            )
        checkpoint_.save_if_due(reached)
    checkpoint_.check_weights(reached)
    return {key: float(total) / reached.counts[key] for key, total in reached.sums.items()}


def _check_losses(terms: dict[str, torch.Tensor], limit: float, reached: Reached, checkpoint_: Checkpoint) -> None:
    values = dict(zip(terms, torch.stack(list(terms.values())).tolist(), strict=True))  # a GPU is waited for once
    if all(abs(value) <= limit for value in values.values()):  # false for what is not a number, too
        return
    finite = all(math.isfinite(value) for value in values.values())
    fault = f"exceeds train.loss_limit = {limit:g}" if finite else "is not finite"
    listed = ", ".join(f"{name.removeprefix('loss_')} {value:.6g}" for name, value in values.items())
    raise TrainingError(
        f"epoch {reached.epoch + 1}, step {reached.step + 1}: a loss {fault} ({listed}). {checkpoint_.remedy()}"
    )


def _describe(
    store: PatchStore, settings: TrainSettings, seed: int, history: pd.DataFrame, chosen: str, made: dict[str, str]
) -> dict[str, Any]:
    """What `model.json` says."""
    scores = [criterion(row, settings.select) for row in history.to_dict("records")]  # type: ignore[arg-type]
    epoch = history["epoch"].iloc[-1 if chosen == "last" else scores.index(max(scores))]
    plugin = plugin_of(settings.generator.name)
    return {
        "generator": generator_arguments(settings),
        **({"plugin": plugin} if plugin else {}),
        "normalisation": {"txm": store.txm_range.as_dict(), "sem": store.sem_range.as_dict()},
        "histograms": {"txm": training_spread(store).as_dict()},
        "preparation": asdict(store.preparation),
        "sem_dtype": store.sem_dtype.name,
        "txm_dtype": store.txm_dtype.name if store.preparation.is_none else None,
        "voxel_size_nm": list(store.voxel_size_nm),
        "inference_mode": settings.inference_mode,
        "family": settings.family,
        "seed": seed,
        "selected": {"weights": chosen, "epoch": int(epoch), "criterion": settings.select},
        "settings": settings.model_dump(mode="json"),
        "config_digest": hashlib.sha256(settings.canonical_json().encode()).hexdigest(),
        "patches_sha256": store.digest,
        "made_with": made,
        "warnings": list(store.warnings),
    }


def _tensorboard_writer(output: Path) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise ConfigError("tensorboard: the package is not installed. Run `pip install tensorboard`.") from error
    return SummaryWriter(str(output / "tensorboard"))
