"""Scores of the validation patches: in SEM intensities, or of classes."""

from __future__ import annotations

from functools import partial

import torch

from txm2sem_core.families import BatchSource, Family
from txm2sem_core.io import PatchStore
from txm2sem_core.networks import ImageGenerator, inference
from txm2sem_core.training.batches import evaluation_batches


def validate(
    family: Family,
    generator: ImageGenerator,
    store: PatchStore,
    source: BatchSource,
    device: torch.device,
    threshold: float | None = None,
) -> dict[str, float]:
    """Scores of the validation patches, the foremost first; the network stays as it was.

    Args:
        family: says how it predicts and what is scored.
        generator: what predicts.
        store: the patches.
        source: what the network is given of them, from `family.batches`.
        device: of the generator.
        threshold: grey level of the darkest phase, from `scores.pore_threshold`; None for none.
    """
    settings, meter = family.settings, family.meter(store, threshold)
    batches = evaluation_batches(store, "validation", settings.context, settings.batch_size)
    with inference(generator, settings.inference_mode):
        for batch in source.validation(batches):
            meter.add(family.predict(partial(family.alone, generator), batch.txm.to(device)).cpu(), batch)
    return meter.result()
