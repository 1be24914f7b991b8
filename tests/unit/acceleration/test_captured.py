"""Steps that are taken as graphs, by a stand-in for the GPU that keeps the rules of one.

A graph computes with the tensors that it was captured with, and writes to all memory that was taken while it was. So
does the stand-in: it replays what was captured with these tensors, and spoils before each replay what was made within
the capture. `test_gpu_path` compares real graphs where a GPU is there.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from seeded_draws import KnownPlaces, draws
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from txm2sem_core.acceleration import captured
from txm2sem_core.acceleration.captured import LAUNCHED, CapturedSteps
from txm2sem_core.acceleration.draws import Draw, Draws
from txm2sem_core.acceleration.outcome import Outcome, copies, put_back

Terms = dict[str, Tensor]


@dataclass(frozen=True)
class Given:
    x: Tensor
    mask: Tensor | None = None


class Making(TorchDispatchMode):
    """Collects every tensor that is made within it."""

    def __init__(self) -> None:
        super().__init__()
        self.made: list[Tensor] = []

    def __torch_dispatch__(self, function: Any, types: Any, arguments: Any = (), options: Any = None) -> Any:
        made = function(*arguments, **(options or {}))
        known = {each.untyped_storage().data_ptr() for each in arguments if isinstance(each, Tensor)}
        if isinstance(made, Tensor) and made.untyped_storage().data_ptr() not in known:
            self.made.append(made)
        return made


class StandIn:
    """Counts what is launched and captured."""

    last: StandIn

    def __init__(self, device: torch.device) -> None:
        self.launches, self.captures, self.pools = 0, 0, 0
        self.error: RuntimeError | None = None
        self.fault: Callable[[Terms], None] = lambda terms: None  # after a replay
        StandIn.last = self

    def room(self, values: Tensor) -> Tensor:
        return torch.full_like(values, torch.nan)  # nobody has written there yet

    def random_state(self) -> Tensor:
        return torch.get_rng_state()

    def set_random_state(self, state: Tensor) -> None:
        torch.set_rng_state(state)

    def end_pool(self) -> None:
        self.pools += 1

    def launched(self, work: Callable[[], Terms]) -> Terms:
        self.launches += 1
        return work()

    def release(self) -> None:
        pass

    def captured(self, work: Callable[[], Terms], spare_bytes: int) -> tuple[Callable[[], None], Terms]:
        if self.error is not None:
            raise self.error
        self.captures += 1
        learning = Learning.own
        before, random = copies(learning.changing), torch.get_rng_state()
        with Making() as making:
            terms = work()
        put_back(learning.changing, before)  # nothing is computed while a graph is captured
        torch.set_rng_state(random)
        places = learning.draws.last

        def replay() -> None:
            for each in making.made:
                if each.is_floating_point():
                    each.detach().fill_(torch.nan)
            with learning.draws.from_places(places), torch.no_grad():
                for name, value in work().items():
                    terms[name].copy_(value)
                self.fault(terms)

        return replay, terms


class Learning:
    """One weight that follows noisy data with dropout, by gradient descent."""

    own: Learning

    def __init__(self, rate: float = 0.1) -> None:
        self.weight = torch.nn.Parameter(torch.zeros(()))
        self.optimiser = torch.optim.SGD([self.weight], lr=rate, momentum=0.9)
        self.draws = KnownPlaces(draws(5).generator, torch.device("cpu"))
        self.steps_taken = torch.zeros(())
        torch.manual_seed(7)
        Learning.own = self

    @property
    def changing(self) -> list[Tensor]:
        moments = [state["momentum_buffer"] for state in self.optimiser.state.values()]
        return [self.weight, *moments, self.steps_taken]

    def step(self, given: Given) -> Terms:
        with torch.enable_grad():
            given.x.requires_grad_()  # as a penalty on the input's gradient does
            seen = self.weight * given.x  # memory that is free again where the noise is asked for
            seen = torch.nn.functional.dropout(seen, 0.2)
            loss = (seen - 1 + 0.1 * self.draws.normal(given.x.shape)).square().mean()
            self.optimiser.zero_grad()
            torch.autograd.backward(loss)
            self.optimiser.step()
            self.steps_taken.add_(1)
        return {"loss": loss.detach()}


@pytest.fixture(autouse=True)
def stand_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(captured, "_Gpu", StandIn)


def batches(count: int, side: int = 4) -> list[Given]:
    rng = torch.Generator().manual_seed(1)
    return [Given(torch.rand((2, 1, side, side), generator=rng)) for _ in range(count)]


def steps_of(learning: Learning) -> CapturedSteps:
    return CapturedSteps(torch.device("cpu"), learning.draws, [learning.optimiser], lambda: [learning.steps_taken])


def losses(learning: Learning, given: list[Given], steps: CapturedSteps | None = None) -> list[float]:
    found = []
    for each in given:
        terms = learning.step(each) if steps is None else steps.take(learning.step, each, "all")
        found.append(float(terms["loss"]))
    return found


def check_launched_throughout(plain: Learning, taken: Learning, steps: CapturedSteps) -> None:
    """Graphs were tried and given up: the losses are those of single launches."""
    torch.manual_seed(7)
    expected = losses(plain, batches(9))
    torch.manual_seed(7)
    assert losses(taken, batches(9), steps) == pytest.approx(expected, rel=1e-6)
    assert steps.graphs == 0


def test_graphs_learn_what_launched_steps_learn() -> None:
    """Each replay has its own batch and its own noise, in the order in which launched steps would draw it."""
    plain = Learning()
    expected = losses(plain, batches(12))
    taken = Learning()
    found = losses(taken, batches(12), steps_of(taken))
    assert found == pytest.approx(expected, rel=1e-6)
    assert taken.weight.item() == pytest.approx(plain.weight.item(), rel=1e-6)
    assert (StandIn.last.launches, StandIn.last.captures) == (LAUNCHED + 1, 1)  # one is compared


def test_batches_of_other_shapes_are_steps_of_another_kind() -> None:
    learning = Learning()
    steps = steps_of(learning)
    for whole, part in zip(batches(8), batches(8, side=3), strict=True):
        losses(learning, [whole, part], steps)
    assert (StandIn.last.launches, StandIn.last.captures) == (2 * LAUNCHED + 2, 2)


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
    assert (StandIn.last.launches, StandIn.last.captures) == (2 * LAUNCHED + 2, 2)


def test_graphs_leave_everything_as_launched_steps_do() -> None:
    """Moments, counts and random states too, though one step was taken both ways."""
    plain, taken = Learning(), Learning()
    losses(plain, batches(9))
    expected = [*copies(plain.changing), torch.get_rng_state()]
    torch.manual_seed(7)
    losses(taken, batches(9), steps_of(taken))
    for found, wanted in zip([*taken.changing, torch.get_rng_state()], expected, strict=True):
        assert torch.allclose(found, wanted, rtol=1e-6)


def spoilt_losses(terms: Terms) -> None:
    terms["loss"].mul_(1.2)


def spoilt_weights(terms: Terms) -> None:
    weight = Learning.own.weight
    weight.data.add_(weight.sign())


def no_number(terms: Terms) -> None:
    Learning.own.weight.data.fill_(torch.nan)


def lost_buffers(terms: Terms) -> None:
    Learning.own.steps_taken.sub_(1)


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (spoilt_losses, "loss "),
        (spoilt_weights, "weights of optimiser 1 that are"),
        (no_number, "weights of optimiser 1 that are"),
        (lost_buffers, "buffers that are 100% of their change apart"),
    ],
)
def test_a_graph_that_computes_something_else_is_given_up(
    fault: Callable[[Terms], None], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """What it did is undone; training goes on as if there had been none."""
    plain, taken = Learning(), Learning()
    steps = steps_of(taken)
    StandIn.last.fault = fault
    check_launched_throughout(plain, taken, steps)
    told = capsys.readouterr().err
    assert told.count("warning: the graph of a step computes something else") == 1
    assert said in told


@pytest.mark.parametrize("left_out", ["a", "b"])
def test_few_weights_that_do_not_learn_are_not_hidden_by_many(left_out: str) -> None:
    before = {"a": [torch.zeros(1000)], "b": [torch.zeros(10)]}
    expected = Outcome({}, {"a": [torch.full((1000,), 0.1)], "b": [torch.full((10,), 0.1)]})
    found = Outcome({}, {**expected.changed, left_out: before[left_out]})
    assert found.difference(expected, before) == f"{left_out} that are 100% of their change apart"
    assert expected.difference(expected, before) == ""


def test_rounding_of_a_few_small_gradients_is_no_difference() -> None:
    """Adam takes whole steps by gradients of any size, so that rounding turns the sign of steps without a reason."""
    before = {"weights": [torch.zeros(1000)]}
    expected = Outcome({"loss": torch.tensor(0.1)}, {"weights": [torch.full((1000,), 0.1)]})
    turned = expected.changed["weights"][0].clone()
    turned[:50] *= -1
    found = Outcome({"loss": torch.tensor(0.102)}, {"weights": [turned]})
    assert found.difference(expected, before) == ""


def test_the_first_error_of_a_broken_capture_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    learning = Learning()
    steps = steps_of(learning)
    broken = RuntimeError("operation failed due to a previous error during capture")
    broken.__context__ = ValueError("a wait for the device")
    StandIn.last.error = broken
    losses(learning, batches(6), steps)
    assert "failed (a wait for the device)" in capsys.readouterr().err


def test_graphs_of_a_kind_are_compared_once() -> None:
    learning = Learning()
    steps = steps_of(learning)
    for rate in (0.1, 0.01, 0.001):
        learning.optimiser.param_groups[0]["lr"] = rate
        losses(learning, batches(6), steps)
    assert StandIn.last.captures == 3
    assert StandIn.last.launches == LAUNCHED + 1 + 2  # and one at each new rate, see SEEN_AGAIN


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
    plain, taken = Learning(), Learning()
    steps = steps_of(taken)
    StandIn.last.error = error
    check_launched_throughout(plain, taken, steps)
    told = capsys.readouterr().err
    assert told.count("warning") == 1
    assert said in told


def test_a_kind_that_comes_once_between_two_rates_is_launched() -> None:
    """As the last batch of an epoch, which is smaller: to capture it anew each time would cost more than it saves."""
    learning = Learning()
    steps = steps_of(learning)
    for epoch in range(8):
        learning.optimiser.param_groups[0]["lr"] = 0.1 / (1 + epoch)
        losses(learning, [*batches(3), *batches(1, side=3)], steps)
    assert StandIn.last.captures == 7  # of whole batches, from the second epoch on
    assert steps.graphs == 1


def test_memory_of_graphs_ends_with_them() -> None:
    """A pool that PyTorch has given up takes no graph; gradients that lie in it would keep it."""
    learning = Learning()
    steps = steps_of(learning)
    losses(learning, batches(6), steps)
    learning.weight.grad = torch.ones(())
    pools = StandIn.last.pools
    steps.forget()
    assert StandIn.last.pools == pools + 1
    assert steps.graphs == 0
    assert learning.weight.grad is None


def test_draws_into_places_are_the_same_numbers() -> None:
    def step(source: Draws) -> list[Tensor]:
        return [source.normal((2, 3)), source.uniform((4,)), source.signs((5, 1))]

    one, other = draws(3), draws(3)
    with one.noted() as noted:
        expected = step(one)
    places = other.places([Draw(getattr(other, each.draw.__name__), each.shape) for each in noted])
    with other.from_places(places):
        found = step(other)
    other.draw_into(places)
    assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))
    assert set(expected[2].flatten().tolist()) <= {-1.0, 1.0}
    assert torch.equal(one.normal((7,)), other.normal((7,)))


def test_a_step_that_draws_other_numbers_than_the_one_before_is_told() -> None:
    source = draws()
    with source.noted() as noted:
        source.normal((2, 3))
    with source.from_places(source.places(noted)), pytest.raises(RuntimeError, match="earlier one of its kind drew"):
        source.normal((2, 4))
