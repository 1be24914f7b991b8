"""Run the published code and write what it gives to recorded.json and networks.json.

    TXM2SEM_PUBLISHED=... TXM2SEM_JACOBIAN=... python tests/reference/record.py

It takes some minutes on one core. docs/evidence/agreement.md says which commits, and when.
"""

from __future__ import annotations

import datetime
import subprocess
from argparse import Namespace
from pathlib import Path
from typing import Any

import torch
from cases import STEPS, batch_of, double_precision, settings_of
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
from published import (
    VARIABLES,
    checkout,
    copy_weights,
    networks_of,
    published,
    published_losses,
    published_model,
    published_names,
    published_step,
)
from recording import (
    NETWORKS_FILE,
    RUNS,
    STEPS_FILE,
    fill_as_trained,
    fill_by_formula,
    gradients_of,
    rounded,
    summary_of,
    sums_of,
    write,
)
from torch import nn
from torch.optim.lr_scheduler import ReduceLROnPlateau

from txm2sem_core.families import learner_of


def steps_of(case: str, count: int) -> dict[str, Any]:
    """Losses and sums of weights after each step, gradients of the first, and what the trained generator gives."""
    settings = settings_of(case)
    model, carrier = published_model(settings, 0), learner_of(settings, 0, torch.device("cpu"))
    pairs = networks_of(carrier, model)
    for ours, theirs in pairs:
        fill_by_formula(ours.state_dict())
        copy_weights(ours, theirs, to_ours=False)
    found: dict[str, Any] = {"losses": [], "weights": []}
    for step in range(STEPS):
        batch = batch_of(settings, step, count)
        torch.manual_seed(step)
        published_step(model, batch)
        found["losses"].append({k: rounded([v])[0] for k, v in published_losses(settings.family, model).items()})
        found["weights"].append([sums_of(_by_our_names(*pair)) for pair in pairs])
        if step == 0:
            found["gradients"] = [
                sums_of(_by_our_names(ours, theirs, gradients_of(theirs, optimiser)))
                for (ours, theirs), optimiser in zip(pairs, model.optimizers, strict=True)
            ]
    with torch.no_grad():
        found["output"] = summary_of(model.netG(batch.txm))
    return found


def _by_our_names(ours: nn.Module, theirs: nn.Module, values: Any = None) -> dict[str, torch.Tensor]:
    values = theirs.state_dict() if values is None else values
    return {key: values[name] for key, name in published_names(ours, theirs).items() if name in values}


def network_of(theirs: nn.Module, x: torch.Tensor, gain: float) -> dict[str, Any]:
    """Keys and shapes of a checkpoint, and what the network gives in evaluation mode with weights by formula."""
    fill_as_trained(theirs.state_dict(), gain)
    shapes = {key: list(value.shape) for key, value in theirs.state_dict().items()}
    with torch.no_grad():
        return {"shapes": shapes, "output": summary_of(theirs.double().eval()(x))}


def generator_of(name: str, width: int, norm: str, dropout: bool, factor: int) -> dict[str, Any]:
    """`network_of` a generator."""
    theirs = published("models.networks").define_G(1, 1, width, name, norm, dropout, ds_fac=factor)
    return network_of(theirs, input_of(1, size_of(name, factor)), gain_of(name))


def discriminator_of(name: str, layers: int, width: int, norm: str) -> dict[str, Any]:
    """`network_of` a discriminator."""
    theirs = published("models.networks").define_D(2, width, name, layers, norm)
    return network_of(theirs, input_of(2, 128), gain_of(name))


def start_of(init: str, gain: float) -> list[dict[str, list[float]]]:
    """How a fresh generator's and discriminator's weights scatter."""
    torch.manual_seed(0)
    networks = published("models.networks")
    made = (
        networks.define_G(1, 1, 16, "resnet_9blocks", "batch", False, init, gain),
        networks.define_D(2, 32, "basic", 3, "batch", init, gain),
    )
    return [{key: rounded(values) for key, values in spread(one).items()} for one in made]


def rates_of(policy: str) -> list[float]:
    """The learning rate of each epoch."""
    names = {"niter": SCHEDULE["epochs"], "niter_decay": SCHEDULE["decay_epochs"]}
    asked = Namespace(lr_policy=policy, **names, epoch_count=1, lr_decay_iters=SCHEDULE["step_epochs"])
    optimiser = torch.optim.Adam([torch.zeros(1, requires_grad=True)], lr=0.01)
    scheduler = published("models.networks").get_scheduler(optimiser, asked)
    return rates(optimiser, scheduler, SCHEDULE["epochs"] + SCHEDULE["decay_epochs"])


def rates(optimiser: torch.optim.Optimizer, scheduler: Any, epochs: int) -> list[float]:
    """The rate of each epoch; `plateau` watches a constant."""
    found = []
    for _ in range(epochs):
        found.append(optimiser.param_groups[0]["lr"])
        optimiser.step()
        scheduler.step(0) if isinstance(scheduler, ReduceLROnPlateau) else scheduler.step()
    return rounded(found)


def about() -> dict[str, str]:
    """Of what this is the record."""
    commits = [
        subprocess.run(["git", "-C", checkout(name), "rev-parse", "HEAD"], capture_output=True, text=True, check=False)
        for name in VARIABLES
    ]
    found = [done.stdout.strip() or "not a repository" for done in commits]
    return {
        "published": found[0],
        "jacobian": found[1],
        "torch": torch.__version__.partition("+")[0],
        "date": datetime.date.today().isoformat(),
    }


def main() -> None:
    """Write both files."""
    with double_precision():
        steps = {name_of(run): steps_of(*run) for run in RUNS}
    write(STEPS_FILE, about(), {"steps": steps})
    parts = {
        "generators": {name_of(one): generator_of(*one) for one in GENERATORS},
        "discriminators": {name_of(one): discriminator_of(*one) for one in DISCRIMINATORS},
        "starts": {name_of(one): start_of(*one) for one in STARTS},
        "rates": {policy: rates_of(policy) for policy in POLICIES},
    }
    write(NETWORKS_FILE, about(), parts)
    for file in (STEPS_FILE, NETWORKS_FILE):
        print(f"{Path(file).name}: {file.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
