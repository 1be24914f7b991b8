"""The segmenter of a sample, by `measure.segmentation`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from txm2sem_core.config import MeasureSettings
from txm2sem_core.errors import InputError
from txm2sem_core.io import PatchStore
from txm2sem_core.metrics import Segmenter, Thresholds, thresholds_of_slices
from txm2sem_core.phases.forest import train_forest
from txm2sem_core.phases.labels import Labelled, read_labelled


def fit_segmenter(store: PatchStore, settings: MeasureSettings, labels: Path | None) -> Segmenter:
    """The segmenter of slices into phases, the same for prediction and truth.

    - `thresholds`: `settings.thresholds`, or multi-Otsu thresholds of the training SEM images.
    - `labels`: the grey levels that best separate the labelled pixels, see `thresholds_of_labels`.
    - `forest`: a random forest on the labelled pixels, see `train_forest`.

    Args:
        store: full-resolution patch store.
        settings: how, and how many phases.
        labels: folder that `place_labels` left; of `labels` and `forest`.

    Raises:
        ConfigError: scikit-learn is missing.
        InputError: the training images have fewer grey levels than there are phases, or labels that do not do.
    """
    if settings.segmentation == "thresholds":
        return Thresholds(settings.thresholds or _otsu(store, settings.phases))
    if labels is None:
        raise InputError(f"measure.segmentation: {settings.segmentation} needs label images, and there are none.")
    images = read_labelled(labels, settings.phases)
    if settings.segmentation == "labels":
        return Thresholds(thresholds_of_labels(images, settings.phases))
    return train_forest(images, settings.phases, settings.forest)


def _otsu(store: PatchStore, phases: int) -> tuple[float, ...]:
    pairs = [store.pairs[name] for name in store.of_split("train")["pair"].unique()]
    return thresholds_of_slices(lambda: (pair.sem[pair.mask > 0] for pair in pairs), phases)


def thresholds_of_labels(images: Sequence[Labelled], phases: int) -> tuple[float, ...]:
    """The ascending thresholds that classify the most labelled pixels correctly, with equal weight for each phase.

    That is, the greatest balanced accuracy, found exactly over the labelled grey levels by dynamic programming from
    phase to phase. Of thresholds that do equally well side by side the middle one is taken.

    Raises:
        InputError: fewer grey levels than phases, or labels against the order of the grey levels.
    """
    grey = np.concatenate([sem[labels > 0].astype(np.float64) for sem, labels in images])
    phase = np.concatenate([labels[labels > 0] for _, labels in images])
    if (different := np.unique(grey).size) < phases:
        raise InputError(
            f"labelled pixels have {different} different grey levels, which cannot be separated into {phases} phases. "
            "Lower measure.phases, or see whether the slices are the right ones."
        )
    means = [grey[phase == number].mean() for number in range(1, phases + 1)]
    if (np.diff(means) <= 0).any():
        shown = ", ".join(f"{number}: {mean:.4g}" for number, mean in enumerate(means, 1))
        raise InputError(
            f"labels are numbered from the darkest phase, but their mean grey levels are {shown}. Renumber them."
        )
    levels = np.unique(grey)
    steps = np.arange(1, phases) / phases  # between two levels there is room for all thresholds
    between = (levels[:-1, None] + steps * np.diff(levels)[:, None]).ravel()
    edges = np.concatenate([levels[:1], between, levels[-1:]])
    shares = [np.histogram(grey[phase == number], edges)[0] for number in range(1, phases + 1)]
    below = np.array([np.concatenate([[0], np.cumsum(share)]) / share.sum() for share in shares])
    cuts = _best_cuts(below)
    return tuple(float(edges[low] + edges[high]) / 2 for low, high in _plateaus(below, cuts))


def _best_cuts(below: np.ndarray) -> list[int]:
    """Ascending edges that maximise the sum over phases of their share between two edges; `below` [phases, edges]."""
    phases, edges = below.shape
    best, came_from = below[0].copy(), []
    best[0] = -np.inf  # each phase has a bin at least
    for phase in range(1, phases):
        gain = best - below[phase]
        leader = np.zeros(edges, np.int64)
        for edge in range(1, edges):
            leader[edge] = edge - 1 if gain[edge - 1] > gain[leader[edge - 1]] else leader[edge - 1]
        came_from.append(leader)
        best = below[phase] + gain[leader]
        best[0] = -np.inf
    cuts, edge = [], edges - 1
    for leader in reversed(came_from):
        edge = int(leader[edge])
        cuts.append(edge)
    return cuts[::-1]


def _plateaus(below: np.ndarray, cuts: list[int]) -> list[tuple[int, int]]:
    """The first and last edge that do as well as each cut, without a worse one or another cut between."""
    found = []
    bounds = [0, *cuts, below.shape[1] - 1]
    for number, cut in enumerate(cuts):
        before, after = bounds[number], bounds[number + 2]
        gain = below[number] - below[number + 1]
        low = high = cut
        while high + 1 < after and gain[high + 1] >= gain[cut] - 1e-12:
            high += 1
        while low - 1 > before and gain[low - 1] >= gain[cut] - 1e-12:
            low -= 1
        found.append((low, high))
    return found
