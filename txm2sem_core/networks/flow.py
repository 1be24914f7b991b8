"""Samples of what an image may be, drawn by a flow from noise, and not the mean of all that it may be."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TypeVar

import torch
from torch import Tensor, nn

from txm2sem_core.networks.base import ImageGenerator
from txm2sem_core.networks.layers import evenly_spaced
from txm2sem_core.networks.total_variation import STEPS, flattened

AnyNetwork = TypeVar("AnyNetwork", bound=nn.Module)
MOST_LAG = 16  # pixels
KNOTS = 65  # of the map of grey levels
TXM_KNOTS = 17  # of the map to what the TXM shows of them
TIME_CHANNEL = 2  # of what the velocity is given


class Flow(ImageGenerator):
    """A network for the mean, and one for the velocity that turns noise into the difference from the mean.

    Conditional flow matching (Lipman et al. 2022, arXiv 2210.02747; Liu et al. 2022, arXiv 2209.03003), on the residual
    of a mean (Mardani et al. 2023, arXiv 2309.15214). The state x(t) = (1 - t) noise + t residual / scale moves from
    noise at t = 0 to a residual at t = 1 with the velocity v(x, t) = E[residual / scale - noise | x, mean, TXM].

    Its input are the TXM slices and one channel of Gaussian noise with unit variance: other noise gives another sample.

    Attributes:
        mean: TXM `[B, C, Y, X]` to the mean of the FIB-SEM images that fit, `[B, 1, Y, X]`.
        velocity: `velocity_input` to the velocity of the state, `[B, 1, Y, X]`.
        residual_scale: standard deviation of FIB-SEM image minus mean.
        flatness: weight of the total variation of a sample (`flattened`), as a flow that learns for minutes leaves a
            little of its noise.
        grey_levels: a sample's grey levels, rising, and what they become, `[2, KNOTS]`; between them the map is linear,
            and beyond them it goes on with slope 1. At first each becomes itself.
        relative_changes: mean absolute change of training FIB-SEM patches over 1 to `MOST_LAG` pixels, over that of
            samples of them.
        txm_values: grey levels, rising, and what the TXM shows of them, `[2, TXM_KNOTS]`; both in [-1, 1] as the
            networks have them.
        txm_blur: standard deviations of the TXM's point-spread function along z, y, x, in voxels.
        txm_deviation: standard deviation of the TXM about what these three say; 0 where they are not known.
        steps: of the integration from t = 0 to 1.
    """

    residual_scale: Tensor
    relative_changes: Tensor
    grey_levels: Tensor
    flatness: Tensor
    txm_values: Tensor
    txm_blur: Tensor
    txm_deviation: Tensor

    def __init__(self, mean: ImageGenerator, velocity: ImageGenerator, steps: int) -> None:
        super().__init__(
            in_channels=mean.in_channels + 1,
            out_channels=mean.out_channels,
            size_multiple=math.lcm(mean.size_multiple, velocity.size_multiple),
            minimum_size=max(mean.minimum_size, velocity.minimum_size),
            receptive_radius_px=mean.receptive_radius_px + 2 * steps * velocity.receptive_radius_px + STEPS,
            uses_image_statistics=mean.uses_image_statistics or velocity.uses_image_statistics,
        )
        self.mean, self.velocity, self.steps = mean, velocity, steps
        self.register_buffer("residual_scale", torch.ones(()))
        self.register_buffer("flatness", torch.zeros(()))
        self.register_buffer("grey_levels", evenly_spaced(-1, 1, KNOTS).repeat(2, 1))
        self.register_buffer("relative_changes", torch.ones(MOST_LAG))
        self.register_buffer("txm_values", evenly_spaced(-1, 1, TXM_KNOTS).repeat(2, 1))
        self.register_buffer("txm_blur", torch.zeros(3))
        self.register_buffer("txm_deviation", torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        """TXM and noise, `[B, C + 1, Y, X]`, to a sample `[B, 1, Y, X]`."""
        self.check_input(x)
        return self.sample(x, self.mean, self.velocity)

    def sample(self, x: Tensor, mean: Callable[[Tensor], Tensor], velocity: Callable[[Tensor], Tensor]) -> Tensor:
        """As `forward`, by other ways to compute `self.mean` and `self.velocity`.

        Steps are of the midpoint method, of the second order, with two velocities each.
        """
        txm, state = x[:, :-1], x[:, -1:]
        expected = mean(txm)

        def slope(state: Tensor, time: float) -> Tensor:
            return velocity(velocity_input(state, expected, torch.full_like(state, time), txm))

        step = 1 / self.steps
        for start in range(self.steps):
            middle = state + step / 2 * slope(state, start * step)
            state = state + step * slope(middle, (start + 0.5) * step)
        return self.mapped(flattened(expected + self.residual_scale * state, self.flatness))

    def mapped(self, image: Tensor) -> Tensor:
        """An image with its grey levels mapped as `grey_levels` says."""
        given, made = self.grey_levels.to(image.dtype)
        upper = torch.bucketize(image, given[1:-1]) + 1
        lower = upper - 1
        slopes = (made[upper] - made[lower]) / (given[upper] - given[lower])
        inside = image.clamp(given[0], given[-1])
        return made[lower] + slopes * (inside - given[lower]) + (image - inside)


def parts(network: AnyNetwork) -> tuple[AnyNetwork | ImageGenerator, ...]:
    """The networks that compute: those of a flow, each in its turn, or the network itself."""
    return (network.mean, network.velocity) if isinstance(network, Flow) else (network,)


def velocity_input(state: Tensor, expected: Tensor, time: Tensor, txm: Tensor) -> Tensor:
    """What a velocity is given, `[B, C + 3, Y, X]`: state, mean, time from 0 to 1 in every pixel, TXM."""
    return torch.cat([state, expected, time, txm], dim=1)
