"""One training from its first epoch, or the last checkpoint, to its end: epochs, losses, scores, the best weights."""

from __future__ import annotations

import math
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from torch.optim.lr_scheduler import ReduceLROnPlateau

from txm2sem_core.acceleration.transfer import Received
from txm2sem_core.errors import ConfigError, TrainingError
from txm2sem_core.families import Batch, BatchSource, Family, Learner
from txm2sem_core.families.scores import pore_threshold
from txm2sem_core.io import PatchStore
from txm2sem_core.networks import ImageGenerator, inference
from txm2sem_core.runtime.progress import progress
from txm2sem_core.training.batches import epoch_batches, evaluation_batches
from txm2sem_core.training.device_patches import patches_on
from txm2sem_core.training.norm_statistics import take_statistics
from txm2sem_core.training.resume import Checkpoint, Progress, progress_text, termination
from txm2sem_core.training.schedules import build_scheduler
from txm2sem_core.training.slice_stacks import SliceStacks
from txm2sem_core.training.start import Start
from txm2sem_core.training.validation import validate

DIED = (
    "The network predicts one value everywhere: it has died, or was never trained. Lower "
    "train.optimiser.learning_rate, or look at the losses in history.csv."
)
_NO_VALUE = (
    "train.select = {} has no value. Where it has none in any epoch, the last one's weights are kept. Look at the "
    "validation patches, or choose another criterion."
)
_SAME_VALUE = 1e-6  # in units of a network's range


@dataclass(frozen=True)
class Plan:
    """What a training is made from, and where it goes.

    Attributes:
        store: the patches.
        slice_stacks: source of slices of the TXM volume, for `z_penalty.stack`; None for none.
        family: what is trained, with its settings.
        seed: decides the initial weights, the order of the patches and the noise.
        output: the model's folder.
        key: what must be the same for a training to resume where another one stopped.
        name: what the progress calls it.
        tensorboard: write TensorBoard logs to `output/tensorboard`.
        start: the weights that it starts from; None for weights that are drawn at random.
    """

    store: PatchStore
    slice_stacks: SliceStacks | None
    family: Family
    seed: int
    output: Path
    key: str
    name: str = "model"
    tensorboard: bool = False
    start: Start | None = None


