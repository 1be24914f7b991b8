"""Where memory does not suffice: a prediction takes fewer rows and says so, all else ends with one message."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from small_data import make_store, tiny
from small_volumes import make_model, make_source

from txm2sem_core import io
from txm2sem_core.acceleration.network_streams import by_rows
from txm2sem_core.acceleration.row_queue import WaitingMemory
from txm2sem_core.acceleration.row_streams import Rows
from txm2sem_core.checkpoint import LoadedModel, load_model
from txm2sem_core.config import PredictSettings
from txm2sem_core.errors import OutOfMemoryError
from txm2sem_core.inference import Predictor
from txm2sem_core.networks.resnet import ResNet
from txm2sem_core.runtime.out_of_memory import memory_remedy, ran_out_of_memory

# a command that may take so many MiB beyond what it has when its libraries are there
BOUNDED = """
import resource, sys
import torch
import txm2sem_core.inference, txm2sem_core.training
from txm2sem_core.cli import main

torch.set_num_threads(1)
torch.nn.Conv2d(1, 1, 3)(torch.zeros(1, 1, 8, 8))  # what convolutions take once
taken = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (taken + int(sys.argv[1]) * 2**20,) * 2)
sys.argv[:2] = ["txm2sem"]
main()
"""
LESS_AND_LESS = range(360, 120, -40)  # MiB: a whole plane needs 300 to 360, by the processor
linux = pytest.mark.skipif(
    not Path("/proc/self/statm").exists(), reason="the memory of a process is bounded as on Linux"
)


def bounded(mebibytes: int, *arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", BOUNDED, str(mebibytes), *map(str, arguments), "--device", "cpu", "--threads", "1"]
    environment = os.environ | {"MALLOC_ARENA_MAX": "1"}  # each thread's own reserves addresses that nobody uses
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Models, and a plane of 1024 x 1024: 32 channels of it take 128 MiB."""
    folder = tmp_path_factory.mktemp("memory")
    make_model(folder / "tiled", width=64)
    make_model(folder / "whole planes", width=32, norm="instance")
    make_source(folder / "txm.tif", (1, 1024, 1024))
    return folder


@linux
def test_a_prediction_takes_fewer_rows_and_says_so(place: Path, tmp_path: Path) -> None:
    """Or ends with a message: how far memory that was freed can be used again differs from run to run.

    What a whole plane needs differs with the processor, so that memory is taken away step by step.
    """
    made = []
    for mebibytes in (4096, *LESS_AND_LESS):
        target = tmp_path / f"{mebibytes}.ome.zarr"
        run = bounded(
            mebibytes, "predict", "--model", place / "tiled", "--input", place / "txm.tif", "--output", target
        )
        fewer = "1024 rows of a plane need more memory than there is" in run.stderr
        if fewer and run.returncode == 1:
            assert run.stderr.splitlines()[-1].startswith("txm2sem: error: ")
            assert "Traceback" not in run.stderr
            assert not target.exists()
            break
        assert run.returncode == 0, run.stderr
        made.append(io.open_volume(target).read(0, 1).astype(int))
        if fewer:
            break
    assert fewer
    assert mebibytes < 4096
    for volume in made[1:]:
        assert np.abs(volume - made[0]).max() <= 1
        assert (volume != made[0]).mean() < 1e-4


@linux
def test_a_network_of_whole_planes_ends_with_a_message_and_no_volume(place: Path, tmp_path: Path) -> None:
    target = tmp_path / "v.ome.zarr"
    options = ["--model", place / "whole planes", "--input", place / "txm.tif", "--output", target]
    run = bounded(60, "predict", *options)
    assert run.returncode == 1
    assert "a plane of 1024 pixels needs more memory than there is" in run.stderr
    assert "Crop the volume in y and x" in run.stderr
    assert "Traceback" not in run.stderr
    assert not target.exists()


