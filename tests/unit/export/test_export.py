"""Models for other programs, as TorchScript; `tests/exact/test_second_export.py` has the formats that need more."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from exported import differences, model_of

from txm2sem_core.checkpoint import load_model, save_model
from txm2sem_core.errors import ConfigError, InputError
from txm2sem_core.export import export_model, formats, portable
from txm2sem_core.networks import generator_names

OPTIONS = {"sr_": {"factor": 2}, "bicubic": {"factor": 2}}
NAMES = [name for name in generator_names() if name not in [f"sr_resnet_{n}blocks" for n in range(2, 16)]]
LARGEST = 1e-5


def options_of(name: str) -> dict[str, int]:
    return next((options for start, options in OPTIONS.items() if name.startswith(start)), {})


@pytest.mark.parametrize("name", [*NAMES, "flow"])
def test_every_network_answers_as_it_predicts(name: str, tmp_path: Path) -> None:
    if name == "flow":
        model = model_of(tmp_path / "m", "residual_unet", flow_steps=2)
    else:
        model = model_of(tmp_path / "m", name, **options_of(name))
    export_model(model, "torchscript", tmp_path / "network.pt")
    found = differences(model, formats.ask_torchscript((tmp_path / "network.pt").read_bytes()))
    assert max(found) < LARGEST


def test_a_network_with_instance_norm_does_too_and_says_that_tiles_would_differ(tmp_path: Path) -> None:
    model = model_of(tmp_path / "m", "resnet_1blocks", norm="instance")
    export_model(model, "torchscript", tmp_path / "network.pt")
    extra = {"txm2sem.json": ""}
    torch.jit.load(str(tmp_path / "network.pt"), _extra_files=extra)
    facts = json.loads(extra["txm2sem.json"])
    assert facts["tiles_agree"] is False
    assert facts["weights_sha256"] == load_model(model).description["weights_sha256"]
    assert max(differences(model, formats.ask_torchscript((tmp_path / "network.pt").read_bytes()))) < LARGEST


def test_beyond_the_halo_a_tile_is_the_plane(tmp_path: Path) -> None:
    given = portable(model_of(tmp_path / "m", "unet_32"))
    side = 2 * given.example_px + 2 * (given.halo_px // given.multiple + 1) * given.multiple
    images = given.example(side, side)
    cut = side // 4 // given.multiple * given.multiple
    tile = {key: np.ascontiguousarray(image[..., cut:]) for key, image in images.items()}
    np.testing.assert_allclose(
        given.predict(tile)[..., given.halo_px :], given.predict(images)[..., cut + given.halo_px :], atol=1e-3
    )


CANNOT = {
    "side task": ({"family": "repair"}, "of the family repair"),
    "prepared": ({"preparation": {"equalise": 0.01, "contrast": 1.0}}, "patches.equalise"),
    "published mode": ({"inference_mode": "batch_statistics"}, "inference_mode: batch_statistics"),
}


@pytest.mark.parametrize("case", CANNOT)
def test_what_one_network_cannot_do_is_refused(case: str, tmp_path: Path) -> None:
    described, said = CANNOT[case]
    model = model_of(tmp_path / "m", "resnet_1blocks")
    loaded = load_model(model)
    save_model(model, loaded.generator, {**loaded.description, **described})
    command = [sys.executable, "-m", "txm2sem_core", "export", "--format", "torchscript"]
    command += ["--model", str(model), "--output", str(tmp_path / "n.pt")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "n.pt").exists()


def test_an_unknown_format_and_missing_packages_are_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = model_of(tmp_path / "m", "resnet_1blocks")
    with pytest.raises(ConfigError, match="Choose one of onnx, torchscript, bioimageio"):
        export_model(model, "keras", tmp_path / "n")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    for form in ("onnx", "bioimageio"):
        with pytest.raises(ConfigError, match="pip install onnx onnxscript"):
            export_model(model, form, tmp_path / "n")


def test_an_earlier_export_is_replaced_and_a_file_of_the_users_is_not(tmp_path: Path) -> None:
    model, other = (model_of(tmp_path / name, name) for name in ("resnet_1blocks", "unet_32"))
    export_model(other, "torchscript", tmp_path / "n.pt")
    with pytest.raises(InputError, match=r"n\.pt"):
        export_model(model, "torchscript", tmp_path / "n.pt", overwrite=False)
    export_model(model, "torchscript", tmp_path / "n.pt")
    assert max(differences(model, formats.ask_torchscript((tmp_path / "n.pt").read_bytes()))) < LARGEST
    (tmp_path / "n.pt").write_text("mine")
    with pytest.raises(InputError, match=r"n\.pt"):
        export_model(model, "torchscript", tmp_path / "n.pt")
    assert (tmp_path / "n.pt").read_text() == "mine"


def test_a_network_that_answers_otherwise_is_not_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = model_of(tmp_path / "m", "resnet_1blocks")
    monkeypatch.setitem(formats._ASKED, "torchscript", lambda data: lambda images: images["txm"][:, :1])
    with pytest.raises(InputError, match="answers otherwise"):
        export_model(model, "torchscript", tmp_path / "n.pt")
    assert not (tmp_path / "n.pt").exists()


def test_a_network_that_answers_otherwise_becomes_no_part_of_a_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = model_of(tmp_path / "m", "resnet_1blocks")
    monkeypatch.setattr(formats, "_needs", lambda *modules: None)
    monkeypatch.setitem(formats.FORMATS, "onnx", formats.torchscript)  # which needs no package
    monkeypatch.setattr(formats, "package", lambda given, weights: b"")
    monkeypatch.setitem(formats._ASKED, "onnx", lambda data: lambda images: images["txm"][:, :1])
    with pytest.raises(InputError, match="As onnx the network answers otherwise"):
        export_model(model, "bioimageio", tmp_path / "n.zip")
    assert not (tmp_path / "n.zip").exists()
