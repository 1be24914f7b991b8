"""The published code itself beside ours, weight by weight, and beside the record of it: all that needs its checkouts.

What needs none is compared with the record: `test_agreement.py`, `test_published_networks.py`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

import pytest
import torch
from cases import CASES, STEPS, batch_of, double_precision, settings_of
from configurations import DISCRIMINATORS, GENERATORS, POLICIES, STARTS, name_of
from published import (
    VARIABLES,
    copy_weights,
    is_there,
    networks_of,
    our_losses,
    our_step,
    published_losses,
    published_model,
    published_names,
    published_step,
)
from record import discriminator_of, generator_of, rates_of, start_of, steps_of
from recording import NETWORKS_FILE, STEPS_FILE
from test_options import RECORDED as OPTIONS
from test_options import published_options

from txm2sem_core.acceleration import winograd
from txm2sem_core.families import learner_of

if not is_there():
    pytest.skip(f"set {' and '.join(VARIABLES)} to run the published code", allow_module_level=True)
TOLERANCE = 1e-8  # of float64
CPU = torch.device("cpu")


@dataclass
class Differences:
    """Greatest differences over three steps."""

    losses: float = 0.0  # relative to 1, or to the loss where it is larger
    weights: float = 0.0
    outputs: float = 0.0  # of both generators on the last batch, in [-1, 1]


def compare(case: str, count: int, seed: int = 3, *, accelerate: bool = True) -> Differences:
    """Three steps, with or without the layers, layouts and optimiser that are fast on a CPU."""
    settings = settings_of(case)
    settings = settings.model_copy(update={"compute": settings.compute.model_copy(update={"accelerate": accelerate})})
    model = published_model(settings, seed)
    learner = learner_of(settings, 0, CPU)
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
    print(  # the rows of the table in docs/evidence/agreement.md: pytest -s
        f"| {case} | {count} | {found.losses:.1e} | {found.weights:.1e} | {found.outputs:.1e} |"
    )
    assert max(found.losses, found.weights, found.outputs) < TOLERANCE


@pytest.mark.parametrize("case", [case for case in CASES if "resnet" in settings_of(case).generator.name])
def test_three_steps_with_fewer_products(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The convolutions that are computed so where a layer has many channels, in all layers of these narrow networks."""
    monkeypatch.setattr(winograd, "products_keep_up", lambda: True)
    monkeypatch.setattr(winograd, "FEWEST_PIXELS", 0)
    monkeypatch.setattr(winograd, "FEWEST_CHANNELS", 0)
    with double_precision():
        found = compare(case, 2)
    assert max(found.losses, found.weights, found.outputs) < TOLERANCE


@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize("case", [case for case in CASES if not settings_of(case).z_penalty.weights])
def test_the_same_operations_in_the_same_order_give_the_same_bits(case: str, count: int) -> None:
    """In float32; not with the Jacobian penalty, whose sums are taken in another order."""
    found = compare(case, count, accelerate=False)
    assert (found.losses, found.weights, found.outputs) == (0, 0, 0)


@pytest.mark.parametrize(
    "case", ["feedforward penalty", "pix2pix wgangp, both penalties", "srcnn x4", "srgan x2 lsgan"]
)
def test_the_record_of_the_steps_is_what_the_code_gives(case: str) -> None:
    recorded = json.loads(STEPS_FILE.read_text())["steps"][name_of((case, 2))]
    with double_precision():
        found = steps_of(case, 2)
    assert _flat(found) == pytest.approx(_flat(recorded), rel=1e-6, abs=1e-6)


def test_the_record_of_the_networks_is_what_the_code_gives() -> None:
    recorded = json.loads(NETWORKS_FILE.read_text())
    for part, configurations, give in (
        ("generators", GENERATORS, generator_of),
        ("discriminators", DISCRIMINATORS, discriminator_of),
        ("starts", STARTS, start_of),
    ):
        for one in configurations:
            expected = recorded[part][name_of(one)]
            assert _flat(give(*one)) == pytest.approx(_flat(expected), rel=1e-6, abs=1e-9), one  # type: ignore[operator]
    for policy in POLICIES:
        assert rates_of(policy) == pytest.approx(recorded["rates"][policy])


def _flat(found: object) -> list[float]:
    if isinstance(found, dict):
        return [number for key in sorted(found) for number in _flat(found[key])]
    if isinstance(found, list | tuple):
        return [number for part in found for number in _flat(part)]
    assert isinstance(found, int | float)
    return [float(found)]


def test_the_options_are_those_of_the_published_code(monkeypatch: pytest.MonkeyPatch) -> None:
    assert json.loads(json.dumps(published_options(monkeypatch))) == OPTIONS
