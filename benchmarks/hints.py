"""How often a refused registration's hint is right, and how often one is given where none is due.

    python benchmarks/hints.py SHALE [PHANTOM] [--count N] [--right N] [--seed N]

SHALE: a folder with txm/TXM000.tif ... and sem/SEM000.tif ..., slices that nearly lie on each other; PHANTOM: likewise,
the raw/ of `txm2sem phantom`. Crops of 256 x 256 are taken at random, each mistake is made, and the hint is compared
with what was done. Unrelated: TXM and FIB-SEM crops that share no pixel and lie slices apart, or are of two samples.
Poor: right pairs with so much noise that they are refused; a hint is false there as well.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np
from skimage.transform import rescale

from txm2sem_core import io
from txm2sem_core.config import RegisterSettings
from txm2sem_core.errors import RegistrationError
from txm2sem_core.intensity.measured import Slice
from txm2sem_core.registration import estimate_transform, judge
from txm2sem_core.registration.diagnosis import Hint, Remedy, diagnose
from txm2sem_core.registration.poses import AS_IT_IS, Upright

SIDE = 256
SETTINGS = RegisterSettings()
NAN = float("nan")
Slices = list[tuple[np.ndarray, np.ndarray]]


def read(folder: Path) -> Slices:
    """TXM and FIB-SEM slices of a folder, partners side by side."""
    return [
        (io.read_image(t), io.read_image(s))
        for t, s in zip(io.list_images(folder / "txm"), io.list_images(folder / "sem"), strict=True)
    ]


def with_bar(image: np.ndarray) -> np.ndarray:
    """A data bar with blocks of white in the place of the lowest 22 rows."""
    bar = np.zeros((22, image.shape[1]), image.dtype)
    bar[4:12, 10:60] = bar[8:18, 100:140] = bar[10:14, 160:230] = 255
    return np.vstack([image[:-22], bar])


def finer(image: np.ndarray, factor: float) -> np.ndarray:
    """The image on `factor` times as many pixels a side."""
    return rescale(image, factor, order=1, preserve_range=True).round().astype(image.dtype)


def upright(mirrored: bool, quarters: int) -> Callable[[Remedy], bool]:
    """Whether a remedy puts upright in this way, and does nothing else to the pixels."""
    return lambda r: r.upright == Upright(mirrored, quarters) and r.scale == 1


def of_scale(wanted: float) -> Callable[[Remedy], bool]:
    """Whether a remedy rescales by `wanted`, to 5 %."""
    return lambda r: r.upright == AS_IT_IS and abs(r.scale / wanted - 1) < 0.05


def has_key(r: Remedy) -> bool:
    """Whether a remedy lowers the overlap alone."""
    return not r.code and dict(r.keys).keys() == {"min_overlap"}


# name: what is done to the FIB-SEM crop, the scale that the files state, and the remedy that is right
MISTAKES: dict[str, tuple[Callable[[np.ndarray], np.ndarray], float, Callable[[Remedy], bool]]] = {
    "mirrored left to right": (lambda a: a[:, ::-1], NAN, upright(True, 0)),
    "mirrored top to bottom": (lambda a: a[::-1], NAN, upright(True, 2)),
    "turned by 90": (lambda a: np.rot90(a, 3), NAN, upright(False, 1)),
    "turned by 180": (lambda a: np.rot90(a, 2), NAN, upright(False, 2)),
    "turned by 270": (np.rot90, NAN, upright(False, 3)),
    "mirrored and turned": (lambda a: a.T, NAN, upright(True, 1)),
    "pixels 2.5 times finer, stated": (lambda a: finer(a, 2.5), 0.4, of_scale(0.4)),
    "pixels 1.7 times finer, not stated": (lambda a: finer(a, 1.7), NAN, of_scale(1 / 1.7)),
    "a data bar": (with_bar, NAN, lambda r: 20 <= r.bar[1] <= 24 and r.bar[0] == 0),
    "a fifth of the area": (lambda a: a[20:136, 90:210], NAN, has_key),
}


def crop_pair(rng: np.random.Generator, slices: Slices) -> tuple[np.ndarray, np.ndarray]:
    """The same square of both slices of a pair, at random."""
    txm, sem = slices[rng.integers(len(slices))]
    y, x = (int(rng.integers(0, max(1, n - SIDE + 1))) for n in np.minimum(txm.shape, sem.shape))
    return txm[y : y + SIDE, x : x + SIDE], sem[y : y + SIDE, x : x + SIDE]


def is_refused(txm: np.ndarray, sem: np.ndarray) -> bool:
    """Whether the registration refuses the pair."""
    try:
        return bool(judge(estimate_transform(Slice(txm), Slice(sem), SETTINGS), SETTINGS, txm.shape))
    except RegistrationError:
        return True


def unrelated(rng: np.random.Generator, slices: Slices) -> tuple[np.ndarray, np.ndarray]:
    """TXM from the left, FIB-SEM from the right half, from other ends of the stack."""
    i = int(rng.integers(len(slices)))
    txm, sem = slices[i][0], slices[(i + len(slices) // 2) % len(slices)][1]
    middle = txm.shape[1] // 2
    y1, y2 = rng.integers(0, txm.shape[0] - SIDE + 1, 2)
    x1, x2 = rng.integers(0, middle - SIDE - 20, 2) + np.array([0, middle + 20])
    return txm[y1 : y1 + SIDE, x1 : x1 + SIDE], sem[y2 : y2 + SIDE, x2 : x2 + SIDE]


def poor(rng: np.random.Generator, slices: Slices) -> tuple[np.ndarray, np.ndarray]:
    """A right pair with noise of 1 to 4 standard deviations of each image."""
    noisy = [a + rng.uniform(1, 4) * a.std() * rng.normal(size=a.shape) for a in crop_pair(rng, slices)]
    return noisy[0], noisy[1]


def count_false(name: str, pairs: list[tuple[np.ndarray, np.ndarray]]) -> None:
    """Print how many hints are given to pairs without a mistake."""
    hints = [hint for txm, sem in pairs if (hint := diagnose(Slice(txm), Slice(sem), SETTINGS, NAN)) is not None]
    print(f"{name}: {len(hints)} hints for {len(pairs)} pairs", *(f"\n    {hint}" for hint in hints), flush=True)


def right_crops(rng: np.random.Generator, slices: Slices, count: int) -> Slices:
    """Crops that are accepted as they are."""
    found: Slices = []
    while len(found) < count:
        pair = crop_pair(rng, slices)
        found += [] if is_refused(*pair) else [pair]
    return found


def count_right(name: str, sample: str, crops: Slices) -> None:
    """Make one mistake in each crop, and compare the hints with it."""
    make, stated, is_right = MISTAKES[name]
    right = wrong = 0
    for txm, sem in crops:
        hint: Hint | None = diagnose(Slice(txm), Slice(np.ascontiguousarray(make(sem))), SETTINGS, stated)
        right += hint is not None and is_right(hint.remedy)
        wrong += hint is not None and not is_right(hint.remedy)
    print(
        f"{sample}, {name}: right {right}, wrong {wrong}, none {len(crops) - right - wrong}, of {len(crops)}",
        flush=True,
    )


def main() -> None:
    """Count, and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", type=Path, nargs="+")
    parser.add_argument("--count", type=int, default=60, help="pairs without a mistake, for each kind")
    parser.add_argument("--right", type=int, default=12, help="right pairs, for each mistake")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    samples = {folder.name: read(folder) for folder in options.folders}
    rng = np.random.default_rng(options.seed)
    names = list(samples)
    for name, slices in samples.items():
        if min(slices[0][0].shape[1] // 2 - SIDE - 20, slices[0][0].shape[0] - SIDE) > 0:
            count_false(f"{name}, unrelated", [unrelated(rng, slices) for _ in range(options.count)])
        noisy = (poor(rng, slices) for _ in range(options.count))
        count_false(f"{name}, right but poor", [pair for pair in noisy if is_refused(*pair)])
    for other in names[1:]:
        crops = [
            (crop_pair(rng, samples[names[0]])[0], crop_pair(rng, samples[other])[1]) for _ in range(options.count)
        ]
        count_false(f"TXM of {names[0]}, FIB-SEM of {other}", crops)
    for name, slices in samples.items():
        crops = right_crops(rng, slices, options.right)
        for mistake in MISTAKES:
            count_right(mistake, name, crops)


if __name__ == "__main__":
    main()
