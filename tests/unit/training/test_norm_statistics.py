"""Statistics of batch norm that belong to averaged weights, against PyTorch's own way to take them."""

from __future__ import annotations

import copy
import math
from itertools import islice
from pathlib import Path

import pytest
import torch
from small_data import make_store, tiny
from torch.optim.swa_utils import update_bn

from txm2sem_core import io
from txm2sem_core.config import TrainSettings
from txm2sem_core.families import Learner, family_of
from txm2sem_core.training import train_model
from txm2sem_core.training.batches import epoch_batches
from txm2sem_core.training.norm_statistics import PATCHES, take_statistics

CPU = torch.device("cpu")


def after_steps(settings: TrainSettings, store: io.PatchStore, steps: int = 4) -> Learner:
    family = family_of(settings)
    learner = family.learner(0, CPU)
    learner.generator.train()
    for batch in islice(epoch_batches(store, settings, 0, 0), steps):
        learner.step(batch)
    return learner


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> io.PatchStore:
    folder = tmp_path_factory.mktemp("patches")
    make_store(folder, train=48, evaluation=4)
    return io.read_patch_store(folder).in_memory()


@pytest.mark.parametrize("accelerate", [True, False])
def test_they_are_what_pytorch_takes(store: io.PatchStore, accelerate: bool) -> None:
    settings = tiny("feedforward", ema_decay=0.9, batch_size=4, compute={"accelerate": accelerate})
    learner = after_steps(settings, store)
    before = copy.deepcopy(learner.kept_generator)
    learning = copy.deepcopy(learner.generator.state_dict())

    take_statistics(family_of(settings), learner, epoch_batches(store, settings, 0, 0))
    update_bn((batch.txm for batch in islice(epoch_batches(store, settings, 0, 0), PATCHES // 4)), before)

    expected, found = before.state_dict(), learner.kept_generator.state_dict()
    assert any("running_mean" in key for key in expected)
    for key, value in expected.items():
        torch.testing.assert_close(found[key], value, rtol=1e-5, atol=1e-6, msg=key)
    assert all(torch.equal(value, learning[key]) for key, value in learner.generator.state_dict().items())
    norms = [layer for layer in learner.kept_generator.modules() if isinstance(layer, torch.nn.BatchNorm2d)]
    assert {norm.momentum for norm in norms} == {0.1}


def means(learner: Learner) -> list[torch.Tensor]:
    buffers = learner.kept_generator.named_buffers()
    return [buffer.clone() for name, buffer in buffers if name.endswith("running_mean")]


def test_a_flow_has_them_of_both_networks(store: io.PatchStore) -> None:
    settings = tiny("flow", ema_decay=0.9, batch_size=8, generator={"name": "residual_unet", "width": 4})
    learner = after_steps(settings, store)
    stale = means(learner)
    take_statistics(family_of(settings), learner, epoch_batches(store, settings, 0, 0))
    batches = min(PATCHES, len(store.of_split("train"))) / 8
    counts = [buffer for name, buffer in learner.kept_generator.named_buffers() if name.endswith("num_batches_tracked")]
    assert {int(count) for count in counts} == {math.ceil(batches)}
    assert not any(torch.equal(now, old) for now, old in zip(means(learner), stale, strict=True))


def test_a_training_keeps_them(store: io.PatchStore, tmp_path: Path) -> None:
    """The weights that are kept are those that were validated."""
    make_store(tmp_path / "p", train=16, evaluation=4)
    settings = tiny("feedforward", ema_decay=0.9, batch_size=4, select="last")
    train_model(tmp_path / "p", settings, 0, tmp_path / "m")
    from safetensors.torch import load_file

    weights = load_file(tmp_path / "m/generator.safetensors")
    counts = [int(value) for key, value in weights.items() if key.endswith("num_batches_tracked")]
    assert counts
    assert set(counts) == {4}  # of the last epoch's 4 batches alone
