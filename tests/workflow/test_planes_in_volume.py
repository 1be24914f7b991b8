"""Samples whose FIB-SEM slices are sought in the volume: their planes are found, and the pipeline runs.

One is a user's, of a stack that lies obliquely, one is a phantom with its milled stack.
"""

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
SPACING = {"phantom": 4, "oblique": 5}  # of the slices, in voxels
TILT = {"phantom": 6.0, "oblique": 9.0}
CONFIG: dict[str, Any] = {
    "samples": "samples.tsv",
    "figures": "figures.yaml",
    "phantom": {
        "shape": list(SHAPE),
        "seed": 9,
        "pair_every": 36,
        "milled": {"slices": 7, "tilt_deg": TILT["phantom"], "spacing": SPACING["phantom"], "share": 0.65},
    },
    "patches": {"size_px": 32, "train": 8, "evaluation_count": 4, "context": 1},
    "train": {"generator": {"width": 4}, "schedule": {"policy": "constant", "epochs": 1}, "batch_size": 4},
    "variants": {
        "pointwise": {"family": "baseline", "generator": {"name": "pointwise"}},
        "feedforward": {"family": "feedforward", "generator": {"name": "unet_32"}, "context": 1},
    },
}


@pytest.fixture(scope="session")
def workflow(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Workflow:
    """Two samples of seven slices each, and all that the pipeline makes of them."""
    return shared_run(tmp_path_factory, worker_id, "planes", make_run)


def make_run(folder: Path) -> None:
    made = Workflow.create(folder, CONFIG, "")
    raw = made.folder / "rock"
    make_phantom(PhantomSettings(shape=SHAPE, seed=8, pair_every=72), raw)
    sem, labels = (io.open_volume(raw / f"truth/{name}.tif").read(0, SHAPE[0]) for name in ("sem", "labels"))
    rng = np.random.default_rng(0)
    first = planes.centred_plane((83, 84, 18), SIZE, 1.0, 35, TILT["oblique"], 40, mirrored=True)
    stack = jittered_stack(first, [float(SPACING["oblique"] * k) for k in range(7)], 0.3, rng)
    for k, plane in enumerate(stack):
        image = cut_plane(sem, labels, plane, SIZE, 32, 300, rng)
        io.write_tiff(made.folder / "sem" / f"SEM{k:03d}.tif", image.grey, (None, 32, 32))
    np.save(made.folder / "oblique.npy", stack)
    rows = ["sample\tsource\ttxm\tsem\ttxm_volume\tpair_z\tsem_spacing_nm"]
    rows.append(f"oblique\tpairs\t\tsem\trock/txm_volume\tfind\t{32 * SPACING['oblique']}")
    rows.append("phantom\tphantom\t\t\t\tfind\t")
    (made.folder / "samples.tsv").write_text("\n".join(rows) + "\n")
    result = made.run()
    assert result.returncode == 0, result.stdout


def results(workflow: Workflow, sample: str) -> Path:
    return workflow.folder / "results" / sample


def volume_of(workflow: Workflow, sample: str) -> Path:
    of_phantom = results(workflow, sample) / "raw/txm_volume"
    return of_phantom if sample == "phantom" else workflow.folder / "rock/txm_volume"


def truth_of(workflow: Workflow, sample: str) -> tuple[tuple[int, int], list[np.ndarray]]:
    """Shape of the slices, and their planes."""
    if sample == "oblique":
        return SIZE, list(np.load(workflow.folder / "oblique.npy"))
    known = io.read_json(results(workflow, sample) / "raw/truth/planes.json")
    height, width = known["000"]["shape"]
    return (height, width), [np.array(known[name]["matrix"]) for name in sorted(known)]


@pytest.mark.parametrize("sample", SPACING)
def test_the_planes_are_found(workflow: Workflow, sample: str) -> None:
    quality = io.read_csv(results(workflow, sample) / "registered/quality.csv")
    assert quality["accepted"].all()
    shape, truths = truth_of(workflow, sample)
    for text, truth in zip(quality["plane"], truths, strict=True):
        assert planes.corner_rms(io.plane_of_text(text, ""), truth, shape) < 0.8
    np.testing.assert_allclose(quality["tilt_deg"], TILT[sample], atol=0.5)


@pytest.mark.parametrize("sample", SPACING)
def test_patches_are_cut_along_the_normal(workflow: Workflow, sample: str) -> None:
    """Each TXM image of a pair, its context too, is the volume at the voxels that the index says, by another way."""
    folder = results(workflow, sample)
    index = io.read_csv(folder / "registered/index.csv").set_index("pair")
    volume = io.open_volume(volume_of(workflow, sample)).read(0, SHAPE[0]).astype(float)
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


@pytest.mark.parametrize("sample", SPACING)
def test_splits_keep_their_distance_along_the_normal(workflow: Workflow, sample: str) -> None:
    folder = results(workflow, sample)
    along = io.read_csv(folder / "registered/index.csv").set_index("pair")
    (height, width), truths = truth_of(workflow, sample)
    normal = truths[0][:, 2] / np.linalg.norm(truths[0][:, 2])
    middles = [truth @ [(width - 1) / 2, (height - 1) / 2, 0, 1] @ normal for truth in truths]
    np.testing.assert_allclose(np.diff(middles), SPACING[sample], atol=1.2)  # which jitters
    np.testing.assert_allclose(np.diff(along["along_first"]), np.diff(middles), atol=0.8)
    drawn = pd.read_csv(folder / "patches/index.csv", dtype={"pair": str}).drop_duplicates("pair").set_index("pair")
    for one, other in [(a, b) for a in drawn.index for b in drawn.index]:
        if drawn.loc[one, "split"] != drawn.loc[other, "split"]:
            assert abs(along.loc[one, "along_first"] - along.loc[other, "along_first"]) > 2


@pytest.mark.parametrize("sample", SPACING)
def test_the_pipeline_ends_at_scores_and_volumes(workflow: Workflow, sample: str) -> None:
    folder = results(workflow, sample)
    summary = io.read_csv(folder / "metrics/summary.csv")
    assert set(summary["variant"]) >= {"pointwise", "feedforward"}
    assert (folder / "volumes/feedforward/seed0/sem.ome.zarr").is_dir()
    assert (folder / "figures/registration.png").stat().st_size > 10_000
    assert (folder / "figures/planes.png").stat().st_size > 10_000
    assert "tilt" in (workflow.folder / "results/report.html").read_text()
