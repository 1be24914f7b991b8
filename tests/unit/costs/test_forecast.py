"""Sizes, reservations and the forecast of a run, against what is counted by hand and what is made."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from txm2sem_core import io
from txm2sem_core.config import PhantomSettings, TrainSettings, load_config, parse_settings
from txm2sem_core.config.figures import FigureSettings
from txm2sem_core.costs import forecast as planning
from txm2sem_core.costs import memory, reservations
from txm2sem_core.costs.disk import left_by
from txm2sem_core.costs.forecast import (
    PlannedJob,
    StageCost,
    expects_gpu,
    forecast,
    least_speed_seconds,
    lines,
    own_name,
    stage_of,
)
from txm2sem_core.costs.memory import MEMORY, kind_of, peak_bytes, reserved_mb
from txm2sem_core.costs.quantities import Job, Linear
from txm2sem_core.costs.reservations import Reservations
from txm2sem_core.costs.sizes import Sizes, sizes_of
from txm2sem_core.costs.trial import NetworkSpeed
from txm2sem_core.costs.work import FLOPS, reserved_minutes
from txm2sem_core.inference import memory_budget
from txm2sem_core.io import MIDDLE_PX
from txm2sem_core.samples.preflight import Checked
from txm2sem_core.samples.table import Sample

SIZES = Sizes(pairs=10, plane=(100, 200), volume=(50, 100, 200))


def config(**changed: Any):
    variants = {
        "pointwise": {"family": "baseline", "generator": {"name": "pointwise"}},
        "unet": {"family": "feedforward", "generator": {"name": "unet_32", "width": 8}, "batch_size": 4},
    }
    own = {"patches": {"size_px": 64, "train": 10}, "variants": variants, "device": "cpu", "seeds": [0, 1]}
    return load_config({**own, **changed})


def test_sizes_of_a_phantom_are_those_of_its_settings() -> None:
    sample = Sample(sample="a", source="phantom")
    sizes = sizes_of(sample, PhantomSettings(shape=(20, 64, 96), pair_every=4), Path("none"))
    assert sizes == Sizes(5, (64, 96), (20, 64, 96), 2, 1)
    assert sizes.voxels == 20 * 64 * 96


def test_sizes_of_given_files_are_those_of_their_headers(tmp_path: Path) -> None:
    for number, side in enumerate((40, 60)):
        io.write_tiff(tmp_path / f"txm/t{number}.tif", np.zeros((side, 50), np.uint16), None)
        io.write_tiff(tmp_path / f"sem/s{number}.tif", np.zeros((30, 50), np.uint8), None)
    for z in range(7):
        io.write_tiff(tmp_path / f"volume/v{z}.tif", np.zeros((80, 90), np.uint16), None)
    sample = Sample(
        sample="a",
        source="pairs",
        txm=str(tmp_path / "txm"),
        sem=str(tmp_path / "sem"),
        txm_volume=str(tmp_path / "volume"),
        pair_z="1:7:4",
    )
    sizes = sizes_of(sample, PhantomSettings(), tmp_path)
    assert sizes == Sizes(2, (60, 50), (7, 80, 90), 2, 1)
    assert sizes.plane_px == 80 * 90


def test_a_linear_cost_counts_each_size_once() -> None:
    job = Job("predict", SIZES, config(), threads=3)
    assert Linear(5).of(job) == 5
    assert Linear(plane=1).of(job) == 100 * 200
    assert Linear(worker=1).of(job) == 3
    assert Linear(worker_plane=1).of(job) == 3 * 100 * 200
    assert Linear(voxel=1).of(job) == 50 * 100 * 200
    assert Linear(pair=1).of(job) == Linear(pair_middle=1).of(job) == 10 * 100 * 200
    assert Linear(denoised=1).of(job) == 0
    flow = replace(job, variant=parse_settings(TrainSettings, '{"family": "flow", "denoise": 0.8}'))
    assert Linear(denoised=1).of(flow) == job.config.patches.split.train * 10 * 100 * 200
    assert Linear(learnt=1).of(flow) == 0
    assert Linear(learnt=1).of(replace(flow, kind="train")) == 10 * 100 * 200
    assert Linear(middle=1).of(job) == 100 * 200
    large = Job("predict", Sizes(3, (2048, 2048), None), config())
    assert Linear(middle=1, pair_middle=10).of(large) == 31 * MIDDLE_PX**2
    assert Linear(store=1).of(job) == SIZES.store_bytes(job.config.patches.context)
    rock = {"rock": {"cube_px": 40, "blocks": 3, "flow": "samples", "axes": ["x", "z"]}}
    assert Linear(block=1).of(Job("measure_rock", SIZES, config(measure=rock))) == 40**3
    assert Linear(blocks=1).of(Job("measure_rock", SIZES, config(measure=rock))) == 3 * 40**3
    assert Linear(solved=1).of(Job("measure_rock", SIZES, config(measure=rock))) == 2 * 3 * 40**3
    unet = config(measure=rock).variant("unet")  # draws no samples
    assert Linear(solved=1).of(Job("measure_rock", SIZES, config(measure=rock), variant=unet)) == 0
    assert Linear(block=1).of(Job("measure_rock", SIZES, config(measure={"rock": {"cube_px": 0}}))) == SIZES.voxels
    assert Linear(run=1).of(job) == 1 + 2  # the baseline once, the other with each seed
    assert Linear(run=1).of(Job("predict", SIZES, config(), samples=4)) == 4 * (1 + 2)


@pytest.mark.parametrize("kind", MEMORY)
def test_no_job_reserves_less_than_it_takes_and_larger_samples_take_no_less(kind: str) -> None:
    own = config()
    variant = own.variant("unet") if kind in ("predict", "train") else None
    small, large = (
        Job(kind, Sizes(n, (64 * n, 64 * n), (9 * n, 64 * n, 64 * n)), own, variant=variant) for n in (3, 30)
    )
    assert reserved_mb(small) * 1e6 > peak_bytes(small)
    assert peak_bytes(large) >= peak_bytes(small)
    assert reserved_minutes(large) >= reserved_minutes(small) >= 30


def test_a_gpu_has_the_activations_in_its_own_memory() -> None:
    def of(device: str, width: int) -> float:
        variants = {"unet": {"family": "feedforward", "generator": {"name": "unet_32", "width": width}}}
        own = config(device=device, variants=variants)
        return peak_bytes(Job("train", SIZES, own, variant=own.variant("unet")))

    assert of("cpu", 64) > of("cpu", 8)
    assert of("cuda", 64) == of("cuda", 8) > of("cpu", 8)


def checked(own: Any, *names: str) -> Checked:
    samples = {name: Sample(sample=name, source="phantom") for name in names}
    return Checked(own, samples, FigureSettings(), dict.fromkeys(names, own))


def test_jobs_are_known_by_their_wildcards() -> None:
    own = config(phantom={"shape": [16, 64, 64]}, phantoms={"b": {"shape": [32, 64, 64]}})
    known = Reservations(checked(own, "a", "b"))
    job = known.job("predict_volume_uncertainty", {"sample": "b", "run": "unet/ensemble"}, 4)
    assert (job.kind, job.sizes.voxels, job.models, job.threads) == ("predict", 32 * 64 * 64, 2, 4)
    assert job.variant == own.variant("unet")
    whole = known.job("write_report", {}, 1)
    assert (whole.samples, whole.sizes.voxels, whole.variant) == (2, 32 * 64 * 64, None)


def test_files_of_other_samples_are_not_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    looked = []

    def counted(sample: Sample, *others: Any) -> Sizes:
        looked.append(sample.sample)
        return sizes_of(sample, *others)

    monkeypatch.setattr(reservations, "sizes_of", counted)
    own = Reservations(checked(config(phantom={"shape": [16, 64, 64]}), "a", "b"))
    for _ in range(2):
        own.memory_mb("measure_volume", {"sample": "b", "variant": "unet", "seed": "0"}, 1)
    assert looked == ["b"]
    own.memory_mb("write_report", {}, 1)
    assert looked == ["b", "a"]


def test_what_a_plane_takes_in_a_network_is_what_prediction_reckons_with() -> None:
    assert memory.NETWORK == memory_budget.MOST_BYTES
    assert memory.KEPT_LAYERS == memory_budget.LIVE_LAYERS


def test_a_rule_that_is_not_known_is_named() -> None:
    with pytest.raises(KeyError, match="make_tea"):
        kind_of("make_tea")


def test_hours_are_steps_and_voxels_by_the_speed_that_was_tried() -> None:
    own = config(phantom={"shape": [16, 64, 64]})
    jobs = [
        PlannedJob("train_model", {"sample": "a", "variant": "unet", "seed": "0"}, 8),
        PlannedJob("fit_baseline", {"sample": "a", "variant": "pointwise", "seed": "0"}, 1),
        PlannedJob("predict_volume", {"sample": "a", "variant": "unet", "seed": "0"}, 8),
        PlannedJob("predict_volume_uncertainty", {"sample": "a", "run": "unet/ensemble"}, 8),
        PlannedJob("write_report", {}, 1),
    ]
    found = forecast(jobs, Reservations(checked(own, "a")), lambda _: NetworkSpeed(3600, 36), on_gpu=True)
    steps = 3 * own.variant("unet").schedule.total_epochs  # 10 patches, 4 at a time
    assert found["train"].gpu_hours == steps
    assert found["predict"].gpu_hours == pytest.approx(16 * 64 * 64 / 100 * (1 + 2))
    assert (found["train"].jobs, found["predict"].jobs, found["figures"].jobs) == (2, 2, 1)
    assert list(found) == sorted(found, key=lambda stage: -found[stage].gpu_hours - found[stage].core_hours)
    on_cpu = forecast(jobs, Reservations(checked(own, "a")), lambda _: NetworkSpeed(3600, 36), on_gpu=False)
    assert on_cpu["train"].gpu_hours == 0
    assert on_cpu["train"].core_hours == pytest.approx(steps + found["train"].core_hours)


def test_without_a_trial_the_forecast_is_that_of_the_least_speed() -> None:
    own = config(phantom={"shape": [16, 64, 64]})
    known = Reservations(checked(own, "a"))
    of = {"sample": "a", "variant": "unet", "seed": "0"}
    network = known.job("train_model", of, 8).network
    assert network is not None
    slow = NetworkSpeed(network.step_flops / FLOPS["gpu"], network.voxel_flops / FLOPS["gpu"])
    for rule in ("train_model", "predict_volume", "predict_test", "measure_volume"):
        planned = PlannedJob(rule, of, 8)
        (stage,) = forecast([planned], known, lambda _: slow, on_gpu=True).values()
        seconds = least_speed_seconds(planned, known, on_gpu=True)
        assert seconds == pytest.approx(3600 * (stage.core_hours + stage.gpu_hours))
    train = PlannedJob("train_model", of, 8)
    beside = 3.0  # of loading
    ratio = FLOPS["gpu"] / (8 * FLOPS["cpu"])
    on_gpu, on_cpu = (least_speed_seconds(train, known, on_gpu=on_gpu) - beside for on_gpu in (True, False))
    assert on_cpu == pytest.approx(ratio * on_gpu)


def test_a_gpu_is_expected_where_the_system_knows_of_one_or_a_cluster_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    device = tmp_path / "gpu"
    monkeypatch.setattr(planning, "_GPU_DEVICES", (str(device),))
    asked = [(name, submitted) for name in ("auto", "cpu", "cuda") for submitted in (False, True)]
    assert [expects_gpu(name, submitted=submitted) for name, submitted in asked] == [
        False,
        True,
        False,
        False,
        True,
        True,
    ]
    device.touch()
    assert [expects_gpu(name, submitted=submitted) for name, submitted in asked] == [
        True,
        True,
        False,
        False,
        True,
        True,
    ]


def test_rules_are_known_with_the_prefix_of_a_module() -> None:
    assert [own_name(f"{prefix}train_model") for prefix in ("", "txm2sem_", "my_draw_")] == ["train_model"] * 3
    assert own_name("measure_rock") == "measure_rock"
    assert (stage_of("fit_baseline"), stage_of("learn_forward_model")) == ("train", "measure")
    with pytest.raises(KeyError, match="make_tea"):
        own_name("make_tea")


def test_slabs_share_the_volume() -> None:
    own = config(phantom={"shape": [32, 64, 64]}, predict={"jobs": 2})
    of = {"sample": "a", "variant": "unet", "seed": "0"}
    slabs = [PlannedJob("predict_slab", {**of, "slab": str(n), "slabs": "2"}, 8) for n in (1, 2)]
    found = forecast(
        [*slabs, PlannedJob("predict_volume", of, 8)],
        Reservations(checked(own, "a")),
        lambda _: NetworkSpeed(1, 3600),
        on_gpu=True,
    )
    assert found["predict"].gpu_hours == pytest.approx(32 * 64 * 64)


def test_the_table_has_a_line_a_stage_and_one_of_all() -> None:
    stages = {"train": StageCost(2, 0.5, 3.0, 4e9, 1e9, 10), "figures": StageCost(1, 0.25, 0.0, 1e9, 2e9, 5)}
    head, train, _, whole = lines(stages)
    assert head.split()[:2] == ["stage", "jobs"]
    assert train.split() == ["train", "2", "0.5", "3", "4", "1", "10"]
    assert whole.split() == ["all", "3", "0.75", "3", "4", "3", "15"]
    assert "GPU-hours" not in next(lines({"figures": stages["figures"]}))


def test_a_volume_that_passes_leaves_its_digest_and_no_volume() -> None:
    own = config(phantom={"shape": [32, 64, 64]})
    reservations = Reservations(checked(own, "a"))
    of, run = {"sample": "a", "variant": "unet", "seed": "1"}, {"sample": "a", "run": "unet/seed1"}
    for name, wildcards in (("volume", of), ("sample", {**of, "draw": "2"}), ("volume_uncertainty", run)):
        stays, passes = (
            left_by(reservations.job(rule, wildcards, 8), rule)
            for rule in (f"predict_{name}", f"predict_passing_{name}")
        )
        assert passes.bytes < 1e5 < stays.bytes
        assert passes.files < stays.files
        jobs = [PlannedJob(rule, wildcards, 8) for rule in (f"predict_{name}", f"predict_passing_{name}")]
        hours = [forecast([job], reservations, lambda _: NetworkSpeed(1, 36), on_gpu=True) for job in jobs]
        assert hours[0]["predict"].gpu_hours == hours[1]["predict"].gpu_hours
        assert hours[0]["predict"].core_hours == hours[1]["predict"].core_hours


@pytest.mark.parametrize("name", ["slab", "sample_slab", "slab_uncertainty"])
def test_a_slab_leaves_no_volume(name: str) -> None:
    reservations = Reservations(checked(config(phantom={"shape": [32, 64, 64]}, predict={"jobs": 2}), "a"))
    wildcards = {"sample": "a", "variant": "unet", "seed": "1", "draw": "2", "slab": "1", "slabs": "2"}
    for rule in (f"predict_{name}", f"predict_passing_{name}"):
        assert left_by(reservations.job(rule, wildcards, 8), rule).bytes < 1e5
