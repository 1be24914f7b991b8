"""Repair and segmentation through the whole pipeline, on a tiny phantom."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import tifffile
from conftest import TINY, Workflow

SIDE: dict[str, Any] = {
    **TINY,
    "train": {**TINY["train"], "generator": {"name": "resnet_1blocks", "width": 4}},
    "variants": {
        "pointwise": TINY["variants"]["pointwise"],
        "repaired": {"family": "repair", "damage": [0.002, 0.9], "discriminator": {"name": "pixel", "width": 4}},
        "density": {"family": "segmentation"},
    },
}


def test_side_tasks_have_tables_and_figures_of_their_own(tmp_path: Path) -> None:
    """One run of many short jobs: half a minute."""
    workflow = Workflow.create(tmp_path / "run", SIDE)
    result = workflow.run()
    assert result.returncode == 0, result.stdout
    here = workflow.folder / "results" / "tiny"
    assert list(pd.read_csv(here / "metrics/repair.csv")["variant"]) == ["repaired"]
    assert list(pd.read_csv(here / "metrics/segmentation.csv")["variant"]) == ["density"]
    assert set(pd.read_csv(here / "metrics/summary.csv")["variant"]) == {"pointwise"}
    assert {folder.name for folder in (here / "volumes").iterdir()} == {"pointwise"}
    for figure in ("repair/repaired", "segmentation/density"):
        assert (here / "figures" / f"{figure}.png").stat().st_size > 1000
    for repaired in (here / "predictions/repaired/seed0/slices").glob("*.tif"):
        pair = here / "registered/pairs" / repaired.stem
        sem, mask = (tifffile.imread(f"{pair}_{kind}.tif") for kind in ("sem", "mask"))
        found = tifffile.imread(repaired)
        place = tuple(slice(n) for n in found.shape)
        assert (found == sem[place])[mask[place] > 0].all()
    report = (workflow.folder / "results/report.html").read_text()
    assert "Repair, under the damage" in report
    assert "Dice, high density" in report
    # the report waits for both tables
    for table in ("repair", "segmentation"):
        changed = here / f"metrics/{table}.csv"
        changed.write_text(changed.read_text().replace("0.", "0.0", 1) + "\n")
    assert "write_report" in workflow.planned()
    assert np.isfinite(pd.read_csv(here / "metrics/repair.csv")["psnr_mean"]).all()
