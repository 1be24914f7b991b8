"""What of an image was measured, and what a program filled in.

A tomogram is measured within a circle, and reconstruction programs write one value outside of it; stacks that were
aligned or turned have borders of one value; a slice can be blank. None of that is rock. The instrument's field of view
is convex (a circle, a rectangle, a turned rectangle), so what is outside of it holds a corner of the image: only
constants that reach a corner are looked at. Where the user gave a mask of what was measured, nothing is looked for.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from txm2sem_core.geometry import Array, Mask

LEAST_SHARE = 5e-4  # of the image: what is smaller is left alone
RARE_SHARE = (
    0.01  # a value is no grey level of the rock where it is found elsewhere so seldom, per pixel of the corners
)
CONVEX_SHARE = 0.8  # of such a constant, what must lie outside of the convex hull of all other pixels
LEAST_COMMON_SHARE = 0.01  # of the image, where the value is one of the rock's
LEAST_CORNERS = 2  # the same
MOST_WITHIN = 0.5  # of the pixels directly within the field of view, how many may have the value then

_ROUNDING = 1e-9


def measured(image: Array, outside: float | None = None) -> Mask:
    """Where `image` [Y, X] was measured: bool [Y, X].

    Not measured are pixels without a finite value, all of a blank image, and a constant that reaches a corner, with the
    pixels directly beside it, which resampling may have mixed. A constant counts where its value is hardly found
    elsewhere, or where what is left is convex: a pore of the darkest grey level in a corner is neither. The value
    `outside`, where it is known from other slices of the volume, counts whatever is found elsewhere.
    """
    known = np.isfinite(image) if image.dtype.kind in "fc" else np.ones(image.shape, dtype=bool)
    if not known.any() or np.ptp(image[known]) == 0:
        return np.zeros(image.shape, dtype=bool)
    corners = [image[y, x] for y in (0, -1) for x in (0, -1) if known[y, x] and _is_constant_corner(image, y, x)]
    for value in dict.fromkeys(corners):  # without repetition, in order
        known &= ~_outside(image, value, known=value == outside)
    return known


def measured_within(image: Array, given: Mask) -> Mask:
    """Where `image` [Y, X] was measured by a mask [Y, X] that was given: bool [Y, X].

    The mask stands in the place of what `measured` finds; but a pixel without a finite value was never measured, nor
    was an image that is blank within it.
    """
    known = given & np.isfinite(image)
    return known if known.any() and np.ptp(image[known]) > 0 else np.zeros(image.shape, dtype=bool)


@dataclass(frozen=True)
class Slice:
    """A slice, and what of it was measured.

    Attributes:
        image: [Y, X].
        given: mask [Y, X] that was given of it; None: it is found.
        bar_rows: rows of a data bar at the lower edge, by what the file states.
    """

    image: Array
    given: Mask | None = None
    bar_rows: int = 0

    @cached_property
    def mask(self) -> Mask:
        """Where it was measured."""
        return measured(self.image) if self.given is None else measured_within(self.image, self.given)

    @cached_property
    def filled(self) -> Array:
        """The image with the value of the nearest measured pixel where none was measured (see `filled`)."""
        return filled(self.image, self.mask)

    @property
    def shape(self) -> tuple[int, int]:
        """(Y, X)."""
        return self.image.shape

    def corner(self, height: int, width: int) -> Slice:
        """Its upper left corner."""
        given = None if self.given is None else self.given[:height, :width]
        return Slice(self.image[:height, :width], given)


def measured_share(mask: Mask) -> float:
    """Share of an image or volume that was measured."""
    return float(np.mean(mask))


def filled(image: Array, mask: Mask) -> Array:
    """`image` [Y, X] with the value of the nearest measured pixel wherever `mask` is False, so that filters do not mix.

    As it is where all or nothing was measured.
    """
    if mask.all() or not mask.any():
        return image
    from scipy import ndimage  # here, not above: heavy, and most images need it not

    nearest = ndimage.distance_transform_edt(~mask, return_distances=False, return_indices=True)
    return image[tuple(nearest)]


def _is_constant_corner(image: Array, y: int, x: int) -> bool:
    """Whether the corner's 3 x 3 pixels are equal; `y` and `x` are 0 or -1."""
    block = image[:3] if y == 0 else image[-3:]
    block = block[:, :3] if x == 0 else block[:, -3:]
    return bool((block == block.flat[0]).all())


def corner_values(image: Array, mask: Mask) -> list[float]:
    """The values of the corners of `image` [Y, X] that are constant and, by `mask`, not measured; without NaN."""
    corners = [(y, x) for y in (0, -1) for x in (0, -1) if not mask[y, x] and _is_constant_corner(image, y, x)]
    return list(dict.fromkeys(float(image[position]) for position in corners))


def _outside(image: Array, value: object, *, known: bool) -> Mask:
    """The pixels of `value` outside of the field of view, with those directly beside them; bool [Y, X].

    With `known`, the value is one of what was not measured.
    """
    from scipy import ndimage

    same = image == value
    labels, _ = ndimage.label(same)
    corners = [int(labels[y, x]) for y in (0, -1) for x in (0, -1) if labels[y, x]]
    connected = np.isin(labels, corners)
    nowhere = np.zeros(image.shape, dtype=bool)
    if connected.sum() < LEAST_SHARE * image.size:
        return nowhere
    outside = ~_convex_hull(~connected)  # pores of the same value that touch the border are rock
    if known:
        found = True
    elif same.sum() - connected.sum() <= RARE_SHARE * connected.sum():
        found = outside.sum() >= CONVEX_SHARE * connected.sum()
    else:
        beside = ndimage.binary_dilation(outside, iterations=3) & ~ndimage.binary_dilation(outside)
        in_corners = sum(bool(outside[y, x]) for y in (0, -1) for x in (0, -1))
        large = outside.sum() >= LEAST_COMMON_SHARE * image.size and in_corners >= LEAST_CORNERS
        found = large and same[beside].mean() <= MOST_WITHIN
    return np.asarray(ndimage.binary_dilation(outside, np.ones((3, 3), dtype=bool))) if found else nowhere


def _convex_hull(mask: Mask) -> Mask:
    """The pixels whose centres lie within the convex hull of those of `mask` [Y, X], which is not empty."""
    rows = np.flatnonzero(mask.any(axis=1))
    first = mask[rows].argmax(axis=1)
    last = mask.shape[1] - 1 - mask[rows, ::-1].argmax(axis=1)
    all_rows = np.arange(rows[0], rows[-1] + 1)
    left, right = _envelope(rows, first, all_rows), -_envelope(rows, -last, all_rows)
    x = np.arange(mask.shape[1])
    hull = np.zeros(mask.shape, dtype=bool)
    hull[all_rows] = (x >= left[:, None] - _ROUNDING) & (x <= right[:, None] + _ROUNDING)
    return hull


def _envelope(positions: Array, values: Array, wanted: Array) -> Array:
    """The greatest convex function that nowhere exceeds `values` at ascending `positions`, at the positions `wanted`.

    Andrew, Information Processing Letters 9 (1979) 216, the lower half of the hull.
    """
    kept: list[tuple[int, int]] = []
    for position, value in zip(positions.tolist(), values.tolist(), strict=True):
        while len(kept) > 1:
            (a, at_a), (b, at_b) = kept[-2:]
            if (at_b - at_a) * (position - a) < (value - at_a) * (b - a):
                break
            kept.pop()
        kept.append((position, value))
    return np.interp(wanted, *np.array(kept, dtype=np.float64).T)
