"""The software that made a result."""

from __future__ import annotations

import platform
from importlib import metadata

from txm2sem_core import __version__

# what decides numbers or formats, as far as it is installed
PACKAGES = (
    *("torch", "numpy", "scipy", "scikit-image", "SimpleITK", "pandas", "safetensors", "tifffile", "imagecodecs"),
    *("zarr", "pydantic", "matplotlib", "xraydb", "snakemake"),
)


def versions(*packages: str) -> dict[str, str]:
    """Installed versions by name: ours, Python's, and those of `packages` (of all that matter, if none is named)."""
    found = {"txm2sem": __version__, "python": platform.python_version()}
    for name in packages or PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def made_with(device: str) -> dict[str, str]:
    """What decides a model's bytes beside its settings: versions, kind of processor, device. The same in every run.

    Args:
        device: what computed, as `cpu` or a GPU's name.
    """
    return {**versions("torch", "numpy", "safetensors"), "machine": platform.machine(), "device": device}
