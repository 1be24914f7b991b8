"""Time of predicting single planes with the published networks, by the published code or by ours.

    python benchmarks/predict_planes.py --who published ...    leaves weights and an answer in --folder
    python benchmarks/predict_planes.py --who ours ...         reads the weights, and compares its answer

The published code runs in evaluation mode without gradients, which is the fastest it offers. The last line on stdout is
a JSON object: planes a second, operations of a plane, the float32 matrix rate of the same process, peak bytes.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from process_memory import peak_bytes
from torch import Tensor, nn

MATRIX_SIDE = 2048
LARGEST_SHARE = 1 / 8  # of the measured plane that the operations are counted on


def matrix_rate() -> float:
    """Floating-point operations a second of a float32 matrix product, the median of seven."""
    a, b = torch.randn(2, MATRIX_SIDE, MATRIX_SIDE)
    made = torch.mm(a, b)
    seconds = []
    for _ in range(7):
        begun = time.perf_counter()
        torch.mm(a, b, out=made)
        seconds.append(time.perf_counter() - begun)
    return 2 * MATRIX_SIDE**3 / statistics.median(seconds)


def published_network(chosen: argparse.Namespace) -> nn.Module:
    """The published generator with the weights that a fresh one has, saved as the published code saves them."""
    from models import networks  # type: ignore[import-not-found]

    torch.manual_seed(0)
    network: nn.Module = networks.define_G(
        1, 1, chosen.width, chosen.generator, "batch", False, "normal", 0.02, [], chosen.factor
    )
    torch.save(network.state_dict(), chosen.folder / "latest_net_G.pth")
    return network.eval()


def our_plane(chosen: argparse.Namespace) -> Callable[[np.ndarray], np.ndarray]:
    """Our prediction of a plane [Y, X] in [-1, 1] with the published weights, as a user's command runs it."""
    from txm2sem_core.checkpoint import import_reference_model, load_model
    from txm2sem_core.config import PredictSettings
    from txm2sem_core.inference import load_predictor

    model = chosen.folder / "model"
    import_reference_model(chosen.folder / "latest_net_G.pth", model, {}, "evaluation")
    predictor = load_predictor(load_model(model), PredictSettings(), "cpu")
    return lambda plane: predictor.network_plane(plane[None])[0]


def operations(network: nn.Module, x: Tensor) -> float:
    """Multiplications and additions of the convolutions, the plain way, for an input."""
    counted = [0.0]

    def count(layer: nn.Module, given: tuple[Tensor, ...], made: Tensor) -> None:
        taps = layer.kernel_size[0] * layer.kernel_size[1]  # type: ignore[index,operator,union-attr]
        inner, outer = given[0].shape[1], made.shape[1]
        pixels = given[0].shape[2:].numel() if isinstance(layer, nn.ConvTranspose2d) else made.shape[2:].numel()
        counted[0] += 2.0 * taps * inner * outer * pixels

    hooks = [
        m.register_forward_hook(count) for m in network.modules() if isinstance(m, (nn.Conv2d, nn.ConvTranspose2d))
    ]
    with torch.no_grad():
        network(x)
    for hook in hooks:
        hook.remove()
    return counted[0]


def main() -> None:
    """Predict the same plane so many times."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--who", choices=["published", "ours"], required=True)
    for name in ("family", "generator"):
        parser.add_argument(f"--{name}", required=True)
    for name in ("factor", "width", "side", "planes", "threads"):
        parser.add_argument(f"--{name}", type=int, required=True)
    parser.add_argument("--folder", type=Path, required=True)
    chosen = parser.parse_args()
    torch.set_num_threads(chosen.threads)
    side = chosen.side
    plane = np.random.default_rng(0).uniform(-1, 1, (side, side)).astype(np.float32)
    said: dict[str, float | str] = {"torch": torch.__version__}
    answer = chosen.folder / "answer.npy"
    predict: Callable[[np.ndarray], np.ndarray]
    if chosen.who == "published":
        network = published_network(chosen)
        counted_side = int(side * LARGEST_SHARE) // 128 * 128 or 128
        counted = operations(network, torch.zeros(1, 1, counted_side, counted_side))
        said["operations"] = counted * (side / counted_side) ** 2

        def predict(plane: np.ndarray) -> np.ndarray:
            with torch.no_grad():
                made: np.ndarray = network(torch.from_numpy(plane)[None, None])[0, 0].numpy()
            return made

        np.save(answer, predict(plane))
    else:
        predict = our_plane(chosen)
        said["difference"] = float(np.abs(predict(plane) - np.load(answer)).max())
    rate = matrix_rate()
    predict(plane)
    begun = time.perf_counter()
    for _ in range(chosen.planes):
        predict(plane)
    seconds = (time.perf_counter() - begun) / chosen.planes
    print(json.dumps({"seconds": seconds, "matrix_rate": rate, "peak_bytes": peak_bytes(), **said}))


if __name__ == "__main__":
    main()
