"""How far a predicted image lies from the measured one: PSNR, SSIM, mean absolute error.

All functions are pure, take `[Y, X]` images of equal shape (integer or float), and compute in float64. `data_range` is
the distance between the least and the greatest value the data can take, in the images' own grey levels (255 for 8-bit
data, 2.0 for images mapped to [-1, 1]). It is never guessed, because a guess from the dtype or from the images
themselves makes scores of different images incomparable.

`mask` is boolean `[Y, X]`, True where the pixel counts (see `masks`; False where, for example, the FIB-SEM image is
charged).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

from txm2sem_core.errors import InputError
from txm2sem_core.metrics.masks import EMPTY, Mask, check_mask
from txm2sem_core.metrics.tiles import check_finite, real, strips
from txm2sem_core.metrics.windows import Agreement, agreement, check_window

SSIM_WINDOW_8BIT_PX = 7  # uniform window, scikit-image's default

Image = NDArray[np.generic]


def mse(prediction: Image, target: Image, mask: Mask | None = None) -> float:
    """Mean squared error of two `[Y, X]` images, in squared grey levels."""
    return _mean(_differences(prediction, target, mask), np.square)


def mae(prediction: Image, target: Image, data_range: float, mask: Mask | None = None) -> float:
    """Mean absolute error of two `[Y, X]` images as a share of `data_range` (0 = equal, 1 = black against white)."""
    check_data_range(data_range)
    return _mean(_differences(prediction, target, mask), np.abs) / data_range


def psnr(prediction: Image, target: Image, data_range: float, mask: Mask | None = None) -> float:
    """Peak signal-to-noise ratio of two `[Y, X]` images, in dB: `10 log10(data_range^2 / MSE)`.

    Equal images give `math.inf`. That is kept rather than capped: a mean over patches that holds one is infinite too,
    and `summary.summarise` says how many there were.

    Raises:
        InputError: shapes differ, not 2D, a value is not finite, the mask is empty, or `data_range` is not positive.
    """
    check_data_range(data_range)
    return psnr_from_mse(mse(prediction, target, mask), data_range)


def psnr_from_mse(mean_squared_error: float, data_range: float) -> float:
    """PSNR in dB from a mean squared error that was gathered elsewhere (slice by slice over a volume)."""
    if mean_squared_error == 0:
        return math.inf
    return 20 * math.log10(data_range) - 10 * math.log10(mean_squared_error)


def ssim(prediction: Image, target: Image, data_range: float, mask: Mask | None = None) -> float:
    """Mean structural similarity of two `[Y, X]` images, in [-1, 1], 1 where they are equal.

    Wang, Bovik, Sheikh and Simoncelli, IEEE Trans. Image Process. 13 (2004) 600-612, with their settings: Gaussian
    window of sigma 1.5 cut to 11 x 11 pixels, K1 = 0.01, K2 = 0.03, population covariance. The average leaves out the 5
    pixels at each border, where the window extends beyond the image. With `mask`, the SSIM map is averaged over the
    mask within that interior; a window centred on a pixel of the mask may include pixels outside it.

    Raises:
        InputError: as `psnr`, and for images smaller than the window.
    """
    check_data_range(data_range)
    check_images(prediction, target)
    return mean_similarity(agreement(prediction, target, data_range, as_weights(mask, target)))


def mean_similarity(sums: Agreement) -> float:
    """`ssim` of two images that were looked at; InputError where no window counts."""
    if not sums.weight:
        raise InputError(EMPTY)
    return sums.similarity / sums.weight


def as_weights(mask: Mask | None, image: Image) -> NDArray[np.float64] | None:
    """1 where a pixel counts, or None where all do."""
    return None if mask is None else check_mask(mask, image).astype(np.float64)


def to_8bit(image: Image, low: float, high: float) -> NDArray[np.uint8]:
    """Map `[low, high]` to 0..255 as the published code writes its images: cut off below the next grey level.

    Values outside `[low, high]` become 0 or 255; the published cast wraps them round instead. A value within a
    thousandth below a grey level counts as that level, so that 8-bit data that was mapped to float comes back whole.

    Raises:
        InputError: `high` is not above `low`, or a value is not finite.
    """
    if not high > low:
        raise InputError(f"cannot map grey levels to 8 bits: high ({high}) must be above low ({low})")
    return np.clip((as_real(image, "image") - low) / (high - low) * 255.0 + 1e-3, 0, 255).astype(np.uint8)


def psnr_8bit(prediction: NDArray[np.uint8], target: NDArray[np.uint8]) -> float:
    """PSNR in dB as in the published comparison: two uint8 `[Y, X]` images, data range 255."""
    _check_8bit(prediction, target)
    return psnr(prediction, target, 255.0)


def ssim_8bit(prediction: NDArray[np.uint8], target: NDArray[np.uint8]) -> float:
    """SSIM as in the published comparison: two uint8 `[Y, X]` images with scikit-image's default settings.

    These differ from `ssim`: a uniform 7 x 7 window and the sample covariance. Use it only to compare with published
    numbers.
    """
    from skimage.metrics import structural_similarity

    _check_8bit(prediction, target)
    predicted, measured = check_pair(prediction, target)
    check_window(predicted, SSIM_WINDOW_8BIT_PX)
    return float(structural_similarity(predicted, measured, data_range=255.0))  # type: ignore[no-untyped-call]


def check_pair(prediction: Image, target: Image) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Both images as float64 `[Y, X]`; InputError where they cannot be compared."""
    check_images(prediction, target)
    return np.array(prediction, dtype=np.float64), np.array(target, dtype=np.float64)


