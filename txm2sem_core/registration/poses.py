"""How one slice may lie on another where nothing is known: mirrored or not, any turn, any of some scales, all shifts.

This is a coarse search. It ranks, and judges nothing: a pose is a start for `placing`. Fast normalised
cross-correlation of images shrunk so that the smaller of the two is about `COARSE_SIDE_PX` wide, at every whole shift
(Padfield, IEEE Transactions on Image Processing 21 (2012) 2706). SimpleITK and scikit-image have it for two images;
written out here, spectra are taken once for hundreds of turns, and eight ways upright need one resampling and four
spectra: 9 s by SimpleITK are less than 1 s.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy import fft, ndimage

from txm2sem_core.geometry import Array, Mask, Matrix, centred_similarity
from txm2sem_core.intensity.measured import Slice
from txm2sem_core.registration.frames import Scaled, shrinking
from txm2sem_core.registration.similarity import prefilter

COARSE_SIDE_PX = 64  # shorter side of the smaller of the two coarse images
HIGH_PASS_PX = 4.0  # Gaussian sigma on the coarse images; what is smoother is drift of brightness
EVEN_SHARE = 0.3  # of a feature's standard deviation, which flat places are not raised above
SHARED_SHARE = 0.5  # of the smaller of the two images that a shift must leave on the other
LEAST_VARIANCE = 0.05  # of the fixed image's, below which a place counts as flat
SMALLEST_SIDE_PX = 12  # of a coarse image
CERTAIN = 12.0  # strength beyond doubt: wrong poses of the pairs that settings were chosen on stayed below 9
BATCH = 4  # scales between two looks at the strongest pose
TURN_STEP_DEG = 5.0  # half a step moves a coarse image's corners by two pixels
SCALE_STEP = 0.08

Image = NDArray[np.float32]


@dataclass(frozen=True)
class Pose:
    """Where a moving slice may lie."""

    strength: float  # of the correlation's peak, over the root mean square of its map
    mirrored: bool  # left to right, before it is turned
    scale: float  # fixed pixels to a moving pixel
    turn_deg: float  # x towards y, -180 to 180
    matrix: Matrix  # moving pixel to fixed pixel


@dataclass(frozen=True)
class _Window:
    """The shifts of square canvases on an image `[Y, X]` that leave enough on it, as their correlation has them.

    The image stands behind `before` empty rows and columns, so that the first pixel of a correlation is the shift
    by `-before`. Sides long enough for these shifts alone take half of the time that all shifts take.
    """

    size: tuple[int, int]  # that spectra are filled up to
    before: tuple[int, int]
    shifts: tuple[int, int]  # along y and x


@dataclass
class _Coarse:
    """A shrunk slice: features [kinds, Y, X] of variance 1, 0 where it was not measured; and its spectra by window."""

    features: Image
    mask: Image
    matrix: Matrix  # pixel of the slice to coarse pixel
    spectra: dict[_Window, tuple[Array, Array, Array]] = field(default_factory=dict)

    def spectra_of(self, window: _Window) -> tuple[Array, Array, Array]:
        """Spectra of the features, of the mean of their squares, and of the mask, as the fixed image of a window."""
        if window not in self.spectra:
            before = tuple((n, 0) for n in window.before)
            of_each = self.features, (self.features**2).mean(axis=0), self.mask
            padded = (np.pad(each, ((0, 0),) * (each.ndim - 2) + before) for each in of_each)
            self.spectra[window] = tuple(fft.rfft2(each, window.size) for each in padded)
        return self.spectra[window]


def _coarse(image: Scaled, factor: float) -> _Coarse | None:
    """A slice on pixels 1 / `factor` times as wide; None where too little is left of it."""
    if min(image.shape) * factor < SMALLEST_SIDE_PX:
        return None
    small = image.at(factor)
    features = features_of(small.image.astype(np.float32), small.mask)
    return None if features is None else _Coarse(features, small.mask.astype(np.float32), shrinking(factor))


def features_of(image: Image, mask: Mask) -> Image | None:
    """Grey levels and edges, each without drift and evened out; None where nothing is to be seen.

    Evened out, since a few bright crystals would otherwise outweigh everything else.
    """
    filtered = prefilter(Slice(image, mask), 0, 0).image
    found = []
    for feature in (filtered, ndimage.gaussian_gradient_magnitude(filtered, 1.0, mode="nearest")):
        rough = feature - ndimage.gaussian_filter(feature, HIGH_PASS_PX, mode="nearest")
        if not mask.any() or not rough[mask].any():
            return None
        spread = np.sqrt(ndimage.gaussian_filter(rough**2, HIGH_PASS_PX, mode="nearest"))
        even = rough / (spread + EVEN_SHARE * rough[mask].std())
        even = np.where(mask, even - even[mask].mean(), 0)
        found.append(even / even.std())
    return np.stack(found).astype(np.float32)


def find_poses(
    fixed: Scaled, moving: Scaled, scales: Sequence[float], max_turn_deg: float, *, mirrored: bool, threads: int = 1
) -> list[list[Pose]]:
    """The best shift for each combination, strongest first; a list for each of the features.

    Once one is beyond doubt, of the scales that are left only those next to its own are tried.

    Args:
        fixed: TXM slice.
        moving: FIB-SEM slice.
        scales: fixed pixels to a moving pixel.
        max_turn_deg: turns are tried from minus this to this; 180 for all.
        mirrored: whether to try mirrored ones too.
        threads: scales tried at a time; the result does not depend on it.
    """
    coarse: dict[float, _Coarse | None] = {}
    poses: list[list[Pose]] = [[], []]
    left = list(scales)
    with ThreadPoolExecutor(max_workers=threads) as pool:
        while left:
            batch, left = left[:BATCH], left[BATCH:]
            searches = [(*_shrunk(fixed, moving, scale, coarse), scale) for scale in batch]
            for found in pool.map(
                lambda each: list(_at_scale(each[0], each[1], each[2], max_turn_deg, mirrored)), searches
            ):
                for kind, pose in found:
                    poses[kind].append(pose)
            best = max((pose for of_kind in poses for pose in of_kind), key=lambda pose: pose.strength, default=None)
            if best is not None and best.strength >= CERTAIN:
                left = [scale for scale in left if abs(np.log(scale / best.scale)) < 1.5 * np.log1p(SCALE_STEP)]
    return [sorted(of_kind, key=lambda pose: -pose.strength) for of_kind in poses]


def _shrunk(
    fixed: Scaled, moving: Scaled, scale: float, coarse: dict[float, _Coarse | None]
) -> tuple[_Coarse | None, _Coarse | None]:
    """Both slices on coarse pixels of one size; `coarse` keeps the fixed one by how much it is shrunk."""
    factor = max(1.0, min(min(fixed.shape), scale * min(moving.shape)) / COARSE_SIDE_PX)
    factor = 2 ** (np.floor(2 * np.log2(factor)) / 2)  # few sizes, so that the fixed image is shrunk seldom
    if factor not in coarse:
        coarse[factor] = _coarse(fixed, 1 / factor)
    return coarse[factor], _coarse(moving, scale / factor)


def _at_scale(
    fixed: _Coarse | None,
    moving: _Coarse | None,
    scale: float,
    max_turn_deg: float,
    mirrored: bool,
) -> Iterator[tuple[int, Pose]]:
    """The best shift of every turn, mirrored or not, as (kind of feature, pose); nothing where an image is bare."""
    if fixed is None or moving is None:
        return
    side = int(np.ceil(np.hypot(*moving.mask.shape))) + 1
    stack = np.concatenate([moving.features, moving.mask[None]])
    turns = np.arange(0, 90, TURN_STEP_DEG)
    window = _window(fixed.mask, [turned(stack[-1:], float(turn), side)[0][0] for turn in turns])
    half_turn = _half_turn(side, window.size)
    outward = np.linalg.inv(fixed.matrix)
    for turn in turns:
        canvas, matrix = turned(stack, float(turn), side)
        least = _least(fixed.mask, canvas[-1])
        spectra: dict[tuple[bool, int], Array] = {}  # a half-turned canvas reuses that of the canvas
        for flip, quarters in upright(float(turn), max_turn_deg, mirrored=mirrored):
            if (flip, quarters % 2) not in spectra:
                placed = np.rot90(canvas[..., ::-1] if flip else canvas, quarters % 2, axes=(1, 2))
                spectra[flip, quarters % 2] = fft.rfft2(placed, window.size)
            spectrum = spectra[flip, quarters % 2]
            spectrum = spectrum * half_turn if quarters >= 2 else np.conj(spectrum)
            stood = upright_matrix(side, quarters, flip=flip) @ matrix @ moving.matrix
            final = (quarters * -90 + (-turn if flip else turn) + 180) % 360 - 180
            for kind, (strength, y, x) in enumerate(_peaks(fixed, spectrum, least, window)):
                shift = np.array([[1, 0, x], [0, 1, y], [0, 0, 1]])
                yield kind, Pose(strength, flip, scale, float(final), outward @ shift @ stood)


def _least(fixed: Image, moving: Image) -> float:
    """Pixels that two masks must share."""
    return SHARED_SHARE * min(float(fixed.sum()), float(moving.sum()))


def _window(fixed: Image, canvases: Sequence[Image]) -> _Window:
    """The shifts of these masks on square canvases, mirrored and turned by quarters, that may leave enough on `fixed`.

    A canvas that reaches n rows into the fixed image shares no more with it than its own n outermost rows hold, and
    than those of the fixed image do.
    """
    side = canvases[0].shape[0]
    own = min(_outermost(mask, axis, _least(fixed, mask)) for mask in canvases for axis in (0, 1))
    least = min(_least(fixed, mask) for mask in canvases)
    rows, columns = (
        min(max(own, _outermost(fixed, axis, least)) - 1, length, side) for axis, length in enumerate(fixed.shape)
    )
    height, width = fixed.shape
    filled = height + side - rows, width + side - columns
    return _Window(
        size=(fft.next_fast_len(filled[0], real=True), fft.next_fast_len(filled[1], real=True)),
        before=(side - rows, side - columns),
        shifts=(filled[0] - rows + 1, filled[1] - columns + 1),
    )


def _outermost(mask: Image, axis: int, least: float) -> int:
    """How many rows (axis 0) or columns from an end hold at least so much of a mask; of both ends the fewer."""
    held = mask.sum(axis=1 - axis, dtype=np.float64)
    return min(int(np.searchsorted(np.cumsum(each), least)) + 1 for each in (held, held[::-1]))


def _half_turn(side: int, shape: tuple[int, int]) -> NDArray[np.complex64]:
    """Factor from a canvas's spectrum to the conjugate spectrum of the same canvas turned by 180 degrees."""
    along_y, along_x = fft.fftfreq(shape[0]), fft.rfftfreq(shape[1])
    return np.exp(2j * np.pi * (side - 1) * (along_y[:, None] + along_x)).astype(np.complex64)


