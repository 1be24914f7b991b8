"""Whether a pair's TXM slice is the slice of the TXM volume that it is said to be, and on the same grey scale."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from txm2sem_core.errors import InputError
from txm2sem_core.geometry import Array
from txm2sem_core.intensity.measured import Slice
from txm2sem_core.io import Volume

REACH = 1  # slices below and above that are compared too: numbers counted from 1 instead of 0 are one off
MIN_AGREEMENT = 0.9  # correlation of a pair's slice with the volume's
CLEARLY_BETTER = 0.8  # of the named slice's distance from a correlation of 1, what a better one has at most
SAME_CONTRAST = 0.1  # by how much the grey scales of the slice and the volume may differ, as a share
SAME_BRIGHTNESS = 0.1  # the same of their medians, as a share of the quartiles' distance

_QUANTILES = (0.1, 0.25, 0.5, 0.75, 0.9)


@dataclass(frozen=True)
class SlicePosition:
    """How a pair's TXM slice compares with the volume's slices around the position that the table gives.

    Attributes:
        pair: its name.
        z: the slice that the table names.
        agreement: correlation with the slice at each z nearby; NaN where one is constant.
        contrast: scale of the pair's grey levels over those of the best of these slices, by their quantiles; NaN as
            above.
        brightness: median of the pair's slice less that of the same slice, over the latter's distance of quartiles.
    """

    pair: str
    z: int
    agreement: dict[int, float]
    contrast: float
    brightness: float

    @property
    def better(self) -> int | None:
        """A neighbour's z that fits clearly better than the named one, or None."""
        best = _best(self.agreement, self.z)
        return best if 1 - self.agreement[best] < CLEARLY_BETTER * (1 - self.agreement[self.z]) else None

    @property
    def same_scale(self) -> bool:
        """Whether the grey levels mean the same; true where nothing can be compared."""
        apart = abs(self.contrast - 1) > SAME_CONTRAST or abs(self.brightness) > SAME_BRIGHTNESS
        return not apart


def slices_around(volume: Volume, z: int, reach: int, here: tuple[slice, slice]) -> list[Slice]:
    """A part of the slices z - reach to z + reach, with what was measured of them by the volume's mask, if it has one.

    The outermost is repeated at the volume's ends.

    Args:
        volume: [Z, Y, X].
        z: the slice in the middle.
        reach: slices below and above it.
        here: the part, along y and x.
    """
    planes = [plane[here] for plane in volume.read_around(z, reach)]
    if volume.mask is None:
        return [Slice(plane) for plane in planes]
    masks = volume.mask.read_around(z, reach)
    return [Slice(plane, mask[here]) for plane, mask in zip(planes, masks, strict=True)]


def nearby(around: Sequence[Slice], z: int, depth: int) -> dict[int, Slice]:
    """Of slices around z in a volume of `depth` slices (see `slices_around`), those that are compared, by z."""
    middle = len(around) // 2
    return {z + d: around[middle + d] for d in range(-REACH, REACH + 1) if 0 <= z + d < depth}


def compare_position(pair: str, z: int, of_pair: Slice, nearby_slices: dict[int, Slice]) -> SlicePosition:
    """Compare a pair's TXM slice with the volume's slices around it, where both were measured.

    Args:
        pair: its name.
        z: the slice that the table names.
        of_pair: the TXM slice.
        nearby_slices: the volume's slices by z, `z` among them, cut as `of_pair` is.
    """
    agreement = {
        at: correlation(of_pair.image, plane.image, of_pair.mask & plane.mask) for at, plane in nearby_slices.items()
    }
    alike = nearby_slices[_best(agreement, z)]
    both = of_pair.mask & alike.mask
    contrast, brightness = float("nan"), float("nan")
    if both.any():
        own, other = (np.quantile(each.image[both], _QUANTILES) for each in (of_pair, alike))
        steps = [(b - a, d - c) for (a, b), (c, d) in zip(pairwise(own), pairwise(other), strict=True) if d > c]
        spread = other[3] - other[1]
        contrast = float(np.median([one / two for one, two in steps])) if steps else contrast
        brightness = float((own[2] - other[2]) / spread) if spread > 0 else brightness
    return SlicePosition(pair, z, agreement, contrast, brightness)


