"""A trained model on a device: planes whole, by rows or by tiles, and patches."""

from __future__ import annotations

import copy
import sys
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import torch

from txm2sem_core.acceleration import Accelerator, accelerate, path_of
from txm2sem_core.acceleration.network_streams import by_rows, has_row_stream
from txm2sem_core.acceleration.row_queue import WaitingMemory
from txm2sem_core.checkpoint import LoadedModel
from txm2sem_core.config import PredictSettings
from txm2sem_core.errors import ConfigError, InputError
from txm2sem_core.families import Images, family_of_model
from txm2sem_core.families.voxel_noise import VoxelNoise
from txm2sem_core.inference.fingerprint import network_digest
from txm2sem_core.inference.learnt import LearntScan
from txm2sem_core.inference.memory_budget import FEWEST_ROWS, activation_bytes, memory_budget, rows_at_once
from txm2sem_core.inference.tiling import plan_tiles
from txm2sem_core.intensity import IntensityRange, Preparation, range_of_scans
from txm2sem_core.io.units import padded_length
from txm2sem_core.networks import Flow, ImageGenerator, inference
from txm2sem_core.runtime.device import choose_device
from txm2sem_core.runtime.out_of_memory import made_if_it_fits, memory_remedy

_SMALLEST_TILE = 256
_LAST_RESORT = 64  # the smallest tile that is tried where memory does not suffice; its halo already costs far more
_MEMORY_REMEDY = (
    "Crop the volume in y and x, leave memory to it by running less beside it, or use a machine or GPU with more."
)


