"""Training steps that are captured as graphs on a GPU and replayed.

A step is hundreds of short kernels. To launch them one by one takes longer than to compute them: of a batch of one, the
GPU waits most of the time. A graph is launched at once (PyTorch's `torch.cuda.graph`). It computes the same kernels
with the same tensors, so that what differs from step to step must lie in these: batches and random numbers are copied
there before. Whatever else decides a step (which penalties are due, the learning rates, the shapes) makes it a step of
another kind, with a graph of its own.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Hashable
from dataclasses import dataclass, fields
from typing import Any, TypeVar

import torch
from torch import Tensor

from txm2sem_core.acceleration.draws import Draws, Held

LAUNCHED = 3  # steps of a kind before its graph: libraries choose how to compute, the optimiser makes its moments

Terms = dict[str, Tensor]
Inputs = TypeVar("Inputs", bound=Any)
Work = Callable[[], Terms]


@dataclass(frozen=True)
class Graph:
    """A captured step: `replay` takes it with the values that `inputs` and `held` have, and leaves `terms`."""

    inputs: Any
    held: Held
    replay: Callable[[], None]
    terms: Terms


class CapturedSteps:
    """Takes steps on a GPU: the first of a kind by single launches, the rest as graphs."""

    def __init__(self, device: torch.device, draws: Draws, optimisers: list[torch.optim.Optimizer]) -> None:
        self._draws, self._optimisers = draws, optimisers
        self._gpu = _Gpu(device)
        self._graphs: dict[Hashable, Graph] = {}
        self._seen: dict[Hashable, int] = {}
        self._rates: list[float] = []
        self._can = True

    def take(self, step: Callable[[Inputs], Terms], inputs: Inputs, kind: Hashable) -> Terms:
        """What a step returns; its tensors are the next step's as well, and to be used before it.

        Args:
            step: changes nothing but tensors on the device, and draws its random numbers from `draws`.
            inputs: a dataclass of tensors, or None.
            kind: equal of two steps whose computation differs by the values of the inputs alone.
        """
        self._follow_rates()
        kind = kind, *(None if each is None else (each.shape, each.dtype) for each in _tensors(inputs))
        if kind not in self._graphs:
            self._seen[kind] = self._seen.get(kind, 0) + 1
            if self._seen[kind] <= LAUNCHED or not self._can or not self._capture(step, inputs, kind):
                return self._gpu.launched(lambda: step(inputs))
        graph = self._graphs[kind]
        with torch.no_grad():  # also where the step asks for an input's gradient
            for there, given in zip(_tensors(graph.inputs), _tensors(inputs), strict=True):
                if there is not None and given is not None:
                    there.copy_(given.pin_memory() if there.is_cuda and not given.is_cuda else given, non_blocking=True)
        self._draws.draw_into(graph.held)
        graph.replay()
        return graph.terms

    def forget(self) -> None:
        """The tensors that steps change are others now, as after a state was loaded."""
        self._graphs, self._seen = {}, {}

    def _follow_rates(self) -> None:
        """A graph holds the learning rates that it was captured with."""
        rates = [float(group["lr"]) for optimiser in self._optimisers for group in optimiser.param_groups]
        if rates != self._rates:
            self._graphs, self._rates = {}, rates

    def _capture(self, step: Callable[[Inputs], Terms], inputs: Inputs, kind: Hashable) -> bool:
        """Capture a kind of step; False where a graph does not fit into memory beside what is there."""
        try:
            with self._draws.held() as held:
                own = type(inputs)(*(None if each is None else self._gpu.room(each) for each in _tensors(inputs)))
                replay, terms = self._gpu.captured(lambda: step(own))
        except RuntimeError as error:
            reason = "does not fit into memory" if isinstance(error, torch.OutOfMemoryError) else f"failed ({error})"
            print(f"warning: the graph of a step {reason}; steps are launched one by one, slower.", file=sys.stderr)
            self._graphs, self._can = {}, False
            return False
        self._graphs[kind] = Graph(own, held, replay, terms)
        return True


class _Gpu:
    """A GPU on which steps are launched, or captured, beside the stream that everything else runs on."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
        self._pool: Any = None  # of all graphs, which are never replayed at the same time

    def room(self, values: Tensor) -> Tensor:
        """A tensor of the same shape and type."""
        return torch.empty_like(values, device=self._device)

    def launched(self, work: Work) -> Terms:
        """On the stream that graphs are captured on: gradients are bound to the stream that first made them."""
        now = torch.cuda.current_stream(self._device)
        self._stream.wait_stream(now)
        with torch.cuda.stream(self._stream):
            terms = work()
        now.wait_stream(self._stream)
        return terms

    def captured(self, work: Work) -> tuple[Callable[[], None], Terms]:
        """The work as a graph: what replays it, and where it leaves its results."""
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, pool=self._pool, stream=self._stream, capture_error_mode="thread_local"):
            terms = work()
        self._pool = graph.pool()
        return graph.replay, terms


def _tensors(inputs: Any) -> list[Tensor | None]:
    return [getattr(inputs, each.name) for each in fields(inputs)]
