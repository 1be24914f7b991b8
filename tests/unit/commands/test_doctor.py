"""What `txm2sem doctor` says, and when it says that nothing can work here."""

from __future__ import annotations

import json
import shutil
from importlib.metadata import version
from pathlib import Path
from types import SimpleNamespace

import pytest
from typer.testing import CliRunner

from txm2sem_core.cli import app
from txm2sem_core.commands import doctor
from txm2sem_core.commands.doctor import diagnose, screen, write_speed
from txm2sem_core.errors import InputError


def test_one_screen_with_what_matters(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["doctor", "--results", str(tmp_path / "not/there/yet")])
    assert done.exit_code == 0, done.output
    for words in ("txm2sem 0", f"torch {version('torch')}", "cores", "GiB free", "open files", "write mib per s"):
        assert words in done.output
    assert len(done.output.splitlines()) <= 40
    assert list(tmp_path.iterdir()) == []  # nothing is left where the speed was measured


def test_for_programs(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["doctor", "--json", "--results", str(tmp_path)])
    found = json.loads(done.output)
    assert found["usable"] is True
    assert found["facts"]["versions"]["torch"] == version("torch")
    assert found["facts"]["write_mib_per_s"] > 0
    assert found["facts"]["bfloat16"].startswith("multiplied ")


@pytest.mark.parametrize(("gain", "words"), [(5.04, "5.0 times as fast as float32: predict --prec"), (0.2, "nothing")])
def test_whether_half_precision_pays(tmp_path: Path, gain: float, words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "bfloat16_gain", lambda _: gain)
    assert words in diagnose(tmp_path).facts["bfloat16"]


def test_a_machine_that_cannot_work_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    full = SimpleNamespace(total=10**12, used=10**12, free=1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: full)
    monkeypatch.setattr(doctor, "NEEDED", {"no_such_module": "all stages"})
    monkeypatch.setattr(doctor, "EXTRAS", {"no_such_extra": "the workflow"})
    monkeypatch.setattr(doctor, "_meminfo", lambda: {"MemTotal": 2**34, "MemAvailable": 2**28})
    found = diagnose(tmp_path)
    assert not found.usable
    assert [fault.split()[0] for fault in found.faults] == ["no_such_module", "less", f"{tmp_path}:"]
    assert found.missing == ["no_such_extra, for the workflow"]
    assert "Not usable" in screen(found)
    assert CliRunner().invoke(app, ["doctor", "--results", str(tmp_path)]).exit_code == 1


def test_slow_disks_and_few_gib_are_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "write_speed", lambda _: 3.0)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=2**32))
    found = diagnose(tmp_path)
    assert found.usable
    assert any("3 MiB a second" in line for line in found.slow)
    assert any("4.0 GiB are free" in line for line in found.slow)


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="cannot be written"):
        write_speed(tmp_path / "file", 1000)
