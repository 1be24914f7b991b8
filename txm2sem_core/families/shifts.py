"""A pixel loss that bears misfit: each window of the FIB-SEM patch is compared where it fits the prediction best.

The least loss over small shifts, window by window. Its gradient is that of the pixel loss at the best shift, which is
chosen without one (Danskin's theorem: where the least is reached at one shift alone, it has that shift's gradient).

This loss alone would let the network displace all of its images by as much as the shifts allow, at no cost. So the mean
of the shifts, over many steps, is taken from each: what is left pulls the network back to where the pairs lie on the
average.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

import torch
from torch import Tensor
from torch.nn import functional

from txm2sem_core.families.learner import Learner
from txm2sem_core.families.losses import pixel_costs

LEAST_SHARE = 0.5  # of a window's counted pixels that a shift must leave within the patch
MEMORY = 0.95  # share of the earlier mean shift that a step keeps


def fitted(learner: Learner, predicted: Tensor, sem: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor | None]:
    """FIB-SEM patches and mask as the pixel loss takes them: by `pixel_shift_px` nearer to the prediction, or as is.

    Args:
        learner: with the settings; its mean shift follows that of the patches.
        predicted: `[B, 1, Y, X]`; no gradient flows through the shifts.
        sem: as `predicted`.
        mask: `[B, 1, Y, X]`; None for all.
    """
    settings = learner.settings
    if not settings.pixel_shift_px:
        return sem, mask
    bounds = settings.pixel_shift_px, settings.pixel_window_px
    shifts = best_shifts(settings.pixel_loss, predicted, sem, mask, *bounds)
    learner.mean_shift.mul_(MEMORY).add_((1 - MEMORY) * shifts.mean(dim=(0, 2, 3)))
    return moved_by(sem, mask, less_mean(shifts, learner.mean_shift), settings.pixel_window_px)


def best_shifts(
    kind: str, prediction: Tensor, target: Tensor, mask: Tensor | None, shift_px: int, window_px: int
) -> Tensor:
    """The shift of each window of the target at which its mean difference from the prediction is least.

    Of equal ones the shortest is taken. What would come from beyond the patch does not count.

    Args:
        kind: L1 or L2.
        prediction: `[B, C, Y, X]`.
        target: as `prediction`.
        mask: weight of each pixel of the target, `[B, 1, Y, X]`; None for all.
        shift_px: greatest length of a shift.
        window_px: side of the windows, which lie side by side from the first pixel on.

    Returns:
        `[B, 2, rows, columns]` (y, x), whole numbers: a pixel of the window is compared with the target's so far on.
    """
    with torch.no_grad():
        given = _weight(target, mask)
        enough = LEAST_SHARE * _window_sums(given, window_px)
        least = torch.full_like(enough, torch.inf)
        best = torch.zeros_like(enough).repeat(1, 2, 1, 1)
        for shift, moved, weight in _shifted(target, given, shift_px):
            counted = _window_sums(weight, window_px)
            cost = pixel_costs(kind, prediction, moved).mean(dim=1, keepdim=True) * weight
            mean = _window_sums(cost, window_px) / counted.clamp(min=1e-6)
            better = (mean < least) & (counted >= enough) & (counted > 0)
            least = torch.where(better, mean, least)
            best = torch.where(better, torch.cat([torch.full_like(mean, far) for far in shift], dim=1), best)
        return best


def moved_by(target: Tensor, mask: Tensor | None, shifts: Tensor, window_px: int) -> tuple[Tensor, Tensor]:
    """The target `[B, C, Y, X]` with each window read from where its shift says, and its mask, 0 beyond the patch."""
    height, width = target.shape[2:]
    each = shifts.long().repeat_interleave(window_px, dim=2).repeat_interleave(window_px, dim=3)[:, :, :height, :width]
    y = torch.arange(height, device=target.device).view(1, -1, 1) + each[:, 0]
    x = torch.arange(width, device=target.device).view(1, 1, -1) + each[:, 1]
    inside = ((y >= 0) & (y < height) & (x >= 0) & (x < width)).unsqueeze(1)
    index = (y.clamp(0, height - 1) * width + x.clamp(0, width - 1)).flatten(1).unsqueeze(1)
    moved = [
        image.flatten(2).gather(2, index.expand(-1, image.shape[1], -1)).view_as(image)
        for image in (target, _weight(target, mask))
    ]
    return moved[0], moved[1] * inside


def less_mean(shifts: Tensor, mean: Tensor) -> Tensor:
    """Shifts less a mean (y, x), in whole pixels: rounded up in so many of the patches that it is right of all."""
    count = len(shifts)
    thresholds = ((torch.arange(count, device=shifts.device) + 0.5) / count).view(-1, 1, 1, 1)
    return shifts - torch.floor(mean.to(shifts).view(1, 2, 1, 1) + thresholds)


def shifts_within(shift_px: int) -> list[tuple[int, int]]:
    """Whole (y, x) at most `shift_px` long, the shortest first."""
    steps = range(-shift_px, shift_px + 1)
    inside = [(y, x) for y, x in product(steps, steps) if y * y + x * x <= shift_px**2]
    return sorted(inside, key=lambda shift: (shift[0] ** 2 + shift[1] ** 2, shift))


def _weight(target: Tensor, mask: Tensor | None) -> Tensor:
    whole = torch.ones_like(target[:, :1])
    return whole if mask is None else mask.to(target).expand_as(whole)


def _shifted(target: Tensor, weight: Tensor, shift_px: int) -> Iterator[tuple[tuple[int, int], Tensor, Tensor]]:
    """Target and weight at each shift; beyond the patch the weight is 0."""
    height, width = target.shape[2:]
    sides = (shift_px,) * 4
    wide, known = functional.pad(target, sides, mode="replicate"), functional.pad(weight, sides)
    for y, x in shifts_within(shift_px):
        rows, columns = slice(shift_px + y, shift_px + y + height), slice(shift_px + x, shift_px + x + width)
        yield (y, x), wide[:, :, rows, columns], known[:, :, rows, columns]


def _window_sums(image: Tensor, window_px: int) -> Tensor:
    """Sums `[B, 1, rows, columns]` over windows; those at the end may reach beyond the patch, where nothing is."""
    beyond = [-image.shape[axis] % window_px for axis in (3, 2)]
    padded = functional.pad(image, (0, beyond[0], 0, beyond[1]))
    return functional.avg_pool2d(padded, window_px) * window_px**2
