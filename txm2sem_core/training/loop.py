"""Epochs, checkpoints, history and the choice of weights."""

from __future__ import annotations

import hashlib
import math
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from torch.optim.lr_scheduler import ReduceLROnPlateau

from txm2sem_core import checkpoint, io
from txm2sem_core.config import TrainSettings
from txm2sem_core.device import choose_device
from txm2sem_core.errors import ConfigError, TrainingError
from txm2sem_core.io import PatchStore
from txm2sem_core.networks import Baseline, ImageGenerator, build_generator
from txm2sem_core.progress import progress
from txm2sem_core.provenance import source_digest
from txm2sem_core.training.batches import Batch, epoch_batches
from txm2sem_core.training.neighbours import NeighbourSlices
from txm2sem_core.training.schedules import build_scheduler
from txm2sem_core.training.steps import Learner, generator_arguments
from txm2sem_core.training.validation import validate

_FIT_PATCHES = 400  # baselines are fitted on the first so many training patches, which are in random places already


@dataclass
class _Progress:
    """What a training has reached, beside the learner's own state."""

    epoch: int = 0
    history: list[dict[str, float]] = field(default_factory=list)
    best_score: float = -float("inf")
    best_weights: dict[str, torch.Tensor] = field(default_factory=dict)


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
) -> None:
    """Train one variant and leave `generator.safetensors`, `model.json` and `history.csv` in `output`.

    Beside them stand `best.safetensors` and `last.safetensors`, the weights of the best epoch and of the last one;
    `generator.safetensors` is the one that `settings.select` chooses. A training that is killed goes on from its last
    full epoch, if settings, seed and patches are the same.

    Args:
        patches: folder of the patch store, at the factor of the settings.
        settings: the variant.
        seed: decides the initial weights, the order of the patches and the noise.
        output: the model's folder.
        name: what the progress calls it.
        device: auto, cpu, cuda or mps.
        tensorboard: write TensorBoard logs to `output/tensorboard`.
        volume: TXM volume at the factor of the settings; read only for `z_penalty.stack`, which needs it.

    Raises:
        ConfigError: patches, volume and settings do not fit, or the device is not there.
        InputError: the volume cannot be read, or has no slices to draw from.
        TrainingError: a loss is not finite.
    """
    store = io.read_patch_store(patches)
    _check_fit(store, settings)
    if settings.family == "baseline":
        generator = _fit_baseline(store, settings)
        scores = validate(generator, store, settings, torch.device("cpu"))
        history = pd.DataFrame([{"epoch": 1, **scores}])
        weights = {"best": generator, "last": generator}
    else:
        learner = Learner(settings, seed, choose_device(device))
        neighbours = _neighbours(store, settings, volume)
        reached = _run_epochs(learner, store, neighbours, seed, output, name, tensorboard)
        history = pd.DataFrame(reached.history)
        last = learner.generator.cpu()
        best = build_generator(**generator_arguments(settings), seed=0)
        best.load_state_dict(reached.best_weights)
        weights = {"best": best, "last": last}
    chosen = "last" if settings.select == "last" else "best"
    description = _describe(store, settings, seed, history, chosen)
    io.write_csv(output / "history.csv", history)
    for which, generator in weights.items():
        checkpoint.save_weights(output / f"{which}.safetensors", generator)
    checkpoint.save_model(output, weights[chosen], description)
    checkpoint.remove_training_states(output)


def _check_fit(store: PatchStore, settings: TrainSettings) -> None:
    if store.factor != settings.factor:
        raise ConfigError(
            f"factor: the variant has {settings.factor}, the patches have {store.factor}. Give its patches."
        )
    if store.context < settings.context:
        raise ConfigError(
            f"context: the variant sees {settings.context} slices on each side, the patches hold {store.context}. "
            "Raise patches.context."
        )


def _neighbours(store: PatchStore, settings: TrainSettings, volume: Path | None) -> NeighbourSlices | None:
    if not settings.z_penalty.stack:
        return None
    if volume is None:
        raise ConfigError("z_penalty.stack: this penalty draws slices from the TXM volume. Give --volume, or set it 0.")
    return NeighbourSlices(io.open_volume(volume), store, settings.context)


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
    name: str,
    tensorboard: bool,
) -> _Progress:
    settings = learner.settings
    optimisers = [learner.optimiser] + ([learner.discriminator_optimiser] if learner.discriminator else [])
    schedulers = [build_scheduler(optimiser, settings.schedule) for optimiser in optimisers]
    state_key = _state_key(store, neighbours, settings, seed)
    reached = _resume(learner, schedulers, output, state_key, name)
    writer = _tensorboard_writer(output) if tensorboard else None
    for epoch in _remaining_epochs(reached, settings, name):
        losses = _run_epoch(learner, store, neighbours, seed, epoch)
        scores = validate(learner.generator, store, settings, learner.device)
        rate = learner.optimiser.param_groups[0]["lr"]
        reached.history.append({"epoch": epoch + 1, "learning_rate": rate, **losses, **scores})
        score = scores["validation_ssim" if settings.select == "best_ssim" else "validation_psnr"]
        if score > reached.best_score:
            reached.best_score = score
            reached.best_weights = {k: v.detach().cpu().clone() for k, v in learner.generator.state_dict().items()}
        for scheduler in schedulers:
            if isinstance(scheduler, ReduceLROnPlateau):
                scheduler.step(score)
            else:
                scheduler.step()
        reached.epoch = epoch + 1
        _save_state(learner, schedulers, reached, output, state_key)
        if writer is not None:
            for key, value in reached.history[-1].items():
                writer.add_scalar(key, value, epoch + 1)
    if writer is not None:
        writer.close()
    return reached


