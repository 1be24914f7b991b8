"""Convolutions that a CPU computes in another order, beside the library's: values, and gradients twice over."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from same_layers import LIMIT, accelerated, draw, innermost, same_as_parent, with_gradients
from torch import Tensor, nn

from txm2sem_core.acceleration import Accelerator, convolutions
from txm2sem_core.acceleration.convolutions import (
    FewChannelConv2d,
    FewChannelConvTranspose2d,
    FewPixelConv2d,
    FewPixelConvTranspose2d,
)
from txm2sem_core.config import ComputeSettings
from txm2sem_core.networks import build_generator, inference

few = st.integers(1, 3)


@settings(max_examples=40, deadline=None)
@given(few, few, few, st.integers(4, 8), st.integers(4, 8), st.booleans())
def test_few_pixels(batch: int, inner: int, outer: int, height: int, width: int, bias: bool) -> None:
    x = draw(batch, inner, height, width)
    pixels = batch * (height // 2) * (width // 2)
    same_as_parent(FewPixelConv2d(inner, outer, 4, 2, 1, bias=bias), x, taken=pixels <= convolutions.FEW_PIXELS)


@settings(max_examples=40, deadline=None)
@given(few, few, st.integers(1, 6), st.integers(1, 8), st.integers(1, 8), st.booleans())
def test_few_pixels_transposed(batch: int, inner: int, outer: int, height: int, width: int, bias: bool) -> None:
    x = draw(batch, inner, height, width)
    taken = batch * height * width <= convolutions.FEW_PIXELS
    same_as_parent(FewPixelConvTranspose2d(inner, outer, 4, 2, 1, bias=bias), x, taken=taken)


@settings(max_examples=40, deadline=None)
@given(few, few, st.integers(1, 5), st.integers(1, 6), st.integers(1, 6), st.sampled_from([(4, 2, 1), (6, 3, 1)]))
def test_few_channels_transposed(
    batch: int, inner: int, outer: int, height: int, width: int, geometry: tuple[int, int, int]
) -> None:
    x = draw(batch, inner, height, width)
    layer = FewChannelConvTranspose2d(inner, outer, *geometry)
    same_as_parent(layer, x, taken=outer <= convolutions.FEW_CHANNELS)


@pytest.mark.parametrize("outer", [1, 8])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_images_in_parts_are_as_one(outer: int, layout: torch.memory_format) -> None:
    layer = FewChannelConvTranspose2d(5, outer, 4, 2, 1).double()
    whole = draw(2, 5, 6, 7).contiguous(memory_format=layout)
    found = layer.joined([whole[:, :2].contiguous(memory_format=layout), whole[:, 2:]])
    assert float((found - layer(whole)).detach().abs().max()) < LIMIT


@settings(max_examples=40, deadline=None)
@given(few, few, st.integers(1, 5), st.integers(4, 14), st.integers(4, 14), st.sampled_from(["reflect", "zeros"]))
def test_few_channels(batch: int, inner: int, outer: int, height: int, width: int, mode: str) -> None:
    x = draw(batch, inner, height, width)
    layer = FewChannelConv2d(inner, outer, 7, padding=3, padding_mode=mode)
    for laid_out in (x, innermost(x)):
        same_as_parent(layer, laid_out, taken=outer <= convolutions.FEW_CHANNELS)


@pytest.mark.parametrize(
    "layer", [FewPixelConv2d(8, 6, 4, stride=2, padding=1), FewPixelConvTranspose2d(8, 6, 4, stride=2, padding=1)]
)
def test_few_pixels_are_not_rounded_to_half_precision(layer: nn.Module) -> None:
    """Their time is that of reading the weights, which would be written once more."""
    x = draw(2, 8, 4, 4).bfloat16()
    with torch.autocast("cpu", torch.bfloat16):
        made = layer(x)
    assert torch.equal(made, layer(x.float()))
    gradients = torch.autograd.grad(made.sum(), list(layer.parameters()))
    assert all(gradient.dtype == torch.float32 for gradient in gradients)


def weight_gradients(network: nn.Module, x: Tensor) -> list[Tensor]:
    y = network(x)
    return [y, *torch.autograd.grad((y * draw(*y.shape, seed=1)).sum(), list(network.parameters()))]


@pytest.mark.parametrize("name", ["resnet_2blocks", "sr_resnet_2blocks", "unet_32"])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("side", [8, 32, 64])
def test_layers_and_layout_change_no_gradient(name: str, channels: int, side: int) -> None:
    """Channels innermost in memory, which on planes of one pixel or channel cannot be told from the usual layout."""
    if name == "unet_32" and side < 32:
        pytest.skip("unet_32 takes multiples of 32")
    network = build_generator(
        name=name, width=4, in_channels=channels, out_channels=1, factor=2 if "sr" in name else 1, seed=0
    )
    network.double().train()
    x = draw(2, channels, side, side)
    compute = Accelerator(ComputeSettings(channels_last=True), torch.device("cpu"))
    placed = compute.place(accelerated(network, training=True))
    found = [weight_gradients(placed, compute.batch(x)), with_gradients(placed, placed, compute.batch(x))]
    plain = [weight_gradients(network, x), with_gradients(network, network, x)]
    for ours, theirs in zip([*found[0], *found[1]], [*plain[0], *plain[1]], strict=True):
        assert float((ours - theirs).detach().abs().max()) < 1e-8 * max(1.0, float(theirs.detach().abs().max()))


@pytest.mark.parametrize("name", ["resnet_3blocks", "sr_resnet_3blocks", "unet_32"])
@pytest.mark.parametrize("norm", ["batch", "instance", "none"])
@pytest.mark.parametrize("mode", ["evaluation", "dropout"])
def test_folded_norms_change_nothing(name: str, norm: str, mode: str) -> None:
    factor = 4 if "sr" in name else 1
    network = build_generator(
        name=name, width=4, in_channels=1, out_channels=1, factor=factor, norm=norm, dropout=True, seed=0
    )
    network.double().train()
    for seed in range(3):  # running statistics that are not those of a fresh network
        network(3 * draw(2, 1, 32, 32, seed=seed) + 1)
    network.eval()
    made = accelerated(network)
    norms = [m for m in made.modules() if isinstance(m, nn.BatchNorm2d)]
    assert not norms
    results = []
    for one in (accelerated(network, training=True), made):  # dropout draws in the order of memory: of the same layout
        torch.manual_seed(0)
        with inference(one, mode):
            results.append(one(draw(1, 1, 32, 32, seed=9)))
    assert float((results[0] - results[1]).abs().max()) < LIMIT
    assert any(isinstance(m, nn.BatchNorm2d) for m in network.modules()) == (norm == "batch")  # as it was


def test_a_class_of_the_users_own_is_not_folded() -> None:
    """It may inherit from ours and place its norms elsewhere."""
    network = build_generator(name="resnet_1blocks", width=4, in_channels=1, out_channels=1, seed=0)
    own = type("Own", (type(network),), {})
    network.__class__ = own
    norms = [layer for layer in accelerated(network).modules() if isinstance(layer, nn.BatchNorm2d)]
    assert len(norms) == len([layer for layer in network.modules() if isinstance(layer, nn.BatchNorm2d)]) > 0
