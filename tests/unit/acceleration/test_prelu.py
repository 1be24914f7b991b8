"""PReLU with one slope beside the library's: values, gradients, and gradients of those."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from same_layers import LIMIT, draw, innermost, once, same_as_parent

from txm2sem_core.acceleration.prelu import OneSlopePReLU


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(2, 5), min_size=4, max_size=4), st.floats(-2, 2), st.booleans())
def test_layer(shape: list[int], slope: float, channels_innermost: bool) -> None:
    layer = OneSlopePReLU(1)
    with torch.no_grad():
        layer.weight.fill_(slope)
    x = innermost(draw(*shape)) if channels_innermost else draw(*shape)
    same_as_parent(layer, x, taken=channels_innermost)
    x[0, 0, 0, 0] = 0  # where it has no derivative, both take the slope
    x.requires_grad_()
    for ours, theirs in zip(once(layer, layer(x), x), once(layer, torch.prelu(x, layer.weight), x), strict=True):
        assert float((ours - theirs).abs().max()) < LIMIT * max(1.0, float(theirs.abs().max()))


def test_the_gradient_keeps_the_layout() -> None:
    x = innermost(draw(1, 3, 4, 5)).requires_grad_()
    assert torch.autograd.grad(OneSlopePReLU(1).double()(x).sum(), x)[0].stride() == x.stride()


def test_in_half_precision_the_gradients_are_the_librarys() -> None:
    layer, x = OneSlopePReLU(1), innermost(draw(2, 8, 9, 10)).bfloat16().requires_grad_()
    with torch.autocast("cpu", torch.bfloat16):
        ours, theirs = layer(x), torch.prelu(x, layer.weight)
    assert type(ours.grad_fn) is not type(theirs.grad_fn)
    found, expected = (torch.autograd.grad(y.float().square().sum(), [x, layer.weight]) for y in (ours, theirs))
    assert torch.equal(ours, theirs)
    assert torch.equal(found[0], expected[0])
    assert float(found[1]) == pytest.approx(float(expected[1]), rel=0.01)
