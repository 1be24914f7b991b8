"""What laboratories measure of a pore space: the intrusion of mercury, and pores and throats; by PoreSpy, an extra.

PoreSpy (Gostick et al., J. Open Source Softw. 4 (2019) 1296) takes voxels as cubes, and measures from a pore's centre
to the centre of the first solid voxel. So half a voxel is taken from each radius: a crack of 3 voxels is 3 wide here.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from txm2sem_core.errors import InputError
from txm2sem_core.metrics.pores.connectivity import check_pore, voxel_size_zyx

SURFACE_TENSION_N_PER_M = 0.485  # of mercury, against vacuum
CONTACT_ANGLE_DEG = 140.0
MOST_UNEVEN = 1.01
INSTALL = "PoreSpy is not installed. Run: pip install porespy (1 GB)."


def mercury_intrusion(pore: NDArray[np.bool_], voxel_size_nm: float | Sequence[float]) -> pd.DataFrame:
    """Mercury that is pressed into `[Z, Y, X]`, True in the pores, from all six faces.

    A pore is filled where a ball of the pressure's size can come from a face to it; so wide pores behind narrow throats
    are filled at the throats' pressure. Washburn (1921): P = 4 * 0.485 N/m * |cos 140 deg| / diameter.

    Returns:
        `diameter_nm`, falling; `pressure_mpa`; `saturation`: share of the pores' volume that is filled. Pores that no
        face reaches stay empty, and are in none of the rows.

    Raises:
        InputError: no PoreSpy, not a boolean volume, no pores, or voxels that are not cubes.
    """
    edge_nm = _edge(pore, voxel_size_nm)
    if not pore.any():
        raise InputError("the volume holds no pores that mercury could be pressed into")
    radii_px = np.asarray(_porespy().filters.porosimetry(pore), dtype=float)[pore]
    sizes, counts = np.unique(np.round(radii_px, 6), return_counts=True)
    filled = sizes > 0
    diameters = (2 * sizes[filled] - 1) * edge_nm
    share = np.cumsum(counts[filled][::-1]) / np.count_nonzero(pore)
    pressure = -4 * SURFACE_TENSION_N_PER_M * math.cos(math.radians(CONTACT_ANGLE_DEG)) / diameters * 1e3
    return pd.DataFrame({"diameter_nm": diameters[::-1], "pressure_mpa": pressure[::-1], "saturation": share})


def pore_network(pore: NDArray[np.bool_], voxel_size_nm: float | Sequence[float]) -> dict[str, float]:
    """Pores and throats of `[Z, Y, X]`, True in the pores, as SNOW finds them (Gostick, Phys. Rev. E 96 (2017) 023307).

    Returns:
        `pores`, `throats`, `pores_per_um3`, `coordination_mean`: throats of a pore; medians of the diameters of the
        balls inscribed in pores and throats, weighted by number.

    Raises:
        InputError: see `mercury_intrusion`.
    """
    edge_nm = _edge(pore, voxel_size_nm)
    if not pore.any():
        raise InputError("the volume holds no pores of which a network could be made")
    found = _porespy().networks.snow2(pore, voxel_size=edge_nm, boundary_width=0).network
    pores, throats = len(found["pore.coords"]), len(found["throat.conns"])
    return {
        "pores": float(pores),
        "throats": float(throats),
        "pores_per_um3": pores / (pore.size * (edge_nm / 1000) ** 3),
        "coordination_mean": 2 * throats / pores if pores else math.nan,
        "pore_diameter_nm_median": _median(found["pore.inscribed_diameter"], edge_nm),
        "throat_diameter_nm_median": _median(found["throat.inscribed_diameter"], edge_nm),
    }


def _median(diameters: NDArray[np.float64], edge_nm: float) -> float:
    return float(np.median(diameters)) - edge_nm if len(diameters) else math.nan


def _edge(pore: NDArray[np.bool_], voxel_size_nm: float | Sequence[float]) -> float:
    check_pore(pore)
    edges = voxel_size_zyx(voxel_size_nm)
    if max(edges) > MOST_UNEVEN * min(edges):
        raise InputError(
            f"the voxels are {' x '.join(f'{edge:g}' for edge in edges)} nm (Z, Y, X), and PoreSpy takes "
            "them as cubes. Resample the volume to equal edges."
        )
    return edges[0]


def _porespy() -> Any:
    try:
        import porespy  # type: ignore[import-not-found,import-untyped,unused-ignore]
    except ImportError as error:
        raise InputError(INSTALL) from error
    porespy.settings.tqdm["disable"] = True
    return porespy
