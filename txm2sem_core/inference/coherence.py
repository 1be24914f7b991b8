"""How far the noise of samples holds together along z, so that they change from slice to slice as the rock does."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from txm2sem_core.families import Images
from txm2sem_core.families.flow_noise import changes_in_plane
from txm2sem_core.families.voxel_noise import VoxelNoise
from txm2sem_core.geometry import Mask, centred, relative_length
from txm2sem_core.inference.predictor import Predictor
from txm2sem_core.io.field_of_view import FieldOfView

Lengths = tuple[float | None, float | None, float | None]
POSITIONS = 6  # pairs of adjacent slices that are compared, evenly over the volume
WINDOW_PX = 128  # side of the part in the middle of them
LAGS_PX = (8, 12, 16)  # of axis y, over which the TXM's changes are compared
TXM_WINDOW_PX = 512
TELLING = 0.05  # by what share the TXM's changes along y and x must differ to tell how much more the rock's do
MOST_POWER = 4.0
COHERENCES = (0.0, 0.1, 0.2, 0.4, 0.8, 1.6)


class AdjacentSlices(NamedTuple):
    """The middle of two adjacent TXM slices, each `[C, Y, X]` with its context, and the number of the first."""

    z: int
    here: NDArray[np.generic]
    there: NDArray[np.generic]


def hold_together(predictor: Predictor, field: FieldOfView, size_nm: Lengths, name: str) -> None:
    """Let the noise of samples hold together along z as the settings say, or as this volume needs it.

    Args:
        predictor: of any model; one that draws no samples is left as it is.
        field: the TXM volume.
        size_nm: its voxels along z, y, x; where one is not known they are taken for cubes.
        name: what the progress calls it.
    """
    if predictor.noise is None:
        return
    voxels = relative_length(size_nm[0], size_nm[1]), relative_length(size_nm[1], size_nm[2])
    coherence = predictor.settings.coherence
    if coherence == "auto":
        coherence = fit_coherence(predictor, field, voxels)
        print(f"predict {name}: the noise holds together along z over {coherence:.3f} of its size.", file=sys.stderr)
    predictor.hold_together(coherence, voxels[0])


def fit_coherence(predictor: Predictor, field: FieldOfView, voxels: Sequence[float]) -> float:
    """The coherence of `VoxelNoise` with which samples change along z as much as the rock is expected to.

    Two adjacent FIB-SEM slices were never seen. How much a slice changes in its plane, samples of the same slices tell,
    and `Flow.relative_changes` by how much more the FIB-SEM slices change than samples of them; what that means for z,
    the TXM (`expected_along_z`). Samples of some pairs of adjacent slices are drawn with noise of several coherences;
    between those it is interpolated.

    Args:
        predictor: of a `Flow`.
        field: the TXM volume.
        voxels: the length of a voxel along z and y over that along y and x: pixels of y for a slice, of x for one of y.
    """
    pixels_per_slice, pixels_x = voxels
    pairs = _pairs(predictor, field)
    if not pairs:
        return 0.0

    def drawn(coherence: float) -> list[list[NDArray[np.float32]]]:
        return [_samples(predictor, VoxelNoise(0, coherence, pixels_per_slice), pair) for pair in pairs]

    first = drawn(COHERENCES[0])
    in_plane = [changes_in_plane(one, pixels_per_slice, pixels_x) for both in first for one in both]
    along_y, along_x = np.mean(in_plane, axis=0) * predictor.relative_change(pixels_per_slice)
    wanted = expected_along_z((along_y, along_x), txm_changes(predictor, field, voxels))

    def change(coherence: float) -> float:
        samples = first if coherence == COHERENCES[0] else drawn(coherence)
        return float(np.mean([np.abs(there - here).mean() for here, there in samples]))

    return where_falling(change, COHERENCES, wanted)


def where_falling(change: Callable[[float], float], at: Sequence[float], wanted: float) -> float:
    """Where a falling function has a value, linear between the places `at`; it is asked as seldom as can be.

    The first or the last of `at`, where it has that value nowhere. Where the function does not fall throughout, one of
    the places where it crosses the value.
    """
    known = {0: change(at[0])}
    if known[0] <= wanted:
        return at[0]
    before, behind = 0, len(at)
    while behind - before > 1:
        middle = (before + behind) // 2
        known[middle] = change(at[middle])
        before, behind = (middle, behind) if known[middle] > wanted else (before, middle)
    if behind == len(at):
        return at[-1]
    share = (known[before] - wanted) / (known[before] - known[behind])
    return at[before] + share * (at[behind] - at[before])


def expected_along_z(in_plane: tuple[float, float], txm: tuple[float, float, float]) -> float:
    """The change of a rock along z, by its changes along y and x and by those of the TXM along z, y and x.

    The geometric mean of y and x, times that share by which the TXM changes more along z than in its plane, to the
    power by which the rock's changes along y and x differ more than the TXM's. So a rock that is layered along z and x,
    which the TXM shows, changes along z as along x. The power is 1 where the TXM changes as much along y as along x.

    Args:
        in_plane: along y and x.
        txm: along z, y and x; all alike where nothing is known.
    """
    if min(*in_plane, *txm) <= 0:
        return float(np.mean(in_plane))
    of_rock = np.log(in_plane[0] / in_plane[1])
    of_txm = np.log(txm[1] / txm[2])
    power = np.clip((of_txm * of_rock + TELLING**2) / (of_txm**2 + TELLING**2), 0, MOST_POWER)
    more = txm[0] / np.sqrt(txm[1] * txm[2])
    return float(np.sqrt(in_plane[0] * in_plane[1]) * more**power)


def txm_changes(predictor: Predictor, field: FieldOfView, voxels: Sequence[float]) -> tuple[float, float, float]:
    """Mean absolute changes of the TXM along z, y and x, over the same distances, which its blur leaves.

    Slices may differ in brightness as a whole. Of a volume that is too thin, all alike.

    Args:
        predictor: how the TXM is prepared.
        field: the TXM volume.
        voxels: as of `fit_coherence`.
    """
    depth = field.volume.shape[0]
    steps = sorted({max(round(lag / voxels[0]), 1) for lag in LAGS_PX})
    steps = [step for step in steps if step < depth]
    found = []
    for z in _evenly(0, depth - 1 - steps[-1]) if steps else []:
        here, known = _plane(predictor, field, z)
        for step in steps:
            there, seen = _plane(predictor, field, z + step)
            both = known & seen
            if both.any():
                difference = (there - here)[both]
                along_z = float(np.abs(difference - difference.mean()).mean())
                found.append((along_z, *changes_in_plane(here, step * voxels[0], voxels[1], known)))
    if not found:
        return 1.0, 1.0, 1.0
    along_z, along_y, along_x = np.mean(found, axis=0)
    return float(along_z), float(along_y), float(along_x)


def _plane(predictor: Predictor, field: FieldOfView, z: int) -> tuple[NDArray[np.float32], Mask]:
    """The middle of a TXM slice as it is prepared, and where it was measured."""
    plane = field.volume.read(z, z + 1)[0]
    mask = field.of(plane, z)
    cut = centred(plane.shape[0], TXM_WINDOW_PX), centred(plane.shape[1], TXM_WINDOW_PX)
    prepared = predictor.preparation.apply(field.filled(plane, mask))[cut].astype(np.float32)
    return prepared, np.ones(prepared.shape, dtype=bool) if mask is None else mask[cut]


def _pairs(predictor: Predictor, field: FieldOfView) -> list[AdjacentSlices]:
    """Of slices that have their whole context where the volume has any: those at its ends change more."""
    depth, context = field.volume.shape[0], predictor.context
    inner = (context, depth - 2 - context) if depth > 2 * context + 1 else (0, depth - 2)
    return [_adjacent(predictor, field, z) for z in _evenly(*inner)]


def _evenly(first: int, last: int) -> list[int]:
    """`POSITIONS` slices or less; none where the last lies before the first."""
    return sorted({round(z) for z in np.linspace(first, last, POSITIONS)}) if last >= first else []


def _adjacent(predictor: Predictor, field: FieldOfView, z: int) -> AdjacentSlices:
    """The middle of slices z and z + 1 with their context, prepared as for a prediction; each slice is read once."""
    depth, height, width = field.volume.shape
    context = predictor.context
    numbers = [min(max(n, 0), depth - 1) for n in range(z - context, z + context + 2)]
    cut = centred(height, WINDOW_PX), centred(width, WINDOW_PX)
    here, there = [], []
    for scan in field.scans:
        slab = scan.volume.read(numbers[0], numbers[-1] + 1)
        prepared = [
            predictor.preparation.apply(scan.filled(plane, scan.of(plane, numbers[0] + n)))[cut]
            for n, plane in enumerate(slab)
        ]
        planes = [prepared[number - numbers[0]] for number in numbers]
        here += planes[:-1]
        there += planes[1:]
    return AdjacentSlices(z, np.stack(here), np.stack(there))


def _samples(predictor: Predictor, noise: VoxelNoise, pair: AdjacentSlices) -> list[NDArray[np.float32]]:
    """A sample of both slices, in [-1, 1]."""
    samples = []
    for step, txm in enumerate((pair.here, pair.there)):
        images = Images(txm, noise=noise.plane(pair.z + step, 0, 0, *txm.shape[1:]))
        samples.append(predictor.sem_range.to_unit(predictor.predict(images)))
    return samples
