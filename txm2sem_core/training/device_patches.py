"""Training slices that lie whole on a GPU: batches are cut, mirrored and turned there, and wait for no copy."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from txm2sem_core.acceleration.transfer import sent
from txm2sem_core.families.batch import Batch
from txm2sem_core.io import PatchStore
from txm2sem_core.training.batches import orient

SHARE = 0.25  # of the GPU's free memory, which slices may take
WAYS = tuple((mirror, turns) for mirror in (0, 1) for turns in range(4))  # in which a patch can lie

Numbers = NDArray[np.int64]


class DevicePatches:
    """The training slices of a store on a device, as the network gets them."""

    def __init__(self, store: PatchStore, context: int, device: torch.device) -> None:
        """Send the slices, with `context` slices of the TXM on each side."""
        rows = store.of_split("train")
        names = [str(name) for name in dict.fromkeys(rows["pair"])]
        self._largest = [max(store.pairs[name].sem.shape[axis] for name in names) for axis in (0, 1)]
        numbers = {name: number for number, name in enumerate(names)}
        pairs = [store.pairs[name] for name in names]
        self._device, self._factor = device, store.factor
        self._places = np.array([(numbers[str(row.pair)], row.y, row.x) for row in rows.itertuples()], dtype=np.int64)
        self._ways = self._indices(store.size_px)
        self._ways_txm = self._indices(store.size_px // store.factor)
        self._txm = self._stacked(
            len(pairs), (store.slab_range.to_unit(store.txm_slab(name, context)) for name in names), store.factor
        )
        self._sem = self._stacked(len(pairs), (store.sem_range.to_unit(pair.sem)[None] for pair in pairs))
        self._mask = self._stacked(len(pairs), ((pair.mask > 0)[None] for pair in pairs))
        classes = [pair.classes[None] for pair in pairs if pair.classes is not None]
        self._classes = self._stacked(len(classes), classes) if classes else None

    def batch(self, chosen: Numbers, mirrored: Numbers, turns: Numbers) -> Batch:
        """Patches by their numbers among those of training, each mirrored along x or not, then turned so often by 90
        degrees, as by `orient`.
        """
        numbers = np.column_stack([self._places[chosen], WAYS.index((1, 0)) * mirrored + turns])
        places = sent(torch.from_numpy(numbers.astype(np.int64)), self._device)
        return Batch(
            self._cut(self._txm, places, self._ways_txm, self._factor),
            self._cut(self._sem, places, self._ways),
            self._cut(self._mask, places, self._ways),
            classes=None if self._classes is None else self._cut(self._classes, places, self._ways),
        )

    @staticmethod
    def _cut(images: Tensor, places: Tensor, ways: Tensor, factor: int = 1) -> Tensor:
        """Patches `[B, C, s, s]` of images `[P, C, Y, X]` at places `[B, 4]`: pair, y, x, and how they lie."""
        pair, y, x, way = places.unbind(1)
        rows, columns = ways[way].unbind(1)
        rows, columns = (at[:, None, None, None] // factor + own[:, None] for at, own in ((y, rows), (x, columns)))
        channels = torch.arange(images.shape[1], device=images.device)[None, :, None, None]
        return images[pair[:, None, None, None], channels, rows, columns]

    def _indices(self, side: int) -> Tensor:
        """Row and column `[2, s, s]` that each pixel of a patch is taken from, for each of `WAYS`."""
        as_it_is = np.indices((side, side))
        return sent(torch.from_numpy(np.stack([orient(as_it_is, *way) for way in WAYS])), self._device)

    def _stacked(self, count: int, images: Iterable[np.ndarray], factor: int = 1) -> Tensor:
        """Images `[C, Y, X]` as one tensor, with room for the largest; they are made and sent one by one."""
        stacked: Tensor | None = None
        for number, image in enumerate(images):
            values = torch.from_numpy(np.ascontiguousarray(image))
            if stacked is None:
                shape = (count, len(image), *(-(-side // factor) for side in self._largest))
                stacked = torch.zeros(shape, dtype=values.dtype, device=self._device)
            stacked[number, :, : image.shape[1], : image.shape[2]] = values.to(self._device)
        assert stacked is not None
        return stacked


def patches_on(device: torch.device, store: PatchStore, context: int) -> DevicePatches | None:
    """The training slices on a GPU, where they take no more than `SHARE` of its free memory; None elsewhere."""
    if device.type != "cuda" or bytes_on_device(store, context) > SHARE * torch.cuda.mem_get_info(device)[0]:
        return None
    try:
        return DevicePatches(store, context, device)
    except torch.OutOfMemoryError:  # another process has taken it since
        return None


def bytes_on_device(store: PatchStore, context: int) -> int:
    """How much memory the training slices of a store take there."""
    pairs = [store.pairs[name] for name in dict.fromkeys(map(str, store.of_split("train")["pair"]))]
    height, width = (max(pair.sem.shape[axis] for pair in pairs) for axis in (0, 1))
    of_txm = 4 * store.scans * (2 * context + 1) * -(-height // store.factor) * -(-width // store.factor)
    return len(pairs) * (of_txm + height * width * (4 + 1 + 1))  # SEM, mask and classes
