"""What a predicted volume depends on, as one digest: units of another digest are never taken for its own."""

from __future__ import annotations

import contextlib
import hashlib
import inspect
import json
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from txm2sem_core.errors import ConfigError
from txm2sem_core.io import Volume
from txm2sem_core.networks import ImageGenerator
from txm2sem_core.provenance import code_digest, volume_digest


def job_digest(model: Mapping[str, Any], source: Volume, output: Mapping[str, Any]) -> str:
    """SHA-256 over the model, the settings, the source's files and the code that make a volume.

    The device and the number of slabs are no part of it.

    Args:
        model: what `Predictor.identity` or `EnsemblePredictor.identity` says.
        source: the TXM volume.
        output: what else decides what is written, as JSON values.
    """
    return _digest_of([model, volume_digest(source), output, code_digest("inference:predict_volume"), _libraries()])


def result_digest(model: Mapping[str, Any], source: Volume, output: Mapping[str, Any]) -> str:
    """The same but for the source's files: of all that makes a volume beside its input's voxels.

    It is the same after a copy of the input, so a finished volume holds it, beside a digest of these voxels.
    """
    kind = [list(source.shape), *(str(scan.dtype) for scan in source.scans)]
    return _digest_of([model, kind, output, code_digest("inference:predict_volume"), _libraries()])


def digest_of_units(digests: Mapping[str, str]) -> str:
    """SHA-256 over the digests of a volume's units by their numbers, in their order."""
    return hashlib.sha256("".join(digests[number] for number in sorted(digests, key=int)).encode()).hexdigest()


def _libraries() -> dict[str, str]:
    return {name: version(name) for name in ("torch", "numpy", "zarr")}


def _digest_of(parts: list[Any]) -> str:
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def network_digest(generator: ImageGenerator) -> str:
    """SHA-256 over a network's weights, its class, and the code of the file that defines it, which may be a user's."""
    digest = hashlib.sha256(type(generator).__qualname__.encode())
    for name, value in sorted(generator.state_dict().items()):
        tensor = value.detach().cpu().contiguous()
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().tobytes())
    with contextlib.suppress(OSError, TypeError, ConfigError):  # where it is defined in a session, not in a file
        digest.update(code_digest(Path(inspect.getfile(type(generator)))).encode())
    return digest.hexdigest()
