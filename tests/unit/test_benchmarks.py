"""The benchmarks' own arithmetic, and that their scripts of ours still run; what they measure is asserted nowhere."""

from __future__ import annotations

import argparse
import ast
import importlib
import json
import re
import subprocess
import sys
import time
from functools import partial
from importlib.metadata import PackageNotFoundError
from pathlib import Path
from typing import Any

import kernels
import misfit
import pytest
import report
import sections
import torch
from benchmark_cases import Case
from kernel_switches import SWITCHES
from predict_planes import work_of
from shale_images import write_store
from torch import nn
from turns import python_path

from txm2sem_core import __version__
from txm2sem_core.phantom.placing import margin_px

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


def script(name: str, *arguments: object) -> dict[str, Any]:
    """What a script says in its last line."""
    command = [sys.executable, str(BENCHMARKS / name), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def test_the_work_of_a_plane() -> None:
    network = nn.Sequential(
        nn.Conv2d(1, 4, 3, stride=2, padding=1, bias=False), nn.ConvTranspose2d(4, 1, 2, stride=2, bias=False)
    )
    found = work_of(network, 256)
    down, up = 2 * 9 * 4 * 128**2, 2 * 4 * 4 * 128**2
    images = 256**2 + 4 * 128**2 + 4 * 128**2 + 256**2
    assert found == {"operations": down + up, "values": images + 36 + 16}


def test_a_bent_image_is_read_where_the_displacement_says() -> None:
    image = torch.rand(2, 1, 8, 9, generator=torch.Generator().manual_seed(0))
    by = torch.tensor([2.0, -1.0]).view(1, 2, 1, 1).expand(2, 2, 8, 9)  # x, y
    torch.testing.assert_close(misfit.bent(image, by)[:, :, 1:, :-2], image[:, :, :-1, 2:], atol=1e-5, rtol=0)
    field = misfit.Bending()(image, image)
    assert field.shape == (2, 2, 8, 9)
    assert float(field.detach().abs().max()) <= misfit.REACH_PX


def test_a_rock_is_the_same_at_every_misfit() -> None:
    """Its random numbers depend on the margin about the field."""
    assert len({margin_px(misfit.phantom_of(0, size)) for size in (0, 1, 2, 3)}) == 1


def test_training_runs(tmp_path: Path) -> None:
    write_store(tmp_path / "patches", 32, 1, 5)
    network = ["--family", "feedforward", "--generator", "resnet_1blocks", "--factor", 1, "--width", 4, "--steps", 2]
    own = ["--patches", tmp_path / "patches", "--penalty", "perturbation", "--weight", 1e-4]
    found = script("train_ours.py", *network, *own, "--precision", "bfloat16", "--threads", 1)
    assert found["patches_per_s"] > 0
    assert found["peak_bytes"] > 1e8


def runs(**patches_per_s: float) -> sections.Runs:
    return {name.replace("_", ", "): [{"patches_per_s": value}] for name, value in patches_per_s.items()}


def test_goals_on_a_cpu() -> None:
    memory_kept = {"published, memory kept": [{"patches_per_s": 4.0}]}
    found = {
        "a": runs(published=2.0, ours=4.0, ours_bfloat16=9.0) | memory_kept,
        "b": runs(published=1.0, ours=8.0) | memory_kept,
        "a, z-penalty": runs(published=1.0, ours_projection=1.0, ours_perturbation=3.0) | memory_kept,
    }
    assert [row[2] for row in sections.goals_on_cpu(found)] == ["4.00", "2.00", "1.00", "3.00"]


def test_goals_on_a_gpu_are_of_the_fastest_way() -> None:
    found = {
        "SRGAN x4": runs(published=2.0, ours=4.0, ours_bfloat16=9.0),
        "b": runs(published=9.0, ours=8.0, ours_bfloat16=1.0),
        "b, z-penalty": runs(published=1.0, ours_projection=1.0),
    }
    assert sections.goals_on_gpu(found) == [
        ["SRGAN x4", "5.0", "4.50 (ours, bfloat16)"],
        ["b", "4.0", "0.89 (ours)"],
    ]


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_volumes_run(tmp_path: Path, precision: str) -> None:
    inputs = ["--folder", tmp_path, "--shape", 3, 64, 64, "--generator", "unet_32", "--width", 2]
    subprocess.run([sys.executable, str(BENCHMARKS / "volume_inputs.py"), *map(str, inputs)], check=True)
    own = ["--model", tmp_path / "unet_32_2", "--input", tmp_path / "volume_3.tif"]
    script("volume_ours.py", *own, "--output", tmp_path / "v.ome.zarr", "--precision", precision, "--threads", 1)
    assert (tmp_path / "v.ome.zarr" / "zarr.json").is_file()


@pytest.mark.parametrize(
    ("library", "load", "declared"),
    [
        (False, "lambda path: None", False),  # torchvision is not there
        (True, "broken", True),
        (True, "lambda path: None", True),  # it loads, and brings nothing
        (True, "fitting", False),
    ],
)
def test_operators_are_declared_where_they_are_missing(
    tmp_path: Path, library: bool, load: str, declared: bool
) -> None:
    """In a process of its own: to declare an operator twice ends it."""
    if library:
        (tmp_path / "torchvision").mkdir()
        (tmp_path / "torchvision/__init__.py").touch()
        (tmp_path / "torchvision/_C.so").touch()
    program = f"""
import sys, torch
sys.path[:0] = [{str(BENCHMARKS)!r}]
sys.path += [{str(tmp_path)!r}]  # behind a torchvision that is really there
import importlib.util, torchvision_stub
real = importlib.util.find_spec
fake = importlib.machinery.PathFinder.find_spec("torchvision", [{str(tmp_path)!r}])
importlib.util.find_spec = lambda name: fake if name == "torchvision" else real(name)
made = []

def broken(path):
    raise OSError("undefined symbol")

def fitting(path):
    made.append(torch.library.Library("torchvision", "DEF"))
    made[0].define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")

torch.ops.load_library = {load}
declared = torchvision_stub.declare_operators()
print(declared is not None, hasattr(torch.ops.torchvision, "nms"))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == [str(declared), str(declared or load == "fitting")]


def test_the_callers_own_path_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", "/own/first:/own/second")
    assert python_path(Path("/a"), Path("/b")) == "/a:/b:/own/first:/own/second"
    monkeypatch.delenv("PYTHONPATH")
    assert python_path(Path("/a")) == "/a"


def test_the_machine_is_described_where_the_package_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str) -> str:
        if name == "txm2sem":
            raise PackageNotFoundError(name)
        return "1.0"

    monkeypatch.setattr(report, "version", absent)
    assert f"txm2sem {__version__}, torch 1.0" in report.machine(argparse.Namespace(device="cpu", threads=2))


def test_sections_that_are_not_measured_now_stay_as_the_page_has_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that one part can be measured anew, by another version or on another machine, which its section names."""
    page = tmp_path / "page.md"
    old = ["# Benchmarks\n\nan old head", "Whole volumes\n\nold volumes", "Training\n\nold training"]
    page.write_text("\n\n## ".join([*old, "Training, on another machine\n\nkept"]) + "\n")
    monkeypatch.setattr(report, "training", lambda found, device: "## Training\n\nnew training\n\n")
    chosen = argparse.Namespace(output=page, device="cpu", threads=2, quick=False, rounds=3, shared=True)
    report.write_report({"training": {}}, ["MONAI"], chosen, 16)
    head, training, kept, volumes = page.read_text().split("## ")
    assert "old head" not in head
    assert "not measured: MONAI." in head
    assert training.startswith("Training\n\nMeasured 20")
    assert f"txm2sem {__version__}" in training
    assert "rounds: 3. As other\nwork" in training
    assert training.endswith("new training\n\n")
    assert kept == "Training, on another machine\n\nkept\n\n"
    assert volumes == "Whole volumes\n\nold volumes\n"


def test_links_of_the_page_lead_to_files() -> None:
    texts = report.HEAD, sections.TRAINING, sections.PLANES, sections.VOLUMES
    links = [link for text in texts for link in re.findall(r"\]\(([^)#]+)", text)]
    assert len(links) > 5
    assert all((BENCHMARKS.parent / "docs/evidence" / link).is_file() for link in links)


def test_planes_beside_engines() -> None:
    def program(seconds: float, **more: float) -> list[dict[str, Any]]:
        return [{"seconds": seconds, "matrix_rate": 1e9, "memory_rate": 1e9, "peak_bytes": 2**20, **more}]

    runs = {
        "export": [{"operations": 1e9, "values": 1e8}],
        "published": program(4.0, difference=0.0),
        "ours": program(2.0, difference=1e-7),
        "OpenVINO": program(3.0, difference=2e-7),
    }
    alone = {"export": runs["export"], "ours": program(8.0)}
    text = sections.planes({"unet_128": runs, "resnet_9blocks, 4096 x 4096": alone}, "cpu")
    assert "| unet_128 | ours | 2.000 | 50% | 20% | 1 | 2.00 | 1e-07 | 2.0 x published |" in text
    assert "| unet_128 | OpenVINO | 3.000 | 33% | 13% | 1 | 1.33 | 2e-07 |  |" in text
    assert "| resnet_9blocks, 4096 x 4096 | ours | 8.000 | 12% | 5% | 1 |  |  |  |" in text
    assert "| unet_128 | OpenVINO | 1.50 | 2e-07 |" in text


@pytest.mark.parametrize("side", [0, 64], ids=["step", "plane"])
def test_kernels_are_measured_one_by_one(side: int, tmp_path: Path) -> None:
    """The network without a kernel computes the same, and otherwise; afterwards the kernel is there again."""
    write_store(tmp_path, 32, 1, 2)
    work = kernels.Work(Case("feedforward", "resnet_1blocks", width=4), side)
    switches = [switch for switch in SWITCHES if switch.touches(work)]
    make = partial(kernels.plane_of, work) if side else partial(kernels.step_of, work, tmp_path)
    before = {switch: [_named(target, name) for target, name, _ in switch.patches] for switch in SWITCHES}
    gains = kernels.measured(work, switches, make, 2, time.perf_counter)
    assert len(gains) == len(switches) > 4
    assert all(0 < gain.median < 1e3 and gain.difference < 1e-4 for gain in gains)
    assert before == {switch: [_named(target, name) for target, name, _ in switch.patches] for switch in SWITCHES}
    assert all(gain.switch.name in kernels.written(gains) for gain in gains)


def _named(target: Any, name: Any) -> object:
    return target[name] if isinstance(target, dict) else getattr(target, name)


GPU = sorted((BENCHMARKS / "gpu").glob("*.py"))


@pytest.mark.parametrize("script", GPU, ids=lambda script: script.stem)
def test_what_is_run_on_a_gpu_imports_what_is_there(script: Path) -> None:
    """It is run in the few minutes that a machine is lent: a name that was moved would cost them."""
    for node in ast.walk(ast.parse(script.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("txm2sem_core"):
            module = importlib.import_module(str(node.module))
            for alias in node.names:
                assert hasattr(module, alias.name) or importlib.import_module(f"{node.module}.{alias.name}")


def test_the_tests_for_a_gpu_are_there() -> None:
    named = set(re.findall(r"tests/[\w/]+\.py", (BENCHMARKS / "gpu/on_gpu.sh").read_text()))
    assert len(named) > 10
    assert all((BENCHMARKS.parent / name).is_file() for name in named)
