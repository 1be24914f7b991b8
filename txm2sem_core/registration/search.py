"""Coarse to fine search for the transform of least disagreement: rough starts first, then mutual information."""

# mypy: disable-error-code="no-untyped-call"
# (SimpleITK carries no types)

from __future__ import annotations

from typing import Literal

import numpy as np
import SimpleITK as sitk  # noqa: N813 - the name its own documentation uses
from numpy.typing import NDArray
from scipy import ndimage
from skimage.feature import peak_local_max
from skimage.transform import downscale_local_mean

from txm2sem_core.geometry import Mask, Matrix, centred_similarity, covered_by, rotation_deg, scale, warp
from txm2sem_core.intensity.measured import Slice
from txm2sem_core.registration.correlation import FixedImage
from txm2sem_core.registration.similarity import BINS, Filtered, similarity

Kind = Literal["translation", "rigid", "similarity", "affine"]
Image = NDArray[np.float32]

COARSE_SIDE_PX = 64  # shorter side on which the rough starts are sought
SMALLEST_LEVEL_PX = 48  # no pyramid level is smaller: too few pixels to fill the joint histogram
ROTATION_STEP_DEG = 5.0  # half a step moves a coarse image's edge by about a pixel
SCALE_STEP = 0.08
PEAKS_PER_MAP = 3
STARTS_PER_FEATURE = 6
STARTS_REFINED = 3
FIRST_STEP_PX = 1.0
STEP_FACTOR = 0.5  # at each turn of the gradient
COARSE_MIN_STEP_PX = 0.05
FINE_MIN_STEP_PX = 2e-3
LEAST_KEPT = 0.5  # of what the slices share at the start, to compare results of searches
MAX_ITERATIONS = 100  # a level
FLAT = 1e-8  # gradient at which the search ends


