"""Whether structures are at the right positions and grey levels in the right proportions: MS-SSIM, local structure,
GMSD, histograms.

As in `image`, all functions are pure, take `[Y, X]` images of equal shape in the same grey levels and compute in
float64; `data_range` is given; `mask` is True where a pixel counts. A window centred on a pixel of the mask may still
see pixels outside it.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from txm2sem_core.errors import InputError
from txm2sem_core.metrics.image import Image, as_weights, check_data_range, check_images, check_pair
from txm2sem_core.metrics.masks import EMPTY, Mask, selected
from txm2sem_core.metrics.tiles import grown, real, strips
from txm2sem_core.metrics.windows import INTERIOR, SSIM_WINDOW_PX, Agreement, agreement

Real = NDArray[np.float64]

MS_SSIM_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)  # Wang et al. 2003, from the finest scale
GMSD_CONSTANT = 170.0  # Xue et al. 2014, for 8-bit images
FLAT = 1e-6  # of the data range: a window with less deviation is flat, what is left is rounding


def ms_ssim_scales(shape: tuple[int, ...]) -> int:
    """How many scales of MS-SSIM, at most five, fit into images `[Y, X]`: the window must fit into the coarsest."""
    return sum(min(shape) // 2**scale >= SSIM_WINDOW_PX for scale in range(len(MS_SSIM_WEIGHTS)))


def ms_ssim(prediction: Image, target: Image, data_range: float, mask: Mask | None = None) -> float:
    """Multi-scale structural similarity of two `[Y, X]` images, in [0, 1], 1 where they are equal.

    Wang, Simoncelli and Bovik, Asilomar Conf. Signals, Systems and Computers (2003) 1398, eq. 7: contrast and structure
    at every scale, luminance at the coarsest, each halved by 2 x 2 means; window and constants of `image.ssim`.
    Five scales need 176 pixels a side. Smaller images get as many as fit, with the weights of those made to add to 1
    (four from 88 pixels on), so compare only images of one size. A negative mean counts as 0.

    With `mask`, a coarse pixel weighs what share of it is in the mask; scales at which none is are left out. The
    coarsest windows span most of a patch, so what lies outside the mask is first made flat in both images, at the
    target's mean.

    Raises:
        InputError: as `image.ssim`.
    """
    check_data_range(data_range)
    check_images(prediction, target)
    sums = agreement(prediction, target, data_range, as_weights(mask, target))
    return multi_scale_similarity(sums, prediction, target, data_range, mask)


def multi_scale_similarity(
    sums: Agreement, prediction: Image, target: Image, data_range: float, mask: Mask | None = None
) -> float:
    """`ms_ssim` of two images of which the finest scale was looked at."""
    scales = ms_ssim_scales(prediction.shape)
    first, second, weight = prediction, target, as_weights(mask, target)
    if mask is not None and mask.any() and not mask.all():
        flat = float(second[mask].mean())
        first, second = np.where(mask, first, flat), np.where(mask, second, flat)
        sums = agreement(first, second, data_range, weight)
    terms: list[tuple[float, float]] = []
    for scale in range(scales):
        if scale:
            first, second = _halved(first), _halved(second)
            weight = None if weight is None else _halved(weight)
            if weight is not None and not weight[INTERIOR].any():
                continue
            sums = agreement(first, second, data_range, weight)
        if sums.weight:
            total = sums.similarity if scale == scales - 1 else sums.contrast_structure
            terms.append((MS_SSIM_WEIGHTS[scale], max(total / sums.weight, 0.0)))
    if not terms:
        raise InputError(EMPTY)
    exponents = sum(exponent for exponent, _ in terms)
    return math.prod(mean ** (exponent / exponents) for exponent, mean in terms)


def local_structure(prediction: Image, target: Image, data_range: float, mask: Mask | None = None) -> float:
    """Mean correlation of both images within each Gaussian window of SSIM, in [-1, 1].

    The structure term of Wang et al., IEEE Trans. Image Process. 13 (2004) 600, eq. 10, without its constant, which
    makes flat windows equal and gives a constant prediction of a faint target the best score. Here a prediction that is
    flat where the target is not has no correlation, 0. Windows are weighted by the target's standard deviation within
    them, as flat ones say nothing about structure. Brightness and contrast, which a pointwise map of grey levels would
    correct, do not count: only positions do. Of a constant target it is 1 for a constant prediction, else 0.

    Raises:
        InputError: as `image.ssim`.
    """
    check_data_range(data_range)
    check_images(prediction, target)
    weights = as_weights(mask, target)
    return mean_structure(agreement(prediction, target, data_range, weights, flat=FLAT * data_range))


def mean_structure(sums: Agreement) -> float:
    """`local_structure` of two images that were looked at."""
    if not sums.weight:
        raise InputError(EMPTY)
    if not sums.deviation:
        return float(not sums.own_deviation)
    return sums.structure / sums.deviation


def gmsd(prediction: Image, target: Image, data_range: float, mask: Mask | None = None) -> float:
    """Gradient magnitude similarity deviation of two `[Y, X]` images: 0 where they are equal, larger is worse.

    Xue, Zhang, Mou and Bovik, IEEE Trans. Image Process. 23 (2014) 684: images halved by 2 x 2 means, Prewitt
    gradients, `c = 170` for a data range of 255, and the standard deviation of the similarity map. The outermost
    pixels, which have no gradient within the image, do not count. With `mask`, halved pixels that are wholly in it do.

    Raises:
        InputError: as `image.psnr`, images smaller than 6 x 6, or a mask that leaves fewer than two pixels.
    """
    check_data_range(data_range)
    check_images(prediction, target)
    if min(target.shape) < 6:
        raise InputError(f"gradients of halved images need 6 x 6 pixels; these are {target.shape}")
    weights = as_weights(mask, target)
    counts = None if weights is None else _halved(weights)[1:-1, 1:-1] == 1
    first, second = _halved(prediction), _halved(target)
    similarity = np.empty(tuple(n - 2 for n in first.shape))
    constant = GMSD_CONSTANT * (data_range / 255) ** 2
    for rows in strips(similarity.shape):
        own, true = (_gradient(image[grown(rows, 2)]) for image in (first, second))
        similarity[rows] = (2 * own * true + constant) / (own**2 + true**2 + constant)
    chosen = similarity if counts is None else similarity[counts]
    if chosen.size < 2:
        raise InputError(EMPTY)
    return float(chosen.std(ddof=1))


def histogram_distance(prediction: Image, target: Image, data_range: float, mask: Mask | None = None) -> float:
    """Earth mover's distance of the two grey-level distributions as a share of `data_range`.

    Wasserstein-1: by how much grey levels must move on average for one histogram to become the other. For as many
    pixels in both it is the mean difference of the sorted values. Never above `image.mae`. Positions do not count.

    Raises:
        InputError: as `image.psnr`.
    """
    check_data_range(data_range)
    first, second = check_pair(prediction, target)
    sorted_values = (np.sort(selected(image, mask), axis=None) for image in (first, second))
    return float(np.abs(np.subtract(*sorted_values)).mean()) / data_range


class HistogramMeter:
    """Gathers `histogram_distance` of two volumes slice by slice, in classes of at most `data_range / 4096`.

    Of each class the number of its values and where they lie in it are kept. So whole grey levels are exact (the sides
    of classes stand on them where the data range is a whole number up to 4096), and so is the distance wherever one
    histogram lies beyond the other throughout a class. The error is below one class.
    """

    def __init__(self, data_range: float) -> None:
        check_data_range(data_range)
        per_level = 4096 / data_range
        self._per_level = (
            float(math.ceil(per_level)) if float(data_range).is_integer() and per_level >= 1 else per_level
        )
        self._data_range = data_range
        # of each class: prediction's minus target's number of values, and the sum of their distances to its upper side
        self._classes: dict[int, tuple[int, float]] = {}
        self._pixels = 0

    def add(self, prediction: Image, target: Image, mask: Mask | None = None) -> None:
        """Take the next slice of both, `[Y, X]`."""
        check_images(prediction, target)
        for image, sign in ((prediction, 1), (target, -1)):
            values = selected(image, mask).ravel()
            levels, numbers = _levels(values)
            positions = levels * self._per_level
            classes, own = np.unique(np.floor(positions), return_inverse=True)
            held = np.bincount(own, numbers, minlength=classes.size)
            above = np.bincount(own, (classes[own] + 1 - positions) * numbers, minlength=classes.size)
            for key, number, rest in zip(classes.tolist(), held.tolist(), above.tolist(), strict=True):
                counted, summed = self._classes.get(int(key), (0, 0.0))
                self._classes[int(key)] = counted + sign * int(number), summed + sign * rest
            self._pixels += values.size if sign == 1 else 0

    def result(self) -> float:
        """Share of `data_range`; InputError before the first pixel."""
        if self._pixels == 0:
            raise InputError("no pixel was given to compare grey levels of")
        keys = sorted(self._classes)
        surplus = np.cumsum([self._classes[key][0] for key in keys])  # of values up to the upper side of each class
        before = np.concatenate([[0], surplus[:-1]])
        within = np.abs(before + np.array([self._classes[key][1] for key in keys])).sum()
        between = np.sum(np.abs(surplus[:-1]) * (np.diff(keys) - 1))
        return float(within + between) / self._per_level / self._pixels / self._data_range


def _levels(values: NDArray[np.generic]) -> tuple[Real, Real]:
    """The grey levels that occur, ascending, and how often; of values in many levels, each by itself."""
    if values.dtype.kind != "u" or values.dtype.itemsize > 2:
        return values.astype(np.float64), np.ones(values.size)
    numbers = np.bincount(values)
    levels = np.flatnonzero(numbers)
    return levels.astype(np.float64), numbers[levels].astype(np.float64)


def _halved(image: Image) -> Real:
    """Means of 2 x 2 pixels; an odd last row or column is left out."""
    height, width = (n // 2 for n in image.shape)
    halved = np.empty((height, width))
    for rows in strips((height, 2 * width)):
        pairs = real(image[2 * rows.start : 2 * rows.stop, : 2 * width])
        columns = pairs[0::2] + pairs[1::2]
        np.add(columns[:, 0::2], columns[:, 1::2], out=halved[rows])
    halved /= 4
    return halved


def _gradient(image: Real) -> Real:
    """Prewitt's, of the pixels that have all their neighbours."""
    below, beside = image[:-2] + image[1:-1] + image[2:], image[:, :-2] + image[:, 1:-1] + image[:, 2:]
    along_x, along_y = (below[:, 2:] - below[:, :-2]) / 3, (beside[2:] - beside[:-2]) / 3
    magnitude: Real = np.sqrt(np.square(along_x) + np.square(along_y))
    return magnitude
