"""Reading PyTorch files without running anything that they contain."""

from __future__ import annotations

import io
import pickle
import struct
from pathlib import Path
from typing import Any
from zipfile import BadZipFile, ZipFile

import torch

from txm2sem_core.errors import InputError
from txm2sem_core.io.files import read_bytes

__all__ = ["read_bytes", "unpickle_tensors"]


def unpickle_tensors(data: bytes, path: Path) -> Any:
    """Read what `torch.save` wrote: tensors, numbers, texts, and dicts and lists of them, onto the CPU.

    Args:
        data: the bytes.
        path: where they come from, for the message.

    Raises:
        InputError: the data is no such file, is damaged, or holds anything else. Nothing in it is run.
    """
    _check_archive(data, path)
    try:
        return torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise InputError(
            f"{path}: refused, as it is damaged or holds more than tensors, numbers and text, and such a file could "
            f"run code when it is read. Give a file that holds a state dict alone."
        ) from error
    except Exception as error:  # whatever a stranger's bytes bring about in the reader, they are not a file for us
        first_line = str(error).strip().splitlines()[:1]
        raise InputError(
            f"{path}: this is not a readable PyTorch file ({type(error).__name__}: {' '.join(first_line)[:200]}). "
            f"Copy or make it again."
        ) from error


def _check_archive(data: bytes, path: Path) -> None:
    """Refuse a zip that unpacks to more than it is. PyTorch stores its entries uncompressed, so none needs more."""
    if not data.startswith(b"PK"):
        return
    try:
        with ZipFile(io.BytesIO(data)) as archive:
            unpacked = sum(entry.file_size for entry in archive.infolist())
    except (BadZipFile, ValueError, NotImplementedError, OSError, struct.error) as error:
        raise InputError(f"{path}: this is not a readable PyTorch file ({error}). Copy or make it again.") from error
    if unpacked > len(data):
        raise InputError(
            f"{path}: refused, as it is a zip file of {len(data)} bytes that unpacks to {unpacked}, which no file of "
            "PyTorch does. Give a file that holds a state dict alone."
        )
