"""How often and how exactly a FIB-SEM slice of any turn, mirror, scale and part is found on its TXM slice.

    python benchmarks/placing.py FOLDER ... [--count N] [--wrong N] [--seed N] [--unstated] [--shares LOW HIGH]
    python benchmarks/placing.py --volume PHANTOM ... [--count N] [--wrong N] [--seed N] [--unstated]

FOLDER: the raw/ of `txm2sem phantom`, or any folder with txm/TXM000.tif ... and sem/SEM000.tif ..., slices that nearly
lie on each other. Where there is no truth/transforms.json, what the registration of the whole slices finds takes its
place. From each pair a piece of the FIB-SEM slice is cut, turned over the whole circle, mirrored or not, on pixels 0.2
to 1.25 times as wide as the TXM's, that shows 5.5 to 90 % of the area of a crop of the TXM slice (--shares); every
third has a data bar burnt in. The pixel sizes are stated, wrong by up to 4 %, or with --unstated not at all. Printed
are the share that is accepted, the corner error of these in TXM pixels, and the time a pair takes; then how many pairs
of unrelated pieces are accepted: of other folders, or of one from other halves and other ends of the stack.

With --volume the slices are planes in the volume of a phantom, cut from its truth: anywhere in it, tilted up to 15
degrees, turned over the whole circle, half of them mirrored, of the same range of scales, 110 to 230 voxels a side.
They are sought in all of the volume; the error is the root mean square distance of the four corners from where they
belong, in voxels. An unrelated slice is one of another phantom.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from txm2sem_core import io, planes
from txm2sem_core.config import RegisterSettings
from txm2sem_core.errors import RegistrationError
from txm2sem_core.geometry import Array, Matrix, centred_similarity, corner_error_px, warp
from txm2sem_core.intensity.measured import Slice
from txm2sem_core.phantom.oblique import cut_plane, random_plane
from txm2sem_core.registration import register_pairs
from txm2sem_core.registration.data_bar import cut_bar
from txm2sem_core.registration.placing import Placed, place
from txm2sem_core.registration.stretching import Stretch, stretch_of
from txm2sem_core.registration.volume_levels import VolumeLevels
from txm2sem_core.registration.volume_placing import place_in_volume
from txm2sem_core.samples.raw_pairs import RawPair
from txm2sem_core.samples.warnings import doubtful, set_warnings

SCALES = (0.2, 1.25)
SHARES = (0.055, 0.9)
SMALLEST_TXM = 0.7  # of the slice's side that a crop of the TXM has at least
BAR_EVERY, BAR_SHARE = 3, 0.08
PLANE_SIDES = (110, 230)  # voxels
SETTINGS = RegisterSettings()


@dataclass(frozen=True)
class Original:
    """A pair of slices, and the matrix from FIB-SEM to TXM pixels."""

    txm: Array
    sem: Array
    matrix: Matrix
    folder: Path


@dataclass(frozen=True)
class Planted:
    """A TXM slice, a piece of a FIB-SEM slice, and where it lies."""

    txm: Array
    sem: Array
    truth: Matrix
    what: str
    scale: float


def read(folder: Path) -> list[Original]:
    """All pairs of a folder."""
    names = zip(io.list_images(folder / "txm"), io.list_images(folder / "sem"), strict=True)
    pairs = [(io.read_image(txm), io.read_image(sem)) for txm, sem in names]
    known = folder / "truth" / "transforms.json"
    if known.exists():
        truth = io.read_json(known)
        matrices = [np.array(truth[key]["matrix"]) for key in sorted(truth)]
    else:
        placed = [place(Slice(txm), Slice(sem), SETTINGS) for txm, sem in pairs]
        matrices = [each.found.matrix for each in placed if each.found is not None]
    return [Original(txm, sem, matrix, folder) for (txm, sem), matrix in zip(pairs, matrices, strict=True)]


def plant(
    rng: np.random.Generator, original: Original, shares: tuple[float, float], *, with_bar: bool, stretch: float = 1.0
) -> Planted:
    """A piece of the FIB-SEM slice, somewhere on a crop of the TXM slice, of whose area it shows such a share.

    With `stretch` its pixels are so many times as long along one axis, chosen at random.
    """
    height, width = (int(n * rng.uniform(SMALLEST_TXM, 1)) for n in original.txm.shape)
    y, x = (int(rng.integers(0, n - m + 1)) for n, m in zip(original.txm.shape, (height, width), strict=True))
    txm = original.txm[y : y + height, x : x + width]
    to_crop = np.array([[1, 0, -x], [0, 1, -y], [0, 0, 1]]) @ original.matrix  # FIB-SEM pixel to pixel of the crop
    while True:
        scale = float(np.exp(rng.uniform(*np.log(SCALES))))
        area = float(np.exp(rng.uniform(*np.log(shares)))) * height * width
        side = np.sqrt(area) * np.array([1, 1]) * np.exp(rng.uniform(-0.3, 0.3) * np.array([1, -1]))
        shape = (max(int(side[0] / scale), 32), max(int(side[1] / scale), 32))
        turn, mirrored = float(rng.uniform(-180, 180)), bool(rng.integers(2))
        shift = rng.uniform(-0.5, 0.5, 2) * (width, height)
        truth = centred_similarity(turn, scale, (shift[0], shift[1]), shape, (height, width))
        if mirrored:
            truth = truth @ np.array([[-1, 0, shape[1] - 1], [0, 1, 0], [0, 0, 1]])
        if stretch != 1:
            truth = truth @ _stretching(stretch, int(rng.integers(2)), shape)
        own = np.linalg.inv(to_crop) @ truth  # pixel of the piece to FIB-SEM pixel
        corners = _corners(shape)
        on_sem, on_txm = (own @ corners)[:2], (truth @ corners)[:2]
        if _within(on_sem, original.sem.shape) and _within(on_txm, (height, width), 0.1 * min(height, width)):
            break
    sem = warp(original.sem, np.linalg.inv(own), shape)
    if with_bar:
        rows = int(BAR_SHARE * shape[0])
        sem[-rows:] = 0
        sem[-rows // 2 : -rows // 4, shape[1] // 10 : shape[1] // 4] = 255
    share = scale**2 * shape[0] * shape[1] / (height * width)
    what = f"{'mirrored, ' if mirrored else ''}turned {turn:.1f}, scale {scale:.3f}, share {share:.2f}"
    return Planted(txm, sem, truth, what + (", bar" if with_bar else ""), scale)


def _stretching(factor: float, axis: int, shape: tuple[int, int]) -> Matrix:
    """From a pixel to where it lies once the slice is stretched along x (axis 0) or y, about its middle."""
    matrix = np.eye(3)
    matrix[axis, axis], matrix[axis, 2] = factor, (1 - factor) * (shape[1 - axis] - 1) / 2
    return matrix


def _corners(shape: tuple[int, int]) -> Matrix:
    y, x = shape[0] - 1, shape[1] - 1
    return np.array([[0, 0, 1], [x, 0, 1], [0, y, 1], [x, y, 1]], dtype=np.float64).T


def _within(points: Matrix, shape: tuple[int, int], margin: float = 0.0) -> bool:
    last = np.array([[shape[1] - 1], [shape[0] - 1]])
    return bool(((points >= -margin) & (points <= last + margin)).all())


def stated(rng: np.random.Generator, scale: float, *, unstated: bool) -> float:
    """The scale by the pixel sizes: right to 4 %, or NaN."""
    wrong = float(np.exp(rng.uniform(-0.04, 0.04)))
    return float("nan") if unstated else scale * wrong


def timed(planted: Planted, scale: float) -> tuple[Placed, float]:
    """Place a pair, with the seconds that it took."""
    start = time.perf_counter()
    placed = place(Slice(planted.txm), cut_bar(Slice(planted.sem))[0], SETTINGS, scale)
    return placed, time.perf_counter() - start


def unrelated(rng: np.random.Generator, originals: list[Original]) -> Original:
    """The TXM slice of one pair with the FIB-SEM slice of another: other folders, or other halves of one."""
    at = int(rng.integers(len(originals)))
    one = originals[at]
    others = [each for each in originals if each.folder != one.folder]
    if others:
        other = others[rng.integers(len(others))]
        return Original(one.txm, other.sem, other.matrix, one.folder)
    other = originals[(at + len(originals) // 2) % len(originals)]
    middle = one.txm.shape[1] // 2
    right = np.array([[1, 0, -middle - 20], [0, 1, 0], [0, 0, 1]], dtype=np.float64) @ other.matrix
    return Original(one.txm[:, : middle - 20], other.sem, right, one.folder)


def sweep(rng: np.random.Generator, originals: list[Original], options: argparse.Namespace) -> None:
    """Right pairs: print how many are accepted, how exactly, and how long they take."""
    errors, seconds, called, accepted, count = [], [], [], 0, options.count
    for i in range(count):
        piece = originals[i % len(originals)], options.shares
        planted = plant(rng, *piece, with_bar=i % BAR_EVERY == 0, stretch=options.stretch)
        placed, took = timed(planted, stated(rng, planted.scale, unstated=options.unstated))
        seconds.append(took)
        error = np.inf
        if placed.found is not None:
            error = corner_error_px(placed.found.matrix, planted.truth, planted.sem.shape)
        accepted += placed.accepted
        stretch: Stretch | None = None
        if placed.accepted and placed.found is not None:
            errors.append(error)
            sem = cut_bar(Slice(planted.sem))[0]
            stretch = stretch_of(Slice(planted.txm), sem, placed.found.matrix, SETTINGS)
            called.append(stretch is not None and stretch.notable)
        if options.verbose:
            stretch = stretch or Stretch()
            said = f"stretched {stretch.ratio:.4f}, {stretch.corners_px:.2f} px, gain {stretch.gain:.3f}"
            print(f"{planted.what}, {planted.txm.shape}: {error:.2f} px, {took:.1f} s, {shown(placed)}; {said}",
                  flush=True)  # fmt: skip
    print(
        f"{accepted} of {count} accepted; corner error of these: median {np.median(errors):.2f}, 95 % below "
        f"{np.quantile(errors, 0.95):.2f}, worst {max(errors):.2f} TXM px; {sum(e > 3 for e in errors)} beyond 3 px; "
        f"{sum(called)} called stretched; seconds a pair: median {np.median(seconds):.1f}, longest {max(seconds):.1f}"
    )


def shown(placed: Placed) -> str:
    """The margins of a pair, and why it was refused."""
    found = placed.found
    if found is None:
        return "; ".join(placed.reasons)
    margin = found.above_chance
    return f"margin {margin:.3f}, halves {found.disagreement_px:.2f}; {'; '.join(placed.reasons)}"


def wrong(rng: np.random.Generator, originals: list[Original], options: argparse.Namespace) -> None:
    """Unrelated pairs: print how many are accepted."""
    accepted, seconds, count = 0, [], options.wrong
    for i in range(count):
        planted = plant(rng, unrelated(rng, originals), options.shares, with_bar=i % BAR_EVERY == 0)
        placed, took = timed(planted, stated(rng, planted.scale, unstated=options.unstated))
        accepted += placed.accepted
        seconds.append(took)
        if options.verbose:
            print(f"unrelated, {planted.what}: {took:.1f} s, {shown(placed)}", flush=True)
    print(f"{accepted} of {count} unrelated accepted; seconds a pair: median {np.median(seconds):.1f}, longest "
          f"{max(seconds):.1f}")  # fmt: skip


def doubts(folder: Path, off: int) -> None:
    """How many whole FIB-SEM slices pass on the TXM slice that lies `off` behind theirs, and are called doubtful."""
    txm, sem = io.list_images(folder / "txm"), io.list_images(folder / "sem")
    pairs = [RawPair(str(i), i, txm[i], sem[i + off]) for i in range(len(txm) - off)]
    with tempfile.TemporaryDirectory() as output:
        try:
            register_pairs(pairs, SETTINGS, Path(output) / "registered")
        except RegistrationError:
            print(f"{folder.name}, off by {off}: 0 of {len(pairs)} accepted")
            return
        quality = io.read_csv(Path(output) / "registered" / "quality.csv")
    accepted, called = quality["accepted"].astype(bool).sum(), doubtful(quality).sum()
    said = f"{folder.name}, off by {off}: {accepted} of {len(pairs)} accepted, {called} of these called doubtful"
    print(said, *set_warnings(quality), sep="\n    ", flush=True)


def in_volume(rng: np.random.Generator, options: argparse.Namespace) -> None:
    """Planes in volumes: print how many are accepted, how exactly, and how many unrelated ones are."""
    count, wrong = options.count, options.wrong
    phantoms = [Phantom.read(folder) for folder in options.folders]
    errors, seconds, accepted = [], [], {False: 0, True: 0}
    for i in range(count + wrong):
        unrelated = i >= count
        here = phantoms[i % len(phantoms)]
        there = phantoms[(i + 1) % len(phantoms)] if unrelated else here
        shape = there.sem.shape
        plane, size = random_plane(rng, shape, PLANE_SIDES, SCALES, SETTINGS.max_tilt_deg, mirrored=True)
        nm = here.pixel_nm * planes.width(plane)
        sem = cut_plane(there.sem, there.labels, plane, size, nm, there.electrons, rng).grey
        scale = stated(rng, planes.width(plane), unstated=options.unstated)
        start = time.perf_counter()
        placed = place_in_volume(here.levels, Slice(sem), SETTINGS, stated_scale=scale)
        seconds.append(time.perf_counter() - start)
        accepted[unrelated] += placed.accepted
        error = np.inf if placed.plane is None else planes.corner_rms(placed.plane, plane, size)
        errors += [error] if placed.accepted and not unrelated else []
        if options.verbose:
            print(f"{'unrelated' if unrelated else 'right'}, tilt {planes.tilt_deg(plane):.1f}, "
                  f"{'mirrored, ' if planes.is_mirrored(plane) else ''}scale {planes.width(plane):.3f}, {size}: "
                  f"{error:.2f} voxels, score {placed.score:.2f}, {seconds[-1]:.1f} s, {'; '.join(placed.reasons)}",
                  flush=True)  # fmt: skip
    if errors:
        print(f"{accepted[False]} of {count} planes accepted; corner error of these: median {np.median(errors):.2f}, "
              f"95 % below {np.quantile(errors, 0.95):.2f}, worst {max(errors):.2f} voxels")  # fmt: skip
    print(f"{accepted[True]} of {wrong} unrelated accepted; seconds a slice: median {np.median(seconds):.1f}, longest "
          f"{max(seconds):.1f}")  # fmt: skip


@dataclass(frozen=True)
class Phantom:
    """A phantom's TXM volume, and what a perfect FIB-SEM shows in it."""

    levels: VolumeLevels
    sem: Array
    labels: Array
    pixel_nm: float
    electrons: float

    @classmethod
    def read(cls, folder: Path) -> Phantom:
        """All of it, in memory."""
        settings = io.read_json(folder / "phantom.json")["settings"]
        txm, sem, labels = (
            io.open_volume(folder / name) for name in ("txm_volume", "truth/sem.tif", "truth/labels.tif")
        )
        whole = [each.read(0, each.shape[0]) for each in (txm, sem, labels)]
        levels = VolumeLevels(io.Volume.of_array(whole[0]))
        return cls(levels, whole[1], whole[2], settings["voxel_size_nm"][2], settings["sem_electrons"])


