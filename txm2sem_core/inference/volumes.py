"""Predict volumes unit by unit: a prediction alone, or with its uncertainty; alone, or as one of several jobs.

A unit is some slices, written at once and marked when complete (`io.unit_store`). A killed volume resumes
with the units that are not marked, and is the same to the byte as one that was not.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from txm2sem_core import io
from txm2sem_core.checkpoint import load_model
from txm2sem_core.config import PredictSettings
from txm2sem_core.errors import ConfigError
from txm2sem_core.inference.ensemble import EnsemblePredictor
from txm2sem_core.inference.outputs import Prediction, PredictionWithUncertainty, VolumeOutput, uncertainty_file
from txm2sem_core.inference.predictor import Predictor
from txm2sem_core.inference.volume_job import OnProgress, Part, PredictedVolume, ShouldStop, VolumeJob
from txm2sem_core.io import Volume
from txm2sem_core.metrics import Calibration


def predict_volume(
    model: str | Path | Predictor | EnsemblePredictor,
    source: str | Path | Volume,
    target: str | Path,
    *,
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
) -> PredictedVolume:
    """Predict a TXM volume into `target`, which appears only when it is complete; resumes where a killed call stopped.

    An existing volume of the same model, settings and input is kept: nothing is predicted.

    Memory does not grow with the number of slices. Reading, computing and writing go on at the same time.

    Args:
        model: folder of a model, or a `Predictor`; of an `EnsemblePredictor` the uncertainty is written too: an
            OME-Zarr then has the axes c, z, y, x and the channels `prediction` and `uncertainty`, a standard deviation
            in grey levels. With a calibration that is the calibrated one, and a third channel, `spread`, holds that of
            the predictions as they were. Both are rounded to the SEM's dtype, up to 1 where they are less but not zero.
            With a TIFF, NAME.tif holds the prediction and NAME_uncertainty.tif the uncertainty.
        source: TXM volume [Z, Y, X], or its path.
        target: what to write, NAME.ome.zarr or NAME.tif; voxels are of the training SEM images' dtype.
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

    Raises:
        ConfigError: the suffix of `target`, or the slab, cannot be.
        InputError: something cannot be read or written, or `only_finish` was asked and units are missing; or `target`
            is an input or something of the user's (see `io.check_output`).
    """
    target = Path(target)
    part = Part(slab, only_finish, on_progress, should_stop)
    several = isinstance(model, EnsemblePredictor)
    read = [source.source if isinstance(source, Volume) else source, model if isinstance(model, (str, Path)) else None]
    check_volume_output(target, read, several=several)
    if isinstance(source, (str, Path)):
        source = io.open_volume(source)
    if isinstance(model, (str, Path)):
        chosen = settings or PredictSettings()
        if tile is not None:
            chosen = chosen.model_copy(update={"tile_px": tile})
        model = Predictor(load_model(model), chosen, device)
    output: VolumeOutput
    if isinstance(model, EnsemblePredictor):
        output = PredictionWithUncertainty(model, calibration, several_files=not target.name.endswith(".zarr"))
    else:
        output = Prediction(model)
    job = VolumeJob(output, source, target, voxel_size_nm, name, overwrite=overwrite)
    return job.finished() or job.run(part)


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
