"""Samples of slices that are drawn together, as the TXM guides them, whose blur along z ties them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from txm2sem_core.families.voxel_noise import VoxelNoise
from txm2sem_core.geometry import Mask
from txm2sem_core.inference.guidance import Guidance
from txm2sem_core.inference.plane_network import PlaneNetwork
from txm2sem_core.networks import Flow
from txm2sem_core.networks.flow import velocity_input
from txm2sem_core.networks.total_variation import flattened

Plane = NDArray[np.float32]
Volume = NDArray[np.float32]


@dataclass(frozen=True)
class Block:
    """Slices that are drawn together.

    Attributes:
        kept: numbers of the slices that are wanted of them.
        drawn: numbers of all, with those about the wanted ones that the TXM's blur ties to them.
        slab: a slice's TXM with its context, `[E (2 context + 1), Y, X]` of E scans, prepared.
        measured: where a slice was measured, `[Y, X]`; None for everywhere.
        at_work: called before every plane that is computed.
    """

    kept: Sequence[int]
    drawn: range
    slab: Callable[[int], np.ndarray]
    measured: Callable[[int], Mask | None]
    at_work: Callable[[], None]

    def known(self) -> Mask | None:
        """Where the drawn slices were measured, `[Z, Y, X]`; None for everywhere."""
        masks = [self.measured(z) for z in self.drawn]
        if all(mask is None for mask in masks):
            return None
        shape = self.slab(self.drawn[0]).shape[1:]
        return np.stack([np.ones(shape, dtype=bool) if mask is None else mask for mask in masks])


class GuidedSampler:
    """Draws samples of a flow in Euler steps, and changes what they would become into what explains the TXM.

    The flow is dx/dt = (x1 - x) / (1 - t), with what a state x would become, x1. Where that explains the TXM, the flow
    goes to volumes that the TXM allows.

    Attributes:
        reach_z: slices to both sides of a slice that are drawn with it.
    """

    def __init__(self, flow: Flow, mean: PlaneNetwork, velocity: PlaneNetwork, context: int, steps: int) -> None:
        """Of a flow and its two networks as they compute.

        Args:
            flow: what it has learnt beside the networks.
            mean: of the flow.
            velocity: of the flow.
            context: slices on each side that they are given.
            steps: of the integration.
        """
        self._flow, self._mean, self._velocity = flow, mean, velocity
        self._context, self._steps = context, steps
        self._guidance = Guidance(flow, mean.compute.device)
        self._scale = np.float32(flow.residual_scale.item())
        self.reach_z = self._guidance.reach[0]

    def draw(self, block: Block, to_unit: Callable[[np.ndarray], np.ndarray], noise: VoxelNoise) -> Iterator[Plane]:
        """The wanted slices `[Y, X]` in [-1, 1], one after the other.

        Args:
            block: of slices.
            to_unit: maps a slab to [-1, 1].
            noise: of the sample.
        """
        shape = block.slab(block.drawn[0]).shape[1:]
        states = np.empty((len(block.drawn), *shape), dtype=np.float32)
        expected, txm, made = np.empty_like(states), np.empty_like(states), np.empty_like(states)
        for number, z in enumerate(block.drawn):
            block.at_work()
            given = to_unit(block.slab(z))
            txm[number] = given[self._context]  # of the first scan, whose slices come first
            expected[number] = self._mean.plane(given)[0]
            states[number] = noise.plane(z, 0, 0, *shape)
        known = block.known()
        for step in range(self._steps):
            time = step / self._steps
            for number, z in enumerate(block.drawn):
                block.at_work()
                state = states[number]
                slope = self._slope(state, expected[number], time, to_unit(block.slab(z)))
                made[number] = expected[number] + self._scale * (state + np.float32(1 - time) * slope)
            share = np.float32(1 / (self._steps - step))  # of the way to t = 1 that a step goes
            for rows, columns, wanted in self._guidance.explaining(made, txm, known, time):
                part = (slice(None), rows, columns)
                states[part] += share * ((wanted - expected[part]) / self._scale - states[part])
        for z in block.kept:
            number = z - block.drawn[0]
            yield self._finished(expected[number] + self._scale * states[number])

    def _slope(self, state: Plane, expected: Plane, time: float, txm: np.ndarray) -> Plane:
        """The velocity of a state."""
        here, mean = (torch.from_numpy(plane)[None, None] for plane in (state, expected))
        given = velocity_input(here, mean, torch.full_like(here, time), torch.from_numpy(txm)[None])
        slope: Plane = self._velocity.plane(given[0].numpy())[0]
        return slope

    def _finished(self, image: Plane) -> Plane:
        """As flat, and with the grey levels, as `Flow.sample` leaves it."""
        given = torch.from_numpy(image)[None, None].to(self._mean.compute.device)
        with torch.no_grad():
            made = self._flow.mapped(flattened(given, self._flow.flatness))
        finished: Plane = made[0, 0].cpu().numpy()
        return finished
