"""What a trial of a variant's networks finds."""

from __future__ import annotations

from dataclasses import dataclass

COPIES = 6  # of the weights in training: themselves, gradients, Adam's two moments, an average and the best so far


@dataclass(frozen=True)
class NetworkCost:
    """What a variant's networks take.

    Attributes:
        weights: bytes of all networks in training, `COPIES` of them.
        activations: bytes kept of one batch for the gradients, at the most at a time.
        step_flops: floating-point operations of a step of training.
        voxel_flops: those of a predicted voxel.
    """

    weights: float
    activations: float
    step_flops: float
    voxel_flops: float


@dataclass(frozen=True)
class NetworkSpeed:
    """Seconds that a device takes for a step of training, and for a predicted voxel."""

    step: float
    voxel: float
