"""The phases of the synthetic shale and what each does to electrons and to X-rays.

Volume fractions follow an organic-rich siliceous to calcareous mudstone of the oil to wet-gas window, such as the
Vaca Muerta or the Eagle Ford: by mass some 30 % quartz, 20 % carbonate, 35 % illitic clay, 5 % pyrite and 6 to 8 %
total organic carbon. Kerogen's low density makes the last about 11 % of the volume; resolved porosity is 5 to 8 %.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import xraydb

PORE, ORGANIC, CLAY, QUARTZ, CARBONATE, PYRITE = range(6)


@dataclass(frozen=True)
class Phase:
    """A mineral or void: `formula` as xraydb reads it (empty for vacuum), `density` in g/cm3."""

    name: str
    formula: str
    density: float


PHASES: tuple[Phase, ...] = (
    Phase("pore", "", 0.0),
    Phase("organic", "C100H85O6N2S", 1.25),
    Phase("clay", "K0.7Al2.3Fe0.2Mg0.15Si3.4O12H2", 2.75),  # illite, with its usual iron
    Phase("quartz", "SiO2", 2.65),
    Phase("carbonate", "CaCO3", 2.71),
    Phase("pyrite", "FeS2", 5.01),
)
PHASE_NAMES: tuple[str, ...] = tuple(phase.name for phase in PHASES)


def attenuation_per_cm(energy_kev: float) -> np.ndarray:
    """Linear attenuation coefficient of each phase in 1/cm, `[6]`, from xraydb (Elam et al. 2002 tables)."""
    return np.array(
        [
            float(xraydb.material_mu(phase.formula, energy_kev * 1000.0, density=phase.density))
            if phase.formula
            else 0.0
            for phase in PHASES
        ]
    )


def mass_fractions(formula: str) -> dict[str, float]:
    """Share of each element in the mass of `formula`."""
    masses = {symbol: count * xraydb.atomic_mass(symbol) for symbol, count in xraydb.chemparse(formula).items()}
    total = sum(masses.values())
    return {symbol: mass / total for symbol, mass in masses.items()}


def element_backscatter(atomic_number: float) -> float:
    """Backscatter coefficient of a pure element at 20 keV: the cubic of Reuter (1972)."""
    z = atomic_number
    return -0.0254 + 0.016 * z - 1.86e-4 * z**2 + 8.3e-7 * z**3


def backscatter_coefficients() -> np.ndarray:
    """Backscatter coefficient of each phase, `[6]`: the mass-weighted mean of its elements' (Castaing's rule)."""
    return np.array(
        [
            sum(
                share * element_backscatter(xraydb.atomic_number(symbol))
                for symbol, share in mass_fractions(phase.formula).items()
            )
            if phase.formula
            else 0.0
            for phase in PHASES
        ]
    )
