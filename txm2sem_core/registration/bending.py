"""How a registered slice is bent beside its matrix, and whether parts of the image that had no say agree.

The bend is found by mutual information, as the matrix is, twice: on every other block of a checkerboard, and on the
rest. Each is judged on the blocks that it has not seen. Only where both make these more alike, and where the two agree,
is their mean kept. What fits noise makes only those blocks more alike on which it was found, and differs between them.
"""

# mypy: disable-error-code="no-untyped-call"
# (SimpleITK carries types in part)

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import SimpleITK as sitk  # noqa: N813
from scipy import ndimage

from txm2sem_core.bends import EXTRA, Bend
from txm2sem_core.config import RegisterSettings
from txm2sem_core.geometry import Crop, Mask, Matrix, common_crop
from txm2sem_core.intensity.measured import Slice
from txm2sem_core.registration.similarity import BINS, Filtered, prefilter, similarity

BLOCKS_PER_CELL = 2  # a side: so that the blocks that are left out lie among those that are seen
MOST_DISAGREEMENT = 1.0  # the two are nearer to each other than to no bend; by chance it is 2
GAP_PX = 4  # at the borders of blocks that judge: filters mix so far
LEAST_CELLS = 2  # a side; a smaller slice is not bent
FULL_SIDE_PX = 640  # beyond it, the finest search is at half the size
LEVELS = (4, 2, 1)  # shrink factors
ITERATIONS = 15  # at each; with 40 the bends come no nearer, in two and a half times the time
CORRECTIONS = 5  # that the search remembers (L-BFGS-B)


@dataclass(frozen=True)
class Bending:
    """What came of looking for a bend.

    Attributes:
        bend: of the slice; None where none was found that parts which had no say confirm.
        gain: by how much the normalised mutual information of these parts rose, in that half of the board where it rose
            less; NaN where nothing could be judged.
        disagreement: root mean square of the difference of the bends of both halves, over that of their mean.
        greatest_px: longest displacement over what both slices show, fixed pixels.
        median_px: half of the pixels are displaced by more.
    """

    bend: Bend | None = None
    gain: float = float("nan")
    disagreement: float = float("nan")
    greatest_px: float = 0.0
    median_px: float = 0.0


def find_bend(fixed: Slice, moving: Slice, matrix: Matrix, settings: RegisterSettings) -> Bending:
    """Look for the bend of a registered slice, nowhere longer than `bend_px`.

    Args:
        fixed: TXM slice.
        moving: FIB-SEM slice.
        matrix: moving pixel to fixed pixel.
        settings: `bend_px`, `bend_spacing_px`, and the filters before the search.
    """
    one, other = (prefilter(each, settings.median_px, settings.smooth_px) for each in (fixed, moving))
    on_fixed = other.onto(matrix, one.shape)
    crop = common_crop(ndimage.binary_fill_holes(one.mask & on_fixed.mask))
    one, there = one.within(crop), on_fixed.within(crop)
    if min(one.shape) < LEAST_CELLS * settings.bend_spacing_px:
        return Bending()
    board = _board(one.shape, settings.bend_spacing_px / BLOCKS_PER_CELL)
    bends = [_fitted(one, there, seen, crop, settings) for seen in (board, ~board)]
    first, second = bends
    if first is None or second is None:
        return Bending()

    def rise(bend: Bend, unseen: Mask) -> float:
        bent = other.onto(matrix, fixed.shape, bend).within(crop)
        both = ndimage.binary_erosion(unseen, iterations=GAP_PX, border_value=1) & one.mask & there.mask & bent.mask
        return similarity(one.image, bent.image, both) - similarity(one.image, there.image, both)

    gain = float(np.min([rise(first, ~board), rise(second, board)]))
    mean = replace(first, coefficients=(first.coefficients + second.coefficients) / 2)
    apart = replace(first, coefficients=first.coefficients - second.coefficients)
    lengths, lengths_apart = (
        np.hypot(*(crop.of(plane) for plane in each.displacement(fixed.shape)))[one.mask & there.mask]
        for each in (mean, apart)
    )
    disagreement = float(np.sqrt(np.mean(lengths_apart**2) / max(np.mean(lengths**2), 1e-12)))
    if not (gain > 0 and disagreement <= MOST_DISAGREEMENT):  # so that a NaN is not kept
        return Bending(None, gain, disagreement)
    return Bending(mean, gain, disagreement, float(lengths.max()), float(np.median(lengths)))


def _board(shape: tuple[int, int], side: float) -> Mask:
    """A checkerboard of blocks of a side, in pixels."""
    y, x = np.mgrid[: shape[0], : shape[1]] // side
    return np.asarray((y + x) % 2 == 0)


def _fitted(fixed: Filtered, moving: Filtered, seen: Mask, crop: Crop, settings: RegisterSettings) -> Bend | None:
    """The bend under which the slices are most alike in the blocks that are seen, coarse to fine; None for none."""
    spacing = settings.bend_spacing_px
    cells = [int(np.ceil(side / spacing)) for side in reversed(fixed.shape)]
    spline = sitk.BSplineTransform(2, 3)
    spline.SetTransformDomainOrigin((0.0, 0.0))
    spline.SetTransformDomainPhysicalDimensions([spacing * count for count in cells])
    spline.SetTransformDomainMeshSize(cells)
    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(1)  # sums over threads come in any order: not repeatable
    method = sitk.ImageRegistrationMethod()
    method.SetMetricAsMattesMutualInformation(BINS)
    method.SetMetricSamplingStrategy(method.NONE)
    method.SetInterpolator(sitk.sitkLinear)
    bound = settings.bend_px / np.sqrt(2)  # of each axis, so that no displacement is longer
    method.SetOptimizerAsLBFGSB(1e-6, ITERATIONS, CORRECTIONS, 10 * ITERATIONS, 1e7, -bound, bound)
    method.SetInitialTransform(spline, inPlace=True)
    factors = LEVELS if max(fixed.shape) <= FULL_SIDE_PX else [2 * factor for factor in LEVELS]
    method.SetShrinkFactorsPerLevel(list(factors))
    method.SetSmoothingSigmasPerLevel([factor / 2 if factor > 1 else 0 for factor in factors])
    method.SetMetricFixedMask(sitk.GetImageFromArray((seen & fixed.mask).astype(np.uint8)))
    if not moving.mask.all():
        method.SetMetricMovingMask(sitk.GetImageFromArray(moving.mask.astype(np.uint8)))
    try:
        method.Execute(sitk.GetImageFromArray(fixed.image), sitk.GetImageFromArray(moving.image))
    except RuntimeError:  # too little is seen, or one of the two is blank
        return None
    found = np.array(spline.GetParameters()).reshape(2, cells[1] + EXTRA, cells[0] + EXTRA)
    return Bend((float(crop.x0), float(crop.y0)), spacing, found[::-1].copy())
