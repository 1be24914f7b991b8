"""The penalty on what the TXM's own change does not explain: against a plain loop, and in cases with known answers."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import ndimage
from seeded_draws import draws
from torch import Tensor, nn

from txm2sem_core.families.z_penalty import SMOOTHING_PX, WINDOW_PX, Repeatable, perturbation, stack
from txm2sem_core.networks import build_generator


def slices(size: int, channels: int = 1, seed: int = 0, batch: int = 2) -> tuple[Tensor, Tensor]:
    rng = torch.Generator().manual_seed(seed)
    lower, upper = (torch.randn((batch, channels, size, size), generator=rng) for _ in range(2))
    return lower, upper


def smooth_slices(size: int) -> tuple[Tensor, Tensor]:
    """Two slices whose difference has no noise: it is linear within the plane."""
    y, x = torch.meshgrid(torch.arange(float(size)), torch.arange(float(size)), indexing="ij")
    lower = torch.sin(y / 3)[None, None]
    return lower, lower + 0.1 + 0.02 * y + 0.01 * x


def by_loops(change: np.ndarray, seen: np.ndarray) -> float:
    """The definition for one image, window by window."""
    smoothed = ndimage.uniform_filter(seen, SMOOTHING_PX, mode="nearest")
    rest = []
    for y in range(change.shape[0] - WINDOW_PX + 1):
        for x in range(change.shape[1] - WINDOW_PX + 1):
            place = (slice(y, y + WINDOW_PX), slice(x, x + WINDOW_PX))
            answer, cause = change[place].ravel(), smoothed[place].ravel()
            slope = np.linalg.lstsq(cause[:, None], answer, rcond=None)[0]
            rest.append(np.mean((answer - cause * slope) ** 2))
    return 0.5 * float(np.mean(rest)) / float(np.mean(seen**2))


def test_agrees_with_least_squares_in_every_window() -> None:
    lower, upper = slices(20, batch=1)

    def network(x: Tensor) -> Tensor:
        return torch.tanh(2 * x) + 0.3 * torch.roll(x, 1, -1)

    change = (network(upper) - network(lower))[0, 0].numpy()
    expected = by_loops(change.astype(float), (upper - lower)[0, 0].numpy().astype(float))
    assert float(stack(network, lower, upper)) == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("gain", [0.5, -2.0])
def test_a_change_in_proportion_costs_nothing(gain: float) -> None:
    lower, upper = smooth_slices(32)
    inner = stack(lambda x: gain * x, lower, upper)
    everything = 0.5 * gain**2
    assert float(inner) < 2e-4 * everything


def test_the_slope_may_differ_from_place_to_place() -> None:
    """The same change of intensity means another change of grey level in another mineral."""
    lower, upper = smooth_slices(64)
    left = torch.arange(64.0) < 32
    two_minerals = float(stack(lambda x: torch.where(left, 1.0, -3.0) * x, lower, upper))
    across = (WINDOW_PX - 1) / (64 - WINDOW_PX + 1)  # share of the windows that hold both
    assert two_minerals < 0.5 * 2.0**2 * across * 1.2  # within these, slopes 1 and -3 lie 2 off their mean


@pytest.mark.parametrize("size", [16, 48, 96])
def test_has_the_scale_of_the_jacobian_penalties_at_every_patch_size(size: int) -> None:
    """A gain of 0.3 on white noise: 0.3^2 / 2, save the part that the smoothed noise explains of itself (1/9)."""
    lower, upper = slices(size, batch=8)

    def gain(x: Tensor) -> Tensor:
        return 0.3 * x

    jacobian = float(perturbation(gain, lower, gain(lower), draws()))
    assert jacobian == pytest.approx(0.045, rel=1e-3)
    assert float(stack(gain, lower, upper)) == pytest.approx(jacobian * (1 - 1 / SMOOTHING_PX**2), rel=0.05)
    summed = float(stack(gain, lower, upper, reduction="sum"))
    assert summed == pytest.approx(float(stack(gain, lower, upper)) * size**2, rel=1e-5)


def test_a_prediction_that_jitters_costs_more_than_one_that_follows() -> None:
    lower, upper = smooth_slices(32)
    rng = torch.Generator().manual_seed(0)
    following = float(stack(lambda x: x, lower, upper))
    jittering = float(stack(lambda x: x + 0.1 * torch.randn(x.shape, generator=rng), lower, upper))
    change = float((upper - lower).square().mean())
    assert jittering - following == pytest.approx(0.5 * 2 * 0.01 * (1 - 1 / WINDOW_PX**2) / change, rel=0.1)


def test_slices_that_are_equal_cost_nothing_and_give_no_nan() -> None:
    lower, _ = slices(16)
    assert float(stack(lambda x: 3 * x, lower, lower)) == 0


@pytest.mark.parametrize(("factor", "channels"), [(2, 1), (1, 3)])
def test_takes_context_and_networks_that_enlarge(factor: int, channels: int) -> None:
    name = "sr_resnet_1blocks" if factor > 1 else "resnet_1blocks"
    network = build_generator(name, width=2, in_channels=channels, factor=factor, norm="batch", seed=0).train()
    network.dropout = nn.Dropout(0.5)
    lower, upper = slices(16, channels)
    repeatable = Repeatable(network)
    repeatable(lower)
    before = {key: value.clone() for key, value in network.state_dict().items()}
    stack(repeatable, lower, upper).backward()
    gradients = [p.grad for p in network.parameters() if p.grad is not None]
    assert gradients
    assert all(torch.isfinite(gradient).all() for gradient in gradients)
    assert all(torch.equal(before[key], value) for key, value in network.state_dict().items())


def test_the_gradient_is_that_of_finite_differences() -> None:
    lower, upper = (x.double() for x in slices(14, batch=1))
    kernel = torch.randn((1, 1, 3, 3), dtype=torch.double, generator=torch.Generator().manual_seed(1))
    kernel.requires_grad_(True)

    def penalty(weights: Tensor) -> Tensor:
        return stack(lambda x: torch.tanh(nn.functional.conv2d(x, weights, padding=1)), lower, upper)

    assert torch.autograd.gradcheck(penalty, (kernel,))
