"""What networks take, against exact counts and against wider networks."""

from __future__ import annotations

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from txm2sem_core.config import load_config
from txm2sem_core.config.families import built_in
from txm2sem_core.config.generators import BASELINES, BLOCKS, TAKES
from txm2sem_core.costs import networks
from txm2sem_core.costs.networks import network_cost, random_batch, tried_speed
from txm2sem_core.families import family_of
from txm2sem_core.networks import build_generator

VARIANTS = {
    "feedforward": {"family": "feedforward", "generator": {"name": "unet_32"}},
    "resnet": {"family": "feedforward", "generator": {"name": "resnet_6blocks"}},
    "penalised": {"family": "feedforward", "generator": {"name": "resnet_6blocks"}, "z_penalty": {"stack": 1e-4}},
    "projected": {"family": "pix2pix", "generator": {"name": "unet_32"}, "z_penalty": {"projection": 1e-4}},
    "wasserstein": {"family": "pix2pix", "objective": "wgangp", "generator": {"name": "unet_32"}},
    "flow": {"family": "flow"},
    "srcnn": {"family": "srcnn", "factor": 2, "generator": {"name": "sr_resnet_4blocks"}},
    "srgan": {"family": "srgan", "factor": 4, "generator": {"name": "sr_resnet_4blocks"}},
    "repair": {"family": "repair", "generator": {"name": "unet_32"}},
    "segmentation": {"family": "segmentation", "generator": {"name": "unet_32"}},
    "filter": {"family": "feedforward", "generator": {"name": "linearfilt"}},
}


def settings(variant: str, **generator: object):
    own = VARIANTS[variant]
    changed = {**own, "generator": {**own.get("generator", {}), **generator}, "batch_size": 4}
    beside = {"family": "baseline", "generator": {"name": "pointwise"}}
    return load_config({"patches": {"size_px": 64}, "variants": {"beside": beside, variant: changed}}).variant(variant)


def test_every_family_that_is_trained_is_tried() -> None:
    tried = {own["family"] for own in VARIANTS.values()}
    assert tried == {name for name, rules in built_in().items() if rules.trained}


@pytest.mark.parametrize("name", VARIANTS)
def test_a_thin_network_on_small_patches_tells_of_a_wide_one(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    wide = settings(name, width=32)
    by_thin = network_cost(wide, 64)
    monkeypatch.setattr(networks, "TRIED_WIDTH", 64)
    monkeypatch.setattr(networks, "TRIED_BATCH", 4)
    itself = network_cost(wide, 64)
    assert itself.activations > 0
    assert itself.step_flops > 4 * 64**2 * itself.voxel_flops / 7  # a sample takes seven passes of a flow
    for count in ("weights", "activations", "step_flops", "voxel_flops"):
        assert 0.6 < getattr(by_thin, count) / getattr(itself, count) < 1.9, count


@pytest.mark.parametrize("generator", ["unet_32", "resnet_6blocks", "linearfilt"])
def test_operations_are_those_that_pytorch_counts(generator: str) -> None:
    plain = settings("feedforward", name=generator, width=8)
    plain = plain.model_copy(update={"compute": plain.compute.model_copy(update={"accelerate": False})})
    network = build_generator(**family_of(plain).generator_arguments(), seed=0).eval()
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network(torch.zeros(1, family_of(plain).in_channels, 64, 64))
    assert network_cost(plain, 64).voxel_flops == pytest.approx(counter.get_total_flops() / 64**2)


def test_what_is_kept_is_what_autograd_keeps() -> None:
    counter = networks._LiveBytes()
    x = torch.zeros(1000, requires_grad=True)
    with torch.autograd.graph.saved_tensors_hooks(counter.pack, counter.unpack):
        y = x.sin().exp()  # of sin its input, of exp its result
        assert counter.now == 2 * 4000
        y.sum().backward()
        del y
    assert counter.now == 0
    assert counter.most == 2 * 4000


def test_batches_are_those_that_the_family_is_given() -> None:
    family = family_of(settings("srcnn"))
    batch = random_batch(family, 64, 3)
    assert list(batch.txm.shape) == [3, family.in_channels, 32, 32]
    assert list(batch.sem.shape) == [3, 1, 64, 64]


@pytest.mark.parametrize("name", ["feedforward", "flow", "srcnn"])
def test_a_network_is_timed_by_steps_and_planes(name: str) -> None:
    speed = tried_speed(settings(name, width=4), 64, torch.device("cpu"))
    assert 0 < speed.voxel < speed.step < 60


LONGER = {f"{kind}_{blocks}blocks" for kind in ("resnet", "sr_resnet") for blocks in BLOCKS[1:]}  # the same, repeated


@pytest.mark.parametrize("name", sorted(TAKES.keys() - set(BASELINES) - LONGER))
def test_every_network_of_ours_can_be_tried(name: str) -> None:
    takes = TAKES[name]
    variant = {"family": "feedforward"} if not name.startswith("sr_") else {"family": "srcnn", "factor": 2}
    size = max(takes.multiple, 64)
    own = {**variant, "generator": {"name": name, "width": 2}, "batch_size": 2}
    beside = {"family": "baseline", "generator": {"name": "pointwise"}}
    chosen = load_config({"patches": {"size_px": size}, "variants": {"beside": beside, "own": own}}).variant("own")
    assert network_cost(chosen, size).voxel_flops > 0
    assert tried_speed(chosen, size, torch.device("cpu")).voxel > 0
