"""How near denoised FIB-SEM slices come to noise-free ones, by ways and strengths, on phantoms whose truth is known.

    python benchmarks/denoising.py --output build/denoising [--seeds 0 1 2 3] [--electrons 300 100]

Each seed is another rock of 12 slices, of which four have a FIB-SEM partner. Pairs are registered as the workflow does
it, with whose interpolation the noise changes. `even` weighs all pixels of the patches of non-local means alike, as
`txm2sem_core.intensity.denoising` does; `peaked` weighs those in their middle more. The total variation is the same.
Compared with the truth, without charged pixels: PSNR, mean error of the shares of four phases, and pores' share and
number (within slices) over the true ones.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import ndimage
from skimage.restoration import denoise_nl_means, denoise_tv_chambolle

from txm2sem_core import io
from txm2sem_core.config import PhantomSettings, RegisterSettings
from txm2sem_core.intensity.denoising import DISTANCE_PX, FLAT, PATCH_PX, noise_deviation
from txm2sem_core.metrics import multi_otsu_thresholds, psnr, segment
from txm2sem_core.phantom import make_phantom
from txm2sem_core.registration import register_pairs
from txm2sem_core.samples.raw_pairs import RawPair

PHASES = 4
WAYS = {"peaked": (1.0, 1.3), "even": (0.7, 0.8, 0.9, 1.0, 1.3)}
Image = NDArray[np.float32]


def denoised(image: Image, way: str, strength: float) -> Image:
    """As `intensity.denoising.denoised`, by either way."""
    sigma = noise_deviation(image)
    sizes = {"patch_size": PATCH_PX, "patch_distance": DISTANCE_PX, "fast_mode": way == "even"}
    found = denoise_nl_means(image, h=strength * sigma, sigma=sigma, **sizes)
    return np.asarray(denoise_tv_chambolle(found, weight=FLAT * sigma), np.float32)


def registered_slices(settings: PhantomSettings, folder: Path) -> Iterator[tuple[Image, Image, NDArray[np.bool_]]]:
    """FIB-SEM slices on the TXM's grid, the truth there, and where it counts."""
    if not (folder / "raw").exists():
        make_phantom(settings, folder / "raw")
    raw, registered = folder / "raw", folder / "registered"
    if not (registered / "index.csv").exists():
        pairs = io.read_csv(raw / "pairs.csv")
        names = [(f"{int(row.pair):03d}", int(row.z)) for row in pairs.itertuples()]
        places = {"txm": "txm/TXM", "sem": "sem/SEM", "charge": "charge/charge"}
        files = [{kind: raw / f"{place}{name}.tif" for kind, place in places.items()} for name, _ in names]
        given = [RawPair(name, z, **own) for (name, z), own in zip(names, files, strict=True)]
        register_pairs(given, RegisterSettings(), registered)
    truth = io.open_volume(raw / "truth" / "sem.tif")
    for row in io.read_csv(registered / "index.csv").to_dict("records"):
        crop = slice(int(row["y0"]), int(row["y1"])), slice(int(row["x0"]), int(row["x1"]))
        own = truth.read(int(row["z"]), int(row["z"]) + 1)[0][crop].astype(np.float32)
        sem = io.read_image(registered / row["sem"]).astype(np.float32)
        yield sem, own, io.read_mask(registered / row["mask"])


def scores(image: Image, truth: Image, counted: NDArray[np.bool_], thresholds: NDArray[np.float64]) -> dict[str, float]:
    """How near an image is to the truth."""
    labels, true = (segment(each, thresholds) for each in (image, truth))
    shares = [[float((each[counted] == phase).mean()) for phase in range(PHASES)] for each in (labels, true)]
    pores = [ndimage.label((each == 0) & counted)[1] for each in (labels, true)]
    return {
        "psnr": psnr(image.astype(float), truth.astype(float), 255.0, counted),
        "shares_error": float(np.mean(np.abs(np.subtract(*shares)))),
        "porosity": shares[0][0] / shares[1][0],
        "pores": pores[0] / pores[1],
    }


def measure(options: argparse.Namespace) -> pd.DataFrame:
    """A row for each slice, way and strength."""
    rows = []
    for electrons in options.electrons:
        for seed in options.seeds:
            settings = PhantomSettings(shape=(12, 256, 256), seed=seed, pair_every=3, sem_electrons=electrons)
            folder = options.output / f"rock{seed}_{electrons:g}"
            slices = list(registered_slices(settings, folder))
            thresholds = multi_otsu_thresholds(np.concatenate([truth.ravel() for _, truth, _ in slices]), PHASES)
            for sem, truth, counted in slices:
                about = {"electrons": electrons, "seed": seed}
                rows.append({**about, "way": "noisy", **scores(sem, truth, counted, thresholds), "seconds": 0.0})
                for way, strengths in WAYS.items():
                    for strength in strengths:
                        start = time.process_time()
                        made = denoised(sem, way, strength)
                        seconds = time.process_time() - start
                        found = scores(made, truth, counted, thresholds)
                        rows.append({**about, "way": f"{way}, {strength}", **found, "seconds": seconds})
    return pd.DataFrame(rows)


def main() -> None:
    """Print the means over the slices of each rock, and over the rocks."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3])
    parser.add_argument("--electrons", type=float, nargs="+", default=[300.0, 100.0])
    table = measure(parser.parse_args())
    for keys in (["electrons", "seed", "way"], ["electrons", "way"]):
        means = table.groupby(keys, sort=False).mean(numeric_only=True).drop(columns="seed", errors="ignore")
        print(means.round(4).to_string())


if __name__ == "__main__":
    main()
