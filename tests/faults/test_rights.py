"""What may not be read or written is reported in a message; what is only read is never written."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from small_stages import make_start
from undisturbed import ALL, PIPELINE, make_workflow, start
from without_rights import INPUTS, commands, run

from txm2sem_core import io

# root is bound by no rights, but by these when it gives its capabilities away
BOUND = () if os.geteuid() else ("setpriv", "--inh-caps=-all", "--bounding-set=-all")
on_demand = pytest.mark.skipif(not ALL, reason="set TXM2SEM_FAULTS=all, or run `make test-faults`")


def bound() -> tuple[str, ...]:
    """The words that start a command with nothing but a user's rights."""
    if BOUND and subprocess.run([*BOUND, "true"], capture_output=True, check=False).returncode:
        pytest.skip("root cannot give its capabilities away here (setpriv)")
    return BOUND


@pytest.fixture(scope="module")
def begin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the commands start from."""
    folder = make_start(tmp_path_factory.mktemp("begin"))
    volume = io.open_volume(folder / "txm.tif")
    for z, plane in enumerate(volume.read(0, volume.shape[0])):
        io.write_tiff(folder / "slices" / f"{z}.tif", plane)
    return folder


CASES = [("output", name) for name in commands(Path(), Path())] + [
    (file, name) for name, files in INPUTS.items() for file in files
]


@pytest.fixture(scope="module")
def outcomes(begin: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, str], dict[str, Any]]:
    """All cases, tried in one process."""
    folder = shutil.copytree(begin, tmp_path_factory.mktemp("closed") / "begin")
    command = [*bound(), sys.executable, str(Path(__file__).with_name("without_rights.py")), str(folder)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, env=environment)
    found = json.loads(done.stdout)
    return {(str(Path(case["closed"]).relative_to(folder)), case["command"]): case for case in found}


@pytest.mark.parametrize(("closed", "command"), CASES)
def test_missing_rights_are_reported(
    outcomes: dict[tuple[str, str], dict[str, Any]], closed: str, command: str
) -> None:
    outcome = outcomes[closed, command]
    assert outcome["code"] in (1, 2), outcome["code"]
    last_line = outcome["message"].splitlines()[-1]
    assert outcome["closed"] in last_line
    assert any(words in last_line for words in ("Permission denied", "is not readable", "cannot be written to"))
    assert "Traceback" not in outcome["message"]
    assert outcome["left"] == []


def state(folder: Path) -> dict[str, tuple[object, ...]]:
    """Of every file and folder: rights, times of change, digest. Even a file that was made for a moment shows."""
    found: dict[str, tuple[object, ...]] = {}
    for path in [folder, *sorted(folder.rglob("*"))]:
        stat = path.stat()
        digest = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""
        found[str(path.relative_to(folder))] = (stat.st_mode, stat.st_mtime_ns, stat.st_ctime_ns, digest)
    return found


def test_what_is_only_read_is_never_written(begin: Path, tmp_path: Path) -> None:
    before = state(begin)
    assert len(before) > 80
    for arguments in commands(begin, tmp_path / "output").values():
        code, message = run(arguments)
        assert code == 0, message
    assert state(begin) == before
    (begin / "txm.tif").touch()
    assert state(begin) != before


def test_what_is_written_has_the_rights_that_the_user_gives_to_files(begin: Path, tmp_path: Path) -> None:
    """A group that shares a results folder can read all of it; safetensors makes files for their owner alone."""
    (tmp_path / "file").touch()
    expected = (tmp_path / "file").stat().st_mode
    assert {str(path): path.stat().st_mode for path in begin.rglob("*") if path.is_file()} == {
        str(path): expected for path in begin.rglob("*") if path.is_file()
    }


@on_demand
@pytest.mark.slow  # a pipeline
def test_the_pipeline_never_writes_its_inputs_and_needs_no_right_to(tmp_path: Path) -> None:
    inputs = tmp_path / "inputs"
    code, message = run(["phantom", "--output", inputs, "--shape", 24, 128, 128])
    assert code == 0, message
    columns = {"sample": "own", "source": "pairs", "pair_z": "4:24:8"}
    columns |= {kind: str(inputs / kind) for kind in ("txm", "sem", "charge", "txm_volume")}
    config = PIPELINE | {"variants": {"pointwise": PIPELINE["variants"]["pointwise"]}}
    samples = "\t".join(columns) + "\n" + "\t".join(columns.values()) + "\n"
    folder = make_workflow(tmp_path / "w", config, samples)
    for path in [*inputs.rglob("*"), inputs]:
        path.chmod(0o555 if path.is_dir() else 0o444)
    before = state(inputs)
    assert start(folder, *bound()).wait() == 0, (folder / "output.txt").read_text()
    assert (folder / "results/report.html").exists()
    assert state(inputs) == before


@on_demand
@pytest.mark.slow  # Snakemake, three times
def test_snakemake_in_folders_that_may_not_be_written(tmp_path: Path) -> None:
    folder = make_workflow(tmp_path / "w")
    (folder / "output.txt").touch()
    (folder / "results").mkdir()
    for closed, mode, message in (
        (folder / "results", 0o555, r"Permission denied: 'results/tiny'"),
        (folder, 0o555, r"txm2sem: error: .snakemake: this user may not read or write it (Permission denied)"),
        (folder / "samples.tsv", 0, r"samples.tsv: this file cannot be read (Permission denied). Check its rights."),
    ):
        shutil.rmtree(folder / ".snakemake", ignore_errors=True)
        (folder / "output.txt").write_text("")
        before = closed.stat().st_mode
        closed.chmod(mode)
        code = start(folder, *bound()).wait()
        closed.chmod(before)
        output = (folder / "output.txt").read_text()
        assert code == 1, output
        assert message in output
        assert "Traceback" not in output
        assert list((folder / "results").iterdir()) == []
