"""Dry runs of Snakemake, each in a fork of one process that has imported what all of them need.

Most of a dry run of a tiny workflow is the import of Snakemake and pandas, of our package, and the digests of our
code. Each workflow has its own copy of the package, so nothing of ours is imported before the fork; but of a folder
whose code no test changes, which has a process of its own. `python dry_runs.py [FOLDER]` is that process: it reads one
request a line, a JSON object with `folder`, `arguments`, `environment` and `output`, and answers with the exit code.
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

OURS = ("catalogue.targets", "costs.reservations", "report.failures", "report.inputs", "samples.preflight")
NEEDED = ("pandas", "pydantic", "scipy.ndimage", "snakemake.api", "snakemake.dag", "snakemake.workflow")


def dry_run(
    folder: Path, arguments: Sequence[str], environment: Mapping[str, str], code: Path | None = None
) -> tuple[int, str]:
    """Exit code and output of `snakemake` in a folder; `--dry-run` must be among the arguments.

    Args:
        folder: of the workflow.
        arguments: of Snakemake.
        environment: of the process.
        code: the folder, where no test changes the code in it.
    """
    assert "--dry-run" in arguments
    with tempfile.NamedTemporaryFile("r", suffix=".txt") as output:
        request = {
            "folder": str(folder),
            "arguments": list(arguments),
            "environment": dict(environment),
            "output": output.name,
        }
        server = _server(code)
        assert server.stdin is not None
        assert server.stdout is not None
        server.stdin.write(json.dumps(request) + "\n")
        server.stdin.flush()
        return int(server.stdout.readline()), Path(output.name).read_text()


@cache
def _server(code: Path | None) -> subprocess.Popen[str]:
    """Started once for each process of the tests, and folder; it ends when its input does."""
    command = [sys.executable, __file__, *([] if code is None else [str(code)])]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=_without_paths())


def _without_paths() -> dict[str, str]:
    return {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}


def _serve(folder: str | None = None) -> None:
    for name in NEEDED:
        importlib.import_module(name)
    if folder is not None:
        sys.path.insert(0, folder)
        for name in OURS:
            importlib.import_module(f"txm2sem_core.{name}")
        importlib.import_module("txm2sem_core.provenance").code_digest("")  # which keeps what it has read
        del sys.path[0]
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
    _serve(*sys.argv[1:])
