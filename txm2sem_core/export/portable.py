"""A trained model as one network, from TXM intensities to FIB-SEM intensities."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from txm2sem_core.checkpoint import LoadedModel, load_model
from txm2sem_core.errors import ConfigError
from txm2sem_core.families import family_of_model
from txm2sem_core.intensity import IntensityRange, Preparation
from txm2sem_core.io.units import padded_length
from txm2sem_core.networks import Baseline, Flow, ImageGenerator

_EXAMPLE_PX = 64  # at least, of the images that an export is tried with


class Mapped(nn.Module):
    """A generator with the mapping of intensities about it.

    Its input are TXM slices `[1, C, Y, X]` in the intensities of the training, float32: the slice that is predicted in
    the middle of its neighbours along z. A model that draws samples is given noise `[1, 1, Y, X]` of unit variance as
    well. Its output is `[1, 1, factor Y, factor X]` in FIB-SEM intensities, neither rounded nor bounded.
    """

    def __init__(self, generator: ImageGenerator, txm: IntensityRange, sem: IntensityRange) -> None:
        super().__init__()
        self.generator = generator
        self.txm, self.sem = txm, sem

    def forward(self, txm: Tensor, noise: Tensor | None = None) -> Tensor:
        """See the class."""
        given = (txm - self.txm.low) * (2 / (self.txm.high - self.txm.low)) - 1
        if noise is not None:
            given = torch.cat([given, noise], dim=1)
        generator = self.generator
        unit = generator.mapped(given) if isinstance(generator, Baseline) else generator(given)
        mapped: Tensor = (unit + 1) * ((self.sem.high - self.sem.low) / 2) + self.sem.low
        return mapped


@dataclass(frozen=True)
class Portable:
    """A network that needs nothing of this package, and what must be known to use it.

    Attributes:
        network: in evaluation mode, on the CPU.
        model: that it was made from.
        context: TXM slices on each side of the one that is predicted.
        samples: it is given noise as well.
        factor: FIB-SEM pixels to a TXM pixel.
        multiple: Y and X must be multiples of it.
        smallest: Y and X must be at least so large; a multiple.
        halo_px: TXM pixels at the border of a tile in which it differs from the whole plane.
        tiles: whether tiles agree with the whole plane at all.
    """

    network: Mapped
    model: LoadedModel
    context: int
    samples: bool
    factor: int
    multiple: int
    smallest: int
    halo_px: int
    tiles: bool

    @property
    def channels(self) -> int:
        """TXM slices that it is given."""
        return 2 * self.context + 1

    @property
    def example_px(self) -> int:
        """The side of an image that it can be tried with."""
        return padded_length(max(_EXAMPLE_PX, 2 * self.smallest), self.multiple)

    def example(self, height: int, width: int) -> dict[str, np.ndarray]:
        """An input of smooth TXM grey levels, by the name of each part; the same in each run."""
        from scipy import ndimage

        rng = np.random.default_rng(0)
        field = ndimage.gaussian_filter(rng.standard_normal((self.channels, height, width)), (1, 3, 3), mode="wrap")
        low, high = self.network.txm.low, self.network.txm.high
        share = (field - field.min()) / np.ptp(field)
        images = {"txm": (low + share * (high - low))[None].astype(np.float32)}
        if self.samples:
            images["noise"] = rng.standard_normal((1, 1, height, width)).astype(np.float32)
        return images

    def predict(self, images: dict[str, np.ndarray]) -> np.ndarray:
        """What it makes of an input by the name of each part."""
        with torch.no_grad():
            made: np.ndarray = self.network(*map(torch.from_numpy, images.values())).numpy()
        return made

    def facts(self) -> dict[str, Any]:
        """What a program must know to use the network, as JSON values."""
        return {
            "txm": f"[1, {self.channels}, Y, X]: float32 intensities of z - {self.context} to z + {self.context}",
            **({"noise": "[1, 1, Y, X]: normally distributed, of unit variance"} if self.samples else {}),
            "sem": f"[1, 1, {self.factor} Y, {self.factor} X]: FIB-SEM intensities",
            "multiple": self.multiple,
            "smallest": self.smallest,
            "halo_px": self.halo_px,
            "tiles_agree": self.tiles,
            "voxel_size_nm": self.model.description.get("voxel_size_nm"),
            "weights_sha256": self.model.description["weights_sha256"],
        }


def portable(folder: Path) -> Portable:
    """Make one network of a model folder.

    Raises:
        InputError: the folder holds no whole model.
        ConfigError: the model does more than one network can: a side task, prepared slices, statistics of each plane
            with dropout.
    """
    model = load_model(folder)
    description = model.description
    family, generator = family_of_model(description), model.generator
    reasons = {
        f"it is of the family {family.name}, and only models that translate TXM to FIB-SEM are": not (
            family.rules.translates
        ),
        "its TXM slices are prepared before (patches.equalise, patches.contrast), which the network does not do": not (
            Preparation(**description.get("preparation", {})).is_none
        ),
        "it predicts from several TXM scans, and an exported network takes one": family.scans > 1,
        "it predicts with the statistics and the dropout of training (inference_mode: batch_statistics)": (
            description["inference_mode"] != "evaluation"
        ),
    }
    for reason, holds in reasons.items():
        if holds:
            raise ConfigError(f"{folder}: this model cannot be exported: {reason}. Use `txm2sem predict` for it.")
    txm, sem = (IntensityRange(**description["normalisation"][which]) for which in ("txm", "sem"))
    samples = isinstance(generator, Flow)
    return Portable(
        network=Mapped(generator, txm, sem).eval(),
        model=model,
        context=(generator.in_channels - family.extra_channels - 1) // 2,
        samples=samples,
        factor=generator.factor,
        multiple=generator.size_multiple,
        smallest=padded_length(generator.minimum_size, generator.size_multiple),
        halo_px=generator.receptive_radius_px,
        tiles=not generator.uses_image_statistics,
    )
