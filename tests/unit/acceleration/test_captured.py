"""Steps that are taken as graphs, by a stand-in for the GPU that keeps the rules of one.

A graph computes with the tensors that it was captured with. The stand-in does so too: what was captured is replayed
with these, and leaves its results where the first ones lay. `test_gpu_path` compares real graphs where a GPU is there.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest
import torch
from seeded_draws import draws
from torch import Tensor

from txm2sem_core.acceleration import captured
from txm2sem_core.acceleration.captured import LAUNCHED, CapturedSteps
from txm2sem_core.acceleration.draws import Draws

Terms = dict[str, Tensor]


@dataclass(frozen=True)
class Given:
    x: Tensor
    mask: Tensor | None = None


class StandIn:
    """Counts what is launched and captured."""

    def __init__(self, device: torch.device) -> None:
        self.launches, self.captures, self.error = 0, 0, None
        StandIn.last = self

    def room(self, values: Tensor) -> Tensor:
        return torch.full_like(values, torch.nan)  # nobody has written there yet

    def launched(self, work: Callable[[], Terms]) -> Terms:
        self.launches += 1
        return work()

    def captured(self, work: Callable[[], Terms]) -> tuple[Callable[[], None], Terms]:
        if self.error is not None:
            raise self.error
        self.captures += 1
        weights = [weight.detach().clone() for weight in Learning.all_weights]
        places = work()  # shapes alone: nothing is computed while a graph is captured
        for weight, before in zip(Learning.all_weights, weights, strict=True):
            weight.data.copy_(before)

        def replay() -> None:
            with torch.no_grad():
                held = iter(StandIn.held)
                for name, value in Learning.own.with_held(held, work).items():
                    places[name].copy_(value)

        return replay, places


class Learning:
    """One weight that follows noisy data, by gradient descent."""

    all_weights: list[Tensor]
    own: Learning

    def __init__(self, rate: float = 0.1) -> None:
        self.weight = torch.nn.Parameter(torch.zeros(()))
        self.optimiser = torch.optim.SGD([self.weight], lr=rate)
        self.draws = draws(5)
        Learning.all_weights, Learning.own = [self.weight], self
        self._replaying: object = None

    def step(self, given: Given) -> Terms:
        with torch.enable_grad():
            given.x.requires_grad_()  # as a penalty on the input's gradient does
            noise = self._held_noise() if self._replaying is not None else self.draws.normal(given.x.shape)
            loss = (self.weight * given.x - 1 + 0.1 * noise).square().mean()
            self.optimiser.zero_grad()
            torch.autograd.backward(loss)
            self.optimiser.step()
        return {"loss": loss.detach()}

    def _held_noise(self) -> Tensor:
        return next(self._replaying)  # type: ignore[call-overload, no-any-return]

    def with_held(self, held: object, work: Callable[[], Terms]) -> Terms:
        self._replaying = held
        try:
            return work()
        finally:
            self._replaying = None


@pytest.fixture(autouse=True)
def stand_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(captured, "_Gpu", StandIn)
    inner = Draws.draw_into

    def draw_into(self: Draws, held: list[tuple[Tensor, Callable[..., Tensor]]]) -> None:
        inner(self, held)
        StandIn.held = [place for place, _ in held]

    monkeypatch.setattr(Draws, "draw_into", draw_into)


def batches(count: int, side: int = 4) -> list[Given]:
    rng = torch.Generator().manual_seed(1)
    return [Given(torch.rand((2, 1, side, side), generator=rng)) for _ in range(count)]


def steps_of(learning: Learning) -> CapturedSteps:
    return CapturedSteps(torch.device("cpu"), learning.draws, [learning.optimiser])


def losses(learning: Learning, given: list[Given], steps: CapturedSteps | None = None) -> list[float]:
    found = []
    for each in given:
        terms = learning.step(each) if steps is None else steps.take(learning.step, each, "all")
        found.append(float(terms["loss"]))
    return found


def test_graphs_learn_what_launched_steps_learn() -> None:
    """Each replay has its own batch and its own noise, in the order in which launched steps would draw it."""
    plain = Learning()
    expected = losses(plain, batches(12))
    taken = Learning()
    found = losses(taken, batches(12), steps_of(taken))
    assert found == pytest.approx(expected, rel=1e-6)
    assert taken.weight.item() == pytest.approx(plain.weight.item(), rel=1e-6)
    assert (StandIn.last.launches, StandIn.last.captures) == (LAUNCHED, 1)


def test_batches_of_other_shapes_are_steps_of_another_kind() -> None:
    learning = Learning()
    steps = steps_of(learning)
    for whole, part in zip(batches(8), batches(8, side=3), strict=True):
        losses(learning, [whole, part], steps)
    assert (StandIn.last.launches, StandIn.last.captures) == (2 * LAUNCHED, 2)


def test_a_mask_that_is_there_or_not_makes_another_kind() -> None:
    learning = Learning()
    steps = steps_of(learning)
    one = batches(1)[0]
    for mask in (None, torch.ones_like(one.x)):
        losses(learning, [Given(one.x, mask)] * (LAUNCHED + 1), steps)
    assert StandIn.last.captures == 2


def test_another_learning_rate_is_followed_by_another_graph() -> None:
    def trained(as_graphs: bool) -> float:
        learning = Learning()
        steps = steps_of(learning) if as_graphs else None
        for rate in (0.1, 0.01):
            learning.optimiser.param_groups[0]["lr"] = rate
            losses(learning, batches(6), steps)
        return learning.weight.item()

    assert trained(as_graphs=True) == pytest.approx(trained(as_graphs=False), rel=1e-6)
    assert StandIn.last.captures == 2


def test_what_was_captured_is_forgotten_when_a_state_is_loaded() -> None:
    learning = Learning()
    steps = steps_of(learning)
    losses(learning, batches(6), steps)
    steps.forget()
    losses(learning, batches(6), steps)
    assert (StandIn.last.launches, StandIn.last.captures) == (2 * LAUNCHED, 2)


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (torch.OutOfMemoryError("CUDA out of memory"), "does not fit into memory"),
        (RuntimeError("operation not permitted when stream is capturing"), "operation not permitted"),
    ],
)
def test_where_a_graph_cannot_be_had_steps_are_launched(
    error: RuntimeError, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    plain = Learning()
    expected = losses(plain, batches(9))
    taken = Learning()
    steps = steps_of(taken)
    StandIn.last.error = error
    assert losses(taken, batches(9), steps) == pytest.approx(expected, rel=1e-6)
    told = capsys.readouterr().err
    assert told.count("warning") == 1
    assert said in told


def test_draws_are_the_same_numbers_held_or_not() -> None:
    one, other = draws(3), draws(3)
    expected = [one.normal((2, 3)), one.uniform((4,)), one.signs((5, 1))]
    with other.held() as held:
        found = [other.normal((2, 3)), other.uniform((4,)), other.signs((5, 1))]
    other.draw_into(held)
    assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))
    assert set(expected[2].flatten().tolist()) <= {-1.0, 1.0}
    assert torch.equal(one.normal((7,)), other.normal((7,)))
