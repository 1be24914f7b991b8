"""The state of a training that may be killed: one file, checksummed, that loads without running anything."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from txm2sem_core.checkpoint.safe import read_bytes, unpickle_tensors
from txm2sem_core.errors import InputError
from txm2sem_core.io import working_path

MAGIC = b"txm2sem training state 1\n"
DIGEST_BYTES = hashlib.sha256().digest_size


def training_state_path(model: str | Path, key: str) -> Path:
    """Path of a training's state: beside the model's files, named by a digest of all that it depends on.

    Snakemake deletes the outputs of a failed job, but not this file.
    """
    return Path(model) / ".state" / f"{key}.pt"


def remove_training_states(model: str | Path) -> None:
    """Remove what `training_state_path` points to, once the model is whole; states of other settings go too."""
    folder = Path(model) / ".state"
    if folder.is_dir() and not folder.is_symlink():
        for file in folder.glob("*.pt"):
            file.unlink()
        with suppress(OSError):  # where something else lies in it
            folder.rmdir()


def save_training_state(path: str | Path, state: Mapping[str, Any]) -> None:
    """Write a state atomically: an earlier file is replaced only by a whole new one.

    Args:
        path: the file.
        state: tensors, numbers, text, None, and dicts, lists and tuples of them: state dicts of networks, optimisers
            and schedulers, random states, the step.

    Raises:
        InputError: the file cannot be written.
        TypeError: the state holds anything else, and where.
    """
    buffer = io.BytesIO()
    torch.save(_plain(state, "state"), buffer)
    payload = buffer.getbuffer()
    with working_path(Path(path)) as temporary, temporary.open("wb") as stream:
        stream.write(MAGIC)
        stream.write(hashlib.sha256(payload).digest())
        stream.write(payload)


def load_training_state(path: str | Path) -> dict[str, Any]:
    """Read what `save_training_state` wrote, onto the CPU.

    Raises:
        InputError: the file is missing, damaged, or something else.
    """
    path = Path(path)
    data = read_bytes(path)
    if not data.startswith(MAGIC):
        raise InputError(f"{path}: this is not a training state. Remove it to start the training from the beginning.")
    digest, payload = data[len(MAGIC) : len(MAGIC) + DIGEST_BYTES], data[len(MAGIC) + DIGEST_BYTES :]
    if hashlib.sha256(payload).digest() != digest:
        raise InputError(
            f"{path}: this training state is damaged (its checksum does not fit). Remove it to start the training from "
            f"the beginning."
        )
    state: dict[str, Any] = unpickle_tensors(payload, path)
    return state


def _plain(value: Any, where: str) -> Any:
    """Copy `value` with plain containers and detached tensors, or say what in it cannot be loaded again safely."""
    if isinstance(value, Tensor):
        return value.detach()
    if isinstance(value, Mapping):
        return {_plain(key, f"{where} key"): _plain(item, f"{where}[{key!r}]") for key, item in value.items()}
    if type(value) in (list, tuple):
        return type(value)(_plain(item, f"{where}[{index}]") for index, item in enumerate(value))
    if value is None or type(value) in (bool, int, float, str):  # a numpy float is a float, but does not load safely
        return value
    raise TypeError(f"{where}: {type(value).__name__} cannot be saved; turn it into tensors, numbers or text")
