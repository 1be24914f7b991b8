"""The volume that a row of the sample table names, and its voxel size."""

from __future__ import annotations

from pathlib import Path

from txm2sem_core import io
from txm2sem_core.errors import InputError
from txm2sem_core.samples.further import further_in
from txm2sem_core.samples.pairs import list_pairs
from txm2sem_core.samples.table import Sample


def volume_path(sample: Sample, raw: Path) -> Path | None:
    """The sample's TXM volume on the grid of its results, for `open_volume`; None where it has none."""
    if sample.txm_volume is not None:
        return Path(io.finer_path(sample.txm_volume, sample.finer()))
    if sample.source == "phantom":
        return Path(io.finer_path(raw / "txm_volume", sample.finer()))
    if sample.source == "reference":
        folders = (Path(str(sample.txm)) / place / "txm_full_stack" for place in (".", "test"))
        return next((folder for folder in folders if folder.is_dir()), None)
    return None


def volume_files(sample: Sample, raw: Path) -> list[Path]:
    """What the sample's TXM volume is read from: its own path and that of its mask; nothing where it has none."""
    mask, path = sample.txm_volume_measured, volume_path(sample, raw)
    named = (None if path is None else io.split_finer(path)[0], None if mask is None else Path(mask))
    return [path for path in (*named, *further_volumes(sample, raw)) if path is not None]


def further_volumes(sample: Sample, raw: Path) -> list[Path]:
    """The TXM volumes of further scans, from the second on; of a phantom those that it has left."""
    if sample.source != "phantom":
        return list(map(Path, sample.further_volumes))
    return further_in(raw, "txm_volume")


def open_sample_volume(sample: Sample, raw: Path) -> io.Volume | None:
    """Open the sample's TXM volume, with its further scans and the mask of what was measured, where it has any.

    None where it has no volume.
    """
    volume = _opened(volume_path(sample, raw), sample)
    return None if volume is None else io.with_further(volume, map(io.open_volume, further_volumes(sample, raw)))


def open_measured_volume(sample: Sample, raw: Path) -> io.Volume | None:
    """The same as its file has it, where the results are on a finer grid."""
    path = volume_path(sample, raw)
    return _opened(None if path is None else io.split_finer(path)[0], sample)


def _opened(path: Path | None, sample: Sample) -> io.Volume | None:
    return None if path is None else io.with_mask(io.open_volume(path), sample.txm_volume_measured)


def sample_voxel_size_nm(sample: Sample, raw: Path) -> tuple[float | None, float | None, float | None]:
    """Voxel size (Z, Y, X) in nm of the results' grid: the table's, else the volume's, else the first TXM slice's.

    Raises:
        InputError: the sample has a volume, and the size of its voxels is not known along every axis.
    """
    if (size := sample.voxel_size_on_grid()) is not None:
        return size
    volume = open_sample_volume(sample, raw)
    if volume is None:
        return list_pairs(sample, raw)[0].read_txm_size_nm() or (None, None, None)
    return voxel_size_of(sample, volume)


def voxel_size_of(sample: Sample, volume: io.Volume) -> tuple[float, float, float]:
    """Voxel size (Z, Y, X) in nm of an opened volume on the results' grid: the table's, else its own.

    Raises:
        InputError: neither is known.
    """
    if (size := sample.voxel_size_on_grid()) is not None:
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
    """Pixel size (Y, X) in nm of the sample's slices on the results' grid, or None where it is not known."""
    if sample.sought:
        size: io.VoxelSize | None = sample_voxel_size_nm(sample, raw)
    else:
        size = sample.voxel_size_on_grid() or list_pairs(sample, raw)[0].read_txm_size_nm()
    _, y_nm, x_nm = size or (None, None, None)
    return None if y_nm is None or x_nm is None else (y_nm, x_nm)
