"""Pairs of a sample without TXM slices: each FIB-SEM slice with what the volume shows on its plane."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from txm2sem_core import io, planes
from txm2sem_core.config import RegisterSettings
from txm2sem_core.errors import InputError, print_warnings
from txm2sem_core.geometry import Crop
from txm2sem_core.registration.estimate import Registration
from txm2sem_core.registration.placing import Placed
from txm2sem_core.registration.plane_cut import PlaneCut
from txm2sem_core.registration.sem_slices import sem_of
from txm2sem_core.registration.spacing import Spacing
from txm2sem_core.registration.stage import Read, check_refused, images_on_sem, kept, say_found
from txm2sem_core.registration.tables import InVolume, Outcome, write_tables
from txm2sem_core.registration.volume_levels import VolumeLevels
from txm2sem_core.registration.volume_placing import PlacedPlane
from txm2sem_core.registration.volume_stack import StackSlice, place_stack
from txm2sem_core.samples.raw_pairs import RawPair
from txm2sem_core.samples.stated_scales import check_scale_of_pair
from txm2sem_core.samples.warnings import set_warnings

CUT = "cut"  # kind of the image of the volume on the whole plane, beside those of a pair


def register_planes(
    pairs: Sequence[RawPair],
    volume: io.Volume,
    aspect: float,
    settings: RegisterSettings,
    output: Path,
    spacing: Spacing | None = None,
) -> None:
    """Find the plane of each FIB-SEM slice in the volume, cut the volume there, and write pairs as `register_pairs`.

    Slices of a sample are taken for one stack, in the order of their numbers. Beside the images of other pairs,
    `{pair}_cut.tif` is the volume on the whole of the plane, for the figure. For super-resolution each pixel of the
    volume on a plane becomes so many of the same value (`RawPair.finer`), as those of TXM slices do.

    Args:
        pairs: sought ones.
        volume: TXM, as it was measured.
        aspect: height of a voxel of it over its width.
        settings: bounds of the search. A plane is turned and scaled: of the transforms, `translation` counts as
            `rigid`, `affine` as `similarity`.
        output: folder.
        spacing: distance between slices of consecutive numbers, where it is known.

    Raises:
        ConfigError: the planes found contradict `spacing`, or a pixel size is one of another unit.
        InputError: a file that cannot be read, or shapes that do not fit.
        RegistrationError: a pair is refused and `settings.refused` is "stop", or all pairs are. Nothing is written.
    """
    if not pairs:
        raise InputError(f"{output}: there are no FIB-SEM slices to register. Check the folder in the sample table.")
    for pair in pairs:
        check_scale_of_pair(pair)
    slices = [
        StackSlice(
            float(pair.pair),
            lambda pair=pair: sem_of(pair, settings).image,  # type: ignore[misc]
            pair.stated_scale / pair.finer,
            pair.depths,
        )
        for pair in pairs
    ]
    placed = place_stack(VolumeLevels(volume, aspect), slices, settings, spacing)
    with io.atomic_path(output / "pairs") as folder:
        folder.mkdir()
        outcomes = [
            _outcome(pair, found, volume, aspect, settings, folder) for pair, found in zip(pairs, placed, strict=True)
        ]
        check_refused(outcomes, settings)
    say_found(outcomes)
    write_tables(with_positions(outcomes, aspect), output)
    print_warnings("register", set_warnings(io.read_csv(output / "quality.csv")))


def _outcome(
    pair: RawPair, placed: PlacedPlane, volume: io.Volume, aspect: float, settings: RegisterSettings, folder: Path
) -> Outcome:
    if placed.cut is None or placed.found is None or placed.plane is None:
        return Outcome(pair, None, Crop(0, 0, 0, 0), placed.reasons, {})
    sem, cut = sem_of(pair, settings), placed.cut.finer(pair.finer)
    size = None if volume.voxel_size_nm is None else io.finer_size(volume.voxel_size_nm, pair.finer)
    slices = Read(cut.txm, sem, size)
    result = Placed(_on_finer(placed.found, cut, pair.finer), placed.reasons)
    outcome = kept(pair, slices, images_on_sem(pair, sem.image.shape), result, _unstretched(settings), folder)
    io.write_tiff(folder / f"{pair.pair}_{CUT}.tif", cut.txm.filled, size)
    corner = np.array([[1, 0, outcome.crop.x0], [0, 1, outcome.crop.y0], [0, 0, 1]], dtype=np.float64)
    where = InVolume(
        placed.plane,
        planes.of_pixels(cut.grid, corner),
        placed.centre_z,
        planes.tilt_deg(placed.plane, aspect),
        held=placed.held,
        at_end=placed.at_end,
    )
    return replace(outcome, in_volume=where)


def _unstretched(settings: RegisterSettings) -> RegisterSettings:
    """What holds for slices that are sought: they are scaled at most."""
    return settings.model_copy(update={"transform": "similarity"}) if settings.transform == "affine" else settings


def _on_finer(found: Registration, cut: PlaneCut, factor: int) -> Registration:
    """What was found on the pixels of the volume, in those of the results; how well it fits stays in the former."""
    shift_x, shift_y = found.shift_x_px * factor, found.shift_y_px * factor
    return replace(found, matrix=cut.matrix, scale=found.scale * factor, shift_x_px=shift_x, shift_y_px=shift_y)


def with_positions(outcomes: Sequence[Outcome], aspect: float) -> list[Outcome]:
    """The outcomes with the position of each accepted slice along the mean normal, in heights of voxels."""
    used = [one.in_volume for one in outcomes if one.accepted and one.in_volume is not None]
    space = np.array([1.0, 1.0, aspect])
    normals = [each.grid[:, 2] * space for each in used]
    normal = np.sum(normals, axis=0) if normals else np.array([0.0, 0, 1])
    normal = normal / np.linalg.norm(normal)

    def along(where: InVolume, crop: Crop) -> tuple[float, float]:
        corners = planes.corners_xyz(where.grid, (crop.y1 - crop.y0, crop.x1 - crop.x0)) * space @ normal / aspect
        return float(corners.min()), float(corners.max())

    return [
        one
        if one.in_volume is None or not one.accepted
        else replace(one, in_volume=replace(one.in_volume, along=along(one.in_volume, one.crop)))
        for one in outcomes
    ]