def upright(turn_deg: float, max_turn_deg: float, *, mirrored: bool) -> Iterable[tuple[bool, int]]:
    """The ways to mirror, and to turn by quarters, a canvas that was turned already, which stay within the bound."""
    for flip in (False, True) if mirrored else (False,):
        for quarters in range(4):
            final = (quarters * -90 + (-turn_deg if flip else turn_deg) + 180) % 360 - 180
            if abs(final) <= max_turn_deg:
                yield flip, quarters


def turned(stack: Image, turn_deg: float, side: int) -> tuple[Image, Matrix]:
    """Images [N, Y, X] turned about their centre on a square canvas, and the matrix from image to canvas."""
    matrix = centred_similarity(turn_deg, 1.0, (0, 0), stack.shape[1:], (side, side))
    inverse = np.linalg.inv(matrix)
    linear, offset = inverse[:2, :2][::-1, ::-1], inverse[:2, 2][::-1]
    images = [ndimage.affine_transform(each, linear, offset, (side, side), order=1, mode="constant") for each in stack]
    return np.stack(images), matrix


def upright_matrix(side: int, quarters: int, *, flip: bool) -> Matrix:
    """What `np.rot90` after a flip does to the pixels (x, y, 1) of a square canvas."""
    last = side - 1
    matrix = np.array([[-1, 0, last], [0, 1, 0], [0, 0, 1]], dtype=np.float64) if flip else np.eye(3)
    quarter = np.array([[0, 1, 0], [-1, 0, last], [0, 0, 1]], dtype=np.float64)
    return np.linalg.matrix_power(quarter, quarters) @ matrix


