"""Layers by bands of rows: the same as of a whole image, wherever the bands end."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from same_layers import accelerated
from torch import Tensor, nn

from txm2sem_core.acceleration import row_bands
from txm2sem_core.acceleration.convolutions import FewChannelConv2d
from txm2sem_core.acceleration.row_bands import bands_pay, doubled_at_last, halved
from txm2sem_core.networks import build_generator, inference

HEIGHTS = st.integers(2, 12).map(lambda n: 4 * n)


def draw(*shape: int) -> Tensor:
    values = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    return values.to(memory_format=torch.channels_last)


def difference(one: Tensor, other: Tensor) -> float:
    assert one.shape == other.shape
    return float((one - other).abs().max())


@settings(max_examples=40, deadline=None)
@given(batch=st.integers(1, 2), height=HEIGHTS, width=HEIGHTS, rows=st.integers(1, 6).map(lambda n: 4 * n))
def test_layers(batch: int, height: int, width: int, rows: int) -> None:
    first = nn.Conv2d(2, 5, 7, padding=3, padding_mode="reflect")
    down = nn.Conv2d(5, 6, 3, stride=2, padding=1)
    up = nn.ConvTranspose2d(6, 5, 3, stride=2, padding=1, output_padding=1)
    last = FewChannelConv2d(5, 1, 7, padding=3, padding_mode="reflect")
    whole, half = draw(batch, 2, height, width), draw(batch, 6, height // 2, width // 2)
    with torch.no_grad(), pytest.MonkeyPatch.context() as patch:
        patch.setattr(row_bands, "BAND_ROWS", rows)
        for layer in (first, down, up, last):
            layer.double()
        whole, half = whole.double(), half.double()
        assert difference(halved(first, nn.ReLU(), down, whole), down(first(whole).relu())) < 1e-12
        assert difference(doubled_at_last(up, nn.ReLU(), last, half), last(up(half).relu())) < 1e-12


@pytest.mark.parametrize("shape", [(1, 1, 256, 200), (2, 1, 132, 264)])
@pytest.mark.parametrize("norm", ["batch", "none"])
def test_networks_predict_the_same(shape: tuple[int, ...], norm: str, monkeypatch: pytest.MonkeyPatch) -> None:
    network = build_generator(name="resnet_2blocks", width=16, norm=norm, seed=0)
    network(draw(2, 1, 16, 16))  # running statistics that are not those of a fresh network
    network = accelerated(network).double()
    results = []
    for least in (0, 2**40):
        monkeypatch.setattr(row_bands, "BANDED_VALUES", least)
        with inference(network, "evaluation"):
            results.append(network(draw(*shape).double()))
    assert difference(*results) < 1e-12


@pytest.mark.parametrize(("norm", "mode"), [("instance", "evaluation"), ("batch", "batch_statistics")])
def test_a_norm_sees_the_whole_image(norm: str, mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    network = build_generator(name="resnet_1blocks", width=4, norm=norm, seed=0)
    results = []
    for least in (0, 2**40):
        monkeypatch.setattr(row_bands, "BANDED_VALUES", least)
        with inference(network, mode):
            results.append(network(draw(1, 1, 260, 16)))
    assert torch.equal(*results)


def test_training_and_small_planes_are_whole() -> None:
    x = torch.zeros(1, 1, 1024, 1024)
    assert not bands_pay(x, 8)
    with torch.no_grad():
        assert bands_pay(x, 8)
        assert not bands_pay(x[:, :, 4:], 8)
