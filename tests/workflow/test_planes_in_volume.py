"""A sample without TXM slices: the planes of its FIB-SEM slices are found in the volume, and the pipeline runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from conftest import Workflow, shared_run

from txm2sem_core import io, planes
from txm2sem_core.config import PhantomSettings
from txm2sem_core.phantom import make_phantom
from txm2sem_core.phantom.oblique import cut_plane, jittered_stack

SHAPE = (72, 168, 168)
SIZE = (112, 120)
CASES = {"flat": (0.0, 0.0, False), "oblique": (9.0, 35.0, True)}
CONFIG: dict[str, Any] = {
    "samples": "samples.tsv",
    "figures": "figures.yaml",
    "patches": {"size_px": 32, "train": 8, "evaluation_count": 4, "context": 1},
    "train": {"generator": {"width": 4}, "schedule": {"policy": "constant", "epochs": 1}, "batch_size": 4},
    "variants": {
        "pointwise": {"family": "baseline", "generator": {"name": "pointwise"}},
        "feedforward": {"family": "feedforward", "generator": {"name": "unet_32"}, "context": 1},
    },
}


@pytest.fixture(scope="session")
def workflow(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Workflow:
    """Two samples of one phantom, each a stack of six slices, and all that the pipeline makes of them."""
    return shared_run(tmp_path_factory, worker_id, "planes", make_run)


def make_run(folder: Path) -> None:
    made = Workflow.create(folder, CONFIG, "")
    raw = made.folder / "rock"
    make_phantom(PhantomSettings(shape=SHAPE, seed=8, pair_every=72), raw)
    sem, labels = (io.open_volume(raw / f"truth/{name}.tif").read(0, SHAPE[0]) for name in ("sem", "labels"))
    rng = np.random.default_rng(0)
    rows = ["sample\tsource\ttxm\tsem\ttxm_volume\tpair_z"]
    for name, (tilt, turn, mirrored) in CASES.items():
        first = planes.centred_plane((83, 84, 18), SIZE, 1.0, turn, tilt, 40, mirrored=mirrored)
        stack = jittered_stack(first, [5.0 * k for k in range(7)], 0.3, rng)
        for k, plane in enumerate(stack):
            image = cut_plane(sem, labels, plane, SIZE, 32, 300, rng)
            io.write_tiff(made.folder / name / f"SEM{k:03d}.tif", image.grey, (None, 32, 32))
        np.save(made.folder / f"{name}.npy", stack)
        rows.append(f"{name}\tpairs\t\t{name}\trock/txm_volume\tfind")
    (made.folder / "samples.tsv").write_text("\n".join(rows) + "\n")
    result = made.run()
    assert result.returncode == 0, result.stdout


def results(workflow: Workflow, sample: str) -> Path:
    return workflow.folder / "results" / sample


@pytest.mark.parametrize("sample", CASES)
def test_the_planes_are_found(workflow: Workflow, sample: str) -> None:
    quality = io.read_csv(results(workflow, sample) / "registered/quality.csv")
    assert quality["accepted"].all()
    for text, truth in zip(quality["plane"], np.load(workflow.folder / f"{sample}.npy"), strict=True):
        assert planes.corner_rms(io.plane_of_text(text, ""), truth, SIZE) < 0.8
    np.testing.assert_allclose(quality["tilt_deg"], CASES[sample][0], atol=0.5)


@pytest.mark.parametrize("sample", CASES)
def test_patches_are_cut_along_the_normal(workflow: Workflow, sample: str) -> None:
    """Each TXM image of a pair, its context too, is the volume at the voxels that the index says, by another way."""
    folder = results(workflow, sample)
    index = io.read_csv(folder / "registered/index.csv").set_index("pair")
    volume = io.open_volume(workflow.folder / "rock/txm_volume").read(0, SHAPE[0]).astype(float)
    store = io.read_patch_store(folder / "patches")
    from scipy import ndimage

    for name, images in store.pairs.items():
        mask = np.asarray(images.mask, dtype=bool)
        grid = io.plane_of_text(index.loc[name, "grid"], name)
        for k, step in enumerate((-1, 0, 1)):
            at = planes.positions_zyx(grid, images.txm[k].shape, step)
            expected = ndimage.map_coordinates(volume, at, order=3, mode="mirror")
            within = planes.covered(grid, images.txm[k].shape, SHAPE, step) & mask
            assert np.abs(images.txm[k] - expected)[within].mean() < 0.002 * np.ptp(volume)
        sem = images.sem[mask].astype(float)
        assert np.corrcoef(images.txm[1][mask], sem)[0, 1] > 0.5


@pytest.mark.parametrize("sample", CASES)
def test_splits_keep_their_distance_along_the_normal(workflow: Workflow, sample: str) -> None:
    folder = results(workflow, sample)
    along = io.read_csv(folder / "registered/index.csv").set_index("pair")
    np.testing.assert_allclose(np.diff(along["along_first"]), 5, atol=1.2)
    drawn = pd.read_csv(folder / "patches/index.csv", dtype={"pair": str}).drop_duplicates("pair").set_index("pair")
    for one, other in [(a, b) for a in drawn.index for b in drawn.index]:
        if drawn.loc[one, "split"] != drawn.loc[other, "split"]:
            assert abs(along.loc[one, "along_first"] - along.loc[other, "along_first"]) > 2


@pytest.mark.parametrize("sample", CASES)
def test_the_pipeline_ends_at_scores_and_volumes(workflow: Workflow, sample: str) -> None:
    folder = results(workflow, sample)
    summary = io.read_csv(folder / "metrics/summary.csv")
    assert set(summary["variant"]) >= {"pointwise", "feedforward"}
    assert (folder / "volumes/feedforward/seed0/sem.ome.zarr").is_dir()
    assert (folder / "figures/registration.png").stat().st_size > 10_000
    assert "tilt" in (workflow.folder / "results/report.html").read_text()
