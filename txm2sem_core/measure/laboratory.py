"""`txm2sem laboratory`: what a laboratory would measure of a volume's pores, mercury intrusion and a pore network."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from txm2sem_core import io
from txm2sem_core.errors import InputError
from txm2sem_core.metrics.pores.blocks import middle
from txm2sem_core.metrics.pores.laboratory import mercury_intrusion, pore_network

HALF = 0.5  # of the pores' volume


def measure_laboratory(
    volume: Path,
    threshold: float,
    output: Path,
    voxel_size_nm: tuple[float, float, float] | None = None,
    cube_px: int = 128,
    *,
    overwrite: bool = False,
) -> dict[str, Any]:
    """Mercury intrusion and pore network of a block from the middle of a volume, written as JSON and returned.

    Args:
        volume: FIB-SEM grey levels, OME-Zarr or TIFF.
        threshold: a grey level that is not above it is pore.
        output: JSON, with the curve of the intrusion as three lists.
        voxel_size_nm: along z, y, x; None for what the file states.
        cube_px: side of the block; 0 for the whole volume, which is then held.
        overwrite: an earlier result of ours may be replaced.

    Raises:
        InputError: see `mercury_intrusion`; or the voxel size is not known.
    """
    io.check_output([volume], files=[output])
    opened = io.open_volume(volume)
    size = voxel_size_nm or opened.voxel_size_nm
    if size is None or None in size:
        raise InputError(f"{volume}: the voxel size is not known. Give --voxel-size-nm Z Y X.")
    edges = [float(edge or 0) for edge in size]
    z, y, x = middle(opened.shape, cube_px)
    pore = np.stack([opened.read(k, k + 1)[0][y, x] <= threshold for k in range(z.start, z.stop)])
    curve = mercury_intrusion(pore, edges)
    below = curve[curve["saturation"] >= HALF]
    result: dict[str, Any] = {
        "block_px": list(pore.shape),
        "voxel_size_nm": edges,
        "threshold": threshold,
        "porosity": float(pore.mean()),
        "mercury_saturation": float(curve["saturation"].max()) if len(curve) else 0.0,
        "mercury_half_filled_mpa": float(below["pressure_mpa"].iloc[0]) if len(below) else None,
        **pore_network(pore, edges),
        "mercury": {name: curve[name].tolist() for name in curve},
    }
    io.write_json(output, result | io.MARK, overwrite=overwrite)
    return result


def laboratory_text(result: dict[str, Any]) -> str:
    """The result as lines for the terminal."""
    names = {
        "porosity": "porosity of the block",
        "mercury_saturation": "share of its pores that mercury reaches",
        "mercury_half_filled_mpa": "pressure that fills half of them / MPa",
        "pores": "pores",
        "throats": "throats",
        "coordination_mean": "throats of a pore, mean",
        "pore_diameter_nm_median": "median diameter of pores / nm",
        "throat_diameter_nm_median": "median diameter of throats / nm",
    }
    lines = [(text, result[key]) for key, text in names.items()]
    width = max(len(text) for text, _ in lines)
    return "\n".join(f"{text.ljust(width)}  {'-' if value is None else f'{value:.4g}'}" for text, value in lines)