def _remaining_epochs(reached: _Progress, settings: TrainSettings, name: str) -> Iterator[int]:
    total = settings.schedule.total_epochs
    epochs = range(reached.epoch, total)
    for epoch in progress(epochs, f"train {name}", len(epochs), "epochs"):
        yield epoch
        row = reached.history[-1]
        terms = ", ".join(f"{k.removeprefix('loss_')} {v:.4g}" for k, v in row.items() if k.startswith("loss_"))
        print(
            f"train {name}: epoch {epoch + 1} of {total}: validation PSNR {row['validation_psnr']:.2f} dB, "
            f"SSIM {row['validation_ssim']:.4f}; losses: {terms}",
            file=sys.stderr,
            flush=True,
        )


def _run_epoch(
    learner: Learner, store: PatchStore, neighbours: NeighbourSlices | None, seed: int, epoch: int
) -> dict[str, float]:
    """One pass over the training patches; returns each loss term's mean over the steps that had it."""
    # all randomness of an epoch follows from (seed, epoch): a resumed training draws what an undisturbed one draws
    torch.manual_seed((seed + 1) * 1_000_003 + epoch)
    learner.noise.manual_seed((seed + 1) * 2_000_003 + epoch)
    learner.generator.train()
    sums: dict[str, torch.Tensor] = {}
    counts: dict[str, int] = {}
    patches = len(store.of_split("train"))
    first = epoch * math.ceil(patches / learner.settings.batch_size)  # counted over all epochs
    stacks = neighbours.of_epoch(patches, seed, epoch) if neighbours else None
    for step, batch in enumerate(epoch_batches(store, learner.settings, seed, epoch, stacks)):
        update_generator = (first + step + 1) % learner.settings.critic_steps == 0 or learner.discriminator is None
        for key, value in learner.step(batch, update_generator).items():
            sums[key] = sums.get(key, torch.zeros((), device=learner.device)) + value
            counts[key] = counts.get(key, 0) + 1
        if not all(bool(torch.isfinite(total)) for total in sums.values()):
            terms = {key: float(value) for key, value in sums.items()}
            raise TrainingError(
                f"epoch {epoch + 1}, step {step + 1}: a loss is not finite any more (sums so far {terms}). Lower "
                "train.optimiser.learning_rate or the weight of the term; the last full epoch is kept."
            )
    return {key: float(total) / counts[key] for key, total in sums.items()}


def _state_key(store: PatchStore, neighbours: NeighbourSlices | None, settings: TrainSettings, seed: int) -> str:
    """What must be the same for a training to go on where another one stopped."""
    code = source_digest("training", "networks", "losses", "zpenalty", "intensity", "metrics/image")
    text = f"{settings.canonical_json()}|{store.digest}|{seed}|{code}|{torch.__version__}"
    text += f"|{neighbours.fingerprint()}" if neighbours else ""
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _save_state(learner: Learner, schedulers: list[Any], reached: _Progress, output: Path, key: str) -> None:
    state = {
        "generator": learner.generator.state_dict(),
        "optimiser": learner.optimiser.state_dict(),
        "schedulers": [scheduler.state_dict() for scheduler in schedulers],
        "epoch": reached.epoch,
        "history": reached.history,
        "best_score": reached.best_score,
        "best_weights": reached.best_weights,
    }
    if learner.discriminator is not None:
        state["discriminator"] = learner.discriminator.state_dict()
        state["discriminator_optimiser"] = learner.discriminator_optimiser.state_dict()
    checkpoint.save_training_state(checkpoint.training_state_path(output, key), state)


def _resume(learner: Learner, schedulers: list[Any], output: Path, key: str, name: str) -> _Progress:
    path = checkpoint.training_state_path(output, key)
    if not path.exists():
        return _Progress()
    state = checkpoint.load_training_state(path)
    learner.generator.load_state_dict(state["generator"])
    learner.optimiser.load_state_dict(state["optimiser"])
    if learner.discriminator is not None:
        learner.discriminator.load_state_dict(state["discriminator"])
        learner.discriminator_optimiser.load_state_dict(state["discriminator_optimiser"])
    for scheduler, saved in zip(schedulers, state["schedulers"], strict=True):
        scheduler.load_state_dict(saved)
    print(f"train {name}: goes on after epoch {state['epoch']}.", file=sys.stderr)
    return _Progress(state["epoch"], state["history"], state["best_score"], state["best_weights"])


def _describe(
    store: PatchStore, settings: TrainSettings, seed: int, history: pd.DataFrame, chosen: str
) -> dict[str, Any]:
    """What `model.json` says."""
    score = "validation_ssim" if settings.select == "best_ssim" else "validation_psnr"
    epoch = history["epoch"].iloc[-1] if chosen == "last" else history["epoch"].iloc[int(history[score].argmax())]
    return {
        "generator": generator_arguments(settings),
        "normalisation": {"txm": store.txm_range.as_dict(), "sem": store.sem_range.as_dict()},
        "sem_dtype": store.sem_dtype.name,
        "voxel_size_nm": list(store.voxel_size_nm),
        "inference_mode": settings.inference_mode,
        "family": settings.family,
        "seed": seed,
        "selected": {"weights": chosen, "epoch": int(epoch)},
        "settings": settings.model_dump(mode="json"),
        "config_digest": hashlib.sha256(settings.canonical_json().encode()).hexdigest(),
        "patches_sha256": store.digest,
    }


def _tensorboard_writer(output: Path) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise ConfigError(
            "tensorboard: the package is not installed. Run `pip install txm2sem[tensorboard]`."
        ) from error
    return SummaryWriter(str(output / "tensorboard"))
