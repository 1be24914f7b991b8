"""Run the script of a rule: run_script.py SCRIPT LOG THREADS, with the rest of the job on stdin: JSON, packed if long.

A script `module:function` is a function of the package, which `call_function.py` calls.

The script sees the job as `snakemake`, with what Snakemake itself would give it: `input`, `output`, `params`,
`wildcards`, `log` and `threads`.
"""

import base64
import json
import runpy
import sys
import zlib
from pathlib import Path
from types import SimpleNamespace

HERE = Path(__file__).resolve().parent


class Files(list):
    """Files in order, and those that a rule has named by their name."""

    def __init__(self, files, names):
        super().__init__(files)
        for name, value in names.items():
            setattr(self, name, value)

    def get(self, name, default=None):
        """Those of a name that a rule may leave out; they count as left out where there are none."""
        return getattr(self, name, None) or default


def read_job(text):
    """The job, from JSON or from what `packed` in code.smk made of it."""
    return json.loads(text if text.startswith("{") else zlib.decompress(base64.b64decode(text)))


def main(script, log, threads):
    # the package beside this workflow, also in an environment of its own that has none
    sys.path[:1] = [str(HERE.parent), str(HERE / "scripts")]
    job = read_job(sys.stdin.read())
    snakemake = SimpleNamespace(
        input=Files(**job["input"]),
        output=Files(**job["output"]),
        params=SimpleNamespace(**job["params"]),
        wildcards=SimpleNamespace(**job["wildcards"]),
        log=[log],
        threads=int(threads),
        script=script,
    )
    file = "call_function" if ":" in script else script
    runpy.run_path(str(HERE / "scripts" / f"{file}.py"), {"snakemake": snakemake}, "__main__")


if __name__ == "__main__":
    main(*sys.argv[1:])
