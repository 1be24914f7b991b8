"""Predict volumes unit by unit: a prediction alone, or with its uncertainty; alone, or as one of several jobs.

A unit is some slices, written at once and marked when complete (`io.unit_store`). A killed volume resumes
with the units that are not marked, and is the same to the byte as one that was not.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import overload

import numpy as np

from txm2sem_core import io
from txm2sem_core.checkpoint import load_model
from txm2sem_core.config import PredictSettings
from txm2sem_core.errors import ConfigError
from txm2sem_core.inference.array_job import ArrayJob
from txm2sem_core.inference.ensemble import EnsemblePredictor
from txm2sem_core.inference.outputs import Prediction, PredictionWithUncertainty, VolumeOutput, uncertainty_file
from txm2sem_core.inference.predictor import Predictor
from txm2sem_core.inference.volume_job import FileJob, OnProgress, Part, PredictedVolume, ShouldStop
from txm2sem_core.io import ArrayLike, Volume
from txm2sem_core.metrics import Calibration

Model = str | Path | Predictor | EnsemblePredictor
Source = str | Path | Volume | ArrayLike


@overload
def predict_volume(
    model: Model,
    source: Source,
    target: None = None,
    *,
    further: Sequence[Source] = (),
    device: str = "auto",
    tile: int | None = None,
    settings: PredictSettings | None = None,
    calibration: Calibration | None = None,
    voxel_size_nm: io.VoxelSize | None = None,
    on_progress: OnProgress | None = None,
    name: str = "volume",
) -> np.ndarray: ...


@overload
def predict_volume(
    model: Model,
    source: Source,
    target: str | Path,
    *,
    further: Sequence[Source] = (),
    device: str = "auto",
    tile: int | None = None,
    settings: PredictSettings | None = None,
    calibration: Calibration | None = None,
    voxel_size_nm: io.VoxelSize | None = None,
    slab: tuple[int, int] | None = None,
    only_finish: bool = False,
    on_progress: OnProgress | None = None,
    should_stop: ShouldStop | None = None,
    name: str = "volume",
    overwrite: bool = True,
) -> PredictedVolume: ...


def predict_volume(
    model: Model,
    source: Source,
    target: str | Path | None = None,
    *,
    further: Sequence[Source] = (),
    device: str = "auto",
    tile: int | None = None,
    settings: PredictSettings | None = None,
    calibration: Calibration | None = None,
    voxel_size_nm: io.VoxelSize | None = None,
    slab: tuple[int, int] | None = None,
    only_finish: bool = False,
    on_progress: OnProgress | None = None,
    should_stop: ShouldStop | None = None,
    name: str = "volume",
    overwrite: bool = True,
) -> PredictedVolume | np.ndarray:
    """Predict a TXM volume: return it as an array, or write it to `target`.

    A `target` appears only when it is complete; a call resumes where a killed one stopped. An existing volume of the
    same model, settings and input is kept: nothing is predicted. Memory does not grow with the number of slices, save
    for the array that is returned. Reading, computing and writing go on at the same time.

    Args:
        model: folder of a model, or a `Predictor`; of an `EnsemblePredictor` the uncertainty is written too: an
            OME-Zarr then has the axes c, z, y, x and the channels `prediction` and `uncertainty`, a standard deviation
            in grey levels. With a calibration that is the calibrated one, and a third channel, `spread`, holds that of
            the predictions as they were. Both are rounded to the SEM's dtype, up to 1 where they are less but not zero.
            With a TIFF, NAME.tif holds the prediction and NAME_uncertainty.tif the uncertainty.
        source: TXM volume [Z, Y, X]: its path, or an array of NumPy, dask, zarr or xarray (see `io.volume_of`), a few
            slices of which are in memory at a time. For a model of several scans also an array [E, Z, Y, X] of all.
        target: what to write, NAME.ome.zarr or NAME.tif; None returns an array [Z, Y * factor, X * factor], or
            [C, Z, ...] with an uncertainty. Voxels are of the training SEM images' dtype.
        further: for a model of several scans the second and on, on the grid of the first, which `source` then is.
        device: for a model that is given as a folder: auto, cpu, cuda or mps.
        tile: for the same: side of a tile in TXM pixels; whole planes where memory allows, if not given.
        settings: for the same: all settings of the prediction; `tile` stands above them.
        calibration: of the uncertainty.
        voxel_size_nm: of the source (Z, Y, X), where its own metadata is wrong or missing.
        slab: (number from 1, of how many): make only the units of this slab. Jobs of different slabs may run at the
            same time; a last call without it, or with `only_finish`, closes the volume.
        only_finish: finish a volume with all of its units made: check them, build the pyramid, put it in place.
        on_progress: called with the slices that are done and their number in all, at first and after every slice.
        should_stop: asked before every slice; True leaves what is done for the next call.
        name: what the progress calls it.
        overwrite: an earlier volume of ours in `target` is replaced; else it is refused unless it is the same.

    What could mislead (see `compatibility.volume_warnings`) is said on stderr and in the OME-Zarr's metadata.

    Returns:
        The array, or with a `target` what was done.

    Raises:
        ConfigError: the suffix of `target`, or the slab, cannot be; or an option that needs a `target` has none.
        InputError: something cannot be read or written, or `only_finish` was asked and units are missing; or `target`
            is an input or something of the user's (see `io.check_output`).
    """
    part = Part(slab, only_finish, on_progress, should_stop)
    if target is None:
        if slab is not None or only_finish or should_stop is not None:
            raise ConfigError("slab, only_finish and should_stop need a target, where what is made waits for the rest.")
    else:
        target = Path(target)
        scans = [source, *further, *(source.further if isinstance(source, Volume) else ())]
        given = [*(one.source if isinstance(one, Volume) else one for one in scans), model]
        read = [one for one in given if isinstance(one, (str, Path))]
        check_volume_output(target, read, several=isinstance(model, EnsemblePredictor))
    output = _output(model, device, tile, settings, calibration, target)
    volume = _scans(source, further, output.predictor.scans, voxel_size_nm)
    if target is None:
        job = ArrayJob(output, volume, voxel_size_nm, name)
        job.run(part)
        return job.voxels
    into_file = FileJob(output, volume, target, voxel_size_nm, name, overwrite=overwrite)
    return into_file.finished() or into_file.run(part)


def _scans(source: Source, further: Sequence[Source], scans: int, voxel_size_nm: io.VoxelSize | None) -> Volume:
    """The scans that a model of so many predicts from."""
    if scans > 1 and not further and not isinstance(source, (str, Path, Volume)) and len(source.shape) == 4:
        return io.scans_of(source, voxel_size_nm)
    first = _volume(source, voxel_size_nm)
    return io.with_further(first, [_volume(other, voxel_size_nm) for other in further]) if further else first


def _volume(source: Source, voxel_size_nm: io.VoxelSize | None) -> Volume:
    if isinstance(source, (str, Path)):
        return io.open_volume(source)
    return source if isinstance(source, Volume) else io.volume_of(source, voxel_size_nm)


def _output(
    model: Model,
    device: str,
    tile: int | None,
    settings: PredictSettings | None,
    calibration: Calibration | None,
    target: Path | None,
) -> VolumeOutput:
    """What is predicted, by a model in memory or on disk."""
    if isinstance(model, (str, Path)):
        chosen = settings or PredictSettings()
        if tile is not None:
            chosen = chosen.model_copy(update={"tile_px": tile})
        model = Predictor(load_model(model), chosen, device)
    if isinstance(model, EnsemblePredictor):
        several_files = target is not None and not target.name.endswith(".zarr")
        return PredictionWithUncertainty(model, calibration, several_files=several_files)
    return Prediction(model)


def check_volume_output(target: Path, inputs: Iterable[str | Path | None], *, several: bool) -> None:
    """Check that a volume may be written to `target` (see `io.check_output`).

    Args:
        target: NAME.ome.zarr or NAME.tif.
        inputs: all that is read.
        several: an uncertainty is written too.

    Raises:
        ConfigError: the suffix cannot be.
        InputError: it is an input, or something of the user's.
    """
    if target.name.endswith(".zarr"):
        io.check_output(inputs, folders=[target])
    elif target.suffix.lower() in (".tif", ".tiff"):
        io.check_output(inputs, files=[target, *([uncertainty_file(target)] if several else [])])
    else:
        raise ConfigError(f"{target}: the output must end in .ome.zarr or .tif.")


def predict_volume_with_uncertainty(
    predictor: EnsemblePredictor,
    source: Volume,
    output: Path,
    *,
    calibration: Calibration | None = None,
    voxel_size_nm: io.VoxelSize | None = None,
    name: str = "volume",
) -> PredictedVolume:
    """`predict_volume` by several models, or passes with dropout."""
    return predict_volume(predictor, source, output, calibration=calibration, voxel_size_nm=voxel_size_nm, name=name)
