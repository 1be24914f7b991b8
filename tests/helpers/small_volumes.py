"""A saved model with random weights, and a TXM volume on disk, for tests of whole volumes."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
from sequential_networks import randomise

from txm2sem_core import io
from txm2sem_core.checkpoint import save_model
from txm2sem_core.networks import build_generator

SIZE_NM = (40.0, 20.0, 10.0)


def make_model(folder: Path, name: str = "resnet_1blocks", **options: Any) -> Path:
    """A model folder whose networks' output is alive, 8 bit."""
    options = {"width": 4, **options} if "filt" not in name else options
    generator = build_generator(name, seed=0, **options)
    randomise(generator, seed=9)  # one with which the smallest network has more than one grey level to give
    span = {"low": 0.0, "high": 255.0}
    description = {
        "generator": {"name": name, **options},
        "normalisation": {"txm": span, "sem": span},
        "sem_dtype": "uint8",
        "inference_mode": "evaluation",
        "family": "feedforward",
    }
    save_model(folder, generator, description)
    return folder


def make_source(path: Path, shape: tuple[int, int, int] = (70, 40, 44)) -> Path:
    """A TXM volume as BigTIFF, no slice like another."""
    array = np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8)
    io.write_volume_tiff(path, iter(array), SIZE_NM)
    return path


def digests(path: Path) -> dict[str, str]:
    """SHA-256 of a file, or of every file of a folder."""
    files = sorted(file for file in path.rglob("*") if file.is_file()) if path.is_dir() else [path]
    return {str(file.relative_to(path)): hashlib.sha256(file.read_bytes()).hexdigest() for file in files}
