"""Going on where a training was killed: its whole state, saved after every epoch and every few minutes within it."""

from __future__ import annotations

import hashlib
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau

from txm2sem_core import checkpoint
from txm2sem_core.config import TrainSettings
from txm2sem_core.errors import TrainingError
from txm2sem_core.families import Learner, family_file
from txm2sem_core.io import PatchStore
from txm2sem_core.networks import plugin_file
from txm2sem_core.provenance import code_digest
from txm2sem_core.training.slice_stacks import SliceStacks

SAVE_SECONDS = 300.0
SAVE_SECONDS_VARIABLE = "TXM2SEM_SAVE_SECONDS"  # changes no result, so it is no setting


@dataclass
class Progress:
    """How far a training has come, beside the learner's own state."""

    epoch: int = 0  # epochs that are complete
    step: int = 0  # steps of the next one that are
    sums: dict[str, torch.Tensor] = field(default_factory=dict)  # of the loss terms of these steps
    counts: dict[str, int] = field(default_factory=dict)  # steps that had the term
    history: list[dict[str, float]] = field(default_factory=list)
    best_score: float = -float("inf")
    best_weights: dict[str, torch.Tensor] = field(default_factory=dict)


def state_key(
    store: PatchStore, slice_stacks: SliceStacks | None, settings: TrainSettings, seed: int, start: str = ""
) -> str:
    """A digest of all that must be equal for a training to resume from a checkpoint.

    `start` tells the weights that it starts from, apart from those that the seed draws.
    """
    own = dict.fromkeys([plugin_file(settings.generator.name), family_file(settings.family)])
    code = code_digest("training:train_model", *(file for file in own if file is not None))
    text = f"{settings.canonical_json()}|{store.digest}|{seed}|{code}|{torch.__version__}"
    text += f"|{slice_stacks.fingerprint()}" if slice_stacks else ""
    text += f"|{start}" if start else ""
    return hashlib.sha256(text.encode()).hexdigest()[:16]


class Checkpoint:
    """The file from which a killed training resumes; replaced by a newer one only when that is complete."""

    def __init__(
        self, learner: Learner, schedulers: list[LRScheduler | ReduceLROnPlateau], output: Path, key: str
    ) -> None:
        self.path = checkpoint.training_state_path(output, key)
        self._learner, self._schedulers = learner, schedulers
        self._seconds = float(os.environ.get(SAVE_SECONDS_VARIABLE, SAVE_SECONDS))
        self._saved_at = time.monotonic()
        self._saved_text = "none yet"

    def load(self, reached: Progress, name: str) -> None:
        """Take up what an earlier run has left, if there is anything; says so on stderr."""
        if not self.path.exists():
            return
        state = checkpoint.load_training_state(self.path)
        self._learner.load_state_dict(state["learner"])
        for scheduler, saved in zip(self._schedulers, state["schedulers"], strict=True):
            scheduler.load_state_dict(saved)
        set_random_state(state["random"])
        for key, value in state["reached"].items():
            setattr(reached, key, value)
        device = self._learner.device
        reached.sums = {key: value.to(device) for key, value in reached.sums.items()}
        self._saved_text = progress_text(reached)
        print(f"train {name}: goes on after {self._saved_text}.", file=sys.stderr)

    def save(self, reached: Progress) -> None:
        """Write the state.

        Raises:
            TrainingError: a weight is not finite; the earlier state stays.
        """
        self.check_weights(reached)
        state = {
            "learner": self._learner.state_dict(),
            "schedulers": [scheduler.state_dict() for scheduler in self._schedulers],
            "random": random_state(),
            "reached": vars(reached),
        }
        checkpoint.save_training_state(self.path, state)
        self._saved_at, self._saved_text = time.monotonic(), progress_text(reached)

    def check_weights(self, reached: Progress) -> None:
        """Refuse weights that are not finite: the losses of a step are of the weights before it.

        Raises:
            TrainingError: names the weights.
        """
        for key, value in self._learner.generator.state_dict().items():
            if not torch.isfinite(value).all():
                raise TrainingError(
                    f"{progress_text(reached)}: the weights {key} are not finite any more. {self.remedy()}"
                )

    def is_due(self) -> bool:
        """Whether the last one is some minutes old."""
        return time.monotonic() - self._saved_at >= self._seconds

    def remedy(self) -> str:
        """What to do about a training that failed, and what is left of it."""
        kept = f"after {self._saved_text}: {self.path}" if self.path.exists() else "none yet"
        return (
            "Lower train.optimiser.learning_rate or the weight of the term, or raise train.loss_limit. "
            f"Last good checkpoint: {kept}"
        )


def progress_text(reached: Progress) -> str:
    """The progress in words, counted from 1."""
    return f"epoch {reached.epoch + 1}, step {reached.step}" if reached.step else f"epoch {reached.epoch}"


def random_state() -> dict[str, Any]:
    """The state of torch's global generators, which dropout draws from: the CPU's, and that of the GPU in use.

    Only that GPU's: a training may resume on another GPU, or on a machine with fewer of them. A training on the CPU
    asks no GPU, which would take half a gigabyte of its memory.
    """
    on_gpu = torch.cuda.is_initialized()  # type: ignore[no-untyped-call]
    return {"cpu": torch.get_rng_state(), "cuda": [torch.cuda.get_rng_state()] if on_gpu else []}


def set_random_state(state: dict[str, Any]) -> None:
    """Go on from `random_state`."""
    torch.set_rng_state(state["cpu"])
    if state["cuda"] and torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        torch.cuda.set_rng_state(state["cuda"][0])


@contextmanager
def termination() -> Iterator[threading.Event]:
    """An event that is set when the process is asked to end (SIGTERM), as by a cluster that needs the node."""
    asked = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield asked
        return
    before = signal.signal(signal.SIGTERM, lambda *_: asked.set())
    try:
        yield asked
    finally:
        signal.signal(signal.SIGTERM, before)
