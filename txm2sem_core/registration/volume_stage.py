"""FIB-SEM slices placed in a TXM volume: files in, planes and images out."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from txm2sem_core import io, planes
from txm2sem_core.config import RegisterSettings
from txm2sem_core.errors import ConfigError, InputError, RegistrationError, print_warnings, printable
from txm2sem_core.geometry import relative_length
from txm2sem_core.intensity.measured import Slice
from txm2sem_core.registration.frames import placed_on
from txm2sem_core.registration.placing import describe
from txm2sem_core.registration.sem_slices import prepared
from txm2sem_core.registration.spacing import Spacing
from txm2sem_core.registration.stretching import Stretch, of_notable, record_of_stretch, stretch_of
from txm2sem_core.registration.tables import AT_END
from txm2sem_core.registration.volume_levels import VolumeLevels
from txm2sem_core.registration.volume_placing import PlacedPlane
from txm2sem_core.registration.volume_stack import StackSlice, place_stack
from txm2sem_core.samples.raw_pairs import numbered
from txm2sem_core.samples.sought import WORD, depths_sought
from txm2sem_core.samples.stated_scales import check_scale
from txm2sem_core.samples.warnings import end_warnings, stretch_warnings

REMEDY = "Check that the volume holds the place that the slice shows, state the pixel sizes, or change the keys named"


@dataclass(frozen=True)
class SemFile:
    """A FIB-SEM slice that is to be found."""

    name: str
    number: float
    path: Path
    measured: Path | None = None

    def read(self, settings: RegisterSettings) -> Slice:
        """The slice, prepared (see `sem_slices`)."""
        image = io.read_slice(self.path)
        given = None if self.measured is None else io.read_measured(self.measured, self.path, image.shape)
        return prepared(Slice(image, given, io.read_bar_rows(self.path)), settings).image


def is_volume(path: Path) -> bool:
    """Whether a path is a volume of several slices, and no image."""
    if path.is_dir() or io.has_volume_suffix(path):
        return True
    try:
        with io.open_volume(path) as volume:
            return volume.shape[0] > 1
    except InputError:
        return False


def aspect_of(volume: io.Volume) -> float:
    """Height of a voxel along z over its width; 1 where it is not known."""
    z_nm, _, x_nm = volume.voxel_size_nm or (None, None, None)
    return relative_length(z_nm, x_nm)


def stated_scale(path: Path, volume: io.Volume) -> float:
    """Widths of voxels to a pixel of a FIB-SEM slice, by its file; NaN where one of the two sizes is not known.

    Raises:
        ConfigError: one can only be of another unit (see `check_scale`).
    """
    of_file = io.read_voxel_size_nm(path)
    sem_nm = of_file[2] if of_file is not None else None
    txm_nm = (volume.voxel_size_nm or (None, None, None))[2]
    check_scale((txm_nm, sem_nm), (path, io.image_kind(path)[0]), (volume.source, volume.shape[1:]))
    return sem_nm / txm_nm if sem_nm and txm_nm else float("nan")


def register_in_volume(
    fixed: Path,
    moving: Path,
    output: Path,
    settings: RegisterSettings,
    z: str = "",
    *,
    measured: tuple[Path | None, Path | None] = (None, None),
    spacing_nm: float | None = None,
    overwrite: bool = True,
) -> list[PlacedPlane]:
    """Find the plane of a FIB-SEM slice, or of each slice in a folder, in a TXM volume.

    Leaves `plane.json`, `registered.tif` and `txm.tif`, the volume on that plane, in `output`, or in a folder for each
    slice in it. Slices of a folder are taken for one stack, in the order of their numbers.

    Args:
        fixed: TXM volume.
        moving: FIB-SEM slice, or a folder of them.
        output: folder.
        settings: bounds of the search.
        z: where their centres may lie (see `sought.depths_sought`), without the word `find`.
        measured: mask of what was measured of the volume, and of the slice (not of a folder).
        spacing_nm: distance between slices of consecutive numbers in a folder, where it is known.
        overwrite: whether an earlier registration of ours is replaced.

    Raises:
        ConfigError: a setting or a pixel size cannot be used.
        InputError: a file cannot be read, or `output` holds something of the user's.
        RegistrationError: all slices are refused, or one is and `settings.refused` is "stop". Nothing is written.
    """
    if settings.transform == "none":
        raise ConfigError("register.transform: none registers nothing; a plane in a volume must be searched for.")
    if settings.transform == "affine":
        raise ConfigError("register.transform: affine: no slice is stretched in a volume. Set it to similarity.")
    if settings.bend_px:
        raise ConfigError("register.bend_px: only the workflow bends slices that are sought in a volume. Set it to 0.")
    if spacing_nm is not None and not moving.is_dir():
        raise ConfigError(f"--spacing-nm belongs to a folder of slices, but --moving {moving} is one. Leave it out.")
    files = _sem_files(moving, measured[1])
    folders = [output / one.name for one in files] if moving.is_dir() else [output]
    written = [folder / name for folder in folders for name in ("registered.tif", "txm.tif", "plane.json")]
    io.check_output([fixed, moving, *measured], files=written)
    volume = io.with_mask(io.open_volume(fixed), None if measured[0] is None else str(measured[0]))
    placed = place_files(volume, files, settings, z, spacing_nm)
    _check_refused(files, placed, settings)
    stretched: dict[str, Stretch | None] = {}
    for folder, one, found in zip(folders, files, placed, strict=True):
        if found.accepted:
            stretch = _write(folder, one, found, volume, settings, overwrite=overwrite)
            print(printable(f"register: {one.path}: {found_in_words(found, volume)}"), file=sys.stderr)
            stretched[one.path.stem] = stretch
    used = [(one.path.stem, found) for one, found in zip(files, placed, strict=True) if found.accepted]
    print_warnings("register", end_warnings([name for name, found in used if found.at_end], len(used)))
    print_warnings("register", stretch_warnings(of_notable(stretched), len(used), sought=True))
    return placed


def place_files(
    volume: io.Volume,
    files: Sequence[SemFile],
    settings: RegisterSettings,
    z: str = "",
    spacing_nm: float | None = None,
) -> list[PlacedPlane]:
    """The plane of each slice; see `register_in_volume`."""
    aspect = aspect_of(volume)
    txm_nm = (volume.voxel_size_nm or (None, None, None))[2]
    spacing = None if spacing_nm is None else _spacing(spacing_nm, txm_nm, volume)
    depths = depths_sought(f"{WORD} {z}", len(files))
    slices = [
        StackSlice(one.number, partial(one.read, settings), stated_scale(one.path, volume), depth)
        for one, depth in zip(files, depths, strict=True)
    ]
    return place_stack(VolumeLevels(volume, aspect), slices, settings, spacing)


def _spacing(spacing_nm: float, txm_nm: float | None, volume: io.Volume) -> Spacing:
    if spacing_nm <= 0:
        raise ConfigError(f"--spacing-nm: {spacing_nm:g} is no distance. Give one above 0, or leave it out.")
    if txm_nm is None:
        raise ConfigError(f"--spacing-nm: {volume.source} does not state its voxel size, as is needed. Leave it out.")
    return Spacing(spacing_nm, txm_nm, "--spacing-nm")


def _sem_files(moving: Path, measured: Path | None) -> list[SemFile]:
    if not moving.is_dir():
        return [SemFile(moving.stem, 0.0, moving, measured)]
    if measured is not None:
        raise ConfigError("--moving-measured is a mask of one slice, but --moving is a folder. Leave it out.")
    return [SemFile(one.path.stem, float(number), one.path) for number, one in numbered(moving).items()]


def _check_refused(files: Sequence[SemFile], placed: Sequence[PlacedPlane], settings: RegisterSettings) -> None:
    refused = [(one, found) for one, found in zip(files, placed, strict=True) if not found.accepted]
    if not refused:
        return
    named = "\n".join(printable(f"  {one.path}: {'; '.join(found.reasons)}") for one, found in refused)
    said = f"{len(refused)} of {len(files)} slices are refused:\n{named}\n"
    if len(refused) == len(files) or settings.refused == "stop":
        raise RegistrationError(f"{said}{REMEDY}.")
    print(f"register: {said}They are left out.", file=sys.stderr)


def found_in_words(found: PlacedPlane, volume: io.Volume) -> str:
    """Where an accepted slice lies, in words."""
    assert found.plane is not None
    assert found.found is not None
    aspect = aspect_of(volume)
    words = [f"centre at z {found.centre_z:.1f}", f"tilt {planes.tilt_deg(found.plane, aspect):.1f} degrees"]
    words += [describe(found.found)] if describe(found.found) else []
    words += ["held by its neighbours"] if found.held else []
    return ", ".join([*words, *([AT_END] if found.at_end else [])])


def _write(
    folder: Path, one: SemFile, found: PlacedPlane, volume: io.Volume, settings: RegisterSettings, *, overwrite: bool
) -> Stretch | None:
    """Write what was found of a slice; how it would be stretched."""
    assert found.plane is not None
    assert found.cut is not None
    size = volume.voxel_size_nm
    sem = one.read(settings)
    stretch = stretch_of(found.cut.txm, sem, found.cut.matrix, settings)
    registered = placed_on(sem, found.cut.matrix, found.cut.txm.shape)
    io.write_tiff(folder / "registered.tif", registered, size, overwrite=overwrite)
    io.write_tiff(folder / "txm.tif", found.cut.txm.image, size, overwrite=overwrite)
    record = record_of(found, volume) | record_of_stretch(stretch) | dict(io.MARK)
    io.write_json(folder / "plane.json", record, overwrite=overwrite)
    return stretch


def record_of(found: PlacedPlane, volume: io.Volume) -> dict[str, Any]:
    """What `plane.json` holds of an accepted slice.

    `matrix` [3, 4] takes a pixel (x, y, n, 1) of the FIB-SEM slice to a voxel (x, y, z), n pixels along the slice's
    normal; `grid` does so of a pixel of `registered.tif` and `txm.tif`, and `in_grid` [3, 3] takes a pixel (x, y, 1) of
    the slice to one of these.
    """
    assert found.plane is not None
    assert found.cut is not None
    assert found.found is not None
    quality = found.found
    return {
        "matrix": found.plane.tolist(),
        "found": found_in_words(found, volume),
        "score": found.score,
        "shape": list(found.shape),
        "corners_xyz": planes.corners_xyz(found.plane, found.shape).tolist(),
        "tilt_deg": planes.tilt_deg(found.plane, aspect_of(volume)),
        "rotation_deg": quality.rotation_deg,
        "scale": quality.scale,
        "mirrored": quality.mirrored,
        "held": found.held,
        "at_end": found.at_end,
        "disagreement_px": quality.disagreement_px,
        "similarity_above_chance": quality.above_chance,
        "grid": found.cut.grid.tolist(),
        "in_grid": found.cut.matrix.tolist(),
    }
