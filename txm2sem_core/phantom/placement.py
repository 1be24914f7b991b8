"""Where the grains stand: drawn one by one until each phase has its share of the volume. Lengths in nanometres."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree

from txm2sem_core.phantom import phases
from txm2sem_core.phantom.grains import (
    Framboid,
    Grain,
    Vectors,
    as_generator,
    box_share,
    make_framboid,
    make_grain,
    solid_share,
)

REBUILD_EVERY = 256  # balls placed between two builds of the search tree
TRIES = 12  # random positions tried for each grain; the freest is taken
LAMINA_NM = 900.0  # thickness of a lamina rich or poor in silt


@dataclass(frozen=True)
class Population:
    """Grains of one kind: their share of the volume, and a log-normal distribution of radii cut at both ends."""

    share: float
    median_nm: float
    spread: float
    smallest_nm: float
    largest_nm: float

    def radius(self, rng: np.random.Generator) -> float:
        """One radius in nm."""
        drawn = self.median_nm * np.exp(self.spread * rng.standard_normal())
        return float(np.clip(drawn, self.smallest_nm, self.largest_nm))


QUARTZ = Population(0.365, 330.0, 0.55, 110.0, 950.0)
CARBONATE = Population(0.215, 300.0, 0.5, 110.0, 800.0)
PYRITE = Population(0.009, 85.0, 0.35, 50.0, 200.0)  # single crystals, strewn
FRAMBOIDS = Population(0.032, 480.0, 0.25, 320.0, 750.0)  # share and radii of the balls, gaps included


@dataclass(frozen=True)
class Grains:
    """All grains of a rock; the crystals of its framboids are not among the `loose` ones."""

    loose: list[Grain]
    framboids: list[Framboid]


class _Placer:
    """Draws positions in and around the box, keeping clear of what stands already and of the fractures."""

    def __init__(self, rng: np.random.Generator, size_nm: Vectors, fractures_nm: list[float]) -> None:
        self.rng = rng
        self.size_nm = size_nm
        self.fractures_nm = np.array(fractures_nm)
        self.reach = max(QUARTZ.largest_nm, CARBONATE.largest_nm)
        self.tree: cKDTree | None = None
        self.lifted: list[Vectors] = []
        self.in_tree = 0
        laminae = int(np.ceil((size_nm[1] + 2 * self.reach) / LAMINA_NM)) + 2
        self.richness = rng.standard_normal(laminae)

    def find_position(self, radius: float, needs_clearance: float, follows_laminae: float) -> Vectors:
        """The best of some random positions for a ball of `radius`."""
        low = -min(self.reach, radius)
        positions = self.rng.uniform(low, self.size_nm - low, (TRIES, 3))
        free = np.full(TRIES, 1.0)
        if self.lifted:
            free = np.minimum(1.0, self._power(positions) / radius**2)
        if self.fractures_nm.size:
            beside = np.min(np.abs(positions[:, 1, None] - self.fractures_nm), axis=1)
            free = free - 3.0 * (beside < 0.8 * radius)
        lamina = self.richness[((positions[:, 1] + self.reach) / LAMINA_NM).astype(int)]
        best = positions[int(np.argmax(needs_clearance * free + follows_laminae * lamina))]
        self.lifted.append(np.append(best, np.sqrt(self.reach**2 - radius**2)))
        if len(self.lifted) - self.in_tree >= REBUILD_EVERY:
            self.tree = cKDTree(np.array(self.lifted))
            self.in_tree = len(self.lifted)
        return np.asarray(best)

    def _power(self, positions: Vectors) -> Vectors:
        """Least power |place - centre|^2 - r^2 over the balls placed, in nm2: below 0 inside one of them.

        A ball of radius r is a point in four dimensions, lifted by sqrt(reach^2 - r^2); the nearest such point has the
        least power (Aurenhammer 1987), so that a tree finds it. The balls placed last are not yet in the tree.
        """
        lifted = np.column_stack([positions, np.zeros(len(positions))])
        square = np.full(len(positions), np.inf)
        if self.tree is not None:
            square = self.tree.query(lifted)[0] ** 2
        recent = np.array(self.lifted[self.in_tree :]).reshape(-1, 4)
        if len(recent):
            square = np.minimum(square, np.min(np.sum((lifted[:, None] - recent) ** 2, axis=2), axis=1))
        return np.asarray(square - self.reach**2)


def place_grains(seed: int, size_nm: Vectors, fractures_nm: list[float]) -> Grains:
    """Framboids first, then quartz and carbonate side by side, then strewn pyrite.

    `size_nm` is the box `[3]`; `fractures_nm` the heights y of bedding-parallel fractures, which grains leave alone.
    """
    rng = as_generator(seed, "grains")
    placer = _Placer(rng, size_nm, fractures_nm)
    box = float(np.prod(size_nm))
    framboids: list[Framboid] = []

    def framboid() -> float:
        radius = FRAMBOIDS.radius(rng)
        made = make_framboid(rng, placer.find_position(radius, 1.0, -0.2), radius, float(rng.uniform(75.0, 120.0)))
        framboids.append(made)
        return box_share(made.centre, radius, size_nm) * 4.0 / 3.0 * np.pi * radius**3

    _fill([(FRAMBOIDS.share * box, framboid)])
    loose: list[Grain] = []

    def grain_of(phase: int, population: Population) -> Callable[[], float]:
        def draw() -> float:
            radius = population.radius(rng)
            grain = make_grain(rng, phase, placer.find_position(0.8 * radius, 1.0, 0.15), radius)
            loose.append(grain)
            volume = solid_share(rng, grain) * 4.0 / 3.0 * np.pi * radius**3
            return volume * box_share(grain.centre, radius, size_nm)

        return draw

    _fill(
        [
            (QUARTZ.share * box, grain_of(phases.QUARTZ, QUARTZ)),
            (CARBONATE.share * box, grain_of(phases.CARBONATE, CARBONATE)),
        ]
    )
    _fill([(PYRITE.share * box, grain_of(phases.PYRITE, PYRITE))])
    return Grains(loose, framboids)


def _fill(wanted: list[tuple[float, Callable[[], float]]]) -> None:
    """Call each maker, the one furthest behind first, until every one has made its volume in nm3."""
    made = [0.0] * len(wanted)
    while True:
        behind = [done / target for done, (target, _) in zip(made, wanted, strict=True)]
        last = int(np.argmin(behind))
        if behind[last] >= 1.0:
            return
        made[last] += wanted[last][1]()
