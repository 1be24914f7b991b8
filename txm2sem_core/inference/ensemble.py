"""Several predictions of the same image: their mean, and their standard deviation as its uncertainty.

Several models of one architecture, trained from different seeds, disagree where the training data leave the answer
open (deep ensembles, Lakshminarayanan et al. 2017). Passes of one model with dropout active do so too (Gal and
Ghahramani 2016).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from txm2sem_core.checkpoint import load_model
from txm2sem_core.config import PredictSettings
from txm2sem_core.errors import ConfigError
from txm2sem_core.families import family_of_model
from txm2sem_core.inference.guided_sampler import Block
from txm2sem_core.inference.predictor import Predictor
from txm2sem_core.networks import Flow, has_dropout


class EnsemblePredictor:
    """Models that differ only in their networks; each predicts once, or `samples` times: a flow that many samples,
    another network with dropout active.

    The n-th pass of a model has the same random numbers for every plane of one size: it is one thinned network for the
    whole volume, so that dropout adds no jitter along z.
    """

    predicts_classes = False  # models of classes have no ensemble

    def __init__(self, members: Sequence[Predictor], samples: int = 0, seed: int = 0) -> None:
        self.members = tuple(members)
        self.samples = samples
        self.seed = seed
        first = members[0]
        self.factor, self.context, self.settings = first.factor, first.context, first.settings
        self.txm_range, self.sem_dtype = first.txm_range, first.sem_dtype
        self.preparation = first.preparation
        self.txm_distribution = first.txm_distribution
        self.scans, self.learnt_scans = first.scans, first.learnt_scans
        self.description = first.description

    def predict_plane(self, txm: np.ndarray, z: int = 0) -> tuple[np.ndarray, np.ndarray]:
        """Mean and standard deviation of a plane [C, Y, X]: [Y * factor, X * factor], float32 SEM intensities."""
        return mean_and_deviation(self._each(lambda member: member.predict_plane(txm, z)))

    def predict_block(self, block: Block) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """The same of the wanted slices of a block, one after the other."""
        made = mean_and_deviation(self._each(lambda member: np.stack(list(member.predict_block(block)))))
        yield from zip(*made, strict=True)

    @property
    def reach_z(self) -> int:
        """As of a `Predictor`: the farthest of all models."""
        return max(member.reach_z for member in self.members)

    def predict_patches(self, txm: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The same of patches [B, C, Y, X]: [B, Y * factor, X * factor]."""
        return mean_and_deviation(self._each(lambda member: member.predict_patches(txm)))

    @property
    def warnings(self) -> list[str]:
        """Settings of the user that are not used, for any model."""
        return list(dict.fromkeys(warning for member in self.members for warning in member.warnings))

    def identity(self) -> dict[str, Any]:
        """All that a prediction depends on beside its input, as JSON values; not the device."""
        return {**self.describe(), "members": [member.identity() for member in self.members]}

    def origin(self) -> dict[str, Any]:
        """Which models they are, and how precisely they computed, for files that hold their predictions."""
        each = [member.origin() for member in self.members]
        return {"model_sha256": [one["model_sha256"] for one in each], "precision": each[0]["precision"]}

    def planes_at_once(self, height: int, width: int) -> int:
        """As of a `Predictor`: as many as every model allows, and so one with dropout."""
        return min(member.planes_at_once(height, width) for member in self.members)

    def start_slice(self, z: int) -> None:
        """Nothing: every slice has the same random numbers."""

    def describe(self) -> dict[str, Any]:
        """How the standard deviation was made, for the files that hold it."""
        return {"models": len(self.members), "samples": self.samples, "seed": self.seed}

    def _each(self, predict: Callable[[Predictor], np.ndarray]) -> Iterator[np.ndarray]:
        for number, member in enumerate(self.members):
            for sample in range(max(self.samples, 1)):
                words = np.random.SeedSequence([self.seed, number, sample]).generate_state(1)
                torch.manual_seed(int(words[0]))
                if member.noise is not None:
                    member.draw(self.seed + sample + 1)
                yield predict(member)
            if member.noise is not None:
                member.draw(1)  # its identity is that of before


def mean_and_deviation(images: Iterable[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation (of n - 1) of at least two images, float32; one at a time is held (Welford 1962)."""
    mean = squares = np.zeros(())
    for count, image in enumerate(images, start=1):
        change = image - mean  # float64
        mean = mean + change / count
        squares = squares + change * (image - mean)
    return mean.astype(np.float32), np.sqrt(squares / (count - 1)).astype(np.float32)


def load_ensemble(
    models: Sequence[Path], settings: PredictSettings, device: str = "auto", samples: int = 0, seed: int = 0
) -> EnsemblePredictor:
    """Load the models of an ensemble, or one model that predicts with dropout active; or several, each with dropout.

    Args:
        models: folders. Their networks may differ, but not factor, context, intensity ranges and SEM dtype.
        settings: tiles.
        device: for all of them.
        samples: passes of each model with dropout active, batch norm as in evaluation; 0 = one pass without dropout.
        seed: of the dropout.

    Raises:
        ConfigError: there is only one prediction, a model is given twice or does not fit the first, or has no dropout.
        InputError: a model cannot be read.
    """
    if len({path.resolve() for path in models}) < len(models):
        raise ConfigError("--model: the same model is given twice, and its spread would be too small. Give each once.")
    if len(models) * max(samples, 1) < 2:
        raise ConfigError("--samples: one pass has no spread. Give at least 2, or several models by --model.")
    members: list[Predictor] = []
    for path in models:
        loaded = load_model(path)
        family = family_of_model(loaded.description)
        if not family.rules.translates:
            raise ConfigError(f"{path}: a model of the family {family.name} has no ensemble. Give it alone.")
        if samples and not (has_dropout(loaded.generator) or isinstance(loaded.generator, Flow)):
            raise ConfigError(
                f"{path}: --samples needs a network with dropout or a flow, this one is neither. Train it with "
                "generator.dropout, "
                "or give the models of several seeds by --model."
            )
        evaluation = loaded.description["inference_mode"] == "evaluation"
        member = Predictor(loaded, settings, device, mode="dropout" if samples and evaluation else None)
        _check_alike(models[0], members[0] if members else member, path, member)
        members.append(member)
    return EnsemblePredictor(members, samples, seed)


def _check_alike(first_path: Path, first: Predictor, path: Path, member: Predictor) -> None:
    """Raise `ConfigError` unless two models predict the same grey levels on the same grid from the same input."""
    for what, name in (
        ("factor", "factor"),
        ("context", "context"),
        ("scans", "number of TXM scans"),
        ("txm_range", "TXM intensity range"),
        ("further_ranges", "intensity ranges of further scans"),
        ("preparation", "preparation of the TXM"),
        ("sem_range", "SEM intensity range"),
        ("sem_dtype", "SEM dtype"),
    ):
        here, there = getattr(member, what), getattr(first, what)
        if here != there:
            raise ConfigError(
                f"{path}: the models of an ensemble must agree in their {name}, but this one has {here} and "
                f"{first_path} has {there}. Give models that were trained on the same patches."
            )
