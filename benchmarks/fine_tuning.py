"""What a start from phantom-trained weights saves: scores against the number of pairs, beside training from nothing.

    snakemake results/fine-tuning/phantom/models/feedforward/seed0/model.json \
        results/fine-tuning/shale/patches/store.json --configfile config/benchmarks/fine-tuning.yaml --cores 2
    python benchmarks/fine_tuning.py --patches results/fine-tuning/shale/patches \
        --model results/fine-tuning/phantom/models/feedforward/seed0 --output build/fine-tuning

The first command, with the paths of config/benchmarks/fine-tuning-samples.tsv replaced, trains on the phantom and cuts
the patches of the pairs. The second trains on 1, 2, 3 and 5 of the training pairs and on all, with three seeds each:
from nothing and from the model, each in all epochs and in a third of them. Which pairs they are is drawn by the seed.
The number of patches is the same, and so are the steps of an epoch: patches of fewer pairs overlap more. The ranges of
intensities are taken anew from the pairs that are left. The last epoch's weights are kept, so that the validation pairs
have no say; what is scored are the whole test slices.

It leaves `fine_tuning.csv` in the output, and prints a table. What is in the CSV already is not trained again. Minutes
are of the whole training; for them nothing else may run on the machine.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from txm2sem_core.checkpoint import load_model
from txm2sem_core.config import PredictSettings, TrainSettings, parse_settings
from txm2sem_core.config.checking import merge
from txm2sem_core.families import Images
from txm2sem_core.inference import Predictor
from txm2sem_core.intensity import percentile_range
from txm2sem_core.io import PatchStore, read_patch_store, write_patch_store
from txm2sem_core.metrics import multi_otsu_thresholds, phase_fractions, psnr, segment, ssim
from txm2sem_core.training import train_model

PHASES = 4
PERCENTILES = (0.5, 99.5)
WAYS = {
    "from nothing": (False, 1.0),
    "from the model": (True, 1.0),
    "from nothing, a third": (False, 1 / 3),
    "from the model, a third": (True, 1 / 3),
}
SCORES = {"psnr": "{:.2f}", "ssim": "{:.3f}", "phase_error": "{:.3f}", "minutes": "{:.2f}"}
KEY = ["pairs", "seed", "way"]


def fewer_pairs(store: PatchStore, count: int, seed: int) -> PatchStore:
    """The store with `count` of its training pairs, drawn by the seed, and as many training patches as before.

    Raises:
        SystemExit: it has fewer.
    """
    rows = store.of_split("train")
    names = sorted(rows["pair"].unique())
    if count > len(names):
        raise SystemExit(f"--pairs: {count} are asked for, but the store has {len(names)} training pairs.")
    rng = np.random.default_rng([seed, count])
    kept = sorted(rng.permutation(names)[:count])
    own = rows[rows["pair"].isin(kept)]
    more = [_another(store, own.iloc[number % len(own)].to_dict(), rng) for number in range(len(rows) - len(own))]
    train = pd.concat([own, pd.DataFrame(more)]) if more else own
    index = pd.concat([train, store.index[store.index["split"] != "train"]], ignore_index=True)
    index["patch"] = range(len(index))
    txm, sem = (
        percentile_range(np.concatenate([getattr(store.pairs[name], kind).ravel() for name in kept]), *PERCENTILES)
        for kind in ("txm", "sem")
    )
    return replace(store, index=index, txm_range=txm, sem_range=sem)


def counts(store: PatchStore) -> list[int]:
    """1, 2, 3, 5, as many as it has training pairs for, and all of these."""
    pairs = store.of_split("train")["pair"].nunique()
    return [*(count for count in (1, 2, 3, 5) if count < pairs), pairs]


def _another(store: PatchStore, row: dict[str, Any], rng: np.random.Generator) -> dict[str, Any]:
    """A patch of the same pair, in another place on the grid of the factor."""
    shape = store.pairs[row["pair"]].sem.shape
    y, x = (int(rng.integers((side - store.size_px) // store.factor + 1)) * store.factor for side in shape)
    return {**row, "y": y, "x": x}


def predicted_slices(predictor: Predictor, store: PatchStore, split: str) -> dict[str, np.ndarray]:
    """The whole slices of a split, [Y, X], each predicted by itself, by the names of their pairs."""
    found = {}
    for number, name in enumerate(store.of_split(split)["pair"].unique()):
        pair, context = store.pairs[name], predictor.context
        txm = pair.txm[store.context - context : store.context + context + 1]
        found[name] = predictor.predict(predictor.with_noise(Images(txm, pair.sem, pair.charged), (number, 0, 0)))
    return found


def scores(model: Path, store: PatchStore, device: str) -> dict[str, float]:
    """PSNR, SSIM and the mean error of the phases' shares, averaged over the test slices."""
    predictor = Predictor(load_model(model), PredictSettings(), device)
    names = store.of_split("train")["pair"].unique()
    thresholds = multi_otsu_thresholds(np.concatenate([store.pairs[name].sem.ravel() for name in names]), PHASES)
    found = []
    for name, made in predicted_slices(predictor, store, "test").items():
        pair = store.pairs[name]
        shares = [phase_fractions(segment(image, thresholds)[pair.mask > 0], PHASES) for image in (made, pair.sem)]
        given = made.astype(np.float64), pair.sem.astype(np.float64), store.data_range(), pair.mask > 0
        found.append((psnr(*given), ssim(*given), float(np.abs(shares[0] - shares[1]).mean())))
    return dict(zip(("psnr", "ssim", "phase_error"), np.mean(found, axis=0).tolist(), strict=True))