def shrink(image: Image, factor: int) -> Image:
    """Mean over blocks of `factor` pixels; rows and columns that fill no block are left out."""
    height, width = (side // factor * factor for side in image.shape)
    return downscale_local_mean(image[:height, :width], (factor, factor)).astype(np.float32)


def shrink_mask(mask: Mask, factor: int) -> Mask:
    """Which blocks of `factor` pixels were measured by half at least."""
    return np.asarray(shrink(mask.astype(np.float32), factor) >= 0.5)


def shrink_slice(image: Slice, factor: int) -> Slice:
    """`shrink` of a slice as it was read; NaN, which is not measured, where too little of a block was."""
    small, mask = shrink(image.filled.astype(np.float32), factor), shrink_mask(image.mask, factor)
    small[~mask] = np.nan
    return Slice(small, mask)


def shrink_filtered(filtered: Filtered, factor: int) -> Filtered:
    """Mean over blocks of `factor` pixels."""
    return Filtered(shrink(filtered.image, factor), shrink_mask(filtered.mask, factor))


def shared_share(fixed: Filtered, moving: Filtered, matrix: Matrix) -> tuple[Mask, float]:
    """Where both slices were measured, on the fixed grid, and its share of what was measured of the fixed slice."""
    both = fixed.mask & covered_by(moving.mask, matrix, fixed.shape)
    return both, int(both.sum()) / max(1, int(fixed.mask.sum()))


def coarse_factor(fixed_shape: tuple[int, int], moving_shape: tuple[int, int]) -> int:
    """By how much to shrink both images for the rough search."""
    return max(1, round(min(*fixed_shape, *moving_shape) / COARSE_SIDE_PX))


def to_full(matrix: Matrix, factor: float) -> Matrix:
    """The matrix between full images, from that between the same images shrunk by `factor`; back by 1 / `factor`."""
    enlarge = np.array([[factor, 0, (factor - 1) / 2], [0, factor, (factor - 1) / 2], [0, 0, 1]], dtype=np.float64)
    return enlarge @ matrix @ np.linalg.inv(enlarge)


def symmetric_steps(limit: float, step: float) -> list[float]:
    """From -limit to limit in equal steps of at most `step`, 0 among them."""
    count = int(np.ceil(limit / step))
    return np.linspace(-limit, limit, 2 * count + 1).tolist() if count else [0.0]


def _gradient(image: Image) -> Image:
    return ndimage.gaussian_gradient_magnitude(image, 1.0, mode="nearest").astype(np.float32)


def _correlation_peaks(
    fixed: FixedImage, moving: Image, mask: Mask, max_shift_px: float, min_overlap: float
) -> list[tuple[float, float, float]]:
    """The strongest shifts as (|correlation|, x, y) within a circle.

    The magnitude is taken, so that an inverted contrast counts as well. `moving` and its mask lie on the grid of
    `fixed`.
    """
    strength = np.abs(fixed.correlation(moving, mask, min_overlap))
    y, x = np.mgrid[: strength.shape[0], : strength.shape[1]]
    strength[np.hypot(y - fixed.reach[0], x - fixed.reach[1]) > max_shift_px] = 0
    peaks = peak_local_max(strength, min_distance=3, num_peaks=PEAKS_PER_MAP, exclude_border=False)
    return [(float(strength[y, x]), float(x - fixed.reach[1]), float(y - fixed.reach[0])) for y, x in peaks]


def rough_starts(
    fixed: Filtered,
    moving: Filtered,
    rotations_deg: list[float],
    scales: list[float],
    max_shift_px: float,
    min_overlap: float,
) -> list[Matrix]:
    """Candidate matrices between two small slices, from a grid of rotations and scales and all whole-pixel shifts.

    Two features are correlated, grey levels and gradient magnitudes: the first is steadier under noise, the second
    holds where the contrast of some phases is inverted and of others not. The best of each are returned.
    """
    starts: list[Matrix] = []
    for feature in (lambda image: image, _gradient):
        moving_feature = feature(moving.image)
        correlated = FixedImage(feature(fixed.image), fixed.mask, max_shift_px)
        found: list[tuple[float, Matrix]] = []
        for angle in rotations_deg:
            for factor in scales:
                turned = centred_similarity(angle, factor, (0, 0), moving.shape, fixed.shape)
                on_grid = warp(moving_feature, turned, fixed.shape, order=1)
                mask = covered_by(moving.mask, turned, fixed.shape)
                for strength, x, y in _correlation_peaks(correlated, on_grid, mask, max_shift_px, min_overlap):
                    found.append((strength, centred_similarity(angle, factor, (x, y), moving.shape, fixed.shape)))
        found.sort(key=lambda candidate: -candidate[0])
        starts += [matrix for _, matrix in found[:STARTS_PER_FEATURE]]
    return starts


def _itk_transform(kind: Kind, start: Matrix, fixed_shape: tuple[int, int]) -> sitk.Transform:
    """`start` as the ITK transform of this kind, which goes from fixed to moving, centred on the fixed image."""
    inverse: Matrix = np.linalg.inv(start).astype(np.float64)
    centre = np.array([fixed_shape[1] - 1, fixed_shape[0] - 1]) / 2
    translation = ((inverse @ [*centre, 1.0])[:2] - centre).tolist()
    if kind == "translation":
        return sitk.TranslationTransform(2, translation)
    if kind == "affine":
        return sitk.AffineTransform(inverse[:2, :2].ravel().tolist(), translation, centre.tolist())
    angle = float(np.deg2rad(rotation_deg(inverse)))
    if kind == "rigid":
        return sitk.Euler2DTransform(centre.tolist(), angle, translation)
    return sitk.Similarity2DTransform(scale(inverse), angle, translation, centre.tolist())


def _matrix(transform: sitk.Transform) -> Matrix:
    origin, along_x, along_y = (np.array(transform.TransformPoint(p)) for p in ((0.0, 0.0), (1.0, 0.0), (0.0, 1.0)))
    inverse = np.eye(3)
    inverse[:2] = np.stack([along_x - origin, along_y - origin, origin], axis=1)
    return np.asarray(np.linalg.inv(inverse))


def refine(fixed: Filtered, moving: Filtered, start: Matrix, kind: Kind, levels: int, min_step_px: float) -> Matrix:
    """Maximise Mattes' mutual information over all pixels that were measured, coarse to fine, from `start`.

    Mattes et al., IEEE Transactions on Medical Imaging 22 (2003) 120, as in SimpleITK. Masks make the search exact, but
    drive it off at times, even from a start next to the optimum. So where not all was measured, it is done with and
    without them (then over what is filled up, too), and the result counts under which the slices are more alike where
    both were measured.

    Raises:
        RuntimeError: from ITK, where the images part company during the search.
    """
    if fixed.mask.all() and moving.mask.all():
        return _refined_once(fixed, moving, start, kind, levels, min_step_px)
    least = LEAST_KEPT * shared_share(fixed, moving, start)[1]
    whole = (Filtered(each.image, np.ones(each.shape, dtype=bool)) for each in (fixed, moving))
    found: list[Matrix] = []
    failed: RuntimeError | None = None
    for slices in ((fixed, moving), tuple(whole)):
        try:
            found.append(_refined_once(slices[0], slices[1], start, kind, levels, min_step_px))
        except RuntimeError as error:
            failed = error
    if not found and failed is not None:
        raise failed
    return max(found, key=lambda matrix: _start_similarity(fixed, moving, matrix, least))


def _refined_once(
    fixed: Filtered, moving: Filtered, start: Matrix, kind: Kind, levels: int, min_step_px: float
) -> Matrix:
    """The search itself; with masks where not all was measured."""
    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(1)  # sums over threads come in any order: not repeatable
    method = sitk.ImageRegistrationMethod()
    method.SetMetricAsMattesMutualInformation(BINS)
    method.SetMetricSamplingStrategy(method.NONE)
    method.SetInterpolator(sitk.sitkLinear)
    method.SetOptimizerAsRegularStepGradientDescent(FIRST_STEP_PX, min_step_px, MAX_ITERATIONS, STEP_FACTOR, FLAT)
    method.SetOptimizerScalesFromPhysicalShift()
    method.SetInitialTransform(_itk_transform(kind, start, fixed.shape), inPlace=False)
    method.SetShrinkFactorsPerLevel([2**level for level in reversed(range(levels))])
    method.SetSmoothingSigmasPerLevel([2**level / 2 if level else 0 for level in reversed(range(levels))])
    for mask, restrict in ((fixed.mask, method.SetMetricFixedMask), (moving.mask, method.SetMetricMovingMask)):
        if not mask.all():
            restrict(sitk.GetImageFromArray(mask.astype(np.uint8)))
    return _matrix(method.Execute(sitk.GetImageFromArray(fixed.image), sitk.GetImageFromArray(moving.image)))


def usable_levels(levels: int, shape: tuple[int, int]) -> int:
    """At most `levels`, and no more than leave the shorter side `SMALLEST_LEVEL_PX` long."""
    return max(1, min(levels, int(np.log2(max(1.0, min(shape) / SMALLEST_LEVEL_PX))) + 1))


def _start_similarity(fixed: Filtered, moving: Filtered, matrix: Matrix, min_overlap: float) -> float:
    """Their similarity under `matrix`; minus infinity if it covers too little or nothing can be compared."""
    both, share = shared_share(fixed, moving, matrix)
    if share < min_overlap:
        return -np.inf
    value = similarity(fixed.image, warp(moving.image, matrix, fixed.shape, order=1), both)
    return value if np.isfinite(value) else -np.inf


def kind_on_small(kind: Kind) -> Kind:
    """A similarity for an affine search: small images cannot hold its two further degrees of freedom."""
    return "similarity" if kind == "affine" else kind


def best_start(
    fixed: Filtered, moving: Filtered, starts: list[Matrix], kind: Kind, min_overlap: float
) -> Matrix | None:
    """Refine the most alike starts on the small images; the best of them, or None if none holds."""
    kind = kind_on_small(kind)
    ranked = sorted(starts, key=lambda matrix: -_start_similarity(fixed, moving, matrix, min_overlap))
    best, best_similarity = None, -np.inf
    for start in ranked[:STARTS_REFINED]:
        try:
            matrix = refine(fixed, moving, start, kind, levels=1, min_step_px=COARSE_MIN_STEP_PX)
        except RuntimeError:  # the images no longer overlap: not a start
            continue
        value = _start_similarity(fixed, moving, matrix, min_overlap)
        if value > best_similarity:
            best, best_similarity = matrix, value
    return best
