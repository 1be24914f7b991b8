"""The search over turns looks at each shift that shares enough, and finds the strongest of them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage, signal

from txm2sem_core.intensity.measured import Slice
from txm2sem_core.registration import poses
from txm2sem_core.registration.frames import Scaled

SCALE = 1.0
TIE = 1e-3  # of a pixel: fewer or more shared than are asked for, by rounding alone
Masked = tuple[np.ndarray, np.ndarray]


def masked_slice(rng: np.random.Generator, kind: str) -> Masked:
    """A smooth texture of some size, measured everywhere, or on one side of a slanted line, or in a disc."""
    shape = tuple(rng.integers(*(30, 100) if kind == "all" else (40, 70), 2))
    image = ndimage.gaussian_filter(rng.normal(size=shape), 2).astype(np.float32)
    y, x = (np.arange(n) - n / 2 for n in shape)
    mask = {
        "all": np.ones(shape, dtype=bool),
        "side": y[:, None] + x < 3.7,
        "disc": y[:, None] ** 2 + x**2 < (0.45 * min(shape)) ** 2,
    }[kind]
    return image, mask


def at_all_shifts(fixed: np.ndarray, moving: np.ndarray) -> np.ndarray:
    """The sum of products at each shift at which two images touch."""
    return signal.correlate(fixed.astype(np.float64), moving.astype(np.float64), mode="full", method="fft")


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10**6), *[st.sampled_from(["all", "side", "disc"])] * 2)
def test_the_strongest_of_all_shifts_is_found(seed: int, kind: str, other: str) -> None:
    rng = np.random.default_rng(seed)
    slices = [Scaled(Slice(*masked_slice(rng, each))) for each in (kind, other)]
    one, two = poses._shrunk(*slices, SCALE, {})
    assert one is not None
    assert two is not None
    found = list(poses._at_scale(one, two, SCALE, 180, True))
    side = int(np.ceil(np.hypot(*two.mask.shape))) + 1
    canvas, _ = poses.turned(np.concatenate([two.features, two.mask[None]]), 35.0, side)
    upright = {-55.0: np.rot90(canvas, 1, axes=(1, 2)), 145.0: np.rot90(canvas[..., ::-1], 2, axes=(1, 2))}
    for turn_deg, placed in upright.items():
        shared = at_all_shifts(one.mask, placed[-1])
        least = 0.5 * min(one.mask.sum(), placed[-1].sum())
        squares = at_all_shifts((one.features**2).mean(axis=0), placed[-1])
        for feature in (0, 1):
            maps = []
            for allowed in (shared >= least - TIE, shared >= least + TIE):
                enough = np.maximum(shared, least)
                spread = np.maximum(squares / enough, poses.LEAST_VARIANCE)
                each = at_all_shifts(one.features[feature], placed[feature]) / np.sqrt(enough * spread) * allowed
                each = np.abs(each) if feature == 0 else each
                maps.append(float(each.max() / np.sqrt((each**2).sum() / allowed.sum())))
            mirrored = turn_deg == 145.0
            pose = next(
                p for k, p in found if (k, p.mirrored) == (feature, mirrored) and abs(p.turn_deg - turn_deg) < 1e-6
            )
            assert min(maps) * 0.999 <= pose.strength <= max(maps) * 1.001


@pytest.mark.parametrize("far", [(0, 0), (13, -9), (-17, 12)])
def test_a_shift_is_that_of_the_slices(far: tuple[int, int]) -> None:
    """A part of a slice that is cut out some pixels off its middle is put back to where it was."""
    image = ndimage.gaussian_filter(np.random.default_rng(5).normal(size=(88, 80)), 2).astype(np.float32)
    top, left = 14 + far[0], 12 + far[1]
    part = np.pad(image, 30, mode="wrap")[30 + top : 90 + top, 30 + left : 86 + left]
    best = poses.find_poses(Scaled(Slice(image)), Scaled(Slice(part)), [1.0], 180, mirrored=True)[0][0]
    assert (best.turn_deg, best.mirrored) == (0, False)
    np.testing.assert_allclose(best.matrix[:2, 2], (left, top), atol=0.51)
