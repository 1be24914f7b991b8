"""The measures of a comparison of two volumes, which take their slices slab by slab.

Some score each slice by itself, others follow the slices in their order. Both give tasks that may run at the same time;
what they made is added up in the order of the slices, so that it does not depend on which task ended first.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray

from txm2sem_core.metrics.continuity import ContinuityMeter
from txm2sem_core.metrics.image import mse, psnr_from_mse
from txm2sem_core.metrics.masks import Mask
from txm2sem_core.metrics.neighbours import NeighbourMeter
from txm2sem_core.metrics.pores.phases import Segmenter, confusion, dice_from_confusion
from txm2sem_core.metrics.pores.two_point import TwoPointMeter, two_point_errors
from txm2sem_core.metrics.scores import SCORES, ImagePair
from txm2sem_core.metrics.structure import HistogramMeter
from txm2sem_core.runtime.workers import Outcome, Task, outcome_of

Image = NDArray[np.generic]
Labels = NDArray[np.uint8]
Metrics = dict[str, float]
TWO_POINT_LAG_PX = 16  # half a micrometre at 32 nm; most pores of a shale are smaller

NEIGHBOURS, TWO_POINT = "neighbours", "two-point probability"
"""The measures of `compare_volumes` that need whole slices."""


class Slice(ImagePair):
    """A slice of both volumes, and which of its pixels count."""

    def __init__(
        self, prediction: Image, truth: Image, data_range: float, mask: Mask | None, segmenter: Segmenter | None
    ) -> None:
        super().__init__(prediction, truth, data_range, mask)
        self._segmenter, self._lock = segmenter, Lock()
        self._phases: tuple[Labels, Labels] | None = None
        self.pixels = truth.size if mask is None else int(np.count_nonzero(mask))

    @property
    def phases(self) -> tuple[Labels, Labels]:
        """Of both images, found once; there is a segmenter where a measure asks for them."""
        assert self._segmenter is not None
        with self._lock:  # two measures may ask at once
            self._phases = self._phases or (self._segmenter(self.given[0]), self._segmenter(self.given[1]))
        return self._phases


class Part:
    """One measure of a comparison.

    Attributes:
        of_slices: whether each slice is scored by itself, by `score`.
        takes_all: whether slices of which no pixel counts are given to `tasks` as well.
    """

    of_slices = False
    takes_all = False

    def score(self, both: Slice) -> Any:
        """Of one slice."""

    def tasks(self, slab: Sequence[Slice]) -> list[Task]:
        """What is to be done with the next slices in their order."""
        return []

    def take(self, slab: Sequence[Slice], scores: Sequence[Outcome], done: Sequence[Outcome]) -> None:
        """Add up what `score` made of each of the slices; raises what a task raised."""
        for outcome in done:
            outcome()
        for both, score in zip(slab, scores, strict=bool(scores)):
            self.add(both, score())

    def add(self, both: Slice, score: Any) -> None:
        """Take the score of the next slice."""

    def metrics(self) -> Metrics:
        """By their names, in the end."""
        raise NotImplementedError


class _Mean(Part):
    """A score of slices, its mean over all of them, or over all pixels."""

    of_slices = True

    def __init__(self, name: str, score: Callable[[ImagePair], float], *, of_pixels: bool = False) -> None:
        self._name, self._score, self._of_pixels = name, score, of_pixels
        self._sum, self._weight = 0.0, 0

    def score(self, both: Slice) -> float:
        return self._score(both)

    def add(self, both: Slice, score: float) -> None:
        weight = both.pixels if self._of_pixels else 1
        self._sum += score * weight
        self._weight += weight

    def mean(self) -> float:
        return self._sum / self._weight

    def metrics(self) -> Metrics:
        return {self._name: self.mean()}


class _Psnr(_Mean):
    """Of the mean squared error of all pixels."""

    def __init__(self, data_range: float) -> None:
        super().__init__("psnr", lambda both: mse(*both.given, both.mask), of_pixels=True)
        self._data_range = data_range

    def metrics(self) -> Metrics:
        return {"psnr": psnr_from_mse(self.mean(), self._data_range)}


class _SliceBySlice(Part):
    """By a meter that is given one slice after the other."""

    _meter: HistogramMeter | ContinuityMeter

    def _add(self, both: Slice) -> None:
        self._meter.add(*both.given, mask=both.mask)

    def tasks(self, slab: Sequence[Slice]) -> list[Task]:
        return [partial(_each, slab, self._add)]


class _Histogram(_SliceBySlice):
    _meter: HistogramMeter

    def __init__(self, data_range: float) -> None:
        self._meter = HistogramMeter(data_range)

    def metrics(self) -> Metrics:
        return {"histogram_distance": self._meter.result()}


class _Continuity(_SliceBySlice):
    """Of all slices: between two of which a pixel counts there may be one of which none does."""

    _meter: ContinuityMeter

    takes_all = True

    def __init__(self, data_range: float) -> None:
        self._meter = ContinuityMeter(data_range)

    def metrics(self) -> Metrics:
        if not self._meter.pixels:
            return {}
        found = self._meter.result()
        return {f"continuity_{key}": getattr(found, key) for key in ("ratio", "error", "explained")}


class _Neighbours(Part):
    """Of whole slices, of each volume by itself."""

    def __init__(self, meters: tuple[NeighbourMeter, NeighbourMeter]) -> None:
        self._meters, self._slices = meters, 0

    def tasks(self, slab: Sequence[Slice]) -> list[Task]:
        self._slices += len(slab)
        own = [meter.tasks([both.given[number] for both in slab]) for number, meter in enumerate(self._meters)]
        return [task for pair in zip(*own, strict=True) for task in pair]  # the longest first

    def metrics(self) -> Metrics:
        if self._slices < 2:
            return {}
        return self._meters[0].result().metrics() | self._meters[1].result().metrics("_truth")


class _Phases(Part):
    """Shares of the phases and their agreement."""

    of_slices = True

    def __init__(self, phases: int) -> None:
        self._counts = np.zeros((phases, phases), dtype=np.int64)

    def score(self, both: Slice) -> NDArray[np.int64]:
        return confusion(*both.phases, len(self._counts), both.mask)

    def add(self, both: Slice, score: NDArray[np.int64]) -> None:
        self._counts += score

    def metrics(self) -> Metrics:
        return _phase_metrics(self._counts)


class _TwoPoint(Part):
    """Of the darkest phase, of whole slices."""

    def __init__(self) -> None:
        self._meters: tuple[TwoPointMeter, TwoPointMeter] | None = None

    def tasks(self, slab: Sequence[Slice]) -> list[Task]:
        if not slab:
            return []
        lag = min(TWO_POINT_LAG_PX, *(n - 1 for n in slab[0].given[0].shape))
        self._meters = meters = self._meters or (TwoPointMeter(lag), TwoPointMeter(lag))

        def add(number: int, both: Slice) -> None:
            meters[number].add(both.phases[number] == 0)

        return [partial(_each, slab, partial(add, number)) for number in (0, 1)]

    def metrics(self) -> Metrics:
        return {} if self._meters is None else two_point_errors(*(meter.result() for meter in self._meters))


def parts_of(
    data_range: float, segmenter: Segmenter | None, neighbours: tuple[NeighbourMeter, NeighbourMeter] | None
) -> dict[str, Part]:
    """All measures of a comparison by name; those that need whole slices only with `neighbours`."""
    parts: dict[str, Part] = {name: _Mean(name, score) for name, score in SCORES.items()}
    parts |= {  # of the volume as a whole, not the mean over its slices
        "psnr": _Psnr(data_range),
        "mae": _Mean("mae", SCORES["mae"], of_pixels=True),
        "histogram_distance": _Histogram(data_range),
        "continuity": _Continuity(data_range),
    }
    if neighbours is not None:
        parts[NEIGHBOURS] = _Neighbours(neighbours)
    if segmenter is not None:
        parts["phases"] = _Phases(segmenter.phases)
    if segmenter is not None and neighbours is not None:
        parts[TWO_POINT] = _TwoPoint()
    return parts


def scores_of(both: Slice, parts: dict[str, Part]) -> dict[str, Outcome]:
    """What each part that scores slices by themselves makes of one: of several it looks at the windows once."""
    return {name: outcome_of(partial(part.score, both)) for name, part in parts.items() if part.of_slices}


def _each(slab: Sequence[Slice], add: Callable[[Slice], None]) -> None:
    for both in slab:
        add(both)


def _phase_metrics(counts: NDArray[np.int64]) -> Metrics:
    total = counts.sum()
    predicted, true = counts.sum(axis=0) / total, counts.sum(axis=1) / total
    metrics: Metrics = {}
    for phase, overlap in enumerate(dice_from_confusion(counts)):
        metrics[f"fraction_{phase}"] = float(predicted[phase])
        metrics[f"fraction_{phase}_truth"] = float(true[phase])
        metrics[f"fraction_{phase}_error"] = float(predicted[phase] - true[phase])
        metrics[f"dice_{phase}"] = float(overlap)
    return metrics
