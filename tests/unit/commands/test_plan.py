"""The plan of a prediction, against counts by hand and against a volume that is written."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from txm2sem_core.cli import app
from txm2sem_core.commands.plan import plan_prediction
from txm2sem_core.errors import ConfigError
from txm2sem_core.io import Volume, write_ome_zarr


def test_ten_thousand_cubed() -> None:
    """Levels of 10000, 5000, 2500, 1250, 625, 313 and 157 a side: shards of 16 x 1024 x 1024."""
    plan = plan_prediction((10_000, 10_000, 10_000), 1e7, jobs=625, gpus=64)
    sides = [10_000, 5_000, 2_500, 1_250, 625, 313, 157]
    assert plan.input_voxels == plan.output_voxels == 10**12
    assert plan.input_bytes == 2 * 10**12
    assert plan.output_bytes == sum(side**3 for side in sides)
    assert plan.levels == len(sides)
    shards = sum(-(-side // 16) * (-(-side // 1024)) ** 2 for side in sides)
    assert shards == 625 * 100 + 313 * 25 + 157 * 9 + 79 * 4 + 40 + 20 + 10
    assert plan.files == shards + 7 + 1
    assert (plan.units, plan.units_a_job) == (625, 1)
    assert plan.gpu_hours == pytest.approx(1e5 / 3600)
    assert plan.hours_a_job == pytest.approx(160 / 3600)
    assert plan.hours == pytest.approx(10 * 160 / 3600)  # 625 jobs in ten rounds of 64


def test_more_jobs_than_units_are_no_faster() -> None:
    few, many = (plan_prediction((320, 64, 64), 1e6, jobs=jobs, gpus=4) for jobs in (20, 10_000))
    assert many.units_a_job == 1
    assert many.hours == few.hours
    assert plan_prediction((320, 64, 64), 1e6, jobs=3, gpus=4).units_a_job == 7


def test_the_files_are_those_of_a_volume_that_is_written(tmp_path: Path) -> None:
    shape = (18, 1030, 520)
    volume = Volume.of_array(np.zeros(shape, np.uint8))
    # voxels that are not all zero, since empty chunks are not written
    planes = (np.full(shape[1:], 7, np.uint8) for _ in volume.slices())
    write_ome_zarr(tmp_path / "v.ome.zarr", planes, shape, np.uint8, (1, 1, 1))
    files = [path for path in (tmp_path / "v.ome.zarr").rglob("*") if path.is_file()]
    assert plan_prediction(shape, 1, jobs=1, gpus=1).files == len(files)


@pytest.mark.parametrize("wrong", [{"jobs": 0}, {"gpus": 0}, {"factor": 0}, {"voxels_per_second": float("inf")}])
def test_a_number_that_cannot_be_is_named(wrong: dict[str, float]) -> None:
    arguments = {"voxels_per_second": 1.0, "jobs": 1, "gpus": 1} | wrong
    with pytest.raises(ConfigError, match=r": a number greater than 0 is needed, it is "):
        plan_prediction((1, 1, 1), **arguments)  # type: ignore[arg-type]


def test_the_command() -> None:
    run = CliRunner().invoke(
        app, ["plan-volume", "--shape", "64", "100", "100", "--voxels-per-second", "1e4", "--jobs", "2"]
    )
    assert run.exit_code == 0
    found = dict(line.split("\t") for line in run.stdout.splitlines())
    assert (found["output_voxels"], found["units"], found["units_a_job"]) == ("640000", "4", "2")
    assert float(found["gpu_hours"]) == pytest.approx(64 / 3600, rel=1e-3)