def check_images(prediction: Image, target: Image) -> None:
    """InputError where two images `[Y, X]` cannot be compared."""
    if prediction.ndim != 2 or target.ndim != 2:
        raise InputError(
            f"images to compare must be [Y, X]: the prediction has shape {prediction.shape}, the target {target.shape}"
        )
    if prediction.shape != target.shape:
        raise InputError(
            f"the prediction is {_size(prediction)} and the target {_size(target)} pixels (Y x X); "
            "crop or resample one onto the other before comparing them"
        )
    check_finite(prediction, "prediction")
    check_finite(target, "target")


def _differences(prediction: Image, target: Image, mask: Mask | None) -> Iterator[NDArray[np.float64]]:
    """Of the pixels that count, a strip of rows at a time."""
    check_images(prediction, target)
    counts = None if mask is None else check_mask(mask, target)
    for rows in strips(target.shape):
        difference = real(prediction[rows]) - real(target[rows])
        yield difference if counts is None else difference[counts[rows]]


def _mean(parts: Iterable[NDArray[np.float64]], of: Callable[..., NDArray[np.float64]]) -> float:
    total, number = 0.0, 0
    for part in parts:
        total += float(of(part, out=part).sum())
        number += part.size
    if not number:
        raise InputError(EMPTY)
    return total / number


def as_real(image: Image, name: str) -> NDArray[np.float64]:
    """A float64 copy of the image, which may be kept; InputError for values that are not finite."""
    check_finite(image, name)
    return np.array(image, dtype=np.float64)


def check_data_range(data_range: float) -> None:
    """InputError unless `data_range` is positive and finite."""
    if not (math.isfinite(data_range) and data_range > 0):
        raise InputError(
            f"data_range is {data_range}; it must be the positive distance between the least and greatest "
            "possible grey level (255 for 8-bit images)"
        )


def _check_8bit(prediction: Image, target: Image) -> None:
    if prediction.dtype != np.uint8 or target.dtype != np.uint8:
        raise InputError(
            f"the 8-bit metrics need uint8 images, not {prediction.dtype} and {target.dtype}; convert with `to_8bit`"
        )


def _size(image: Image) -> str:
    return f"{image.shape[0]} x {image.shape[1]}"
