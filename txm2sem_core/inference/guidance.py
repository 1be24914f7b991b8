"""What the measured TXM says of a FIB-SEM volume while it is drawn: of what a state would become, the likeliest change.

The TXM y shows of a volume x the blurred map B f(x), with a deviation u (`metrics.forward_model`). A flow that has come
to time t knows what its state would become, x0, with a variance v = scale^2 (1 - t)^2 / ((1 - t)^2 + t^2), that of a
residual of unit variance. So the likeliest x minimises |x - x0|^2 / v + |y - B f(x)|^2 / u^2. With f linear about x0,
of slope s, that is x = x0 + v s B w where (u^2 + B v s^2 B) w = y - B f(x0), which conjugate gradients solve. Of that
residual only what differs from its mean counts: an error of f for all grey levels alike would move the rock's phases.

This is the posterior of pseudoinverse-guided diffusion (Song et al. 2023, "Pseudoinverse-Guided Diffusion Models for
Inverse Problems") with the proximal step of Zhu et al. 2023 (arXiv 2305.08995); unlike Chung et al. 2022 (arXiv
2209.14687) it needs no gradient through the network. Nothing in it is set by hand.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from txm2sem_core.geometry import Mask
from txm2sem_core.io.units import plan_blocks
from txm2sem_core.networks import Flow

Volume = NDArray[np.float32]

ITERATIONS = 4  # of conjugate gradients
BRICK_PX = 256  # side of the parts of a block that are solved one by one
REACH = 3  # standard deviations of the point-spread function, over which a voxel's TXM has a say
MOST_REACH = 16  # voxels
_CUT = 4  # standard deviations at which the point-spread function ends


class Guidance:
    """Of volumes in the grey levels of a flow, by the TXM in those of its input.

    Attributes:
        reach: voxels along z, y, x beyond which the TXM has no say in a voxel.
    """

    def __init__(self, network: Flow, device: torch.device) -> None:
        """By what the network has learnt of its TXM."""
        self._scale = float(network.residual_scale)
        self._deviation = float(network.txm_deviation)
        self._sigma = [float(sigma) for sigma in network.txm_blur]
        self._knots, self._values = network.txm_values.to(device, torch.float32)
        self.reach = tuple(min(math.ceil(REACH * sigma), MOST_REACH) for sigma in self._sigma)
        self._device = device

    @cached_property
    def _slopes(self) -> Tensor:
        """Of the map at its knots."""
        return torch.gradient(self._values, spacing=(self._knots,))[0]

    def explaining(
        self, made: Volume, txm: Volume, known: Mask | None, time: float
    ) -> Iterator[tuple[slice, slice, Volume]]:
        """What a flow would become at a time, changed so that it explains the TXM: part by part of the plane.

        Args:
            made: `[Z, Y, X]`, grey levels of the FIB-SEM in [-1, 1].
            txm: the same of the TXM.
            known: where the TXM was measured; None for everywhere.
            time: of the flow, from 0 on and below 1.

        Yields:
            Rows, columns, and what lies there in all slices.
        """
        variance = self._scale**2 * (1 - time) ** 2 / ((1 - time) ** 2 + time**2)
        height, width = made.shape[1:]
        for rows, columns in plan_blocks((height, width), BRICK_PX):
            outer = _widened(rows, self.reach[1], height), _widened(columns, self.reach[2], width)
            part = (slice(None), *outer)
            seen = None if known is None else self._tensor(known[part].astype(np.float32))
            changed = self._likeliest(self._tensor(made[part]), self._tensor(txm[part]), seen, variance)
            own = _within(rows, outer[0]), _within(columns, outer[1])
            yield rows, columns, changed[(slice(None), *own)].cpu().numpy()

    def _tensor(self, values: Volume) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(values)).to(self._device)

    def _likeliest(self, made: Tensor, txm: Tensor, seen: Tensor | None, variance: float) -> Tensor:
        def blurred(volume: Tensor) -> Tensor:
            return mirrored_blur(volume, self._sigma)

        weight = torch.ones_like(txm) if seen is None else seen
        count = _total(weight).clamp(min=1)

        def counted(volume: Tensor) -> Tensor:
            """About the mean of what was measured: of the map, an error of all grey levels alike has no say."""
            return weight * (volume - _total(weight * volume) / count)

        shown, slope = self._shown(made)
        spread = variance * slope * slope

        def applied(weights: Tensor) -> Tensor:
            return self._deviation**2 * weights + counted(blurred(spread * blurred(weights)))

        left = counted(txm - blurred(shown))
        weights, direction, size = torch.zeros_like(left), left.clone(), _total(left.square())
        least = torch.finfo(left.dtype).tiny
        for _ in range(ITERATIONS):
            step = applied(direction)
            length = size / _total(direction * step).clamp(min=least)
            weights += length * direction
            left -= length * step
            before, size = size, _total(left.square())
            direction = left + size / before.clamp(min=least) * direction
        return made + variance * slope * blurred(weights)

    def _shown(self, volume: Tensor) -> tuple[Tensor, Tensor]:
        """The map of grey levels and its slope, linear between the knots, which are evenly spaced, constant beyond."""
        last = len(self._knots) - 1
        place = ((volume - self._knots[0]) * (last / (self._knots[-1] - self._knots[0]))).clamp_(0, last)
        lower = place.to(torch.int64).clamp_(max=last - 1)
        upper, share = lower + 1, place.sub_(lower)
        shown, slope = (torch.lerp(each[lower], each[upper], share) for each in (self._values, self._slopes))
        return shown, slope


def mirrored_blur(volume: Tensor, sigma: Sequence[float]) -> Tensor:
    """A Gaussian filter of standard deviations along z, y, x; values go on beyond the ends as in a mirror.

    As a linear map it is its own transpose. Sums and products are of whole volumes, in an order that does not depend on
    the number of threads, as that of a matrix product may.
    """
    for axis, own in enumerate(sigma):
        volume = _blurred_along(volume, axis, own)
    return volume


def _blurred_along(volume: Tensor, axis: int, sigma: float) -> Tensor:
    reach, length = math.ceil(_CUT * sigma), volume.shape[axis]
    weights = np.exp(-0.5 * np.square(np.arange(reach + 1) / max(sigma, 1e-6)))
    weights /= 2 * weights.sum() - weights[0]
    padded, made = _mirrored(volume, axis, reach), volume * float(weights[0])
    for distance, weight in enumerate(weights[1:].tolist(), start=1):
        for start in (reach - distance, reach + distance):
            made.add_(padded.narrow(axis, start, length), alpha=weight)
    return made


def _mirrored(volume: Tensor, axis: int, by: int) -> Tensor:
    """A volume that goes on by so many voxels at both ends of an axis as in a mirror, back and forth if it is short."""
    length = volume.shape[axis]
    if by <= length:
        before, behind = volume.narrow(axis, 0, by).flip(axis), volume.narrow(axis, length - by, by).flip(axis)
        return torch.cat([before, volume, behind], axis)
    places = torch.arange(-by, length + by, device=volume.device) % (2 * length)
    return volume.index_select(axis, torch.minimum(places, 2 * length - 1 - places))


def _total(volume: Tensor) -> Tensor:
    """The sum, in an order that does not depend on the number of threads."""
    return volume.sum(-1).sum()


def _widened(part: slice, by: int, length: int) -> slice:
    return slice(max(part.start - by, 0), min(part.stop + by, length))


def _within(part: slice, outer: slice) -> slice:
    return slice(part.start - outer.start, part.stop - outer.start)
