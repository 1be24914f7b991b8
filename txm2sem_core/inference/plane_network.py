"""A network that is ready to predict: planes of any size at once, by rows or by tiles, and patches."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import cache, partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from txm2sem_core.acceleration import Accelerator, path_of
from txm2sem_core.acceleration.network_streams import by_rows, has_row_stream
from txm2sem_core.acceleration.row_queue import WaitingMemory
from txm2sem_core.config import PredictSettings
from txm2sem_core.errors import InputError
from txm2sem_core.inference.memory_budget import FEWEST_ROWS, activation_bytes, memory_budget, rows_at_once
from txm2sem_core.inference.tiling import plan_tiles
from txm2sem_core.io.units import padded_length
from txm2sem_core.networks import ImageGenerator, inference
from txm2sem_core.runtime.out_of_memory import made_if_it_fits, memory_remedy

_ON_CPU, _ON_GPU = 2, 3  # planes at once
_SMALLEST_TILE = 256
_LAST_RESORT = 64  # the smallest tile that is tried where memory does not suffice; its halo already costs far more
_MEMORY_REMEDY = (
    "Crop the volume in y and x, leave memory to it by running less beside it, or use a machine or GPU with more."
)
Predict = Callable[[Callable[[Tensor], Tensor], Tensor], Tensor]
"""What becomes of images `[B, C, Y, X]`, by a network (as `Family.predict`)."""


class PlaneNetwork:
    """A network on a device, ready to predict.

    Attributes:
        network: as it computes.
        whole_planes: it normalises by statistics of its input (instance norm, or batch norm in the mode
            `batch_statistics`), so that a tile would differ from the whole plane. Then planes are never tiled.
        budget: bytes that a plane or tile may take in it (`memory_budget`); less once they did not suffice.
    """

    def __init__(
        self,
        network: ImageGenerator,
        compute: Accelerator,
        settings: PredictSettings,
        mode: str,
        width: int,
        predict: Predict | None = None,
    ) -> None:
        """A network as it is to compute.

        Args:
            network: on the device, accelerated where it should be.
            compute: of the device.
            settings: tiles.
            mode: of `networks.inference`.
            width: channels of its first layer, from which follows what a plane takes.
            predict: what becomes of images; None: what the network makes of them.
        """
        self.network, self.compute, self.settings, self.mode, self.width = network, compute, settings, mode, width
        self.whole_planes = network.uses_image_statistics or mode == "batch_statistics"
        self.run = compute.fast(network)
        self._on_gpu = compute.device.type != "cpu"
        self._turn = _turn_of(compute.device)
        self._predict = predict
        self._streams = has_row_stream(network) and predict is None
        self.budget = memory_budget(compute.device, without_bound=not self._streams)
        self._fitting_tile: int | None = None  # where a larger one did not fit into memory

    @property
    def factor(self) -> int:
        """Pixels that it makes of one, along y and x."""
        return self.network.factor

    def planes_at_once(self, height: int, width: int) -> int:
        """How many threads may, and had better, predict planes of that size at once.

        Several where neither random numbers nor the network itself hold one back, and where a plane, or a tile, takes
        so little memory that several need no more than one may. A GPU computes one after the other, in the same memory;
        but it need not wait while the processor sends planes and makes grey levels.
        """
        if self.mode != "evaluation" or path_of(self.network) is None:
            return 1
        several = _ON_GPU if self._on_gpu else _ON_CPU
        if not self._on_gpu and (self.settings.compute.compile or torch.get_num_threads() % several):
            return 1
        sides = height, width
        if self._tiled(height, width):
            side = self._tile(max(height, width)) + 2 * self.network.receptive_radius_px + self.settings.overlap_px
            sides = min(height, side), min(width, side)
        at_a_time = 1 if self._on_gpu else several
        return several if at_a_time * self._bytes(sides[0] * sides[1]) <= self.budget else 1

    def plane(self, unit: np.ndarray) -> np.ndarray:
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
        network = self.network
        padded = [padded_length(n, network.size_multiple, network.minimum_size) for n in (height, width)]
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
            plane = np.empty((self.network.out_channels, height * f, width * f), dtype=np.float32)
            given = self.compute.batch(torch.from_numpy(np.ascontiguousarray(unit[None])))
            top = 0
            with self._turn, self.compute.precision():
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
            smaller = padded_length(tile // 2, self.network.size_multiple)
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
        network, f = self.network, self.factor
        tiles = plan_tiles(
            (height, width),
            tile,
            self.settings.overlap_px,
            network.receptive_radius_px,
            network.size_multiple,
        )
        with inference(self.network, self.mode):
            if len(tiles) == 1:
                return self._made(unit[None])[0]
            plane = np.zeros((network.out_channels, height * f, width * f), dtype=np.float32)
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

    def patches(self, unit: np.ndarray) -> np.ndarray:
        """What the network makes of patches [B, C, Y, X] in [-1, 1] in one pass: float32, [B, out_channels, ...]."""
        with inference(self.network, self.mode):
            return self._made(unit)

    def _made(self, unit: np.ndarray) -> np.ndarray:
        """What the network makes of tiles, or of whole planes, within `inference`: [B, C, Y, X], likewise."""
        given = self.compute.batch(torch.from_numpy(np.ascontiguousarray(unit)))
        with self._turn:
            made = self.run(given) if self._predict is None else self._predict(self.run, given)
        return self._checked(made.cpu().numpy())

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
        halo = self.network.receptive_radius_px
        return max(_SMALLEST_TILE, side - 2 * halo - self.settings.overlap_px)

    def _bytes(self, pixels: int) -> int:
        """What so many pixels take in the network."""
        return activation_bytes(pixels, self.width, self.factor)


@cache
def _turn_of(device: torch.device) -> AbstractContextManager[Any]:
    """Held while a plane or a tile is computed on a device.

    Threads, of several networks too, give a GPU its work in turn: all is computed in the memory of one plane, and a
    compiled network is built by one alone. The threads of a CPU compute side by side.
    """
    return nullcontext() if device.type == "cpu" else threading.RLock()