@linux
def test_a_training_ends_with_a_message_and_no_model(tmp_path: Path) -> None:
    make_store(tmp_path / "p", train=2, evaluation=1)
    settings = tiny("feedforward", generator={"width": 4096}).canonical_json()
    run = bounded(200, "train", "--patches", tmp_path / "p", "--settings", settings, "--output", tmp_path / "m")
    assert run.returncode == 1
    assert "needs more memory than there is" in run.stderr
    assert "generator.width" in run.stderr
    assert "Traceback" not in run.stderr
    assert not (tmp_path / "m/model.json").exists()


def failing_above(predictor: Predictor, side: int, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Let the network fail as on a GPU where it is given more than `side` pixels; returns what it was given."""
    given: list[int] = []
    forward = predictor.network.forward

    def bounded_forward(x: torch.Tensor) -> torch.Tensor:
        given.append(max(x.shape[2:]))
        torch.rand(1)  # as dropout does
        if given[-1] > side:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
        made: torch.Tensor = forward(x)
        return made

    monkeypatch.setattr(predictor.network, "forward", bounded_forward)
    return given


class Derived(ResNet):
    """A network of a user's, which can be computed whole or by tiles alone."""


def model_for_tiles(folder: Path) -> LoadedModel:
    model = load_model(make_model(folder))
    model.generator.__class__ = Derived
    return model


def test_what_fitted_is_kept_for_the_planes_after_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    model = model_for_tiles(tmp_path / "m")
    predictor = Predictor(model, PredictSettings(), "cpu")
    plane = np.random.default_rng(0).integers(0, 255, (1, 512, 512)).astype(np.uint8)
    expected = predictor.predict_plane(plane)
    given = failing_above(predictor, 300, monkeypatch)
    np.testing.assert_allclose(predictor.predict_plane(plane), expected, atol=1e-3)  # grey levels
    assert given[0] == 512
    assert max(given[2:]) <= 300
    first = capsys.readouterr().err
    assert first.count("warning") == first.count("needs more memory than there is") == given.index(max(given[2:]))
    again = len(given)
    predictor.predict_plane(plane)
    assert max(given[again:]) <= 300
    assert not capsys.readouterr().err


def test_rows_that_fitted_are_kept_for_the_planes_after_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    predictor = Predictor(load_model(make_model(tmp_path / "m")), PredictSettings(), "cpu")
    plane = np.random.default_rng(0).integers(0, 255, (1, 512, 512)).astype(np.uint8)
    expected = predictor.predict_plane(plane)
    given: list[int] = []

    def bounded_rows(network: object, x: torch.Tensor, rows: int, memory: WaitingMemory) -> Rows:
        given.append(rows)
        if rows > 100:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
        return by_rows(predictor.network, x, rows, memory)

    failing_above(predictor, 300, monkeypatch)
    monkeypatch.setattr("txm2sem_core.inference.plane_network.by_rows", bounded_rows)
    np.testing.assert_allclose(predictor.predict_plane(plane), expected, atol=1e-3)  # grey levels
    assert given == [224, 96]
    assert capsys.readouterr().err.count("need more memory than there is") == 2
    predictor.predict_plane(plane)
    assert given == [224, 96, 96]


def test_no_tile_is_small_enough(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    predictor = Predictor(model_for_tiles(tmp_path / "m"), PredictSettings(), "cpu")
    failing_above(predictor, 16, monkeypatch)
    with pytest.raises(OutOfMemoryError, match=r"a tile of 64 pixels needs more memory .*CUDA out of memory"):
        predictor.predict_plane(np.zeros((1, 512, 512), dtype=np.uint8))


def test_other_errors_pass() -> None:
    with pytest.raises(RuntimeError, match="shape"), memory_remedy("this", "Do that."):
        raise RuntimeError("shape mismatch")
    assert ran_out_of_memory(MemoryError())
    message = r"^this needs more memory than there is \(MemoryError\)\. Do that\.$"
    with pytest.raises(OutOfMemoryError, match=message), memory_remedy("this", "Do that."):
        raise MemoryError
