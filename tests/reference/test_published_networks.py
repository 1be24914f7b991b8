"""Networks of many configurations as the published code has them: checkpoints in ours, starts, learning rates."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from configurations import (
    DISCRIMINATORS,
    GENERATORS,
    POLICIES,
    SCHEDULE,
    STARTS,
    gain_of,
    input_of,
    name_of,
    size_of,
    spread,
)
from record import rates
from recording import NETWORKS_FILE, fill_as_trained, summary_of

from txm2sem_core.checkpoint.reference import import_reference_weights
from txm2sem_core.config import ScheduleSettings
from txm2sem_core.networks import build_discriminator, build_generator
from txm2sem_core.training.schedules import build_scheduler

RECORD: dict[str, Any] = json.loads(NETWORKS_FILE.read_text())


def test_the_numbers_are_of_the_configurations() -> None:
    for part, configurations in (("generators", GENERATORS), ("discriminators", DISCRIMINATORS), ("starts", STARTS)):
        assert list(RECORD[part]) == [name_of(one) for one in configurations]
    assert tuple(RECORD["rates"]) == POLICIES


def imported(shapes: dict[str, list[int]], path: Path, gain: float) -> torch.nn.Module:
    """Our network of a checkpoint with the published keys and shapes, and weights by formula."""
    counted = {key: torch.int64 if key.endswith("num_batches_tracked") else torch.float32 for key in shapes}
    state = {key: torch.zeros(shape, dtype=counted[key]) for key, shape in shapes.items()}
    fill_as_trained(state, gain)
    torch.save(state, path)
    return import_reference_weights(path)[0].double()


def compare(recorded: dict[str, Any], path: Path, x: torch.Tensor, gain: float) -> None:
    with torch.no_grad():
        found = summary_of(imported(recorded["shapes"], path, gain)(x))
    assert found == pytest.approx(recorded["output"], rel=1e-7, abs=1e-7)


@pytest.mark.parametrize("configuration", GENERATORS, ids=name_of)
def test_a_published_generator_in_ours(tmp_path: Path, configuration: tuple[str, int, str, bool, int]) -> None:
    name = configuration[0]
    recorded, x = RECORD["generators"][name_of(configuration)], input_of(1, size_of(name, configuration[-1]))
    compare(recorded, tmp_path / "latest_net_G.pth", x, gain_of(name))


@pytest.mark.parametrize("configuration", DISCRIMINATORS, ids=name_of)
def test_a_published_discriminator_in_ours(tmp_path: Path, configuration: tuple[str, int, int, str]) -> None:
    recorded = RECORD["discriminators"][name_of(configuration)]
    compare(recorded, tmp_path / "latest_net_D.pth", input_of(2, 128), gain_of(configuration[0]))


@pytest.mark.parametrize(("init", "gain"), STARTS)
def test_networks_start_from_the_same_distribution(init: str, gain: float) -> None:
    made = (
        build_generator("resnet_9blocks", width=16, init=init, init_gain=gain, seed=0),
        build_discriminator("basic", in_channels=2, width=32, init=init, init_gain=gain, seed=0),
    )
    for ours, expected in zip(made, RECORD["starts"][name_of((init, gain))], strict=True):
        found = spread(ours)
        assert found["convolutions"] == pytest.approx(expected["convolutions"], rel=0.12)
        assert found["norms"] == pytest.approx(expected["norms"], rel=0.12)
        assert len(found["biases"]) == len(expected["biases"])
        assert max(found["biases"]) == max(expected["biases"]) == 0


@pytest.mark.parametrize("policy", POLICIES)
def test_the_rate_falls_alike(policy: str) -> None:
    """The published `plateau` watches a constant and falls every seventh epoch; ours is given the same here."""
    settings = ScheduleSettings(policy=policy, **SCHEDULE)
    optimiser = torch.optim.Adam([torch.zeros(1, requires_grad=True)], lr=0.01)
    found = rates(optimiser, build_scheduler(optimiser, settings), settings.total_epochs)
    assert found == pytest.approx(RECORD["rates"][policy][: settings.total_epochs], rel=1e-6)
