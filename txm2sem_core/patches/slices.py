"""The TXM slices of a pair with their neighbours in z, of each scan: from the volume, or along a plane in it."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from txm2sem_core import io
from txm2sem_core.config import PatchesSettings
from txm2sem_core.errors import InputError
from txm2sem_core.intensity.measured import Slice
from txm2sem_core.io import Volume
from txm2sem_core.patches.oblique import slices_on_plane
from txm2sem_core.samples.slice_position import REACH, SlicePosition, compare_position, nearby, slices_around


def slices_of_pair(
    registered: Path, row: Any, txm: Slice, volume: Volume | None, settings: PatchesSettings, aspect: float
) -> tuple[list[list[Slice]], list[SlicePosition]]:
    """The TXM slices of a pair with their context, of each scan; and how each compares with its place in the volume.

    Args:
        registered: what the register stage left.
        row: of the pair in its index.
        txm: the pair's slice in the first scan.
        volume: the TXM volume with its further scans; None where there is none.
        settings: the context k.
        aspect: height of a voxel over its width.

    Returns:
        Of each scan the 2 k + 1 slices around the pair, and its position in the volume; none where it is not known.

    Raises:
        InputError: volume and slices do not fit each other, or the context needs a volume.
    """
    named, context = row._asdict(), settings.context
    if volume is not None and isinstance(named.get("grid"), str):
        grid = io.plane_of_text(row.grid, f"pair {row.pair}")
        own = [txm, *(io.volume_on(scan, grid, txm.shape) for scan in volume.further)]
        scans = zip(volume.scans, own, strict=True)
        return [slices_on_plane(scan, slice_, row, context, aspect) for scan, slice_ in scans], []
    kinds = itertools.takewhile(lambda kind: isinstance(named.get(kind), str), map(io.name_of_scan, itertools.count(2)))
    own = [txm, *(io.read_registered(registered, named, kind) for kind in kinds)]
    if volume is not None and len(volume.scans) != len(own):
        raise InputError(
            f"pair {row.pair}: {registered} has it in {len(own)} TXM scans, but {len(volume.scans)} volumes are given. "
            "Give the volume of each scan."
        )
    if volume is not None and not pd.isna(row.z):
        found = [_around(scan, slice_, row, context) for scan, slice_ in zip(volume.scans, own, strict=True)]
        return [stack for stack, _ in found], [position for _, position in found]
    if context:
        raise InputError(
            f"pair {row.pair}: patches.context = {context} needs the TXM volume and the pair's z in it. "
            "Give txm_volume and pair_z in the sample table, or set patches.context to 0."
        )
    return [[slice_] for slice_ in own], []


def slices_beyond(row: Any, txm: Slice, volume: Volume | None, context: int, aspect: float) -> list[Slice]:
    """The slices of the first scan next to the context of a pair, up to `io.REACH_Z` on each side: below, then above.

    What the TXM mixes along z is learnt from them. None where there is no volume or it ends before, or where the
    pair's z is not known.
    """
    if volume is None or context >= io.REACH_Z:
        return []
    if isinstance(row._asdict().get("grid"), str):
        found = slices_on_plane(volume, txm, row, io.REACH_Z, aspect)
    elif pd.isna(row.z) or not io.REACH_Z <= int(row.z) < volume.shape[0] - io.REACH_Z:
        return []
    else:
        crop = (slice(int(row.y0), int(row.y1)), slice(int(row.x0), int(row.x1)))
        found = slices_around(volume, int(row.z), io.REACH_Z, crop)
    beyond = [*found[: io.REACH_Z - context], *found[io.REACH_Z + context + 1 :]]
    measured = np.logical_and.reduce([each.mask for each in beyond])
    return [] if (txm.mask & ~measured).any() else beyond


def _around(volume: Volume, txm: Slice, row: Any, context: int) -> tuple[list[Slice], SlicePosition]:
    """A pair's TXM slice with `context` neighbours in the volume on each side, and how it compares with its own."""
    z, name = int(row.z), str(row.pair)
    if not 0 <= z < volume.shape[0]:
        raise InputError(
            f"pair {name}: z = {z} is outside {volume.source} of {volume.shape[0]} slices. Correct pair_z."
        )
    if volume.shape[1] < row.y1 or volume.shape[2] < row.x1:
        raise InputError(f"{volume.source}: planes of {volume.shape[1:]} do not cover pair {name}'s slice.")
    if volume.dtype != txm.image.dtype:
        raise InputError(
            f"{volume.source}: its voxels are {volume.dtype}, but pair {name}'s TXM slice is {txm.image.dtype}. "
            "Export both with the same bit depth."
        )
    crop = (slice(int(row.y0), int(row.y1)), slice(int(row.x0), int(row.x1)))
    reach = max(context, REACH)
    planes = slices_around(volume, z, reach, crop)
    stack = planes[reach - context : reach + context + 1]
    stack[context] = txm
    return stack, compare_position(name, z, txm, nearby(planes, z, volume.shape[0]))
