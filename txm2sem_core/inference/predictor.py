"""A trained model on a device: planes and patches in SEM intensities."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from txm2sem_core.acceleration import Accelerator, accelerate
from txm2sem_core.checkpoint import LoadedModel
from txm2sem_core.config import PredictSettings
from txm2sem_core.errors import ConfigError, InputError
from txm2sem_core.families import Images, family_of_model
from txm2sem_core.families.voxel_noise import VoxelNoise
from txm2sem_core.inference.fingerprint import network_digest
from txm2sem_core.inference.guided_sampler import Block, GuidedSampler
from txm2sem_core.inference.learnt import LearntScan
from txm2sem_core.inference.plane_network import PlaneNetwork
from txm2sem_core.intensity import IntensityRange, Preparation, range_of_scans
from txm2sem_core.networks import Flow, ImageGenerator
from txm2sem_core.runtime.device import choose_device


class Predictor:
    """A trained model on a device, ready to predict planes in SEM intensities.

    It predicts in the mode that the model was trained for, unless another is given (see `networks.inference`).

    Attributes:
        generator: the network as it was trained.
        network: the same, ready to predict.
        planes: the same, for planes of any size.
        family: what it was trained in, which says how it predicts.
        scans: of the rock that it predicts from, on one grid.
        learnt_scans: what it has learnt of each of them.
        predicts_classes: what it predicts are numbers of classes from 0 on, and no grey levels.
        noise: what its samples are drawn by; None for a model that predicts one image.
        guided: draws samples that the TXM guides, of volumes; None where slices are predicted one by one.
    """

    def __init__(
        self,
        model: LoadedModel,
        settings: PredictSettings,
        device: str = "auto",
        mode: str | None = None,
        draw: int = 1,
    ) -> None:
        self.settings = settings
        self.description = dict(model.description)
        self.device = choose_device(device)
        self.compute = Accelerator(settings.compute, self.device)
        self.generator: ImageGenerator = model.generator.to(self.device)
        description: dict[str, Any] = model.description
        self.family = family_of_model(description)
        self.predicts_classes = bool(self.family.classes)
        self.noise: VoxelNoise | None = None
        self.draw(draw)
        ranges = [IntensityRange(**description["normalisation"][which]) for which in ("txm", "sem")]
        self.sem_range = ranges[1]
        self.txm_range = self.family.input_range(*ranges)
        first = LearntScan.first(self.txm_range, description)
        self.learnt_scans = first, *map(LearntScan.of, description.get("further_scans") or ())
        self.txm_distribution = first.distribution
        self._trained_range = range_of_scans(ranges[0], [scan.range for scan in self.learnt_scans[1:]])
        self.preparation = Preparation(**description.get("preparation", {}))
        self.sem_dtype = self.family.dtype(np.dtype(description["sem_dtype"]))
        self.mode: str = mode or description["inference_mode"]
        self.width: int = description["generator"].get("width", 1)
        self.scans: int = self.family.scans
        self.context = self._context()
        self.network = copy.deepcopy(self.generator)
        if settings.compute.accelerate:
            accelerate(self.network, training=self.mode == "batch_statistics")
        self.network.eval()  # threads that share it find, and leave, what `inference` sets for evaluation
        if self.compute.channels_last:
            self.network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        alone = self.family.predicts_by_the_network_alone
        self.planes = PlaneNetwork(
            self.network, self.compute, settings, self.mode, self.width, None if alone else self.family.predict
        )
        self.guided = self._guided()
        torch.manual_seed(0)  # dropout at test time, where the model asks for it, is repeatable

    @property
    def factor(self) -> int:
        """SEM pixels a TXM pixel, along y and x."""
        return self.generator.factor

    @property
    def warnings(self) -> list[str]:
        """Settings of the user that are not used."""
        found = []
        if self.noise is not None and self.settings.guided_steps and self.guided is None:
            found.append(
                "The TXM cannot guide samples: from the training pairs it could not be learnt what it shows of a "
                "FIB-SEM slice. Each slice is drawn by itself."
            )
        if not (self.planes.whole_planes and self.settings.tile_px):
            return found
        why = "instance norm" if self.generator.uses_image_statistics else "inference mode batch_statistics"
        return [
            *found,
            f"tile_px = {self.settings.tile_px} is not used: the network normalises by statistics of the whole plane "
            f"({why}), and tiles would show. Where whole planes need too much memory, crop the volume in y and x.",
        ]

    def _context(self) -> int:
        """Slices on each side that the network is given, by its channels; InputError where these do not fit."""
        channels = self.generator.in_channels - self.family.extra_channels
        if channels % self.scans or channels < self.scans:
            raise InputError(
                f"model.json: generator.in_channels = {self.generator.in_channels} does not fit {self.scans} scans "
                "(further_scans), which have as many slices each. Make the model again."
            )
        return (channels // self.scans - 1) // 2

    def _guided(self) -> GuidedSampler | None:
        """What draws samples that the TXM guides; None where that is off, or the model does not know its TXM."""
        flow, steps = self.generator, self.settings.guided_steps
        if not isinstance(flow, Flow) or not steps or not flow.txm_deviation > 0:
            return None
        assert isinstance(self.network, Flow)
        mean, velocity = (
            PlaneNetwork(part, self.compute, self.settings, self.mode, self.width)
            for part in (self.network.mean, self.network.velocity)
        )
        return GuidedSampler(flow, mean, velocity, self.context, steps)

    @property
    def reach_z(self) -> int:
        """Slices to both sides of a slice that are drawn with it; 0 where each slice is predicted by itself."""
        return self.guided.reach_z if self.guided else 0

    @property
    def further_ranges(self) -> tuple[IntensityRange, ...]:
        """What the second scan and on are mapped by."""
        return tuple(scan.range for scan in self.learnt_scans[1:])

    def draw(self, number: int) -> None:
        """From now on predict the sample of this number, from 1 on; ConfigError for another than 1 where none are."""
        if isinstance(self.generator, Flow):
            if self.noise is None:
                self.noise = VoxelNoise(number, 0.0 if self.settings.coherence == "auto" else self.settings.coherence)
            elif self.noise.number != number:
                self.noise = VoxelNoise(number, self.noise.coherence, self.noise.pixels_per_slice)
        elif number != 1:
            raise ConfigError(
                f"--draw {number}: a model of the family {self.family.name} predicts one image, and draws no samples. "
                "Leave it out, or give a model of the family flow."
            )

    def hold_together(self, coherence: float, pixels_per_slice: float) -> None:
        """From now on draw samples by noise that holds together so far along z (see `VoxelNoise`)."""
        if self.noise is not None:
            self.noise = VoxelNoise(self.noise.number, coherence, pixels_per_slice)

    def relative_change(self, pixels: float) -> float:
        """`Flow.relative_changes` over so many pixels."""
        assert isinstance(self.generator, Flow)
        changes = self.generator.relative_changes.tolist()
        return float(np.interp(pixels, range(1, len(changes) + 1), changes))

    def identity(self) -> dict[str, Any]:
        """All that a prediction depends on beside its input, as JSON values; not the device."""
        return {
            "class": type(self).__name__,
            "network": network_digest(self.generator),
            "description": self.description,
            "mode": self.mode,
            **({} if self.noise is None else {"sample": self.noise.number, "coherence": self.settings.coherence}),
            **({} if self.guided is None else {"guided_steps": self.settings.guided_steps}),
            "tile_px": self.settings.tile_px,
            "overlap_px": self.settings.overlap_px,
            "compute": self.settings.compute.model_dump(),
        }

    def origin(self) -> dict[str, Any]:
        """Which model it is, and how precisely it computed, for files that hold its predictions."""
        return {
            "model_sha256": self.description.get("weights_sha256"),
            "precision": self.settings.compute.precision,
        }

    def planes_at_once(self, height: int, width: int) -> int:
        """How many threads may, and had better, call `predict_plane` at once (see `PlaneNetwork.planes_at_once`)."""
        return self.planes.planes_at_once(height, width)

    def start_slice(self, z: int) -> None:
        """Begin slice `z` of a volume: its random numbers, if any, are its own, whichever slices came before."""
        torch.manual_seed(z)

    def predict_plane(self, txm: np.ndarray, z: int = 0) -> np.ndarray:
        """Predict a plane of any size.

        Args:
            txm: [C, Y, X], the slice with its neighbours in z, in TXM intensities; of several scans those of the first,
                then those of the second, and so on.
            z: its number, from which the noise of samples follows.

        Returns:
            [Y * factor, X * factor], float32 SEM intensities.
        """
        return self.predict(self.with_noise(Images(txm), (z, 0, 0)))

    def predict_block(self, block: Block) -> Iterator[np.ndarray]:
        """Predict the wanted slices of a block, one after the other: [Y, X], float32 SEM intensities."""
        if self.guided is None or self.noise is None:
            yield from (self.predict_plane(block.slab(z), z) for z in block.kept)
            return
        for image in self.guided.draw(block, self._trained_range.to_unit, self.noise):
            yield self.sem_range.from_unit(image)

    def with_noise(self, images: Images, position: tuple[int, int, int]) -> Images:
        """The images with the noise of their position (z, y, x of the first voxel), where samples are drawn by it."""
        if self.noise is None:
            return images
        return replace(images, noise=self.noise.plane(*position, *images.txm.shape[1:]))

    def predict(self, images: Images) -> np.ndarray:
        """Predict images of any size, as the model's family does it: an image [Y * factor, X * factor].

        Raises:
            ConfigError: the family needs more than `images` has.
        """
        output = self.planes.plane(self.given(images))
        return self.family.image(output, images, self.sem_range)

    def given(self, images: Images) -> np.ndarray:
        """What the network is given: [C, Y, X] in [-1, 1]."""
        return self.family.given(images, self._trained_range, self.sem_range)

    def predict_patches(self, txm: np.ndarray) -> np.ndarray:
        """Predict patches [B, C, Y, X], each in one pass as in training; returns [B, Y * factor, X * factor]."""
        return np.stack([self.predict_patch(self.with_noise(Images(one), (n, 0, 0))) for n, one in enumerate(txm)])

    def predict_patch(self, images: Images) -> np.ndarray:
        """Predict a patch in one pass, as in training."""
        output = self.planes.patches(self.given(images)[None])[0]
        return self.family.image(output, images, self.sem_range)
