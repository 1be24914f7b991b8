"""Repair of charged areas in FIB-SEM slices (Anderson et al. 2020): a side task, adversarial as pix2pix.

Damage with a known truth is laid over uncharged areas, and the network is trained and judged under it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import islice
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from txm2sem_core.errors import ConfigError, InputError
from txm2sem_core.families.batch import Batch, BatchSource, Images
from txm2sem_core.families.pix2pix import Pix2Pix
from txm2sem_core.families.registry import register_family
from txm2sem_core.families.scores import ImageMeter, Meter
from txm2sem_core.geometry import Mask, window_share
from txm2sem_core.intensity import IntensityRange, to_dtype
from txm2sem_core.io import PatchStore
from txm2sem_core.metrics.damage import scores_under

WHITE = 1.0  # of the SEM in [-1, 1], where it is masked: as bright as charging


@register_family(
    "repair",
    task="repair",
    adversarial=True,
    settings={"generator": {"name": "unet_256", "dropout": True}, "pixel_weight": 10.0},
)
class Repair(Pix2Pix):
    """The network is given the TXM slice, the damaged SEM slice and the mask; only what is under the mask changes."""

    extra_channels: ClassVar[int] = 2
    needs_sem: ClassVar[bool] = True

    def batches(self, store: PatchStore) -> BatchSource:
        """Damage of the training slices over each patch."""
        return _Damaged(self, DamageBank(store, self.settings.damage))

    def meter(self, store: PatchStore, threshold: float | None) -> Meter:
        """Scores under the damage alone."""
        return ImageMeter(store, threshold, scores_under)

    @property
    def sem_only(self) -> bool:
        """Whether the TXM slice is not looked at."""
        return self.settings.repair_from == "sem"

    def predict(self, network: Callable[[Tensor], Tensor], given: Tensor) -> Tensor:
        """The repaired image: what the network makes under the mask, the SEM elsewhere."""
        return composed(network(given), given)

    def given(self, images: Images, txm_range: IntensityRange, sem_range: IntensityRange) -> np.ndarray:
        """TXM, SEM and mask of a slice; ConfigError for a TXM slice alone, which cannot be repaired."""
        if images.sem is None or images.charged is None:
            raise ConfigError(
                "this model repairs FIB-SEM slices, and needs one with its mask of charge beside the TXM slice. Use "
                "`txm2sem repair --txm T --sem S --mask M`."
            )
        txm = np.zeros_like(images.txm, dtype=np.float32) if self.sem_only else txm_range.to_unit(images.txm)
        parts = txm, sem_range.to_unit(images.sem)[None], images.charged[None]
        return repair_input(*(torch.from_numpy(np.ascontiguousarray(part))[None] for part in parts))[0].numpy()

    def image(self, output: np.ndarray, images: Images, sem_range: IntensityRange) -> np.ndarray:
        """The slice in its own type, the very same where it is not charged."""
        assert images.sem is not None  # `given` has seen to both
        assert images.charged is not None
        repaired, _ = to_dtype(sem_range.from_unit(output[0]), images.sem.dtype)
        return np.where(images.charged, repaired, images.sem)

    def test_damage(self, store: PatchStore, count: int) -> list[Mask] | None:
        """The same masks each time."""
        return DamageBank(store, self.settings.damage).for_evaluation(count)


class _Damaged(BatchSource):
    """Damage of known truth is laid over the SEM; `Batch.judged` says where."""

    def __init__(self, family: Repair, bank: DamageBank) -> None:
        self._family, self._bank = family, bank

    def training(self, batches: Iterator[Batch], seed: int, epoch: int, start: int) -> Iterator[Batch]:
        """Damage that follows from (seed, epoch), another on each patch."""
        rng = np.random.default_rng([seed, epoch, 2])
        masks = (self._bank.draw(rng) for _ in iter(int, 1))
        yield from self._damaged(batches, islice(masks, start, None))

    def validation(self, batches: Iterator[Batch]) -> Iterator[Batch]:
        """The same damage each time."""
        rows = list(batches)
        yield from self._damaged(iter(rows), iter(self._bank.for_evaluation(sum(len(b.sem) for b in rows))))

    def _damaged(self, batches: Iterator[Batch], masks: Iterator[Mask]) -> Iterator[Batch]:
        for batch in batches:
            damage = torch.from_numpy(np.stack([next(masks) for _ in batch.sem]))[:, None]
            txm = torch.zeros_like(batch.txm) if self._family.sem_only else batch.txm
            yield replace(batch, txm=repair_input(txm, batch.sem, damage), judged=damage & batch.mask)


def repair_input(txm: Tensor, sem: Tensor, mask: Tensor) -> Tensor:
    """What a repair network is given: `[B, C + 2, Y, X]` of TXM `[B, C, ...]`, SEM and mask `[B, 1, ...]`.

    The SEM is white under the mask, whatever it was: the charge itself tells nothing, and its size differs
    everywhere. The mask is 1 where the SEM is to be repaired and -1 elsewhere.
    """
    masked = mask.bool()
    white = torch.full_like(sem, WHITE)
    return torch.cat([txm, torch.where(masked, white, sem), masked.to(sem) * 2 - 1], dim=1)


def composed(output: Tensor, given: Tensor) -> Tensor:
    """The repaired image: the network's output under the mask of its input, elsewhere the unchanged SEM."""
    return output.where(given[:, -1:] > 0, given[:, -2:-1])


class DamageBank:
    """Charged areas of the training slices, to be laid over areas that are not charged."""

    def __init__(self, store: PatchStore, share: tuple[float, float]) -> None:
        """Find out whether there are any.

        Args:
            store: patches with masks of charge.
            share: least and greatest part of a patch that damage covers.

        Raises:
            InputError: no patch of the training slices is charged so much.
        """
        self._size, self._share = store.size_px, share
        names = store.of_split("train")["pair"].unique()
        self._charged = [store.pairs[name].charged for name in names]
        greatest = 0.0
        self._positions: list[NDArray[np.int64]] = []
        for charged in self._charged:
            shares = window_share(charged, self._size)
            greatest = max(greatest, float(shares.max()))
            self._positions.append(np.argwhere((shares >= share[0]) & (shares <= share[1])))
        if not any(len(positions) for positions in self._positions):
            raise InputError(
                f"repair: no patch of {self._size} pixels in the training slices is charged by {share[0]:.0%} to "
                f"{share[1]:.0%}; the most is {greatest:.1%}. Give charge masks (column charge of the sample table), "
                "or widen train.damage."
            )

    def draw(self, rng: np.random.Generator) -> Mask:
        """A mask `[s, s]`, True where damaged: evenly from all positions in a slice that has any."""
        slices = [number for number, positions in enumerate(self._positions) if len(positions)]
        number = slices[int(rng.integers(len(slices)))]
        y, x = self._positions[number][int(rng.integers(len(self._positions[number])))]
        return self._charged[number][y : y + self._size, x : x + self._size]

    def for_evaluation(self, count: int) -> list[Mask]:
        """The same masks each time, for patches that are compared."""
        rng = np.random.default_rng(999)  # the published code's number
        return [self.draw(rng) for _ in range(count)]
