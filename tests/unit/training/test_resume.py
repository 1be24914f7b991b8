"""A training that is killed ends as if it had not been; one that cannot go on says where, why, and what is left."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from small_data import make_store, tiny, volume_beside

from txm2sem_core import checkpoint, io
from txm2sem_core.config import TrainSettings
from txm2sem_core.errors import TrainingError
from txm2sem_core.families import Batch, Learner
from txm2sem_core.io import exclusive
from txm2sem_core.training import train_model, trainer
from txm2sem_core.training.resume import SAVE_SECONDS_VARIABLE, Checkpoint, random_state, set_random_state

torch.set_num_threads(1)
MODEL_FILES = ["generator.safetensors", "best.safetensors", "last.safetensors", "model.json", "history.csv"]
EVERYTHING = tiny(
    "pix2pix",
    objective="wgangp",
    critic_steps=2,
    batch_size=3,
    generator={"dropout": True},
    discriminator={"norm": "none", "spectral_norm": True},
    z_penalty={"projection": 0.1, "perturbation": 0.1, "stack": 0.1, "every": 2},
    ema_decay=0.9,
    r1_weight=0.1,
    schedule={"policy": "plateau", "epochs": 3},
)
VARIANTS = {"feedforward": tiny("feedforward", batch_size=3), "everything": EVERYTHING}


def prepare(folder: Path) -> Path:
    """Patches, and a TXM volume to draw slice stacks from; 8 training patches are 3 steps an epoch."""
    store = make_store(folder / "p", train=8, evaluation=1, pair_every=8)
    io.write_volume_tiff(folder / "txm.tif", iter(volume_beside(store)), None)
    return folder


def train(folder: Path, name: str, settings: TrainSettings) -> None:
    train_model(folder / "p", settings, 0, folder / name, device="cpu", volume=folder / "txm.tif")


def model_bytes(folder: Path) -> dict[str, bytes]:
    assert sorted(file.name for file in folder.iterdir()) == sorted(MODEL_FILES)  # and no state is left
    return {name: (folder / name).read_bytes() for name in MODEL_FILES}


@pytest.mark.parametrize("seconds", ["0", "1e9"], ids=["saved at every step", "saved at every epoch"])
@pytest.mark.parametrize("variant", VARIANTS)
def test_killed_before_every_step_and_in_every_validation(
    tmp_path: Path, variant: str, seconds: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each run gets one step (or validation) further than the one before it, and then dies."""
    prepare(tmp_path)
    settings = VARIANTS[variant]
    train(tmp_path, "whole", settings)
    monkeypatch.setenv(SAVE_SECONDS_VARIABLE, seconds)
    step, validate = Learner.step, trainer.validate
    left = [0]

    def mortal(function: Any) -> Any:
        def call(*args: Any) -> Any:
            if left[0] == 0:
                raise KeyboardInterrupt
            left[0] -= 1
            return function(*args)

        return call

    monkeypatch.setattr(Learner, "step", mortal(step))
    monkeypatch.setattr(trainer, "validate", mortal(validate))
    for lives in (1, 2, 3, 1, 2, 100) if seconds == "0" else (3, 5, 6, 100):
        left[0] = lives
        try:
            train(tmp_path, "killed", settings)
        except KeyboardInterrupt:
            assert not any((tmp_path / "killed" / file).exists() for file in MODEL_FILES)
    assert model_bytes(tmp_path / "killed") == model_bytes(tmp_path / "whole")


def command(folder: Path, name: str) -> list[str]:
    settings = EVERYTHING.canonical_json()
    return [
        *[sys.executable, "-m", "txm2sem_core", "train", "--patches", str(folder / "p"), "--settings", settings],
        *["--output", str(folder / name), "--volume", str(folder / "txm.tif"), "--device", "cpu", "--threads", "1"],
    ]


def signalled(folder: Path, name: str, what: signal.Signals, saves: int) -> subprocess.CompletedProcess[str]:
    """Run the command and send it a signal once it has itself written its state so many times."""
    environment = os.environ | {SAVE_SECONDS_VARIABLE: "0"}

    def written() -> set[int]:
        times = set()
        for state in (folder / name / ".state").glob("[!.]*.pt"):  # not what a killed process had half written
            with contextlib.suppress(FileNotFoundError):
                times.add(state.stat().st_mtime_ns)
        return times

    before = written()
    process = subprocess.Popen(command(folder, name), env=environment, stderr=subprocess.PIPE, text=True)
    seen: set[int] = set()
    while len(seen) < saves and process.poll() is None:
        seen |= written() - before
        time.sleep(0.001)
    process.send_signal(what)
    _, errors = process.communicate(timeout=120)
    return subprocess.CompletedProcess(process.args, process.returncode, "", errors)