def main() -> None:
    """Plant, place, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", type=Path, nargs="+")
    parser.add_argument("--count", type=int, default=60)
    parser.add_argument("--wrong", type=int, default=0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--unstated", action="store_true")
    parser.add_argument("--shares", type=float, nargs=2, default=SHARES, metavar=("LOW", "HIGH"))
    parser.add_argument("--stretch", type=float, default=1.0, help="of the pieces, along one axis")
    parser.add_argument("--volume", action="store_true", help="planes in the volumes of phantoms")
    parser.add_argument("--doubtful", action="store_true", help="whole slices, off by 0, 1, 2")
    parser.add_argument("--verbose", action="store_true", help="a line for each pair")
    options = parser.parse_args()
    if options.stretch != 1 and (options.volume or options.doubtful or options.wrong):
        parser.error("--stretch is for right pieces alone: leave it out")
    if options.volume:
        in_volume(np.random.default_rng(options.seed), options)
        return
    if options.doubtful:
        for folder in options.folders:
            for off in range(3):
                doubts(folder, off)
        return
    originals = [each for folder in options.folders for each in read(folder)]
    rng = np.random.default_rng(options.seed)
    if options.count:
        sweep(rng, originals, options)
    if options.wrong:
        wrong(rng, originals, options)


if __name__ == "__main__":
    main()
