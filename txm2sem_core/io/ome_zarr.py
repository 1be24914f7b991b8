"""OME-Zarr 0.5 volumes (NGFF 0.5 on zarr 3) with axes z, y, x in nanometres, or c, z, y, x.

An axis whose voxel size is not known has the scale 1 and no unit.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from zarr.codecs import BloscCodec

from txm2sem_core.errors import InputError
from txm2sem_core.io.atomic import atomic_path

CHUNK_Z = 16
CHUNK_YX = 256
_WINDOW_PERCENTILES = (0.5, 99.5)  # black and white in viewers
_LEVEL_BELOW = 256  # the pyramid ends at the first level whose longest in-plane side is no longer than this
VoxelSize = tuple[float | None, float | None, float | None]
_UNIT_NM = {"nanometer": 1.0, "micrometer": 1e3, "millimeter": 1e6, "angstrom": 0.1}


@dataclass(frozen=True)
class Channel:
    """A channel of a volume, and how viewers show it at first."""

    label: str
    colour: str = "FFFFFF"  # RGB, hexadecimal
    shown: bool = True
    from_zero: bool = False  # the grey scale starts at 0, else at a low percentile


class OmeZarrWriter:
    """Writes a volume slab by slab into `path`, then `finish` adds the pyramid and the metadata.

    Slabs start at multiples of `CHUNK_Z`, so no chunk is written twice. Without `finish` the folder has no OME
    metadata and no reader takes it for a volume. With `channels` the axes are c, z, y, x, else z, y, x.
    """

    def __init__(
        self,
        path: Path,
        shape: tuple[int, int, int],
        dtype: np.dtype,
        voxel_size_nm: VoxelSize | None,
        name: str,
        channels: Sequence[Channel] = (),
    ) -> None:
        self.voxel_size_nm = voxel_size_nm or (None, None, None)
        self.name = name
        self.channels = tuple(channels)
        self._group = zarr.create_group(path, zarr_format=3, overwrite=True)
        self._levels = [self._create("0", shape, dtype)]

    def _create(self, name: str, shape: tuple[int, ...], dtype: np.dtype) -> zarr.Array:
        """Make the array of a level; `shape` is (Z, Y, X)."""
        chunks = (min(CHUNK_Z, shape[0]), min(CHUNK_YX, shape[1]), min(CHUNK_YX, shape[2]))
        several = len(self.channels)
        return self._group.create_array(
            name,
            shape=(several, *shape) if several else shape,
            dtype=dtype,
            chunks=(1, *chunks) if several else chunks,
            compressors=BloscCodec(cname="zstd", clevel=3, shuffle="bitshuffle"),
            dimension_names=("c", "z", "y", "x") if several else ("z", "y", "x"),
        )

    def write(self, z0: int, slab: np.ndarray) -> None:
        """Write slices z0 to z0 + n - 1: [n, Y, X], or [n, C, Y, X] with channels."""
        if self.channels:
            self._levels[0][:, z0 : z0 + slab.shape[0]] = slab.swapaxes(0, 1)
        else:
            self._levels[0][z0 : z0 + slab.shape[0]] = slab

    def finish(self, attributes: Mapping[str, Any]) -> None:
        """Build the pyramid (means of 2 x 2 x 2 voxels) and write the metadata; `attributes` go beside the OME ones."""
        while max(self._levels[-1].shape[-2:]) > _LEVEL_BELOW:
            self._levels.append(self._half(self._levels[-1], str(len(self._levels))))
        datasets = [
            {"path": str(i), "coordinateTransformations": self._transforms(i)} for i in range(len(self._levels))
        ]
        axes = [{"name": "c", "type": "channel"}] * bool(self.channels) + [
            {"name": axis, "type": "space"} | ({} if size is None else {"unit": "nanometer"})
            for axis, size in zip("zyx", self.voxel_size_nm, strict=True)
        ]
        multiscale: dict[str, Any] = {"name": self.name, "axes": axes, "datasets": datasets, "type": "mean"}
        ome: dict[str, Any] = {"version": "0.5", "multiscales": [multiscale]}
        if self.channels:
            ome["omero"] = {"channels": [self._shown(i) for i in range(len(self.channels))]}
        self._group.attrs.put({**attributes, "ome": ome})

    def _transforms(self, index: int) -> list[dict[str, Any]]:
        finer = [level.shape[-3:] for level in self._levels[:index]]
        factors = [2 ** sum(shape[axis] > 1 for shape in finer) for axis in range(3)]  # one voxel is not halved
        sizes = [1.0 if size is None else float(size) for size in self.voxel_size_nm]
        scale = [size * factor for size, factor in zip(sizes, factors, strict=True)]
        # the centre of a mean of f voxels lies (f - 1) / 2 voxels beyond the centre of the first
        shift = [size * (factor - 1) / 2 for size, factor in zip(sizes, factors, strict=True)]
        several = bool(self.channels)
        return [
            {"type": "scale", "scale": [1.0] * several + scale},
            {"type": "translation", "translation": [0.0] * several + shift},
        ]

    def _half(self, level: zarr.Array, name: str) -> zarr.Array:
        shape = tuple((n + 1) // 2 for n in level.shape[-3:])
        half = self._create(name, shape, level.dtype)
        channels: list[tuple[int, ...]] = [(c,) for c in range(len(self.channels))]
        for channel in channels or [()]:
            for z in range(0, shape[0], CHUNK_Z):
                finer: tuple[int | slice, ...] = (*channel, slice(2 * z, 2 * (z + CHUNK_Z)))
                coarser: tuple[int | slice, ...] = (*channel, slice(z, z + CHUNK_Z))
                half[coarser] = _mean_of_eight(np.asarray(level[finer]))
        return half

    def _shown(self, index: int) -> dict[str, Any]:
        """A channel as viewers expect it, its grey scale from the middle slices of the coarsest level."""
        channel, level = self.channels[index], self._levels[-1]
        middle = level.shape[1] // 2
        pixels = np.asarray(level[index, max(0, middle - CHUNK_Z // 2) : middle + CHUNK_Z // 2])
        low, high = (float(value) for value in np.percentile(pixels, _WINDOW_PERCENTILES))
        start = 0.0 if channel.from_zero else low
        limits = np.iinfo(level.dtype) if level.dtype.kind in "iu" else None
        return {
            "label": channel.label,
            "color": channel.colour,
            "active": channel.shown,
            "coefficient": 1,
            "family": "linear",
            "inverted": False,
            "window": {
                "start": start,
                "end": high if high > start else start + 1,
                "min": float(pixels.min() if limits is None else limits.min),
                "max": float(pixels.max() if limits is None else limits.max),
            },
        }


def _mean_of_eight(slab: np.ndarray) -> np.ndarray:
    """Mean of 2 x 2 x 2 voxels of [Z, Y, X]; an odd last plane, row or column is repeated."""
    padded = np.pad(slab, [(0, n % 2) for n in slab.shape], mode="edge").astype(np.float32)
    z, y, x = (n // 2 for n in padded.shape)
    mean = padded.reshape(z, 2, y, 2, x, 2).mean(axis=(1, 3, 5))
    return (np.rint(mean) if slab.dtype.kind in "iu" else mean).astype(slab.dtype)


def write_ome_zarr(
    path: str | Path,
    slices: Iterable[np.ndarray],
    shape: tuple[int, int, int],
    dtype: np.dtype | type,
    voxel_size_nm: VoxelSize | None,
    attributes: Mapping[str, Any] | None = None,
    channels: Sequence[Channel] = (),
) -> None:
    """Write slices, one after the other, as OME-Zarr, atomically; memory holds `CHUNK_Z` slices.

    Args:
        path: the folder.
        slices: [Y, X], or [C, Y, X] with channels, in the order of z.
        shape: (Z, Y, X).
        dtype: of the voxels.
        voxel_size_nm: (Z, Y, X).
        attributes: what stands beside the OME metadata.
        channels: C of them, or none.

    Raises:
        InputError: fewer or more slices than `shape` says.
    """
    path = Path(path)
    with atomic_path(path) as temporary:
        name = path.name.removesuffix(".ome.zarr")
        writer = OmeZarrWriter(temporary, shape, np.dtype(dtype), voxel_size_nm, name, channels)
        waiting: list[np.ndarray] = []
        written = 0
        for plane in slices:
            waiting.append(plane)
            if len(waiting) == CHUNK_Z:
                writer.write(written, np.stack(waiting))
                written += len(waiting)
                waiting = []
        if waiting:
            writer.write(written, np.stack(waiting))
            written += len(waiting)
        if written != shape[0]:
            raise InputError(f"{path}: {written} slices were given along z, {shape[0]} were announced.")
        writer.finish(attributes or {})


def first_level(attributes: Mapping[str, Any]) -> str:
    """Path of the full-resolution array, from an OME-Zarr's attributes (0.4 or 0.5); KeyError without them."""
    return str(attributes.get("ome", attributes)["multiscales"][0]["datasets"][0]["path"])


def axes_of(attributes: Mapping[str, Any]) -> str:
    """The axes' names of an OME-Zarr's attributes, as `zyx` or `czyx`; empty where they are not given (0.1 to 0.3)."""
    axes = attributes.get("ome", attributes)["multiscales"][0].get("axes", [])
    return "".join(axis["name"] if isinstance(axis, Mapping) else str(axis) for axis in axes)


def read_scale_nm(attributes: Mapping[str, Any]) -> VoxelSize | None:
    """Voxel size (Z, Y, X) in nm of the first level of an OME-Zarr's attributes (0.4 or 0.5), None where not known."""
    try:
        multiscale = attributes.get("ome", attributes)["multiscales"][0]
        scale = multiscale["datasets"][0]["coordinateTransformations"][0]["scale"][-3:]
        units = [axis.get("unit") for axis in multiscale["axes"]][-3:]
        z_nm, y_nm, x_nm = (float(s) * _UNIT_NM[u] if u else None for s, u in zip(scale, units, strict=True))
    except (KeyError, IndexError, TypeError, ValueError):
        return None
    return z_nm, y_nm, x_nm
