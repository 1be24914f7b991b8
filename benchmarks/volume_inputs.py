"""What the benchmark of whole volumes is given: TXM volumes of noise and models with random weights, from fixed seeds.

    python benchmarks/volume_inputs.py --folder FOLDER --shape 64 1024 1024 --generator resnet_9blocks --width 64

makes FOLDER/volume_64.tif and FOLDER/resnet_9blocks_64/, a model's folder. In it lies also `network.pt`, the same
network of plain layers, traced, so that programs that do not have this package can run it. The speed depends on neither
the noise nor the weights; what comes out is a check that all programs compute the same.
"""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy import ndimage
from torch import nn

from txm2sem_core import io
from txm2sem_core.checkpoint import load_model, save_model
from txm2sem_core.intensity import IntensityRange
from txm2sem_core.networks import build_generator

SEED = 0
VOXEL_SIZE_NM = (50.0, 50.0, 50.0)
TXM_RANGE = IntensityRange(20000.0, 45000.0)
SEM_RANGE = IntensityRange(0.0, 255.0)
MEAN, DEVIATION = 32500.0, 5000.0  # of the volume's intensities
SMOOTHING_PX = 2.0
TRACED_PX = 256
OTHER_SHAPES = [(1, 1, 512, 512), (1, 1, 256, 384), (4, 1, 256, 256)]  # where the traced network must be the same, too
NETWORK_FILE = "network.pt"


def make_volume(path: Path, shape: tuple[int, int, int]) -> None:
    """Write a TXM volume [Z, Y, X], uint16, as a multipage TIFF; nothing where the file is there."""
    if not path.exists():
        io.write_volume_tiff(path, _slices(shape), VOXEL_SIZE_NM)


def make_model(folder: Path, generator: str, width: int) -> None:
    """Write a model's folder (batch norm, no dropout) and its traced network; nothing where they are there.

    Raises:
        AssertionError: the traced network differs from the model at another size than the one it was traced at.
    """
    traced = folder / NETWORK_FILE
    if traced.exists():
        return
    arguments: dict[str, Any] = {"name": generator, "width": width, "norm": "batch", "dropout": False, "seed": SEED}
    network = build_generator(**arguments)
    _measure_statistics(network)
    description = {
        "generator": arguments,
        "normalisation": {"txm": TXM_RANGE.as_dict(), "sem": SEM_RANGE.as_dict()},
        "sem_dtype": "uint8",
        "voxel_size_nm": list(VOXEL_SIZE_NM),
        "inference_mode": "evaluation",
        "family": "feedforward",
    }
    save_model(folder, network, description)
    with io.atomic_path(traced) as temporary:
        torch.jit.save(_traced(load_model(folder).generator), temporary)


def _slices(shape: tuple[int, int, int]) -> Iterator[np.ndarray]:
    """Smooth noise, slice by slice, in TXM intensities."""
    rng = np.random.default_rng(SEED)
    for _ in range(shape[0]):
        noise = ndimage.gaussian_filter(rng.standard_normal(shape[1:], dtype=np.float32), SMOOTHING_PX)
        yield np.clip(np.rint(noise * (DEVIATION / noise.std()) + MEAN), 0, 65535).astype(np.uint16)


def _measure_statistics(network: nn.Module) -> None:
    """Give the batch norms the statistics of what they see in slices of the volume's kind."""
    norms = [layer for layer in network.modules() if isinstance(layer, nn.BatchNorm2d)]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.momentum = 1.0  # only what is seen, nothing of the statistics before
    unit = TXM_RANGE.to_unit(np.stack(list(_slices((2, TRACED_PX, TRACED_PX)))))
    network.train()
    with torch.no_grad():
        network(torch.from_numpy(unit)[:, None])
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    network.eval()


def _traced(network: nn.Module) -> torch.jit.ScriptModule:
    """The network as a program of its own, in evaluation mode."""
    rng = torch.Generator().manual_seed(SEED)
    with torch.no_grad(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Converting a tensor")  # may not suit other sizes: see below
        x = torch.randn((1, 1, TRACED_PX, TRACED_PX), generator=rng)
        traced: torch.jit.ScriptModule = torch.jit.trace(network, x)  # type: ignore[no-untyped-call]
        for shape in OTHER_SHAPES:
            x = torch.randn(shape, generator=rng)
            torch.testing.assert_close(traced(x), network(x), rtol=0, atol=1e-4)  # of 2, the range of the output
    return traced


def main() -> None:
    """Make the volume and the model that the arguments name."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--shape", type=int, nargs=3, required=True, metavar=("Z", "Y", "X"))
    parser.add_argument("--generator", required=True)
    parser.add_argument("--width", type=int, required=True)
    chosen = parser.parse_args()
    depth, height, width = chosen.shape
    make_volume(chosen.folder / f"volume_{depth}.tif", (depth, height, width))
    make_model(chosen.folder / f"{chosen.generator}_{chosen.width}", chosen.generator, chosen.width)


if __name__ == "__main__":
    main()
