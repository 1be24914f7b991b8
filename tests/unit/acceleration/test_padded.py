"""Images within their reflected border: the same as by layers that make their border themselves."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from same_layers import accelerated
from torch import Tensor, nn
from torch.nn import functional

from txm2sem_core.acceleration import padded, srresnet
from txm2sem_core.acceleration.padded import Frame
from txm2sem_core.acceleration.winograd import WinogradConv2d
from txm2sem_core.networks import build_generator, inference

SETTINGS = [(1, "evaluation"), (2, "dropout"), (2, "batch_statistics"), (4, "evaluation")]


def draw(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(0))


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 3), st.integers(1, 4), st.integers(4, 9), st.integers(4, 9), st.integers(0, 3))
def test_border(batch: int, channels: int, height: int, width: int, margin: int) -> None:
    x = draw(batch, channels, height, width)
    frame = Frame((batch, channels, height, width), margin, x.dtype)
    frame.image.copy_(x)
    frame.reflect()
    assert torch.equal(frame.whole, functional.pad(x, [margin] * 4, mode="reflect"))


@pytest.mark.parametrize("activation", [nn.ReLU(), nn.PReLU(init=0.3), nn.Tanh()])
def test_pixel_shuffle(activation: nn.Module) -> None:
    x, conv = draw(2, 3, 5, 6), WinogradConv2d(3, 16, 3, padding=1)
    with torch.no_grad():
        made = padded.doubled(conv, activation, x, 2).image
        assert torch.equal(made, activation(functional.pixel_shuffle(conv(x), 2)))


@pytest.mark.parametrize("norm", ["batch", "instance", "none"])
@pytest.mark.parametrize(("factor", "mode"), SETTINGS)
def test_networks(factor: int, mode: str, norm: str, monkeypatch: pytest.MonkeyPatch) -> None:
    network = build_generator(
        name="sr_resnet_2blocks", width=8, factor=factor, norm=norm, dropout=True, seed=0
    ).double()
    network(draw(2, 1, 16, 16).double())  # running statistics that are not those of a fresh network
    for layer in network.modules():
        if isinstance(layer, nn.PReLU):
            nn.init.uniform_(layer.weight, 0.1, 0.9)
    network = accelerated(network, training=mode == "batch_statistics")
    results = []
    for least in (0, 2**40):
        monkeypatch.setattr(srresnet, "FRAMED_VALUES", least)
        torch.manual_seed(1)
        with inference(network, mode):
            results.append(network(draw(2, 1, 16, 12).double()))
    assert float((results[0] - results[1]).abs().max()) < 1e-12


def test_training_computes_without() -> None:
    """What is written in place would lose what gradients need."""
    x = torch.zeros(2, 1, 4, 4)
    assert not padded.in_plain_prediction(x)
    with torch.no_grad():
        assert padded.in_plain_prediction(x)
