"""The phantom stage: a synthetic shale, its TXM volume, its FIB-SEM partner slices, and the truth beside them."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import ndimage

from txm2sem_core import io
from txm2sem_core.config import PhantomSettings
from txm2sem_core.config.stages import SMALLEST_PHANTOM_PX
from txm2sem_core.errors import ConfigError, InputError
from txm2sem_core.phantom import phases, sem, txm
from txm2sem_core.phantom.grains import as_generator
from txm2sem_core.phantom.oblique import cut_plane, milled_planes
from txm2sem_core.phantom.placing import Matrix, frame_shape, margin_px, random_misfit, random_placing, sample_frame
from txm2sem_core.phantom.rock import Rock
from txm2sem_core.samples.splits import pair_slices

# folder, name of the files, phases: as in the published layout
DENSITIES = (
    ("lowdensity", "SEM_dark", (phases.PORE, phases.ORGANIC)),
    ("highdensity", "SEM_light", (phases.PYRITE,)),
)


@dataclass(frozen=True)
class Pair:
    """A TXM slice's FIB-SEM partner."""

    name: str
    z: int
    matrix: Matrix
    image: sem.SemImage
    labels: NDArray[np.uint8]  # of the phases, as the FIB-SEM sees them
    misfit: NDArray[np.float32] | None = None  # see `placing.random_misfit`


@dataclass
class Truth:
    """What is known of the rock within the TXM's field: all `[Z, Y, X]`, attenuation in 1/cm on the TXM's voxels.

    `further` is the attenuation at the energies of further scans.
    """

    labels: NDArray[np.uint8]
    sem: NDArray[np.uint8]
    attenuation: NDArray[np.float32]
    pairs: list[Pair] = field(default_factory=list)
    further: list[NDArray[np.float32]] = field(default_factory=list)


def percolating_axes(pore: NDArray[np.bool_]) -> list[str]:
    """Axes ("z", "y", "x") along which the pore space `[Z, Y, X]` connects both ends, through voxel faces."""
    bodies, _ = ndimage.label(pore)
    axes = []
    for axis, name in enumerate("zyx"):
        first, last = np.take(bodies, 0, axis=axis), np.take(bodies, -1, axis=axis)
        if np.intersect1d(first[first > 0], last[last > 0]).size:
            axes.append(name)
    return axes