class Predictor:
    """A trained model on a device, ready to predict planes in SEM intensities.

    It predicts in the mode that the model was trained for, unless another is given (see `networks.inference`).

    Attributes:
        generator: the network as it was trained.
        network: the same, ready to predict.
        whole_planes: the network normalises by statistics of its input (instance norm, or batch norm in the mode
            `batch_statistics`), so that a tile would differ from the whole plane. Then planes are never tiled.
        family: what it was trained in, which says how it predicts.
        scans: of the rock that it predicts from, on one grid.
        learnt_scans: what it has learnt of each of them.
        budget: bytes that a plane or tile may take in the network (`memory_budget`); less once they did not suffice.
        predicts_classes: what it predicts are numbers of classes from 0 on, and no grey levels.
        noise: what its samples are drawn by; None for a model that predicts one image.
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
        self.whole_planes = self.generator.uses_image_statistics or self.mode == "batch_statistics"
        self.network = copy.deepcopy(self.generator)
        if settings.compute.accelerate:
            accelerate(self.network, training=self.mode == "batch_statistics")
        self.network.eval()  # threads that share it find, and leave, what `inference` sets for evaluation
        if settings.compute.channels_last:
            self.network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._run = self.compute.fast(self.network)
        self._streams = has_row_stream(self.network) and self.family.predicts_by_the_network_alone
        self.budget = memory_budget(self.device, without_bound=not self._streams)
        self._fitting_tile: int | None = None  # where a larger one did not fit into memory
        torch.manual_seed(0)  # dropout at test time, where the model asks for it, is repeatable

    @property
    def factor(self) -> int:
        """SEM pixels a TXM pixel, along y and x."""
        return self.generator.factor

    @property
    def warnings(self) -> list[str]:
        """Settings of the user that are not used."""
        if not (self.whole_planes and self.settings.tile_px):
            return []
        why = "instance norm" if self.generator.uses_image_statistics else "inference mode batch_statistics"
        return [
            f"tile_px = {self.settings.tile_px} is not used: the network normalises by statistics of the whole plane "
            f"({why}), and tiles would show. Where whole planes need too much memory, crop the volume in y and x."
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
        """How many threads may, and had better, call `predict_plane` at once for planes of that size: two or one.

        Two where neither random numbers nor the network itself hold one back, and where a plane, or a tile, takes so
        little memory that two need no more than one may.
        """
        free = self.mode == "evaluation" and path_of(self.network) is not None and not self.settings.compute.compile
        if self.device.type != "cpu" or not free or torch.get_num_threads() % 2:
            return 1
        if not self._tiled(height, width):
            return 2 if 2 * self._bytes(height * width) <= self.budget else 1
        side = self._tile(max(height, width)) + 2 * self.generator.receptive_radius_px + self.settings.overlap_px
        return 2 if 2 * self._bytes(min(height, side) * min(width, side)) <= self.budget else 1

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
        output = self.network_plane(self.given(images))
        return self.family.image(output, images, self.sem_range)

    def given(self, images: Images) -> np.ndarray:
        """What the network is given: [C, Y, X] in [-1, 1]."""
        return self.family.given(images, self._trained_range, self.sem_range)

    def network_plane(self, unit: np.ndarray) -> np.ndarray:
        """What the network makes of a plane of any size: at once, or where it is large by rows, or by tiles.

        Where memory does not suffice, this plane and all after it are predicted by fewer rows or smaller tiles.

        Args:
            unit: [C, Y, X] in [-1, 1], what the network is given.

        Returns:
            [out_channels, Y * factor, X * factor], float32.

        Raises:
            OutOfMemoryError: it does not suffice for a few rows or a small tile either, or the network must be given
                whole planes.
        """
        _, height, width = unit.shape
        generator = self.generator
        padded = [padded_length(n, generator.size_multiple, generator.minimum_size) for n in (height, width)]
        if padded != [height, width]:
            unit = np.pad(unit, ((0, 0), (0, padded[0] - height), (0, padded[1] - width)), mode="symmetric")
        predict = self._by_fitting_tiles if self._tiled(*padded) else self._by_fitting_rows
        return predict(unit)[:, : height * self.factor, : width * self.factor]

    def _tiled(self, height: int, width: int) -> bool:
        """Whether planes of that size are cut into tiles: where that is configured, or the network cannot be computed
        otherwise.
        """
        if self.whole_planes:
            return not self._streams
        return bool(self.settings.tile_px) or not self._streams

    def _by_fitting_rows(self, unit: np.ndarray) -> np.ndarray:
        """A padded plane at once, or by as many rows as memory suffices for."""
        random_state = torch.get_rng_state()
        _, height, width = unit.shape
        while True:
            rows = rows_at_once(height, width, self._bytes(1), self.budget)
            if rows <= FEWEST_ROWS:
                with memory_remedy(f"a plane of {max(height, width)} pixels", _MEMORY_REMEDY):
                    return self._by_rows(unit, rows)
            if (plane := made_if_it_fits(partial(self._by_rows, unit, rows))) is not None:
                return plane
            self.budget = self._bytes(rows * width) - 1
            fewer = rows_at_once(height, width, self._bytes(1), self.budget)
            print(
                f"warning: {rows} rows of a plane need more memory than there is; {fewer} are computed at once from "
                f"here on, which changes no voxel by more than rounding.",
                file=sys.stderr,
            )
            torch.set_rng_state(random_state)

    def _by_rows(self, unit: np.ndarray, rows: int) -> np.ndarray:
        """A padded plane by `rows` rows at once."""
        _, height, width = unit.shape
        f = self.factor
        with inference(self.network, self.mode):
            if rows >= height:
                return self._made(unit[None])[0]
            plane = np.empty((self.generator.out_channels, height * f, width * f), dtype=np.float32)
            given = self.compute.batch(torch.from_numpy(np.ascontiguousarray(unit[None])))
            top = 0
            with self.compute.precision():
                for (made,) in by_rows(self.network, given, rows, WaitingMemory(self.budget // 2)):
                    bottom = top + made.shape[2]
                    plane[:, top:bottom] = self._checked(made.float().cpu().numpy())[0]
                    top = bottom
        return plane

    def _by_fitting_tiles(self, unit: np.ndarray) -> np.ndarray:
        """A padded plane by the largest tiles that memory suffices for."""
        random_state = torch.get_rng_state()
        while True:
            tile = self._tile(max(unit.shape[1:]))
            smaller = padded_length(tile // 2, self.generator.size_multiple)
            if self.whole_planes or not _LAST_RESORT <= smaller < tile:
                with memory_remedy(f"a {'plane' if self.whole_planes else 'tile'} of {tile} pixels", _MEMORY_REMEDY):
                    return self._by_tiles(unit, tile)
            if (plane := made_if_it_fits(partial(self._by_tiles, unit, tile))) is not None:
                return plane
            self._fitting_tile = min(smaller, self._fitting_tile or smaller)
            print(
                f"warning: a tile of {tile} pixels needs more memory than there is; tiles of {smaller} are used from "
                f"here on, which change no voxel by more than rounding. predict.tile_px = {smaller} begins with them.",
                file=sys.stderr,
            )
            torch.set_rng_state(random_state)

    def _by_tiles(self, unit: np.ndarray, tile: int) -> np.ndarray:
        """A padded plane by tiles of `tile` pixels."""
        _, height, width = unit.shape
        generator, f = self.generator, self.factor
        tiles = plan_tiles(
            (height, width),
            tile,
            self.settings.overlap_px,
            generator.receptive_radius_px,
            generator.size_multiple,
        )
        with inference(self.network, self.mode):
            if len(tiles) == 1:
                return self._made(unit[None])[0]
            plane = np.zeros((generator.out_channels, height * f, width * f), dtype=np.float32)
            for row, column in tiles:
                read = unit[:, row.read_start : row.read_stop, column.read_start : column.read_stop]
                made = self._made(read[None])[0]
                y0, x0 = row.keep_start - row.read_start, column.keep_start - column.read_start
                kept = made[:, y0 * f :, x0 * f :]
                kept = kept[:, : (row.keep_stop - row.keep_start) * f, : (column.keep_stop - column.keep_start) * f]
                plane[:, row.keep_start * f : row.keep_stop * f, column.keep_start * f : column.keep_stop * f] += (
                    kept * np.outer(row.weights(f), column.weights(f))
                )
        return plane

    def predict_patches(self, txm: np.ndarray) -> np.ndarray:
        """Predict patches [B, C, Y, X], each in one pass as in training; returns [B, Y * factor, X * factor]."""
        return np.stack([self.predict_patch(self.with_noise(Images(one), (n, 0, 0))) for n, one in enumerate(txm)])

    def predict_patch(self, images: Images) -> np.ndarray:
        """Predict a patch in one pass, as in training."""
        output = self.network_patches(self.given(images)[None])[0]
        return self.family.image(output, images, self.sem_range)

    def network_patches(self, unit: np.ndarray) -> np.ndarray:
        """What the network makes of patches [B, C, Y, X] in [-1, 1] in one pass: float32, [B, out_channels, ...]."""
        with inference(self.network, self.mode):
            return self._made(unit)

    def _made(self, unit: np.ndarray) -> np.ndarray:
        """What the network makes of tiles, or of whole planes, within `inference`: [B, C, Y, X], likewise."""
        given = self.compute.batch(torch.from_numpy(np.ascontiguousarray(unit)))
        return self._checked(self.family.predict(self._run, given).cpu().numpy())

    def _checked(self, made: np.ndarray) -> np.ndarray:
        """What the network made.

        Raises:
            InputError: it is not finite.
        """
        if not np.isfinite(made).all():
            precision = self.settings.compute.precision
            remedy = "Predict by float32" if precision != "float32" else "Look at its history.csv, and train it again"
            raise InputError(
                f"the network predicts values that are not finite (precision {precision}), which are no grey "
                f"levels. {remedy}."
            )
        return made

    def _tile(self, longest: int) -> int:
        """Side of a tile for a plane of this longest side."""
        if self.whole_planes:
            return longest
        wanted = self.settings.tile_px or self._largest_tile(longest)
        return min(wanted, longest, self._fitting_tile or longest)

    def _largest_tile(self, longest: int) -> int:
        """The whole plane where its activations fit into the budget, else the largest tile that does with its halo."""
        side = int((self.budget / self._bytes(1)) ** 0.5)
        if longest <= side:
            return longest
        halo = self.generator.receptive_radius_px
        return max(_SMALLEST_TILE, side - 2 * halo - self.settings.overlap_px)

    def _bytes(self, pixels: int) -> int:
        """What so many pixels take in the network."""
        return activation_bytes(pixels, self.width, self.factor)
