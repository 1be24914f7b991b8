"""Three steps of ours against numbers that the published code gave; `record.py` has made them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from cases import batch_of, double_precision, settings_of
from published import our_losses, our_step
from recording import RECORDED, fill_by_formula, sums_of

from txm2sem_core.training.steps import Learner

NUMBERS = json.loads((Path(__file__).parent / "recorded.json").read_text())["cases"]
TOLERANCE = 1e-6


def test_the_numbers_are_of_the_cases() -> None:
    assert tuple(NUMBERS) == RECORDED


@pytest.mark.parametrize("case", RECORDED)
def test_three_steps_as_recorded(case: str) -> None:
    with double_precision():
        compare(case)


def compare(case: str) -> None:
    settings = settings_of(case)
    learner = Learner(settings, 0, torch.device("cpu"))
    learner.generator.train()
    networks = [network for network in (learner.generator, learner.discriminator) if network is not None]
    for network in networks:
        fill_by_formula(network)
    for step, expected in enumerate(NUMBERS[case]):
        learner.noise.manual_seed(step)
        losses = our_losses(settings.family, our_step(learner, batch_of(settings, step)))
        assert losses == pytest.approx(expected["losses"], rel=TOLERANCE, abs=TOLERANCE)
        for network, weights in zip(networks, expected["weights"], strict=True):
            found = sums_of(network)
            assert found.keys() == weights.keys()
            for key, sums in weights.items():
                size = dict(network.named_parameters())[key].numel()
                # a sum over n weights that agree to the tolerance each
                assert found[key] == pytest.approx(sums, abs=TOLERANCE * size**0.5), (key, step)
