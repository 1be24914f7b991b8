"""Time of the published training: its data loader, its model, its loop, at the published defaults.

Runs in a folder with `images/`, with the published code and its penalty on PYTHONPATH. The last line on stdout is a
JSON object: patches a second after the first ones (`devices.WARM_UP`), and peak bytes.
"""

from __future__ import annotations

import argparse
import json
import sys
import time

import torch
from devices import WARM_UP, add_device, chosen_device, finish, peak_bytes
from torchvision_stub import declare_operators

OPERATORS = declare_operators()  # before the published data loader, which imports torchvision

from data import create_dataset  # type: ignore[import-not-found]  # noqa: E402
from models import create_model  # type: ignore[import-not-found]  # noqa: E402
from options.train_options import TrainOptions  # type: ignore[import-not-found]  # noqa: E402


def main() -> None:
    """Train for so many steps."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("family", "generator"):
        parser.add_argument(f"--{name}", required=True)
    for name in ("factor", "width", "patch", "steps"):
        parser.add_argument(f"--{name}", type=int, required=True)
    parser.add_argument("--penalty", type=float, required=True)
    add_device(parser)
    chosen = parser.parse_args()
    device, warm_up = chosen_device(chosen), WARM_UP[chosen.device]
    options = ["--gpu_ids", "-1" if chosen.device == "cpu" else "0", "--ngf", str(chosen.width)]
    options += ["--model", chosen.family, "--netG", chosen.generator]
    options += ["--patch_size", str(chosen.patch), "--downsample_factor", str(chosen.factor), "--no_dropout"]
    options += ["--lambda_img_grad", str(chosen.penalty), "--num_train", str(warm_up + chosen.steps)]
    sys.argv = ["train.py", *options]
    opt = TrainOptions().parse()
    dataset = create_dataset(opt)
    model = create_model(opt)
    model.setup(opt)
    for number, data in enumerate(dataset):
        if number == warm_up:
            finish(device)
            begun = time.perf_counter()
        model.set_input(data)
        model.optimize_parameters()
    finish(device)
    seconds = time.perf_counter() - begun
    print(
        json.dumps(
            {"patches_per_s": chosen.steps / seconds, "peak_bytes": peak_bytes(device), "torch": torch.__version__}
        )
    )


if __name__ == "__main__":
    main()