def settings_for(model: Path, way: str) -> TrainSettings:
    """Those of the model, as one that starts from it or from nothing."""
    own = json.loads((model / "model.json").read_text())["settings"]
    start, share = WAYS[way]
    schedule = {key: max(1, round(own["schedule"][key] * share)) for key in ("epochs", "decay_epochs")}
    more = {"schedule": schedule, "select": "last", "init_from": str(model) if start else None, "freeze": []}
    return parse_settings(TrainSettings, json.dumps(merge(own, more)))


def measure(arguments: argparse.Namespace) -> pd.DataFrame:
    """Train and score what is not in the CSV yet; returns all of it."""
    file = arguments.output / "fine_tuning.csv"
    rows = pd.read_csv(file).to_dict("records") if file.exists() else []
    done = {tuple(row[key] for key in KEY) for row in rows}
    whole = read_patch_store(arguments.patches).in_memory()
    for count in arguments.pairs or counts(whole):
        for seed in arguments.seeds:
            patches = arguments.output / f"patches_{count}_{seed}"
            for way in WAYS:
                if (count, seed, way) in done:
                    continue
                write_patch_store(patches, fewer_pairs(whole, count, seed))
                folder = arguments.output / "models" / f"{count}_{seed}_{way.replace(', ', '_').replace(' ', '_')}"
                started = time.perf_counter()
                chosen = settings_for(arguments.model, way)
                train_model(patches, chosen, seed, folder, name=folder.name, device=arguments.device)
                minutes = (time.perf_counter() - started) / 60
                found = scores(folder, whole, arguments.device)
                rows.append({"pairs": count, "seed": seed, "way": way, **found, "minutes": minutes})
                pd.DataFrame(rows).to_csv(file, index=False)
    return pd.DataFrame(rows)


def table(rows: pd.DataFrame) -> str:
    """Mean and standard deviation over the seeds, as Markdown: a line for each number of pairs and way."""
    heads = ["pairs", "start", "PSNR / dB", "SSIM", "shares of phases, error", "minutes", "seeds"]
    lines = [f"| {' | '.join(heads)} |", "|" + "---|" * len(heads)]
    for (pairs, way), group in rows.groupby(["pairs", "way"], sort=False):
        cells = [str(pairs), str(way)]
        for score, form in SCORES.items():
            spread = f" ± {form.format(group[score].std(ddof=1))}" if len(group) > 1 else ""
            cells.append(form.format(group[score].mean()) + spread)
        lines.append(f"| {' | '.join([*cells, str(len(group))])} |")
    return "\n".join(lines)


def main() -> None:
    """Measure what the arguments name, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--patches", type=Path, required=True, help="patch store of the pairs")
    parser.add_argument("--model", type=Path, required=True, help="folder of the model that was trained on phantoms")
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--pairs", type=int, nargs="+", help="how many; default: 1, 2, 3, 5, all")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--device", default="auto")
    print(table(measure(parser.parse_args())))


if __name__ == "__main__":
    main()
