"""Steps of every family, of which one is taken as a graph and by single launches, from the same state.

Without a GPU a graph is the step itself, taken again from the graph's tensors. So both must leave the same, and the
training must go on as if the graph had never been tried: nothing that a step changes may be left out.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from seeded_draws import KnownPlaces
from torch import Tensor
from training_cases import STEPS, batch_of, settings_of

from txm2sem_core.acceleration import captured
from txm2sem_core.acceleration.captured import LAUNCHED, CapturedSteps
from txm2sem_core.acceleration.outcome import copies, put_back
from txm2sem_core.config import TrainSettings
from txm2sem_core.families import learner_of
from txm2sem_core.families.learner import Learner

Terms = dict[str, Tensor]
STEPS_TAKEN = 2 * (LAUNCHED + 1)  # of two kinds in turn, where a critic has steps of its own


class Again:
    """A stand-in for a GPU, whose graphs take the step again."""

    changing: Callable[[], list[Tensor]]
    draws: KnownPlaces

    def __init__(self, device: torch.device) -> None:
        self.room, self.random_state, self.set_random_state = torch.zeros_like, torch.get_rng_state, torch.set_rng_state

    def end_pool(self) -> None:
        pass

    def launched(self, work: Callable[[], Terms]) -> Terms:
        return work()

    def release(self) -> None:
        pass

    def captured(self, work: Callable[[], Terms], spare_bytes: int) -> tuple[Callable[[], None], Terms]:
        """Leaves everything as it was, as a capture does."""
        random, changing = torch.get_rng_state(), Again.changing()
        before = copies(changing)
        terms, places = work(), Again.draws.last
        put_back(changing, before)
        torch.set_rng_state(random)

        def replay() -> None:
            with Again.draws.from_places(places):
                for name, value in work().items():
                    terms[name].data.copy_(value)

        return replay, terms


def tensors_in(state: Any) -> list[Tensor]:
    if isinstance(state, Tensor):
        return [state]
    values = state.values() if isinstance(state, dict) else state if isinstance(state, list) else []
    return [each for value in values for each in tensors_in(value)]


def ready(settings: TrainSettings) -> Learner:
    torch.manual_seed(0)
    learner = learner_of(settings, 0, torch.device("cpu"))
    learner.generator.train()
    return learner


def train(learner: Learner) -> list[Terms]:
    found = []
    for number in range(STEPS_TAKEN):
        random = torch.get_rng_state()
        torch.manual_seed(100 + number)
        batch = batch_of(learner.settings)
        torch.set_rng_state(random)
        update = (number + 1) % learner.settings.critic_steps == 0 or learner.discriminator is None
        found.append({name: term.clone() for name, term in learner.step(batch, update).items()})
    return found


@pytest.mark.parametrize("case", STEPS)
def test_a_step_that_is_compared_leaves_what_one_step_leaves(
    case: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(captured, "_Gpu", Again)
    settings = settings_of(case.partition(",")[0], **STEPS[case])
    plain = ready(settings)
    expected, random = train(plain), torch.get_rng_state()

    learner = ready(settings)
    learner.draws = KnownPlaces(learner.noise, learner.device)
    monkeypatch.setattr(Again, "draws", learner.draws, raising=False)
    parts = [learner.generator, *([learner.discriminator] if learner.discriminator is not None else [])]
    monkeypatch.setattr(
        Again,
        "changing",
        lambda: [*tensors_in([part.state_dict() for part in [*parts, *learner.optimisers]]), learner.mean_shift],
        raising=False,
    )
    learner._captured = CapturedSteps(learner.device, learner.draws, learner.optimisers, learner._buffers)
    found = train(learner)

    assert capsys.readouterr().err == ""
    assert learner._captured.graphs > 0
    for ours, theirs in zip(found, expected, strict=True):
        for name, term in theirs.items():
            assert torch.equal(ours[name], term), name
    ours, theirs = tensors_in(learner.state_dict()), tensors_in(plain.state_dict())
    assert all(torch.equal(a, b) for a, b in zip(ours, theirs, strict=True))
    assert torch.equal(torch.get_rng_state(), random)
