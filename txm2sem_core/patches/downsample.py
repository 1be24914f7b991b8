"""Make TXM images coarser, to train and test super-resolution on pairs of equal pixel size."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from txm2sem_core import io
from txm2sem_core.config import DownsampleSettings
from txm2sem_core.intensity import to_dtype
from txm2sem_core.io import PairImages, PatchStore, Volume
from txm2sem_core.io.field_of_view import FieldOfView


def downsample_nearest(image: np.ndarray, factor: int) -> np.ndarray:
    """Every `factor`-th pixel of [..., Y, X], as the published code does.

    It aliases, and the result is shifted by (factor - 1) / 2 pixels against `downsample_area`.
    """
    return image[..., ::factor, ::factor]


def downsample_area(image: np.ndarray, factor: int) -> np.ndarray:
    """Mean of blocks of factor x factor pixels of [..., Y, X], as float32. Y and X must be multiples of `factor`."""
    *lead, height, width = image.shape
    blocks = image.astype(np.float32).reshape(*lead, height // factor, factor, width // factor, factor)
    return blocks.mean(axis=(-3, -1), dtype=np.float64).astype(np.float32)  # exact where a block has one value


def downsample_psf(image: np.ndarray, factor: int, sigma_px: float) -> np.ndarray:
    """Blur [..., Y, X] with a Gaussian of `sigma_px` coarse pixels, then take the means of blocks, as float32."""
    from scipy import ndimage

    sigma = [0.0] * (image.ndim - 2) + [sigma_px * factor] * 2
    return downsample_area(ndimage.gaussian_filter(image.astype(np.float32), sigma, mode="reflect"), factor)


def downsample(
    image: np.ndarray, factor: int, settings: DownsampleSettings, noise_unit: float, rng: np.random.Generator
) -> np.ndarray:
    """Make [..., Y, X] coarser by `factor` in y and x, in the same dtype.

    Args:
        image: Y and X multiples of `factor`.
        factor: how many pixels become one, a side.
        settings: the method; `psf` adds Gaussian noise of `noise_sigma * noise_unit`.
        noise_unit: the TXM's intensity range.
        rng: source of the noise.
    """
    if settings.method == "nearest":
        return downsample_nearest(image, factor)
    if settings.method == "area":
        coarse = downsample_area(image, factor)
    else:
        coarse = downsample_psf(image, factor, settings.psf_sigma_px)
        noise = rng.standard_normal(coarse.shape, dtype=np.float32)
        coarse = coarse + noise * np.float32(settings.noise_sigma * noise_unit)
    return to_dtype(coarse, image.dtype)[0]


def downsample_patches(patches: Path, factor: int, settings: DownsampleSettings, output: Path) -> PatchStore:
    """A patch store like that in `patches` with TXM images coarser by `factor`, of the first scan; left in `output`."""
    store = io.read_patch_store(patches).of_scans(1)
    unit = store.txm_range.high - store.txm_range.low
    pairs = {
        name: PairImages(
            downsample(images.txm, factor, settings, unit, np.random.default_rng([settings.seed, factor, number])),
            images.sem,
            images.mask,
            charge=images.charge,
        )
        for number, (name, images) in enumerate(store.pairs.items())
    }
    coarse = replace(store, pairs=pairs, factor=factor)
    io.write_patch_store(output, coarse)
    return coarse


def downsample_volume(volume: Volume, factor: int, settings: DownsampleSettings, patches: Path, output: Path) -> None:
    """Make a TXM volume coarser in y and x, slice by slice, as OME-Zarr with the coarser voxel size.

    Rows and columns beyond the last multiple of `factor` are left out. Voxel size and intensity range are those of the
    patch store in `patches`. A coarse voxel of which a part was not measured was not measured, and has the value that
    those have.
    """
    store = io.read_patch_store(patches)
    unit = store.txm_range.high - store.txm_range.low
    z_nm, y_nm, x_nm = store.voxel_size_nm
    depth, height, width = volume.shape
    height, width = height // factor * factor, width // factor * factor

    field = FieldOfView(volume)

    def slices() -> Iterator[np.ndarray]:
        for z, plane in enumerate(volume.slices()):
            # z + 2^20: other noise than the pairs' own
            rng = np.random.default_rng([settings.seed, factor, z + 2**20])
            mask = field.of(plane, z)
            coarse = downsample(field.filled(plane, mask)[:height, :width], factor, settings, unit, rng)
            yield coarse if mask is None else _without_outside(coarse, plane[:height, :width], mask[:height, :width])

    coarse = (z_nm, None if y_nm is None else y_nm * factor, None if x_nm is None else x_nm * factor)
    shape = (depth, height // factor, width // factor)
    io.write_ome_zarr(output, slices(), shape, volume.dtype, coarse, {"txm2sem": {"downsampled_by": factor}})


def _without_outside(coarse: np.ndarray, plane: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """A coarse slice [Y/f, X/f] with the value outside of the fine one, where any of its pixels was not measured.

    That value is the one that most unmeasured pixels of the fine slice have: those beside the constant are mixed.
    """
    (height, width), factor = coarse.shape, plane.shape[0] // coarse.shape[0]
    whole = mask.reshape(height, factor, width, factor).all(axis=(1, 3))
    values, counts = np.unique(plane[~mask], return_counts=True)
    result = coarse.copy()
    if values.size:
        result[~whole] = values[counts.argmax()]
    return result
