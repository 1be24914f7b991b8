"""What of a sample's results becomes a layer of napari: TXM, predictions, uncertainty, truth, registered pairs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from txm2sem_core import io
from txm2sem_core.errors import InputError
from txm2sem_core.io import Volume
from txm2sem_core.io.coarse import coarser_levels
from txm2sem_core.measure.consistency import MAP_PX
from txm2sem_core.napari_plugin.arrays import VolumeArray
from txm2sem_core.samples.results import measured_txm, sample_folders

Layer = tuple[Any, dict[str, Any], str]
"""Data, arguments of the layer, and its kind."""
Reader = Callable[[Any], list[Layer]]
_PERCENTILES = (0.5, 99.5)  # black and white
_UNCERTAINTY = "inferno"


def get_reader(path: str | list[str]) -> Reader | None:
    """The function that opens a folder of results, or of one of its samples; None for anything else."""
    if isinstance(path, str) and sample_folders(Path(path)):
        return read_layers
    return None


def read_layers(path: str) -> list[Layer]:
    """The layers of the first sample in a folder of results, or of the sample whose folder it is.

    Of several samples the others' names are said. Hidden at first are all layers but the TXM and the first prediction.

    Raises:
        InputError: there is nothing to show in it.
    """
    first, *others = sample_folders(Path(path))
    if others:
        names = ", ".join(one.name for one in others)
        print(f"txm2sem: this is sample {first.name}; open one of {names} by its folder.")
    layers = [*_volumes(first), *_pairs(first)]
    if not layers:
        raise InputError(f"{first}: there is no volume and no registered pair in it yet. Run the workflow first.")
    shown = [layers[0][1]["name"], *[one[1]["name"] for one in layers if one[1]["name"].startswith("prediction")][:1]]
    for _, arguments, _ in layers:
        arguments["visible"] = arguments["name"] in shown
    return layers


def _volumes(sample: Path) -> Iterator[Layer]:
    txm = measured_txm(sample)
    if txm is not None:
        yield _layer("TXM", [txm])
    for path in sorted((sample / "volumes").glob("*/*/sem.ome.zarr")):
        name = f"{path.parts[-3]} {path.parts[-2]}"
        channels = io.open_volume(path).channels
        for channel in range(channels):
            levels = [io.open_volume(path, channel), *coarser_levels(path, channel)]
            kind = "prediction" if channel == 0 else "uncertainty" if channel == 1 else "spread"
            yield _layer(f"{kind}: {name}", levels, **({} if channel == 0 else {"colormap": _UNCERTAINTY}))
    yield from _residuals(sample)
    truth = sample / "raw/truth/sem.tif"
    if truth.is_file():
        yield _layer("truth", [io.open_volume(truth)])


def _residuals(sample: Path) -> Iterator[Layer]:
    """How far the measured TXM is from what each volume should show; a block's middle lies on that of its voxels."""
    for path in sorted((sample / "metrics").glob("*/*/txm_residual.ome.zarr")):
        volume = io.open_volume(path)
        if np.isfinite(volume.read(volume.shape[0] // 2, volume.shape[0] // 2 + 1)).any():
            data, arguments, kind = _layer(f"TXM residual: {path.parts[-3]} {path.parts[-2]}", [volume])
            scale = arguments.get("scale", (1.0, 1.0, 1.0))
            shift = tuple(edge * (1 - 1 / MAP_PX) / 2 for edge in scale)
            yield data, arguments | {"translate": shift, "colormap": _UNCERTAINTY}, kind


def _layer(name: str, levels: list[Volume], **more: Any) -> Layer:
    """A layer of a volume and its coarser levels, in nm where its voxel size is known."""
    whole = levels[0]
    middle = whole.read(whole.shape[0] // 2, whole.shape[0] // 2 + 1)
    low, high = (float(value) for value in np.nanpercentile(middle, _PERCENTILES))
    data = [VolumeArray(level) for level in levels]
    arguments: dict[str, Any] = {"name": name, "contrast_limits": (low, high if high > low else low + 1), **more}
    sizes = whole.voxel_size_nm
    if sizes is not None and None not in sizes:
        arguments |= {"scale": sizes, "units": ("nm",) * 3}
    arguments |= {"multiscale": True} if len(data) > 1 else {}
    return data if len(data) > 1 else data[0], arguments, "image"


def _pairs(sample: Path) -> Iterator[Layer]:
    """Registered pairs as two stacks, slice n of the one on slice n of the other; smaller ones are filled with 0."""
    folder = sample / "registered/pairs"
    for kind, name in (("txm", "pairs: TXM"), ("sem", "pairs: FIB-SEM")):
        images = [io.read_image(path) for path in sorted(folder.glob(f"*_{kind}.tif"))]
        if images:
            height, width = (max(image.shape[axis] for image in images) for axis in (0, 1))
            stack = np.zeros((len(images), height, width), images[0].dtype)
            for place, image in zip(stack, images, strict=True):
                place[: image.shape[0], : image.shape[1]] = image
            yield _layer(name, [Volume.of_array(stack)])
