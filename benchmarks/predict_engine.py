"""Time of predicting single planes with the published networks by an inference engine that users would otherwise take.

    python benchmarks/predict_engine.py --engine openvino --convert --folder FOLDER      network.pt2 to network.onnx
    python benchmarks/predict_engine.py --engine openvino --side 512 --planes 3 --folder FOLDER
    python benchmarks/predict_engine.py --engine onnxruntime --side 512 --planes 3 --folder FOLDER

Runs where this package is not installed; needs PyTorch, and OpenVINO or ONNX Runtime, to convert also onnx and
onnxscript. `network.pt2` and `answer.npy` come from `predict_planes.py --who export`. The network is converted for
planes of exactly that size, which is the fastest that the engines offer. The last line on stdout is a JSON object:
seconds a plane, the rates of a matrix product and of memory in the same process, peak bytes, and the greatest
difference to the published code.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from devices import add_device, chosen_clock, chosen_device, matrix_rate, memory_rate, peak_bytes, seconds_of

Predict = Callable[[np.ndarray], np.ndarray]
"""A plane [Y, X] in [-1, 1] to one."""
PRECISIONS = {"float32": "f32", "bfloat16": "bf16"}  # OpenVINO's names; by default it takes the faster one
CONVERTED = "network.onnx"


def convert(folder: Path) -> None:
    """Write the exported network for the engines."""
    program = torch.export.load(folder / "network.pt2")
    torch.onnx.export(program, f=str(folder / CONVERTED), dynamo=True, external_data=False)


def by_openvino(network: Path, threads: int, precision: str) -> Predict:
    """Compiled for the shortest time of a single plane."""
    import openvino  # type: ignore[import-not-found]

    options = {
        "INFERENCE_NUM_THREADS": threads,
        "INFERENCE_PRECISION_HINT": PRECISIONS[precision],
        "PERFORMANCE_HINT": "LATENCY",
    }
    compiled = openvino.Core().compile_model(str(network), "CPU", options)
    return lambda plane: np.asarray(compiled(plane[None, None])[0])[0, 0]


def by_onnxruntime(network: Path, threads: int, precision: str) -> Predict:
    """With all optimisations of the graph."""
    import onnxruntime  # type: ignore[import-not-found]

    assert precision == "float32", "its processors' kernels compute in float32"
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    session = onnxruntime.InferenceSession(str(network), options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return lambda plane: np.asarray(session.run(None, {name: plane[None, None]})[0])[0, 0]


ENGINES = {"openvino": by_openvino, "onnxruntime": by_onnxruntime}


def main() -> None:
    """Convert the network, or predict the same plane so many times."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--engine", choices=ENGINES, required=True)
    parser.add_argument("--convert", action="store_true", help="only write the network for the engines")
    parser.add_argument("--precision", choices=PRECISIONS, default="float32")
    parser.add_argument("--side", type=int, default=512)
    parser.add_argument("--planes", type=int, default=3)
    parser.add_argument("--folder", type=Path, required=True)
    add_device(parser)
    chosen = parser.parse_args()
    device, clock = chosen_device(chosen), chosen_clock(chosen)
    if chosen.convert:
        convert(chosen.folder)
        print(json.dumps({}))
        return
    plane = np.random.default_rng(0).uniform(-1, 1, (chosen.side, chosen.side)).astype(np.float32)
    predict = ENGINES[chosen.engine](chosen.folder / CONVERTED, chosen.threads, chosen.precision)
    difference = float(np.abs(predict(plane) - np.load(chosen.folder / "answer.npy")).max())
    rates = {"matrix_rate": matrix_rate(device, chosen.precision, clock), "memory_rate": memory_rate(device, clock)}
    predict(plane)
    seconds = seconds_of(lambda: predict(plane), chosen.planes, clock)
    print(json.dumps({"seconds": seconds, "peak_bytes": peak_bytes(device), "difference": difference, **rates}))


if __name__ == "__main__":
    main()
