"""A trained model on disk: `generator.safetensors` with the weights, `model.json` with everything else."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor, nn

from txm2sem_core.checkpoint.description import check_description
from txm2sem_core.checkpoint.safe import read_bytes
from txm2sem_core.checkpoint.skeleton import check_shapes, skeleton
from txm2sem_core.errors import ConfigError, InputError
from txm2sem_core.io import MARK, atomic_path, read_json, write_json
from txm2sem_core.networks import ImageGenerator, build_generator, generator_names, plugin_of

WEIGHTS_FILE = "generator.safetensors"
DESCRIPTION_FILE = "model.json"


@dataclass(frozen=True)
class LoadedModel:
    """A generator in evaluation mode on the CPU, and the description that was saved with it."""

    generator: ImageGenerator
    description: dict[str, Any]


def save_model(
    directory: str | Path, generator: nn.Module, description: Mapping[str, Any], *, overwrite: bool = True
) -> None:
    """Write `generator.safetensors` and `model.json`, each atomically; equal models give equal bytes.

    Args:
        directory: made if necessary; other files in it are kept.
        generator: its parameters and buffers are saved.
        description: what JSON can hold. `description["generator"]` are the arguments of `build_generator`, `name` among
            them. The SHA-256 of the weights is added as `weights_sha256`, and our mark.
        overwrite: an earlier model of ours may be replaced (see `io.atomic_path`).

    Raises:
        InputError: the directory cannot be written, or contains another model.
        ValueError: the description lacks `generator`, with its `name`.
    """
    if "name" not in description.get("generator", {}):
        raise ValueError("description['generator'] must hold the arguments of build_generator, 'name' among them")
    directory = Path(directory)
    digest = save_weights(directory / WEIGHTS_FILE, generator, overwrite=overwrite)
    # The description comes last and names the weights: a broken save shows as a mismatch.
    described = {**description, **MARK, "weights_sha256": digest}
    write_json(directory / DESCRIPTION_FILE, described, overwrite=overwrite)


def save_weights(path: str | Path, generator: nn.Module, *, overwrite: bool = True) -> str:
    """Write parameters and buffers alone, atomically, as safetensors; returns the file's SHA-256."""
    weights = {key: value.detach().cpu().contiguous().clone() for key, value in generator.state_dict().items()}
    data = safetensors.torch.save(weights, metadata=MARK)
    with atomic_path(path, overwrite=overwrite) as temporary:
        temporary.write_bytes(data)
    return hashlib.sha256(data).hexdigest()


def load_model(directory: str | Path) -> LoadedModel:
    """Read what `save_model` wrote.

    Raises:
        InputError: a file is missing, damaged, not finite, or belongs to another model. No code in it is executed, and
            no network is built that is larger than the weights in the file.
        ConfigError: the description names a generator or an option that is not known.
    """
    directory = Path(directory)
    description = _read_description(directory)
    _check_plugin(directory, description)
    weights = _read_weights(directory / WEIGHTS_FILE, description["weights_sha256"])
    arguments = description["generator"]
    belong = f"{directory}: {WEIGHTS_FILE} does not belong to the network that {DESCRIPTION_FILE} describes: "
    try:
        if plugin_of(arguments["name"]) is None:  # a user's own builder may not bear to be built without memory
            check_shapes(skeleton(build_generator, arguments), weights, belong)
        generator = build_generator(**arguments)
    except TypeError as error:
        raise InputError(
            f"{directory / DESCRIPTION_FILE}: key 'generator' does not hold the arguments of a generator ({error}). "
            f"Make the model again."
        ) from error
    check_shapes(generator.state_dict(), weights, belong)
    with torch.no_grad():
        generator.load_state_dict(weights)
    return LoadedModel(generator.eval(), description)


def load_weights(directory: str | Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The weights of a model by name, on the CPU, and its description; its network is not built.

    Raises:
        InputError: a file is missing, damaged, not finite, or belongs to another model.
    """
    description = _read_description(Path(directory))
    return _read_weights(Path(directory) / WEIGHTS_FILE, description["weights_sha256"]), description


def _read_description(directory: Path) -> dict[str, Any]:
    if not directory.is_dir():
        raise InputError(f"{directory}: there is no such model directory. Check the path, or train the model first.")
    for name in (DESCRIPTION_FILE, WEIGHTS_FILE):
        if not (directory / name).is_file():
            raise InputError(
                f"{directory}: this is not a model directory, as it holds no {name}. Give the folder that a "
                f"training or an import has left."
            )
    return check_description(read_json(directory / DESCRIPTION_FILE), directory / DESCRIPTION_FILE)


def _check_plugin(directory: Path, description: dict[str, Any]) -> None:
    """A network of the user's own needs its file, which is never run because a model names it."""
    plugin, name = description.get("plugin"), description["generator"].get("name")
    if isinstance(plugin, dict) and name not in generator_names():
        raise ConfigError(
            f"{directory}: its generator {name!r} was registered by the file {plugin.get('file')!r} when it was "
            "trained. Give that file by --plugin, or under plugins in the config."
        )


def _read_weights(path: Path, expected_sha256: str) -> dict[str, Tensor]:
    data = read_bytes(path)
    found = hashlib.sha256(data).hexdigest()
    if found != expected_sha256:
        raise InputError(
            f"{path}: the weights are damaged or belong to another model: their SHA-256 is {found[:12]}..., but "
            f"{DESCRIPTION_FILE} names {expected_sha256[:12]}... Copy or make both files again."
        )
    try:
        weights = safetensors.torch.load(data)
    except (SafetensorError, ValueError, LookupError, TypeError, RuntimeError, OverflowError) as error:
        raise InputError(f"{path}: this is not a safetensors file ({error}). Make the model again.") from error
    for key, value in weights.items():
        if value.is_floating_point() and not torch.isfinite(value).all():
            raise InputError(
                f"{path}: {key} holds values that are not finite: this training had failed. Train the model again."
            )
    return weights
