"""FIB-SEM: what a backscatter detector shows of a milled face, and what milling, charging and counting do to it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, signal

from txm2sem_core.phantom import phases
from txm2sem_core.phantom.rock import RockSlice

Floats = NDArray[np.float32]

GREY_BLACK = 12.0  # grey level of no backscattered electrons
GREY_PYRITE = 218.0  # grey level of pyrite, the brightest phase
PORE_BACK_PER_NM = 1.0 / 75.0  # decay of the light from what lies behind an open pore
BEAM_SIGMA_NM = 18.0  # probe and interaction volume at a low voltage
CURTAINS = 0.026  # relative brightness of curtaining, root mean square
STRIPE_NM = 4000.0  # a curtain fades over this length below the edge that began it
CHARGE_TAIL_NM = 450.0  # a charged spot's tail along the scan line
CHARGE_MARKED = 6.0  # grey levels of charge from which a pixel is marked


@dataclass(frozen=True)
class SemImage:
    """A FIB-SEM image: `grey` `[Y, X]` uint8, the `charge` mask `[Y, X]`, and the share of pixels that saturated."""

    grey: NDArray[np.uint8]
    charge: NDArray[np.bool_]
    saturated: float


def grey_levels() -> np.ndarray:
    """Grey level of each phase, `[6]`, when solid: linear in the backscatter coefficient."""
    coefficients = phases.backscatter_coefficients()
    return GREY_BLACK + (GREY_PYRITE - GREY_BLACK) * coefficients / coefficients[phases.PYRITE]


def face_grey(rock: RockSlice, behind: Floats | None, spacing_nm: float) -> Floats:
    """Grey levels `[Y, X]` of the freshly milled face, before the beam's blur.

    A pore shows the face `behind` it (the next slice's result, `spacing_nm` deeper) ever more darkly with depth; clay
    is darkened by its voids below the voxel's size.
    """
    grey = grey_levels().astype(np.float32)[rock.labels]
    clay = rock.labels == phases.CLAY
    grey[clay] = GREY_BLACK + (grey[clay] - GREY_BLACK) * (1.0 - rock.clay_porosity[clay])
    if behind is not None:
        pore = rock.labels == phases.PORE
        grey[pore] = GREY_BLACK + (behind[pore] - GREY_BLACK) * np.float32(np.exp(-spacing_nm * PORE_BACK_PER_NM))
    return np.asarray(grey, dtype=np.float32)


def blur_by_beam(grey: Floats, voxel_size_nm: tuple[float, float, float]) -> Floats:
    """The face as a beam of finite width sees it, `[Y, X]`."""
    sigma = (BEAM_SIGMA_NM / voxel_size_nm[1], BEAM_SIGMA_NM / voxel_size_nm[2])
    return np.asarray(ndimage.gaussian_filter(grey, sigma, mode="nearest"), dtype=np.float32)


def curtain(labels: NDArray[np.uint8], pixel_nm: float, rng: np.random.Generator, strength: float = CURTAINS) -> Floats:
    """Relative brightness `[Y, X]` of curtaining: stripes along Y that begin below pores and pyrite, and fade.

    The ion beam comes along +Y. Each stripe starts where it leaves a pore or a hard crystal, with a random sign.
    """
    rough = np.isin(labels, (phases.PORE, phases.PYRITE))
    starts = np.zeros(labels.shape, dtype=np.float32)
    starts[1:] = rough[:-1] & ~rough[1:]
    starts *= rng.standard_normal(labels.shape, dtype=np.float32)
    starts[0] += 2.0 * rng.standard_normal(labels.shape[1], dtype=np.float32)
    fade = np.exp(-pixel_nm / STRIPE_NM)
    stripes = signal.lfilter([1.0], [1.0, -fade], starts, axis=0)
    stripes = ndimage.gaussian_filter1d(stripes, 1.1, axis=1, mode="nearest")
    level = float(np.sqrt(np.mean(stripes**2)))
    return np.asarray(strength * stripes / level if level > 0 else stripes, dtype=np.float32)


def charging(labels: NDArray[np.uint8], pixel_nm: float, rng: np.random.Generator, share: float = 0.35) -> Floats:
    """Extra grey `[Y, X]` of charging: some edges of organic matter and pores glow, with a tail along the scan line.

    `share` is how many of the larger insulating bodies charge in this slice.
    """
    bodies, count = ndimage.label((labels == phases.ORGANIC) | (labels == phases.PORE))
    sizes = np.bincount(bodies.ravel(), minlength=count + 1)
    large = np.flatnonzero(sizes[1:] * pixel_nm**2 > 100e3) + 1  # a tenth of a square micrometre
    strength = np.zeros(count + 1, dtype=np.float32)
    charged = large[rng.random(large.size) < share]
    strength[charged] = rng.uniform(35.0, 110.0, charged.size)
    glow = strength[bodies]
    # Only patches of a body's rim charge: where a smooth random field is high.
    patches = ndimage.gaussian_filter(rng.standard_normal(labels.shape, dtype=np.float32), 200.0 / pixel_nm)
    rim = (bodies > 0) & ~ndimage.binary_erosion(bodies > 0, iterations=2, border_value=1)
    glow *= rim & (patches > 1.6 * patches.std())
    tail = np.exp(-pixel_nm / CHARGE_TAIL_NM)
    streak = signal.lfilter([1.0 - tail], [1.0, -tail], glow, axis=1)
    bloom = ndimage.gaussian_filter(glow, (1.0, 1.6), mode="nearest")
    return np.asarray(bloom + 1.5 * streak, dtype=np.float32)


def count_electrons(grey: Floats, electrons: float, rng: np.random.Generator) -> Floats:
    """`grey` with shot noise: each pixel's electrons are Poisson, `electrons` on average at grey level 255."""
    expected = np.maximum(grey, 0.0) * (electrons / 255.0)
    return np.asarray(rng.poisson(expected) * (255.0 / electrons), dtype=np.float32)


def acquire(
    clean: Floats,
    labels: NDArray[np.uint8],
    pixel_nm: float,
    electrons: float,
    rng: np.random.Generator,
    curtains: float = CURTAINS,
) -> SemImage:
    """One FIB-SEM image of the noise-free `clean` frame `[Y, X]`, whose phases are `labels`.

    In the order of the instrument: milling leaves curtains, the sample charges, the slice's brightness and contrast
    have drifted, electrons are counted, the line's black level flickers, and the result is stored in 8 bits.
    """
    charge = charging(labels, pixel_nm, rng)
    signal_level = clean * (1.0 + curtain(labels, pixel_nm, rng, curtains)) + charge
    contrast = 1.0 + 0.015 * rng.standard_normal()
    brightness = 1.5 * rng.standard_normal()
    drifted = contrast * (signal_level - 110.0) + 110.0 + brightness
    counted = count_electrons(np.asarray(drifted, dtype=np.float32), electrons, rng)
    counted += 0.7 * rng.standard_normal((clean.shape[0], 1), dtype=np.float32)
    stored = np.rint(counted)
    saturated = float(np.mean((stored < 0) | (stored > 255)))
    return SemImage(np.clip(stored, 0, 255).astype(np.uint8), charge > CHARGE_MARKED, saturated)
