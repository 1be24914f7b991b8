"""Exact receptive fields of stacks of layers, by carrying an interval of pixels from the output back to the input."""

from __future__ import annotations

from collections.abc import Callable, Sequence

Step = Callable[[int, int], tuple[int, int]]
"""Maps the first and last pixel read of a layer's output to the first and last pixel read of its input."""


def convolution(kernel: int, stride: int = 1, padding: int | None = None) -> Step:
    """Step through a convolution along one axis; `padding` defaults to `kernel // 2`."""
    pad = kernel // 2 if padding is None else padding

    def step(first: int, last: int) -> tuple[int, int]:
        return first * stride - pad, last * stride - pad + kernel - 1

    return step


def transposed_convolution(kernel: int, stride: int, padding: int) -> Step:
    """Step through a transposed convolution along one axis: `output = stride * input - padding + tap`."""

    def step(first: int, last: int) -> tuple[int, int]:
        return -((kernel - 1 - padding - first) // stride), (last + padding) // stride

    return step


def enlargement(factor: int) -> Step:
    """Every pixel becomes `factor` pixels (pixel shuffle, nearest)."""

    def step(first: int, last: int) -> tuple[int, int]:
        return first // factor, last // factor

    return step


def doubling(first: int, last: int) -> tuple[int, int]:
    """Step through a linear interpolation to twice as many pixels, between the centres of the given ones."""
    return (first - 1) // 2, (last + 1) // 2


def receptive_radius(layers: Sequence[Step], *, period: int, factor: int = 1) -> int:
    """Largest distance, in input pixels, from an output pixel to an input pixel that it reads.

    Args:
        layers: the layers along the longest path, from the input to the output.
        period: output pixels after which the pattern of strides repeats.
        factor: output pixels per input pixel; output pixel `o` lies in input pixel `o // factor`.
    """
    radius = 0
    for output in range(period):
        first = last = output
        for layer in reversed(layers):
            first, last = layer(first, last)
        home = output // factor
        radius = max(radius, home - first, last - home)
    return radius
