"""What a family of models is: the networks that it builds, one step of their training, and how it predicts."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from txm2sem_core.config import FamilyRules, TrainSettings
from txm2sem_core.errors import ConfigError
from txm2sem_core.families.batch import Batch, BatchSource, Images
from txm2sem_core.families.learner import Learner
from txm2sem_core.families.scores import ImageMeter, Meter, criterion
from txm2sem_core.geometry import Mask
from txm2sem_core.intensity import IntensityRange
from txm2sem_core.io import PatchStore
from txm2sem_core.networks import ImageGenerator, build_generator
from txm2sem_core.networks.registry import builder_module


class Family:
    """A family of models that translates TXM to FIB-SEM; other families override what differs.

    Training calls, in this order: `learner`, `batches`, `step` for each batch, and `predict` and `meter` to validate.
    Prediction calls `given`, `predict` and `image`; on the test patches also `test_damage`.

    Attributes:
        name: in the settings; `register_family` sets it, and `rules`.
        scans: of the rock, whose slices the network is given: [scans (2 context + 1), Y, X], all slices of the first
            scan, then all of the second, and so on.
        extra_channels: of the input, beside the TXM slices.
        classes: the meaning of the predicted class numbers; empty for grey levels.
        needs_sem: it predicts from a FIB-SEM slice with its mask of charge, and not from a volume.
        shown_scores: those of the validation that are printed: column, label, format.
    """

    name: ClassVar[str] = ""
    rules: ClassVar[FamilyRules] = FamilyRules()
    extra_channels: ClassVar[int] = 0
    classes: ClassVar[tuple[str, ...]] = ()
    needs_sem: ClassVar[bool] = False
    shown_scores: ClassVar[tuple[tuple[str, str, str], ...]] = (
        ("validation_psnr", "PSNR / dB", ".2f"),
        ("validation_ssim", "SSIM", ".4f"),
    )

    scans: int = 1

    def __init__(self, settings: TrainSettings) -> None:
        self.settings = settings

    def seen_of(self, scans: int) -> int:
        """How many of so many scans its networks are given, from the first on: all, or one if they are fitted."""
        return scans if self.rules.trained else 1

    # --- networks

    @property
    def in_channels(self) -> int:
        """Channels that the generator is given."""
        return self.scans * (2 * self.settings.context + 1) + self.extra_channels

    @property
    def out_channels(self) -> int:
        """Channels that the generator makes."""
        return len(self.classes) or 1

    def generator_arguments(self) -> dict[str, Any]:
        """Arguments of `build_generator`, as `model.json` keeps them."""
        return {
            **self.settings.generator.model_dump(),
            "in_channels": self.in_channels,
            "out_channels": self.out_channels,
            "factor": self.settings.factor,
        }

    def build_discriminator(self, seed: int) -> nn.Module | None:
        """The network that judges predictions; None where nothing does."""
        return None

    def learner(self, seed: int, device: torch.device) -> Learner:
        """Fresh networks and their optimisers; ConfigError for a baseline."""
        networks = build_generator(**self.generator_arguments(), seed=seed), self.build_discriminator(seed)
        # what a user's code does beside tensors would be done once, and not in each step
        modules = type(self).__module__, builder_module(self.settings.generator.name)
        ours = all(module.partition(".")[0] == __name__.partition(".")[0] for module in modules)
        kind = self.kind_of_step if ours else lambda *_: None
        return Learner(self.settings, networks, self.step, kind, seed, device)

    # --- training

    def batches(self, store: PatchStore) -> BatchSource:
        """How batches of a store reach the network; InputError where its patches lack what the family needs."""
        return BatchSource()

    def step(self, learner: Learner, batch: Batch, update_generator: bool) -> dict[str, Tensor]:
        """Take one step and return its loss terms, detached, each with a name that begins with `loss_`.

        Args:
            learner: networks and optimisers, which the step changes.
            batch: on the CPU; `learner.compute.batch` moves images to the device.
            update_generator: else only the discriminator learns (`critic_steps`).
        """
        raise ConfigError(f"family {self.name}: it has no step, as it is fitted and not trained.")

    def kind_of_step(self, learner: Learner, update_generator: bool) -> Hashable | None:
        """What the next step computes, for a GPU, which may capture it as a graph; None: it is never captured.

        A step can be captured if it changes nothing but tensors on the device, asks for no value of one, takes its
        random numbers from `learner.draws` or from PyTorch's generator of the device, and computes the same as any
        other step of its kind, save the values of the batch. Not asked of a user's own families and networks.
        """
        return None

    def training_pass(self, learner: Learner, generator: ImageGenerator, batch: Batch, noise: torch.Generator) -> None:
        """Let a batch go through all parts of a generator as in a step, without a loss.

        Args:
            learner: whose precision and device are used.
            generator: of the kind of its own.
            batch: on the CPU.
            noise: random numbers of the step.
        """
        with learner.compute.precision():
            self.alone(generator, learner.compute.batch(batch.txm))

    def meter(self, store: PatchStore, threshold: float | None) -> Meter:
        """What scores the validation patches, the foremost score first.

        Args:
            store: the patches.
            threshold: grey level of the darkest phase, from `scores.pore_threshold`; None for none.
        """
        return ImageMeter(store, threshold)

    def criterion(self, scores: dict[str, float]) -> float:
        """The score of an epoch by `select`, more being better; the worst of all where it is not a number."""
        return criterion(scores, self.settings.select)

    def complete(self, generator: ImageGenerator, store: PatchStore) -> None:
        """Set what a trained network needs beside its weights, in place; called once, at the end of training."""

    # --- prediction, in training and after it

    def predict(self, network: Callable[[Tensor], Tensor], given: Tensor) -> Tensor:
        """What becomes of images that the network is given, `[B, in_channels, Y, X]` in [-1, 1].

        Of a plane they may be tiles. Returns `[B, out_channels, Y * factor, X * factor]`.
        """
        return network(given)

    def alone(self, generator: ImageGenerator, given: Tensor) -> Tensor:
        """What the network makes of the images of a batch in training, on which `predict` builds."""
        return generator(given)

    @property
    def predicts_by_the_network_alone(self) -> bool:
        """Whether `predict` is left as it is here: then a large plane can go through the network by rows."""
        return type(self).predict is Family.predict

    def given(self, images: Images, txm_range: IntensityRange, sem_range: IntensityRange) -> np.ndarray:
        """What the network is given: `[in_channels, Y, X]` in [-1, 1]; ConfigError where something lacks."""
        return txm_range.to_unit(images.txm)

    def image(self, output: np.ndarray, images: Images, sem_range: IntensityRange) -> np.ndarray:
        """The image `[Y, X]` that the network's output `[out_channels, Y, X]` stands for, in SEM intensities."""
        return sem_range.from_unit(output[0])

    def input_range(self, txm_range: IntensityRange, sem_range: IntensityRange) -> IntensityRange:
        """The range of what is predicted from."""
        return txm_range

    def dtype(self, sem_dtype: np.dtype) -> np.dtype:
        """The type that images are stored in, by that of the SEM slices."""
        return np.dtype(np.uint8) if self.classes else sem_dtype

    def test_damage(self, store: PatchStore, count: int) -> list[Mask] | None:
        """Damage `[s, s]` that is laid over so many test patches; None for none."""
        return None
