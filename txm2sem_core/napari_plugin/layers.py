"""What of a sample's results becomes a layer of napari: TXM, predictions, uncertainty, truth, registered pairs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from txm2sem_core import io
from txm2sem_core.config.families import FamilyRules, rules_of
from txm2sem_core.errors import InputError
from txm2sem_core.io import Volume
from txm2sem_core.io.coarse import coarser_levels
from txm2sem_core.measure.consistency import MAP_PX
from txm2sem_core.napari_plugin.arrays import VolumeArray
from txm2sem_core.report.answer import best_of
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

    Of several samples the others' names are said. Hidden at first are all layers but the TXM and the prediction of the
    variant that speaks for the rock in the report.

    Raises:
        InputError: there is nothing to show in it.
    """
    first, *others = sample_folders(Path(path))
    if others:
        names = ", ".join(one.name for one in others)
        print(f"txm2sem: this is sample {first.name}; open one of {names} by its folder.")
    txm = measured_txm(first)
    layers = [*_volumes(first, txm), *_pairs(first, txm)]
    if not layers:
        raise InputError(f"{first}: there is no volume and no registered pair in it yet. Run the workflow first.")
    predictions = [one[1]["name"] for one in layers if one[1]["name"].startswith("prediction")]
    spoken = [name for name in predictions if name.startswith(f"prediction: {_speaking(first)} ")]
    shown = [layers[0][1]["name"], *(spoken or predictions)[:1]]
    for _, arguments, _ in layers:
        arguments["visible"] = arguments["name"] in shown
    return layers


def _speaking(sample: Path) -> str:
    """The variant that speaks for the rock in the report; empty where no table says it."""
    table = sample / "metrics/summary.csv"
    if not table.is_file():
        return ""
    rows = [{str(key): value for key, value in row.items()} for row in io.read_csv(table).to_dict("records")]
    sampling = [row["variant"] for row in rows if (rules_of(row["family"]) or FamilyRules()).samples]
    best, _ = best_of(rows, sampling)
    return "" if best is None else str(best["variant"])


def _volumes(sample: Path, txm: Volume | None) -> Iterator[Layer]:
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


def _pairs(sample: Path, txm: Volume | None) -> Iterator[Layer]:
    """Registered pairs as two stacks: on their places in the volume where these are evenly spaced, else in order.

    What a pair does not cover of the field of all is 0.
    """
    folder = sample / "registered"
    if not (folder / "index.csv").is_file():
        return
    index = io.read_csv(folder / "index.csv")
    sizes = None if txm is None else txm.voxel_size_nm
    first, step = _spacing(index)
    shape = len(index), int(index["y1"].max()), int(index["x1"].max())
    for kind, name in (("txm", "pairs: TXM"), ("sem", "pairs: FIB-SEM")):
        images = [io.read_image(folder / file) for file in index[kind]]
        stack = np.zeros(shape, images[0].dtype)
        for place, image, pair in zip(stack, images, index.itertuples(), strict=True):
            place[pair.y0 : pair.y1, pair.x0 : pair.x1] = image
        data, arguments, what = _layer(name, [Volume.of_array(stack, sizes)])
        if "scale" in arguments:
            height, *sides = arguments["scale"]
            arguments |= {"scale": (step * height, *sides), "translate": (first * height, 0.0, 0.0)}
        yield data, arguments, what


def _spacing(index: pd.DataFrame) -> tuple[int, int]:
    """The slice of the first pair, and how many slices apart they lie; 0 and 1 where they are not evenly spaced.

    So it is too where planes were sought in the volume, which need not lie along slices.
    """
    steps = index["z"].diff().dropna().unique()
    even = index["z"].notna().all() and len(steps) <= 1 and (steps >= 1).all()
    if "plane" in index or not even:
        return 0, 1
    return int(index["z"].iloc[0]), int(steps[0]) if len(steps) else 1
