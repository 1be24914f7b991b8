"""Run the command on files that may not be read and in folders that may not be written.

`python without_rights.py FOLDER`, as a user whom rights bind, prints a list of cases as JSON: what was closed, the
exit code (or a traceback), what stood on stderr, and what was left in the output's folder.
"""

from __future__ import annotations

import contextlib
import io as streams
import json
import sys
import traceback
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "helpers"))

from small_stages import predict_arguments, train_arguments

from txm2sem_core import cli


def commands(begin: Path, output: Path) -> dict[str, list[object]]:
    """The commands that train, predict, measure and register, by their name."""
    raw = begin / "raw"
    evaluate = ["evaluate", "--prediction", begin / "slices", "--target", begin / "txm.tif", "--phases", 0]
    register = ["register", "--fixed", raw / "txm000.tif", "--moving", raw / "sem000.tif", "--output", output]
    return {
        "train": train_arguments(begin, output / "model"),
        "predict": predict_arguments(begin, output / "v.ome.zarr"),
        "predict-tiff": predict_arguments(begin, output / "v.tif"),
        "evaluate": [*evaluate, "--output", output / "metrics.json"],
        "register": [*register, "--settings", '{"transform": "none"}'],
    }


INPUTS = {
    "train": ("patches", "patches/store.json", "patches/store.safetensors", "patches/index.csv"),
    "predict": ("model", "model/model.json", "model/generator.safetensors", "txm.tif"),
    "evaluate": ("slices", "slices/1.tif", "txm.tif"),
    "register": ("raw", "raw/txm000.tif", "raw/sem000.tif"),
}


def run(arguments: list[object]) -> tuple[int | str, str]:
    """The command's exit code, or its traceback, and what it said."""
    sys.argv = ["txm2sem", *map(str, arguments)]
    message = streams.StringIO()
    with contextlib.redirect_stderr(message), contextlib.redirect_stdout(streams.StringIO()):
        try:
            cli.main()
        except SystemExit as end:
            return int(end.code or 0), message.getvalue()
        except BaseException:
            return traceback.format_exc(), message.getvalue()
    return 0, message.getvalue()


def tried(begin: Path, output: Path, name: str, closed: Path, mode: int) -> dict[str, Any]:
    """A command while `closed` has the rights `mode`."""
    before = closed.stat().st_mode
    closed.chmod(mode)
    try:
        code, message = run(commands(begin, output)[name])
    finally:
        closed.chmod(before)
    left = sorted(path.name for path in output.iterdir())
    return {"command": name, "closed": str(closed), "code": code, "message": message, "left": left}


def main() -> None:
    begin = Path(sys.argv[1])
    output = begin / "output"
    output.mkdir()
    found = [tried(begin, output, name, output, 0o555) for name in commands(begin, output)]
    for name, files in INPUTS.items():
        found += [tried(begin, output, name, begin / file, 0) for file in files]
    print(json.dumps(found))


if __name__ == "__main__":
    main()
