"""Can a network tell predicted FIB-SEM patches from real ones? The nearer the AUC is to 0.5, the less it can.

    snakemake --configfile config/benchmarks/pairs-to-volume.yaml --cores 2 --resources gpu=1
    python benchmarks/tell_apart.py results/pairs-to-volume --output build/tell-apart

Of each volume that a run left of a phantom, a small network learns to tell patches of its first half along z from those
of the noise-free truth, and is judged on patches of the second half, by the area under its curve of true over false
alarms (Hanley and McNeil, Radiology 143 (1982) 29): 0.5 where it guesses, 1 where it is always right. Three are trained
from different first weights; the table has their mean, and the standard deviation over samples. It sees patches of 32 x
32 pixels within slices, or along z (`--plane zx`), where volumes betray that slices were predicted one by one.

`tell_apart.csv` in the output holds a row for each volume; what is in it is not done again.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from pairs_to_volume import cell, kind_of
from torch import Tensor, nn

from txm2sem_core import io

SIDE_PX, PATCHES, STEPS, BATCH = 32, 2048, 300, 64
FIRST_WEIGHTS = (0, 1, 2)
PLANES = {"yx": (0, 1, 2), "zx": (1, 0, 2)}  # order of the axes, so that patches lie along the last two
Real = NDArray[np.float32]


def patches_of(volume: Real, seed: int) -> Real:
    """Patches `[N, 1, side, side]` at random places of a volume [slices, Y, X], grey levels about -1 to 1."""
    rng = np.random.default_rng(seed)
    places = [rng.integers(0, side, PATCHES) for side in (len(volume), *(n - SIDE_PX + 1 for n in volume.shape[1:]))]
    found = [volume[z, y : y + SIDE_PX, x : x + SIDE_PX] for z, y, x in zip(*places, strict=True)]
    return np.stack(found)[:, None] / np.float32(127.5) - 1


def judge() -> nn.Module:
    """A network that says how real a patch looks."""
    layers: list[nn.Module] = []
    for given, made in ((1, 16), (16, 32), (32, 64)):
        layers += [nn.Conv2d(given, made, 4, stride=2, padding=1), nn.BatchNorm2d(made), nn.LeakyReLU(0.2)]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 1))


def labelled(real: Real, made: Real) -> tuple[Tensor, Tensor]:
    """Patches of both, and 1 for the real ones."""
    label = np.repeat(np.float32([1, 0]), [len(real), len(made)])
    return torch.from_numpy(np.concatenate([real, made])), torch.from_numpy(label)


def trained(real: Real, made: Real, seed: int) -> nn.Module:
    """A judge that learnt from both; turned and mirrored at random."""
    torch.manual_seed(seed)
    network, (images, label) = judge().train(), labelled(real, made)
    optimiser = torch.optim.Adam(network.parameters(), lr=1e-3)
    for _ in range(STEPS):
        chosen = torch.randint(len(images), (BATCH,))
        batch = images[chosen]
        batch = batch.flip(-1) if torch.rand(()) < 0.5 else batch
        batch = batch.flip(-2) if torch.rand(()) < 0.5 else batch
        loss = nn.functional.binary_cross_entropy_with_logits(network(batch)[:, 0], label[chosen])
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return network.eval()


def area_under_curve(scores: Real, label: Real) -> float:
    """The probability that a real patch has the higher score than a predicted one; a tie counts half."""
    order = pd.Series(scores).rank().to_numpy()
    real = label > 0
    count, others = int(real.sum()), int((~real).sum())
    return float((order[real].sum() - count * (count + 1) / 2) / (count * others))


def told_apart(volume: Real, truth: Real, plane: str) -> float:
    """The mean area under the curve of judges that learn from the first half, on the second."""
    made, real = (each.transpose(PLANES[plane]) for each in (volume, truth))
    half = len(real) // 2
    return area_of_judges((real[:half], made[:half]), (real[half:], made[half:]))


def area_of_judges(learnt: tuple[Real, Real], unseen: tuple[Real, Real]) -> float:
    """The mean area under the curve of judges that learn from real and predicted slices [N, Y, X], on other slices."""
    found = []
    for seed in FIRST_WEIGHTS:
        network = trained(patches_of(learnt[0], seed), patches_of(learnt[1], seed + 100), seed)
        images, label = labelled(patches_of(unseen[0], seed + 200), patches_of(unseen[1], seed + 300))
        with torch.no_grad():
            scores = torch.cat([network(part)[:, 0] for part in images.split(256)])
        found.append(area_under_curve(scores.numpy(), label.numpy()))
    return float(np.mean(found))


def whole(path: Path) -> Real:
    """All voxels."""
    return np.stack(list(io.open_volume(path).slices())).astype(np.float32)


def measure(results: Path, output: Path, plane: str) -> pd.DataFrame:
    """Judge what is not in the CSV yet; returns all of it."""
    output.mkdir(parents=True, exist_ok=True)
    file = output / "tell_apart.csv"
    rows = pd.read_csv(file).to_dict("records") if file.exists() else []
    done = {(row["sample"], row["variant"], row["plane"]) for row in rows}
    for sample in sorted(path.parents[2] for path in results.glob("*/raw/truth/sem.tif")):
        truth = whole(sample / "raw" / "truth" / "sem.tif")
        for path in sorted(sample.glob("volumes/*/seed0/sem.ome.zarr")):
            variant = path.parents[1].name
            if (sample.name, variant, plane) in done:
                continue
            found = told_apart(whole(path), truth, plane)
            rows.append({"sample": sample.name, "variant": variant, "plane": plane, "auc": found})
            pd.DataFrame(rows).to_csv(file, index=False)
            print(rows[-1], flush=True)
    if not rows:
        raise SystemExit(f"{results}: there is no predicted volume of a phantom. Run the workflow first.")
    return pd.DataFrame(rows)


def main() -> None:
    """Judge the volumes of the results, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", type=Path)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--plane", choices=list(PLANES), default="yx")
    given = parser.parse_args()
    torch.set_num_threads(1)
    rows = measure(given.results, given.output, given.plane)
    rows = rows[rows["plane"] == given.plane].assign(kind=rows["sample"].map(kind_of))
    kinds = list(dict.fromkeys(rows["kind"]))
    print(f"\n| | {' | '.join(kinds)} |\n" + "|---" * (len(kinds) + 1) + "|")
    for variant, own in rows.groupby("variant", sort=False):
        print(f"| {variant} | " + " | ".join(cell(own[own["kind"] == kind]["auc"], "{:.2f}") for kind in kinds) + " |")


if __name__ == "__main__":
    main()
