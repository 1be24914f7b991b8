"""What the TXM would show of a FIB-SEM volume: a map of grey levels, then a blur, learnt from pairs of slices.

The map is linear between knots of the grey level, and constant beyond them. It is fitted by least squares, and the blur
as `metrics.point_spread` says; both in turns, since each needs the other.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import chain, repeat
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from txm2sem_core.errors import InputError
from txm2sem_core.metrics.point_spread import LAG_PX, LagMeter, PointSpread, Spacing, fit_point_spread

Real = NDArray[np.float64]
Image = NDArray[np.float32]
Mask = NDArray[np.bool_]

KNOTS = 17  # of the map
ROUNDS = 4  # of map and blur in turns
CALM_SHARE = 0.2  # of the pixels: those about which least changes, whose residual is the unit
SEEN_SHARE = 0.95  # of a voxel's point-spread function that must lie where the prediction is known
BEYOND = 3  # units, beyond which noise is seldom
_ROUGHNESS = 1e-5  # weight of the map's second differences, as a share of the pixels
_FIRST_BLUR_PX = 1.7  # before anything is known
_REACH = 4  # standard deviations of the point-spread function that count
_PAD_PX = 30
_OUTER = 0.002  # share of the grey levels below the lowest knot, and above the highest


class SlicePair(NamedTuple):
    """A FIB-SEM slice `[Y, X]` without noise, the TXM slices about it `[2k + 1, Y, X]`, and what of it can be used.

    TXM slices of NaN are not known; that in the middle is.
    """

    sem: Image
    txm: Image
    mask: Mask


@dataclass(frozen=True)
class ForwardModel:
    """From FIB-SEM grey levels to the TXM's.

    Attributes:
        knots: grey levels of the FIB-SEM.
        values: of the TXM at the knots, if all were of that grey level.
        sigma_px: standard deviations of the Gaussian point-spread function along z, y, x in voxels.
        unit: standard deviation of the TXM about the model in calm areas: of its noise, and of what the map leaves
            open.
        slices: from which it was learnt.
    """

    knots: tuple[float, ...]
    values: tuple[float, ...]
    sigma_px: tuple[float, float, float]
    unit: float
    slices: int

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, description: dict[str, Any]) -> ForwardModel:
        """What `as_dict` gave."""
        knots, values = (tuple(map(float, description[key])) for key in ("knots", "values"))
        z, y, x = map(float, description["sigma_px"])
        return cls(knots, values, (z, y, x), float(description["unit"]), int(description["slices"]))

    def project(self, slices: Iterable[tuple[NDArray[np.generic], Mask | None]]) -> Iterator[tuple[Image, Mask]]:
        """The TXM's slices `[Y, X]` of a volume, and where enough of the point-spread function is known to judge them.

        Only as many slices are held as the point-spread function is long along z.

        Args:
            slices: of the FIB-SEM volume in the order of z, and where each is known; None: everywhere.
        """
        reach = math.ceil(_REACH * self.sigma_px[0])
        kernel = np.exp(-np.square(np.arange(-reach, reach + 1)) / 2 / max(self.sigma_px[0], 1e-6) ** 2)
        kernel = (kernel / kernel.sum()).astype(np.float32)
        held: deque[tuple[Image, Image] | None] = deque([None] * reach, maxlen=2 * reach + 1)
        spread = (self._spread(plane, mask) for plane, mask in slices)
        for own in chain(spread, repeat(None, reach)):
            held.append(own)
            if len(held) > 2 * reach and held[reach] is not None:
                yield _mixed(held, kernel)

    def _spread(self, plane: NDArray[np.generic], mask: Mask | None) -> tuple[Image, Image]:
        """A slice, mapped and blurred within its plane, and the share of the blur that lies on known pixels."""
        from scipy import ndimage

        known = np.ones(plane.shape, np.float32) if mask is None else mask.astype(np.float32)
        mapped = np.interp(plane.astype(np.float32), self.knots, self.values).astype(np.float32)

        def blurred(part: Image) -> Image:
            found = ndimage.gaussian_filter(part, self.sigma_px[1:], mode="constant", truncate=_REACH)
            return np.asarray(found, np.float32)

        return blurred(mapped * known), blurred(known)


def _mixed(held: Iterable[tuple[Image, Image] | None], kernel: Image) -> tuple[Image, Mask]:
    parts = [(weight, *both) for weight, both in zip(kernel, held, strict=True) if both is not None]
    total = sum(weight * known for weight, _, known in parts)
    image = sum(weight * mapped for weight, mapped, _ in parts)
    return np.asarray(image / np.maximum(total, 1e-6), np.float32), np.asarray(total >= SEEN_SHARE)


def fit_forward_model(pairs: Sequence[SlicePair], spacing: Spacing, *, rounding: float = 0.0) -> ForwardModel:
    """Learn it from FIB-SEM slices and the TXM slices about them.

    Args:
        pairs: of equal numbers of TXM slices, which are known of one pair at least.
        spacing: edges of the voxels.
        rounding: step of the TXM's values, whose rounding is noise as well.

    Raises:
        InputError: there is nothing to learn from.
    """
    known = np.concatenate([pair.sem[pair.mask] for pair in pairs]) if pairs else np.empty(0, np.float32)
    if known.size < 2 * KNOTS or np.ptp(known) == 0:
        raise InputError("no training pair has FIB-SEM grey levels to learn from what the TXM shows of them")
    lowest, highest = (float(np.quantile(known, share)) for share in (_OUTER, 1 - _OUTER))
    knots = np.linspace(lowest, highest, KNOTS)
    if not knots[-1] > knots[0]:
        raise InputError("the FIB-SEM slices are constant, and say nothing of the TXM")
    whole = [pair for pair in pairs if not np.isnan(pair.txm).any()]  # the others tell nothing of the blur along z
    spread: PointSpread | None = None
    for _ in range(ROUNDS):
        values, offset = _fit_values(pairs, knots, spread, spacing)
        meter, middle = LagMeter(spacing, _lag_px(pairs)), len(pairs[0].txm) // 2
        for sem, txm, mask in whole:
            meter.add(np.interp(sem, knots, values), txm - offset, mask)
        start = (1.3, 1.3) if spread is None else (spread.plane, spread.z)
        spread = fit_point_spread(meter.result(), spacing, start)
    assert spread is not None  # there is a round
    values *= spread.gain
    left = [
        (pair.txm, offset + _filtered(np.interp(pair.sem, knots, values), spread, spacing), pair.mask) for pair in pairs
    ]
    unit = max(_calm_deviation(left, middle, spacing), rounding / math.sqrt(12), 1e-6 * float(np.ptp(values)))
    sigma = spread.z / spacing.z, spread.plane / spacing.y, spread.plane / spacing.x
    return ForwardModel(tuple(knots), tuple(values + offset), sigma, unit, len(pairs))


def _lag_px(pairs: Sequence[SlicePair]) -> int:
    return min(LAG_PX, *((min(pair.mask.shape) - 1) // 3 for pair in pairs))


def _fit_values(
    pairs: Sequence[SlicePair], knots: Real, spread: PointSpread | None, spacing: Spacing
) -> tuple[Real, float]:
    """The map's values about their mean, and the mean: blurred hats about each knot, weighed by least squares."""
    pixels = sum(int(pair.mask.sum()) for pair in pairs)
    means = np.sum([_hat_sums(pair, knots) for pair in pairs], axis=0) / pixels
    squares, products = np.zeros((len(knots) + 1,) * 2), np.zeros(len(knots) + 1)
    for sem, txm, mask in pairs:
        middle = txm[len(txm) // 2][mask].astype(np.float64)
        hats = [
            _filtered(hat - mean, spread, spacing)[mask].astype(np.float64)
            for hat, mean in zip(_hats(sem, knots), means, strict=True)
        ]
        terms = np.stack([*hats, np.ones(middle.size)])
        squares += terms @ terms.T
        products += terms @ middle
    bends = np.diff(np.eye(len(knots)), 2, axis=0)
    squares[:-1, :-1] += pixels * (_ROUGHNESS * bends.T @ bends + 1e-7 * np.eye(len(knots)))
    found = np.linalg.solve(squares, products)
    return found[:-1] - found[:-1] @ means, float(found[-1])


def _hats(image: Image, knots: Real) -> Iterator[Real]:
    """Of each pixel the share of each knot in its place between two of them."""
    for row in np.eye(len(knots)):
        yield np.interp(image, knots, row)


def _hat_sums(pair: SlicePair, knots: Real) -> Real:
    return np.array([hat[pair.mask].sum() for hat in _hats(pair.sem, knots)])


def _filtered(image: Real, spread: PointSpread | None, spacing: Spacing) -> Real:
    """The best estimate of the TXM slice that one slice allows, of an image about its mean."""
    from scipy import fft, ndimage

    if spread is None:
        return np.asarray(ndimage.gaussian_filter(image, [_FIRST_BLUR_PX / spacing.y, _FIRST_BLUR_PX / spacing.x]))
    pad = [min(_PAD_PX, n) for n in image.shape]
    padded = np.pad(image, [(n, n) for n in pad], mode="symmetric")
    shape = [fft.next_fast_len(n, real=True) for n in padded.shape]
    y, x = fft.fftfreq(shape[0])[:, None] / spacing.y, fft.rfftfreq(shape[1]) / spacing.x
    transfer = spread.of_slice((2 * np.pi) ** 2 * (y**2 + x**2))
    found = fft.irfft2(fft.rfft2(padded, shape) * transfer, shape)
    return np.asarray(found[pad[0] : pad[0] + image.shape[0], pad[1] : pad[1] + image.shape[1]])


def _calm_deviation(left: Sequence[tuple[Image, Real, Mask]], middle: int, spacing: Spacing) -> float:
    """Standard deviation of the TXM about its estimate where least changes, in the plane and to the next TXM slices.

    There the neighbouring planes, which no slice shows, are hardly different.
    """
    from scipy import ndimage

    changes, residuals = [], []
    for txm, estimate, mask in left:
        gradients = [g / edge for g, edge in zip(np.gradient(estimate), spacing[1:], strict=True)]
        if middle and not np.isnan(txm[middle - 1 : middle + 2]).any():
            along = (txm[middle + 1].astype(np.float64) - txm[middle - 1]) / (2 * spacing.z)
            gradients.append(ndimage.gaussian_filter(along, 1.2))  # its noise is less in the mean over some pixels
        changes.append(np.sqrt(sum(np.square(g) for g in gradients))[mask])
        residuals.append((txm[middle] - estimate)[mask])
    change, residual = np.concatenate(changes), np.concatenate(residuals)
    return float(residual[change <= np.quantile(change, CALM_SHARE)].std())


class ResidualMeter:
    """How far the measured TXM is from what a volume should show, in units of `ForwardModel.unit`."""

    def __init__(self) -> None:
        self._squares, self._beyond, self._judged, self._voxels = 0.0, 0, 0, 0

    def add(self, residual: NDArray[np.floating], judged: Mask) -> None:
        """Take the next slice `[Y, X]`, and where it can be judged."""
        values = residual[judged].astype(np.float64)
        self._squares += float(np.square(values).sum())
        self._beyond += int((np.abs(values) > BEYOND).sum())
        self._judged += values.size
        self._voxels += judged.size

    def each(self, slices: Iterable[tuple[Image, Mask]]) -> Iterator[tuple[Image, Mask]]:
        """The slices of a residual, as they were given, after each was taken."""
        for residual, judged in slices:
            self.add(residual, judged)
            yield residual, judged

    def metrics(self) -> dict[str, float]:
        """Root mean square, share beyond 3 units, and the share of the voxels that could be judged.

        Raises:
            InputError: none could.
        """
        if not self._judged:
            raise InputError(
                f"no voxel has {SEEN_SHARE:.0%} of the TXM's point-spread function within what is known of the volume"
            )
        return {
            "txm_residual_rms": math.sqrt(self._squares / self._judged),
            "txm_residual_beyond_3": self._beyond / self._judged,
            "txm_residual_judged_share": self._judged / self._voxels,
        }
