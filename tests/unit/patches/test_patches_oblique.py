"""The TXM about a slice that lies obliquely, where results have finer pixels than the TXM."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from txm2sem_core import io, planes
from txm2sem_core.errors import InputError
from txm2sem_core.intensity.measured import Slice
from txm2sem_core.patches.oblique import slices_on_plane
from txm2sem_core.registration.plane_cut import PlaneCut, cut_volume

VOLUME_SHAPE = (30, 40, 44)
SHAPE = (70, 80)  # of the FIB-SEM slice
ASPECT = 1.5
VOXELS = np.random.default_rng(0).integers(0, 60000, VOLUME_SHAPE).astype(np.uint16)


def cut(aspect: float = ASPECT) -> tuple[io.Volume, PlaneCut, np.ndarray]:
    """A volume, what it shows on a plane, and the plane."""
    volume = io.volume_of(VOXELS, (32.0 * aspect, 32.0, 32.0))
    plane = planes.centred_plane((21, 20, 14), SHAPE, 0.25, 15, 9, 60, mirrored=True, aspect=aspect)
    found = cut_volume(volume, plane, SHAPE, aspect)
    assert found is not None
    return volume, found, plane


@pytest.mark.parametrize("factor", [2, 4, 8])
def test_finer_pixels_show_the_same_at_the_same_place(factor: int) -> None:
    _, coarse, plane = cut()
    fine = coarse.finer(factor)
    assert_array_equal(fine.txm.image, np.kron(coarse.txm.image, np.ones((factor, factor), np.uint16)))
    for x, y in ((0, 0), (50, 3), (79, 69)):  # of the FIB-SEM slice: matrix and grid lead to its voxel
        on_cut = fine.matrix @ [x, y, 1]
        assert_allclose(fine.grid @ [*on_cut[:2], 0, 1], plane @ [x, y, 0, 1], atol=1e-9)
    assert planes.width(fine.grid, ASPECT) == pytest.approx(1 / factor)
    assert coarse.finer(1) is coarse


@pytest.mark.parametrize("factor", [1, 2, 4])
def test_neighbours_are_a_slice_apart_and_in_blocks_of_equal_pixels(factor: int) -> None:
    volume, coarse, _ = cut()
    fine = coarse.finer(factor)
    first = np.array([[1, 0, 3 * factor], [0, 1, 2 * factor], [0, 0, 1]], dtype=float)  # a crop
    height, width = coarse.txm.shape[0] - 5, coarse.txm.shape[1] - 4
    shown = fine.txm.image[2 * factor :, 3 * factor :]
    txm = Slice(shown[: height * factor, : width * factor])
    row = SimpleNamespace(pair="0", grid=io.plane_as_text(planes.of_pixels(fine.grid, first)), finer=factor)
    stack = slices_on_plane(volume, txm, row, 1, ASPECT * factor)
    own = planes.of_pixels(coarse.grid, np.array([[1, 0, 3], [0, 1, 2], [0, 0, 1]], dtype=float))
    for step, found in zip((-1, 0, 1), stack, strict=True):
        expected = io.volume_on(volume, own, (height, width), step * ASPECT)
        if step:
            blocks = np.kron(expected.image, np.ones((factor, factor), np.uint16))
            assert_allclose(found.image, blocks, atol=1)  # the table has nine digits
            corners = found.image[::factor, ::factor]
            assert_array_equal(found.image, np.kron(corners, np.ones((factor, factor), np.uint16)))
        else:
            assert found is txm
    centre = own @ [5, 5, ASPECT, 1] - own @ [5, 5, 0, 1]
    assert np.linalg.norm(centre * (1, 1, ASPECT)) == pytest.approx(ASPECT)  # one height of a voxel


def test_a_volume_of_another_type_is_refused() -> None:
    _, coarse, _ = cut()
    other = io.volume_of(VOXELS.astype(np.uint8))
    row = SimpleNamespace(pair="7", grid=io.plane_as_text(coarse.grid), finer=1)
    with pytest.raises(InputError, match="pair 7 was cut from voxels of uint16"):
        slices_on_plane(other, coarse.txm, row, 0, 1.0)
