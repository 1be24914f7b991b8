"""What samples gain that the measured TXM guides, and in how many steps.

    snakemake --configfile config/benchmarks/pairs-to-volume.yaml --cores 2 --resources gpu=1
    python benchmarks/guidance.py results/pairs-to-volume/rock10 --output build/guidance [--steps 0 3 4 6 8] [--mean 8]

Draws the same sample, by the same noise, of volumes that a run left with a model `flow`, with other settings of
`predict.guided_steps`; 0 is without the TXM, in `flow.steps` steps. Printed are what the workflow would measure of each
volume, its residual against the measured TXM in units of its noise, and the seconds of one thread. With `--mean` also
of the mean of so many samples, which is to be no worse than a network that predicts the mean.

`guidance.csv` in the output holds the rows; what is in it is not done again.
"""

from __future__ import annotations

import argparse
import shutil
import time
from itertools import product
from pathlib import Path

import pandas as pd
import torch
from pairs_to_volume import errors_of

from txm2sem_core import io
from txm2sem_core.checkpoint import load_model
from txm2sem_core.config import PredictSettings
from txm2sem_core.inference import Predictor, load_ensemble, predict_volume
from txm2sem_core.measure.consistency import measure_consistency


def measured(sample: Path, steps: int, samples: int, folder: Path) -> dict[str, float]:
    """What the workflow measures of a sample that is drawn in so many steps, or of the mean of several."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    model, settings = sample / "models/flow/seed0", PredictSettings(guided_steps=steps)
    volume, txm, begun = folder / "volume.ome.zarr", io.open_volume(sample / "raw/txm_volume"), time.process_time()
    if samples == 1:
        predict_volume(Predictor(load_model(model), settings, "cpu"), txm, volume)
    else:
        mean = predict_volume(load_ensemble([model], settings, "cpu", samples=samples), txm)[0]
        io.write_ome_zarr(
            volume, iter(mean), mean.shape, mean.dtype, io.read_patch_store(sample / "patches").voxel_size_nm
        )
    seconds = time.process_time() - begun
    files = sample / "patches", sample / "metrics/forward_model.json", folder / "found.json", folder / "map.ome.zarr"
    measure_consistency(volume, sample / "raw/txm_volume", *files)
    residual = io.read_json(folder / "found.json")["txm_residual_rms"]
    return {**errors_of(volume, sample, folder), "residual / units": residual, "seconds": seconds}


def main() -> None:
    """Draw and measure what is not in the CSV yet, and print it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("samples", type=Path, nargs="+", help="folders of samples in a folder of results")
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--steps", type=int, nargs="+", default=[0, 3, 4, 6, 8])
    parser.add_argument("--mean", type=int, default=1, help="measure the mean of so many samples as well")
    given = parser.parse_args()
    torch.set_num_threads(1)
    given.output.mkdir(parents=True, exist_ok=True)
    file = given.output / "guidance.csv"
    rows = pd.read_csv(file).to_dict("records") if file.exists() else []
    done = {(row["sample"], row["steps"], row["mean of"]) for row in rows}
    for sample in given.samples:
        for steps, samples in product(given.steps, sorted({1, given.mean})):
            if (sample.name, steps, samples) not in done:
                found = measured(sample, steps, samples, given.output / "made")
                rows.append({"sample": sample.name, "steps": steps, "mean of": samples, **found})
                pd.DataFrame(rows).to_csv(file, index=False)
                print(rows[-1], flush=True)
    table = pd.DataFrame(rows).groupby(["steps", "mean of"]).mean(numeric_only=True)
    print(table.T.round(4).to_string())


if __name__ == "__main__":
    main()
