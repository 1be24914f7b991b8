"""Predict volumes slice by slice: a prediction alone, or with its uncertainty."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from txm2sem_core import io
from txm2sem_core.errors import ConfigError
from txm2sem_core.inference.predictor import Predictor
from txm2sem_core.inference.spread import SpreadPredictor
from txm2sem_core.intensity import deviation_to_dtype, to_dtype
from txm2sem_core.io import Channel, Volume
from txm2sem_core.metrics import Calibration
from txm2sem_core.progress import progress

_FAR_BEYOND = 1.2  # in units where the training intensities span -1 to 1
_TOLERATED_SHARE = 0.05
PREDICTION = Channel("prediction")
UNCERTAINTY = Channel("uncertainty", colour="E69F00", shown=False, from_zero=True)
SPREAD = Channel("spread", colour="56B4E9", shown=False, from_zero=True)


class _Job:
    """What every prediction of a volume has: sizes, warnings, progress, and the count of clipped voxels."""

    def __init__(
        self, predictor: Predictor | SpreadPredictor, source: Volume, voxel_size_nm: io.VoxelSize | None, name: str
    ) -> None:
        self.predictor, self.source, self.name = predictor, source, name
        self.clipped = 0
        f = predictor.factor
        depth, height, width = source.shape
        self.shape = (depth, height * f, width * f)
        z_nm, y_nm, x_nm = voxel_size_nm or source.voxel_size_nm or (None, None, None)
        self.size_nm = (z_nm, None if y_nm is None else y_nm / f, None if x_nm is None else x_nm / f)
        self.warnings = input_warnings(predictor, source, (z_nm, y_nm, x_nm))
        for warning in self.warnings:
            print(f"predict {name}: warning: {warning}", file=sys.stderr)

    def slices(self) -> Iterator[np.ndarray]:
        """Every TXM slice with the neighbours that the network sees, [C, Y, X]."""
        depth = self.source.shape[0]
        for z in progress(range(depth), f"predict {self.name}", depth, "slices"):
            yield self.predictor.preparation.apply(self.source.read_around(z, self.predictor.context))

    def counted(self, plane_and_clipped: tuple[np.ndarray, int]) -> np.ndarray:
        """The plane, its clipped voxels counted."""
        plane, clipped = plane_and_clipped
        self.clipped += clipped
        return plane

    def done(self) -> int:
        """Say how many voxels were clipped, and return it."""
        if self.clipped:
            dtype = self.predictor.sem_dtype
            print(f"predict {self.name}: {self.clipped} voxels were clipped to {dtype}.", file=sys.stderr)
        return self.clipped


def predict_volume(
    predictor: Predictor,
    source: Volume,
    output: Path,
    *,
    voxel_size_nm: io.VoxelSize | None = None,
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
    _check_suffix(output)
    job = _Job(predictor, source, voxel_size_nm, name)

    def planes() -> Iterator[np.ndarray]:
        for txm in job.slices():
            yield job.counted(to_dtype(predictor.predict_plane(txm), predictor.sem_dtype))

    if output.name.endswith(".zarr"):
        attributes = {"txm2sem": {"warnings": job.warnings}}
        io.write_ome_zarr(output, planes(), job.shape, predictor.sem_dtype, job.size_nm, attributes)
    else:
        io.write_volume_tiff(output, planes(), job.size_nm)
    return job.done()


def predict_volume_with_uncertainty(
    predictor: SpreadPredictor,
    source: Volume,
    output: Path,
    *,
    calibration: Calibration | None = None,
    voxel_size_nm: io.VoxelSize | None = None,
    name: str = "volume",
) -> int:
    """Predict a TXM volume and the uncertainty of every voxel, as `predict_volume` does otherwise.

    An OME-Zarr has the axes c, z, y, x and the channels `prediction` and `uncertainty`: a standard deviation in grey
    levels. With a calibration that is the calibrated one, and a third channel, `spread`, holds that of the predictions
    as they were. Both are rounded to the SEM's dtype, up to 1 where they are less but not zero. With a TIFF, NAME.tif
    holds the prediction and NAME_uncertainty.tif the uncertainty.

    Returns:
        How many voxels of all channels had to be clipped to the dtype's bounds.

    Raises:
        ConfigError: the suffix of `output` is not known.
    """
    _check_suffix(output)
    job = _Job(predictor, source, voxel_size_nm, name)
    as_zarr, dtype = output.name.endswith(".zarr"), predictor.sem_dtype

    def planes() -> Iterator[np.ndarray]:
        for txm in job.slices():
            mean, spread = predictor.predict_plane(txm)
            deviations = [spread] if calibration is None else [calibration.apply(spread), spread]
            kept = deviations if as_zarr else deviations[:1]
            yield np.stack(
                [job.counted(to_dtype(mean, dtype)), *(job.counted(deviation_to_dtype(d, dtype)) for d in kept)]
            )

    if as_zarr:
        channels = [PREDICTION, UNCERTAINTY] + [SPREAD] * (calibration is not None)
        attributes = {"warnings": job.warnings, "uncertainty": _described(predictor, calibration)}
        io.write_ome_zarr(output, planes(), job.shape, dtype, job.size_nm, {"txm2sem": attributes}, channels)
    else:
        both = [output, output.with_stem(f"{output.stem}_uncertainty")]
        io.write_volume_tiffs(both, planes(), job.size_nm)
    return job.done()


def _described(predictor: SpreadPredictor, calibration: Calibration | None) -> dict[str, Any]:
    """How the uncertainty was made, for the metadata."""
    return {
        **predictor.describe(),
        "meaning": "standard deviation in grey levels",
        "calibration": None if calibration is None else calibration.as_dict(),
    }


def _check_suffix(output: Path) -> None:
    """Raise `ConfigError` unless `output` is named as a volume that can be written."""
    if not output.name.endswith(".zarr") and output.suffix.lower() not in (".tif", ".tiff"):
        raise ConfigError(f"{output}: the output must end in .ome.zarr or .tif.")


def input_warnings(predictor: Predictor | SpreadPredictor, source: Volume, voxel_size_nm: io.VoxelSize) -> list[str]:
    """What makes a prediction doubtful before it is made: intensities the model never saw, an unknown voxel size.

    Intensities are those of the middle slice; some noise beyond the training images' range is no reason to warn.
    """
    warnings = []
    if source.channels > 1:
        warnings.append(f"{source.source} has {source.channels} channels; the first is taken for the TXM volume.")
    z = source.shape[0] // 2
    beyond = float(
        np.mean(np.abs(predictor.txm_range.to_unit(predictor.preparation.apply(source.read(z, z + 1)))) > _FAR_BEYOND)
    )
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
