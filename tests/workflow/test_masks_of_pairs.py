"""Masks of what was measured in the sample table: nothing that they leave out is seen, by no stage of the pipeline."""

from __future__ import annotations

import copy
import hashlib
import json
import os
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from conftest import TINY, Workflow, shared_run
from scipy import ndimage

from txm2sem_core import io

SIDE, DEPTH, STEP = 96, 18, 3
Y, X = np.mgrid[:SIDE, :SIDE]
CIRCLE = np.hypot(Y - 47.5, X - 47.5) < 52  # of the TXM; an eighth lies outside
BAND = X < 88  # of the FIB-SEM slices
SIZE = (30.0, 30.0, 30.0)
CONFIG: dict[str, Any] = {
    **TINY,
    "register": {"transform": "rigid", "max_rotation_deg": 5},
    "variants": {name: TINY["variants"][name] for name in ("pointwise", "srcnn_x2")},
}
COLUMNS = ("txm", "sem", "txm_measured", "sem_measured", "txm_volume", "txm_volume_measured", "pair_z", "voxel_size_nm")
ROW = ("txm", "sem", "txm-masks", "sem-masks", "volume.tif", "volume-mask.tif", f"0:{DEPTH}:{STEP}", "30,30,30")
SAMPLES = "\t".join(["sample", "source", *COLUMNS]) + "\n" + "\t".join(["own", "pairs", *ROW]) + "\n"


def junk(seed: int) -> np.ndarray:
    """What a program or a holder leaves outside: structure of its own, no constant."""
    field = ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=(DEPTH, SIDE, SIDE)), (0, 2, 2))
    return np.clip(128 + 120 * field / field.std(), 0, 255).astype(np.uint8)


def make_raw(folder: Path, seed: int) -> None:
    """Slices and a volume of one rock, with junk by `seed` where the masks say that nothing was measured."""
    rng = np.random.default_rng(0)
    rock = ndimage.gaussian_filter(rng.normal(size=(DEPTH, SIDE + 8, SIDE + 8)), (1.5, 2.5, 2.5))
    rock = np.digitize(rock / rock.std(), [-1.2, 0.3, 1.5])
    sem = np.clip(np.array([30, 90, 140, 210])[rock] + rng.normal(0, 5, rock.shape), 1, 254).astype(np.uint8)
    volume = (
        30 + ndimage.gaussian_filter(np.array([140.0, 100, 80, 40])[rock], (0, 1, 1)) + rng.normal(0, 2, rock.shape)
    )
    txm = np.where(CIRCLE, volume[:, 4:-4, 4:-4], junk(seed)).astype(np.uint8)
    sem = np.where(BAND, sem[:, 3:-5, 5:-3], junk(seed + 1))
    for z in range(0, DEPTH, STEP):
        for kind, image, mask in (("txm", txm[z], CIRCLE), ("sem", sem[z], BAND)):
            io.write_tiff(folder / kind / f"{z:03d}.tif", image, SIZE)
            io.write_tiff(folder / f"{kind}-masks" / f"{z:03d}.tif", np.where(mask, -1, 0).astype(np.int16), SIZE)
    io.write_tiff(folder / "volume.tif", txm, SIZE)
    io.write_tiff(folder / "volume-mask.tif", CIRCLE.astype(np.uint8), SIZE)


def make_workflow(folder: Path, seed: int) -> Workflow:
    workflow = Workflow.create(folder, copy.deepcopy(CONFIG), SAMPLES)
    make_raw(folder, seed)
    return workflow


