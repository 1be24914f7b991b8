"""Whether a FIB-SEM volume would show the TXM that was measured: no truth is needed for that.

A model of the TXM (`metrics.forward_model`) is learnt from the training pairs, and applied to a whole volume. Its
residual says where a volume cannot be right. Where it is small, a volume can still be wrong in all that the TXM blurs.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from txm2sem_core import io
from txm2sem_core.geometry import Array, Mask
from txm2sem_core.io.field_of_view import FieldOfView, Measured
from txm2sem_core.io.slice_pairs import forward_model_of
from txm2sem_core.measure.rows import rows_of_runs
from txm2sem_core.metrics.forward_model import ForwardModel, ResidualMeter
from txm2sem_core.metrics.gaps import NOT_MEASURED, Gaps, with_gaps

CONSISTENCY = "consistency"
MAP_PX = 4  # voxels along each axis that one of the residual's map stands for


def learn_forward_model(patches: Path, output: Path) -> None:
    """Learn what the TXM shows of a FIB-SEM volume, from the training pairs.

    Args:
        patches: folder of the full-resolution patch store.
        output: JSON of `ForwardModel`, with the full widths at half maximum in nm where the voxel size is known; or
            `not_measured`, where the pairs do not allow it.
    """
    store = io.read_patch_store(patches)
    gaps, description = Gaps("learn_forward_model"), dict[str, object]()
    with gaps.of(CONSISTENCY):
        model = forward_model_of(store)
        description = model.as_dict()
        if all(store.voxel_size_nm):
            widths = zip(model.sigma_px, store.voxel_size_nm, strict=True)
            description["fwhm_nm"] = [sigma * (edge or 0.0) * np.sqrt(8 * np.log(2)) for sigma, edge in widths]
    io.write_json(output, with_gaps(description, gaps))


def measure_consistency(
    volume: str | Path, txm: str | Path, patches: Path, model: Path, output: Path, residual_map: Path
) -> None:
    """How far the measured TXM is from what a FIB-SEM volume should show.

    Args:
        volume: OME-Zarr or TIFF, predicted or true.
        txm: the measured TXM volume, which covers it from its first voxel on.
        patches: folder of the patch store, which says how the TXM is prepared.
        model: what `learn_forward_model` left.
        output: JSON of `ResidualMeter.metrics`.
        residual_map: OME-Zarr of the root mean square residual in blocks of `MAP_PX` voxels, in units of the model;
            NaN where no voxel of a block could be judged.
    """
    store, description = io.read_patch_store(patches), io.read_json(model)
    gaps, metrics = Gaps("measure_consistency"), dict[str, float]()
    gaps.reasons |= description.get(NOT_MEASURED, {})
    opened = io.open_volume(volume)
    depth, *plane = (-(-n // MAP_PX) for n in opened.shape)
    z_nm, y_nm, x_nm = (None if edge is None else MAP_PX * edge for edge in opened.voxel_size_nm or (None, None, None))
    shape = (plane[0], plane[1])

    def write(blocks: Iterable[Array]) -> None:
        size, marks = (z_nm, y_nm, x_nm), {"txm2sem": {"map": CONSISTENCY, "block_px": MAP_PX}}
        io.write_ome_zarr(residual_map, blocks, (depth, *shape), np.float32, size, marks, block_px=MAP_PX)

    if not gaps.reasons:
        with gaps.of(CONSISTENCY):
            meter = ResidualMeter()
            write(in_blocks(meter.each(residuals(opened, io.open_volume(txm), store, description)), shape))
            metrics = meter.metrics()
    if gaps.reasons:
        write(np.full(shape, np.nan, np.float32) for _ in range(depth))
    io.write_json(output, with_gaps(metrics, gaps))


def in_blocks(slices: Iterable[tuple[Array, Mask]], shape: tuple[int, int]) -> Iterator[Array]:
    """The root mean square of a residual in blocks of `MAP_PX` voxels along each axis; NaN where none is judged.

    Args:
        slices: of the residual `[Y, X]` in the order of z, and where it is judged.
        shape: of the slices of blocks; the last blocks may be smaller, and what lies beyond the residual is NaN.
    """
    sums, counts, held = np.zeros(shape), np.zeros(shape), 0
    for residual, judged in slices:
        for total, values in ((sums, np.where(judged, np.square(residual, dtype=np.float64), 0)), (counts, judged)):
            rows, columns = (np.arange(0, n, MAP_PX) for n in values.shape)
            own = np.add.reduceat(np.add.reduceat(values.astype(np.float64), rows, axis=0), columns, axis=1)
            total[: len(rows), : len(columns)] += own
        held += 1
        if held == MAP_PX:
            yield _root_mean(sums, counts)
            sums, counts, held = np.zeros(shape), np.zeros(shape), 0
    if held:
        yield _root_mean(sums, counts)


def _root_mean(sums: Array, counts: Array) -> Array:
    return np.where(counts > 0, np.sqrt(sums / np.maximum(counts, 1)), np.nan).astype(np.float32)


def residuals(
    volume: io.Volume, txm: io.Volume, store: io.PatchStore, description: dict[str, object]
) -> Iterator[tuple[Array, Mask]]:
    """The measured TXM minus what the volume should show, slice by slice in units of the model; and where it is judged.

    Args:
        volume: of FIB-SEM grey levels.
        txm: as it was measured.
        store: how the TXM is prepared.
        description: of the forward model.
    """
    model = ForwardModel.from_dict(description)
    field, measured = FieldOfView(volume, guess=False), FieldOfView(txm, guess=False)
    seen = Measured.of(field, measured)
    both = seen.slices()
    _, height, width = seen.shape
    wanted: list[Array] = []

    def of_volume() -> Iterator[tuple[Array, Mask | None]]:
        for z, (planes, mask) in enumerate(both):
            whole = txm.read(z, z + 1)[0]  # prepared as a whole, since that depends on all of a slice
            filled = measured.filled(whole, measured.of(whole, z))
            wanted.append(store.preparation.apply(filled)[:height, :width].astype(np.float32))
            yield planes[0], mask

    for expected, judged in model.project(of_volume()):
        yield (wanted.pop(0) - expected) / model.unit, judged


def summarise_consistency(
    runs: Sequence[tuple[str, int | str]], files: Iterable[str | Path], output: str | Path
) -> None:
    """Collect the consistency of all volumes, one row each, the truth's first where it is known."""
    io.write_csv(output, pd.DataFrame(rows_of_runs(runs, files)))
