"""Train, predict and measure, over and over in one process and one folder: memory, open files and disk must stay flat.

    python benchmarks/soak.py --minutes 60 --output build/soak

Leaves `rounds.csv` (a row a round, as it goes on), `curve.png`, `verdict.json` and `log.txt` in the output folder, and
the data of the rounds in `work/` below it.

The rule: the first third of the rounds (five at least) warms up, since libraries keep what they allocate first. Over
the rest, the growth of each figure is its Theil-Sen slope (the median of the slopes of all pairs of rounds) times the
number of rounds, with the 95 % interval of the slope. A figure is `flat` if the whole interval lies below its
tolerance, `grows` if all of it lies above, else `undecided`: soak longer. Exit code 0 only if all are flat.
"""

from __future__ import annotations

import argparse
import csv
import os
import shutil
import sys
import time
from contextlib import redirect_stderr
from dataclasses import asdict, dataclass, fields
from pathlib import Path

os.environ.setdefault("MPLBACKEND", "agg")

import pandas as pd
import psutil
import torch
from matplotlib.figure import Figure
from scipy.stats import theilslopes

from txm2sem_core import io
from txm2sem_core.checkpoint import load_model
from txm2sem_core.config import (
    MeasureSettings,
    PatchesSettings,
    PhantomSettings,
    PredictSettings,
    RegisterSettings,
    TrainSettings,
    parse_settings,
)
from txm2sem_core.inference import Predictor, predict_test, predict_volume
from txm2sem_core.measure.evaluate import evaluate_files
from txm2sem_core.measure.evaluate_rock import RockOptions
from txm2sem_core.measure.patches import measure_patches
from txm2sem_core.measure.volumes import measure_volume
from txm2sem_core.patches.extract import extract_patches
from txm2sem_core.phantom import make_phantom
from txm2sem_core.registration import register_pairs
from txm2sem_core.samples.pairs import list_pairs
from txm2sem_core.samples.table import Sample
from txm2sem_core.samples.volume import open_sample_volume, sample_voxel_size_nm
from txm2sem_core.training import train_model

MIB = 2**20
WARM_UP_SHARE, WARM_UP_ROUNDS = 1 / 3, 5
SEEDS = 3  # a round takes the next of them, so that no model is found already trained, and files have few sizes
SHAPE = (24, 128, 128)


@dataclass(frozen=True)
class Round:
    """What the process and its folder hold after a round."""

    round: int
    seconds: float
    memory_mib: float
    open_files: int
    threads: int
    disk_mib: float
    files: int


# what a figure may grow over all judged rounds together: (at least, or this share of its median)
TOLERANCE = {
    "memory_mib": (16.0, 0.03),
    "open_files": (1.0, 0.0),
    "threads": (1.0, 0.0),
    "disk_mib": (0.1, 0.02),
    "files": (1.0, 0.0),
}


def prepare(work: Path) -> None:
    """Raw data, registered pairs and patches of a small phantom, once."""
    sample = Sample(sample="soak", source="phantom")
    make_phantom(
        PhantomSettings.model_validate({"shape": SHAPE, "pair_every": 4, "max_rotation_deg": 1, "max_shift_px": 3}),
        work / "raw",
    )
    register_pairs(list_pairs(sample, work / "raw"), RegisterSettings(), work / "registered")
    patches = PatchesSettings.model_validate({"size_px": 32, "train": 16, "evaluation_count": 4})
    extract_patches(
        work / "registered",
        open_sample_volume(sample, work / "raw"),
        patches,
        sample_voxel_size_nm(sample, work / "raw"),
        work / "patches",
    )


def one_round(work: Path, number: int) -> None:
    """Train a network, predict patches and volume, and measure both, over what the round before has left."""
    settings = parse_settings(
        TrainSettings,
        "{}",
        family="pix2pix",
        generator={"name": "unet_32", "width": 4},
        discriminator={"name": "pixel", "width": 4},
        schedule={"policy": "constant", "epochs": 1},
        batch_size=4,
    )
    model, metrics, volume = work / "model", work / "metrics", work / "volume/sem.ome.zarr"
    patches, raw, truth = work / "patches", work / "raw/txm_volume", work / "raw/truth/sem.tif"
    train_model(patches, settings, number % SEEDS, model, name=f"round {number}", device="cpu")
    predictor = Predictor(load_model(model), PredictSettings(tile_px=64), "cpu")
    predict_test(predictor, patches, work / "predictions")
    predict_volume(predictor, raw, volume)
    measure = MeasureSettings()
    shutil.rmtree(metrics, ignore_errors=True)  # as the workflow does before a job: tables have no mark of ours
    measure_patches(
        work / "predictions/patches.tif",
        patches,
        measure,
        metrics / "patches.csv",
        metrics / "spectra.csv",
        metrics / "resolution.csv",
    )
    measure_volume(volume, truth, patches, measure, metrics / "volume.json", metrics / "volume_spectra.csv")
    evaluate_files(volume, truth, None, None, metrics / "evaluation.json", None, RockOptions())


