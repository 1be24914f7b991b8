"""Training FIB-SEM slices without the noise of the microscope, which a sample would show as rock."""

from __future__ import annotations

from dataclasses import replace

from txm2sem_core.intensity import to_dtype
from txm2sem_core.intensity.denoising import denoised
from txm2sem_core.io import PatchStore
from txm2sem_core.io.stored_images import PairImages
from txm2sem_core.runtime.progress import progress


def with_denoised_targets(store: PatchStore, strength: float, name: str) -> PatchStore:
    """The store with the FIB-SEM slices of the training pairs denoised; those that models are judged by stay.

    Args:
        store: the patches, in memory.
        strength: see `intensity.denoising.denoised`.
        name: what the progress calls the training.
    """
    names = list(dict.fromkeys(store.of_split("train")["pair"]))
    pairs = dict(store.pairs)
    for pair in progress(names, f"train {name}: denoise FIB-SEM slices", len(names), "slices"):
        images = pairs[pair]
        assert isinstance(images, PairImages)  # the store is in memory
        pairs[pair] = replace(images, sem=to_dtype(denoised(images.sem, strength), images.sem.dtype)[0])
    return replace(store, pairs=pairs)
