"""What makes a prediction doubtful before it is made."""

from __future__ import annotations

import numpy as np

from txm2sem_core import io
from txm2sem_core.inference.predictor import Predictor
from txm2sem_core.inference.spread import SpreadPredictor
from txm2sem_core.io import Volume

_FAR_BEYOND = 1.2  # in units where the training intensities span -1 to 1
_TOLERATED_SHARE = 0.05


def input_warnings(predictor: Predictor | SpreadPredictor, source: Volume, voxel_size_nm: io.VoxelSize) -> list[str]:
    """Intensities that the model never saw, an unknown voxel size, a setting that is not used.

    Intensities are those of the middle slice; some noise beyond the training images' range is no reason to warn.
    """
    warnings = predictor.warnings
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
