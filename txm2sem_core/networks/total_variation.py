"""Images whose flat parts are flat, by least total variation, in a fixed number of steps that each see a pixel on."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

STEPS = 20
_STEP_SIZE = 0.25  # 1 / (2 * axes), for which the iteration converges


def flattened(image: Tensor, weight: Tensor) -> Tensor:
    """What minimises |out - image|^2 / 2 + weight * total variation, nearly (Chambolle 2004, with its equation 9).

    Pixels within `STEPS` of each other have a say in each other, and no more.

    Args:
        image: `[B, 1, Y, X]`.
        weight: above 0, in the image's grey levels; at 0 the image comes back.
    """
    along_y, along_x = torch.zeros_like(image), torch.zeros_like(image)
    out = image
    for _ in range(STEPS - 1):
        steps_y = functional.pad(out[:, :, 1:] - out[:, :, :-1], (0, 0, 0, 1))
        steps_x = functional.pad(out[:, :, :, 1:] - out[:, :, :, :-1], (0, 1))
        bounded = weight + _STEP_SIZE * (steps_y.square() + steps_x.square()).sqrt()
        bounded = bounded.clamp(min=torch.finfo(image.dtype).tiny)
        along_y = (along_y - _STEP_SIZE * steps_y) * weight / bounded
        along_x = (along_x - _STEP_SIZE * steps_x) * weight / bounded
        out = image + _divergence(along_y, along_x)
    return out


def _divergence(along_y: Tensor, along_x: Tensor) -> Tensor:
    before_y = functional.pad(along_y[:, :, :-1], (0, 0, 1, 0))
    before_x = functional.pad(along_x[:, :, :, :-1], (1, 0))
    return before_y - along_y + before_x - along_x
