"""Three steps of ours against what the published code gave: same weights, batches, options and draws, no dropout.

`record.py` has made the numbers; `test_with_the_published_code.py` runs the code itself beside them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest
import torch
from cases import CASES, STEPS, batch_of, double_precision, settings_of
from configurations import name_of
from published import our_losses, our_step
from recording import RUNS, STEPS_FILE, Sums, fill_by_formula, gradients_of, summary_of, sums_of

from txm2sem_core.acceleration import winograd
from txm2sem_core.families import learner_of

RECORD: dict[str, Any] = json.loads(STEPS_FILE.read_text())["steps"]
TOLERANCE = 1e-6  # on another processor; see docs/evidence/agreement.md


def test_the_numbers_are_of_the_cases() -> None:
    assert list(RECORD) == [name_of(run) for run in RUNS]


@pytest.mark.parametrize(("case", "count"), RUNS)
def test_three_steps_as_recorded(case: str, count: int) -> None:
    with double_precision():
        compare(case, count)


@pytest.mark.parametrize("case", [case for case in CASES if "resnet" in settings_of(case).generator.name])
def test_three_steps_with_fewer_products_as_recorded(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The convolutions that are computed so where a layer has many channels, in all layers of these narrow networks."""
    monkeypatch.setattr(winograd, "products_keep_up", lambda: True)
    monkeypatch.setattr(winograd, "FEWEST_PIXELS", 0)
    monkeypatch.setattr(winograd, "FEWEST_CHANNELS", 0)
    with double_precision():
        compare(case, 2)


def compare(case: str, count: int) -> None:
    expected = RECORD[name_of((case, count))]
    settings = settings_of(case)
    learner = learner_of(settings, 0, torch.device("cpu"))
    learner.generator.train()
    networks = [network for network in (learner.generator, learner.discriminator) if network is not None]
    for network in networks:
        fill_by_formula(network.state_dict())
    for step in range(STEPS):
        batch = batch_of(settings, step, count)
        learner.noise.manual_seed(step)
        losses = our_losses(settings.family, our_step(learner, batch))
        assert losses == pytest.approx(expected["losses"][step], rel=TOLERANCE, abs=TOLERANCE)
        for network, sums in zip(networks, expected["weights"][step], strict=True):
            sizes = {key: weight.numel() ** 0.5 for key, weight in network.named_parameters()}
            same(sums_of(network.state_dict()), sums, sizes)  # sums over n weights that agree to the tolerance each
        if step == 0:
            for network, optimiser, sums in zip(networks, learner.optimisers, expected["gradients"], strict=True):
                magnitudes = {key: max(1e-3, summed) for key, (_, summed) in sums.items()}
                same(sums_of(gradients_of(network, optimiser)), sums, magnitudes)
    with torch.no_grad():
        output = summary_of(learner.generator(batch.txm))
    assert output[2:] == pytest.approx(expected["output"][2:], abs=TOLERANCE)
    assert output[:2] == pytest.approx(expected["output"][:2], rel=TOLERANCE, abs=TOLERANCE * batch.sem.numel() ** 0.5)


def same(found: Sums, expected: Mapping[str, list[float]], scales: Mapping[str, float]) -> None:
    """To the tolerance times a scale for each layer."""
    assert found.keys() == expected.keys()
    for key, sums in expected.items():
        assert found[key] == pytest.approx(sums, abs=TOLERANCE * scales[key]), key
