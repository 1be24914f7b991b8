"""Which errors of a volume the TXM shows: pores and grains are planted in true volumes, or taken out.

    python benchmarks/planted_errors.py RESULTS/SAMPLE ...

Each folder is that of a phantom in a results folder, with `raw` and `patches`. Balls of each size are planted, far from
each other, where the true volume has none; or what the balls hold of a phase is taken out. An error counts as found
where the residual of a voxel within the ball is larger than a threshold, which is exceeded within 1 % of equal balls
where nothing was changed. Printed is the share found over all rocks, with the number of balls; and of each rock the
widths of the point-spread function that were found, and the root mean square residual of its true volume and of volumes
that are wrong all over.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from pathlib import Path

import numpy as np
from scipy import ndimage

from txm2sem_core import io
from txm2sem_core.io.slice_pairs import forward_model_of
from txm2sem_core.io.voxel_sizes import VoxelSize
from txm2sem_core.metrics.forward_model import ForwardModel
from txm2sem_core.phantom.phases import CARBONATE, CLAY, ORGANIC, PORE, PYRITE, QUARTZ

DIAMETERS_PX = (2, 3, 4, 5, 6, 8, 12)
FALSE_ALARMS = 0.01
MATRIX = (CLAY, QUARTZ, CARBONATE)
KINDS = {  # what stands there, how much of the ball that must be, and what is put in its place
    "pore planted": (MATRIX, 0.95, PORE),
    "pyrite planted": (MATRIX, 0.95, PYRITE),
    "carbonate planted in quartz": ((QUARTZ,), 0.9, CARBONATE),
    "pore filled": ((PORE, ORGANIC), 0.6, CLAY),
    "pyrite taken out": ((PYRITE,), 0.6, CLAY),
}


def residual(model: ForwardModel, volume: np.ndarray, txm: np.ndarray) -> np.ndarray:
    """Absolute residual `[Z, Y, X]` in units."""
    expected = model.project((plane, None) for plane in volume)
    return np.stack([np.abs(plane - own) / model.unit for (own, _), plane in zip(expected, txm, strict=True)])


def places(allowed: np.ndarray, diameter: int, margin: int, rng: np.random.Generator, most: int) -> list[np.ndarray]:
    """Centres of balls that are allowed there, far from each other and from the volume's ends."""
    apart, chosen = diameter + 2 * margin, []
    inner = np.array([margin + diameter // 2 + 1] * 3)
    found = np.argwhere(allowed)
    for centre in found[rng.permutation(len(found))][:20000]:
        free = not chosen or np.abs(np.array(chosen) - centre).max(axis=1).min() >= apart
        if free and (centre >= inner).all() and (centre < np.array(allowed.shape) - inner).all():
            chosen.append(centre)
            if len(chosen) == most:
                break
    return chosen


def ball(diameter: int) -> np.ndarray:
    """Voxels of a ball about its middle one."""
    reach = (diameter + 1) // 2
    z, y, x = np.mgrid[(slice(-reach, reach + 1),) * 3]
    return (z**2 + y**2 + x**2 <= (diameter / 2) ** 2).astype(np.float32)


def largest(values: np.ndarray, centres: list[np.ndarray], shape: np.ndarray) -> np.ndarray:
    """The largest value within a ball about each centre."""
    reach = shape.shape[0] // 2
    boxes = [values[tuple(slice(c - reach, c + reach + 1) for c in centre)] for centre in centres]
    return np.array([box[shape > 0].max() for box in boxes])


def changed(
    truth: np.ndarray, labels: np.ndarray, centres: list[np.ndarray], shape: np.ndarray, kind: str
) -> np.ndarray:
    """The volume with another phase in all balls, with edges as the electron beam sees them."""
    old, _, new = KINDS[kind]
    marked = np.zeros(truth.shape, np.float32)
    reach = shape.shape[0] // 2
    for centre in centres:
        marked[tuple(slice(c - reach, c + reach + 1) for c in centre)] = shape
    if "planted" not in kind:
        marked *= np.isin(labels, old)
    marked = ndimage.gaussian_filter(marked, (0, 0.56, 0.56))
    return truth + marked * (np.median(truth[labels == new]) - truth)


def whole(folder: Path, name: str) -> np.ndarray:
    """A volume of a phantom."""
    volume = io.open_volume(folder / "raw" / name)
    return volume.read(0, volume.shape[0]).astype(np.float32)


def wrong_volumes(truth: np.ndarray, other: np.ndarray) -> dict[str, np.ndarray]:
    """The true volume, and others that differ from it everywhere."""
    smeared = {
        f"smeared along z by {sigma}": ndimage.gaussian_filter1d(truth, sigma, axis=0, mode="nearest")
        for sigma in (1, 2)
    }
    return {
        "true volume": truth,
        "shifted by a slice": np.roll(truth, 1, axis=0),
        **smeared,
        "blurred by 1 voxel": ndimage.gaussian_filter(truth, 1, mode="nearest"),
        "with noise of 8 grey levels": truth + 8 * np.random.default_rng(0).standard_normal(truth.shape),
        "of another rock": other,
    }


def residuals(folder: Path, other: Path, model: ForwardModel, voxel_size_nm: VoxelSize) -> dict[str, float]:
    """Of the volumes of a rock that are right and wrong, and the widths along z and in the plane in nm."""
    txm, margin = whole(folder, "txm_volume"), int(np.ceil(2 * max(model.sigma_px)))
    truth, elsewhere = (whole(name, "truth/sem.tif") for name in (folder, other))
    widths = [
        sigma * (edge or np.nan) * np.sqrt(8 * np.log(2))
        for sigma, edge in zip(model.sigma_px, voxel_size_nm, strict=True)
    ]
    left = {
        name: float(np.sqrt(np.mean(residual(model, volume.astype(np.float32), txm)[margin:-margin] ** 2)))
        for name, volume in wrong_volumes(truth, elsewhere).items()
    }
    return {"along z / nm": widths[0], "in the plane / nm": widths[1], **left}


def measure_rock(folder: Path, model: ForwardModel, found: dict[tuple[str, int], list[bool]]) -> None:
    """Add what was found in one rock."""
    truth, labels, txm = (whole(folder, name) for name in ("truth/sem.tif", "truth/labels.tif", "txm_volume"))
    clean = residual(model, truth, txm)
    margin = int(np.ceil(4 * max(model.sigma_px)))
    rng = np.random.default_rng(0)
    for diameter in DIAMETERS_PX:
        shape = ball(diameter)
        anywhere = [rng.integers(margin + 7, np.array(truth.shape) - margin - 7) for _ in range(2000)]
        threshold = np.quantile(largest(clean, anywhere, shape), 1 - FALSE_ALARMS)
        for kind, (old, least, _) in KINDS.items():
            share = ndimage.convolve(np.isin(labels, old).astype(np.float32), shape / shape.sum())
            centres = places(share >= least, diameter, margin, rng, 40)
            if centres:
                now = residual(model, changed(truth, labels, centres, shape, kind), txm)
                found[kind, diameter] += (largest(now, centres, shape) > threshold).tolist()


def main() -> None:
    """Measure all rocks that the command names."""
    found: dict[tuple[str, int], list[bool]] = defaultdict(list)
    folders = [Path(name) for name in sys.argv[1:]]
    for at, folder in enumerate(folders):
        store = io.read_patch_store(folder / "patches")
        model = forward_model_of(store)
        own = residuals(folder, folders[at - 1], model, store.voxel_size_nm)
        print(f"{folder.name}: " + ", ".join(f"{name} {value:.2f}" for name, value in own.items()), flush=True)
        measure_rock(folder, model, found)
    print("| | " + " | ".join(f"{d} px" for d in DIAMETERS_PX) + " |\n|" + "---|" * (len(DIAMETERS_PX) + 1))
    for kind in KINDS:
        cells = [found[kind, d] for d in DIAMETERS_PX]
        print(f"| {kind} | " + " | ".join(f"{np.mean(c):.2f} ({len(c)})" if c else "" for c in cells) + " |")


if __name__ == "__main__":
    main()
