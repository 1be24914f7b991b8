"""Commands of jobs stay below what a system takes, however many seeds there are. Half a minute: a plan of 627 jobs."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
LONGEST = 2**17  # bytes of one argument, on Linux
SEEDS = list(range(16))


def test_commands_of_many_seeds(tmp_path: Path) -> None:
    """A report's job names all results; a run of ten samples has ten times as many, and is packed as well."""
    command = [sys.executable, "-m", "snakemake", "-n", "-p", "--configfile", "config/demo.yaml"]
    chosen = ["--config", f"seeds={json.dumps(SEEDS)}", f"results_dir={tmp_path / 'results'}"]
    done = subprocess.run([*command, *chosen], cwd=REPOSITORY, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    commands = [line for line in done.stdout.splitlines() if line.startswith("Shell command: ")]
    assert any("write_report" in line for line in commands)
    assert len(commands) > 20 * len(SEEDS)
    assert max(len(line.encode()) for line in commands) < LONGEST / 5


def test_a_packed_job_is_the_job() -> None:
    rules = {}
    source = (REPOSITORY / "workflow/rules/code.smk").read_text()
    start = source.index("def packed(")
    exec("import base64, zlib\n" + source[start : source.index("def run_script(")], rules)
    spec = importlib.util.spec_from_file_location("run_script", REPOSITORY / "workflow/run_script.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    text = json.dumps({"params": {"title": "ä ½ \U0001f600", "list": list(range(1000))}})
    packed = rules["packed"](text)
    assert len(packed) < len(text) / 1.5
    assert module.read_job(text) == module.read_job(packed) == json.loads(text)
