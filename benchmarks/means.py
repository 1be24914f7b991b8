"""Which network gives the better mean in the same time: the published ones, and ours.

    snakemake --configfile config/benchmarks/pairs-to-volume.yaml --cores 2 --resources gpu=1
    python benchmarks/means.py results/pairs-to-volume/rock10 --output build/means [--seconds 90] [--seeds 0 1 2]

Takes the registered pairs and patches of samples that a run left, and trains each network on each of them for the same
seconds of processor time on one core, as many epochs as fit; the last epoch's weights are kept. Where the truth of the
whole volume is known, the predicted volume is compared with it, else the test slices with the FIB-SEM. `grid_db` is how
far the power along rows and columns at the periods of 2, 4 and 8 pixels stands above that of the periods about it, in
decibels, the greatest of them: transposed convolutions leave such a grid.

"context": the adjacent TXM slices too, as many as the patches were cut with; left out where that is none.

`means.csv` in the output holds a row for each sample, seed and network; what is in it is not done again.
"""

from __future__ import annotations

import argparse
import shutil
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from fine_tuning import predicted_slices, scores

from txm2sem_core import io
from txm2sem_core.checkpoint import load_model
from txm2sem_core.config import MeasureSettings, PredictSettings, TrainSettings, parse_settings
from txm2sem_core.inference import Predictor, predict_volume
from txm2sem_core.measure.volumes import measure_volume
from txm2sem_core.training import train_model

OURS: dict[str, Any] = {"pixel_loss": "L2", "ema_decay": 0.998}
NETWORKS: dict[str, dict[str, Any]] = {
    "unet_32": {"generator": {"name": "unet_32"}},
    "unet_64": {"generator": {"name": "unet_64"}},
    "resnet_9blocks": {"generator": {"name": "resnet_9blocks"}},
    "unet_32, context": {"generator": {"name": "unet_32"}, "context": True},
    "residual_unet": {"generator": {"name": "residual_unet"}, **OURS},
    "residual_unet, context": {"generator": {"name": "residual_unet"}, "context": True, **OURS},
}
PERIODS = (2, 4, 8)
BESIDE = 3  # bins of the spectrum on each side of a period's, from the second on, that it is compared with
KEY = ["sample", "seed", "network"]
SCORES = {
    "psnr": "{:.2f}",
    "ssim": "{:.3f}",
    "explained": "{:.2f}",
    "phase_error": "{:.3f}",
    "grid_db": "{:.1f}",
    "seconds": "{:.0f}",
}


