"""Training steps that are captured as graphs on a GPU and replayed.

A step is hundreds of short kernels. To launch them one by one takes longer than to compute them: of a batch of one, the
GPU waits most of the time. A graph is launched at once (PyTorch's `torch.cuda.graph`). It computes the same kernels
with the same tensors, so that what differs from step to step must lie in these: batches and random numbers are copied
there before. Such tensors are made before the capture: memory that is taken within it is written to in every replay, by
whatever had it before. What else decides a step (which penalties are due, the shapes) makes it a step of another kind,
with a graph of its own; other learning rates make all graphs new.

A graph that computes something else would say nothing. So the first of each kind has to agree with single launches.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Hashable
from contextlib import suppress
from dataclasses import dataclass, field, fields
from typing import Any, TypeVar

import torch
from torch import Tensor

from txm2sem_core.acceleration.adam import weights_of
from txm2sem_core.acceleration.draws import Draw, Draws, Places
from txm2sem_core.acceleration.outcome import Groups, Outcome, copied, copies, put_back
from txm2sem_core.acceleration.transfer import send_into

LAUNCHED = 3  # steps of a kind before its graph: libraries choose how to compute, the optimiser makes its moments
SEEN_AGAIN = 2  # at the same learning rates: a kind that comes once an epoch is not captured anew in each

Terms = dict[str, Tensor]
Inputs = TypeVar("Inputs", bound=Any)
Work = Callable[[], Terms]


@dataclass(frozen=True)
class Graph:
    """A captured step: `replay` takes it with the values that lie in `inputs` and `places`, and leaves `terms`."""

    inputs: Any
    places: Places
    replay: Callable[[], None]
    terms: Terms


@dataclass
class _Kind:
    """Steps of one kind: how many there were, in all and at these learning rates, what they draw, and their graph.

    It is `trusted` once a graph of the kind has agreed with single launches.
    """

    seen: int = 0
    seen_again: int = 0
    trusted: bool = False
    drawn: list[Draw] = field(default_factory=list)
    graph: Graph | None = None


class CapturedSteps:
    """Takes steps on a GPU: the first of a kind by single launches, the rest as graphs."""

    def __init__(
        self,
        device: torch.device,
        draws: Draws,
        optimisers: list[torch.optim.Optimizer],
        buffers: Callable[[], list[Tensor]],
    ) -> None:
        """`buffers` gives the tensors that steps change beside weights and moments."""
        self._draws, self._optimisers, self._buffers = draws, optimisers, buffers
        self._gpu = _Gpu(device)
        self._kinds: dict[Hashable, _Kind] = {}
        self._rates: list[float] = []
        self._can = True

    @property
    def graphs(self) -> int:
        """How many there are at the moment."""
        return sum(kind.graph is not None for kind in self._kinds.values())

    def take(self, step: Callable[[Inputs], Terms], inputs: Inputs, kind: Hashable) -> Terms:
        """What a step returns; its tensors are the next step's as well, and to be used before it.

        Args:
            step: changes nothing but tensors on the device, and draws its random numbers from `draws`.
            inputs: a dataclass of tensors, or None.
            kind: equal of two steps whose computation differs by the values of the inputs alone.
        """
        self._follow_rates()
        shapes = [None if each is None else (each.shape, each.dtype) for each in _tensors(inputs)]
        known = self._kinds.setdefault((kind, *shapes), _Kind())
        known.seen += 1
        known.seen_again += 1
        if known.graph is None and self._can and known.seen > LAUNCHED and known.seen_again >= SEEN_AGAIN:
            self._capture(step, inputs, known)
        if known.graph is None:
            with self._draws.noted() as known.drawn:
                return self._gpu.launched(lambda: step(inputs))
        self._fill(known.graph, inputs)
        if not known.trusted:
            return self._compare(step, known, known.graph)
        known.graph.replay()
        return known.graph.terms

    def forget(self) -> None:
        """The tensors that steps change are others now, as after a state was loaded."""
        self._drop_graphs()
        self._kinds = {}

    def _follow_rates(self) -> None:
        """A graph holds the learning rates that it was captured with."""
        rates = [float(group["lr"]) for optimiser in self._optimisers for group in optimiser.param_groups]
        if rates != self._rates:
            self._drop_graphs()
            self._rates = rates

    def _drop_graphs(self) -> None:
        for kind in self._kinds.values():
            kind.graph, kind.seen_again = None, 0
        self._give_up_gradients()
        self._gpu.end_pool()

    def _compared_bytes(self) -> int:
        """What `_compare` holds beside a launched step: all that changes, as it was, and weights after the replay."""
        groups = self._changing()
        held = [each for tensors in groups.values() for each in tensors]
        return sum(each.nbytes for each in [*held, *held, *_moments(self._optimisers)])

    def _give_up_gradients(self) -> None:
        """They lie in the memory of graphs."""
        for optimiser in self._optimisers:
            optimiser.zero_grad(set_to_none=True)

    def _fill(self, graph: Graph, inputs: Any) -> None:
        """Give a graph the values of the next step."""
        with torch.no_grad():  # also where the step asks for an input's gradient
            for there, given in zip(_tensors(graph.inputs), _tensors(inputs), strict=True):
                if there is not None and given is not None:
                    send_into(there, given)
        self._draws.draw_into(graph.places)

    def _compare(self, step: Callable[[Inputs], Terms], kind: _Kind, graph: Graph) -> Terms:
        """Take a step as a graph and by single launches, from the same state; the second counts.

        Where they disagree, graphs are given up.
        """
        changing, moments = self._changing(), _moments(self._optimisers)
        before, moments_before = copied(changing), copies(moments)
        random = self._gpu.random_state()
        graph.replay()
        replayed = Outcome.of(graph.terms, changing)
        for name, tensors in changing.items():
            put_back(tensors, before[name])
        put_back(moments, moments_before)
        self._gpu.set_random_state(random)
        with self._draws.from_places(graph.places):
            terms = self._gpu.launched(lambda: step(graph.inputs))
        difference = replayed.difference(Outcome.of(terms, changing), before)
        kind.trusted = not difference
        self._give_up_gradients()
        self._gpu.release()
        if difference:
            self._launch_from_now_on(f"computes something else ({difference})")
        return terms

    def _changing(self) -> Groups:
        """All that steps change but moments, which weights follow; counts by themselves, as they outweigh the rest."""
        buffers = self._buffers()
        weights = {f"weights of optimiser {n}": weights_of(each) for n, each in enumerate(self._optimisers, start=1)}
        return weights | {
            "buffers": [each for each in buffers if each.is_floating_point()],
            "counts": [each for each in buffers if not each.is_floating_point()],
        }

    def _launch_from_now_on(self, reason: str) -> None:
        print(f"warning: the graph of a step {reason}; steps are launched one by one, slower.", file=sys.stderr)
        self._can = False
        self._drop_graphs()

    def _capture(self, step: Callable[[Inputs], Terms], inputs: Inputs, kind: _Kind) -> None:
        """Capture a kind of step, unless its graph does not fit into memory beside what is there."""
        own = type(inputs)(*(None if each is None else self._gpu.room(each) for each in _tensors(inputs)))
        places = self._draws.places(kind.drawn)
        self._give_up_gradients()
        try:
            with self._draws.from_places(places):
                replay, terms = self._gpu.captured(lambda: step(own), spare_bytes=self._compared_bytes())
        except RuntimeError as error:
            too_large = isinstance(error, torch.OutOfMemoryError)
            self._launch_from_now_on("does not fit into memory" if too_large else f"failed ({_root_of(error)})")
            return
        kind.graph = Graph(own, places, replay, terms)


class _Gpu:
    """A GPU on which steps are launched, or captured, beside the stream that everything else runs on."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
        self._pool: Any = None  # the memory of all graphs, which are never replayed at the same time

    def room(self, values: Tensor) -> Tensor:
        """A tensor of the same shape and type."""
        return torch.empty_like(values, device=self._device)

    def random_state(self) -> Tensor:
        """Of PyTorch's generator of the GPU, which dropout draws from."""
        return torch.cuda.get_rng_state(self._device)

    def set_random_state(self, state: Tensor) -> None:
        """Go on from it."""
        torch.cuda.set_rng_state(state, self._device)

    def end_pool(self) -> None:
        """Graphs of the pool are gone: PyTorch gives it up with the last one, and takes no more into it."""
        self._pool = None

    def launched(self, work: Work) -> Terms:
        """On the stream that graphs are captured on: gradients are bound to the stream that first made them."""
        now = torch.cuda.current_stream(self._device)
        self._stream.wait_stream(now)
        with torch.cuda.stream(self._stream):
            terms = work()
        now.wait_stream(self._stream)
        return terms

    def release(self) -> None:
        """Give back memory that nothing uses."""
        torch.cuda.empty_cache()

    def captured(self, work: Work, spare_bytes: int) -> tuple[Callable[[], None], Terms]:
        """The work as a graph: what replays it, and where it leaves its results.

        Args:
            work: launches kernels.
            spare_bytes: that must be left beside the graph and the same step launched.

        Raises:
            torch.OutOfMemoryError: it does not fit, or leaves too little for the same step beside it, which may have to
                be launched with another batch.
        """
        now = torch.cuda.current_stream(self._device)
        torch.cuda.empty_cache()
        before = torch.cuda.memory_reserved(self._device)
        graph = torch.cuda.CUDAGraph()
        try:
            with torch.cuda.graph(graph, pool=self._pool, stream=self._stream, capture_error_mode="thread_local"):
                terms = work()
        except RuntimeError:
            torch.cuda.set_stream(now)  # PyTorch leaves its own where a capture fails
            self._end_failed_capture()
            raise
        taken = torch.cuda.memory_reserved(self._device) - before
        if torch.cuda.mem_get_info(self._device)[0] < taken + spare_bytes:
            raise torch.OutOfMemoryError("a graph leaves too little memory for single launches")
        self._pool = graph.pool()
        return graph.replay, terms

    def _end_failed_capture(self) -> None:
        """Let the random numbers of launched steps go on.

        Before 2.13 PyTorch's generator takes a capture that has failed for one that goes on, until another has ended.
        """
        with suppress(RuntimeError), torch.cuda.graph(torch.cuda.CUDAGraph(), stream=self._stream):
            torch.zeros((), device=self._device)


def _tensors(inputs: Any) -> list[Tensor | None]:
    return [getattr(inputs, each.name) for each in fields(inputs)]


def _moments(optimisers: list[torch.optim.Optimizer]) -> list[Tensor]:
    states = [state for optimiser in optimisers for state in optimiser.state.values()]
    return [value for state in states for value in state.values() if isinstance(value, Tensor)]


def _root_of(error: BaseException) -> BaseException:
    """What went wrong at first: a capture that is broken off ends with an error that says no more than that."""
    while error.__context__ is not None:
        error = error.__context__
    return error