@pytest.mark.slow  # five processes that load torch, half a minute on a busy machine: nothing else is a real kill
def test_a_process_that_is_killed_for_good(tmp_path: Path) -> None:
    prepare(tmp_path)
    subprocess.run(command(tmp_path, "whole"), check=True, capture_output=True)
    killed = [signalled(tmp_path, "killed", signal.SIGKILL, saves) for saves in (1, 3)]
    assert {run.returncode for run in killed} == {-signal.SIGKILL}
    asked = signalled(tmp_path, "killed", signal.SIGTERM, 2)
    assert asked.returncode == 1
    assert "asked to end (SIGTERM). The state is saved in" in asked.stderr
    assert "goes on after epoch" in asked.stderr
    assert "Traceback" not in asked.stderr
    subprocess.run(command(tmp_path, "killed"), check=True, capture_output=True)
    assert model_bytes(tmp_path / "killed") == model_bytes(tmp_path / "whole")


@pytest.mark.slow  # two processes that load torch
def test_a_second_process_waits_for_the_first_and_takes_what_it_made(tmp_path: Path) -> None:
    """As when a run is killed, its training lives on, and the same command is given again."""
    prepare(tmp_path)
    train(tmp_path, "whole", EVERYTHING)
    with exclusive(tmp_path / "m", "test"):
        second = subprocess.Popen(command(tmp_path, "m"), stderr=subprocess.PIPE, text=True)
        assert second.stderr is not None
        assert second.stderr.readline().endswith(
            f"another process is at work in {tmp_path / 'm'}; waiting until it ends.\n"
        )
        shutil.copytree(tmp_path / "whole", tmp_path / "m")
        before = (tmp_path / "m/model.json").stat().st_mtime_ns
    _, errors = second.communicate(timeout=120)
    assert second.returncode == 0
    assert errors.startswith("train model: already trained")
    assert (tmp_path / "m/model.json").stat().st_mtime_ns == before


@pytest.mark.parametrize("damaged", ["generator.safetensors", "last.safetensors", "model.json"])
def test_what_is_not_whole_is_trained_again(tmp_path: Path, damaged: str) -> None:
    prepare(tmp_path)
    train(tmp_path, "whole", VARIANTS["feedforward"])
    shutil.copytree(tmp_path / "whole", tmp_path / "m")
    if damaged == "last.safetensors":
        (tmp_path / "m" / damaged).unlink()
    else:
        (tmp_path / "m" / damaged).write_bytes(b"")  # as after a power cut
    if damaged == "model.json":  # which says that the history is ours
        (tmp_path / "m/history.csv").unlink()
    train(tmp_path, "m", VARIANTS["feedforward"])
    assert model_bytes(tmp_path / "m") == model_bytes(tmp_path / "whole")


def test_a_save_that_breaks_leaves_the_earlier_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    prepare(tmp_path)
    train(tmp_path, "whole", EVERYTHING)
    monkeypatch.setenv(SAVE_SECONDS_VARIABLE, "0")
    save, count = torch.save, [0]

    def breaking(state: Any, stream: Any) -> None:
        count[0] += 1
        if count[0] == 5:
            stream.write(b"half a state")
            raise KeyboardInterrupt
        save(state, stream)

    with monkeypatch.context() as patch:
        patch.setattr(torch, "save", breaking)
        with pytest.raises(KeyboardInterrupt):
            train(tmp_path, "broken", EVERYTHING)
    (state,) = (tmp_path / "broken/.state").iterdir()
    reached = checkpoint.load_training_state(state)["reached"]
    assert (reached["epoch"], reached["step"]) == (1, 0)  # after three steps and the end of the epoch
    train(tmp_path, "broken", EVERYTHING)
    assert model_bytes(tmp_path / "broken") == model_bytes(tmp_path / "whole")


# --- trainings that fail


def failing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bad: float, settings: TrainSettings) -> str:
    """The message of a training whose fifth step gives a bad loss."""
    prepare(tmp_path)
    step, count = Learner.step, [0]

    def poisoned(self: Learner, batch: Batch, update_generator: bool = True) -> dict[str, torch.Tensor]:
        count[0] += 1
        terms = step(self, batch, update_generator)
        return terms | ({"loss_pixel": torch.tensor(bad)} if count[0] == 5 else {})

    monkeypatch.setattr(Learner, "step", poisoned)
    with pytest.raises(TrainingError) as error:
        train(tmp_path, "m", settings)
    assert [file.name for file in (tmp_path / "m").iterdir()] == [".state"]
    return str(error.value)


