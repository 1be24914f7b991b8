"""How often the intervals of a rock's metrics hold the value of the rock that a volume is cut out of.

    python benchmarks/rock_coverage.py --write docs/method/measures.md    # some 15 minutes on one core

Volumes of rocks with known laws (tests/exact/rocks.py) and of phantoms are made again and again; each gives its own
interval by its finite size. The porosity of a law is exact, all else is compared with the mean over all volumes. The
table goes into the page between two marks.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from marked_pages import print_or_put

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "exact"))

import rocks
from rocks import CUBES

from txm2sem_core.measure.intervals import half_width
from txm2sem_core.metrics import Thresholds
from txm2sem_core.metrics.pores.summary import measure_pores

BEGIN, END = "<!-- rock coverage: begin -->\n", "<!-- rock coverage: end -->\n"
METRICS = {
    "porosity": "porosity",
    "porosity_connected_x": "connected porosity",
    "specific_surface_per_um": "surface",
    "euler_per_um3": "Euler number",
    "mean_chord_x_nm": "mean chord",
    "pore_diameter_nm_median": "median pore size",
    "diffusivity_x_relative": "diffusivity",
    "permeability_x_nd": "permeability",
}
Shape = tuple[int, int, int]
EDGE_NM = (1000.0, 1000.0, 1000.0)
LEAST, RARE = 1e-12, 0.01


def of_law(rock: rocks.Rock, shape: Shape, number: int) -> Iterator[np.ndarray]:
    """Volumes of a rock, True in the pores."""
    rng = np.random.default_rng(7)
    for _ in range(number):
        yield rock.make(shape, CUBES, rng)


def of_phantoms(shape: Shape, number: int) -> Iterator[np.ndarray]:
    """Phantoms of other seeds than the tests have, darkest phase alone."""
    from txm2sem_core.phantom import phases
    from txm2sem_core.phantom.rock import Rock

    for seed in range(1000, 1000 + number):
        rock = Rock(seed, shape, (32.0, 32.0, 32.0))
        yield np.stack([np.isin(rock.cut(z).labels, (phases.PORE, phases.ORGANIC)) for z in range(shape[0])])


def measured(pore: np.ndarray, *, block_px: int) -> dict[str, tuple[float, float, float]]:
    """Value, standard deviation and degrees of freedom of each metric of one volume, by that volume alone."""
    grey = np.where(pore, 0, 200).astype(np.uint8)
    options = {"cube_px": block_px, "blocks": 8, "axes": ("x",)}
    found = measure_pores(iter(grey), pore.shape, EDGE_NM, Thresholds((100.0,)), **options)  # type: ignore[arg-type]
    whole = found.sizes[found.sizes["of"] == "volume"].set_index("metric")
    return {
        metric: (float(row["mean"]), float(row["std"]), float(row["degrees"]))
        for metric, row in whole.iterrows()
        if metric in METRICS
    }


def row(name: str, volumes: Iterator[np.ndarray], exact: float | None, *, block_px: int) -> list[str]:
    """A row of the table: for each metric the share of volumes whose interval holds the rock's value."""
    found = [measured(pore, block_px=block_px) for pore in volumes]
    cells = [name, str(len(found))]
    for metric in METRICS:
        values, stds, degrees = np.array([one.get(metric, (math.nan,) * 3) for one in found]).T
        true = exact if metric == "porosity" and exact is not None else float(np.nanmean(values))
        grown = 1.0 if metric == "porosity" and exact is not None else math.sqrt(1 + 1 / len(found))
        halves = np.array([half_width(grown * std, df) for std, df in zip(stds, degrees, strict=True)])
        known = np.isfinite(halves) & np.isfinite(values)
        if known.sum() < len(found) / 2 or np.nanmean(np.abs(values) > LEAST) < RARE:
            cells.append("")
            continue
        held = np.abs(values - true)[known] <= halves[known]
        spread = float(np.nanstd(values[known], ddof=1))
        ratio = math.sqrt(float(np.mean(stds[known] ** 2))) / spread if spread else math.nan
        cells.append(f"{held.mean():.0%} ({ratio:.2f})".replace("%", " %"))
    print(" | ".join(cells), flush=True)
    return cells


def table(number: int) -> str:
    """The table in Markdown."""
    laws: list[tuple[Callable[..., rocks.Rock], dict[str, float]]] = [
        (rocks.gaussian_field, {"sigma": 3, "porosity": 0.3}),
        (rocks.gaussian_field, {"sigma": 3, "porosity": 0.15}),
        (rocks.overlapping_balls, {"radius": 5, "porosity": 0.2}),
        (rocks.overlapping_balls, {"radius": 5, "porosity": 0.35}),
    ]
    lines = [["rock, voxels", "volumes", *METRICS.values()]]
    lines.append(["---"] * len(lines[0]))
    for make, options in laws:
        rock = make(**options)
        for side in (48, 96):
            name = f"{rock.name}, porosity {options['porosity']:g}, {side}³"
            lines.append(row(name, of_law(rock, (side,) * 3, number), options["porosity"], block_px=side // 3))
    flat = (24, 96, 96)
    rock = rocks.gaussian_field(3, 0.3)
    lines.append(row("random field, porosity 0.3, 24 × 96 × 96", of_law(rock, flat, number), 0.3, block_px=24))
    shape = (48, 192, 192)
    lines.append(row("phantom, 48 × 192 × 192", of_phantoms(shape, number), None, block_px=48))
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def main() -> None:
    """Print the table, or put it into a page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--volumes", type=int, default=60, help="of each rock")
    parser.add_argument("--write", type=Path, help="page with the two marks")
    chosen = parser.parse_args()
    print_or_put(table(chosen.volumes), chosen.write, BEGIN, END)


if __name__ == "__main__":
    main()
