"""How far the noise of samples holds together along z, so that they change from slice to slice as the rock does."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from txm2sem_core.families import Images
from txm2sem_core.families.flow_noise import change_in_plane
from txm2sem_core.families.voxel_noise import VoxelNoise
from txm2sem_core.geometry import centred, relative_length
from txm2sem_core.inference.predictor import Predictor
from txm2sem_core.io.field_of_view import FieldOfView

Lengths = tuple[float | None, float | None, float | None]
POSITIONS = 6  # pairs of adjacent slices that are compared, evenly over the volume
WINDOW_PX = 128  # side of the part in the middle of them
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
    """The coherence of `VoxelNoise` with which samples change as much along z as the rock does in a plane.

    Two adjacent FIB-SEM slices were never seen, so the rock is taken to change over the distance of two slices as much
    as over that distance along y and x. How much that is, samples of the same slices tell, and `Flow.relative_changes`
    by how much more the FIB-SEM slices change than samples of them. Samples of some pairs of adjacent slices are drawn
    with noise of several coherences; between those it is interpolated.

    Args:
        predictor: of a `Flow`.
        field: the TXM volume.
        voxels: the length of a voxel along z and y over that along y and x: pixels of y for a slice, of x for one of y.
    """
    pixels_per_slice, pixels_x = voxels
    pairs = _pairs(predictor, field)
    if not pairs:
        return 0.0
    wanted, changes = 0.0, []
    for coherence in COHERENCES:
        noise = VoxelNoise(0, coherence, pixels_per_slice)
        drawn = [_samples(predictor, noise, pair) for pair in pairs]
        if coherence == 0:
            in_plane = [change_in_plane(one, pixels_per_slice, pixels_x) for both in drawn for one in both]
            wanted = float(np.mean(in_plane)) * predictor.relative_change(pixels_per_slice)
        changes.append(float(np.mean([np.square(there - here).mean() for here, there in drawn])))
    falling = np.minimum.accumulate(np.array(changes))
    return float(np.interp(-wanted, -falling, COHERENCES))


def _pairs(predictor: Predictor, field: FieldOfView) -> list[AdjacentSlices]:
    depth = field.volume.shape[0]
    first = sorted({round(z) for z in np.linspace(0, depth - 2, POSITIONS)}) if depth > 1 else []
    return [_adjacent(predictor, field, z) for z in first]


def _adjacent(predictor: Predictor, field: FieldOfView, z: int) -> AdjacentSlices:
    """The middle of slices z and z + 1 with their context, prepared as for a prediction; each slice is read once."""
    depth, height, width = field.volume.shape
    context = predictor.context
    numbers = [min(max(n, 0), depth - 1) for n in range(z - context, z + context + 2)]
    cut = centred(height, WINDOW_PX), centred(width, WINDOW_PX)
    slab = field.volume.read(numbers[0], numbers[-1] + 1)
    prepared = [
        predictor.preparation.apply(field.filled(plane, field.of(plane, numbers[0] + n)))[cut]
        for n, plane in enumerate(slab)
    ]
    planes = [prepared[number - numbers[0]] for number in numbers]
    return AdjacentSlices(z, np.stack(planes[:-1]), np.stack(planes[1:]))


def _samples(predictor: Predictor, noise: VoxelNoise, pair: AdjacentSlices) -> list[NDArray[np.float32]]:
    """A sample of both slices, in [-1, 1]."""
    samples = []
    for step, txm in enumerate((pair.here, pair.there)):
        images = Images(txm, noise=noise.plane(pair.z + step, 0, 0, *txm.shape[1:]))
        samples.append(predictor.sem_range.to_unit(predictor.predict(images)))
    return samples
