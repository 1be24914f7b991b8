"""Repair of FIB-SEM slices on disk."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from txm2sem_core import io
from txm2sem_core.errors import ConfigError, InputError, print_warnings
from txm2sem_core.families import Images
from txm2sem_core.inference.compatibility import depth_warnings, range_warnings
from txm2sem_core.inference.input_checks import size_warnings
from txm2sem_core.inference.predictor import Predictor
from txm2sem_core.intensity import to_dtype
from txm2sem_core.io.voxel_sizes import UNKNOWN


def repair_plane(repairer: Predictor, txm: np.ndarray, sem: np.ndarray, charged: np.ndarray) -> tuple[np.ndarray, int]:
    """Repair a slice under the mask; all other pixels are unchanged.

    Args:
        repairer: of a family that needs a FIB-SEM slice.
        txm: [Y, X], TXM intensities, in register with the SEM slice.
        sem: [Y, X], SEM intensities; those under the mask do not matter.
        charged: [Y, X], True where charged.

    Returns:
        [Y, X] in the SEM's dtype, and how many pixels had to be clipped to its bounds.
    """
    images = Images(txm[None], sem, charged)
    output = repairer.planes.plane(repairer.given(images))
    _, clipped = to_dtype(repairer.sem_range.from_unit(output[0])[charged], sem.dtype)
    return repairer.family.image(output, images, repairer.sem_range), clipped


def repair_files(repairer: Predictor, txm: Path, sem: Path, mask: Path, output: Path, *, overwrite: bool = True) -> int:
    """Repair one slice on disk; its pixel size goes with it. Returns how many pixels were clipped.

    `repairer` is the predictor of a family that needs a FIB-SEM slice (`Family.needs_sem`).

    With `overwrite` an earlier result of ours is replaced.

    Raises:
        ConfigError: the output is no TIFF.
        InputError: the output is an input or something of the user's (see `io.check_output`), a file cannot be read,
            shapes or data types do not fit, or more is charged than the model has learnt to repair, as where a mask
            means the opposite.
    """
    io.check_output([txm, sem, mask], files=[output])
    if output.suffix.lower() not in (".tif", ".tiff"):
        raise ConfigError(f"{output}: the output must end in .tif.")
    if repairer.scans > 1:
        raise ConfigError(
            f"--txm: the model repairs by {repairer.scans} TXM scans of the rock, and this command takes one. Train it "
            "on one, or let the workflow repair the test slices."
        )
    images = {"TXM": io.read_image(txm), "FIB-SEM": io.read_image(sem)}
    charged = io.read_mask(mask)
    for path, shape in ((txm, images["TXM"].shape), (mask, charged.shape)):
        if shape != images["FIB-SEM"].shape:
            raise InputError(
                f"{path}: {shape} (Y, X), but {sem} has {images['FIB-SEM'].shape}. The slices must be in register: "
                "`txm2sem register` brings one onto the other."
            )
    if images["FIB-SEM"].dtype != repairer.sem_dtype:
        raise InputError(f"{sem}: {images['FIB-SEM'].dtype}, but the model was trained on {repairer.sem_dtype} slices.")
    greatest = repairer.family.settings.damage[1]
    if charged.mean() > greatest:
        raise InputError(
            f"{mask}: {charged.mean():.0%} of the slice is not zero, which means charged; the model has learnt to "
            f"repair at most {greatest:.0%} of a patch (train.damage). Where the mask means the opposite, as those in "
            "registered/pairs/ do (255 = usable), invert it."
        )
    prepared = repairer.preparation.apply(images["TXM"])
    looked_at = repairer.family.settings.repair_from != "sem"
    warnings = depth_warnings(repairer, [images["TXM"].dtype], [str(txm)]) if looked_at else []
    warnings += range_warnings(prepared, repairer.txm_range, str(txm), "TXM") if looked_at else []
    warnings += range_warnings(images["FIB-SEM"][~charged], repairer.sem_range, str(sem), "FIB-SEM")
    warnings += size_warnings(repairer, str(sem), io.read_voxel_size_nm(sem) or UNKNOWN)
    print_warnings("repair", warnings)
    plane, clipped = repair_plane(repairer, prepared, images["FIB-SEM"], charged)
    io.write_tiff(output, plane, io.read_voxel_size_nm(sem), overwrite=overwrite)
    return clipped
