"""The reflected border of a GPU against the library's, on the CPU: it is the same whichever device it lies on."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional

from txm2sem_core.acceleration import accelerate, borders
from txm2sem_core.acceleration.borders import ReflectedConv2d, reflected
from txm2sem_core.networks import build_generator


def library(x: Tensor, margins: tuple[int, int]) -> Tensor:
    return functional.pad(x, [margins[1]] * 2 + [margins[0]] * 2, mode="reflect")


def image(*shape: int) -> Tensor:
    rng = torch.Generator().manual_seed(sum(shape))
    x = torch.randn(shape, generator=rng, dtype=torch.float64)
    return x.contiguous(memory_format=torch.channels_last)


@pytest.fixture(params=[0, 2**22], ids=["copied", "gathered"], autouse=True)
def either_way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(borders, "SMALL", request.param)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_every_pixel_is_the_librarys(data: st.DataObject) -> None:
    margins = data.draw(st.tuples(st.integers(0, 4), st.integers(0, 4)))
    height, width = (data.draw(st.integers(margin + 1, 9)) for margin in margins)
    x = image(data.draw(st.integers(1, 3)), data.draw(st.integers(2, 5)), height, width)
    made = reflected(x, margins)
    assert torch.equal(made, library(x, margins))
    assert made.is_contiguous(memory_format=torch.channels_last)


@settings(max_examples=30, deadline=None)
@given(st.data())
def test_its_gradient_is_the_librarys(data: st.DataObject) -> None:
    margins = data.draw(st.tuples(st.integers(0, 4), st.integers(0, 4)))
    height, width = (data.draw(st.integers(margin + 1, 9)) for margin in margins)
    x = image(2, 3, height, width).requires_grad_()
    weight = torch.randn_like(reflected(x, margins))
    found, expected = (torch.autograd.grad(pad(x, margins), x, weight)[0] for pad in (reflected, library))
    torch.testing.assert_close(found, expected)
    assert found.is_contiguous(memory_format=torch.channels_last)


def test_gradients_of_gradients_are_right() -> None:
    x = image(1, 2, 4, 5).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: reflected(x, (2, 1)), (x,))
    assert torch.autograd.gradgradcheck(lambda x: reflected(x, (2, 1)).tanh(), (x,))


@pytest.mark.parametrize("name", ["resnet_2blocks", "sr_resnet_2blocks", "residual_unet"])
def test_networks_with_reflected_borders_are_the_same(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a GPU: where an image has channels innermost, its border is ours."""
    factor = 2 if name.startswith("sr") else 1
    plain = build_generator(name, width=4, factor=factor, seed=0).double()
    network = build_generator(name, width=4, factor=factor, seed=0).double()
    accelerate(network, training=True)
    taken: list[tuple[int, int]] = []

    def ours(x: Tensor, margins: tuple[int, int]) -> Tensor:
        taken.append(margins)
        return reflected(x, margins)

    innermost = {"is": True}
    monkeypatch.setattr(borders, "reflects_fast", lambda x: innermost["is"] and x.shape[1] > 1)
    monkeypatch.setattr(borders, "reflected", ours)
    monkeypatch.setattr("txm2sem_core.acceleration.convolutions.on_cpu_uncompiled", lambda _: False)
    x = image(2, 1, 16, 16)
    torch.testing.assert_close(network(x), plain(x))
    convolutions = [layer for layer in plain.modules() if isinstance(layer, nn.Conv2d)]
    assert len(taken) == sum(layer.padding_mode == "reflect" and layer.in_channels > 1 for layer in convolutions)


def test_other_borders_are_left_to_the_library() -> None:
    layer = nn.Conv2d(3, 4, 5, padding=2, padding_mode="circular").double()
    x = image(1, 3, 8, 8)
    expected = layer(x)
    layer.__class__ = ReflectedConv2d
    torch.testing.assert_close(layer(x), expected)
