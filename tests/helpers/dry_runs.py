"""Dry runs of Snakemake, each in a fork of one process that has imported what all of them need.

Most of a dry run of a tiny workflow is the import of Snakemake and pandas. Nothing of ours is imported before the fork:
each workflow has its own copy of the package. `python dry_runs.py` is that process: it reads one request a line, a JSON
object with `folder`, `arguments`, `environment` and `output`, and answers with the exit code.
"""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

NEEDED = ("pandas", "pydantic", "scipy.ndimage", "snakemake.api", "snakemake.dag", "snakemake.workflow")


def dry_run(folder: Path, arguments: Sequence[str], environment: Mapping[str, str]) -> tuple[int, str]:
    """Exit code and output of `snakemake` in a folder; `--dry-run` must be among the arguments."""
    assert "--dry-run" in arguments
    with tempfile.NamedTemporaryFile("r", suffix=".txt") as output:
        request = {
            "folder": str(folder),
            "arguments": list(arguments),
            "environment": dict(environment),
            "output": output.name,
        }
        server = _server()
        assert server.stdin is not None
        assert server.stdout is not None
        server.stdin.write(json.dumps(request) + "\n")
        server.stdin.flush()
        return int(server.stdout.readline()), Path(output.name).read_text()


@cache
def _server() -> subprocess.Popen[str]:
    """Started once for each process of the tests; it ends when its input does."""
    command = [sys.executable, __file__]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=_without_paths())


def _without_paths() -> dict[str, str]:
    return {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}


def _serve() -> None:
    for name in NEEDED:
        importlib.import_module(name)
    main = importlib.import_module("snakemake.cli").main
    for line in sys.stdin:
        request = json.loads(line)
        child = os.fork()
        if child == 0:
            _become(request)
            sys.argv = ["snakemake", *request["arguments"]]
            code = 1
            try:
                main()
            except SystemExit as end:
                code = end.code if isinstance(end.code, int) else int(end.code is not None)
                if isinstance(end.code, str):
                    print(end.code, file=sys.stderr)  # as Python does
            finally:
                sys.stdout.flush()
                sys.stderr.flush()
                os._exit(code)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)


def _become(request: Mapping[str, object]) -> None:
    """The process that the command would have started."""
    output = os.open(str(request["output"]), os.O_WRONLY | os.O_TRUNC)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for own, replaced in ((nothing, 0), (output, 1), (output, 2)):
        os.dup2(own, replaced)
    os.environ.clear()
    os.environ.update(request["environment"])  # type: ignore[call-overload]
    os.chdir(str(request["folder"]))
    sys.path[0] = str(request["folder"])  # as of `python -m snakemake`


if __name__ == "__main__":
    _serve()
