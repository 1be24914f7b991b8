"""Batches that are cut on a device: the same ones as in the processor's memory, to the bit."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from small_data import make_store, sharp
from training_cases import settings_of

from txm2sem_core import io
from txm2sem_core.checkpoint import load_model
from txm2sem_core.families import family_of
from txm2sem_core.families.batch import Batch
from txm2sem_core.io import PatchStore
from txm2sem_core.training import train_model, trainer
from txm2sem_core.training.batches import epoch_batches
from txm2sem_core.training.device_patches import DevicePatches, bytes_on_device, patches_on

CPU, META = torch.device("cpu"), torch.device("meta")
FIELDS = ("txm", "sem", "mask", "classes")


def of_two_pairs(store: PatchStore) -> PatchStore:
    """With a second training pair of another shape, and classes."""
    first = store.pairs["000"]
    wide = np.pad(first.sem, ((0, 12), (0, 20)), mode="reflect")
    other = replace(
        first,
        sem=wide,
        mask=(sharp((1, *wide.shape), 7)[0] > 90).astype(np.uint8),
        txm=np.pad(first.txm, ((0, 0), (0, 12 // store.factor), (0, 20 // store.factor)), mode="reflect"),
    )
    index = store.index.copy()
    training = index.index[index["split"] == "train"]
    index.loc[training[::2], "pair"] = "other"
    pairs = {**store.pairs, "other": other}
    pairs = {name: replace(each, classes=(each.sem // 90).astype(np.uint8)) for name, each in pairs.items()}
    return replace(store, pairs=pairs, index=index)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize(("factor", "context"), [(1, 0), (1, 2), (4, 0)])
def test_batches_are_those_of_the_processor(tmp_path: Path, factor: int, context: int, dtype: type) -> None:
    store = of_two_pairs(make_store(tmp_path, factor=factor, context=context, train=21, dtype=dtype))
    settings = settings_of("feedforward", context=context, batch_size=4)
    on_device = DevicePatches(store, context, CPU)
    shapes = set()
    for epoch in range(3):
        plain = list(epoch_batches(store, settings, 5, epoch, start=4))
        cut = list(epoch_batches(store, settings, 5, epoch, start=4, cut=on_device.batch))
        assert len(plain) == len(cut) == 5
        for one, other in zip(plain, cut, strict=True):
            for field in FIELDS:
                expected, found = getattr(one, field), getattr(other, field)
                assert found.dtype == expected.dtype
                assert torch.equal(found, expected)
            shapes.add(tuple(one.sem.shape))
    assert shapes == {(4, 1, 32, 32), (1, 1, 32, 32)}


def test_a_device_is_asked_for_no_value(tmp_path: Path) -> None:
    store = make_store(tmp_path, context=1)
    on_device = DevicePatches(store, 1, META)
    settings = settings_of("feedforward", context=1, batch_size=4)
    learner = family_of(settings).learner(0, META)
    made: list[Batch] = []
    for batch in epoch_batches(store, settings, 0, 0, cut=on_device.batch):
        assert batch.txm.device == batch.sem.device == batch.mask.device == META
        assert batch.txm.shape == (4, 3, 32, 32)
        made.append(batch)
    assert len(made) == 3
    with torch.no_grad():
        assert learner.generator(made[0].txm).shape == (4, 1, 32, 32)


def test_its_memory_is_known_before(tmp_path: Path) -> None:
    store = of_two_pairs(make_store(tmp_path, context=2))
    on_device = DevicePatches(store, 2, CPU)
    taken = sum(t.nbytes for t in (on_device._txm, on_device._sem, on_device._mask, on_device._classes))  # type: ignore[union-attr]
    assert bytes_on_device(store, 2) == taken
    assert patches_on(CPU, store, 2) is None


@pytest.mark.parametrize("family", ["feedforward", "repair"])
def test_a_training_ends_with_the_same_bytes(tmp_path: Path, family: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a GPU would take its batches; a repair plants damage in the processor's memory, and takes them from there."""
    make_store(tmp_path / "patches")
    damage = {"damage": (0.01, 0.5)} if family == "repair" else {}
    settings = settings_of(family, schedule={"policy": "constant", "epochs": 2}, ema_decay=0.9, **damage)
    asked = []

    def on_device(device: torch.device, store: PatchStore, context: int) -> DevicePatches:
        asked.append(family)
        return DevicePatches(store, context, device)

    train_model(tmp_path / "patches", settings, 0, tmp_path / "plain", device="cpu")
    monkeypatch.setattr(trainer, "patches_on", on_device)
    train_model(tmp_path / "patches", settings, 0, tmp_path / "cut", device="cpu")
    assert asked == (["feedforward"] if family == "feedforward" else [])
    hashes = {io.sha256_file(tmp_path / name / "generator.safetensors") for name in ("plain", "cut")}
    assert len(hashes) == 1
    assert load_model(tmp_path / "cut").description["seed"] == 0
