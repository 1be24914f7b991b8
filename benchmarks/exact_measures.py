"""How right the measures of a rock are: their bias and spread where the true value is known.

    python benchmarks/exact_measures.py            # some 20 minutes on one core
    python benchmarks/exact_measures.py --quick    # blocks of 32 voxels alone

Prints the tables of docs/method/measures.md. Rocks are those of tests/exact/rocks.py. A number is the mean over blocks
of measured over exact, less 1, and after ± the standard deviation from block to block, both in per cent.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Iterable
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "exact"))

import rocks
from rocks import CUBES, LAG, Edges, Pores, Rock

from txm2sem_core.metrics import NeighbourMeter, self_continuity
from txm2sem_core.metrics.lags import plane_step
from txm2sem_core.metrics.pores.geometry import pore_diameters
from txm2sem_core.metrics.pores.streaming import PoreMeter

NUMBERS = {32: 24, 64: 8, 128: 2}  # blocks of each side, in voxels
VOXELS: dict[str, Edges] = {"2 : 1": (2.0, 1.0, 1.0), "5 : 1": (5.0, 1.0, 1.0), "1 : 5": (1.0, 5.0, 5.0)}
MEASURES = {
    "porosity": "porosity",
    "surface": "specific surface",
    "euler": "Euler number",
    "chord": "mean chord along z",
    "two_point": "two-point probability at 10",
    "thickness": "median pore size",
}
ROCKS = (
    rocks.overlapping_balls(),
    rocks.lone_balls(),
    rocks.gaussian_field(),
    rocks.cracks(3),
    rocks.cracks(8),
    rocks.chains(),
)


def measured(pore: Pores, edges: Edges, wanted: Iterable[str]) -> dict[str, float]:
    """What the exact values are compared with, in the unit of the edges."""
    meter = PoreMeter(int(LAG), edges, slices=len(pore))
    for plane in pore:
        meter.add(plane)
    found = meter.result()
    lag = round(LAG / edges[2])
    values = {
        "porosity": found.porosity,
        "surface": found.specific_surface * 1e-9,
        "euler": found.euler_per_voxel / math.prod(edges),
        "chord": found.mean_chords[0] * edges[0],
        "two_point": float(found.two_point[2, lag]) if lag < found.two_point.shape[1] else math.nan,
    }
    if "thickness" in wanted and pore.any():
        diameters, shares = pore_diameters(pore, edges)
        values["thickness"] = float(diameters[np.searchsorted(np.cumsum(shares), 0.5)])
    return values


def cell(rock: Rock, measure: str, blocks: list[dict[str, float]]) -> str:
    """Bias and spread, in per cent."""
    ratios = 100 * (np.array([block.get(measure, math.nan) for block in blocks]) / rock.exact[measure] - 1)
    ratios = ratios[np.isfinite(ratios)]
    return f"{ratios.mean():+.0f} ± {ratios.std(ddof=1):.0f}" if len(ratios) > 1 else ""


def blocks_of(rock: Rock, side: int, edges: Edges, number: int, *, noisy: bool = False) -> list[dict[str, float]]:
    """Blocks of a rock, each cut out of another place of it."""
    rng, found = np.random.default_rng(side), []
    for _ in range(number):
        pore = rock.make((side, side, side), edges, rng)
        found.append(measured(rocks.as_predicted(pore, rng) if noisy else pore, edges, rock.exact))
    return found


def rock_table(numbers: dict[int, int]) -> None:
    """One row a rock and measure."""
    middle = 64 if 64 in numbers else 32
    print("| rock | measure |", " | ".join([*(f"{n}³" for n in numbers), *VOXELS, "noisy"]), "|")
    print("|---" * (len(numbers) + len(VOXELS) + 3) + "|")
    for rock in ROCKS:
        columns = [blocks_of(rock, side, CUBES, number) for side, number in numbers.items()]
        for edges in VOXELS.values():
            columns.append(blocks_of(rock, middle, edges, numbers[middle]))
        columns.append(blocks_of(rock, middle, CUBES, numbers[middle], noisy=True))
        for measure, name in MEASURES.items():
            if measure in rock.exact:
                print(f"| {rock.name} | {name} |", " | ".join(cell(rock, measure, c) for c in columns), "|", flush=True)


def size_table(numbers: dict[int, int]) -> None:
    """What has no exact value: how it changes with the size of the block."""
    from txm2sem_core.metrics.pores.diffusivity import diffusivity
    from txm2sem_core.metrics.pores.permeability import solve_permeability

    rock = rocks.gaussian_field(4, 0.3)
    print("\n| measure |", " | ".join(f"{side}³" for side in numbers), "|")
    print("|---" * (len(numbers) + 1) + "|")
    rows: dict[str, list[str]] = {}
    for side, number in numbers.items():
        rng, found = np.random.default_rng(side), []
        for _ in range(number):
            pore = rock.make((side, side, side), CUBES, rng)
            meter = PoreMeter(1)
            for plane in pore:
                meter.add(plane)
            diameters, shares = pore_diameters(pore, 1)
            diffusion = diffusivity(pore, 1.0, 0)
            found.append(
                {
                    "connected porosity along z": meter.result().connected[0],
                    "median pore size": float(diameters[np.searchsorted(np.cumsum(shares), 0.5)]),
                    "greatest pore size": float(diameters[-1]),
                    "diffusivity along z": diffusion.relative,
                    "permeability along z, voxels²": solve_permeability(pore, 1.0, 0).permeability_m2 * 1e18,
                }
            )
        for name in found[0]:
            values = np.array([block[name] for block in found])
            rows.setdefault(name, []).append(f"{values.mean():.3g} ± {values.std(ddof=1):.2g}")
    for name, cells in rows.items():
        print(f"| {name} |", " | ".join(cells), "|")


def direction_table() -> None:
    """Figures of continuity along z over those of the plane, of a grey rock without direction: 1 is right."""
    from scipy import ndimage

    print("\n| voxels | change | SSIM, plane over z | jitter, plane over z | spectrum |\n|---|---|---|---|---|")
    for edges in ((1, 1, 1), (1.4, 1, 1), (2, 1, 1), (2.5, 1, 1), (5, 1, 1), (1, 2, 2), (1, 3, 3), (2, 1, 1.5)):
        found = []
        for seed in range(3):
            rng, widths = np.random.default_rng(seed), [4 / e for e in edges]
            pads = [int(4 * w) + 2 for w in widths]
            noise = rng.normal(size=[64 + 2 * p for p in pads])
            smooth = ndimage.gaussian_filter(noise, widths)[tuple(slice(p, -p) for p in pads)]
            grains = np.digitize(smooth / smooth.std(), (-1, 0, 1)) * 60.0 + rng.normal(0, 8, smooth.shape)
            meter = NeighbourMeter.of_volume((64, 64, 64), edges, 255.0)
            for plane in grains:
                meter.add(plane)
            own = meter.result()
            change = self_continuity(grains, plane_step(edges)).ratio
            found.append((change, own.ssim_plane / own.ssim_z, own.jitter_plane / own.jitter_z, own.high_ratio))
        cells = [f"{m:.2f} ± {s:.2f}" for m, s in zip(np.mean(found, 0), np.std(found, 0, ddof=1), strict=True)]
        print("|", " : ".join(f"{e:g}" for e in edges), "|", " | ".join(cells), "|", flush=True)


def main() -> None:
    """Print all tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="blocks of 32 voxels alone")
    numbers = {32: 6} if parser.parse_args().quick else NUMBERS
    rock_table(numbers)
    size_table(numbers)
    direction_table()


if __name__ == "__main__":
    main()