class Trainer:
    """Trains one variant, as its family defines; it resumes from the last checkpoint.

    Attributes:
        learner: the networks, which the last step has left.
        reached: how far it has come: history, and the best epoch's weights.
    """

    def __init__(self, plan: Plan, device: torch.device) -> None:
        self.plan, self.settings = plan, plan.family.settings
        # patches are of one size: cuDNN tries its algorithms once and takes the fastest, as in the published code
        torch.backends.cudnn.benchmark = device.type == "cuda"
        self.learner: Learner = plan.family.learner(plan.seed, device)
        if plan.start is not None:
            plan.start.begin(self.learner)
        self.reached = Progress()
        self._source: BatchSource = plan.family.batches(plan.store)
        # a source of a family's own may work on the values, in the processor's memory
        on_device = patches_on(device, plan.store, self.settings.context) if type(self._source) is BatchSource else None
        self._cut = None if on_device is None else on_device.batch
        self._threshold = pore_threshold(plan.store)
        self._schedulers = [build_scheduler(one, self.settings.schedule) for one in self.learner.optimisers]
        self._checkpoint = Checkpoint(self.learner, self._schedulers, plan.output, plan.key)
        self._warned = set[str]()

    def run(self) -> None:
        """Take what is left of all epochs.

        Raises:
            TrainingError: a loss is not finite or too large, or the process was asked to end.
        """
        self._checkpoint.load(self.reached, self.plan.name)
        writer = _tensorboard_writer(self.plan.output) if self.plan.tensorboard else None
        with termination() as asked_to_end:
            for epoch in self._remaining_epochs():
                losses = self._run_epoch(asked_to_end)
                scores = self._close_epoch(epoch, losses)
                for scheduler in self._schedulers:
                    if isinstance(scheduler, ReduceLROnPlateau):
                        scheduler.step(next(iter(scores.values())))
                    else:
                        scheduler.step()
                reached = self.reached
                reached.epoch, reached.step, reached.sums, reached.counts = epoch + 1, 0, {}, {}
                self._checkpoint.save(reached)
                if writer is not None:
                    for key, value in reached.history[-1].items():
                        writer.add_scalar(key, value, epoch + 1)
        if writer is not None:
            writer.close()

    def _remaining_epochs(self) -> Iterator[int]:
        name, total = self.plan.name, self.settings.schedule.total_epochs
        epochs = range(self.reached.epoch, total)
        for epoch in progress(epochs, f"train {name}", len(epochs), "epochs"):
            yield epoch
            row, shown = self.reached.history[-1], self.plan.family.shown_scores
            terms = ", ".join(f"{k.removeprefix('loss_')} {v:.4g}" for k, v in row.items() if k.startswith("loss_"))
            scores = ", ".join(f"{label} {row[key]:{form}}" for key, label, form in shown if key in row)
            print(
                f"train {name}: epoch {epoch + 1} of {total}: validation {scores}; losses: {terms}",
                file=sys.stderr,
                flush=True,
            )

    def _close_epoch(self, epoch: int, losses: dict[str, float]) -> dict[str, float]:
        """Validate, and keep the weights where they are the best so far; returns the scores."""
        plan, learner, reached = self.plan, self.learner, self.reached
        if learner.average is not None:
            batches = epoch_batches(plan.store, self.settings, plan.seed, epoch, cut=self._cut)
            take_statistics(plan.family, learner, self._source.training(batches, plan.seed, epoch, 0))
        scores = validate(
            plan.family, learner.kept_generator, plan.store, self._source, learner.device, self._threshold
        )
        rate = learner.optimiser.param_groups[0]["lr"]
        reached.history.append({"epoch": epoch + 1, "learning_rate": rate, **losses, **scores})
        score = plan.family.criterion(scores)
        for warning in self._warnings(score):
            print(f"train {plan.name}: warning: after epoch {epoch + 1}: {warning}", file=sys.stderr)
        if score > reached.best_score or not reached.best_weights:
            reached.best_score = score
            weights = learner.kept_generator.state_dict()
            reached.best_weights = {key: value.detach().cpu().clone() for key, value in weights.items()}
        return scores

    def _warnings(self, score: float) -> list[str]:
        """What makes the rest of a training doubtful, as soon as an epoch shows it; each once."""
        found = []
        if DIED not in self._warned and self.is_constant(self.learner.kept_generator):
            found.append(DIED)
        if not math.isfinite(score) and _NO_VALUE not in self._warned and self.settings.select != "last":
            found.append(_NO_VALUE)
        self._warned.update(found)
        return [text.format(self.settings.select) for text in found]

    def is_constant(self, generator: ImageGenerator) -> bool:
        """Whether a generator predicts the first validation patches as one value."""
        patches = evaluation_batches(self.plan.store, "validation", self.settings.context, 4)
        batch = next(self._source.validation(patches))
        device = next(generator.parameters()).device
        with inference(generator, self.settings.inference_mode):
            made = self.plan.family.alone(generator, batch.txm.to(device))
        return bool((made - made.flatten()[0]).abs().max() < _SAME_VALUE)

    def _run_epoch(self, asked_to_end: threading.Event) -> dict[str, float]:
        """What is left of one pass over the training patches; the mean of each loss term over the steps that had it."""
        reached, learner, checkpoint = self.reached, self.learner, self._checkpoint
        learner.generator.train()
        losses = LossCheck(self.settings.loss_limit, checkpoint)
        for batch, update_generator in self._batches():
            terms = learner.step(batch, update_generator)
            losses.add(terms, reached)
            for key, value in terms.items():
                reached.sums[key] = reached.sums.get(key, torch.zeros((), device=learner.device)) + value
                reached.counts[key] = reached.counts.get(key, 0) + 1
            reached.step += 1
            ends = asked_to_end.is_set()
            if ends or checkpoint.is_due():
                losses.finish()
                checkpoint.save(reached)
            if ends:
                raise TrainingError(
                    f"{progress_text(reached)}: asked to end (SIGTERM). The state is saved in {checkpoint.path}; the "
                    "same command goes on from there."
                )
        losses.finish()
        checkpoint.check_weights(reached)
        return {key: float(total) / reached.counts[key] for key, total in reached.sums.items()}

    def _batches(self) -> Iterator[tuple[Batch, bool]]:
        """What is left of the epoch's batches, each with whether the generator learns from it."""
        plan, settings, reached = self.plan, self.settings, self.reached
        epoch, seed = reached.epoch, plan.seed
        if reached.step == 0:
            # all randomness of an epoch follows from (seed, epoch)
            torch.manual_seed((seed + 1) * 1_000_003 + epoch)
            self.learner.noise.manual_seed((seed + 1) * 2_000_003 + epoch)
        patches = len(plan.store.of_split("train"))
        first = epoch * math.ceil(patches / settings.batch_size) + reached.step  # counted over all epochs
        done = reached.step * settings.batch_size
        stacks = islice(plan.slice_stacks.of_epoch(patches, seed, epoch), done, None) if plan.slice_stacks else None
        batches = epoch_batches(plan.store, settings, seed, epoch, stacks, start=done, cut=self._cut)
        for number, batch in enumerate(self._source.training(batches, seed, epoch, done), first + 1):
            yield batch, self.learner.discriminator is None or number % settings.critic_steps == 0


class LossCheck:
    """Looks at the losses of a step when the next one has begun: a GPU has its work by then, and waits for nothing."""

    def __init__(self, limit: float, checkpoint: Checkpoint) -> None:
        self._limit, self._checkpoint = limit, checkpoint
        self._waiting: tuple[str, list[str], Received] | None = None

    def add(self, terms: dict[str, torch.Tensor], reached: Progress) -> None:
        """Take the losses of a step, and look at those of the one before.

        Raises:
            TrainingError: one of those is not finite or too large.
        """
        step = f"epoch {reached.epoch + 1}, step {reached.step + 1}"
        self._look_and_keep((step, list(terms), Received(torch.stack(list(terms.values())))))

    def finish(self) -> None:
        """Look at what was not looked at yet, as before a state is saved; TrainingError as above."""
        self._look_and_keep(None)

    def _look_and_keep(self, waiting: tuple[str, list[str], Received] | None) -> None:
        before, self._waiting = self._waiting, waiting
        if before is not None:
            self._look(*before)

    def _look(self, step: str, names: list[str], received: Received) -> None:
        values = dict(zip(names, received.numbers(), strict=True))
        if all(abs(value) <= self._limit for value in values.values()):  # false for what is not a number, too
            return
        finite = all(math.isfinite(value) for value in values.values())
        fault = f"exceeds train.loss_limit = {self._limit:g}" if finite else "is not finite"
        listed = ", ".join(f"{name.removeprefix('loss_')} {value:.6g}" for name, value in values.items())
        raise TrainingError(f"{step}: a loss {fault} ({listed}). {self._checkpoint.remedy()}")


def _tensorboard_writer(output: Path) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise ConfigError("tensorboard: the package is not installed. Run `pip install tensorboard`.") from error
    return SummaryWriter(str(output / "tensorboard"))
