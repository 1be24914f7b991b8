"""Samples whose outline, or one large grain, fits at any turn: what lies within must decide, or the pair is refused."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from txm2sem_core.config import RegisterSettings
from txm2sem_core.geometry import Array, Matrix, centred_similarity, corner_error_px, warp
from txm2sem_core.intensity.measured import Slice
from txm2sem_core.registration.frames import Scaled
from txm2sem_core.registration.placing import Placed, place, place_near
from txm2sem_core.registration.rivals import AS_GOOD, rivals_of

SIDE, FULL = 200, 480
SHAPES = ("round", "square", "grain")


def rock(shape: str, seed: int) -> Array:
    """A larger field [Y, X] with blobs of some grey levels: in air, or around one large bright grain."""
    noise = ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=(FULL, FULL)), 4)
    inside = np.digitize(noise / noise.std(), [-1, -0.3, 0.5]) / 3
    y, x = np.mgrid[:FULL, :FULL] - FULL / 2
    if shape == "round":
        return np.where(np.hypot(y, x) < 80, 0.5 + 0.3 * inside, 0)
    if shape == "square":
        return np.where(np.maximum(abs(y), abs(x)) < 72, 0.5 + 0.3 * inside, 0)
    return np.where(np.hypot(y, x) < 50, 1.0, 0.4 * inside) if shape == "grain" else inside


def txm_of(rock: Array, seed: int) -> Slice:
    middle = slice((FULL - SIDE) // 2, (FULL + SIDE) // 2)
    blurred = ndimage.gaussian_filter(rock, 1.2)[middle, middle]
    return Slice((blurred + np.random.default_rng(seed).normal(0, 0.03, blurred.shape)).astype(np.float32))


def sem_of(rock: Array, turn: float, *, mirrored: bool, seed: int) -> tuple[Slice, Matrix]:
    """A FIB-SEM slice of the middle, of another contrast, and where it truly lies on the TXM slice."""
    truth = centred_similarity(turn, 1.0, (3.0, -2.0), (SIDE, SIDE), (SIDE, SIDE))
    if mirrored:
        truth = truth @ np.array([[-1, 0, SIDE - 1], [0, 1, 0], [0, 0, 1]])
    corner = np.array([[1, 0, (FULL - SIDE) / 2], [0, 1, (FULL - SIDE) / 2], [0, 0, 1]])
    seen = warp(rock, np.linalg.inv(corner @ truth), (SIDE, SIDE), order=1)
    grey = np.sqrt(np.clip(seen, 0, 1)) + np.random.default_rng(seed + 50).normal(0, 0.03, seen.shape)
    return Slice(grey.astype(np.float32)), truth


def error_px(placed: Placed, truth: Matrix) -> float:
    assert placed.found is not None
    return corner_error_px(placed.found.matrix, truth, (SIDE, SIDE))


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(("turn", "mirrored"), [(4, False), (70, False), (0, True)])
def test_what_lies_within_decides(shape: str, turn: float, mirrored: bool) -> None:
    """Before, the first turn at which the outline fits was accepted."""
    field = rock(shape, 3)
    sem, truth = sem_of(field, turn, mirrored=mirrored, seed=1)
    placed = place(txm_of(field, 1), sem, RegisterSettings())
    assert placed.accepted, placed.reasons
    assert error_px(placed, truth) < 1.5


@pytest.mark.parametrize("shape", SHAPES)
def test_another_sample_with_the_same_outline_is_refused(shape: str) -> None:
    """The reason says how else it fits, and what to do."""
    sem, _ = sem_of(rock(shape, 4), 5, mirrored=False, seed=2)
    placed = place_near(txm_of(rock(shape, 3), 1), sem, RegisterSettings())
    (reason,) = placed.reasons
    assert "turned by" in reason
    assert "too symmetric" in reason
    assert "txm_measured" in reason


def test_nor_is_it_found_elsewhere() -> None:
    sem, _ = sem_of(rock("grain", 4), 25, mirrored=False, seed=2)
    placed = place(txm_of(rock("grain", 3), 1), sem, RegisterSettings(scales=(1.0, 1.0)), stated_scale=1.0)
    assert not placed.accepted


def test_bounds_that_forbid_the_other_ways_decide() -> None:
    """A microscopist who knows that slices are upright may say so."""
    field = rock("round", 3)
    sem, truth = sem_of(field, 2, mirrored=False, seed=1)
    bounded = RegisterSettings(max_rotation_deg=5, mirrored=False)
    placed = place(txm_of(field, 1), sem, bounded)
    assert placed.accepted, placed.reasons
    assert error_px(placed, truth) < 1.5
    assert placed.found is not None
    rivals = rivals_of(Scaled(txm_of(field, 1)), Scaled(sem), placed.found.matrix, bounded)
    assert not any(rival.other_turn for rival in rivals.ranked)


@pytest.mark.parametrize(("turn", "mirrored"), [(3, False), (110, True)])
def test_rock_that_fills_the_slice_has_no_rival(turn: float, mirrored: bool) -> None:
    field = rock("all", 3)
    sem, truth = sem_of(field, turn, mirrored=mirrored, seed=1)
    placed = place(txm_of(field, 1), sem, RegisterSettings())
    assert placed.accepted, placed.reasons
    assert error_px(placed, truth) < 0.5
    assert placed.found is not None
    rivals = rivals_of(Scaled(txm_of(field, 1)), Scaled(sem), placed.found.matrix, RegisterSettings())
    assert all(rival.share < 0.5 * AS_GOOD for rival in rivals.ranked)
