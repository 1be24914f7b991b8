"""`txm2sem evaluate`: all that fits two images or two volumes, as JSON and as a table that can be read."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from txm2sem_core import io
from txm2sem_core.errors import InputError
from txm2sem_core.metrics import (
    NeighbourMeter,
    Thresholds,
    compare_volumes,
    confusion,
    dice_from_confusion,
    fourier_correlation,
    gmsd,
    histogram_distance,
    local_structure,
    mae,
    ms_ssim,
    psnr,
    self_continuity,
    shell_figures,
    ssim,
    thresholds_of_slices,
)
from txm2sem_core.metrics.lags import plane_step
from txm2sem_core.metrics.rock_figures import rock_figures

Figures = dict[str, float]

SCORES = {
    "psnr": psnr,
    "ssim": ssim,
    "mae": mae,
    "ms_ssim": ms_ssim,
    "structure": local_structure,
    "gmsd": gmsd,
    "histogram_distance": histogram_distance,
}
# What each figure is, for the table; an ending `_truth` says that it is the measured volume's own.
MEANINGS = {
    "psnr": "peak signal-to-noise ratio, dB",
    "ssim": "structural similarity, 1 at best",
    "mae": "mean absolute error, share of the data range",
    "ms_ssim": "the same at several scales, 1 at best",
    "structure": "local correlation whatever brightness and contrast, 1 at best",
    "gmsd": "deviation of gradient similarity, 0 at best",
    "histogram_distance": "earth mover's distance of grey levels, share of the data range",
    "resolution_nm": "size down to which both agree (Fourier correlation above 1/7), nm",
    "resolution_half_bit_nm": "the same by the half-bit threshold, nm",
    "continuity_ratio": "change along z over the truth's: 1 as the truth, above it jitter",
    "continuity_error": "mean error of the change along z, share of the data range",
    "continuity_explained": "share of the true change along z that is right, 1 at best",
    "self_continuity_ratio": "change along z over that in the plane: 1 if isotropic",
    "neighbour_ssim_z": "similarity of neighbouring slices, by lines",
    "neighbour_ssim_plane": "the same in the plane",
    "jitter_z": "roughness along z: 0 smooth, 1 independent slices",
    "jitter_plane": "the same in the plane",
    "brightness_jitter": "roughness of the slices' brightness: 0 smooth, 1 independent",
    "shift_jitter_px": "shifts between neighbours, pixels",
    "spectrum_high_z": "share of high frequencies along z: 1/2 of independent slices",
    "spectrum_high_plane": "the same in the plane",
    "spectrum_high_ratio": "the one over the other: 1 if isotropic",
    "thresholds": "grey levels that part the phases, of the truth",
    "porosity": "share of the darkest phase",
    "specific_surface_per_um": "wall of the pores per volume, 1/um",
    "euler_per_um3": "Euler number of the pores per volume, 1/um^3; noise shifts it",
    "block_porosity": "porosity of the block for pore sizes and flow",
    "pore_diameter_nm_median": "of the local thickness, nm; round pores a voxel too small",
}


@dataclass(frozen=True)
class RockOptions:
    """How the rock is measured.

    Attributes:
        phases: that multi-Otsu thresholds of the target part; 0 leaves the rock out.
        thresholds: grey levels instead.
        flow: whether diffusivity and permeability are solved, in a block from the middle.
        cube_px: side of that block, in which pore sizes are taken too; 0 for the whole volume.
    """

    phases: int = 4
    thresholds: tuple[float, ...] = ()
    flow: bool = False
    cube_px: int = 128


def evaluate_files(
    prediction: Path,
    target: Path,
    mask: Path | None,
    full_range: float | None,
    output: Path,
    voxel_size_nm: tuple[float, float, float] | None = None,
    rock: RockOptions = RockOptions(),
) -> dict[str, Any]:
    """Figures of a predicted image or volume against a measured one, left as JSON in `output` and returned.

    Volumes are read slice by slice, several times over, and at most a slab of 64 slices of each is held.

    Args:
        prediction: image, or volume.
        target: of the same shape.
        mask: of the same shape, not zero where a pixel counts; of volumes, for the image scores alone.
        full_range: greatest minus least possible grey level; None for 8-bit data.
        output: JSON.
        voxel_size_nm: along z, y, x; None for that of the target or else the prediction. Without one there is no
            resolution and no figure of the rock with a unit, and voxels are taken as cubes.
        rock: how the rock is measured.

    Raises:
        InputError: shapes differ, a file cannot be read, or the data range of data that is not 8-bit is not given.
    """
    predicted, measured = io.open_volume(prediction), io.open_volume(target)
    if predicted.shape != measured.shape:
        raise InputError(
            f"{prediction}: shape {predicted.shape} (Z, Y, X), but {target} has {measured.shape}. Crop one of them."
        )
    if full_range is None and measured.dtype != np.uint8:
        raise InputError(f"{target}: {measured.dtype} data has no range of its own. Give --data-range.")
    full = 255.0 if full_range is None else full_range
    size = voxel_size_nm or measured.voxel_size_nm or predicted.voxel_size_nm
    masks = None if mask is None else (plane > 0 for plane in _same_shape(mask, measured).slices())
    evaluate = _volume_figures if measured.shape[0] > 1 else _image_figures
    figures = evaluate(predicted, measured, full, masks, size)
    levels = _levels(measured, rock)
    result: dict[str, Any] = {"data_range": full, "shape": list(measured.shape), **figures}
    if levels:
        result |= {"thresholds": list(levels), **_rock(predicted, measured, Thresholds(levels), size, rock)}
    io.write_json(output, {k: v if not isinstance(v, float) or math.isfinite(v) else str(v) for k, v in result.items()})
    return result


def _levels(measured: io.Volume, rock: RockOptions) -> tuple[float, ...]:
    """Thresholds of the target; none where it has fewer grey levels than phases and there is nothing to part."""
    if rock.thresholds or not rock.phases:
        return rock.thresholds
    try:
        return thresholds_of_slices(measured.slices, rock.phases)
    except InputError as error:
        warnings.warn(f"no figures of the rock: {measured.source}: {error}", stacklevel=2)
        return ()


def _rock(
    predicted: io.Volume, measured: io.Volume, segmenter: Thresholds, size: io.VoxelSize | None, rock: RockOptions
) -> Figures:
    """Shares of the phases and Dice; of volumes, where the voxel size is known, all figures of the pores too."""
    counts = np.zeros((segmenter.phases, segmenter.phases), np.int64)
    for own, true in zip(predicted.slices(), measured.slices(), strict=True):
        counts += confusion(segmenter(own), segmenter(true), segmenter.phases)
    figures = {f"dice_{phase}": float(score) for phase, score in enumerate(dice_from_confusion(counts))}
    shares = counts.sum(axis=0) / counts.sum(), counts.sum(axis=1) / counts.sum()
    if measured.shape[0] == 1:
        for suffix, own_shares in zip(("", "_truth"), shares, strict=True):
            figures |= {f"fraction_{phase}{suffix}": float(share) for phase, share in enumerate(own_shares)}
        return figures
    edges = None if size is None or None in size else [float(edge or 0) for edge in size]
    for suffix, volume in (("", predicted), ("_truth", measured)):
        found, _ = rock_figures(volume.slices(), volume.shape, edges, segmenter, cube_px=rock.cube_px, flow=rock.flow)
        figures |= {f"{name}{suffix}": value for name, value in found.items()}
    return figures


# The same of figures that come for each phase or axis: the start of the name, and its meaning.
FAMILIES = {
    "fraction_": "share of a phase, from the darkest",
    "dice_": "agreement on a phase, 1 at best",
    "porosity_connected_": "pores that join the two faces of an axis",
    "mean_chord_": "mean chord in the pores, nm",
    "block_": "block for pore sizes and flow, voxels",
    "diffusivity_": "effective over free diffusivity",
    "tortuosity_": "porosity over that",
    "formation_factor_": "1 over the effective over the free diffusivity",
    "permeability_": "Stokes flow through the pores",
}


def readable(result: dict[str, Any]) -> str:
    """The result as a table: name, figure, that of the truth where there is one, and what it is."""
    lines = [("", "prediction", "truth", "")]
    for key, value in result.items():
        if not key.endswith("_truth"):
            truth = result.get(f"{key}_truth", "")
            lines.append((key, _text(value), _text(truth), _meaning(key)))
    if all(line[2] == "" for line in lines[1:]):
        lines = [(key, value, "", meaning) for key, value, _, meaning in lines[1:]]
    widths = [max(len(line[column]) for line in lines) for column in range(3)]
    padded = ("  ".join(cell.ljust(width) for cell, width in zip(line, [*widths, 0], strict=True)) for line in lines)
    return "\n".join(line.rstrip() for line in padded)


def _meaning(key: str) -> str:
    family = next((meaning for start, meaning in FAMILIES.items() if key.startswith(start)), "")
    return MEANINGS.get(key, family)


def _text(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(_text, value))
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _image_figures(
    predicted: io.Volume,
    measured: io.Volume,
    full: float,
    masks: Iterator[np.ndarray] | None,
    size: io.VoxelSize | None,
) -> Figures:
    images = next(predicted.slices()), next(measured.slices())
    mask = None if masks is None else next(masks)
    figures = {name: score(*images, full, mask) for name, score in SCORES.items()}
    if size is not None and size[1] and size[2]:
        curve = fourier_correlation(*images, (size[1], size[2]), mask)
        figures["resolution_nm"] = curve.resolution_nm()
        figures["resolution_half_bit_nm"] = curve.resolution_nm(curve.half_bit)
    return figures


def _volume_figures(
    predicted: io.Volume,
    measured: io.Volume,
    full: float,
    masks: Iterator[np.ndarray] | None,
    size: io.VoxelSize | None,
) -> Figures:
    shape = measured.shape
    meters = (NeighbourMeter.of_volume(shape, size, full), NeighbourMeter.of_volume(shape, size, full))
    figures = compare_volumes(predicted.slices(), measured.slices(), full, masks=masks, neighbours=meters)
    figures |= shell_figures(predicted.slices(), measured.slices(), shape, size)
    for suffix, volume in (("", predicted), ("_truth", measured)):
        try:
            own = self_continuity(volume.slices(), plane_step(size))
        except InputError:  # a constant volume, or one too small, of which it says nothing
            continue
        figures[f"self_continuity_ratio{suffix}"] = own.ratio
        figures[f"self_continuity_correlation_z{suffix}"] = own.correlation_z
        figures[f"self_continuity_correlation_plane{suffix}"] = own.correlation_plane
    return figures


def _same_shape(mask: Path, measured: io.Volume) -> io.Volume:
    volume = io.open_volume(mask)
    if volume.shape != measured.shape:
        raise InputError(f"{mask}: shape {volume.shape} (Z, Y, X), but {measured.source} has {measured.shape}.")
    return volume
