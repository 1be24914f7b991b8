"""Predict SEM images from TXM images: planes by tiles, volumes slice by slice, test patches and slices."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from txm2sem_core import io
from txm2sem_core.checkpoint import LoadedModel
from txm2sem_core.config import PredictSettings
from txm2sem_core.device import choose_device
from txm2sem_core.errors import ConfigError, InputError
from txm2sem_core.intensity import IntensityRange, to_dtype
from txm2sem_core.io import Volume
from txm2sem_core.networks import ImageGenerator, inference
from txm2sem_core.progress import progress
from txm2sem_core.tiling import padded_length, plan_tiles

_ACTIVATION_BUDGET = 3 * 2**30  # bytes of activations that a plane or tile may take
_LIVE_LAYERS = 3  # full-resolution activations that are alive at once in the widest part of the networks
_SMALLEST_TILE = 256
_FAR_BEYOND = 1.2  # in units where the training intensities span -1 to 1
_TOLERATED_SHARE = 0.05


class Predictor:
    """A trained model on a device, ready to predict planes in SEM intensities."""

    def __init__(self, model: LoadedModel, settings: PredictSettings, device: str = "auto") -> None:
        self.settings = settings
        self.device = choose_device(device)
        self.generator: ImageGenerator = model.generator.to(self.device)
        description: dict[str, Any] = model.description
        self.txm_range = IntensityRange(**description["normalisation"]["txm"])
        self.sem_range = IntensityRange(**description["normalisation"]["sem"])
        self.sem_dtype = np.dtype(description["sem_dtype"])
        self.mode: str = description["inference_mode"]
        self.width: int = description["generator"].get("width", 1)
        self.context = (self.generator.in_channels - 1) // 2
        torch.manual_seed(0)  # dropout at test time, where the model asks for it, is repeatable

    @property
    def factor(self) -> int:
        """SEM pixels a TXM pixel, along y and x."""
        return self.generator.factor

    def predict_plane(self, txm: np.ndarray) -> np.ndarray:
        """Predict a plane of any size.

        Args:
            txm: [C, Y, X], the slice with its neighbours in z, in TXM intensities.

        Returns:
            [Y * factor, X * factor], float32 SEM intensities.
        """
        _, height, width = txm.shape
        generator = self.generator
        padded = [padded_length(n, generator.size_multiple, generator.minimum_size) for n in (height, width)]
        unit = self.txm_range.to_unit(txm)
        unit = np.pad(unit, ((0, 0), (0, padded[0] - height), (0, padded[1] - width)), mode="symmetric")
        tile = self.settings.tile_px or self._largest_tile(max(padded))
        tiles = plan_tiles(
            (padded[0], padded[1]),
            tile,
            self.settings.overlap_px,
            generator.receptive_radius_px,
            generator.size_multiple,
        )
        f = self.factor
        plane = np.zeros((padded[0] * f, padded[1] * f), dtype=np.float32)
        with inference(generator, self.mode):
            for row, column in tiles:
                part = unit[None, :, row.read_start : row.read_stop, column.read_start : column.read_stop]
                predicted = generator(torch.from_numpy(np.ascontiguousarray(part)).to(self.device))[0, 0].cpu().numpy()
                y0, x0 = row.keep_start - row.read_start, column.keep_start - column.read_start
                kept = predicted[y0 * f :, x0 * f :]
                kept = kept[: (row.keep_stop - row.keep_start) * f, : (column.keep_stop - column.keep_start) * f]
                plane[row.keep_start * f : row.keep_stop * f, column.keep_start * f : column.keep_stop * f] += (
                    kept * np.outer(row.weights(f), column.weights(f))
                )
        return self.sem_range.from_unit(plane[: height * f, : width * f])

    def predict_patches(self, txm: np.ndarray) -> np.ndarray:
        """Predict patches [B, C, Y, X], each in one pass as in training; returns [B, Y * factor, X * factor]."""
        with inference(self.generator, self.mode):
            unit = torch.from_numpy(self.txm_range.to_unit(txm)).to(self.device)
            return self.sem_range.from_unit(self.generator(unit)[:, 0].cpu().numpy())

    def _largest_tile(self, longest: int) -> int:
        """The whole plane where its activations fit into the budget, else the largest tile that does with its halo."""
        pixels = _ACTIVATION_BUDGET / (4 * _LIVE_LAYERS * max(self.width, 1) * self.factor**2)
        side = int(pixels**0.5)
        if longest <= side:
            return longest
        halo = self.generator.receptive_radius_px
        return max(_SMALLEST_TILE, side - 2 * halo - self.settings.overlap_px)


def predict_volume(
    predictor: Predictor,
    source: Volume,
    output: Path,
    *,
    voxel_size_nm: tuple[float | None, float | None, float | None] | None = None,
    name: str = "volume",
) -> int:
    """Predict a TXM volume slice by slice into `output` (`.ome.zarr` or `.tif`), which appears only when it is whole.

    Args:
        predictor: the model on its device.
        source: TXM volume [Z, Y, X].
        output: what to write; voxels are of the training SEM images' dtype.
        voxel_size_nm: of the source (Z, Y, X), where its own metadata is wrong or missing.
        name: what the progress calls it.

    What could mislead (see `input_warnings`) is said on stderr and in the OME-Zarr's metadata.

    Returns:
        How many voxels had to be clipped to the dtype's bounds.

    Raises:
        ConfigError: the suffix of `output` is not known.
    """
    if not output.name.endswith(".zarr") and output.suffix.lower() not in (".tif", ".tiff"):
        raise ConfigError(f"{output}: the output must end in .ome.zarr or .tif.")
    clipped = 0
    depth, height, width = source.shape
    f = predictor.factor
    z_nm, y_nm, x_nm = voxel_size_nm or source.voxel_size_nm or (None, None, None)
    size_nm = (z_nm, None if y_nm is None else y_nm / f, None if x_nm is None else x_nm / f)

    warnings = input_warnings(predictor, source, (z_nm, y_nm, x_nm))
    for warning in warnings:
        print(f"predict {name}: warning: {warning}", file=sys.stderr)

    def planes() -> Iterator[np.ndarray]:
        nonlocal clipped
        for z in progress(range(depth), f"predict {name}", depth, "slices"):
            txm = source.read_around(z, predictor.context)
            plane, beyond = to_dtype(predictor.predict_plane(txm), predictor.sem_dtype)
            clipped += beyond
            yield plane

    if output.name.endswith(".zarr"):
        shape = (depth, height * f, width * f)
        io.write_ome_zarr(output, planes(), shape, predictor.sem_dtype, size_nm, {"txm2sem": {"warnings": warnings}})
    else:
        io.write_volume_tiff(output, planes(), size_nm)
    if clipped:
        print(f"predict {name}: {clipped} voxels were clipped to {predictor.sem_dtype}.", file=sys.stderr)
    return clipped


def input_warnings(predictor: Predictor, source: Volume, voxel_size_nm: io.VoxelSize) -> list[str]:
    """What makes a prediction doubtful before it is made: intensities the model never saw, an unknown voxel size.

    Intensities are those of the middle slice; some noise beyond the training images' range is no reason to warn.
    """
    warnings = []
    z = source.shape[0] // 2
    beyond = float(np.mean(np.abs(predictor.txm_range.to_unit(source.read(z, z + 1))) > _FAR_BEYOND))
    if beyond > _TOLERATED_SHARE:
        low, high = predictor.txm_range.low, predictor.txm_range.high
        warnings.append(
            f"{beyond:.0%} of slice z = {z} of {source.source} lie far outside the TXM intensities that the model was "
            f"trained on ({low:g} to {high:g}); the prediction there means nothing. Give a volume of the same bit "
            "depth and scale as the training slices."
        )
    unknown = [axis for axis, size in zip("zyx", voxel_size_nm, strict=True) if size is None]
    if unknown:
        warnings.append(
            f"the voxel size along {', '.join(unknown)} is not known and is not written. Give --voxel-size-nm Z Y X."
        )
    return warnings


def predict_test(predictor: Predictor, patches: Path, output: Path, *, name: str = "test") -> None:
    """Predict the test patches and the test slices of a patch store.

    Leaves in `output`: `patches.tif`, float32 SEM intensities [N, Y, X] in the order of the index's test rows, and
    `slices/{pair}.tif`, whole test slices in the SEM's dtype.
    """
    store = io.read_patch_store(patches)
    if store.factor != predictor.factor:
        raise InputError(f"{patches}: the patches' factor is {store.factor}, the model's {predictor.factor}.")
    if store.context < predictor.context:
        raise InputError(
            f"{patches}: the patches' context is {store.context}, the model's {predictor.context}. Raise it."
        )
    rows = store.of_split("test")
    predicted = [
        predictor.predict_patches(store.txm_patch(row["pair"], row["y"], row["x"], predictor.context)[None])[0]
        for row in progress(rows.to_dict("records"), f"predict {name} patches", len(rows), "patches")
    ]
    io.write_tiff(output / "patches.tif", np.stack(predicted), store.voxel_size_nm)
    middle = slice(store.context - predictor.context, store.context + predictor.context + 1)
    with io.atomic_path(output / "slices") as folder:
        folder.mkdir()
        for pair in rows["pair"].unique():
            plane = predictor.predict_plane(store.pairs[pair].txm[middle])
            io.write_tiff(folder / f"{pair}.tif", to_dtype(plane, store.sem_dtype)[0], store.voxel_size_nm)
