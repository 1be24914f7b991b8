"""Planes that are sought in a volume, where the results have finer pixels than it: one search, half a minute."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from txm2sem_core import io, planes
from txm2sem_core.config import PhantomSettings, RegisterSettings
from txm2sem_core.geometry import relative_length
from txm2sem_core.phantom import make_phantom
from txm2sem_core.phantom.placing import frame_shape
from txm2sem_core.registration import Spacing, register_planes
from txm2sem_core.samples.pairs import list_pairs
from txm2sem_core.samples.table import Sample
from txm2sem_core.samples.volume import open_measured_volume, sample_voxel_size_nm

FACTOR = 2
SHAPE = (30, 256, 256)  # on the pixels of the FIB-SEM slices
EVERY = 10


def test_pairs_are_on_the_finer_grid_and_planes_in_the_measured_volume(tmp_path: Path) -> None:
    of_stack = {"max_rotation_deg": 0, "max_scale_percent": 0, "max_shift_px": 1}  # one pose
    settings = PhantomSettings(shape=SHAPE, pair_every=EVERY, seed=5, super_resolution=FACTOR, **of_stack)
    make_phantom(settings, tmp_path / "raw")
    sample = Sample(sample="rock", source="phantom", pair_z="find", super_resolution=str(FACTOR))
    pairs, volume = list_pairs(sample, tmp_path / "raw"), open_measured_volume(sample, tmp_path / "raw")
    assert volume is not None
    z_nm, _, x_nm = sample_voxel_size_nm(sample, tmp_path / "raw")
    assert (volume.shape, x_nm) == ((30, 128, 128), 32)
    spacing = Spacing(32.0 * EVERY, 32.0 * FACTOR, "here")
    aspect = relative_length(z_nm, x_nm * FACTOR)
    register_planes(pairs, volume, aspect, RegisterSettings(), tmp_path / "out", spacing)
    quality, index = (io.read_csv(tmp_path / "out" / name) for name in ("quality.csv", "index.csv"))
    assert quality["accepted"].all()
    assert quality["scale"].to_numpy() == pytest.approx(1.0, abs=0.02)  # pixels of the results to one of the FIB-SEM
    truth = io.read_json(tmp_path / "raw/truth/transforms.json")
    shape = frame_shape(SHAPE)
    to_volume = np.array([[1 / FACTOR, 0, 0.5 / FACTOR - 0.5], [0, 1 / FACTOR, 0.5 / FACTOR - 0.5], [0, 0, 1]])
    true_sem = io.open_volume(tmp_path / "raw/truth/sem.tif")
    for row in index.itertuples():
        known = to_volume @ np.array(truth[row.pair]["matrix"])
        flat = planes.with_normal(np.vstack([known[:2, :2], [0, 0]]), np.array([*known[:2, 2], truth[row.pair]["z"]]))
        assert planes.corner_rms(io.plane_of_text(row.plane, ""), flat, shape, aspect) < 0.8
        txm, sem = (io.read_image(tmp_path / "out" / getattr(row, kind)) for kind in ("txm", "sem"))
        assert txm.shape == sem.shape == (row.height, row.width)
        assert_array_equal(txm, np.kron(txm[::FACTOR, ::FACTOR], np.ones((FACTOR, FACTOR), np.uint16)))
        size = io.read_voxel_size_nm(tmp_path / "out" / row.txm)
        assert size is not None
        assert size[1:] == (32, 32)
        grid = io.plane_of_text(row.grid, "")
        x, y, z = np.rint(grid @ [0, 0, 0, 1] * (FACTOR, FACTOR, 1) + (0.5, 0.5, 0)).astype(int)  # of the finer grid
        rock = true_sem.read(z, z + 1)[0][y : y + row.height, x : x + row.width]
        assert np.corrcoef(rock.ravel(), sem.ravel())[0, 1] > 0.8