def _peaks(fixed: _Coarse, spectrum: Array, least: float, window: _Window) -> list[tuple[float, int, int]]:
    """For each feature the strongest shift (strength, y, x) of a canvas [features and mask, Y, X] on the fixed image.

    Grey levels count by their magnitude, since one contrast may be inverted; edges coincide with edges.

    Args:
        fixed: image.
        spectrum: of the canvas, conjugate.
        least: pixels that both must share.
        window: the shifts that are looked at.
    """
    of_features, of_squares, of_mask = fixed.spectra_of(window)

    def by_shift(spectra: Array) -> Array:
        return fft.irfft2(spectra, window.size)[..., : window.shifts[0], : window.shifts[1]]

    shared = by_shift(of_mask * spectrum[-1])
    allowed = shared >= least
    if not allowed.any():
        return [(0.0, 0, 0) for _ in fixed.features]
    shared = np.maximum(shared, max(least, 1.0))
    variance = np.maximum(by_shift(of_squares * spectrum[-1]) / shared, LEAST_VARIANCE)
    maps = by_shift(of_features * spectrum[:-1]) / np.sqrt(shared * variance)
    maps *= allowed
    found = []
    for kind, each in enumerate(maps):
        each = np.abs(each) if kind == 0 else each
        y, x = np.unravel_index(int(np.argmax(each)), each.shape)
        if not each[y, x] > 0:
            found.append((0.0, 0, 0))
            continue
        noise = float(np.sqrt(np.vdot(each, each) / allowed.sum()))
        found.append((float(each[y, x]) / noise, int(y) - window.before[0], int(x) - window.before[1]))
    return found
