"""Time of predicting single planes with the published networks, by the published code or by ours.

    python benchmarks/predict_planes.py --who export ...       leaves the published network in --folder, and its answer
    python benchmarks/predict_planes.py --who published ...    predicts with the published code
    python benchmarks/predict_planes.py --who ours ...         reads the weights, and compares its answer

The published code runs in evaluation mode without gradients, which is the fastest it offers. The last line on stdout is
a JSON object: seconds a plane, from and to the processor's memory; the rates of a matrix product and of memory in the
same process; peak bytes; the greatest difference to the answer that was left, where there is one. Of the export: the
operations of a plane and the values that they read and write.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from devices import (
    add_compute,
    add_device,
    chosen_clock,
    chosen_compute,
    chosen_device,
    matrix_rate,
    memory_rate,
    peak_bytes,
    seconds_of,
)
from torch import Tensor, nn

ANSWER = "answer.npy"
LARGEST_SHARE = 1 / 8  # of the measured plane that the operations are counted on


def published_network(chosen: argparse.Namespace) -> nn.Module:
    """The published generator with the weights that a fresh one has."""
    from models import networks  # type: ignore[import-not-found]

    torch.manual_seed(0)
    network: nn.Module = networks.define_G(
        1, 1, chosen.width, chosen.generator, "batch", False, "normal", 0.02, [], chosen.factor
    )
    return network.eval()


def export(network: nn.Module, chosen: argparse.Namespace) -> dict[str, float]:
    """Leave the weights as the published code saves them, the network for other engines, and its answer."""
    torch.save(network.state_dict(), chosen.folder / "latest_net_G.pth")
    side = chosen.side
    if not chosen.no_answer:
        program = torch.export.export(network, (torch.zeros(1, 1, side, side),))
        torch.export.save(program, chosen.folder / "network.pt2")
        with torch.no_grad():
            np.save(chosen.folder / ANSWER, network(torch.from_numpy(plane_of(side))[None, None])[0, 0].numpy())
    return work_of(network, side)


def plane_of(side: int) -> np.ndarray:
    """The plane that all predict, [Y, X] in [-1, 1]."""
    return np.random.default_rng(0).uniform(-1, 1, (side, side)).astype(np.float32)


def published_plane(network: nn.Module, device: torch.device) -> Callable[[np.ndarray], np.ndarray]:
    """The published prediction of a plane [Y, X] in [-1, 1]."""
    network.to(device)

    def predict(plane: np.ndarray) -> np.ndarray:
        with torch.no_grad():
            made: np.ndarray = network(torch.from_numpy(plane)[None, None].to(device))[0, 0].cpu().numpy()
        return made

    return predict


def our_plane(chosen: argparse.Namespace) -> Callable[[np.ndarray], np.ndarray]:
    """Our prediction of a plane [Y, X] in [-1, 1] with the published weights, as a user's command runs it."""
    from txm2sem_core.checkpoint import import_reference_model, load_model
    from txm2sem_core.config import ComputeSettings, PredictSettings
    from txm2sem_core.inference import Predictor

    model = chosen.folder / "model"
    import_reference_model(chosen.folder / "latest_net_G.pth", model, {}, "evaluation")
    settings = PredictSettings(compute=ComputeSettings(**chosen_compute(chosen)))
    predictor = Predictor(load_model(model), settings, chosen.device)
    return lambda plane: predictor.planes.plane(plane[None])[0]


@dataclass
class Work:
    """Of a network's convolutions for an input, computed the plain way: multiplications and additions, values of the
    images that they read and write, and values of their weights.
    """

    operations: float = 0.0
    image_values: float = 0.0
    weight_values: float = 0.0

    def count(self, layer: nn.Module, given: tuple[Tensor, ...], made: Tensor) -> None:
        """Add a layer, as a forward hook."""
        taps = layer.kernel_size[0] * layer.kernel_size[1]  # type: ignore[index,operator,union-attr]
        inner, outer = given[0].shape[1], made.shape[1]
        pixels = given[0].shape[2:].numel() if isinstance(layer, nn.ConvTranspose2d) else made.shape[2:].numel()
        self.operations += 2.0 * taps * inner * outer * pixels
        self.image_values += given[0].numel() + made.numel()
        self.weight_values += layer.weight.numel()  # type: ignore[operator,union-attr]


def work_of(network: nn.Module, side: int) -> dict[str, float]:
    """Operations of a plane of that side, and values that are read and written; counted on a smaller one."""
    step = max(128, getattr(network, "minimum_size", 0))
    counted_side = int(side * LARGEST_SHARE) // step * step or step
    work = Work()
    layers = [layer for layer in network.modules() if isinstance(layer, (nn.Conv2d, nn.ConvTranspose2d))]
    hooks = [layer.register_forward_hook(work.count) for layer in layers]
    with torch.no_grad():
        network(torch.zeros(1, 1, counted_side, counted_side))
    for hook in hooks:
        hook.remove()
    larger = (side / counted_side) ** 2
    return {
        "operations": work.operations * larger,
        "values": work.image_values * larger + work.weight_values,
    }


def main() -> None:
    """Predict the same plane so many times."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--who", choices=["export", "published", "ours"], required=True)
    for name in ("family", "generator"):
        parser.add_argument(f"--{name}", required=True)
    for name in ("factor", "width", "side"):
        parser.add_argument(f"--{name}", type=int, required=True)
    parser.add_argument("--planes", type=int, required=True, help="after two to warm up; 1: the first one")
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--no-answer", action="store_true", help="export weights alone, for what memory cannot hold")
    add_compute(parser)
    add_device(parser)
    chosen = parser.parse_args()
    device = chosen_device(chosen)
    if chosen.who == "export":
        print(json.dumps(export(published_network(chosen), chosen)))
        return
    is_ours = chosen.who == "ours"
    predict = our_plane(chosen) if is_ours else published_plane(published_network(chosen), device)
    plane, answer, clock = plane_of(chosen.side), chosen.folder / ANSWER, chosen_clock(chosen)
    begun = clock()
    made = predict(plane)
    said: dict[str, float | str] = {"torch": torch.__version__, "seconds": clock() - begun}
    if answer.exists():
        said["difference"] = float(np.abs(made - np.load(answer)).max())
    rates = {"matrix_rate": matrix_rate(device, chosen.precision, clock), "memory_rate": memory_rate(device, clock)}
    if chosen.planes > 1:
        predict(plane)
        said["seconds"] = seconds_of(lambda: predict(plane), chosen.planes, clock)
    print(json.dumps({"peak_bytes": peak_bytes(device), **rates, **said}))


if __name__ == "__main__":
    main()
