"""Accelerated and plain networks: every family and network trains and predicts the same but for rounding."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from same_layers import accelerated, draw
from torch import Tensor, nn
from training_cases import batch_of, settings_of

from txm2sem_core.acceleration import row_bands, srresnet, winograd
from txm2sem_core.acceleration.layers import replace_layers
from txm2sem_core.checkpoint import LoadedModel
from txm2sem_core.config import PredictSettings
from txm2sem_core.config.families import built_in
from txm2sem_core.families import family_of, learner_of
from txm2sem_core.inference import Predictor
from txm2sem_core.networks import ImageGenerator, build_generator

CPU = torch.device("cpu")
FAMILIES = [family for family, rules in built_in().items() if rules.trained]
NETWORKS = ["linearfilt", "gammafilt", "resnet_2blocks", "unet_32", "unet_64", "residual_unet"]
UNIT = {"low": 0.0, "high": 1.0}


@pytest.fixture
def everywhere(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """All of what is faster on large images, on small ones; and float64, where the order of sums does not matter."""
    monkeypatch.setattr(winograd, "FEWEST_PIXELS", 0)
    monkeypatch.setattr(winograd, "FEWEST_CHANNELS", 0)
    monkeypatch.setattr(srresnet, "FRAMED_VALUES", 0)
    monkeypatch.setattr(row_bands, "BANDED_VALUES", 0)
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(before)


def after_two_steps(accelerate: bool, family: str, network: str = "", **more: Any) -> list[Tensor]:
    """All losses, the weights, and what the networks make of a batch in evaluation."""
    settings = settings_of(family, network, compute={"accelerate": accelerate}, **more)
    learner, found = learner_of(settings, 0, CPU), []
    learner.generator.train()
    for step in range(2):
        torch.manual_seed(step)
        found += learner.step(batch_of(settings)).values()
    torch.manual_seed(9)
    with torch.no_grad():
        made = family_of(settings).alone(learner.generator.eval(), batch_of(settings).txm)
    return [*found, *learner.generator.state_dict().values(), made]


def compare(family: str, network: str = "", **more: Any) -> None:
    fast, plain = (after_two_steps(accelerate, family, network, **more) for accelerate in (True, False))
    assert len(fast) == len(plain) > 3
    for ours, library in zip(fast, plain, strict=True):
        assert float((ours - library).abs().max()) <= 1e-8 * max(1.0, float(library.abs().max()))


@pytest.mark.usefixtures("everywhere")
@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_trains_the_same(family: str) -> None:
    compare(family)


@pytest.mark.usefixtures("everywhere")
@pytest.mark.parametrize("norm", ["batch", "instance", "none"])
@pytest.mark.parametrize("network", NETWORKS)
def test_every_network_trains_the_same(network: str, norm: str) -> None:
    if "filt" in network:
        compare("feedforward", network)
    else:
        compare("feedforward", context=1, generator={"name": network, "width": 4, "norm": norm})


@pytest.mark.usefixtures("everywhere")
@pytest.mark.parametrize("penalty", ["projection", "perturbation", "stack"])
@pytest.mark.parametrize("network", ["resnet_2blocks", "unet_32"])
def test_penalties_train_the_same(network: str, penalty: str) -> None:
    compare("feedforward", network, z_penalty={penalty: 0.1})


@pytest.mark.parametrize("norm", ["batch", "instance", "none"])
@pytest.mark.parametrize("mode", ["evaluation", "batch_statistics"])
@pytest.mark.parametrize(("name", "factor"), [*((name, 1) for name in NETWORKS), ("sr_resnet_2blocks", 4)])
def test_every_network_predicts_the_same(name: str, factor: int, mode: str, norm: str) -> None:
    """In float32, as planes are predicted."""
    options = {"name": name, "factor": factor} | ({} if "filt" in name else {"width": 8, "norm": norm})
    generator = build_generator(**options, seed=0)
    generator(draw(2, 1, 64, 64).float())  # running statistics that are not those of a fresh network
    description = {"generator": options, "normalisation": {"txm": UNIT, "sem": UNIT}, "sem_dtype": "uint16"}
    model = LoadedModel(generator.eval(), {**description, "inference_mode": mode})
    before, planes = copy.deepcopy(generator.state_dict()), []
    for accelerate in (True, False):
        settings = PredictSettings(tile_px=0, compute={"accelerate": accelerate})
        planes.append(Predictor(model, settings, "cpu").planes.plane(draw(1, 100, 84).float().numpy()))
    assert np.abs(planes[0] - planes[1]).max() < 1e-5
    assert all(torch.equal(value, before[key]) for key, value in generator.state_dict().items())


# --- a user's own networks


class Own(ImageGenerator):
    """Layers of all kinds, those that there is a faster class for and those that there is none for."""

    def __init__(self) -> None:
        super().__init__(in_channels=1, out_channels=1, receptive_radius_px=32, size_multiple=4, minimum_size=8)
        self.layers = nn.Sequential(
            nn.Conv2d(1, 8, 3, padding=2, dilation=2),
            nn.PReLU(),
            nn.Conv2d(8, 8, 3, padding=1, groups=2),
            nn.PReLU(8),
            nn.Conv2d(8, 12, 3, padding="same"),
            nn.Conv2d(12, 12, 3, padding=1, padding_mode="circular"),
            nn.Conv2d(12, 16, 4, stride=2, padding=1),
            nn.Conv2d(16, 16, 4, stride=2, padding=1, padding_mode="reflect"),
            nn.ConvTranspose2d(16, 16, 4, stride=2, padding=1),
            nn.ConvTranspose2d(16, 8, 3, stride=2, padding=1, output_padding=1),
            nn.BatchNorm2d(8),
            nn.Conv2d(8, 2, 5, padding=2),
            nn.Conv2d(2, 1, 1),
        )

    def forward(self, x: Tensor) -> Tensor:
        made: Tensor = self.layers(x)
        return made


@pytest.mark.usefixtures("everywhere")
def test_a_network_of_the_users_gets_the_layers_that_fit() -> None:
    network = Own()
    made = accelerated(network, training=True)
    replaced = [number for number, layer in enumerate(made.layers) if type(layer) not in vars(nn).values()]
    assert replaced == [1, 5, 6, 8, 11]
    x = draw(2, 1, 16, 20)
    for one in (network.train(), network.eval()):
        found, expected = (run.train(one.training)(x) for run in (accelerated(one, training=True), one))
        assert float((found - expected).detach().abs().max()) < 1e-10
    with torch.no_grad():
        made = accelerated(network.eval())  # batch norms of other people's networks are left alone
        assert float((made(x) - network(x)).abs().max()) < 1e-10


def test_weights_are_the_same_objects_under_the_same_names() -> None:
    for network in (Own(), build_generator("unet_32", width=2), build_generator("sr_resnet_1blocks", width=2)):
        before = dict(network.named_parameters())
        called: set[nn.Module] = set()
        note = called.add
        for layer in network.modules():
            layer.register_forward_hook(lambda layer, *_, note=note: note(layer))
        hooked = set(network.modules())
        replace_layers(network)
        assert list(before) == [name for name, _ in network.named_parameters()]
        assert all(weight is before[name] for name, weight in network.named_parameters())
        network(torch.zeros(2, 1, 32, 32))
        assert called <= hooked
        assert len(called) > 5


def test_a_class_derived_from_ours_computes_itself() -> None:
    network = build_generator("resnet_1blocks", width=2, seed=0)
    ours = type(network)
    network.__class__ = type("Own", (ours,), {"forward": lambda self, x: 2 * ours.forward(self, x)})
    x = torch.zeros(1, 1, 16, 16)
    with torch.no_grad():
        assert torch.allclose(accelerated(network, training=True).eval()(x), network.eval()(x), atol=1e-6)


def test_off_leaves_the_librarys_layers() -> None:
    learner = learner_of(settings_of("pix2pix", "unet_32", compute={"accelerate": False}), 0, CPU)
    own = [type(layer) for layer in learner.generator.modules() if type(layer).__module__.startswith("txm2sem_core")]
    assert own == [type(learner.generator)]
    assert type(learner.optimiser) is torch.optim.Adam
