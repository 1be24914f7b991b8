r"""Penalties that keep the prediction from jumping between slices in z, as pure functions of a network and its input.

`projection` and `perturbation` estimate half the squared Frobenius norm of the Jacobian J = d output / d input,
averaged over the batch (Hoffman et al. 2019, arXiv 1908.02729), by one random draw. They differ in the cost:
`projection` differentiates twice, `perturbation` compares two forward passes. `stack` compares the predictions of two
neighbouring slices, and penalises the part of their difference that the difference of the slices does not explain.

Reductions: `sum` is a sum over output pixels, whose weight grows with the patch's area; `mean` is the mean over output
values, so that a weight has the same effect at every patch size. All three have one scale: for a network that
multiplies each pixel's white noise with a gain g of its own, `mean` is g^2 / 2.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional

from txm2sem_core.acceleration.draws import Draws
from txm2sem_core.config import ZPenaltySettings
from txm2sem_core.errors import ConfigError

Network = Callable[[Tensor], Tensor]
Reduction = Literal["sum", "mean"]
REDUCTIONS: tuple[str, ...] = get_args(Reduction)
# Of intensities in [-1, 1]. With batch statistics a step of 0.01 falls short of the exact norm by 4 to 8 %, as it is no
# longer small beside the curvature; 0.001 is within 2 % and still far above the rounding of float32.
PERTURBATION_STEP = 0.001
SMOOTHING_PX = 3  # side of the mean over TXM pixels that keeps noise, unrelated between slices, out of what explains
WINDOW_PX = 9  # side of the window, in TXM pixels, within which one slope relates the two changes
_NO_CHANGE = 1e-6  # of squared intensities in [-1, 1]: below it there is no change to speak of


def projection(generator: Network, inputs: Tensor, outputs: Tensor, draws: Draws, *, reduction: str = "mean") -> Tensor:
    """Estimate as published: `C/2 |J^T v|^2` for a random unit vector v of the C output values, mean over the batch.

    Args:
        generator: not called; here so that both penalties are called alike.
        inputs: `[B, ...]` with `requires_grad`.
        outputs: `[B, ...]`, computed from `inputs`.
        draws: of v.
        reduction: `sum` or `mean` (see the module).

    Returns:
        The estimate, no dimensions, differentiable with respect to the generator's weights.
    """
    if not inputs.requires_grad:
        raise ValueError("inputs must require a gradient before the outputs are computed from them")
    direction = draws.normal(outputs.shape).to(outputs.dtype)
    norms = direction.flatten(1).norm(dim=1).view(-1, *[1] * (outputs.ndim - 1))
    (pulled_back,) = torch.autograd.grad(outputs, inputs, direction / norms, create_graph=True)
    squares = pulled_back.flatten(1).square().sum(dim=1)  # of each image; C times it estimates the squared norm
    return _reduce(squares * _values_each(outputs), outputs, reduction)


def perturbation(
    generator: Network,
    inputs: Tensor,
    outputs: Tensor,
    draws: Draws,
    *,
    reduction: str = "mean",
    step: float = PERTURBATION_STEP,
) -> Tensor:
    """Estimate from a second forward pass: `|f(x + h d) - f(x)|^2 / (2 h^2)`, each value of d +1 or -1.

    As E[d d^T] is the identity, E|J d|^2 is the squared Frobenius norm; the error from curvature is of order h^2. With
    half precision, or by products that are rounded to TF32, the difference would drown in rounding, and so would its
    gradient: compute all passes in float32 with all digits (`Accelerator.all_digits`).

    Args:
        generator: the same function that gave `outputs`. A network with dropout or batch statistics is not, between two
            calls: wrap it in `Repeatable`.
        inputs: `[B, ...]`.
        outputs: `[B, ...]`, `generator(inputs)`.
        draws: of d.
        reduction: `sum` or `mean` (see the module).
        step: h, in units of the input.

    Returns:
        The estimate, no dimensions, differentiable with respect to the generator's weights.
    """
    if isinstance(generator, nn.Module) and has_active_dropout(generator):
        raise ValueError("a network with active dropout differs between two calls: wrap it in Repeatable")
    signs = draws.signs(inputs.shape).to(inputs.dtype)
    change = (generator(inputs + step * signs) - outputs) / step
    return _reduce(change.flatten(1).square().sum(dim=1), outputs, reduction)


def stack(generator: Network, lower: Tensor, upper: Tensor, *, reduction: str = "mean") -> Tensor:
    r"""Penalise the change between two predicted slices that the change between the slices does not explain.

    With D = f(upper) - f(lower), d the change of the slices in the middle, and s the change d smoothed in the plane,
    the part of D within a window that no multiple of s explains is, by least squares, `<D^2> - <D s>^2 / <s^2>`. Half
    its mean over all windows, against the mean square of d, is the penalty (docs/method/method.md derives it):
    `1/2 mean(<D^2> - <D s>^2 / <s^2>) / mean(d^2)`. A network that only scales its input, whatever the scale's sign,
    has none where the slices are free of noise.

    Args:
        generator: as of `perturbation`.
        lower: `[B, C, Y, X]`, C TXM slices of which the one in the middle is predicted.
        upper: the same, one slice further along z.
        reduction: `sum` or `mean` (see the module).

    Returns:
        The penalty, no dimensions, differentiable with respect to the generator's weights.
    """
    middle = lower.shape[1] // 2
    seen = (upper - lower)[:, middle : middle + 1]
    change = generator(upper) - generator(lower)
    factor = change.shape[-1] // seen.shape[-1]
    explaining = _window_mean(functional.pad(seen, [SMOOTHING_PX // 2] * 4, mode="replicate"), SMOOTHING_PX)
    if factor > 1:
        explaining = functional.interpolate(explaining, scale_factor=factor, mode="bilinear", align_corners=False)
    window = min(WINDOW_PX * factor, *change.shape[-2:])
    total, power = _window_mean(change.square(), window), _window_mean(explaining.square(), window)
    explained = _window_mean(change * explaining, window).square() / (power + _NO_CHANGE)
    unexplained = (total - explained).mean() / (seen.square().mean() + _NO_CHANGE)  # as of each output value
    return _reduce(unexplained * _values_each(change), change, reduction)


class Repeatable:
    """A network whose later calls repeat the first one's dropout and leave the running statistics alone.

    Make one for each training step; the first call is an ordinary call of the network.
    """

    def __init__(self, network: nn.Module) -> None:
        self._network = network
        self._called = False
        self._random_state: tuple[Tensor, Tensor | None] | None = None

    def __call__(self, x: Tensor) -> Tensor:
        """Return the network's output for `x`."""
        if not self._called:
            self._called = True
            if has_active_dropout(self._network):
                self._random_state = torch.get_rng_state(), torch.cuda.get_rng_state(x.device) if x.is_cuda else None
            first: Tensor = self._network(x)
            return first
        tracking = [m for m in self._network.modules() if isinstance(m, nn.BatchNorm2d) and m.track_running_stats]
        with self._same_dropout(x.device):
            try:
                for layer in tracking:
                    # In training, batch statistics are used but not recorded; in evaluation the running ones are.
                    layer.track_running_stats = not layer.training
                again: Tensor = self._network(x)
            finally:
                for layer in tracking:
                    layer.track_running_stats = True
        return again

    @contextmanager
    def _same_dropout(self, device: torch.device) -> Iterator[None]:
        if self._random_state is None:
            yield
            return
        cpu_state, cuda_state = self._random_state
        with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
            torch.set_rng_state(cpu_state)
            if cuda_state is not None:
                torch.cuda.set_rng_state(cuda_state, device)
            yield


