"""Segmentation of TXM or FIB-SEM slices by density: a side task, by cross-entropy."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import ClassVar

import numpy as np
from torch import Tensor

from txm2sem_core.acceleration.transfer import sent
from txm2sem_core.errors import InputError
from txm2sem_core.families.batch import Batch, BatchSource, Images
from txm2sem_core.families.feedforward import Feedforward
from txm2sem_core.families.learner import Learner
from txm2sem_core.families.losses import class_loss
from txm2sem_core.families.registry import register_family
from txm2sem_core.families.scores import ClassMeter, Meter
from txm2sem_core.intensity import IntensityRange
from txm2sem_core.io import PatchStore
from txm2sem_core.metrics.density import CLASSES

LOGIT_SCALE = 5.0  # the networks end in tanh; times this, one class can have up to 1 - 1e-4 of the probability


@register_family(
    "segmentation",
    task="segmentation",
    settings={"generator": {"name": "resnet_9blocks"}},
    paper_fixes_generator=True,
)
class Segmentation(Feedforward):
    """One channel a class; the prediction is the number of the most probable one. `select` is the mean Dice always."""

    classes: ClassVar[tuple[str, ...]] = CLASSES
    shown_scores: ClassVar[tuple[tuple[str, str, str], ...]] = (("validation_dice", "Dice", ".4f"),)

    def batches(self, store: PatchStore) -> BatchSource:
        """The image that is segmented in the TXM's place."""
        missing = [name for name, images in store.pairs.items() if images.classes is None]
        if missing:
            raise InputError(
                f"segmentation: pair {missing[0]} has no masks of low and high density. Give the columns lowdensity "
                "and highdensity of the sample table."
            )
        return _OfSem() if self._from_sem else BatchSource()

    def content_loss(self, learner: Learner, predicted: Tensor, batch: Batch) -> Tensor:
        """Cross-entropy of the classes."""
        if batch.classes is None:
            raise InputError("segmentation: the batch has no classes. Give patches with density masks.")
        classes = sent(batch.classes, learner.device)
        return class_loss(LOGIT_SCALE * predicted, classes, self.counted(learner, batch))

    def meter(self, store: PatchStore, threshold: float | None) -> Meter:
        """Mean Dice coefficient of the classes that there are."""
        return ClassMeter(len(CLASSES))

    def criterion(self, scores: dict[str, float]) -> float:
        """The mean Dice coefficient."""
        value = scores["validation_dice"]
        return value if np.isfinite(value) else -float("inf")

    def given(self, images: Images, txm_range: IntensityRange, sem_range: IntensityRange) -> np.ndarray:
        """The TXM or FIB-SEM slice. A volume's, which comes alone, is of the kind that the model was trained on."""
        image = images.sem[None] if self._from_sem and images.sem is not None else images.txm
        return self.input_range(txm_range, sem_range).to_unit(image)

    def image(self, output: np.ndarray, images: Images, sem_range: IntensityRange) -> np.ndarray:
        """The most probable class, uint8."""
        return output.argmax(axis=0).astype(np.uint8)

    def seen_of(self, scans: int) -> int:
        """All scans, or of FIB-SEM slices the one image there is."""
        return 1 if self._from_sem else super().seen_of(scans)

    def input_range(self, txm_range: IntensityRange, sem_range: IntensityRange) -> IntensityRange:
        """That of the slice that is segmented."""
        return sem_range if self._from_sem else txm_range

    @property
    def _from_sem(self) -> bool:
        return self.settings.segment_from == "sem"


class _OfSem(BatchSource):
    """The SEM instead of the TXM."""

    def training(self, batches: Iterator[Batch], seed: int, epoch: int, start: int) -> Iterator[Batch]:
        return self.validation(batches)

    def validation(self, batches: Iterator[Batch]) -> Iterator[Batch]:
        for batch in batches:
            yield replace(batch, txm=batch.sem)
