"""How often the intervals of our tables hold the true mean, in simulations.

    python benchmarks/interval_coverage.py --write docs/method/measures.md

Scores of patches are a slice's own part plus the patch's own; `effect` is the spread of the first over that of the
second. The table goes into the page between two marks.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from marked_pages import print_or_put

from txm2sem_core.metrics import summarise

SLICES, EFFECTS, SEEDS = (2, 3, 4, 6, 8, 12, 20), (0.0, 0.25, 0.5, 1.0), (3, 4, 5, 7, 10)
ALIKE = (0.2, 0.5, 0.8)
BEGIN, END = "<!-- coverage: begin -->\n", "<!-- coverage: end -->\n"


def draw(rng: np.random.Generator, shape: int | tuple[int, int], skewed: bool = False) -> np.ndarray:
    """Values of mean 0 and variance 1: normal, or skewed by 2 as an exponential distribution is."""
    return rng.exponential(size=shape) - 1 if skewed else rng.normal(size=shape)


def coverage_of_slices(
    slices: int,
    patches: int,
    effect: float,
    *,
    runs: int,
    skewed: bool = False,
    uneven: bool = False,
    alike: float = 0.0,
) -> float:
    """Share of runs whose 95 % interval over slices holds the true mean, 0.

    Args:
        slices: number of test slices.
        patches: of each slice.
        effect: spread of the slices' own parts, in units of the patches' spread.
        runs: how many are simulated.
        skewed: both parts are exponentially distributed, not normally.
        uneven: every second slice has one patch only.
        alike: correlation of the parts of neighbouring slices, which should be 0.
    """
    rng = np.random.default_rng(slices)
    numbers = [1 if uneven and n % 2 else patches for n in range(slices)]
    clusters = np.repeat(np.arange(slices), numbers).tolist()
    held = 0
    for _ in range(runs):
        own = draw(rng, slices, skewed)
        for n in range(1, slices if alike else 0):
            own[n] = alike * own[n - 1] + (1 - alike**2) ** 0.5 * own[n]
        scores = effect * np.repeat(own, numbers) + draw(rng, len(clusters), skewed)
        found = summarise(scores, clusters)
        held += found.low <= 0 <= found.high
    return held / runs


def coverage_of_seeds(seeds: int, *, runs: int, skewed: bool = False) -> float:
    """Share of runs whose 95 % interval over seeds holds the true mean, 0."""
    rng = np.random.default_rng(seeds)
    found = [summarise(draw(rng, seeds, skewed)) for _ in range(runs)]
    return sum(one.low <= 0 <= one.high for one in found) / runs


def table(runs: int) -> str:
    """Both tables in Markdown."""
    head = [f"effect {effect:g}" for effect in EFFECTS]
    head += ["skewed, 0.5", "uneven, 0.5", *(f"neighbours alike by {alike:g}" for alike in ALIKE)]
    lines = [["slices", *head], ["---"] * (len(head) + 1)]
    for slices in SLICES:
        row = [coverage_of_slices(slices, 12, effect, runs=runs) for effect in EFFECTS]
        row += [coverage_of_slices(slices, 12, 0.5, runs=runs, **{kind: True}) for kind in ("skewed", "uneven")]
        row += [coverage_of_slices(slices, 12, 1.0, runs=runs, alike=alike) for alike in ALIKE]
        lines.append([str(slices), *(f"{share:.1%}".replace("%", " %") for share in row)])
    seeds = [["seeds", "normal", "skewed"], ["---"] * 3]
    for number in SEEDS:
        row = [coverage_of_seeds(number, runs=runs, skewed=skewed) for skewed in (False, True)]
        seeds.append([str(number), *(f"{share:.1%}".replace("%", " %") for share in row)])
    first, second = ("\n".join(f"| {' | '.join(line)} |" for line in part) for part in (lines, seeds))
    return f"{first}\n\n{second}\n"


def main() -> None:
    """Print the tables, or put them into a page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=4000, help="simulations of each figure")
    parser.add_argument("--write", type=Path, help="page with the two marks")
    chosen = parser.parse_args()
    print_or_put(table(chosen.runs), chosen.write, BEGIN, END)


if __name__ == "__main__":
    main()
