"""Whether a given TXM volume is the one that the patches' pairs were taken from, with the same grey scale."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from txm2sem_core.errors import InputError
from txm2sem_core.intensity.measured import Slice
from txm2sem_core.io import PatchStore, Volume
from txm2sem_core.io.field_of_view import FieldOfView
from txm2sem_core.io.voxel_sizes import UNKNOWN, differing_axes
from txm2sem_core.samples.slice_position import (
    REACH,
    SlicePosition,
    check_positions,
    compare_position,
    nearby,
    position_in_plane,
    scale_warnings,
    slices_around,
)

_REMEDY = "Give the volume that the patches were cut beside."
_LOOKED_AT = 5  # pairs, evenly over those that are there


def check_volume(store: PatchStore, volume: Volume) -> list[str]:
    """Compare a TXM volume with the TXM slices of a patch store at the same factor, some pairs of it.

    Where a slice lies in its plane is found by its pixels. Of prepared slices (`patches.txm`) nothing is compared but
    sizes: their grey levels are not the volume's.

    Args:
        store: patches; pairs without a position along z are skipped.
        volume: [Z, Y/f, X/f].

    Returns:
        Warnings, for the log and `model.json`.

    Raises:
        InputError: another bit depth, a pair beyond the last slice, or a pair's slice that is not in the plane at its z
            or is another one of the volume.
    """
    warnings = _size_warnings(store, volume)
    if not store.preparation.is_none:
        return warnings
    if volume.dtype != store.txm_dtype:
        raise InputError(
            f"{volume.source}: its voxels are {volume.dtype}, but the patches' TXM slices are {store.txm_dtype}: the "
            f"same grey level means another intensity. {_REMEDY}"
        )
    positions = list(_positions(store, volume))
    if store.factor == 1:
        return [*warnings, *check_positions(positions, volume.source)]
    return [*warnings, *scale_warnings(positions, volume.source)]  # made coarser apart from each other, with noise


def _size_warnings(store: PatchStore, volume: Volume) -> list[str]:
    z_nm, y_nm, x_nm = store.voxel_size_nm
    f = store.factor
    own = (z_nm, None if y_nm is None else y_nm * f, None if x_nm is None else x_nm * f)
    differing = differing_axes(own, volume.voxel_size_nm or UNKNOWN)
    if not differing:
        return []
    return [
        f"{volume.source} and the patches state voxel sizes that differ (along {'; along '.join(differing)}). {_REMEDY}"
    ]


def _positions(store: PatchStore, volume: Volume) -> Iterator[SlicePosition]:
    """How some pairs' slices compare with the volume's at their positions."""
    rows = store.index.drop_duplicates("pair").dropna(subset=["z"])
    for row in rows[rows["z"] >= volume.shape[0]].to_dict("records"):
        raise InputError(
            f"pair {row['pair']}: it is at z = {row['z']:g}, but {volume.source} has {volume.shape[0]} slices. "
            f"{_REMEDY}"
        )
    if rows.empty:
        return
    chosen = np.unique(np.linspace(0, len(rows) - 1, _LOOKED_AT).round().astype(int)).tolist()
    field = FieldOfView(volume)
    for row in rows.iloc[chosen].to_dict("records"):
        pair, z = str(row["pair"]), int(row["z"])
        of_pair = store.pairs[pair].txm[store.context]
        height, width = of_pair.shape
        plane = volume.read(z, z + 1)[0]
        found = position_in_plane(of_pair, field.filled(plane, field.of(plane, z)))
        if found is None and store.factor > 1:
            continue
        if found is None:
            raise InputError(
                f"pair {pair}: its TXM slice of {height} x {width} pixels is nowhere in slice z = {z} of "
                f"{volume.source}, {plane.shape[0]} x {plane.shape[1]} (Y, X). {_REMEDY}"
            )
        y, x, _ = found
        here = (slice(y, y + height), slice(x, x + width))
        around = slices_around(volume, z, REACH, here)
        yield compare_position(pair, z, Slice(of_pair), nearby(around, z, volume.shape[0]))
