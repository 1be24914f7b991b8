"""Pairs whose FIB-SEM pixels are half as wide as the TXM's: results on the finer grid, learnt from the TXM as it is."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import TINY, Workflow, shared_run
from numpy.testing import assert_array_equal
from scipy import ndimage

from txm2sem_core import io
from txm2sem_core.samples.table import read_samples
from txm2sem_core.samples.volume import open_sample_volume, plane_pixel_size_nm, sample_voxel_size_nm

SIDE, DEPTH, STEP, FINER = 64, 18, 3, 2
CIRCLE = np.hypot(*(np.mgrid[:SIDE, :SIDE] - (SIDE - 1) / 2)) < 38
RUNS = ("pointwise/seed0", "srcnn_x2/seed0")
CONFIG: dict[str, Any] = {
    **TINY,
    "register": {"transform": "rigid", "max_rotation_deg": 5},
    "downsample": {"method": "psf", "noise_sigma": 0.1},  # which has no part in what was measured
    "variants": {name: TINY["variants"][name] for name in ("pointwise", "srcnn_x2")},
}
COLUMNS = ("txm", "sem", "txm_volume", "txm_volume_measured", "pair_z", "voxel_size_nm", "super_resolution")
ROW = ("txm", "sem", "volume.tif", "mask.tif", f"0:{DEPTH}:{STEP}", "30,30,30", str(FINER))
SAMPLES = "\t".join(["sample", "source", *COLUMNS]) + "\n" + "\t".join(["own", "pairs", *ROW]) + "\n"


def make_raw(folder: Path) -> None:
    """A rock on the finer grid; its TXM, of wider pixels, and FIB-SEM slices that begin a few pixels further on."""
    rng = np.random.default_rng(0)
    rock = ndimage.gaussian_filter(rng.normal(size=(DEPTH, FINER * SIDE + 8, FINER * SIDE + 8)), (1.0, 3.0, 3.0))
    rock = np.digitize(rock / rock.std(), [-1.2, 0.3, 1.5])
    sem = np.clip(np.array([30, 90, 140, 210])[rock] + rng.normal(0, 5, rock.shape), 1, 254).astype(np.uint8)
    seen = np.array([170.0, 130, 110, 70])[rock][:, 4:-4, 4:-4].reshape(DEPTH, SIDE, FINER, SIDE, FINER).mean((2, 4))
    txm = (ndimage.gaussian_filter(seen, (0, 0.7, 0.7)) + rng.normal(0, 2, seen.shape)).astype(np.uint8)
    txm[:, ~CIRCLE] = 0
    for z in range(0, DEPTH, STEP):
        io.write_tiff(folder / f"txm/{z:03d}.tif", txm[z], (None, 30.0, 30.0))
        io.write_tiff(folder / f"sem/{z:03d}.tif", sem[z, 7:-1, 5:-3], (None, 15.0, 15.0))
    io.write_tiff(folder / "volume.tif", txm, (30.0, 30.0, 30.0))
    io.write_tiff(folder / "mask.tif", CIRCLE.astype(np.uint8))


@pytest.fixture(scope="session")
def finer(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Workflow:
    """The pipeline up to its volumes, once."""

    def make(folder: Path) -> None:
        workflow = Workflow.create(folder, copy.deepcopy(CONFIG), SAMPLES)
        make_raw(folder)
        result = workflow.run(*(f"results/own/volumes/{name}/sem.ome.zarr" for name in RUNS))
        assert result.returncode == 0, result.stdout

    return shared_run(tmp_path_factory, worker_id, "finer", make)


def test_networks_learn_from_the_txm_as_it_was_measured(finer: Workflow) -> None:
    """Every pixel of the coarse store is one of the raw slice, at its place; the FIB-SEM has twice as many."""
    store = io.read_patch_store(finer.folder / "results/own/patches_x2")
    index = io.read_csv(finer.folder / "results/own/registered/index.csv")
    assert store.factor == FINER
    assert store.voxel_size_nm == (30.0, 15.0, 15.0)
    assert len(index) == DEPTH // STEP
    for row in index.to_dict("records"):
        if row["pair"] not in store.pairs:
            continue
        raw = io.read_image(finer.folder / f"txm/{row['pair']}.tif")
        images, (y0, x0) = store.pairs[row["pair"]], (row["y0"] // FINER, row["x0"] // FINER)
        height, width = images.txm.shape[1:]
        known = (images.mask > 0).reshape(height, FINER, width, FINER).all(axis=(1, 3))
        assert known.mean() > 0.9
        assert_array_equal(images.txm[store.context][known], raw[y0 : y0 + height, x0 : x0 + width][known])
        assert images.sem.shape == (FINER * height, FINER * width)


def test_slices_are_registered_on_the_finer_grid(finer: Workflow) -> None:
    for placed in io.read_json(finer.folder / "results/own/registered/transforms.json").values():
        x, y = np.asarray(placed["matrix"])[:2, 2]
        assert (x, y) == pytest.approx((1.0, 3.0), abs=0.5)


def test_volumes_have_the_finer_pixels_and_the_volumes_mask(finer: Workflow) -> None:
    for name in RUNS:
        volume = io.open_volume(finer.folder / f"results/own/volumes/{name}/sem.ome.zarr")
        assert volume.shape == (DEPTH, FINER * SIDE, FINER * SIDE)
        assert volume.voxel_size_nm == pytest.approx((30.0, 15.0, 15.0))
        plane = volume.read(4, 5)[0]
        assert not plane[:4, :4].any()
        assert plane[60:68, 60:68].all()
    coarse = io.open_volume(finer.folder / "results/own/patches_x2/txm_volume.ome.zarr")
    measured = io.open_volume(finer.folder / "volume.tif").read(0, DEPTH)
    assert_array_equal(coarse.read(0, DEPTH)[:, CIRCLE], measured[:, CIRCLE])


def test_sizes_are_those_of_the_finer_grid(finer: Workflow, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(finer.folder)
    sample = read_samples("samples.tsv")["own"]
    assert sample_voxel_size_nm(sample, Path()) == (30.0, 15.0, 15.0)
    assert plane_pixel_size_nm(sample, Path()) == (15.0, 15.0)
    volume = open_sample_volume(sample, Path())
    assert volume is not None
    assert volume.voxel_size_nm == pytest.approx((30.0, 15.0, 15.0))
