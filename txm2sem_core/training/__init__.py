"""Train one model variant on one patch store.

- `batches`: which patches, in which order, turned how
- `neighbours`: slices of the TXM volume, for the `stack` penalty
- `volume_fit`: whether that volume is the one of the patches
- `steps`: one optimisation step of each family's objective
- `schedules`: the learning rate over the epochs
- `validation`: PSNR and SSIM on the validation patches
- `loop`: epochs, checkpoints, history, selection
"""

from txm2sem_core.training.loop import MODEL_FILES, train_model

__all__ = ["MODEL_FILES", "train_model"]