def look(process: psutil.Process, work: Path, number: int, seconds: float) -> Round:
    """Memory, open files, threads and disk now."""
    with process.oneshot():
        memory, descriptors, threads = process.memory_info().rss, process.num_fds(), process.num_threads()
    found = [file.stat().st_size for file in work.rglob("*") if file.is_file()]
    return Round(number, seconds, memory / MIB, descriptors, threads, sum(found) / MIB, len(found))


def soak(output: Path, minutes: float) -> pd.DataFrame:
    """Rounds for so many minutes, at least as many as can be judged; the table is written as it grows."""
    work = output / "work"
    with (output / "log.txt").open("w", encoding="utf-8") as log, redirect_stderr(log):
        return _soak(output, work, minutes)


def _soak(output: Path, work: Path, minutes: float) -> pd.DataFrame:
    prepare(work)
    process = psutil.Process()
    end = time.monotonic() + 60 * minutes
    number = 0
    with (output / "rounds.csv").open("w", newline="", encoding="utf-8") as stream:
        table = csv.DictWriter(stream, [field.name for field in fields(Round)])
        table.writeheader()
        while time.monotonic() < end or number < 2 * WARM_UP_ROUNDS:
            start = time.monotonic()
            one_round(work, number)
            row = look(process, work, number, time.monotonic() - start)
            table.writerow(asdict(row))
            stream.flush()
            print(
                f"round {number}: {row.memory_mib:.0f} MiB, {row.open_files} open files, {row.threads} threads",
                flush=True,
            )
            number += 1
    return pd.read_csv(output / "rounds.csv")


def judge(table: pd.DataFrame) -> dict[str, dict[str, float | str]]:
    """The verdict on each figure by the rule above."""
    warm = max(WARM_UP_ROUNDS, round(WARM_UP_SHARE * len(table)))
    judged = table.iloc[warm:]
    hours = judged["seconds"].sum() / 3600
    found: dict[str, dict[str, float | str]] = {}
    for name, (least, share) in TOLERANCE.items():
        slope, _, low, high = theilslopes(judged[name], judged["round"], alpha=0.95)
        grown, lowest, highest = (float(value) * len(judged) for value in (slope, low, high))
        median = float(judged[name].median())
        tolerance = max(least, share * median)
        verdict = "flat" if highest < tolerance else "grows" if lowest > tolerance else "undecided"
        found[name] = {
            "verdict": verdict,
            "median": median,
            "growth": grown,
            "growth_low": lowest,
            "growth_high": highest,
            "growth_per_hour": grown / hours,
            "tolerance": tolerance,
            "rounds": len(judged),
        }
    return found


def draw(table: pd.DataFrame, verdicts: dict[str, dict[str, float | str]], path: Path) -> None:
    """Every figure over the rounds, the warm-up in grey."""
    figure = Figure(figsize=(7, 8), layout="constrained")
    panels = figure.subplots(len(TOLERANCE), 1, sharex=True)
    hours = table["seconds"].cumsum() / 60
    judged = int(next(iter(verdicts.values()))["rounds"])
    for panel, (name, found) in zip(panels, verdicts.items(), strict=True):
        panel.plot(hours, table[name], color="0.7", linewidth=1)
        panel.plot(hours[-judged:], table[name][-judged:], linewidth=1.2)
        panel.set_ylabel(name.replace("_mib", " / MiB").replace("_", " "))
        panel.set_ylim(0, 1.1 * table[name].max())
        panel.set_title(f"{found['verdict']}: {found['growth']:+.3g} in {judged} rounds", fontsize=9, loc="left")
    panels[-1].set_xlabel("minutes")
    figure.savefig(path, dpi=120)


def main() -> None:
    """Soak, and say whether all stayed flat."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--output", type=Path, required=True, help="a folder that is new or empty")
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    output: Path = arguments.output
    output.mkdir(parents=True, exist_ok=True)
    if any(output.iterdir()):
        sys.exit(f"soak: error: {output} is not empty. Give another folder, so that nothing of an earlier soak counts.")
    torch.set_num_threads(arguments.threads)
    table = soak(output, arguments.minutes)
    verdicts = judge(table)
    io.write_json(output / "verdict.json", {"rounds": len(table), "figures": verdicts})
    draw(table, verdicts, output / "curve.png")
    print(f"{len(table)} rounds of {table['seconds'].median():.1f} s; judged are the last {judged_rounds(verdicts)}")
    for name, found in verdicts.items():
        print(
            f"{name}: {found['verdict']} (median {found['median']:.4g}, growth {found['growth']:+.3g}, 95 % from "
            f"{found['growth_low']:+.3g} to {found['growth_high']:+.3g}, tolerance {found['tolerance']:.3g})"
        )
    sys.exit(any(found["verdict"] != "flat" for found in verdicts.values()))


def judged_rounds(verdicts: dict[str, dict[str, float | str]]) -> int:
    """Rounds after the warm-up."""
    return int(next(iter(verdicts.values()))["rounds"])


if __name__ == "__main__":
    main()
