"""How far each slice of a volume is moved against the one before, by cross-correlation."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from txm2sem_core.metrics.windows import SSIM_WINDOW_PX

Image = NDArray[np.generic]
Real = NDArray[np.float64]
Waves = NDArray[np.complex128]

SHIFT_STEPS = 10  # a pixel
_REGION = 15  # steps about the nearest whole pixel, one and a half pixels


class ShiftMeter:
    """Shifts `[y, x]` between neighbouring slices, in the order of z, to a tenth of a pixel.

    The peak of their cross-correlation, first to a pixel and then in a matrix of Fourier sums about it
    (Guizar-Sicairos et al., Opt. Lett. 33 (2008) 156), under a Hann window. Not normalised by amplitude: noise of the
    highest frequencies would weigh as much as the structures. Each slice is transformed once; its spectrum is held.
    """

    def __init__(self) -> None:
        self.found: list[Real] = []
        self._last: Waves | None = None
        self._any = False

    def add(self, image: Image) -> None:
        """Take the next slice `[Y, X]`; none between slices smaller than a window of SSIM, or where one is constant."""
        if min(image.shape) < SSIM_WINDOW_PX:
            return
        waves = _spectrum(image)
        if waves is not None and self._last is not None:
            self.found.append(_shift(self._last, waves, image.shape))
        self._last = waves


def _spectrum(image: Image) -> Waves | None:
    from scipy import fft

    values = image.astype(np.float64)
    values -= values.mean()
    rows, columns = (np.hanning(n + 2)[1:-1] for n in image.shape)
    values *= rows[:, None]
    values *= columns
    return fft.rfft2(values, overwrite_x=True) if values.any() else None


def _shift(above: Waves, waves: Waves, shape: tuple[int, ...]) -> Real:
    from scipy import fft

    product = above * waves.conj()
    correlation = fft.irfft2(product, s=shape)
    peak = np.array(np.unravel_index(np.argmax(np.abs(correlation, out=correlation)), shape), np.float64)
    sizes = np.array(shape)
    peak -= np.where(peak > sizes // 2, sizes, 0)
    steps = (np.arange(_REGION) - _REGION // 2) / SHIFT_STEPS
    along_y = np.exp(2j * np.pi * np.outer(peak[0] + steps, np.fft.fftfreq(shape[0])))
    along_x = np.exp(2j * np.pi * np.outer(np.fft.rfftfreq(shape[1]), peak[1] + steps))
    along_x[1 : (shape[1] + 1) // 2] *= 2  # each stands for its negative as well
    near = np.abs((along_y @ (product @ along_x)).real)
    best = np.unravel_index(np.argmax(near), near.shape)
    found: Real = peak + steps[list(best)]
    return found
