"""A model as a file of another program's format, tried before it is left."""

from __future__ import annotations

import io as memory
import json
import logging
import warnings
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch

from txm2sem_core.errors import ConfigError, InputError
from txm2sem_core.export.bioimageio import package
from txm2sem_core.export.portable import Portable, portable
from txm2sem_core.io import atomic_path
from txm2sem_core.io.ownership import SOFTWARE

Answer = Callable[[dict[str, np.ndarray]], np.ndarray]
PACKAGES = ("onnx", "onnxscript", "onnxruntime", "bioimageio.spec")  # of the extra `export`
LARGEST = 1e-5  # difference to our own network, as a share of the FIB-SEM range
_FURTHEST_PX = 1 << 15  # of a plane


def torchscript(given: Portable) -> bytes:
    """The network as TorchScript."""
    images = tuple(map(torch.from_numpy, given.example(given.example_px, given.example_px).values()))
    with torch.no_grad(), _quiet():
        traced = torch.jit.trace(given.network, images, check_trace=False)  # type: ignore[no-untyped-call]
        buffer = memory.BytesIO()
        torch.jit.save(traced, buffer, _extra_files={"txm2sem.json": json.dumps(given.facts())})
    return marked_zip(buffer.getvalue())


def onnx(given: Portable) -> bytes:
    """The network as ONNX, for planes of every size that it takes.

    Raises:
        ConfigError: the extra `export` is not installed.
    """
    _needs("onnx", "onnxscript")
    images = {key: torch.from_numpy(image) for key, image in given.example(*_unequal(given)).items()}
    steps = [
        torch.export.Dim(axis, min=given.smallest // given.multiple, max=_FURTHEST_PX // given.multiple)
        for axis in "yx"
    ]
    sizes = {
        axis: given.multiple * step if given.multiple > 1 else step for axis, step in zip((2, 3), steps, strict=True)
    }
    with torch.no_grad(), _quiet():
        program = torch.export.export(
            given.network, tuple(images.values()), dynamic_shapes=tuple(sizes for _ in images)
        )
        made = torch.onnx.export(
            program, input_names=list(images), output_names=["sem"], dynamo=True, external_data=False, verbose=False
        )
    assert made is not None
    made.model.metadata_props.update({"txm2sem": json.dumps(given.facts()), "software": SOFTWARE})
    buffer: bytes = made.model_proto.SerializeToString()
    return buffer


def _unequal(given: Portable) -> tuple[int, int]:
    """Sides of an example that differ, so that neither is taken for the other."""
    return given.example_px, given.example_px + given.multiple


def ask_torchscript(data: bytes) -> Answer:
    """What a TorchScript file answers."""
    with _quiet():
        network = torch.jit.load(memory.BytesIO(data))  # type: ignore[no-untyped-call]

    def answer(images: dict[str, np.ndarray]) -> np.ndarray:
        with torch.no_grad():
            made: np.ndarray = network(*map(torch.from_numpy, images.values())).numpy()
        return made

    return answer


def ask_onnx(data: bytes) -> Answer:
    """What ONNX Runtime answers.

    Raises:
        ConfigError: the extra `export` is not installed.
    """
    _needs("onnxruntime")
    import onnxruntime

    session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
    return lambda images: np.asarray(session.run(None, images)[0])


def bioimageio(given: Portable) -> bytes:
    """A package of the BioImage Model Zoo, with the network as ONNX and as TorchScript.

    Raises:
        ConfigError: the extra `export` is not installed.
    """
    _needs("bioimageio")
    return marked_zip(package(given, {form: _asked(given, form) for form in _ASKED}))


def marked_zip(data: bytes) -> bytes:
    """A ZIP with our mark as its comment (see `io.ownership`)."""
    buffer = memory.BytesIO(data)
    with zipfile.ZipFile(buffer, "a") as archive:
        archive.comment = f"software {SOFTWARE}".encode()
    return buffer.getvalue()


FORMATS: dict[str, Callable[[Portable], bytes]] = {"onnx": onnx, "torchscript": torchscript, "bioimageio": bioimageio}
_ASKED: dict[str, Callable[[bytes], Answer]] = {"onnx": ask_onnx, "torchscript": ask_torchscript}


def export_model(model: Path, form: str, output: Path, *, overwrite: bool = True) -> None:
    """Write a trained model for other programs, and compare what it answers with our own network, at three sizes.

    Args:
        model: folder of a training or an import.
        form: one of `FORMATS`.
        output: the file; a package of the BioImage Model Zoo is a ZIP.
        overwrite: an earlier export in `output` is replaced.

    Raises:
        ConfigError: an unknown format, a model that cannot be exported, or the extra `export` is not installed.
        InputError: the folder holds no model, the file cannot be written, or it answers otherwise.
    """
    if form not in FORMATS:
        raise ConfigError(f"--format {form}: this format is not known. Choose one of {', '.join(FORMATS)}.")
    given = portable(model)
    data = _asked(given, form) if form in _ASKED else FORMATS[form](given)
    with atomic_path(output, overwrite=overwrite) as temporary:
        temporary.write_bytes(data)


def _asked(given: Portable, form: str) -> bytes:
    """The network in a format that can be asked, once it was; also where it becomes part of a package.

    Raises:
        InputError: it answers otherwise.
    """
    data = FORMATS[form](given)
    difference = largest_difference(given, _ASKED[form](data))
    if not difference <= LARGEST:
        raise InputError(
            f"As {form} the network answers otherwise, by {difference:.1e} of the FIB-SEM range. Nothing was written. "
            "Choose another format, and tell us of the network."
        )
    return data


def largest_difference(given: Portable, answer: Answer) -> float:
    """To our own network, over planes of three sizes, as a share of the FIB-SEM range, or of what is beyond it."""
    found, sem = 0.0, given.network.sem
    for more in (0, 1, 4):
        height, width = _unequal(given)
        images = given.example(height + more * given.multiple, width)
        expected = given.predict(images)
        largest = max(abs(sem.high - sem.low), float(np.abs(expected).max()))
        found = max(found, float(np.abs(answer(images) - expected).max()) / largest)
    return found


def _needs(*modules: str) -> None:
    from importlib.util import find_spec

    if any(find_spec(name) is None for name in modules):
        raise ConfigError(
            f"This format needs the packages {' '.join(PACKAGES)}, which are not all installed. Run `pip install "
            f"{' '.join(PACKAGES)}`, or choose torchscript, which needs nothing more."
        )


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the remarks of the exporters, which are for their own developers."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "torch.export", "onnxscript", "torch.fx")]
    levels = [each.level for each in loggers]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for each in loggers:
            each.setLevel(logging.ERROR)
        try:
            yield
        finally:
            for each, level in zip(loggers, levels, strict=True):
                each.setLevel(level)
