"""Scores of the validation patches: in SEM intensities, or of classes."""

from __future__ import annotations

import numpy as np
import torch

from txm2sem_core.config import TrainSettings
from txm2sem_core.families.side_tasks import composed, scores_under
from txm2sem_core.io import PatchStore
from txm2sem_core.metrics.image import psnr, ssim
from txm2sem_core.metrics.pores.phases import dice_from_confusion
from txm2sem_core.networks import ImageGenerator, inference
from txm2sem_core.training.batches import evaluation_batches
from txm2sem_core.training.selection import RockMeter
from txm2sem_core.training.tasks import Task, class_scores


def validate(
    generator: ImageGenerator,
    store: PatchStore,
    settings: TrainSettings,
    device: torch.device,
    task: Task,
    threshold: float | None = None,
) -> dict[str, float]:
    """Scores of the validation patches, the foremost first; the network stays as it was.

    Mean PSNR (dB) and SSIM, of repair under the damage alone, and how well the patches show the rock; of segmentation
    the mean Dice coefficient of the classes that there are.

    Args:
        generator: what predicts.
        store: the patches.
        settings: batch size, context and inference mode.
        device: of the generator.
        task: what the network is given.
        threshold: grey level of the darkest phase, from `selection.pore_threshold`; None for none.
    """
    data_range = store.data_range()
    scores, rock = [], RockMeter(threshold, store.size_px)
    counts = torch.zeros((0, 0))
    batches = evaluation_batches(store, "validation", settings.context, settings.batch_size)
    with inference(generator, settings.inference_mode):
        for batch in task.validation(batches):
            output = generator(batch.txm.to(device)).cpu()
            if settings.family == "segmentation" and batch.classes is not None:
                found = class_scores(output, batch.classes, batch.mask)
                counts = found if not counts.numel() else counts + found
                continue
            predicted = composed(output, batch.txm) if settings.family == "repair" else output
            judged = batch.mask if batch.judged is None else batch.judged
            for prediction, target, mask in zip(predicted.numpy(), batch.sem.numpy(), judged.numpy(), strict=True):
                pair = store.sem_range.from_unit(prediction[0]), store.sem_range.from_unit(target[0])
                if batch.judged is None:
                    scores.append((psnr(*pair, data_range, mask[0]), ssim(*pair, data_range, mask[0])))
                else:
                    scores.append(scores_under(mask[0], *pair, data_range))
                rock.add(*pair, mask[0])
    if counts.numel():
        return {"validation_dice": float(np.nanmean(dice_from_confusion(counts.numpy())))}
    mean = np.nanmean(scores, axis=0)
    return {"validation_psnr": float(mean[0]), "validation_ssim": float(mean[1]), **rock.result()}
