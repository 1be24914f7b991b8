"""The volume that a row of the sample table names, and its voxel size."""

from __future__ import annotations

from pathlib import Path

from txm2sem_core import io
from txm2sem_core.errors import InputError
from txm2sem_core.samples.pairs import list_pairs
from txm2sem_core.samples.table import Sample


def volume_path(sample: Sample, raw: Path) -> Path | None:
    """The sample's TXM volume, or None where it has none."""
    if sample.txm_volume is not None:
        return Path(sample.txm_volume)
    if sample.source == "phantom":
        return raw / "txm_volume"
    if sample.source == "reference":
        folders = (Path(str(sample.txm)) / place / "txm_full_stack" for place in (".", "test"))
        return next((folder for folder in folders if folder.is_dir()), None)
    return None


def volume_files(sample: Sample, raw: Path) -> list[Path]:
    """What the sample's TXM volume is read from: its own path and that of its mask; nothing where it has none."""
    mask = sample.txm_volume_measured
    named = (volume_path(sample, raw), None if mask is None else Path(mask))
    return [path for path in named if path is not None]


def open_sample_volume(sample: Sample, raw: Path) -> io.Volume | None:
    """Open the sample's TXM volume, with the mask of what was measured where it has one; None where it has none."""
    path = volume_path(sample, raw)
    return None if path is None else io.with_mask(io.open_volume(path), sample.txm_volume_measured)


def sample_voxel_size_nm(sample: Sample, raw: Path) -> tuple[float | None, float | None, float | None]:
    """Voxel size (Z, Y, X) in nm: the table's, else the volume's own, else that of the first TXM slice.

    Raises:
        InputError: the sample has a volume, and the size of its voxels is not known along every axis.
    """
    if (size := sample.voxel_size()) is not None:
        return size
    volume = open_sample_volume(sample, raw)
    if volume is None:
        return io.read_voxel_size_nm(list_pairs(sample, raw)[0].txm) or (None, None, None)
    return voxel_size_of(sample, volume)


def voxel_size_of(sample: Sample, volume: io.Volume) -> tuple[float, float, float]:
    """Voxel size (Z, Y, X) in nm of an opened volume: the table's, else its own.

    Raises:
        InputError: neither is known.
    """
    if (size := sample.voxel_size()) is not None:
        return size
    z_nm, y_nm, x_nm = volume.voxel_size_nm or (None, None, None)
    if z_nm is None or y_nm is None or x_nm is None:
        known = ", ".join(f"{axis} {s or 'not known'}" for axis, s in zip("zyx", (z_nm, y_nm, x_nm), strict=True))
        raise InputError(
            f"{volume.source}: its metadata do not give the voxel size along every axis (nm: {known}). Write it into "
            f"the sample table: column voxel_size_nm of sample {sample.sample}, as z,y,x."
        )
    return z_nm, y_nm, x_nm


def plane_pixel_size_nm(sample: Sample, raw: Path) -> tuple[float, float] | None:
    """Pixel size (Y, X) in nm of the sample's TXM slices, or None where it is not known."""
    if sample.sought:
        size: io.VoxelSize = sample_voxel_size_nm(sample, raw)
    else:
        size = sample.voxel_size() or io.read_voxel_size_nm(list_pairs(sample, raw)[0].txm) or (None, None, None)
    _, y_nm, x_nm = size
    return None if y_nm is None or x_nm is None else (y_nm, x_nm)