@pytest.fixture(scope="session")
def masked(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Workflow:
    """The whole pipeline on pairs with masks, once."""

    def make(folder: Path) -> None:
        result = make_workflow(folder, seed=1).run()
        assert result.returncode == 0, result.stdout

    return shared_run(tmp_path_factory, worker_id, "masked", make)


def digests(folder: Path, pattern: str) -> dict[str, str]:
    files = sorted(file for file in folder.glob(pattern) if file.is_file())
    return {str(file.relative_to(folder)): hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


def test_what_a_mask_leaves_out_changes_no_byte_of_what_is_inside(masked: Workflow, tmp_path: Path) -> None:
    """A second run whose junk differs: the same transforms, ranges, patches, models, volumes, porosity and scores."""
    other = make_workflow(tmp_path / "other", seed=5)
    result = other.run("metrics")
    assert result.returncode == 0, result.stdout
    first, second = (each.folder / "results" / "own" for each in (masked, other))
    patterns = ("registered/quality.csv", "registered/transforms.json", "patches/*", "models/*/*/generator.safetensors")
    patterns += ("predictions/**/*.tif", "volumes/**/c/**/*", "metrics/**/*.csv")
    for pattern in patterns:
        found = digests(first, pattern)
        assert found, pattern
        assert digests(second, pattern) == found
    names = [file.name for file in (first / "registered/pairs").glob("*_sem.tif")]
    assert len(names) == DEPTH // STEP
    for name in names:
        one, two = (io.read_image(each / "registered/pairs" / name) for each in (first, second))
        mask = io.read_mask(first / "registered/pairs" / name.replace("_sem", "_mask"))
        assert not np.array_equal(one, two)
        assert np.array_equal(one[mask], two[mask])


def test_what_a_mask_leaves_out_is_neither_predicted_nor_counted_and_that_is_said(masked: Workflow) -> None:
    here = masked.folder / "results" / "own"
    quality = pd.read_csv(here / "registered/quality.csv")
    assert quality["accepted"].all()
    assert np.allclose(quality["fixed_measured"], CIRCLE.mean())
    assert np.allclose(quality["moving_measured"], BAND.mean())
    blocks = CIRCLE.reshape(SIDE // 2, 2, SIDE // 2, 2).all(axis=(1, 3)).repeat(2, axis=0).repeat(2, axis=1)
    rock = pd.read_csv(here / "metrics/rock.csv").set_index("variant")
    for variant, mask in (("pointwise", CIRCLE), ("srcnn_x2", blocks)):
        marks = io.read_marks(here / f"volumes/{variant}/seed0/sem.ome.zarr")
        volume = io.open_volume(here / f"volumes/{variant}/seed0/sem.ome.zarr").read(0, DEPTH)
        assert (volume == marks["unmeasured_value"])[:, ~mask].all()
        assert (volume != marks["unmeasured_value"])[:, mask].all()
        assert marks["measured_share"] == pytest.approx(mask.mean(), abs=1e-6)
        assert rock.loc[variant, "measured_share"] == pytest.approx(mask.mean())
    log = (masked.folder / "results/logs/own/register_pairs.log").read_text()
    assert f"{100 * (1 - CIRCLE.mean()):.3g} % of the TXM slices" in log
    report = (masked.folder / "results/report.html").read_text()
    assert "a given mask says so" in report
    provenance = json.loads((masked.folder / "results/provenance.json").read_text())
    assert "volume-mask.tif" in json.dumps(provenance["samples"]["own"])


@pytest.mark.parametrize(
    ("mask", "first"),
    [("txm-masks/003.tif", "register_pairs"), ("sem-masks/003.tif", "register_pairs"), ("volume-mask.tif", None)],
)
def test_another_mask_runs_again_what_depends_on_it(masked: Workflow, mask: str, first: str | None) -> None:
    """A touched mask nothing; one of the pairs all from registration on; one of the volume what reads the volume."""
    file = masked.folder / mask
    before, times = file.read_bytes(), (file.stat().st_atime, file.stat().st_mtime)
    everything = {job.partition(" ")[0] for job in masked.planned("--forceall")}
    try:
        os.utime(file, (time.time() + 5,) * 2)
        assert masked.planned() == set()
        image = io.read_image(file)
        io.write_tiff(file, np.where(X > 80, 0, image).astype(image.dtype), SIZE)
        planned = {job.partition(" ")[0] for job in masked.planned()}
    finally:
        file.write_bytes(before)
        os.utime(file, times)
    only_pairs = {"register_pairs", "draw_registration"}
    assert planned == everything - (set() if first else only_pairs)
