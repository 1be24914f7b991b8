"""Scores of the validation patches, in SEM intensities."""

from __future__ import annotations

import numpy as np
import torch

from txm2sem_core.config import TrainSettings
from txm2sem_core.io import PatchStore
from txm2sem_core.metrics.image import psnr, ssim
from txm2sem_core.networks import ImageGenerator, inference
from txm2sem_core.training.batches import evaluation_batches
from txm2sem_core.training.selection import RockMeter


def validate(
    generator: ImageGenerator,
    store: PatchStore,
    settings: TrainSettings,
    device: torch.device,
    threshold: float | None = None,
) -> dict[str, float]:
    """Mean PSNR (dB) and SSIM of the validation patches, and how well they show the rock; the network stays as it was.

    Args:
        generator: what predicts.
        store: the patches.
        settings: batch size, context and inference mode.
        device: of the generator.
        threshold: grey level of the darkest phase, from `selection.pore_threshold`; None for none.
    """
    data_range = store.data_range()
    scores, rock = [], RockMeter(threshold, store.size_px)
    with inference(generator, settings.inference_mode):
        for batch in evaluation_batches(store, "validation", settings.context, settings.batch_size):
            predicted = generator(batch.txm.to(device)).cpu().numpy()
            for prediction, target, mask in zip(predicted, batch.sem.numpy(), batch.mask.numpy(), strict=True):
                pair = store.sem_range.from_unit(prediction[0]), store.sem_range.from_unit(target[0])
                scores.append((psnr(*pair, data_range, mask[0]), ssim(*pair, data_range, mask[0])))
                rock.add(*pair, mask[0])
    mean = np.mean(scores, axis=0)
    return {"validation_psnr": float(mean[0]), "validation_ssim": float(mean[1]), **rock.result()}
