"""What the side tasks train and are validated on: batches with damage laid over them, or with classes to find."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import islice

import numpy as np
import torch
from torch import Tensor

from txm2sem_core.config import TrainSettings
from txm2sem_core.errors import InputError
from txm2sem_core.families.side_tasks import DamageBank, Mask, repair_input
from txm2sem_core.io import PatchStore
from txm2sem_core.training.batches import Batch


class Task:
    """Translation of TXM to SEM: batches are used as they are cut."""

    def training(self, batches: Iterator[Batch], seed: int, epoch: int, start: int) -> Iterator[Batch]:
        """Training batches of an epoch, the first of which begins with patch `start`."""
        return batches

    def validation(self, batches: Iterator[Batch]) -> Iterator[Batch]:
        """Validation batches, from the first patch on."""
        return batches


class Repair(Task):
    """Damage of known truth is laid over the SEM; `Batch.judged` says where."""

    def __init__(self, store: PatchStore, settings: TrainSettings) -> None:
        self._bank = DamageBank(store, settings.damage)
        self._sem_only = settings.repair_from == "sem"

    def training(self, batches: Iterator[Batch], seed: int, epoch: int, start: int) -> Iterator[Batch]:
        """Damage that follows from (seed, epoch), another on each patch."""
        rng = np.random.default_rng([seed, epoch, 2])
        masks = (self._bank.draw(rng) for _ in iter(int, 1))
        yield from self._damaged(batches, islice(masks, start, None))

    def validation(self, batches: Iterator[Batch]) -> Iterator[Batch]:
        """The same damage each time."""
        rows = list(batches)
        yield from self._damaged(iter(rows), iter(self._bank.for_evaluation(sum(len(b.sem) for b in rows))))

    def _damaged(self, batches: Iterator[Batch], masks: Iterator[Mask]) -> Iterator[Batch]:
        for batch in batches:
            damage = torch.from_numpy(np.stack([next(masks) for _ in batch.sem]))[:, None]
            txm = torch.zeros_like(batch.txm) if self._sem_only else batch.txm
            yield replace(batch, txm=repair_input(txm, batch.sem, damage), judged=damage & batch.mask)


class Segmentation(Task):
    """The SEM gives way to the classes of its pixels."""

    def __init__(self, store: PatchStore, settings: TrainSettings) -> None:
        missing = [name for name, images in store.pairs.items() if images.classes is None]
        if missing:
            raise InputError(
                f"segmentation: pair {missing[0]} has no masks of low and high density. Give the columns lowdensity "
                "and highdensity of the sample table."
            )
        self._from_sem = settings.segment_from == "sem"

    def training(self, batches: Iterator[Batch], seed: int, epoch: int, start: int) -> Iterator[Batch]:
        """As for validation."""
        return self.validation(batches)

    def validation(self, batches: Iterator[Batch]) -> Iterator[Batch]:
        """The image that is segmented in the TXM's place."""
        for batch in batches:
            yield replace(batch, txm=batch.sem) if self._from_sem else batch


def task_of(store: PatchStore, settings: TrainSettings) -> Task:
    """The task of a family; InputError where the patches lack what it needs."""
    if settings.family == "repair":
        return Repair(store, settings)
    return Segmentation(store, settings) if settings.family == "segmentation" else Task()


def class_scores(predicted: Tensor, classes: Tensor, mask: Tensor) -> Tensor:
    """Counts `[true, predicted]` of the classes of usable pixels."""
    count = predicted.shape[1]
    codes = classes.long() * count + predicted.argmax(dim=1, keepdim=True)
    return torch.bincount(codes[mask], minlength=count**2).reshape(count, count)
