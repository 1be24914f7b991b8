"""Masks that say what was measured, as the user gave them: not zero = measured."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from txm2sem_core.errors import InputError
from txm2sem_core.io.finer import finer_volume
from txm2sem_core.io.images import not_zero, read_mask
from txm2sem_core.io.volume import Volume
from txm2sem_core.io.volumes import open_volume

_MOST_INVERTED = 0.5  # of an image that is marked at its corners and not in its middle, which no field of view is
LEAST_MEASURED = 0.05  # share of an image or a volume; a mask of less may have the opposite meaning


def read_measured(path: Path, image: Path, shape: tuple[int, ...]) -> np.ndarray:
    """Read the mask of an image of `shape` (Y, X): True where it was measured.

    Raises:
        InputError: it cannot be read, is of another shape, marks less than `LEAST_MEASURED`, or the opposite.
    """
    mask = read_mask(path)
    if mask.shape != tuple(shape):
        raise InputError(
            f"{path} is {mask.shape} and {image} is {tuple(shape)} (Y, X): a mask of what was measured must fit its "
            "slice. Export both alike."
        )
    if mask.mean() < LEAST_MEASURED:
        raise _too_little(str(path), float(mask.mean()), str(image))
    if _is_inverted(mask):
        raise _inverted(str(path), str(image))
    return mask


def with_mask(volume: Volume, path: str | Path | None, finer: int = 1) -> Volume:
    """The volume and its further scans with the mask of what was measured; as they are where `path` is None.

    Args:
        volume: [Z, Y, X].
        path: one image [Y, X] for all slices, or a volume of the same shape, in any format that `open_volume` reads; of
            a volume on a finer grid also one that fits the file.
        finer: also a mask of the volume that this one was made coarser from, by this factor along y and x, will do. A
            coarse voxel was measured where all of its pixels were.

    Raises:
        InputError: the mask cannot be read, or is of another shape.
    """
    if path is None:
        return volume
    mask = open_volume(path)
    depth, height, width = volume.shape
    if (mask.shape[1] * volume.finer, mask.shape[2] * volume.finer) == (height, width):
        mask = finer_volume(mask, volume.finer)
    factor = next((f for f in (1, finer) if (mask.shape[1] // f, mask.shape[2] // f) == (height, width)), None)
    if factor is None or mask.shape[0] not in (1, depth):
        raise InputError(
            f"{path} has the shape {mask.shape} and {volume.source} {volume.shape} (Z, Y, X): a mask of what was "
            "measured is one image [Y, X] for all slices, or a volume of the same shape. Export both alike."
        )

    def marked(z0: int, z1: int) -> np.ndarray:
        slab = mask.read(z0, z1)
        if slab.dtype.kind == "f" and np.isnan(slab).any():
            raise InputError(f"{path}: a mask is zero or not zero, but it holds NaN. Write 0 there.")
        blocks = not_zero(slab)[:, : height * factor, : width * factor]
        return np.asarray(blocks.reshape(-1, height, factor, width, factor).all(axis=(2, 4)))

    if mask.shape[0] == depth:
        read = marked
    else:
        of_all = marked(0, 1)[0]

        def read(z0: int, z1: int) -> np.ndarray:
            return np.broadcast_to(of_all, (z1 - z0, height, width))

    kind = np.dtype(bool)
    found = Volume(volume.shape, kind, mask.voxel_size_nm, str(path), read, files=mask.files)
    return replace(volume, mask=found, further=tuple(replace(other, mask=found) for other in volume.further))


def check_share(volume: Volume) -> None:
    """Raise `InputError` if the volume has a mask that marks less than `LEAST_MEASURED` of it, or the opposite.

    No more of the mask is read than tells it; slices far apart come first.
    """
    if volume.mask is None:
        return
    depth, height, width = volume.shape
    digits, middle = depth.bit_length(), depth // 2
    order = sorted(range(depth), key=lambda z: (z != middle, f"{z:0{digits}b}"[::-1]))
    count, total = 0, depth * height * width
    for z in order:
        mask = volume.mask.read(z, z + 1)[0]
        if z == middle and _is_inverted(mask):
            raise _inverted(volume.mask.source, volume.source)
        count += int(np.count_nonzero(mask))
        if count >= LEAST_MEASURED * total:
            return
    raise _too_little(volume.mask.source, count / total, volume.source)


def _is_inverted(mask: np.ndarray) -> bool:
    """Whether a mask [Y, X] marks all corners and not the middle, and less than half: what lies outside of a circle."""
    height, width = mask.shape
    corners = mask[0, 0] and mask[0, -1] and mask[-1, 0] and mask[-1, -1]
    return bool(corners and not mask[height // 2, width // 2] and mask.mean() < _MOST_INVERTED)


def _inverted(path: str, image: str) -> InputError:
    return InputError(
        f"{path}: it marks the corners of {image} as measured and the middle as not, as if it were inverted. A mask of "
        "what was measured is not zero where it was. Correct it, or give none."
    )


def _too_little(path: str, share: float, image: str) -> InputError:
    marks = f"only {share:.2%}" if share else "nothing"
    return InputError(
        f"{path}: it marks {marks} of {image} as measured, at least {LEAST_MEASURED:.0%} is expected. A mask of what "
        "was measured is not zero where it was: look whether yours is inverted. Correct it, or give none."
    )
