"""3 x 3 convolutions with fewer products, beside the library's: values, gradients twice over, and rounding."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from same_layers import LIMIT, accelerated, draw, innermost, once, same_as_parent
from torch import nn
from torch.nn import functional

from txm2sem_core.acceleration import srresnet, winograd
from txm2sem_core.acceleration.winograd import WinogradConv2d, winograd_pays
from txm2sem_core.networks import build_generator, inference

few = st.integers(1, 3)
sides = st.integers(3, 14)


def everywhere(patch: pytest.MonkeyPatch) -> None:
    """Of few pixels and channels as well, and of two tiles at once."""
    patch.setattr(winograd, "FEWEST_PIXELS", 0)
    patch.setattr(winograd, "FEWEST_CHANNELS", 0)
    patch.setattr(winograd, "TILES_AT_ONCE", 2)


@settings(max_examples=60, deadline=None)
@given(few, st.integers(2, 4), few, sides, sides, st.booleans(), st.sampled_from(["reflect", "zeros"]))
def test_layer(batch: int, inner: int, outer: int, height: int, width: int, bias: bool, mode: str) -> None:
    with pytest.MonkeyPatch.context() as patch:
        everywhere(patch)
        x = innermost(draw(batch, inner, height, width))
        layer = WinogradConv2d(inner, outer, 3, padding=1, padding_mode=mode, bias=bias)
        same_as_parent(layer, x)
        x.requires_grad_()
        for ours, theirs in zip(once(layer, layer(x), x), once(layer, nn.Conv2d.forward(layer, x), x), strict=True):
            assert float((ours - theirs).abs().max()) < LIMIT * max(1.0, float(theirs.abs().max()))
        with torch.no_grad():
            expected = nn.Conv2d.forward(layer, x)
            bordered = functional.pad(x, [1] * 4, mode="constant" if mode == "zeros" else mode)
            for found in (layer(x), layer.inside(bordered)):
                assert found.shape == expected.shape
                assert float((found - expected).abs().max()) < LIMIT
            other = layer.convolved(x, 2 * layer.weight, None)
            assert float((other - functional.conv2d(bordered, 2 * layer.weight)).abs().max()) < LIMIT


def test_images_of_many_tiles(monkeypatch: pytest.MonkeyPatch) -> None:
    """They are transformed band by band."""
    x, layer = innermost(draw(1, 96, 34, 34)).requires_grad_(), WinogradConv2d(96, 96, 3).double()
    whole = once(layer, layer(x), x)
    monkeypatch.setattr(winograd, "TILES_AT_ONCE", 32)
    for ours, theirs in zip(once(layer, layer(x), x), whole, strict=True):
        assert float((ours - theirs).abs().max()) < LIMIT * float(theirs.abs().max())


@pytest.mark.parametrize("taps", [2, 3])
def test_rounding_is_that_of_float32(taps: int) -> None:
    """Twice the library's, on the values that a layer sees after its activation; the exact sums are float64's."""
    x = innermost(draw(1, 256, 31 + taps, 31 + taps).relu().float())
    weight = draw(256, 256, taps, taps, seed=1).float() / 48
    exact = functional.conv2d(x.double(), weight.double())
    ours = (winograd.winograd(x, weight, None) - exact).square().mean().sqrt() / exact.square().mean().sqrt()
    library = (functional.conv2d(x, weight) - exact).square().mean().sqrt() / exact.square().mean().sqrt()
    assert float(ours) < min(2e-6, 4 * float(library))


@pytest.mark.parametrize(
    ("name", "factor"), [("resnet_2blocks", 1), ("sr_resnet_2blocks", 1), ("sr_resnet_2blocks", 4)]
)
@pytest.mark.parametrize("framed", [0, 2**40])
def test_networks(name: str, factor: int, framed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    network = build_generator(name=name, width=4, factor=factor, norm="batch", seed=0).double()
    network(draw(2, 1, 16, 16))  # running statistics that are not those of a fresh network
    network = accelerated(network)
    monkeypatch.setattr(srresnet, "FRAMED_VALUES", framed)
    results = []
    for patched in (False, True):
        if patched:
            everywhere(monkeypatch)
        with inference(network, "evaluation"):
            results.append(network(draw(2, 1, 44, 52)))
    assert 0 < float((results[0] - results[1]).abs().max()) < LIMIT  # 0: nothing was compared


def test_where_it_pays() -> None:
    x, weight = innermost(torch.zeros(1, 256, 32, 32)), torch.zeros(256, 256, 3, 3)
    assert winograd_pays(x, weight)
    assert winograd_pays(innermost(torch.zeros(1, 64, 64, 64)), torch.zeros(256, 64, 3, 3))
    assert not winograd_pays(x[:, :, :16], weight)  # few pixels
    assert not winograd_pays(innermost(torch.zeros(1, 64, 64, 64)), torch.zeros(64, 64, 3, 3))  # few channels
    assert not winograd_pays(x.contiguous(), weight)  # another layout
    assert not winograd_pays(x.bfloat16(), weight.bfloat16())
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert not winograd_pays(x, weight)


def test_training_after_inference_mode() -> None:
    x, layer = innermost(torch.ones(1, 96, 32, 32)), WinogradConv2d(96, 96, 3, padding=1)
    with torch.inference_mode():
        layer(x)
    layer(x).sum().backward()
    assert layer.weight.grad is not None
    assert bool(layer.weight.grad.any())


@pytest.mark.parametrize(
    ("vendor", "capability", "expected"),
    [("GenuineIntel", "AVX512", True), ("AuthenticAMD", "AVX2", True), ("AuthenticAMD", "AVX512", False)],
)
def test_filtering_is_left_out_where_matrix_products_are_slow(
    vendor: str, capability: str, expected: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.undo()  # what lets the other tests filter on every machine
    about = tmp_path / "cpuinfo"
    about.write_text(f"vendor_id : {vendor}\n")
    monkeypatch.setattr(winograd, "Path", lambda _: about)
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: capability)
    winograd.products_keep_up.cache_clear()
    assert winograd.products_keep_up() == expected
    winograd.products_keep_up.cache_clear()
