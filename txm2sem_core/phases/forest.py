"""A random-forest pixel classifier: grey level, edges and texture around each pixel of a slice.

As in Trainable Weka Segmentation (Arganda-Carreras et al., Bioinformatics 33 (2017) 2424-2426), by scikit-image's
features and scikit-learn's forest (Breiman, Mach. Learn. 45 (2001) 5-32).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from txm2sem_core.config import ForestSettings
from txm2sem_core.errors import ConfigError, InputError
from txm2sem_core.phases.labels import Labelled

ROWS_AT_ONCE = 2**18  # pixels that the forest is given together


class Forest:
    """A segmenter that was trained on labelled pixels. Memory: 16 features of 4 bytes a pixel of a slice."""

    def __init__(self, model: Any, phases: int, settings: ForestSettings) -> None:
        self._model, self._phases, self._settings = model, phases, settings

    @property
    def phases(self) -> int:
        """How many there are."""
        return self._phases

    def __call__(self, image: NDArray[np.generic], /) -> NDArray[np.uint8]:
        """Phase number `[Y, X]` of every pixel, 0 the darkest.

        Raises:
            InputError: grey levels that are not finite.
        """
        rows = _features(image, self._settings)
        parts = [self._model.predict(rows[i : i + ROWS_AT_ONCE]) for i in range(0, len(rows), ROWS_AT_ONCE)]
        return np.concatenate(parts).astype(np.uint8).reshape(image.shape)


def train_forest(images: Sequence[Labelled], phases: int, settings: ForestSettings) -> Forest:
    """Train a forest on labelled pixels, at most `settings.pixels` of each phase, drawn by the seed.

    Phases have equal weight, however many of their pixels are labelled. The same seed gives the same forest.

    Raises:
        ConfigError: scikit-learn is not installed.
    """
    try:
        from sklearn.ensemble import RandomForestClassifier
    except ImportError as error:
        raise ConfigError(
            "measure.segmentation: forest needs scikit-learn. Install it (pip install scikit-learn), or choose "
            "thresholds or labels."
        ) from error
    features, answers = [], []
    for sem, labels in images:
        known = labels.ravel() > 0
        features.append(_features(sem, settings)[known])
        answers.append(labels.ravel()[known] - 1)
    rows, phase = np.concatenate(features), np.concatenate(answers)
    rng = np.random.default_rng(settings.seed)
    chosen = [_drawn(np.flatnonzero(phase == number), settings.pixels, rng) for number in range(phases)]
    taken = np.concatenate(chosen)
    model = RandomForestClassifier(
        n_estimators=settings.trees,
        max_depth=settings.depth,
        class_weight="balanced",
        random_state=settings.seed,
        n_jobs=1,
    )
    return Forest(model.fit(rows[taken], phase[taken]), phases, settings)


def _drawn(positions: NDArray[np.int64], most: int, rng: np.random.Generator) -> NDArray[np.int64]:
    return positions if len(positions) <= most else np.sort(rng.choice(positions, most, replace=False))


def _features(image: NDArray[np.generic], settings: ForestSettings) -> NDArray[np.float32]:
    """`[Y X, features]`, in grey levels: skimage would scale integers by the range of their type."""
    plane = np.asarray(image, dtype=np.float32)
    if not np.isfinite(plane).all():
        raise InputError("the image to segment holds values that are not finite; mask them first")
    from skimage.feature import multiscale_basic_features  # here, not above: heavy, and few part phases by forests

    stack = multiscale_basic_features(plane, sigma_min=1, sigma_max=settings.largest_px)  # type: ignore[no-untyped-call]
    return np.asarray(stack, np.float32).reshape(plane.size, -1)
