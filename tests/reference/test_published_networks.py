"""Published networks of many configurations: their checkpoints in ours, how they start, and how their rate falls."""

from __future__ import annotations

from argparse import Namespace
from itertools import product
from pathlib import Path
from typing import Any

import pytest
import torch
from published import needs_published, published
from torch.optim.lr_scheduler import ReduceLROnPlateau

from txm2sem_core.checkpoint.reference import import_reference_weights
from txm2sem_core.config import ScheduleSettings
from txm2sem_core.networks import build_discriminator, build_generator
from txm2sem_core.training.schedules import build_scheduler

pytestmark = needs_published

NORMS = ("batch", "instance", "none")
# name, width, norm, dropout, factor
GENERATORS = [
    *product(["unet_128"], [2, 5], NORMS, [False, True], [1]),
    *product(["unet_256"], [2], ["batch", "instance"], [True], [1]),
    *product(["resnet_6blocks", "resnet_9blocks"], [3, 4], NORMS, [False, True], [1]),
    *product(["sr_resnet_6blocks", "sr_resnet_9blocks"], [4], NORMS, [False, True], [2, 4]),
    ("linearfilt", 64, "batch", False, 1),
]
# name, layers, width, norm
DISCRIMINATORS = [
    *product(["basic"], [3], [2, 5], NORMS),
    *product(["n_layers"], [1, 2, 4, 5], [3], NORMS),
    *product(["pixel"], [3], [4], NORMS),
]


def random_statistics(network: torch.nn.Module) -> None:
    """As after a training: running statistics that are not those of a fresh network, and biases that are not 0."""
    for key, value in network.state_dict().items():
        if key.endswith(("running_mean", "bias")):
            value.copy_(0.1 * torch.randn(value.shape))
        elif key.endswith("running_var"):
            value.copy_(0.5 + torch.rand(value.shape))


def imported(network: Any, path: Path, **known: Any) -> torch.nn.Module:
    torch.save(network.state_dict(), path)
    return import_reference_weights(path, **known)[0]


@pytest.mark.parametrize(("name", "width", "norm", "dropout", "factor"), GENERATORS)
def test_a_published_generator_in_ours(
    tmp_path: Path, name: str, width: int, norm: str, dropout: bool, factor: int
) -> None:
    torch.manual_seed(1)
    theirs = published("models.networks").define_G(1, 1, width, name, norm, dropout, ds_fac=factor)
    random_statistics(theirs)
    ours = imported(theirs, tmp_path / "latest_net_G.pth")
    size = 256 if name == "unet_256" else 128
    x = torch.rand((1, 1, size // factor, size // factor)) * 2 - 1
    with torch.no_grad():
        assert (ours(x) - theirs.eval()(x)).abs().max() < 1e-5


@pytest.mark.parametrize(("name", "layers", "width", "norm"), DISCRIMINATORS)
def test_a_published_discriminator_in_ours(tmp_path: Path, name: str, layers: int, width: int, norm: str) -> None:
    torch.manual_seed(1)
    theirs = published("models.networks").define_D(2, width, name, layers, norm)
    random_statistics(theirs)
    ours = imported(theirs, tmp_path / "latest_net_D.pth")
    x = torch.rand((2, 2, 128, 128)) * 2 - 1
    with torch.no_grad():
        assert (ours(x) - theirs.eval()(x)).abs().max() < 1e-5


def spread(network: torch.nn.Module) -> dict[str, list[float]]:
    """Standard deviations of all convolutions' weights and norms' weights, in any order, and the norms' mean."""
    modules = list(network.modules())
    convolutions = [m.weight for m in modules if isinstance(m, torch.nn.Conv2d | torch.nn.ConvTranspose2d)]
    norms = [m.weight for m in modules if isinstance(m, torch.nn.BatchNorm2d)]
    return {
        "convolutions": sorted(float(w.detach().std()) for w in convolutions if w.numel() > 500),
        "norms": [float(torch.cat(norms).detach().mean()), float(torch.cat(norms).detach().std())],
        "biases": [float(m.bias.detach().abs().max()) for m in modules if getattr(m, "bias", None) is not None],
    }


@pytest.mark.parametrize("gain", [0.02, 0.5])
@pytest.mark.parametrize("init", ["normal", "xavier", "kaiming", "orthogonal"])
def test_networks_start_from_the_same_distribution(init: str, gain: float) -> None:
    torch.manual_seed(0)
    networks = published("models.networks")
    pairs = [
        (
            build_generator("resnet_9blocks", width=16, init=init, init_gain=gain, seed=0),
            networks.define_G(1, 1, 16, "resnet_9blocks", "batch", False, init, gain),
        ),
        (
            build_discriminator("basic", in_channels=2, width=32, init=init, init_gain=gain, seed=0),
            networks.define_D(2, 32, "basic", 3, "batch", init, gain),
        ),
    ]
    for ours, theirs in pairs:
        found, expected = spread(ours), spread(theirs)
        assert found["convolutions"] == pytest.approx(expected["convolutions"], rel=0.12)
        assert found["norms"] == pytest.approx(expected["norms"], rel=0.12)
        assert len(found["biases"]) == len(expected["biases"])
        assert max(found["biases"]) == max(expected["biases"]) == 0


@pytest.mark.parametrize("policy", ["linear", "step", "cosine", "plateau"])
def test_the_rate_falls_alike(policy: str) -> None:
    """The published `plateau` watches a constant and falls every seventh epoch; ours is given the same here."""
    settings = ScheduleSettings(policy=policy, epochs=12, decay_epochs=6, step_epochs=4)
    asked = Namespace(lr_policy=policy, niter=12, niter_decay=6, epoch_count=1, lr_decay_iters=4)
    rates = []
    for build in (
        lambda optimiser: build_scheduler(optimiser, settings),
        lambda optimiser: published("models.networks").get_scheduler(optimiser, asked),
    ):
        optimiser = torch.optim.Adam([torch.zeros(1, requires_grad=True)], lr=0.01)
        scheduler, own = build(optimiser), []
        for _ in range(settings.total_epochs):
            own.append(optimiser.param_groups[0]["lr"])
            optimiser.step()
            scheduler.step(0) if isinstance(scheduler, ReduceLROnPlateau) else scheduler.step()
        rates.append(own)
    assert rates[0] == pytest.approx(rates[1], rel=1e-6)
