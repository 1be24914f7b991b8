"""Slices of a stack whose spacing is known are put at that distance, and planes that contradict it are an error."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from txm2sem_core import io, planes
from txm2sem_core.config import RegisterSettings
from txm2sem_core.errors import ConfigError
from txm2sem_core.geometry import Matrix
from txm2sem_core.registration import Spacing, register_in_volume
from txm2sem_core.registration.spacing import mean_normal
from txm2sem_core.registration.volume_stack import _Known, _Stack

SIZE = (60, 80)
VOXEL_NM = 20.0


def stack(
    step: float, numbers: list[float], aspect: float, drift: float = 0.0, tilt: float = 12.0
) -> dict[int, _Known]:
    """Slices `step` widths of voxels apart along the normal, and `drift` pixels along their x, from one to the next."""
    first = planes.centred_plane((70, 60, 40), SIZE, 0.8, 130, tilt, 35, mirrored=True, aspect=aspect)
    known = {}
    for i, number in enumerate(numbers):
        plane = first.copy()
        plane[:, 3] = first @ (drift * number, 0, step / 0.8 * number, 1)
        known[i] = _Known(number, plane, SIZE)
    return known


def centre_of(plane: Matrix) -> Matrix:
    return _Known(0, plane, SIZE).centre


def errors(known: dict[int, _Known], wrong_px: float, aspect: float, spacing: Spacing | None) -> float:
    """How far off, in widths, the last slice is put by the others, of which one was found wrong along the normal."""
    moved = known[1].plane.copy()
    moved[:, 3] = moved @ (0, 0, wrong_px / 0.8, 1)
    others = {0: known[0], 1: _Known(known[1].number, moved, SIZE)}
    last = known[len(known) - 1]
    found = _Stack(others, aspect, spacing).expected(9, last.number, SIZE)
    return float(np.linalg.norm((centre_of(found) - last.centre) * (1, 1, aspect)))


@given(
    step=st.floats(-6, 6).filter(lambda step: abs(step) > 1),
    aspect=st.floats(0.5, 2),
    drift=st.floats(-1, 1),
    tilt=st.floats(0, 25),
)
def test_a_far_slice_is_put_at_the_stated_distance(step: float, aspect: float, drift: float, tilt: float) -> None:
    known = stack(step, [2, 3, 12], aspect, drift, tilt)
    spacing = Spacing(abs(step) * VOXEL_NM, VOXEL_NM, "here")
    assert errors(known, 0.0, aspect, None) < 1e-6
    assert errors(known, 0.0, aspect, spacing) < 1e-6
    assert errors(known, 0.4, aspect, None) == pytest.approx(4.0)  # ten times as wrong, ten numbers on
    assert errors(known, 0.4, aspect, spacing) == pytest.approx(0.4)


@pytest.mark.parametrize(("stated", "fits"), [(3.0, True), (3.6, True), (2.5, True), (4.5, False), (1.5, False)])
@pytest.mark.parametrize("step", [3.0, -3.0])
def test_what_contradicts_it_strongly_is_an_error(stated: float, step: float, fits: bool) -> None:
    known = _Stack(stack(step, [0, 1, 4], 1.5), 1.5, Spacing(stated * VOXEL_NM, VOXEL_NM, "column sem_spacing_nm"))
    if fits:
        known.check()
        return
    with pytest.raises(ConfigError, match=rf"column sem_spacing_nm: {stated * VOXEL_NM:g} nm .* found 60 nm apart"):
        known.check()


def test_what_two_slices_may_be_misplaced_by_is_no_contradiction() -> None:
    _Stack(stack(1.0, [0, 1], 1.0), 1.0, Spacing(2 * VOXEL_NM, VOXEL_NM, "here")).check()


def test_the_mean_normal_is_that_of_parallel_planes() -> None:
    normal = mean_normal([one.plane for one in stack(2, [0, 1], 2.0).values()], 2.0)
    tilt, towards = np.deg2rad([12, 35])
    expected = (-np.sin(tilt) * np.cos(towards), -np.sin(tilt) * np.sin(towards), np.cos(tilt))
    assert_allclose(normal, expected, atol=1e-12)


def test_a_spacing_that_cannot_be_used_is_refused(tmp_path: Path) -> None:
    image = np.random.default_rng(0).integers(0, 99, (20, 20)).astype(np.uint8)
    io.write_volume_tiff(tmp_path / "volume.tif", iter([image] * 3), None)
    io.write_tiff(tmp_path / "sem/s1.tif", image)
    for moving, spacing, words in (
        ("sem/s1.tif", 20.0, "belongs to a folder"),
        ("sem", 0.0, "is no distance"),
        ("sem", 20.0, "does not state its voxel size"),
    ):
        with pytest.raises(ConfigError, match=f"--spacing-nm.* {words}"):
            register_in_volume(
                tmp_path / "volume.tif", tmp_path / moving, tmp_path / "out", RegisterSettings(), spacing_nm=spacing
            )
