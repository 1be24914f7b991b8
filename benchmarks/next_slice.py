"""Do slices that `txm2sem suggest` would choose teach a network more than evenly spaced ones? Learning curves.

    python benchmarks/next_slice.py --output build/next-slice [--seeds 0 1 2] [--slices 4 6 8]

Rocks are phantoms of 48 slices. `alike` is one rock; of `bedded`, the last 12 slices along z are of the same generator
with voxels half as wide, so that its structures are twice as large: a bed that differs. Networks learn from so many
slices, with the shot noise of a FIB-SEM and no misfit, for the same number of steps, and are judged by the noise-free
truth of all other slices. The ways to choose slices:

- `even`: at even distances.
- `suggested`: three at even distances, then one after the other where the TXM is most unlike those before, as `txm2sem
  suggest` does it with one volume; how errors depend on novelty has no say in the order.
- `random`: drawn.

`next_slice.csv` in the output holds a row for each; what is in it already is not done again.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from ceiling import Phantom
from numpy.typing import NDArray

from txm2sem_core.config import PhantomSettings, TrainSettings, parse_settings
from txm2sem_core.inference import predict_volume
from txm2sem_core.intensity import Preparation, percentile_range
from txm2sem_core.io import PairImages, PatchStore, write_patch_store
from txm2sem_core.metrics.novelty import Novelty, choose_next, describe_tiles
from txm2sem_core.phantom import make_phantom
from txm2sem_core.phantom.sem import count_electrons
from txm2sem_core.training import train_model

DEPTH, SIDE_PX, BED = 48, 192, 12
FIRST = 3  # slices before the first is suggested
SIZE_PX, PATCHES, EPOCHS, DECAY = 64, 320, 4, 4
ELECTRONS = 300.0
KINDS = {"alike": (DEPTH,), "bedded": (DEPTH - BED, BED)}
KEY = ["kind", "seed", "slices", "way"]


@dataclass(frozen=True)
class Rock:
    """A TXM in 1/cm, and what a FIB-SEM without and with noise shows of it: all [Z, Y, X]."""

    txm: NDArray[np.float32]
    truth: NDArray[np.uint8]
    sem: NDArray[np.float32]


def rock_of(kind: str, seed: int, folder: Path) -> Rock:
    """The rock of a kind; phantoms that lie in the folder already are taken."""
    parts = []
    for depth, voxel_nm in zip(KINDS[kind], (32.0, 16.0), strict=False):
        place = folder / f"rock{seed}-{depth}-{voxel_nm:g}"
        if not place.exists():
            shape, size = (depth, SIDE_PX, SIDE_PX), (voxel_nm,) * 3
            blur = tuple(width * voxel_nm / 32 for width in (120.0, 90.0, 90.0))  # the same in voxels
            own = {"shape": shape, "voxel_size_nm": size, "psf_fwhm_nm": blur, "pair_every": depth - 1}
            make_phantom(PhantomSettings(seed=seed, **own), place)
        parts.append(Phantom(place))
    txm, truth = (np.concatenate([read(part) for part in parts]) for read in (Phantom.attenuation, Phantom.truth))
    rng = np.random.default_rng(seed)
    sem = np.stack([count_electrons(plane.astype(np.float32), ELECTRONS, rng) for plane in truth])
    return Rock(txm, truth, np.clip(sem, 0, 255))


def even(rock: Rock, count: int, seed: int) -> list[int]:
    """Slices in the middles of parts of equal length."""
    return [int((number + 0.5) * DEPTH / count) for number in range(count)]


def suggested(rock: Rock, count: int, seed: int) -> list[int]:
    """Evenly spaced slices, and those that are chosen after them."""
    first = even(rock, FIRST, seed)
    described = [describe_tiles(plane)[0] for plane in rock.txm]
    free = ~np.isin(np.arange(DEPTH), first)
    weight = np.ones(sum(map(len, described)))
    novelty = Novelty.of([described[z] for z in first])
    return sorted([*first, *choose_next(novelty, described, weight, free, count - FIRST)[0]])


def random(rock: Rock, count: int, seed: int) -> list[int]:
    """Slices that are drawn."""
    return sorted(np.random.default_rng([seed, count]).permutation(DEPTH)[:count].tolist())


WAYS: dict[str, Callable[[Rock, int, int], list[int]]] = {"even": even, "suggested": suggested, "random": random}


def patch_store(rock: Rock, slices: list[int], seed: int) -> PatchStore:
    """Patches of the slices; validation and test, of which nothing is asked, are of the first one as well."""
    rng = np.random.default_rng(seed)
    whole = np.ones(rock.sem.shape[1:], np.uint8)
    pairs = {f"{z:03d}": PairImages(rock.txm[z][None], rock.sem[z], whole) for z in slices}
    names = list(pairs)
    rows = [("train", names[number % len(names)]) for number in range(PATCHES)]
    rows += [("validation", names[0]), ("test", names[0])]
    places = rng.integers((SIDE_PX - SIZE_PX) // 4 + 1, size=(len(rows), 2)) * 4
    index = pd.DataFrame(rows, columns=["split", "pair"]).assign(z=0, y=places[:, 0], x=places[:, 1])
    index.insert(0, "patch", range(len(index)))
    limits = [percentile_range(volume[slices].ravel(), 0.05, 99.95) for volume in (rock.txm, rock.sem)]
    return PatchStore(pairs, index, SIZE_PX, 1, 0, *limits, (32.0, 32.0, 32.0), Preparation(), "")


def settings() -> TrainSettings:
    """Of the network that learns."""
    return parse_settings(
        TrainSettings,
        "{}",
        family="feedforward",
        generator={"name": "unet_32", "width": 16},
        select="last",
        batch_size=8,
        optimiser={"learning_rate": 2e-3},
        schedule={"policy": "linear", "epochs": EPOCHS, "decay_epochs": DECAY},
    )


def scores(rock: Rock, slices: list[int], seed: int, folder: Path) -> dict[str, float]:
    """PSNR of the slices that were not learnt from; of the bed alone as well."""
    write_patch_store(folder / "patches", patch_store(rock, slices, seed))
    train_model(folder / "patches", settings(), seed, folder / "model", name="next", device="cpu")
    made = predict_volume(folder / "model", rock.txm, device="cpu", voxel_size_nm=(32.0, 32.0, 32.0))
    others = np.setdiff1d(np.arange(DEPTH), slices)
    squared = np.square(made.astype(float) - rock.truth).mean(axis=(1, 2))
    bed = others[others >= DEPTH - BED]

    def decibels(error: float) -> float:
        return float(10 * np.log10(255**2 / error))

    return {"psnr": decibels(squared[others].mean()), "psnr_bed": decibels(squared[bed].mean())}


def measure(options: argparse.Namespace) -> pd.DataFrame:
    """Train and score what is not in the CSV yet; returns all of it."""
    options.output.mkdir(parents=True, exist_ok=True)
    file = options.output / "next_slice.csv"
    rows: list[dict[str, Any]] = pd.read_csv(file).to_dict("records") if file.exists() else []
    done = {tuple(row[key] for key in KEY) for row in rows}
    for seed in options.seeds:
        for kind in options.kinds:
            rock = rock_of(kind, seed, options.output)
            for count in options.slices:
                for way, choose in WAYS.items():
                    if (kind, seed, count, way) in done:
                        continue
                    slices = choose(rock, count, seed)
                    found = scores(rock, slices, seed, options.output)
                    in_bed = sum(z >= DEPTH - BED for z in slices)
                    about = {"kind": kind, "seed": seed, "slices": count, "way": way, "in_bed": in_bed}
                    rows.append({**about, **found})
                    pd.DataFrame(rows).to_csv(file, index=False)
                    print(rows[-1], flush=True)
    return pd.DataFrame(rows)


def main() -> None:
    """Measure, and print means over the rocks."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--slices", type=int, nargs="+", default=[4, 6, 8])
    parser.add_argument("--kinds", nargs="+", choices=list(KINDS), default=list(KINDS))
    options = parser.parse_args()
    torch.set_num_threads(1)
    table = measure(options)
    for score in ("psnr", "psnr_bed", "in_bed"):
        means = table.pivot_table(index=["kind", "slices"], columns="way", values=score, aggfunc=["mean", "std"])
        print(f"\n{score}\n{means.round(2).to_string()}")


if __name__ == "__main__":
    main()
