"""The milled stack of a phantom: where its slices lie, and what they show."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from txm2sem_core import io, planes
from txm2sem_core.config import PhantomSettings
from txm2sem_core.errors import ConfigError
from txm2sem_core.phantom import make_phantom
from txm2sem_core.phantom.oblique import milled_planes, random_plane

SHAPE = (40, 96, 96)
MILLED: dict[str, Any] = {"slices": 3, "tilt_deg": 8, "turn_deg": 130, "mirrored": True, "pixel": 0.5, "share": 0.5}


def test_the_stack_shows_the_rock_on_its_planes(tmp_path: Path) -> None:
    settings = PhantomSettings(shape=SHAPE, seed=2, pair_every=40, milled=MILLED)
    make_phantom(settings, tmp_path / "rock")
    truth = io.read_json(tmp_path / "rock/truth/planes.json")
    sem = io.open_volume(tmp_path / "rock/truth/sem.tif").read(0, SHAPE[0]).astype(float)
    assert len(truth) == 3
    for name, known in truth.items():
        image = io.read_image(tmp_path / f"rock/milled/sem/SEM{name}.tif").astype(float)
        plane = np.array(known["matrix"])
        assert image.shape == tuple(known["shape"]) == (96, 96)
        assert planes.width(plane) == pytest.approx(0.5)
        assert planes.is_mirrored(plane)
        there = planes.sample(lambda z, y, x: sem[z, y, x], SHAPE, plane, image.shape)
        on_it = np.corrcoef(there.ravel(), image.ravel())[0, 1]
        assert on_it > 0.8
        elsewhere = planes.sample(lambda z, y, x: sem[z, y, x], SHAPE, plane, image.shape, normal=12)
        assert np.corrcoef(elsewhere.ravel(), image.ravel())[0, 1] < on_it - 0.1
    assert io.read_voxel_size_nm(tmp_path / "rock/milled/sem/SEM000.tif")[2] == pytest.approx(16)


def test_slices_are_spaced_along_the_normal() -> None:
    settings = PhantomSettings(shape=SHAPE, voxel_size_nm=(64, 32, 32), milled=MILLED | {"jitter": 0, "tilt_deg": 5})
    stack, _ = milled_planes(settings)
    space = np.array([1, 1, 2.0])
    apart = (stack[1] - stack[0])[:, 3] * space
    normal = stack[0][:, 2] * space
    assert np.linalg.norm(apart) == pytest.approx(4)
    assert apart @ normal / np.linalg.norm(normal) == pytest.approx(4)
    assert planes.tilt_deg(stack[0], 2.0) == pytest.approx(5)


def test_a_stack_that_does_not_fit_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"phantom\.milled"):
        make_phantom(PhantomSettings(shape=SHAPE, milled=MILLED | {"slices": 40}), tmp_path / "rock")
    assert not (tmp_path / "rock").exists()


def test_random_planes_lie_within_the_volume() -> None:
    rng = np.random.default_rng(0)
    for _ in range(50):
        plane, shape = random_plane(rng, (40, 90, 100), (40, 60), (0.2, 1.25), 15, mirrored=True)
        corners = planes.corners_xyz(plane, shape)
        assert (corners >= -1e-6).all()
        assert (corners <= np.array([99, 89, 39]) + 1e-6).all()
        assert planes.tilt_deg(plane) <= 15 + 1e-6
        assert 0.199 < planes.width(plane) < 1.251
