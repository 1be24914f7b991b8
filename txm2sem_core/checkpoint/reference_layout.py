"""How the published code names its weights: the architecture that follows from them, and where each module lies.

The published networks are sequences of layers, numbered with those that have no weights; a U-Net is nested, each level
inside the one above. Ours have names. Facts from suetri-a/TXM2SEM, commit b1e1fa2, `models/networks.py`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from torch import Tensor

State = Mapping[str, Tensor]
Architecture = dict[str, Any]
ModuleNames = dict[str, str]
"""Our module's name to the published one's."""

RESNET_FIRST_BLOCK = 10
DEEPEST = 16  # levels, doublings or layers: far more than the published code builds, and few enough to count


def read_architecture(state: State) -> tuple[Architecture, ModuleNames]:
    """Tell the network from the names and shapes of its weights.

    Dropout moves the names inside residual blocks. In a U-Net it leaves no trace: `dropout` is False then.

    Returns:
        The arguments of `build_generator` or (with `layers`) of `build_discriminator`; and the module names.

    Raises:
        KeyError: the weights are of none of the published networks; the text says why.
    """
    if any(key.startswith("premodel.") for key in state):
        return _sr_resnet(state)
    if any(key.startswith("model.model.") for key in state):
        return _unet(state)
    if any(".conv_block." in key for key in state):
        return _resnet(state)
    if "filter.weight" in state:
        return _filter(state)
    if "net.0.weight" in state:
        return _pixel_discriminator(state)
    if "model.0.weight" in state:
        return _patch_discriminator(state)
    raise KeyError("no key of any published network")


def _unet(state: State) -> tuple[Architecture, ModuleNames]:
    depth = max(key.split(".").count("model") for key in state) - 1
    _check_depth(depth, "levels of a U-Net")
    names: ModuleNames = {}
    for level in range(depth):
        inside = "model.model" + (".1.model" if level else "") + ".3.model" * (level - 1)
        names |= {f"{module}.{level}": f"{inside}.{index}" for module, index in _unet_indices(level, depth).items()}
    first, last = names["down_convs.0"], names["up_convs.0"]
    architecture = {
        "name": f"unet_{2**depth}",
        "in_channels": _shape(state, first)[1],
        "out_channels": _shape(state, last)[1],
        "width": _shape(state, first)[0],
        "norm": _norm(state, names["down_convs.1"]),
        "dropout": False,
        "factor": 1,
    }
    return architecture, names


def _unet_indices(level: int, depth: int) -> dict[str, int]:
    """Indices inside a level: activation, down, norm, the next level, activation, up, norm; less at both ends."""
    if level == 0:
        return {"down_convs": 0, "up_convs": 3}
    if level == depth - 1:
        return {"down_convs": 1, "up_convs": 3, "up_norms": 4}
    return {"down_convs": 1, "down_norms": 2, "up_convs": 5, "up_norms": 6}


def _resnet(state: State) -> tuple[Architecture, ModuleNames]:
    blocks = _count_blocks(state)
    dropout = _has_block_dropout(state, RESNET_FIRST_BLOCK)
    after = RESNET_FIRST_BLOCK + blocks
    names = {
        "first_conv": "model.1",
        "first_norm": "model.2",
        "down_convs.0": "model.4",
        "down_norms.0": "model.5",
        "down_convs.1": "model.7",
        "down_norms.1": "model.8",
        **_block_names(blocks, RESNET_FIRST_BLOCK, dropout),
        "up_convs.0": f"model.{after}",
        "up_norms.0": f"model.{after + 1}",
        "up_convs.1": f"model.{after + 3}",
        "up_norms.1": f"model.{after + 4}",
        "last_conv": f"model.{after + 7}",
    }
    return _residual_architecture(state, f"resnet_{blocks}blocks", names, dropout, factor=1), names


def _sr_resnet(state: State) -> tuple[Architecture, ModuleNames]:
    blocks = _count_blocks(state)
    dropout = _has_block_dropout(state, 0)
    doublings = sum(key.startswith("upsample.") and value.ndim == 4 for key, value in state.items()) - 1
    _check_depth(doublings + 1, "doublings")
    names = {
        "first_conv": "premodel.1",
        "first_activation": "premodel.2",
        **_block_names(blocks, 0, dropout),
        "middle_conv": f"model.{blocks + 1}",
        "middle_norm": f"model.{blocks + 2}",
        **{f"up_convs.{step}": f"upsample.{3 * step}" for step in range(doublings)},
        **{f"up_activations.{step}": f"upsample.{3 * step + 2}" for step in range(doublings)},
        "last_conv": f"upsample.{3 * doublings + 1}",
    }
    return _residual_architecture(state, f"sr_resnet_{blocks}blocks", names, dropout, factor=2**doublings), names


def _residual_architecture(state: State, name: str, names: ModuleNames, dropout: bool, *, factor: int) -> Architecture:
    first = _shape(state, names["first_conv"])
    return {
        "name": name,
        "in_channels": first[1],
        "out_channels": _shape(state, names["last_conv"])[0],
        "width": first[0],
        "norm": _norm(state, names["first_conv"]),
        "dropout": dropout,
        "factor": factor,
    }


def _filter(state: State) -> tuple[Architecture, ModuleNames]:
    out_channels, in_channels = _shape(state, "filter")[:2]
    architecture = {
        "name": "gammafilt" if "gamma" in state else "linearfilt",
        "in_channels": in_channels,
        "out_channels": out_channels,
        "width": 1,
        "norm": "none",
        "dropout": False,
        "factor": 1,
    }
    return architecture, {"": "", "filter": "filter"}


def _patch_discriminator(state: State) -> tuple[Architecture, ModuleNames]:
    layers = sum(value.ndim == 4 for value in state.values()) - 2
    _check_depth(layers, "layers of a discriminator")
    names = {"first_conv": "model.0", "last_conv": f"model.{3 * layers + 2}"}
    for layer in range(layers):
        names |= {f"convs.{layer}": f"model.{3 * layer + 2}", f"norms.{layer}": f"model.{3 * layer + 3}"}
    architecture = {
        "name": "basic" if layers == 3 else "n_layers",
        "in_channels": _shape(state, "model.0")[1],
        "width": _shape(state, "model.0")[0],
        "layers": layers,
        "norm": _norm(state, "model.2"),
    }
    return architecture, names


def _pixel_discriminator(state: State) -> tuple[Architecture, ModuleNames]:
    width, in_channels = _shape(state, "net.0")[:2]
    architecture = {
        "name": "pixel",
        "in_channels": in_channels,
        "width": width,
        "layers": 3,
        "norm": _norm(state, "net.2"),
    }
    return architecture, {"first_conv": "net.0", "middle_conv": "net.2", "middle_norm": "net.3", "last_conv": "net.5"}


def _shape(state: State, published_module: str) -> tuple[int, ...]:
    weight = state.get(f"{published_module}.weight")
    if weight is None:
        raise KeyError(f"{published_module}.weight is missing")
    if weight.ndim != 4:
        raise KeyError(f"{published_module}.weight is {list(weight.shape)}, not a convolution")
    return tuple(weight.shape)


def _check_depth(count: int, what: str) -> None:
    if not 0 < count <= DEEPEST:
        raise KeyError(f"{count} {what}")


def _norm(state: State, convolution: str) -> str:
    """Batch norm has weights of its own; beside instance norm, and only there, convolutions have a bias."""
    if any(f"{key.removesuffix('running_mean')}weight" in state for key in state if key.endswith("running_mean")):
        return "batch"
    return "instance" if f"{convolution}.bias" in state else "none"


def _count_blocks(state: State) -> int:
    blocks = {match[1] for key in state if (match := re.match(r"model\.(\d+)\.conv_block\.", key))}
    if not blocks:
        raise KeyError("model.*.conv_block: no residual block")
    return len(blocks)


def _has_block_dropout(state: State, first_block: int) -> bool:
    """Dropout moves the block's second convolution from index 5 to 6, which is otherwise that of its norm."""
    weight = state.get(f"model.{first_block}.conv_block.6.weight")
    return weight is not None and weight.ndim == 4


def _block_names(blocks: int, first_block: int, dropout: bool) -> ModuleNames:
    second = 6 if dropout else 5
    indices = {"conv1": 1, "norm1": 2, "activation": 3, "conv2": second, "norm2": second + 1}
    return {
        f"blocks.{block}.{module}": f"model.{first_block + block}.conv_block.{index}"
        for block in range(blocks)
        for module, index in indices.items()
    }
