"""The published code run beside ours: same weights, batches, options and draws, without dropout."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass

import pytest
import torch
from cases import CASES, STEPS, batch_of, double_precision, settings_of
from published import (
    copy_weights,
    needs_published,
    networks_of,
    our_losses,
    our_step,
    published_losses,
    published_model,
    published_names,
    published_step,
)

from txm2sem_core.training.steps import Learner

pytestmark = needs_published
TOLERANCE = 1e-4
CPU = torch.device("cpu")


@dataclass
class Differences:
    """Greatest differences over three steps."""

    losses: float = 0.0  # relative to 1, or to the loss where it is larger
    weights: float = 0.0
    outputs: float = 0.0  # of both generators on the last batch, in [-1, 1]


def compare(case: str, count: int, seed: int = 3) -> Differences:
    settings = settings_of(case)
    model = published_model(settings, seed)
    learner = Learner(settings, 0, CPU)
    learner.generator.train()
    networks = networks_of(learner, model)
    for ours, theirs in networks:
        copy_weights(ours, theirs, to_ours=True)
    found = Differences()
    for step in range(STEPS):
        batch = batch_of(settings, step, count)
        torch.manual_seed(step)  # the published draws are of the global generator, ours of the learner's own
        learner.noise.manual_seed(step)
        published_step(model, batch)
        expected = published_losses(settings.family, model)
        losses = our_losses(settings.family, our_step(learner, batch))
        found.losses = max(found.losses, *(abs(losses[t] - v) / max(1.0, abs(v)) for t, v in expected.items()))
    for ours, theirs in networks:
        for key, name in published_names(ours, theirs).items():
            change = float((ours.state_dict()[key].double() - theirs.state_dict()[name].double()).abs().max())
            found.weights = max(found.weights, change)
    with torch.no_grad():
        found.outputs = float((learner.generator(batch.txm) - model.netG(batch.txm)).abs().max())
    return found


@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize("case", CASES)
def test_three_steps(case: str, count: int) -> None:
    """Without the Jacobian penalty in float32; with it, whose sums are taken in another order, in float64."""
    penalised = bool(settings_of(case).z_penalty.weights)
    with double_precision() if penalised else nullcontext():
        found = compare(case, count)
    print(  # the rows of the table in docs/agreement.md: pytest -s
        f"| {case} | {count} | {found.losses:.1e} | {found.weights:.1e} | {found.outputs:.1e} |"
    )
    assert max(found.losses, found.weights, found.outputs) < TOLERANCE
    if not penalised:  # the same operations in the same order
        assert (found.losses, found.weights, found.outputs) == (0, 0, 0)
