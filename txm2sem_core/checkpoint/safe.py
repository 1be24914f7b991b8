"""Reading PyTorch files without running anything that they contain."""

from __future__ import annotations

import io
import pickle
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import torch

from txm2sem_core.errors import InputError


def read_bytes(path: Path) -> bytes:
    """Read a file whole; `InputError` if there is none or it cannot be read."""
    try:
        return path.read_bytes()
    except FileNotFoundError as error:
        raise InputError(f"{path}: there is no such file. Check the path.") from error
    except OSError as error:
        raise InputError(f"{path}: this file cannot be read ({error.strerror}).") from error


def unpickle_tensors(data: bytes, path: Path) -> Any:
    """Read what `torch.save` wrote: tensors, numbers, texts, and dicts and lists of them, onto the CPU.

    Args:
        data: the bytes.
        path: where they come from, for the message.

    Raises:
        InputError: the data is no such file, is damaged, or holds anything else. Nothing in it is run.
    """
    try:
        return torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise InputError(
            f"{path}: refused, as it is damaged or holds more than tensors, numbers and text, and such a file could "
            f"run code when it is read. Give a file that holds a state dict alone."
        ) from error
    except (RuntimeError, ValueError, EOFError, KeyError, IndexError, TypeError, AttributeError, BadZipFile) as error:
        first_line = str(error).strip().splitlines()[:1]
        raise InputError(
            f"{path}: this is not a readable PyTorch file ({type(error).__name__}: {' '.join(first_line)[:200]}). "
            f"Copy or make it again."
        ) from error
