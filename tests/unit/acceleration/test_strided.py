"""4 x 4 convolutions that halve or double an image with fewer products, beside the library's."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from same_layers import LIMIT, accelerated, draw, innermost
from torch import nn

from txm2sem_core.acceleration import strided, winograd
from txm2sem_core.acceleration.strided import DoublingConvTranspose2d, HalvingConv2d
from txm2sem_core.networks import build_generator, inference

few = st.integers(1, 3)
sides = st.integers(1, 12)


def everywhere(patch: pytest.MonkeyPatch) -> list[str]:
    """Of few pixels and channels as well, and of two tiles at once; returns which of the two are called."""
    called: list[str] = []
    patch.setattr(strided, "FEWEST_PIXELS", 0)
    patch.setattr(strided, "FEWEST_CHANNELS", 0)
    patch.setattr(winograd, "TILES_AT_ONCE", 2)
    for name in ("halving_convolution", "doubling_convolution"):
        original = getattr(strided, name)
        patch.setattr(strided, name, lambda *given, f=original, n=name: (called.append(n), f(*given))[1])
    return called


@settings(max_examples=60, deadline=None)
@given(few, st.integers(2, 4), few, sides, sides, st.booleans())
def test_layers(batch: int, inner: int, outer: int, height: int, width: int, bias: bool) -> None:
    with pytest.MonkeyPatch.context() as patch, torch.inference_mode():
        called = everywhere(patch)
        halve = HalvingConv2d(inner, outer, 4, stride=2, padding=1, bias=bias).double()
        double = DoublingConvTranspose2d(inner, outer, 4, stride=2, padding=1, bias=bias).double()
        large, small = draw(batch, inner, 2 * height, 2 * width), draw(batch, inner, height, width)
        for layer, library, x in ((halve, nn.Conv2d, large), (double, nn.ConvTranspose2d, small)):
            expected, found = library.forward(layer, x), layer(innermost(x))
            assert found.shape == expected.shape
            assert float((found - expected).abs().max()) < LIMIT
        assert called == ["halving_convolution", "doubling_convolution"]


def test_odd_sizes_are_the_librarys(monkeypatch: pytest.MonkeyPatch) -> None:
    called = everywhere(monkeypatch)
    layer, x = HalvingConv2d(2, 3, 4, stride=2, padding=1).double(), draw(1, 2, 7, 8)
    with torch.inference_mode():
        assert float((layer(innermost(x)) - nn.Conv2d.forward(layer, x)).abs().max()) < LIMIT
    assert called == []


def test_gradients_are_the_librarys(monkeypatch: pytest.MonkeyPatch) -> None:
    called = everywhere(monkeypatch)
    x = innermost(draw(1, 2, 8, 8))
    HalvingConv2d(2, 3, 4, stride=2, padding=1).double()(x).sum().backward()
    DoublingConvTranspose2d(2, 3, 4, stride=2, padding=1).double()(x).sum().backward()
    assert called == []


@pytest.mark.parametrize("norm", ["batch", "instance", "none"])
def test_network(norm: str, monkeypatch: pytest.MonkeyPatch) -> None:
    network = build_generator(name="unet_32", width=4, norm=norm, seed=0).double()
    network(draw(2, 1, 32, 32))  # running statistics that are not those of a fresh network
    network = accelerated(network)
    x = draw(2, 1, 96, 64)
    with inference(network, "evaluation"):
        expected = network(x)
        called = everywhere(monkeypatch)
        found = network(x)
    assert {"halving_convolution", "doubling_convolution"} <= set(called)
    assert 0 < float((found - expected).abs().max()) < LIMIT


def test_where_it_pays() -> None:
    """On middle levels of a wide U-Net's large planes: not on its outer and inner ones, nor on narrow networks."""
    pays = strided._pays
    with torch.inference_mode():
        x = innermost(torch.zeros(1, 2, 128, 128))
        assert pays(x, 4096, 512, 512)
        assert pays(x, 4096, 512, 256)
        assert not pays(x, 4096, 256, 256)  # few channels
        assert not pays(x, 1024, 512, 512)  # few pixels
        assert not pays(x.contiguous(), 4096, 512, 512)  # another layout
    assert not pays(x, 4096, 512, 512)  # gradients