@pytest.mark.parametrize(
    ("bad", "fault"), [(float("nan"), "is not finite"), (-2e6, r"exceeds train.loss_limit = 1e+06")]
)
def test_a_bad_loss_stops_with_the_step_the_terms_and_what_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bad: float, fault: str
) -> None:
    message = failing(tmp_path, monkeypatch, bad, VARIANTS["feedforward"])
    assert message.startswith(f"epoch 2, step 2: a loss {fault} (generator ")
    assert f"pixel {bad:.6g}" in message
    (state,) = (tmp_path / "m/.state").iterdir()
    assert message.endswith(f"Last good checkpoint: after epoch 1: {state}")


def test_a_state_that_is_saved_after_each_step_is_never_of_a_bad_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Losses are looked at when the next step has begun, and before a state is saved."""
    monkeypatch.setenv(SAVE_SECONDS_VARIABLE, "0")
    message = failing(tmp_path, monkeypatch, float("nan"), VARIANTS["feedforward"])
    assert message.startswith("epoch 2, step 2: a loss is not finite")
    assert "Last good checkpoint: after epoch 2, step 1:" in message


def test_weights_that_are_not_finite_are_never_saved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The losses of a step are of the weights before it: the last step of an epoch may ruin them unseen."""
    prepare(tmp_path)
    step, count = Learner.step, [0]

    def ruined(self: Learner, batch: Batch, update_generator: bool = True) -> dict[str, torch.Tensor]:
        count[0] += 1
        terms = step(self, batch, update_generator)
        if count[0] == 6:
            next(self.generator.parameters()).data.fill_(float("nan"))
        return terms

    monkeypatch.setattr(Learner, "step", ruined)
    with pytest.raises(TrainingError, match=r"epoch 2, step 3: the weights .* not finite .* after epoch 1: "):
        train(tmp_path, "m", VARIANTS["feedforward"])
    (state,) = (tmp_path / "m/.state").iterdir()
    saved = checkpoint.load_training_state(state)["learner"]["generator"]
    assert all(torch.isfinite(value).all() for value in saved.values())


def test_the_command_ends_with_a_message_and_no_traceback(tmp_path: Path) -> None:
    prepare(tmp_path)
    settings = tiny("feedforward", generator={"norm": "none"}, optimiser={"learning_rate": 1e30}, pixel_loss="L2")
    run = subprocess.run(
        [
            *[sys.executable, "-m", "txm2sem_core", "train", "--patches", tmp_path / "p", "--output", tmp_path / "m"],
            *["--settings", settings.canonical_json(), "--device", "cpu"],
        ],
        capture_output=True,
        text=True,
    )
    assert run.returncode == 1
    assert "txm2sem: error: epoch 1, step 2: a loss is not finite" in run.stderr
    assert run.stderr.rstrip().endswith("Last good checkpoint: none yet")
    assert "Traceback" not in run.stderr
    assert not (tmp_path / "m/model.json").exists()


def test_the_state_is_saved_every_few_minutes_and_not_at_every_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepare(tmp_path)
    saves = []
    save = Checkpoint.save
    monkeypatch.setattr(Checkpoint, "save", lambda self, reached: (saves.append(reached.step), save(self, reached)))
    train(tmp_path, "m", VARIANTS["feedforward"])
    assert saves == [0, 0, 0]


def test_on_another_gpu_the_random_numbers_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three pretended GPUs, each with a generator: what the third one had reached is given to the first one."""
    generators = [torch.Generator().manual_seed(number) for number in range(3)]
    current = [2]
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_rng_state", lambda: generators[current[0]].get_state())
    monkeypatch.setattr(torch.cuda, "set_rng_state", lambda state: generators[current[0]].set_state(state))
    saved = random_state()
    expected = torch.rand(5, generator=generators[2])
    current[0] = 0
    set_random_state(saved)
    assert torch.equal(torch.rand(5, generator=generators[0]), expected)


def test_a_training_on_the_processor_asks_no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """There is one, but nothing computes on it; the state that is taken up is of a training that did."""

    def asked(*_: object) -> None:
        raise AssertionError("a GPU was asked")

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    for name in ("get_rng_state", "set_rng_state"):
        monkeypatch.setattr(torch.cuda, name, asked)
    saved = random_state()
    assert saved["cuda"] == []
    set_random_state({**saved, "cuda": [saved["cpu"]]})
