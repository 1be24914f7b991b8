"""How much a TXM tells at all: one network that learns from the whole truth of many other rocks of the same kind.

    snakemake --configfile config/benchmarks/pairs-to-volume.yaml --cores 2 --resources gpu=1
    python benchmarks/ceiling.py results/pairs-to-volume --output build/ceiling [--rocks 4 16]

Makes phantoms whose settings are those of the samples in the results, but for the seed, and trains `residual_unet` by
the squared error on every second slice of their noise-free FIB-SEM, with three TXM slices on each side. What it
predicts of the samples, which it has not seen, is measured as the workflow measures volumes: no network that learns
from a few noisy pairs of slices can be expected to do better. That is an estimate from below, since another network, or
more rocks, may find more; how little more there is, the numbers of rocks tell.

`ceiling.csv` in the output holds a row for each number of rocks, sample and measure; what is in it is not done again.
Grey levels of a TXM are those that were stored, turned into attenuation, since each phantom may be stored in its own.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from pairs_to_volume import comparison, errors_of, kind_of, read_errors

from txm2sem_core import io
from txm2sem_core.config import PhantomSettings, TrainSettings, parse_settings
from txm2sem_core.inference import predict_volume
from txm2sem_core.intensity import Preparation, percentile_range
from txm2sem_core.io import PairImages, PatchStore
from txm2sem_core.phantom import make_phantom
from txm2sem_core.training import train_model

FIRST_SEED = 1000  # of the rocks that are learnt from; the samples have others
CONTEXT, SIZE_PX, EVERY = 3, 64, 2
PERCENTILES = (0.05, 99.95)
VARIANT = "ceiling"


@dataclass(frozen=True)
class Phantom:
    """A phantom on the disk."""

    folder: Path

    @property
    def settings(self) -> PhantomSettings:
        """Those that it was made with."""
        return PhantomSettings.model_validate(io.read_json(self.folder / "phantom.json")["settings"])

    def attenuation(self) -> np.ndarray:
        """The TXM as it was measured, [Z, Y, X] in 1/cm."""
        scale = io.read_json(self.folder / "phantom.json")["txm_scale"]
        stored = np.stack(list(io.open_volume(self.folder / "txm_volume").slices())).astype(np.float32)
        step = (scale["high_per_cm"] - scale["low_per_cm"]) / scale["stored_maximum"]
        return stored * np.float32(step) + np.float32(scale["low_per_cm"])

    def truth(self) -> np.ndarray:
        """What a FIB-SEM without noise shows of every TXM slice, [Z, Y, X]."""
        return np.stack(list(io.open_volume(self.folder / "truth" / "sem.tif").slices()))


def other_rocks(settings: PhantomSettings, count: int, folder: Path) -> list[Phantom]:
    """Phantoms of the same kind; those that lie in the folder already are taken."""
    made = []
    for seed in range(FIRST_SEED, FIRST_SEED + count):
        own = settings.model_copy(update={"seed": seed, "pair_every": settings.shape[0] - 1})
        if not (folder / f"rock{seed}" / "phantom.json").exists():
            make_phantom(own, folder / f"rock{seed}")
        made.append(Phantom(folder / f"rock{seed}"))
    return made


def stored_pairs(rocks: Sequence[Phantom]) -> Iterator[tuple[str, PairImages]]:
    """Every second slice that has all its neighbours, and the truth."""
    for rock in rocks:
        txm, truth = rock.attenuation(), rock.truth()
        for z in range(CONTEXT, len(txm) - CONTEXT, EVERY):
            whole = np.ones(truth.shape[1:], np.uint8)
            yield f"{rock.folder.name}z{z:03d}", PairImages(txm[z - CONTEXT : z + CONTEXT + 1], truth[z], whole)


def patch_store(rocks: Sequence[Phantom], patches: int) -> PatchStore:
    """Patches drawn from all rocks but the last, whose slices are those of the validation and the test."""
    rng = np.random.default_rng(0)
    pairs = dict(stored_pairs(rocks))
    seen = [name for name in pairs if not name.startswith(rocks[-1].folder.name)]
    rows = [("train", name) for name in rng.choice(seen, patches)]
    kept = [name for name in pairs if name not in set(seen)]
    rows += [(split, name) for split in ("validation", "test") for name in kept]
    room = rocks[0].settings.shape[1] - SIZE_PX
    places = rng.integers(room // 4 + 1, size=(len(rows), 2)) * 4
    index = pd.DataFrame(rows, columns=["split", "pair"])
    index = index.assign(z=0, y=places[:, 0], x=places[:, 1])
    index.insert(0, "patch", range(len(index)))
    txm = percentile_range(np.concatenate([pairs[name].txm[CONTEXT].ravel() for name in seen]), *PERCENTILES)
    sem = percentile_range(np.concatenate([pairs[name].sem.ravel() for name in seen]), *PERCENTILES)
    size = rocks[0].settings.voxel_size_nm
    return PatchStore(pairs, index, SIZE_PX, 1, CONTEXT, txm, sem, size, Preparation(), "")


def settings_of(width: int, epochs: int) -> TrainSettings:
    """Those of the network that learns, as `residual` of the benchmark, and wider."""
    return parse_settings(
        TrainSettings,
        "{}",
        family="feedforward",
        context=CONTEXT,
        generator={"name": "residual_unet", "width": width},
        pixel_loss="L2",
        ema_decay=0.998,
        select="last",
        batch_size=8,
        optimiser={"learning_rate": 2e-3, "longest_gradient": 1.0},
        schedule={"policy": "linear", "epochs": (epochs + 1) // 2, "decay_epochs": epochs // 2},
    )


def trained(settings: PhantomSettings, count: int, options: argparse.Namespace, folder: Path) -> Path:
    """The folder of the model that learnt from `count` rocks."""
    model = folder / f"model{count}"
    if not (model / "model.json").exists():
        patches = folder / f"patches{count}"
        rocks = other_rocks(settings, count + 1, folder)
        io.write_patch_store(patches, patch_store([*rocks[1:], rocks[0]], options.patches))
        chosen = settings_of(options.width, options.epochs)
        train_model(patches, chosen, 0, model, name=VARIANT, device=options.device)
    return model


def measured(model: Path, sample: Path, folder: Path, device: str) -> list[dict[str, Any]]:
    """The measures of what the model predicts of a sample, as rows."""
    phantom = Phantom(sample / "raw")
    folder.mkdir(parents=True, exist_ok=True)
    volume, size = folder / "volume.ome.zarr", phantom.settings.voxel_size_nm
    predict_volume(model, phantom.attenuation(), volume, device=device, voxel_size_nm=size)
    return [{"measure": title, "value": value} for title, value in errors_of(volume, sample, folder).items()]


def measure_all(options: argparse.Namespace) -> pd.DataFrame:
    """The table, which grows in the file as samples are done."""
    file = options.output / "ceiling.csv"
    table = io.read_csv(file) if file.exists() else pd.DataFrame(columns=["rocks", "sample"])
    for count in options.rocks:
        for sample in sorted(path.parents[1] for path in options.results.glob("*/raw/phantom.json")):
            if ((table["rocks"] == count) & (table["sample"] == sample.name)).any():
                continue
            own = Phantom(sample / "raw").settings
            folder = options.output / kind_of(sample.name)
            model = trained(own, count, options, folder)
            rows = measured(model, sample, folder / f"{sample.name}-{count}", options.device)
            new = pd.DataFrame(rows).assign(rocks=count, sample=sample.name, kind=kind_of(sample.name))
            table = pd.concat([table, new]) if len(table) else new
            table.to_csv(file, index=False)
            print(new.to_string(index=False), flush=True)
    return table


def main() -> None:
    """Print each kind's comparison, with the ceiling in the last columns."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", type=Path, help="of config/benchmarks/pairs-to-volume.yaml")
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--rocks", type=int, nargs="+", default=[4, 16], help="how many rocks are learnt from")
    parser.add_argument("--patches", type=int, default=6000, help="an epoch")
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--width", type=int, default=24, help="channels of the network's first layer")
    parser.add_argument("--device", default="auto")
    options = parser.parse_args()
    table = measure_all(options)
    ceilings = table.assign(variant=[f"{VARIANT}, {count} rocks" for count in table["rocks"]])
    errors = pd.concat([read_errors(options.results), ceilings])
    for kind in dict.fromkeys(ceilings["kind"]):
        samples = set(ceilings[ceilings["kind"] == kind]["sample"])
        print(f"\n{kind} ({len(samples)})\n\n{comparison(errors[errors['sample'].isin(samples)], kind)}")


if __name__ == "__main__":
    main()