def build_truth(settings: PhantomSettings) -> Truth:
    """Cut the rock slice by slice, from the deepest up, since a pore shows what lies behind it."""
    depth, height, width = settings.shape
    margin, factor = margin_px(settings), settings.super_resolution
    rock = Rock(settings.seed, (depth, height + 2 * margin, width + 2 * margin), settings.voxel_size_nm)
    energies = (settings.beam_energy_kev, *settings.further_energies_kev)
    attenuations = [phases.attenuation_per_cm(energy) for energy in energies]
    on_txm = (depth, height // factor, width // factor)
    inner = (slice(margin, margin + height), slice(margin, margin + width))
    truth = Truth(
        np.empty(settings.shape, dtype=np.uint8),
        np.empty(settings.shape, dtype=np.uint8),
        np.empty(on_txm, dtype=np.float32),
        further=[np.empty(on_txm, dtype=np.float32) for _ in settings.further_energies_kev],
    )
    partners = {z: index for index, z in enumerate(pair_slices(depth, settings.pair_every))}
    behind = np.full(rock.shape[1:], sem.grey_levels()[phases.CLAY], dtype=np.float32)  # below the last slice
    for z in reversed(range(depth)):
        cut = rock.cut(z)
        behind = sem.face_grey(cut, behind, settings.voxel_size_nm[0])
        grey = sem.blur_by_beam(behind, settings.voxel_size_nm)
        truth.labels[z] = cut.labels[inner]
        truth.sem[z] = np.rint(grey[inner]).astype(np.uint8)
        for scan, of_phases in zip((truth.attenuation, *truth.further), attenuations, strict=True):
            scan[z] = txm.in_wider_pixels(txm.slice_attenuation(cut, of_phases)[inner], factor)
        if z in partners:
            truth.pairs.insert(0, _acquire_pair(settings, partners[z], z, grey, cut.labels))
    return truth


def _acquire_pair(
    settings: PhantomSettings, index: int, z: int, grey: NDArray[np.float32], labels: NDArray[np.uint8]
) -> Pair:
    rng = as_generator(settings.seed, "sem", index)
    matrix = random_placing(settings, rng)
    misfit = random_misfit(settings, as_generator(settings.seed, "misfit", index))
    margin = margin_px(settings)
    shape = frame_shape(settings.shape)
    clean = sample_frame(grey, matrix, shape, margin, order=3, misfit=misfit)
    seen = sample_frame(labels, matrix, shape, margin, order=0, misfit=misfit)
    image = sem.acquire(clean, seen, settings.voxel_size_nm[2], settings.sem_electrons, rng)
    return Pair(f"{index:03d}", z, matrix, image, seen, misfit)


def make_phantom(settings: PhantomSettings, output: Path, *, overwrite: bool = True) -> None:
    """Make the phantom and leave it in the folder `output`, which appears only when it is whole.

    Raw data, as an instrument's user has it: `txm_volume/txm_000.tif` and on (every slice, 16 bits), `txm/TXM000.tif`
    and on (the slices with a partner), `sem/SEM000.tif`, `charge/charge000.tif` (255 where charged),
    `lowdensity/SEM_dark000.tif` (255 in pores and organic matter), `highdensity/SEM_light000.tif` (255 in pyrite),
    `pairs.csv` (pair, z). With `settings.further_energies_kev` also further scans, in `txm_2/` and `txm_volume_2/` and
    on. Beside it `phantom.json` and the truth: `truth/labels.tif`, `truth/sem.tif` (what a perfect FIB-SEM would show
    of every TXM slice, same grey levels) and `truth/transforms.json`; with `settings.misfit_px` also
    `truth/misfit/misfit000.tif` and on, two planes, along y and x: by how many TXM pixels each FIB-SEM pixel lies from
    where its matrix puts it. With `settings.milled.slices` also a stack that lies obliquely in the volume,
    `milled/sem/SEM000.tif` and on and `milled/charge/`, whose planes (see `planes`) `truth/planes.json` holds.

    Args:
        settings: of the phantom.
        output: a new folder, or an empty one.
        overwrite: an earlier phantom may stand there, and is replaced as a whole.

    Raises:
        ConfigError: the shape is too small to hold a slice worth registering, or the milled stack.
        InputError: `output` cannot be written, or something else stands there (see `io.check_output`).
    """
    if min(settings.shape[1:]) < SMALLEST_PHANTOM_PX:
        raise ConfigError(
            f"phantom: shape {settings.shape} (Z, Y, X) has less than {SMALLEST_PHANTOM_PX} voxels along Y or X. "
            "Enlarge it."
        )
    milled_planes(settings)  # what does not fit is refused before the rock is made
    _check_output(settings, output, overwrite=overwrite)
    with io.atomic_path(output, overwrite=overwrite) as folder:
        truth = build_truth(settings)
        rng = as_generator(settings.seed, "txm")
        txm.reconstruct(truth.attenuation, settings.txm_voxel_size_nm, settings.psf_fwhm_nm, settings.photons, rng)
        scale = txm.storage_scale(truth.attenuation, phases.attenuation_per_cm(settings.beam_energy_kev))
        _write_txm(folder, settings, truth, scale)
        truth.attenuation = np.empty((0, 0, 0), dtype=np.float32)  # a full-size volume is half a gigabyte
        further = _make_further(folder, settings, truth)
        _write_sem(folder, settings, truth)
        _write_truth(folder, settings, truth)
        _write_milled(folder, settings, truth)
        description = _description(settings, truth, scale) | further
        io.write_json(folder / "phantom.json", {**description, **io.MARK, "sha256": io.record_files(folder)})


def _check_output(settings: PhantomSettings, output: Path, *, overwrite: bool) -> None:
    """Refuse at once what stands in `output`, but for a phantom that may be the same."""
    try:
        standing = io.read_json(output / "phantom.json")["settings"]
    except (InputError, KeyError, TypeError):
        standing = None
    if standing != settings.model_dump(mode="json"):
        io.check_output([], folders=[output])
        io.check_standing(output, folder=True, overwrite=overwrite)


def _make_further(folder: Path, settings: PhantomSettings, truth: Truth) -> dict[str, Any]:
    """Reconstruct and write the further scans, and say their grey levels; nothing where there are none."""
    known = []
    for number, (energy, scan) in enumerate(zip(settings.further_energies_kev, truth.further, strict=True), start=2):
        rng, attenuation = as_generator(settings.seed, "txm", number), phases.attenuation_per_cm(energy)
        size_nm, fwhm_nm = settings.txm_voxel_size_nm, settings.psf_fwhm_nm
        txm.reconstruct(scan, size_nm, fwhm_nm, settings.further_photons, rng)
        scale = txm.storage_scale(scan, attenuation)
        _write_txm(folder, settings, replace(truth, attenuation=scan), scale, number)
        known.append({"attenuation_per_cm": _by_phase(attenuation), "txm_scale": _scale_as_dict(scale)})
    truth.further.clear()
    return {"further_scans": known} if known else {}


def _write_txm(folder: Path, settings: PhantomSettings, truth: Truth, scale: txm.Scale, scan: int = 1) -> None:
    digits = max(3, len(str(settings.shape[0] - 1)))
    kind = io.name_of_scan(scan)
    slices, volume = folder / kind, folder / kind.replace("txm", "txm_volume")
    for z, plane in enumerate(truth.attenuation):
        path = volume / f"txm_{z:0{digits}d}.tif"
        io.write_tiff(path, txm.to_uint16(plane, scale), settings.txm_voxel_size_nm)
    for pair in truth.pairs:
        plane = txm.to_uint16(truth.attenuation[pair.z], scale)
        io.write_tiff(slices / f"TXM{pair.name}.tif", plane, settings.txm_voxel_size_nm)


def _write_sem(folder: Path, settings: PhantomSettings, truth: Truth) -> None:
    for pair in truth.pairs:
        io.write_tiff(folder / "sem" / f"SEM{pair.name}.tif", pair.image.grey, settings.voxel_size_nm)
        charged = np.where(pair.image.charge, 255, 0).astype(np.uint8)
        io.write_tiff(folder / "charge" / f"charge{pair.name}.tif", charged, settings.voxel_size_nm)
        for kind, name, members in DENSITIES:
            mask = np.where(np.isin(pair.labels, members), 255, 0).astype(np.uint8)
            io.write_tiff(folder / kind / f"{name}{pair.name}.tif", mask, settings.voxel_size_nm)
    table = pd.DataFrame({"pair": [pair.name for pair in truth.pairs], "z": [pair.z for pair in truth.pairs]})
    io.write_csv(folder / "pairs.csv", table)


def _write_truth(folder: Path, settings: PhantomSettings, truth: Truth) -> None:
    io.write_tiff(folder / "truth" / "labels.tif", truth.labels, settings.voxel_size_nm)
    io.write_tiff(folder / "truth" / "sem.tif", truth.sem, settings.voxel_size_nm)
    transforms = {pair.name: {"z": pair.z, "matrix": pair.matrix.tolist()} for pair in truth.pairs}
    io.write_json(folder / "truth" / "transforms.json", transforms)
    for pair in truth.pairs:
        if pair.misfit is not None:
            io.write_tiff(folder / "truth" / "misfit" / f"misfit{pair.name}.tif", pair.misfit)


def _write_milled(folder: Path, settings: PhantomSettings, truth: Truth) -> None:
    """The milled stack, if there is one, and its planes."""
    stack, shape = milled_planes(settings)
    pixel_nm = settings.milled.pixel * settings.voxel_size_nm[2]
    known = {}
    for k, plane in enumerate(stack):
        rng = as_generator(settings.seed, "milled", k)
        image = cut_plane(truth.sem, truth.labels, plane, shape, pixel_nm, settings.sem_electrons, rng)
        charged = np.where(image.charge, 255, 0).astype(np.uint8)
        io.write_tiff(folder / "milled" / "sem" / f"SEM{k:03d}.tif", image.grey, (None, pixel_nm, pixel_nm))
        io.write_tiff(folder / "milled" / "charge" / f"charge{k:03d}.tif", charged, (None, pixel_nm, pixel_nm))
        known[f"{k:03d}"] = {"matrix": plane.tolist(), "shape": list(shape)}
    if known:
        io.write_json(folder / "truth" / "planes.json", known)


def _by_phase(values: NDArray[Any]) -> dict[str, float]:
    return {name: float(value) for name, value in zip(phases.PHASE_NAMES, values, strict=True)}


def _scale_as_dict(scale: txm.Scale) -> dict[str, float]:
    return {"low_per_cm": scale.low_per_cm, "high_per_cm": scale.high_per_cm, "stored_maximum": 65535}


def _description(settings: PhantomSettings, truth: Truth, scale: txm.Scale) -> dict[str, Any]:
    shares = np.bincount(truth.labels.ravel(), minlength=len(phases.PHASES)) / truth.labels.size
    return {
        "settings": settings.model_dump(mode="json"),
        "voxel_size_nm": list(settings.voxel_size_nm),
        "phases": list(phases.PHASE_NAMES),
        "fractions": _by_phase(shares),
        "porosity": float(shares[phases.PORE]),
        "percolating_axes": percolating_axes(truth.labels == phases.PORE),
        "sem_grey_levels": _by_phase(sem.grey_levels()),
        "backscatter_coefficients": _by_phase(phases.backscatter_coefficients()),
        "attenuation_per_cm": _by_phase(phases.attenuation_per_cm(settings.beam_energy_kev)),
        "txm_scale": _scale_as_dict(scale),
        "sem_saturated_share": {pair.name: pair.image.saturated for pair in truth.pairs},
        "charged_share": {pair.name: float(np.mean(pair.image.charge)) for pair in truth.pairs},
    }
