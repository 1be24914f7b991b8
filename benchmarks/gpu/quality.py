"""(q) The same trainings in float32 and in bfloat16, and a long one of SRGAN x4 of width 256: scores, and its curve.

KIT/stores holds patch stores, `read_patch_store`. Each is trained on with one seed after another by both precisions,
until the time is over; scored are the validation and test patches, by the last epoch's weights.
"""

from __future__ import annotations

import argparse
import shutil
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from common import DEVICE, KIT, TINY, WORK, left, save, say, with_benchmarks

with_benchmarks()
import shale_images  # noqa: E402

from txm2sem_core import io  # noqa: E402
from txm2sem_core.checkpoint import load_model  # noqa: E402
from txm2sem_core.config import PredictSettings, load_config  # noqa: E402
from txm2sem_core.inference import Predictor  # noqa: E402
from txm2sem_core.metrics import psnr  # noqa: E402
from txm2sem_core.training import train_model  # noqa: E402

EPOCHS = 1 if TINY else 15
WIDTH = 4 if TINY else 64


def settings_of(variant: dict[str, Any], precision: str, epochs: int):
    variant = {
        **variant,
        "compute": {"precision": precision},
        "select": "last",
        "schedule": {"policy": "linear", "epochs": epochs - epochs // 3, "decay_epochs": epochs // 3},
    }
    return load_config({"variants": {"one": variant}}).variant("one")


def score(store: io.PatchStore, folder: Path) -> float:
    """Mean PSNR of the patches that were not trained on, in dB."""
    model = load_model(folder)
    predictor = Predictor(model, PredictSettings(), DEVICE.type)
    span = store.sem_range.high - store.sem_range.low
    found = []
    for split in ("validation", "test"):
        for row in store.of_split(split).itertuples():
            txm = store.txm_patch(row.pair, int(row.y), int(row.x), predictor.context)
            sem = store.sem_patch(row.pair, int(row.y), int(row.x))
            found.append(psnr(predictor.predict_patches(txm[None])[0], sem, span))
    return float(np.mean(found))


def precisions(place: Path) -> None:
    """One store's trainings, by seeds."""
    store = io.read_patch_store(place)
    variant = {"family": "feedforward", "generator": {"name": "resnet_9blocks", "width": WIDTH}, "batch_size": 4}
    found: dict[str, Any] = {}
    longest = 0.0
    for seed in range(1 if TINY else 5):
        for precision in ("float32", "bfloat16"):
            if seed and left() < 1.2 * longest + 3:
                return
            begun = time.perf_counter()
            folder = WORK / "quality" / f"{place.name}_{precision}_{seed}"
            shutil.rmtree(folder, ignore_errors=True)
            train_model(place, settings_of(variant, precision, EPOCHS), seed, folder, device=DEVICE.type)
            seconds = time.perf_counter() - begun
            longest = max(longest, seconds)
            found[f"{precision}, seed {seed}"] = {"psnr": score(store, folder), "seconds": seconds}
            save(f"q_{place.name}", found)
            say(place.name, precision, seed, found[f"{precision}, seed {seed}"])


def curve() -> None:
    """SRGAN x4 as the default config trains it, for as long as there is time: a row of losses and scores an epoch."""
    place, drawn = WORK / "quality" / "x4", WORK / "quality" / "x4_without_validation"
    for folder in (place, drawn):
        shutil.rmtree(folder, ignore_errors=True)
    shale_images.write_store(drawn, 64 if TINY else 128, 4, 40 if TINY else 416)
    store = io.read_patch_store(drawn)  # its images are read as they are asked for: it stays
    rows = store.index.copy()
    rows.loc[rows.index[-16:], "split"] = "validation"
    io.write_patch_store(place, replace(store, index=rows))
    variant = {"family": "srgan", "factor": 4, "generator": {"name": "sr_resnet_9blocks", "width": 8 if TINY else 256}}
    settings = settings_of(variant, "float32", 3 if TINY else 75)
    folder = WORK / "quality" / "srgan"
    shutil.rmtree(folder, ignore_errors=True)
    train_model(place, settings, 0, folder, device=DEVICE.type)  # its log has the curve, also where it is ended
    save("q_curve", pd.read_csv(folder / "history.csv").to_dict("records"))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("what", help="a store's name in KIT/stores, or curve")
    what = parser.parse_args().what
    torch.set_num_threads(2)
    if what == "curve":
        curve()
    else:
        precisions(KIT / "stores" / what)


if __name__ == "__main__":
    main()
