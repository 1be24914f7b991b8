"""Exported models, asked by the programs that they are for: ONNX Runtime, and bioimageio's own test.

`make test-second` installs those. bioimageio.core needs older packages than ours, so it has an environment of its own.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from exported import differences, model_of

from txm2sem_core.export import export_model, formats
from txm2sem_core.io import sha256_file

NETWORKS = {
    "residual_unet": {},
    "unet_32": {},
    "unet_64": {"norm": "instance"},
    "resnet_6blocks": {},
    "resnet_9blocks": {},
    "sr_resnet_4blocks": {"factor": 2},
    "sr_resnet_2blocks": {"factor": 4},
    "linearfilt": {},
    "gammafilt": {},
    "pointwise": {},
    "identity": {},
    "constant": {},
    "bicubic": {"factor": 2},
    "flow": {"flow_steps": 3},
}
ZOO = os.environ.get("TXM2SEM_ZOO_PYTHON", "")


def made(folder: Path, name: str) -> Path:
    return model_of(folder / "m", "residual_unet" if name == "flow" else name, **NETWORKS[name])


@pytest.mark.parametrize("name", NETWORKS)
def test_second_onnx_runtime_answers_as_we_predict(name: str, tmp_path: Path) -> None:
    for module in formats.PACKAGES:
        pytest.importorskip(module, reason="make test-second installs it")
    model = made(tmp_path, name)
    export_model(model, "onnx", tmp_path / "network.onnx")
    assert max(differences(model, formats.ask_onnx((tmp_path / "network.onnx").read_bytes()))) < 1e-5
    before = sha256_file(tmp_path / "network.onnx")
    export_model(model, "onnx", tmp_path / "network.onnx")  # in place of ours
    assert sha256_file(tmp_path / "network.onnx") == before


@pytest.mark.skipif(not ZOO, reason="make test-second installs bioimageio.core")
@pytest.mark.parametrize("name", ["unet_32", "unet_64", "sr_resnet_4blocks", "pointwise", "flow"])
def test_second_bioimageio_accepts_the_package(name: str, tmp_path: Path) -> None:
    model = made(tmp_path, name)
    export_model(model, "bioimageio", tmp_path / "model.zip")
    code = (
        "import sys, pathlib; from bioimageio.core import test_model\n"
        "for form in ('onnx', 'torchscript'):\n"
        "    summary = test_model(pathlib.Path(sys.argv[1]), weight_format=form)\n"
        "    assert summary.status == 'passed', summary.format()\n"
    )
    done = subprocess.run([ZOO, "-c", code, str(tmp_path / "model.zip")], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:] + done.stdout[-4000:]