def settings_of(network: str, epochs: int, width: int, context: int) -> TrainSettings:
    """Those of one network; the rest is as in the benchmark of volumes."""
    own = {**NETWORKS[network], "generator": {**NETWORKS[network]["generator"], "width": width}}
    own["context"] = context if "context" in own else 0
    schedule = {"policy": "linear", "epochs": (epochs + 1) // 2, "decay_epochs": epochs // 2}
    shared = {"batch_size": 8, "optimiser": {"learning_rate": 2e-3}, "select": "last", "schedule": schedule}
    return parse_settings(TrainSettings, "{}", family="feedforward", **shared, **own)


def trained(patches: Path, network: str, seed: int, options: argparse.Namespace, folder: Path) -> float:
    """Train for the seconds that are given; returns those that it took."""
    taken: list[float] = []
    epochs, context = 2, io.read_patch_store(patches).context
    for _ in range(2):  # the first tells how long an epoch takes
        shutil.rmtree(folder, ignore_errors=True)
        start = time.process_time()
        train_model(
            patches, settings_of(network, epochs, options.width, context), seed, folder, name="mean", device="cpu"
        )
        taken.append(time.process_time() - start)
        epochs = max(2, round(options.seconds / (taken[0] / 2)))
    return taken[-1]


def grid_db(planes: Iterable[np.ndarray]) -> float:
    """How far the power at `PERIODS` along rows and columns stands above that about it, in dB; the greatest."""
    powers: list[list[np.ndarray]] = [[], []]
    for plane in planes:
        for axis in (0, 1):
            lines = plane.astype(float) - plane.mean(axis=axis, keepdims=True)
            count = lines.shape[axis] // 8 * 8
            lines = np.take(lines, range(count), axis=axis) * np.expand_dims(np.hanning(count), 1 - axis)
            powers[axis].append((np.abs(np.fft.rfft(lines, axis=axis)) ** 2).mean(axis=1 - axis))
    found = []
    for power in (np.mean(each, axis=0) for each in powers):
        for period in PERIODS:
            at = 2 * (len(power) - 1) // period
            beside = [*power[at - BESIDE - 1 : at - 1], *power[at + 2 : at + BESIDE + 2]]
            found.append(10 * np.log10(power[at] / np.mean(beside)))
    return float(max(found))


def scored(model: Path, sample: Path, folder: Path) -> dict[str, float]:
    """The scores of a model on a sample: of the whole volume beside the truth, or of the test slices."""
    truth, patches = sample / "raw" / "truth" / "sem.tif", sample / "patches"
    if not truth.exists():
        store = io.read_patch_store(patches)
        predictor = Predictor(load_model(model), PredictSettings(), "cpu")
        made = predicted_slices(predictor, store, "test").values()
        return {**scores(model, store, "cpu"), "grid_db": grid_db(made)}
    made = folder / "made"
    shutil.rmtree(made, ignore_errors=True)
    made.mkdir()
    volume = made / "volume.ome.zarr"
    predict_volume(model, sample / "raw" / "txm_volume", volume, device="cpu")
    measure_volume(volume, truth, patches, MeasureSettings(), made / "volume.json", made / "spectra.csv")
    found = io.read_json(made / "volume.json")
    phases = [key for key in found if key.startswith("fraction_") and f"{key}_truth" in found]
    return {
        "psnr": found["psnr"],
        "ssim": found["ssim"],
        "explained": found["continuity_explained"],
        "phase_error": float(np.mean([abs(found[key] - found[f"{key}_truth"]) for key in phases])),
        "grid_db": grid_db(io.open_volume(volume).slices()),
    }


def measure(options: argparse.Namespace) -> pd.DataFrame:
    """Train and score what is not in the CSV yet; returns all of it."""
    options.output.mkdir(parents=True, exist_ok=True)
    file = options.output / "means.csv"
    rows = pd.read_csv(file).to_dict("records") if file.exists() else []
    done = {tuple(row[key] for key in KEY) for row in rows}
    for seed in options.seeds:
        for sample in options.samples:
            for network in options.networks:
                has_context = io.read_patch_store(sample / "patches").context > 0
                if (sample.name, seed, network) in done or ("context" in NETWORKS[network] and not has_context):
                    continue
                folder = options.output / "model"
                seconds = trained(sample / "patches", network, seed, options, folder)
                found = scored(folder, sample, options.output)
                rows.append({"sample": sample.name, "seed": seed, "network": network, **found, "seconds": seconds})
                pd.DataFrame(rows).to_csv(file, index=False)
                print(rows[-1], flush=True)
    return pd.DataFrame(rows)


def table(rows: pd.DataFrame) -> str:
    """Mean and standard deviation over the seeds and samples, as Markdown: a line for each network."""
    columns = [key for key in SCORES if key in rows and rows[key].notna().any()]
    lines = [f"| | {' | '.join(columns)} | trainings |", "|---" * (len(columns) + 2) + "|"]
    for network, group in rows.groupby("network", sort=False):
        cells = []
        for score in columns:
            spread = f" ± {SCORES[score].format(group[score].std(ddof=1))}" if len(group) > 1 else ""
            cells.append(SCORES[score].format(group[score].mean()) + spread)
        lines.append(f"| {network} | {' | '.join(cells)} | {len(group)} |")
    return "\n".join(lines)


def main() -> None:
    """Measure what the arguments name; a table of samples whose truth is known, and one of the others."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("samples", type=Path, nargs="+", help="folders of samples in a folder of results")
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--networks", nargs="+", choices=list(NETWORKS), default=list(NETWORKS))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--seconds", type=float, default=90.0)
    parser.add_argument("--width", type=int, default=16)
    options = parser.parse_args()
    torch.set_num_threads(1)
    rows = measure(options)
    known = rows["explained"].notna() if "explained" in rows else pd.Series(False, index=rows.index)
    for own in (rows[known], rows[~known]):
        if len(own):
            print(f"\n{', '.join(dict.fromkeys(own['sample']))}\n\n{table(own)}")


if __name__ == "__main__":
    main()
