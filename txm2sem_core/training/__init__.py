"""Train one model variant on one patch store.

- `batches`: which patches, in which order, in which rotation
- `slice_stacks`: consecutive slices of the TXM volume, for the `stack` penalty
- `volume_fit`: whether that volume is the one of the patches
- `start`: weights of a trained model that a training starts from
- `schedules`: the learning rate over the epochs
- `validation`: scores of the validation patches
- `trainer`: epochs, steps, checkpoints, the best weights; the variant's family defines a step (`families`)
- `loop`: what is checked before, and what is left of a training: weights, description, history
"""

from txm2sem_core.training.loop import MODEL_FILES, train_model

__all__ = ["MODEL_FILES", "train_model"]
