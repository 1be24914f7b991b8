"""Commands on a system without what Linux alone has. No such system was at hand: what is missing there is hidden here.

A process of its own, since modules look for it when they are imported; it trains and predicts, hence some seconds.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
from small_data import blurred, make_store, sharp

from txm2sem_core import io

WITHOUT_LINUX = """
import os, pathlib, sys

MISSING = ("fcntl", "grp", "pwd", "resource", "termios")  # of Windows; macOS has them

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name in MISSING:
            raise ModuleNotFoundError(name)

sys.meta_path.insert(0, Absent())
for name in MISSING:
    sys.modules.pop(name, None)
for name in ("sched_getaffinity", "sched_setaffinity", "posix_fadvise"):
    delattr(os, name)

def without_proc(read):
    def tried(path, *rest, **options):
        if str(path).startswith(("/proc/", "/sys/")):
            raise FileNotFoundError(2, "no such file", str(path))
        return read(path, *rest, **options)
    return tried

pathlib.Path.read_text = without_proc(pathlib.Path.read_text)
os.readlink = without_proc(os.readlink)

from txm2sem_core.cli import main
main()
"""


def run(folder: Path, command: str) -> str:
    arguments = [sys.executable, "-c", WITHOUT_LINUX, *command.split()]
    done = subprocess.run(arguments, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    return done.stdout


def test_a_model_is_trained_predicts_and_is_judged(tmp_path: Path) -> None:
    make_store(tmp_path / "patches", context=1)
    truth = sharp((12, 72, 80), 5)
    io.write_tiff(tmp_path / "truth.tif", truth, (40.0, 20.0, 10.0))
    io.write_tiff(tmp_path / "txm.tif", blurred(truth), (40.0, 20.0, 10.0))
    settings = (
        '{"family":"feedforward","context":1,"generator":{"name":"unet_32","width":4},'
        '"schedule":{"policy":"constant","epochs":1}}'
    )
    run(tmp_path, f"train --patches patches --settings {settings} --seed 0 --output model --device cpu")
    run(tmp_path, "predict --model model --input txm.tif --output sem.ome.zarr --device cpu")
    assert "psnr" in run(tmp_path, "evaluate --prediction sem.ome.zarr --target truth.tif --output scores.json")
    assert np.isfinite(io.read_json(tmp_path / "scores.json")["psnr"])
    assert "memory" in run(tmp_path, "doctor")
