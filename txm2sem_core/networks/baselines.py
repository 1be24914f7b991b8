"""The baselines that every claim is measured against, as generators that are fitted instead of trained."""

from __future__ import annotations

from abc import abstractmethod

import torch
from torch import Tensor
from torch.nn import functional

from txm2sem_core.errors import ConfigError, InputError
from txm2sem_core.networks.base import ImageGenerator
from txm2sem_core.networks.layers import evenly_spaced
from txm2sem_core.networks.registry import GeneratorOptions, register_generator

POINTWISE_BINS = 256
BICUBIC_RADIUS_PX = 2


class Baseline(ImageGenerator):
    """A map from TXM to SEM with a few numbers, fitted in one pass. They are buffers, saved like weights.

    Of an input with neighbouring slices, the middle channel is used.
    """

    fitted: Tensor

    def __init__(self, options: GeneratorOptions, *, receptive_radius_px: int = 0) -> None:
        if options.out_channels != 1 or options.in_channels % 2 == 0:
            raise ConfigError(
                f"in_channels {options.in_channels}, out_channels {options.out_channels}: a baseline maps one slice "
                f"(with as many neighbours above as below) to one image. Use an odd in_channels and out_channels 1."
            )
        super().__init__(
            in_channels=options.in_channels,
            out_channels=1,
            factor=options.factor,
            receptive_radius_px=receptive_radius_px,
        )
        self.register_buffer("fitted", torch.tensor(False))

    @torch.no_grad()
    def fit(self, x: Tensor, y: Tensor, mask: Tensor | None = None) -> None:
        """Fit to pairs.

        Args:
            x: TXM `[N, in_channels, h, w]` in [-1, 1].
            y: SEM `[N, 1, factor h, factor w]` in [-1, 1].
            mask: `[N, 1, factor h, factor w]`, True (or above 0) where a pixel of the SEM counts; None for all.

        Raises:
            InputError: shapes that do not belong together, or a mask that leaves no pixel.
        """
        self.check_input(x)
        expected = (x.shape[0], 1, x.shape[2] * self.factor, x.shape[3] * self.factor)
        for name, tensor in (("y", y), ("mask", mask)):
            if tensor is not None and tuple(tensor.shape) != expected:
                raise InputError(
                    f"{type(self).__name__}.fit: {name} has the shape {list(tensor.shape)}, but x {list(x.shape)} "
                    f"at factor {self.factor} needs {list(expected)}. Give the TXM and SEM patches of the same places."
                )
        counted = torch.ones(expected, dtype=torch.bool) if mask is None else mask > 0
        if not counted.any():
            raise InputError(f"{type(self).__name__}.fit: the mask leaves no pixel. Give patches with usable pixels.")
        self._fit(self._on_output_grid(x)[counted].double(), y[counted].double())
        self.fitted.fill_(True)

    def forward(self, x: Tensor) -> Tensor:
        """`[B, in_channels, Y, X]` to `[B, 1, factor Y, factor X]`, not bounded; InputError before it was fitted."""
        self.check_input(x)
        if not self.fitted:
            raise InputError(f"{type(self).__name__} has not been fitted. Call fit with training pairs first.")
        return self.mapped(x)

    def mapped(self, x: Tensor) -> Tensor:
        """As `forward`, of one that was fitted, without looking whether it was."""
        return self._apply_fit(self._on_output_grid(x))

    def _on_output_grid(self, x: Tensor) -> Tensor:
        """Take the middle channel, at the size of the output."""
        middle = x[:, self.in_channels // 2 : self.in_channels // 2 + 1]
        if self.factor == 1:
            return middle
        return functional.interpolate(middle, scale_factor=self.factor, mode="bicubic", align_corners=False)

    @abstractmethod
    def _fit(self, txm: Tensor, sem: Tensor) -> None:
        """Fit to pixels `[P]`, float64."""

    @abstractmethod
    def _apply_fit(self, txm: Tensor) -> Tensor:
        """Map TXM intensities, already on the output's grid."""


class ConstantImage(Baseline):
    """The mean of the SEM, everywhere: the floor of PSNR."""

    level: Tensor

    def __init__(self, options: GeneratorOptions) -> None:
        super().__init__(options)
        self.register_buffer("level", torch.tensor(0.0))

    def _fit(self, txm: Tensor, sem: Tensor) -> None:
        self.level.fill_(sem.mean())

    def _apply_fit(self, txm: Tensor) -> Tensor:
        return self.level.expand_as(txm).clone()


class MatchedIntensities(Baseline):
    """`gain * TXM + offset` with the SEM's mean and standard deviation; the gain has the sign of their correlation.

    At a factor above 1 the TXM is enlarged bicubically first.
    """

    gain: Tensor
    offset: Tensor

    def __init__(self, options: GeneratorOptions) -> None:
        super().__init__(options, receptive_radius_px=0 if options.factor == 1 else BICUBIC_RADIUS_PX)
        self.register_buffer("gain", torch.tensor(1.0))
        self.register_buffer("offset", torch.tensor(0.0))

    def _fit(self, txm: Tensor, sem: Tensor) -> None:
        txm_mean, sem_mean = txm.mean(), sem.mean()
        txm_deviation, sem_deviation = (txm - txm_mean).square().mean().sqrt(), (sem - sem_mean).square().mean().sqrt()
        falling = ((txm - txm_mean) * (sem - sem_mean)).mean() < 0
        gain = sem_deviation / txm_deviation if txm_deviation > 0 else torch.zeros_like(sem_deviation)
        gain = -gain if falling else gain
        self.gain.fill_(gain)
        self.offset.fill_(sem_mean - gain * txm_mean)

    def _apply_fit(self, txm: Tensor) -> Tensor:
        return self.gain * txm + self.offset


class PointwiseMap(Baseline):
    """The mean SEM at each TXM intensity: in the mean square, the best map that looks at one pixel alone.

    The conditional mean is taken in 256 bins that hold equally many pixels, and interpolated linearly between the
    bins' mean intensities; it is constant beyond them, and may rise and fall.
    """

    txm_levels: Tensor
    sem_levels: Tensor

    def __init__(self, options: GeneratorOptions) -> None:
        super().__init__(options)
        self.register_buffer("txm_levels", evenly_spaced(-1.0, 1.0, POINTWISE_BINS))
        self.register_buffer("sem_levels", evenly_spaced(-1.0, 1.0, POINTWISE_BINS))

    def _fit(self, txm: Tensor, sem: Tensor) -> None:
        indices = torch.linspace(0, txm.numel() - 1, POINTWISE_BINS + 1).round().long()
        borders = txm.sort().values[indices[1:-1]]
        borders = torch.unique_consecutive(borders)
        bins = torch.bucketize(txm, borders)
        counts = torch.bincount(bins, minlength=POINTWISE_BINS)
        used = counts > 0
        for levels, values in ((self.txm_levels, txm), (self.sem_levels, sem)):
            means = torch.bincount(bins, weights=values, minlength=POINTWISE_BINS)[used] / counts[used]
            levels[: len(means)] = means
            levels[len(means) :] = means[-1]  # the size stays the same, whatever the number of bins in use

    def _apply_fit(self, txm: Tensor) -> Tensor:
        right = torch.bucketize(txm, self.txm_levels).clamp(1, POINTWISE_BINS - 1)
        left = right - 1
        span = (self.txm_levels[right] - self.txm_levels[left]).clamp_min(torch.finfo(txm.dtype).tiny)
        share = ((txm - self.txm_levels[left]) / span).clamp(0.0, 1.0)
        return torch.lerp(self.sem_levels[left], self.sem_levels[right], share)


@register_generator("constant", factors=None)
def _constant(options: GeneratorOptions) -> ConstantImage:
    return ConstantImage(options)


@register_generator("identity")
def _identity(options: GeneratorOptions) -> MatchedIntensities:
    return MatchedIntensities(options)


@register_generator("pointwise", factors=None)
def _pointwise(options: GeneratorOptions) -> PointwiseMap:
    return PointwiseMap(options)


@register_generator("bicubic", factors=None)
def _bicubic(options: GeneratorOptions) -> MatchedIntensities:
    return MatchedIntensities(options)
