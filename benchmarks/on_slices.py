"""The pores of predicted slices beside those of measured ones, where no truth is known.

    snakemake --configfile config/examples/shale.yaml --cores 2 --resources gpu=1 -- models
    python benchmarks/on_slices.py results/shale/shale

The first command takes variants of your own, such as `flow: {family: flow}`, which that file does not have.
Predicts the held-out slices of a sample with each of its models, each slice by itself, and compares them with the
FIB-SEM slices as they were measured and denoised as the targets of `flow` are, since neither samples nor means have the
microscope's noise. Thresholds are those of the denoised training slices. Pixels that a mask leaves out count too.

- shares: mean absolute error of the phases' shares
- chord: relative error of the mean chord of the darkest phase, mean of the two axes
- two-point: mean absolute error of its two-point probability, mean of the two axes, at distances up to 64 pixels
- AUC: how well a small network, trained on patches of the validation slices, tells predicted patches of the test slices
  from real denoised ones (see `tell_apart.py`): 0.5 where it guesses

Prints a row for each variant: means over its seeds and the test slices, and against what.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from fine_tuning import predicted_slices
from numpy.typing import NDArray
from tell_apart import area_of_judges

from txm2sem_core import io
from txm2sem_core.checkpoint import load_model
from txm2sem_core.config import PredictSettings
from txm2sem_core.inference import Predictor
from txm2sem_core.intensity.denoising import denoised
from txm2sem_core.metrics import multi_otsu_thresholds, phase_fractions, segment
from txm2sem_core.metrics.pores.chords import chord_lengths
from txm2sem_core.metrics.pores.phases import two_point_probability

Real = NDArray[np.float32]
PHASES, STRENGTH, MAX_LAG_PX = 4, 0.8, 64
SCORES = {"shares": "{:.3f}", "chord": "{:.0%}", "two-point": "{:.4f}", "AUC": "{:.2f}"}


def rock_errors(made: Real, real: Real, thresholds: tuple[float, ...]) -> dict[str, float]:
    """The first three scores of one slice."""
    phases = [segment(image, thresholds) for image in (made, real)]
    shares = [phase_fractions(each, PHASES) for each in phases]
    pores = [each == 0 for each in phases]
    chords, points = [], []
    for axis in (0, 1):
        lengths = [_mean_chord(pore, axis) for pore in pores]
        chords.append(abs(lengths[0] / lengths[1] - 1) if lengths[1] else np.nan)
        curves = [two_point_probability(pore, axis, MAX_LAG_PX) for pore in pores]
        points.append(np.abs(curves[0][1:] - curves[1][1:]).mean())
    return {
        "shares": float(np.abs(shares[0] - shares[1]).mean()),
        "chord": float(np.mean(chords)),
        "two-point": float(np.mean(points)),
    }


def _mean_chord(pore: NDArray[np.bool_], axis: int) -> float:
    shares = chord_lengths(pore[None], axis + 1).shares()
    return float(np.sum(shares * np.arange(len(shares))))


def together(slices: Iterable[np.ndarray]) -> Real:
    """[slices, Y, X], of the size that all have at least."""
    images = list(slices)
    height, width = (min(image.shape[axis] for image in images) for axis in (0, 1))
    return np.stack([image[:height, :width] for image in images]).astype(np.float32)


def measure(sample: Path) -> pd.DataFrame:
    """A row for each variant, and each kind of slices that it is compared with; of each split as it is too."""
    store = io.read_patch_store(sample / "patches").in_memory()
    real = {
        split: [store.pairs[name].sem for name in store.of_split(split)["pair"].unique()]
        for split in ("train", "validation", "test")
    }
    clean = {split: [denoised(image, STRENGTH) for image in images] for split, images in real.items()}
    thresholds = multi_otsu_thresholds(np.concatenate([image.ravel() for image in clean["train"]]), PHASES)
    rows = []
    for model in sorted(sample.glob("models/*/seed*/model.json")):
        predictor = Predictor(load_model(model.parent), PredictSettings(), "cpu")
        made = {split: list(predicted_slices(predictor, store, split).values()) for split in ("validation", "test")}
        auc = area_of_judges(*[(together(clean[split]), together(made[split])) for split in ("validation", "test")])
        for against, slices in (("denoised", clean["test"]), ("as measured", real["test"])):
            errors = [rock_errors(*pair, thresholds) for pair in zip(made["test"], slices, strict=True)]
            own = {"variant": model.parts[-3], "against": against, **pd.DataFrame(errors).mean()}
            rows.append(own | ({"AUC": auc} if against == "denoised" else {}))
            print(rows[-1], flush=True)
    if not rows:
        raise SystemExit(f"{sample}: there is no model. Run the workflow first, with models as its target.")
    return pd.DataFrame(rows)


def table(rows: pd.DataFrame) -> str:
    """As Markdown."""
    lines = [f"| variant | against slices | {' | '.join(SCORES)} |", "|---" * (len(SCORES) + 2) + "|"]
    for (variant, against), group in rows.groupby(["variant", "against"], sort=False):
        cells = [
            form.format(group[score].mean()) if group[score].notna().any() else "" for score, form in SCORES.items()
        ]
        lines.append(f"| {variant} | {against} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    """Measure the models of a sample."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sample", type=Path, help="folder of a sample in a folder of results")
    torch.set_num_threads(1)
    print(table(measure(parser.parse_args().sample)))


if __name__ == "__main__":
    main()
