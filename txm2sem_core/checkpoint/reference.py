"""Weights of the published code (`latest_net_G.pth`, `latest_net_D.pth`), read safely into our networks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from txm2sem_core.checkpoint.model_directory import DESCRIPTION_FILE, WEIGHTS_FILE, save_model
from txm2sem_core.checkpoint.reference_layout import ModuleNames, read_architecture
from txm2sem_core.checkpoint.safe import read_bytes, unpickle_tensors
from txm2sem_core.checkpoint.skeleton import skeleton
from txm2sem_core.errors import ConfigError, InputError
from txm2sem_core.io import check_output
from txm2sem_core.networks import ImageGenerator, build_discriminator, build_generator

INFERENCE_MODES = ("evaluation", "batch_statistics")
RUNNING_STATISTICS = ("running_mean", "running_var", "num_batches_tracked")
REMEDY = "Give a state dict that the published code saved (epoch_net_G.pth or epoch_net_D.pth)."


def import_reference_weights(path: str | Path, **overrides: Any) -> tuple[nn.Module, dict[str, Any]]:
    """Build the network that a published checkpoint belongs to, with its weights, in evaluation mode on the CPU.

    Args:
        path: a state dict saved by the published code, of a generator or a discriminator; with or without the `module.`
            prefix of a parallel training.
        overrides: arguments of `build_generator` or `build_discriminator` that replace what follows from the weights;
            None replaces nothing. `dropout` of a U-Net leaves no trace in its weights: False unless given here.

    Returns:
        The network (an `ImageGenerator`, or a discriminator) and the arguments that build it.

    Raises:
        InputError: no safe, whole and finite state dict; or not of a published network; or the overrides do not fit.
        ConfigError: an override that no network can have.
    """
    path = Path(path)
    state = _read_state(path)
    try:
        architecture, names = read_architecture(state)
    except KeyError as error:
        raise InputError(
            f"{path}: these are not the weights of a published network ({error.args[0]}). {REMEDY}"
        ) from error
    given = {key: value for key, value in overrides.items() if value is not None}
    unknown = given.keys() - architecture.keys()
    if unknown:
        raise InputError(
            f"{path}: {', '.join(sorted(unknown))} cannot be given for these weights ({architecture['name']}). "
            f"It has {', '.join(architecture)}."
        )
    architecture |= given
    build = build_discriminator if "layers" in architecture else build_generator
    try:
        shapes = skeleton(build, architecture)
        filled = _filled(shapes, state, names, path, architecture)
        network = build(**architecture, seed=0)  # every weight is replaced
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from error
    network.load_state_dict(filled)
    return network.eval(), architecture


def import_reference_model(
    path: str | Path, output: str | Path, overrides: dict[str, Any], inference_mode: str, *, overwrite: bool = True
) -> None:
    """Turn a published generator's checkpoint into a model directory.

    The published code maps 8-bit images, 0 to 255, to [-1, 1] on both sides, so the model does too.

    Args:
        path: `NAME_net_G.pth`.
        output: the model's directory.
        overrides: see `import_reference_weights`.
        inference_mode: `evaluation` or, as the published code, `batch_statistics`.
        overwrite: an earlier model of ours in `output` may be replaced.

    Raises:
        InputError: `output` contains something else (see `io.check_output`); or as `import_reference_weights`, or the
            weights are a discriminator's.
        ConfigError: the inference mode is not known.
    """
    if inference_mode not in INFERENCE_MODES:
        known = ", ".join(INFERENCE_MODES)
        raise ConfigError(f"inference_mode: {inference_mode!r} is not known. Choose one of {known}.")
    check_output([path], files=[Path(output) / name for name in (WEIGHTS_FILE, DESCRIPTION_FILE)])
    generator, architecture = import_reference_weights(path, **overrides)
    if not isinstance(generator, ImageGenerator):
        raise InputError(f"{path}: these are the weights of a discriminator, which predicts no image. {REMEDY}")
    eight_bit = {"low": 0.0, "high": 255.0}
    description = {
        "generator": architecture,
        "normalisation": {"txm": eight_bit, "sem": eight_bit},
        "sem_dtype": "uint8",
        "voxel_size_nm": [None, None, None],
        "inference_mode": inference_mode,
        "source": Path(path).name,
    }
    save_model(output, generator, description, overwrite=overwrite)


def _read_state(path: Path) -> dict[str, Tensor]:
    state = unpickle_tensors(read_bytes(path), path)
    if not isinstance(state, dict) or not state or not all(isinstance(key, str) for key in state):
        raise InputError(f"{path}: this holds no state dict, but a {type(state).__name__}. {REMEDY}")
    for key, value in state.items():
        _check_tensor(path, key, value)
    return {key.removeprefix("module."): value for key, value in state.items()}


def _check_tensor(path: Path, key: str, value: Any) -> None:
    if (
        not isinstance(value, Tensor)
        or value.layout != torch.strided
        or value.is_meta
        or value.is_complex()
        or value.is_quantized
    ):
        raise InputError(f"{path}: {key} is not an ordinary tensor. {REMEDY}")
    # A tensor may claim to be far larger than the data that it repeats; a network of that size must not be built.
    if value.numel() * value.element_size() > value.untyped_storage().nbytes():
        raise InputError(f"{path}: {key} claims the shape {list(value.shape)}, with less data than that. {REMEDY}")
    if not torch.isfinite(value).all():
        raise InputError(f"{path}: {key} holds values that are not finite: this training had failed. {REMEDY}")


def _filled(
    wanted: dict[str, Tensor], state: dict[str, Tensor], names: ModuleNames, path: Path, architecture: dict[str, Any]
) -> dict[str, Tensor]:
    """The state under our names, where every weight has its counterpart of the same shape."""
    filled: dict[str, Tensor] = {}
    problems: list[str] = []
    unused = set(state)
    for key, current in wanted.items():
        published = _published_key(key, names)
        unused.discard(published)
        value = state.get(published, _default(key))
        if value is None:
            problems.append(f"{published} is missing")
        elif value.shape != current.shape:
            problems.append(f"{published} is {list(value.shape)} and not {list(current.shape)}")
        else:
            filled[key] = value
    # Older versions of PyTorch saved running statistics of instance norm that are not used.
    problems += [f"{key} has no place" for key in sorted(unused) if key.rpartition(".")[2] not in RUNNING_STATISTICS]
    if problems:
        raise InputError(
            f"{path}: the weights do not fit the network {architecture}: {'; '.join(problems[:3])}"
            f"{f' and {len(problems) - 3} more' if len(problems) > 3 else ''}. {REMEDY}"
        )
    return filled


def _published_key(key: str, names: ModuleNames) -> str:
    module, _, parameter = key.rpartition(".")
    published = names.get(module, f"(no counterpart of {module})")
    return f"{published}.{parameter}" if published else parameter


def _default(key: str) -> Tensor | None:
    """Return the value of what a published checkpoint does not hold."""
    if key.endswith("num_batches_tracked"):  # since PyTorch 0.4.1
        return torch.tensor(0)
    return {"input_scale": torch.tensor(1.0), "input_offset": torch.tensor(0.0)}.get(key)  # the published gammafilt
