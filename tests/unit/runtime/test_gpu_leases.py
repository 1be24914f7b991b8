"""Several GPUs: real processes and real locks, on pretended GPUs. No two share one, also after a crash."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from txm2sem_core.errors import ConfigError
from txm2sem_core.runtime import device
from txm2sem_core.runtime.device import choose_device

# chooses twice, as an ensemble does, says which GPU it has, and keeps it until it is told to end; torch is a pretended
# one, since ten processes that load the real one take a minute
WORKER = """
import sys
from pathlib import Path
from types import SimpleNamespace

folder, uuids, wanted = Path(sys.argv[1]), sys.argv[2].split(","), sys.argv[3]
cuda = SimpleNamespace(
    is_available=lambda: True,
    device_count=lambda: len(uuids),
    get_device_properties=lambda number: SimpleNamespace(uuid=uuids[number]),
    set_device=lambda number: None,
)
mps = SimpleNamespace(is_available=lambda: False)
sys.modules["torch"] = SimpleNamespace(
    cuda=cuda,
    backends=SimpleNamespace(mps=mps),
    device=lambda kind, index=None: SimpleNamespace(index=index),
)
from txm2sem_core.runtime import device

device._lock_folder = lambda: folder
device._LOOK_AGAIN_S = 0.02
first, second = device.choose_device(wanted), device.choose_device(wanted)
assert first.index == second.index, (first, second)
print(uuids[first.index], flush=True)
sys.stdin.read()
"""


class Worker:
    """A process that takes one of the GPUs."""

    def __init__(self, folder: Path, uuids: str, wanted: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", WORKER, str(folder), uuids, wanted],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def gpu(self) -> str:
        """What it got; waits for it."""
        return self.process.stdout.readline().strip()  # type: ignore[union-attr]

    def complaint(self) -> str:
        """The next thing that it says on stderr."""
        return self.process.stderr.readline().strip()  # type: ignore[union-attr]


@contextmanager
def workers(folder: Path, number: int, uuids: str = "A,B", wanted: str = "auto") -> Iterator[list[Worker]]:
    started = [Worker(folder, uuids, wanted) for _ in range(number)]
    try:
        yield started
    finally:
        for worker in started:
            worker.process.kill()
            worker.process.communicate()


def test_no_two_processes_share_a_gpu_and_a_third_gets_that_of_one_that_was_killed(tmp_path: Path) -> None:
    with workers(tmp_path, 2) as (first, second):
        held = {first.gpu(), second.gpu()}
        assert held == {"A", "B"}
        with workers(tmp_path, 1, wanted="cuda") as (third,):
            said = third.complaint()
            assert said.startswith("All 2 GPUs are taken (process ")
            assert {str(worker.process.pid) for worker in (first, second)} == set(
                said.partition("(")[2].partition(")")[0].replace("process ", "").split(", ")
            )
            first.process.kill()
            freed = third.gpu()
            assert freed in held
        with workers(tmp_path, 1) as (fourth,):
            assert fourth.gpu() == freed


def test_processes_that_see_the_gpus_in_another_order_do_not_share_one(tmp_path: Path) -> None:
    """CUDA_VISIBLE_DEVICES renumbers them. Taken in turn: `first` and `third` could else have both of `second`'s."""
    held = set()
    with contextlib.ExitStack() as stack:
        for seen in ("A,B,C", "C,A", "A,C,B"):
            (worker,) = stack.enter_context(workers(tmp_path, 1, uuids=seen))
            held.add(worker.gpu())
    assert held == {"A", "B", "C"}


def test_a_gpu_that_is_named_is_taken_whoever_has_it(tmp_path: Path) -> None:
    with workers(tmp_path, 1, wanted="cuda:1") as (named,):
        assert named.gpu() == "B"
        with workers(tmp_path, 1) as (other,):
            assert other.gpu() == "A"
        with workers(tmp_path, 1, wanted="cuda:1") as (sharing,):
            assert sharing.gpu() == "B"
            pid = named.process.pid
            assert sharing.complaint() == f"GPU 1 is taken (process {pid}) and was asked for by name: sharing it."


@pytest.fixture
def gpus(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> pytest.MonkeyPatch:
    """This process sees three GPUs."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 3)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda number: SimpleNamespace(uuid=f"GPU-{number}"))
    monkeypatch.setattr(device, "_leases", {})
    monkeypatch.setattr(device, "_lock_folder", lambda: tmp_path)
    return monkeypatch


def test_the_gpu_becomes_the_current_one(gpus: pytest.MonkeyPatch) -> None:
    current = []
    gpus.setattr(torch.cuda, "set_device", current.append)
    assert choose_device("auto") == torch.device("cuda", 0)
    assert choose_device("cuda:2") == torch.device("cuda", 2)
    assert choose_device("cuda:0") == torch.device("cuda", 0)
    assert current == [0, 2, 0]


def test_a_gpu_that_is_not_there_is_an_error(gpus: pytest.MonkeyPatch) -> None:
    with pytest.raises(
        ConfigError, match=r"'cuda:3' is not there\. Choose auto or one of cpu, cuda, cuda:0, cuda:1, c"
    ):
        choose_device("cuda:3")


def test_one_gpu_is_shared_without_locks(gpus: pytest.MonkeyPatch, tmp_path: Path) -> None:
    gpus.setattr(torch.cuda, "device_count", lambda: 1)
    assert choose_device("auto") == torch.device("cuda")
    assert choose_device("cuda:0") == torch.device("cuda", 0)
    assert not list(tmp_path.iterdir())


def test_the_lock_folder_is_the_users_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    folder = device._lock_folder()
    assert folder.stat().st_mode & 0o077 == 0
    monkeypatch.setenv("TMPDIR", str(tmp_path))  # a scheduler's, one a job
    assert device._lock_folder() == folder
