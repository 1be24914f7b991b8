"""A volume that several jobs predict is the volume that one job predicts, to the byte."""

from __future__ import annotations

import copy
import hashlib
import json
from pathlib import Path

from conftest import TINY, Workflow

TARGET = "results/tiny/volumes/feedforward/seed0/sem.ome.zarr"


def digests(folder: Path) -> dict[str, str]:
    files = sorted(file for file in folder.rglob("*") if file.is_file())
    return {str(file.relative_to(folder)): hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


def test_slabs_are_jobs_of_their_own_and_change_no_byte(changed: Workflow) -> None:
    alone = digests(changed.folder / TARGET)
    assert len(alone) > 2
    changed.write_config({**copy.deepcopy(TINY), "predict": {"jobs": 3}})
    result = changed.run(TARGET)
    assert result.returncode == 0, result.stdout
    assert digests(changed.folder / TARGET) == alone
    reports = sorted((changed.folder / TARGET).parent.glob("slabs/*.json"))
    assert [report.name for report in reports] == ["1of3.json", "2of3.json", "3of3.json"]
    units = [json.loads(report.read_text())["units"] for report in reports]
    assert sorted(number for slab in units for number in slab) == ["0"]  # 16 slices are one unit, two slabs are empty
    (unit,) = [slab["0"] for slab in units if slab]
    assert {name: alone[name] for name in unit["files"]} == unit["files"]
    assert "1 of 1 units are there already" in result.stdout  # the closing job predicted nothing
    assert not list((changed.folder / TARGET).parent.glob(".sem.ome.zarr.units-*"))

    # their code counts, as that of the whole volume
    tiling = changed.folder / "txm2sem_core/inference/tiling.py"
    tiling.write_text(tiling.read_text() + "\n_ADDED = 1\n")
    planned = changed.planned(TARGET)
    assert sorted(job.partition(" ")[0] for job in planned) == ["predict_slab"] * 3 + ["predict_volume"]