# Those of the input at hand; `stack` needs slices of its own.
JACOBIAN_PENALTIES: dict[str, Callable[..., Tensor]] = {"projection": projection, "perturbation": perturbation}


def weights_due(settings: ZPenaltySettings, updates: int) -> dict[str, float]:
    """Weights of the penalties of a step: one that comes at every n-th step only has n times its weight.

    Lazy regularisation (Karras et al. 2020, arXiv 1912.04958, appendix B): the mean gradient is the same.

    Args:
        settings: which penalties are on.
        updates: of the generator before this step.
    """
    due = updates % settings.every == 0
    weights = {name: weight * settings.every for name, weight in settings.weights.items() if due}
    return weights | ({"projection": settings.projection} if settings.projection else {})


def terms(
    settings: ZPenaltySettings,
    weights: dict[str, float],
    network: Network,
    images: tuple[Tensor, Tensor, Tensor | None],
    draws: Draws,
) -> dict[str, Tensor]:
    """The loss terms `loss_z_{penalty}` of a step, weighted, 0 for one that is on but not due.

    Args:
        settings: which penalties are on.
        weights: from `weights_due`.
        network: what is penalised.
        images: the input, its output, and the slices `[B, C + 1, Y, X]` for `stack`.
        draws: of the random directions.

    Raises:
        ConfigError: `stack` is due and there are no slices for it.
    """
    given, predicted, slices = images
    found = {f"loss_z_{method}": predicted.new_zeros(()) for method in settings.weights}
    for method, weight in weights.items():
        if method in JACOBIAN_PENALTIES:
            penalty = JACOBIAN_PENALTIES[method](network, given, predicted, draws, reduction=settings.reduction)
        elif slices is None:
            raise ConfigError("z_penalty.stack: the batch holds no slices of the TXM volume. Give the volume.")
        else:
            penalty = stack(network, slices[:, :-1], slices[:, 1:], reduction=settings.reduction)
        found[f"loss_z_{method}"] = weight * penalty
    return found


def _window_mean(images: Tensor, side: int) -> Tensor:
    """Mean over every square window that lies within the images `[B, C, Y, X]`."""
    return functional.avg_pool2d(images, side, stride=1)


def _reduce(squared_norms: Tensor, outputs: Tensor, reduction: str) -> Tensor:
    if reduction == "sum":
        return 0.5 * squared_norms.mean()
    if reduction == "mean":
        return 0.5 * squared_norms.mean() / _values_each(outputs)
    raise ConfigError(f"reduction: {reduction!r} is not known. Choose one of {', '.join(REDUCTIONS)}.")


def _values_each(outputs: Tensor) -> int:
    """Output values of one image."""
    return outputs[0].numel()


def has_active_dropout(network: nn.Module) -> bool:
    """Whether two calls of the network differ by what it drops."""
    return any(isinstance(layer, nn.Dropout) and layer.training and layer.p > 0 for layer in network.modules())
