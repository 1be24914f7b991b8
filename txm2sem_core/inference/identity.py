"""What a predicted volume depends on, as one digest: units of another digest are never taken for its own."""

from __future__ import annotations

import contextlib
import hashlib
import inspect
import json
from collections.abc import Iterator, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch

from txm2sem_core.io import Volume
from txm2sem_core.networks import ImageGenerator
from txm2sem_core.provenance import source_digest

_CODE = ("networks", "inference", "compute", "tiling", "intensity", "io/ome_zarr", "io/zarr_levels", "io/unit_store")


def job_digest(model: Mapping[str, Any], source: Volume, output: Mapping[str, Any]) -> str:
    """SHA-256 over the model, the settings, the source's files and the code that make a volume.

    The device and the number of slabs are no part of it.

    Args:
        model: what `Predictor.identity` or `SpreadPredictor.identity` says.
        source: the TXM volume.
        output: what else decides what is written, as JSON values.
    """
    return _digest_of([model, _source_identity(source), output, source_digest(*_CODE), _libraries()])


def result_digest(model: Mapping[str, Any], source: Volume, output: Mapping[str, Any]) -> str:
    """The same but for the source's files: of all that makes a volume beside its input's voxels.

    It is the same after a copy of the input, so a finished volume holds it, beside a digest of these voxels.
    """
    kind = [list(source.shape), str(source.dtype)]
    return _digest_of([model, kind, output, source_digest(*_CODE), _libraries()])


def _libraries() -> dict[str, str]:
    return {name: version(name) for name in ("torch", "numpy", "zarr")}


def _digest_of(parts: list[Any]) -> str:
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def network_digest(generator: ImageGenerator) -> str:
    """SHA-256 over a network's weights, its class, and the file that defines it, which may be the user's own."""
    digest = hashlib.sha256(type(generator).__qualname__.encode())
    for name, value in sorted(generator.state_dict().items()):
        tensor = value.detach().cpu().contiguous()
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().tobytes())
    with contextlib.suppress(OSError, TypeError):  # where it is defined in a session, not in a file
        digest.update(Path(inspect.getfile(type(generator))).read_bytes())
    return digest.hexdigest()


def _source_identity(source: Volume) -> dict[str, Any]:
    """Sizes and times of the files, and one slice; of a volume that is no file, all of its voxels."""
    path = Path(source.source)
    depth = source.shape[0]
    kind = {"shape": list(source.shape), "dtype": str(source.dtype)}
    if not path.exists():
        return {**kind, "voxels": _digest(source, range(depth))}
    files = [[file.name, file.stat().st_size, file.stat().st_mtime_ns] for file in _files(path)]
    return {**kind, "files": files, "voxels": _digest(source, range(depth // 2, depth // 2 + 1))}


def _digest(source: Volume, places: range) -> str:
    digest = hashlib.sha256()
    for z in places:
        digest.update(np.ascontiguousarray(source.read(z, z + 1)).tobytes())
    return digest.hexdigest()


def _files(path: Path) -> Iterator[Path]:
    if path.is_dir():
        yield from sorted(file for file in path.rglob("*") if file.is_file())
    else:
        yield path
