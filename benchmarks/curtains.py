"""What taking out curtains saves where FIB-SEM slices have them, and what it costs where they have none.

    python benchmarks/curtains.py SEED ... [--side 384]

Phantoms of these seeds; FIB-SEM slices of them with curtains of several strengths, otherwise the same to the last
electron. Each is registered with its TXM slice as it is and with `register.curtains.direction: vertical`; the error is
the mean distance of the four corners from where they belong. What is kept is compared with the noise-free truth (PSNR
against 255, after the best straight line from one's grey levels to the other's), outside of charged areas.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np
from scipy import ndimage

from txm2sem_core import io
from txm2sem_core.config import CurtainSettings, PhantomSettings, RegisterSettings
from txm2sem_core.geometry import Array, corner_error_px, covered_by, warp
from txm2sem_core.intensity.measured import Slice
from txm2sem_core.phantom import make_phantom, sem
from txm2sem_core.phantom.placing import frame_shape, random_placing, sample_frame
from txm2sem_core.registration.placing import place
from txm2sem_core.registration.sem_slices import prepared

STRENGTHS = (0.0, sem.CURTAINS, 0.08, 0.15)  # relative brightness, root mean square
WAYS = {
    "as it is": RegisterSettings(),
    "taken out": RegisterSettings(curtains=CurtainSettings(direction="vertical")),
}
SLICES, EVERY = 24, 6
CHARGE_REACH_PX = 6
CROP_PX = 40  # at the border, which not every slice covers


def psnr(image: Array, truth: Array) -> float:
    """DB against 255, after the best straight line."""
    levels = np.stack([image, np.ones(image.size)], axis=1)
    line, *_ = np.linalg.lstsq(levels, truth, rcond=None)
    return float(10 * np.log10(255**2 / np.mean((levels @ line - truth) ** 2)))


def measured(
    settings: PhantomSettings, folder: Path, strength: float, found: dict[str, list[tuple[float, float]]]
) -> None:
    """Add the error and the PSNR of each slice of a phantom, in each way."""
    truth, labels = (io.open_volume(folder / f"truth/{name}.tif") for name in ("sem", "labels"))
    volume = io.open_volume(folder / "txm_volume")
    for k, z in enumerate(range(EVERY // 2, SLICES, EVERY)):
        rng = np.random.default_rng((settings.seed, k))
        matrix, shape = random_placing(settings, rng), frame_shape(settings.shape)
        rock, phases = truth.read(z, z + 1)[0].astype(np.float32), labels.read(z, z + 1)[0]
        clean, seen = sample_frame(rock, matrix, shape, 0, 3), sample_frame(phases, matrix, shape, 0, 0)
        image = sem.acquire(clean, seen, settings.voxel_size_nm[2], settings.sem_electrons, rng, strength)
        charged = ndimage.binary_dilation(image.charge, iterations=CHARGE_REACH_PX)
        usable = covered_by(~charged, matrix, rock.shape)
        usable[:CROP_PX] = usable[-CROP_PX:] = usable[:, :CROP_PX] = usable[:, -CROP_PX:] = False
        txm = Slice(volume.read(z, z + 1)[0])
        for way, chosen in WAYS.items():
            moving = prepared(Slice(image.grey), chosen).image
            placed = place(txm, moving, chosen, 1.0)
            error = float("nan")
            if placed.accepted and placed.found is not None:
                error = corner_error_px(placed.found.matrix, matrix, shape)
            kept = warp(moving.image.astype(np.float64), matrix, rock.shape)
            found[way].append((error, psnr(kept[usable], rock[usable])))


def main() -> None:
    """Print a row for each strength and way."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("seeds", type=int, nargs="+")
    parser.add_argument("--side", type=int, default=384)
    options = parser.parse_args()
    print(
        "| curtains, % | slices | accepted | error, median px | worst | PSNR, dB |\n|---|---|---|---|---|---|",
        flush=True,
    )
    with tempfile.TemporaryDirectory() as place_of_all:
        made = []
        for seed in options.seeds:
            settings = PhantomSettings(shape=(SLICES, options.side, options.side), seed=seed, pair_every=EVERY)
            made.append((settings, Path(place_of_all, str(seed))))
            make_phantom(*made[-1])
        for strength in STRENGTHS:
            found: dict[str, list[tuple[float, float]]] = {way: [] for way in WAYS}
            for settings, folder in made:
                measured(settings, folder, strength, found)
            for way, rows in found.items():
                errors, scores = np.array(rows).T
                known = errors[np.isfinite(errors)]
                print(
                    f"| {100 * strength:.3g}, {way} | {len(rows)} | {known.size} | {np.median(known):.2f} | "
                    f"{known.max():.2f} | {scores.mean():.2f} |",
                    flush=True,
                )


if __name__ == "__main__":
    main()
