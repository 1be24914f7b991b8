"""A package of the BioImage Model Zoo (format 0.5), which ilastik, deepImageJ and others open."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from txm2sem_core.export.portable import Portable
from txm2sem_core.io.units import padded_length

_DOCUMENT = """# {name}

Predicts FIB-SEM images of a rock from TXM (X-ray nano-CT) slices. Made by TXM2SEM from a trained model.

- Input `txm`: {channels} TXM slice(s) as channels, the one that is predicted in the middle, in the intensities of the
  training ({low:g} to {high:g} were seen most). Nothing is to be normalised before.{noise}
- Output `sem`: FIB-SEM grey levels, neither rounded nor bounded.{tiles}
- Pixels of the training: {pixels}. A network knows the pixel size and the rock that it was trained on, and no other.
"""
_NOISE = "\n- Input `noise`: normally distributed, of unit variance. Other noise gives another sample."
_WHOLE = "\n- It normalises by statistics of the whole plane: do not cut planes into tiles."


def package(given: Portable, weights: Mapping[str, bytes]) -> bytes:
    """A ZIP of networks, test images and their description.

    Args:
        given: the network.
        weights: files by format, `onnx` and `torchscript`.
    """
    from bioimageio.spec import save_bioimageio_package

    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        description = _described(given, weights, place)
        os.environ.setdefault("BIOIMAGEIO_CACHE_PATH", folder)
        made = Path(save_bioimageio_package(description, output_path=place / "package.zip"))
        return made.read_bytes()


def _described(given: Portable, weights: Mapping[str, bytes], place: Path) -> Any:
    from bioimageio.spec.model import v0_5

    files = {form: place / f"network.{'onnx' if form == 'onnx' else 'pt'}" for form in weights}
    for form, file in files.items():
        file.write_bytes(weights[form])
    side = max(given.example_px, _smallest(given))
    images = given.example(side, side)
    images["sem"] = given.predict(images)
    for key, image in images.items():
        np.save(place / f"{key}.npy", image)
    name = str(given.model.description.get("name") or given.model.description.get("family") or "txm2sem")
    (place / "README.md").write_text(_text(given, name), encoding="utf-8")
    inputs = [_input(given, key, place) for key in images if key != "sem"]
    return v0_5.ModelDescr(
        name=f"TXM2SEM {name}",
        description="FIB-SEM images of a rock from TXM slices",
        documentation=v0_5.FileDescr(source=place / "README.md"),
        tags=["txm", "fib-sem", "image-to-image", "2d"],
        inputs=inputs,
        outputs=[_output(given, place)],
        weights=v0_5.WeightsDescr(
            onnx=v0_5.OnnxWeightsDescr(source=files["onnx"], opset_version=_opset(weights["onnx"])),
            torchscript=v0_5.TorchscriptWeightsDescr(
                source=files["torchscript"],
                parent="onnx",
                pytorch_version=v0_5.Version(torch.__version__.split("+")[0]),
            ),
        ),
        config=v0_5.Config(txm2sem=given.facts()),
    )


def _input(given: Portable, key: str, place: Path) -> Any:
    from bioimageio.spec.model import v0_5

    size = v0_5.ParameterizedSize(min=_smallest(given), step=given.multiple)
    steps = range(-given.context, given.context + 1)
    names = (
        ["noise"]
        if key == "noise"
        else ["slice" if n == 0 else f"slice_{'p' if n > 0 else 'm'}{abs(n)}" for n in steps]
    )
    return v0_5.InputTensorDescr(
        id=v0_5.TensorId(key),
        axes=[
            v0_5.BatchAxis(size=1),
            v0_5.ChannelAxis(channel_names=[v0_5.Identifier(each) for each in names]),
            v0_5.SpaceInputAxis(id=v0_5.AxisId("y"), size=size),
            v0_5.SpaceInputAxis(id=v0_5.AxisId("x"), size=size),
        ],
        test_tensor=v0_5.FileDescr(source=place / f"{key}.npy"),
        data=v0_5.IntervalOrRatioDataDescr(type="float32"),
    )


def _output(given: Portable, place: Path) -> Any:
    from bioimageio.spec.model import v0_5

    def space(axis: str) -> Any:
        size = v0_5.SizeReference(tensor_id=v0_5.TensorId("txm"), axis_id=v0_5.AxisId(axis))
        scale = 1 / given.factor
        halo = _halo(given) * given.factor
        options = {"id": v0_5.AxisId(axis), "size": size, "scale": scale}
        return v0_5.SpaceOutputAxisWithHalo(halo=halo, **options) if halo else v0_5.SpaceOutputAxis(**options)

    return v0_5.OutputTensorDescr(
        id=v0_5.TensorId("sem"),
        axes=[v0_5.BatchAxis(size=1), v0_5.ChannelAxis(channel_names=[v0_5.Identifier("sem")]), space("y"), space("x")],
        test_tensor=v0_5.FileDescr(source=place / "sem.npy"),
        data=v0_5.IntervalOrRatioDataDescr(type="float32"),
    )


def _halo(given: Portable) -> int:
    """TXM pixels; none where tiles never agree."""
    return given.halo_px if given.tiles else 0


def _smallest(given: Portable) -> int:
    """Side of a tile, of which more than the halo is left."""
    return padded_length(max(given.smallest, 2 * _halo(given) + 1), given.multiple)


def _opset(data: bytes) -> int:
    import onnx

    versions = {each.domain: each.version for each in onnx.load_from_string(data).opset_import}
    return int(versions[""])


def _text(given: Portable, name: str) -> str:
    size = given.model.description.get("voxel_size_nm") or [None]
    return _DOCUMENT.format(
        name=f"TXM2SEM {name}",
        channels=given.channels,
        low=given.network.txm.low,
        high=given.network.txm.high,
        noise=_NOISE if given.samples else "",
        tiles="" if given.tiles else _WHOLE,
        pixels=f"{size[-1]:g} nm" if size[-1] else "of a size that is not known",
    )
