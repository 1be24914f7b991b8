"""Time of the published training: its data loader, its model, its loop, at the published defaults.

Runs in a folder with `images/`, with the published code and its penalty on PYTHONPATH. The last line on stdout is a
JSON object: patches a second after the first `WARM_UP`, and peak bytes.
"""

from __future__ import annotations

import argparse
import json
import sys
import time

import torch
from process_memory import peak_bytes
from torchvision_stub import declare_operators

OPERATORS = declare_operators()  # before the published data loader, which imports torchvision

from data import create_dataset  # type: ignore[import-not-found]  # noqa: E402
from models import create_model  # type: ignore[import-not-found]  # noqa: E402
from options.train_options import TrainOptions  # type: ignore[import-not-found]  # noqa: E402

WARM_UP = 3


def main() -> None:
    """Train for so many steps."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("family", "generator"):
        parser.add_argument(f"--{name}", required=True)
    for name in ("factor", "width", "patch", "steps", "threads"):
        parser.add_argument(f"--{name}", type=int, required=True)
    parser.add_argument("--penalty", type=float, required=True)
    chosen = parser.parse_args()
    torch.set_num_threads(chosen.threads)
    options = ["--gpu_ids", "-1", "--model", chosen.family, "--netG", chosen.generator, "--ngf", str(chosen.width)]
    options += ["--patch_size", str(chosen.patch), "--downsample_factor", str(chosen.factor), "--no_dropout"]
    options += ["--lambda_img_grad", str(chosen.penalty), "--num_train", str(WARM_UP + chosen.steps)]
    sys.argv = ["train.py", *options]
    opt = TrainOptions().parse()
    dataset = create_dataset(opt)
    model = create_model(opt)
    model.setup(opt)
    for number, data in enumerate(dataset):
        if number == WARM_UP:
            begun = time.perf_counter()
        model.set_input(data)
        model.optimize_parameters()
    seconds = time.perf_counter() - begun
    print(json.dumps({"patches_per_s": chosen.steps / seconds, "peak_bytes": peak_bytes(), "torch": torch.__version__}))


if __name__ == "__main__":
    main()