def _best(agreement: dict[int, float], z: int) -> int:
    """The position of greatest agreement; `z` among equal ones."""
    return max(agreement, key=lambda position: (np.nan_to_num(agreement[position], nan=-1.0), position == z))


def position_in_plane(of_pair: Array, plane: Array) -> tuple[int, int, float] | None:
    """Where a slice [Y, X] that was cropped lies in its plane: y, x of its first pixel, and how well it fits there.

    None where it is not smaller, or fits nowhere.
    """
    if any(a > b for a, b in zip(of_pair.shape, plane.shape, strict=True)) or np.ptp(of_pair) == 0:
        return None
    from skimage.feature import match_template  # here, not above: heavy, and few slices are looked for

    fits = match_template(plane.astype(np.float64), of_pair.astype(np.float64))  # type: ignore[no-untyped-call]
    y, x = np.unravel_index(int(np.nanargmax(fits)), fits.shape)
    agreement = float(fits[y, x])
    return (int(y), int(x), min(agreement, 1.0)) if agreement >= MIN_AGREEMENT else None


def correlation(first: Array, second: Array, where: Array) -> float:
    """Pearson correlation over `where`; exactly 1 of equal pixels, NaN of constant ones."""
    a, b = first[where].astype(np.float64), second[where].astype(np.float64)
    if a.size < 2 or np.ptp(a) == 0 or np.ptp(b) == 0:
        return float("nan")
    return 1.0 if np.array_equal(a, b) else min(float(np.corrcoef(a, b)[0, 1]), 1.0)


def check_positions(positions: Sequence[SlicePosition], source: str) -> list[str]:
    """Refuse a pair whose TXM slice is another slice of the volume; returns warnings of pairs that may be.

    Args:
        positions: of every pair with a known position in the volume.
        source: the volume, for messages.

    Returns:
        Warnings, for the log, `model.json` and the report.

    Raises:
        InputError: a pair's slice does not look like the named one, or is another slice of the volume to the last bit.
    """
    for one in positions:
        _check_position(one, positions, source)
    return [*_other_position(positions, source), *scale_warnings(positions, source)]


def _check_position(one: SlicePosition, positions: Sequence[SlicePosition], source: str) -> None:
    own, better = one.agreement[one.z], one.better
    if better is not None and one.agreement[better] == 1:
        offset = better - one.z
        alike = sum(1 for other in positions if other.agreement.get(other.z + offset) == 1)
        raise InputError(
            f"pair {one.pair}: its TXM slice is slice z = {better} of {source}, not z = {one.z} as pair_z in the "
            f"sample table says; so it is in {alike} of {len(positions)} pairs. z is counted from 0, and many programs "
            f"count from 1. Change pair_z by {offset:+d}."
        )
    if not own >= MIN_AGREEMENT:
        raise InputError(
            f"pair {one.pair}: its TXM slice and slice z = {one.z} of {source} correlate by only {own:.2f} (at "
            f"least {MIN_AGREEMENT}). Correct pair_z in the sample table, or export slices and volume alike."
        )


def _other_position(positions: Sequence[SlicePosition], source: str) -> list[str]:
    found = [position for position in positions if position.better is not None]
    if not found:
        return []
    first = found[0]
    better = first.better or first.z
    return [
        f"The TXM slices of {len(found)} of {len(positions)} pairs fit a neighbouring slice of {source} better than "
        f"the one that pair_z names: in pair {first.pair} z = {better} agrees by {first.agreement[better]:.4f}, z = "
        f"{first.z} by {first.agreement[first.z]:.4f}. z is counted from 0. Look whether pair_z is one off."
    ]


def scale_warnings(positions: Sequence[SlicePosition], source: str) -> list[str]:
    """Say where the slices have another grey scale than the volume (see `SlicePosition.same_scale`)."""
    found = [position for position in positions if not position.same_scale]
    if not found:
        return []
    first = found[0]
    return [
        f"The TXM slices of {len(found)} of {len(positions)} pairs have another grey scale than {source}: in pair "
        f"{first.pair} the contrast is {first.contrast:.3g} times that of the volume there, and the median lies "
        f"{first.brightness:.2g} times its quartiles' distance off. The network is trained on the slices and applied "
        "to the volume. Export both alike, without automatic contrast."
    ]
