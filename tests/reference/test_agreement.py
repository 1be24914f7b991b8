"""The published code run beside ours: same weights, batches, options and draws, without dropout."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
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

from txm2sem_core.networks import products, resnet, srresnet, unet, winograd
from txm2sem_core.training import steps
from txm2sem_core.training.steps import Learner

pytestmark = needs_published
TOLERANCE = 1e-8  # of float64
CPU = torch.device("cpu")


@dataclass
class Differences:
    """Greatest differences over three steps."""

    losses: float = 0.0  # relative to 1, or to the loss where it is larger
    weights: float = 0.0
    outputs: float = 0.0  # of both generators on the last batch, in [-1, 1]


@contextmanager
def plain_order() -> Iterator[None]:
    """Sums in the order of the published code: without the layers, layouts and optimiser that are fast on a CPU."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(products, "as_written", lambda _: False)
        for module in (resnet, srresnet, unet):
            patch.setattr(module, "for_convolutions", lambda x: x)
        patch.setattr(resnet.ResNet, "channels_last_on_cpu", False)
        patch.setattr(srresnet.SRResNet, "channels_last_on_cpu", False)
        patch.setattr(steps, "Adam", torch.optim.Adam)
        yield


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
def test_three_steps_as_a_user_runs_them(case: str, count: int) -> None:
    """In float64, where the order of sums does not matter."""
    with double_precision():
        found = compare(case, count)
    print(  # the rows of the table in docs/agreement.md: pytest -s
        f"| {case} | {count} | {found.losses:.1e} | {found.weights:.1e} | {found.outputs:.1e} |"
    )
    assert max(found.losses, found.weights, found.outputs) < TOLERANCE


@pytest.mark.parametrize("case", [case for case in CASES if "resnet" in settings_of(case).generator.name])
def test_three_steps_with_fewer_products(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The convolutions that are computed so where a layer has many channels, in all layers of these narrow networks."""
    monkeypatch.setattr(winograd, "FEWEST_PIXELS", 0)
    monkeypatch.setattr(winograd, "FEWEST_CHANNELS", 0)
    with double_precision():
        found = compare(case, 2)
    assert max(found.losses, found.weights, found.outputs) < TOLERANCE


@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize("case", [case for case in CASES if not settings_of(case).z_penalty.weights])
def test_the_same_operations_in_the_same_order_give_the_same_bits(case: str, count: int) -> None:
    """In float32; not with the Jacobian penalty, whose sums are taken in another order."""
    with plain_order():
        found = compare(case, count)
    assert (found.losses, found.weights, found.outputs) == (0, 0, 0)
