"""Volumes for the report's viewer: chosen, reduced and compressed slice by slice, within a number of bytes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from txm2sem_core import io
from txm2sem_core.io.coarse import Level, coarsest_level
from txm2sem_core.io.field_of_view import FieldOfView, as_shown
from txm2sem_core.provenance import code_digest
from txm2sem_core.provenance.beside import Arrays, keep_beside, read_beside, volumes_key
from txm2sem_core.report.page import Role, ViewerData, ViewerVolume, VolumeEntry, encode_plane

MOST_PREDICTIONS = 6  # learned variants, the best first
SMALLEST_SHARE = 0.9  # a volume that covers less of the TXM's shape along an axis is left out
_SAMPLED = 5  # slices, evenly over the volume, of which grey levels and bytes are estimated
_SLAB_BYTES = 64 * 2**20  # read at once at most, since a chunk of an OME-Zarr holds several slices
_SLAB_SLICES = 16
_SAMPLED_BYTES = 64 * 2**20  # sampled slices of a volume are kept up to this, else read again
_PERCENTILES = (0.5, 99.5)  # black and white
_SELDOM = 3.0  # units of the residual against the TXM, beyond which noise is seldom
_BASE64 = 4 / 3


@dataclass(frozen=True)
class Source:
    """A volume that can be shown: its name, what it is, and where it lies."""

    name: str
    role: Role
    path: Path
    channel: int = 0
    measured: Path | None = None  # the mask of what was measured, where one was given
    block_px: int = 1  # voxels of the TXM, along each axis, that one of its voxels stands for


@dataclass(frozen=True)
class Reduction:
    """How much is embedded: at most so many slices, pixels of the longer side, at a JPEG quality."""

    slices: int
    side_px: int
    quality: int


# the first whose bytes fit is taken, else the last; slices are given up after pixels, since z is what must be seen
REDUCTIONS = (
    Reduction(200, 256, 85),
    Reduction(200, 256, 75),
    Reduction(200, 224, 70),
    Reduction(200, 192, 70),
    Reduction(200, 160, 65),
    Reduction(200, 128, 65),
    Reduction(100, 128, 65),
    Reduction(64, 96, 60),
)


def choose_sources(
    summary: Sequence[Mapping[str, Any]],
    volumes: Sequence[VolumeEntry],
    txm: Source | None,
    truth: Path | None,
    first: str = "",
    residual: Path | None = None,
) -> list[Source]:
    """What the viewer offers: TXM, learned variants from the best on, the best baseline, truth, maps of one of them.

    Args:
        summary: rows of the comparison, with `variant`, `label` and `kind`, the highest PSNR first.
        volumes: the predicted volumes.
        txm: the TXM volume.
        truth: the true FIB-SEM volume.
        first: the variant that is shown whatever its PSNR, beside the TXM.
        residual: the map of where the measured TXM is not what that variant's volume would show.
    """
    paths = {volume["variant"]: Path(volume["path"]) for volume in volumes}
    rows = [row for row in summary if row["variant"] in paths]
    learned = [row for row in rows if row["kind"] == "learned"]
    learned = sorted(learned, key=lambda row: row["variant"] != first)[:MOST_PREDICTIONS]
    baselines = [row for row in rows if row["kind"] == "baseline"][:1]
    if not learned or txm is None:
        return []
    sources = [txm]
    sources += [Source(str(row["label"]), "prediction", paths[row["variant"]]) for row in learned]
    sources += [Source(f"{row['label']} (best baseline)", "baseline", paths[row["variant"]]) for row in baselines]
    if truth is not None:
        sources.append(Source("Truth", "truth", truth))
    uncertain = next((row for row in learned if io.open_volume(paths[row["variant"]]).channels > 1), None)
    if uncertain is not None:
        path = paths[uncertain["variant"]]
        sources.append(Source(f"Uncertainty of {uncertain['label']}", "uncertainty", path, channel=1))
    if residual is not None and learned[0]["variant"] == first:
        block_px = int(io.read_marks(residual)["block_px"])
        sources.append(Source(f"TXM not explained by {learned[0]['label']}", "residual", residual, block_px=block_px))
    return sources


def embed_volumes(
    sources: Sequence[Source],
    sem_levels: tuple[float, float],
    voxel_size_nm: Sequence[float | None],
    most_bytes: float,
    kept: Path | None = None,
) -> ViewerData | None:
    """Read the volumes slab by slab and compress what fits into `most_bytes`; at no time is a whole volume in memory.

    Args:
        sources: the TXM volume first.
        sem_levels: grey levels for black and white of all FIB-SEM images where there is no truth to take them of.
        voxel_size_nm: of the volumes (Z, Y, X), None where it is not known.
        most_bytes: of all that is embedded, as base64.
        kept: a file for the compressed slices: with the same volumes and settings they are taken from it.

    Returns:
        None where there is nothing to show.
    """
    opened = [(s, io.with_mask(io.open_volume(s.path, s.channel), s.measured)) for s in sources]
    if not opened:
        return None
    whole = opened[0][1].shape
    covered = {s: _covered(s, v, whole) for s, v in opened}
    shown = [(s, v) for s, v in opened if all(covered[s][a] >= SMALLEST_SHARE * whole[a] for a in range(3))]
    left_out = [
        f"{s.name}: its shape {v.shape} (Z, Y, X) is not the TXM's, {whole}" for s, v in opened if (s, v) not in shown
    ]
    shape = tuple(min(covered[source][axis] for source, _ in shown) for axis in range(3))
    key = None if kept is None else _key(shown, shape, sem_levels, most_bytes)
    arrays = None if kept is None else read_beside(kept, key)
    if arrays is None:
        arrays = _embedded(shown, shape, sem_levels, most_bytes)
        if kept is not None:
            keep_beside(kept, key, arrays)
    return _described(arrays, [source for source, _ in shown], shape, voxel_size_nm, left_out)


def _covered(source: Source, volume: io.Volume, whole: tuple[int, ...]) -> tuple[int, ...]:
    """How many voxels of the TXM, whose shape is `whole`, a volume covers along each axis."""
    if source.block_px == 1:
        return volume.shape
    return tuple(min(n * source.block_px, most) for n, most in zip(volume.shape, whole, strict=True))


def _key(
    shown: Sequence[tuple[Source, io.Volume]],
    shape: tuple[int, ...],
    sem_levels: tuple[float, float],
    most_bytes: float,
) -> str | None:
    """A key of all that the compressed slices depend on; names and captions are not among it."""
    code = code_digest("report.volumes:embed_volumes")
    drawn = [(source.role, source.channel, source.measured is not None) for source, _ in shown]
    return volumes_key((volume for _, volume in shown), [code, drawn, shape, sem_levels, most_bytes])


def _embedded(
    shown: Sequence[tuple[Source, io.Volume]],
    shape: tuple[int, ...],
    sem_levels: tuple[float, float],
    most_bytes: float,
) -> Arrays:
    """The compressed slices of all volumes, one after the other, and what they were made with, as arrays."""
    z_step, least_yx = _grid_of(shape, REDUCTIONS[0])
    levels = [
        # what was measured of a TXM volume is found in its own voxels
        Level(v, s.block_px)
        if s.role in ("txm", "residual")
        else coarsest_level(v, s.path, s.channel, z_step, least_yx)
        for s, v in shown
    ]
    views = [
        _View(s, level, shape, FieldOfView(level.volume, guess=s.role == "txm"))
        for (s, _), level in zip(shown, levels, strict=True)
    ]
    truth = next((view.levels for view in views if view.source.role == "truth"), sem_levels)
    shades = [view.shown_levels(truth) for view in views]
    reduction = next((r for r in REDUCTIONS if _estimated(views, shades, r) <= most_bytes), REDUCTIONS[-1])
    slices = [
        content for view, low_high in zip(views, shades, strict=True) for content in view.jpegs(low_high, reduction)
    ]
    return {
        "levels": np.array(shades, dtype=np.float64),
        "reduction": np.array([reduction.slices, reduction.side_px, reduction.quality]),
        "lengths": np.array([len(content) for content in slices]),
        "slices": np.frombuffer(b"".join(slices), dtype=np.uint8),
    }


def _described(
    arrays: Arrays,
    sources: Sequence[Source],
    shape: tuple[int, ...],
    voxel_size_nm: Sequence[float | None],
    left_out: list[str],
) -> ViewerData:
    """What the viewer is given of compressed slices."""
    positions, size_yx = _grid(shape, Reduction(*(int(value) for value in arrays["reduction"])))
    step = positions[1] - positions[0] if len(positions) > 1 else 1
    z_nm, y_nm, x_nm = voxel_size_nm
    ends = np.cumsum(arrays["lengths"])
    content = arrays["slices"].tobytes()
    slices = [content[end - length : end] for end, length in zip(ends, arrays["lengths"], strict=True)]
    count = len(positions)
    volumes: list[ViewerVolume] = [
        {
            "name": source.name,
            "role": source.role,
            "low": float(low),
            "high": float(high),
            "slices": slices[number * count : (number + 1) * count],
        }
        for number, (source, (low, high)) in enumerate(zip(sources, arrays["levels"], strict=True))
    ]
    return {
        "volumes": volumes,
        "shape": (len(positions), *size_yx),
        "voxel_nm": (
            None if z_nm is None else z_nm * step,
            None if y_nm is None else y_nm * shape[1] / size_yx[0],
            None if x_nm is None else x_nm * shape[2] / size_yx[1],
        ),
        "z_step": step,
        "full_shape": (shape[0], shape[1], shape[2]),
        "left_out": left_out,
    }


def _grid_of(shape: tuple[int, ...], reduction: Reduction) -> tuple[int, tuple[int, int]]:
    """How far slices that are embedded are apart, and the size of each, (Y, X)."""
    depth, height, width = shape
    share = min(1.0, reduction.side_px / max(height, width))
    return -(-depth // reduction.slices), (max(1, round(height * share)), max(1, round(width * share)))


def _grid(shape: tuple[int, ...], reduction: Reduction) -> tuple[list[int], tuple[int, int]]:
    """Slices that are embedded, evenly apart, and the size of each, (Y, X)."""
    step, size_yx = _grid_of(shape, reduction)
    return list(range(0, shape[0], step)), size_yx


def _estimated(views: Sequence[_View], shades: Sequence[tuple[float, float]], reduction: Reduction) -> float:
    """How many bytes the embedded slices of all volumes take."""
    return sum(view.estimated_bytes(low_high, reduction) for view, low_high in zip(views, shades, strict=True))


@dataclass
class _View:
    """A level of a volume and the part of it, from its first voxel on, that all volumes share."""

    source: Source
    level: Level
    shape: tuple[int, ...]  # of the part, in voxels of the volume itself
    field: FieldOfView  # of the level

    def planes(self, positions: Sequence[int]) -> Iterator[np.ndarray]:
        """The slices [Y, X] at some positions along z, in ascending order; NaN where nothing was measured."""
        height, width = (self.level.length(voxels) for voxels in self.shape[1:])
        for wanted in self._slabs([self.level.index(position) for position in positions]):
            slab = self.level.volume.read(wanted[0], wanted[-1] + 1)
            for z in wanted:
                plane = slab[z - wanted[0]]
                yield as_shown(plane, self.field.of(plane, z))[:height, :width]

    def _slabs(self, wanted: Sequence[int]) -> Iterator[list[int]]:
        """Slices of the level that are read together: neighbours, or in chunks of several slices what lies near."""
        volume = self.level.volume
        plane_bytes = max(1, volume.shape[1] * volume.shape[2] * volume.dtype.itemsize)
        block = int(np.clip(_SLAB_BYTES // plane_bytes, 1, _SLAB_SLICES))
        slab: list[int] = []
        for z in wanted:
            near = volume.thickness > 1 or z == (slab[-1] if slab else z) + 1
            if slab and not (near and z // block == slab[0] // block):
                yield slab
                slab = []
            slab.append(z)
        if slab:
            yield slab

    @cached_property
    def _kept(self) -> list[np.ndarray] | None:
        found: list[np.ndarray] = []
        for plane in self._sampled():
            found.append(plane)
            if sum(each.nbytes for each in found) > _SAMPLED_BYTES:
                return None
        return found

    def _sampled(self) -> Iterator[np.ndarray]:
        return self.planes(np.unique(np.linspace(0, self.shape[0] - 1, _SAMPLED).round().astype(int)).tolist())

    def sampled(self) -> Iterator[np.ndarray]:
        """A few slices."""
        return self._sampled() if self._kept is None else iter(self._kept)

    @cached_property
    def levels(self) -> tuple[float, float]:
        """Grey levels for black and white, of what was measured of some slices."""
        seen = np.concatenate([plane[np.isfinite(plane)] for plane in self.sampled()])
        low, high = np.percentile(seen, _PERCENTILES) if seen.size else (0.0, 1.0)
        return float(low), float(high)

    def shown_levels(self, of_sem: tuple[float, float]) -> tuple[float, float]:
        """The levels that this volume is shown with: FIB-SEM images share theirs, what is no image starts at 0."""
        if self.source.role in ("uncertainty", "residual"):
            return 0.0, max(self.levels[1], _SELDOM if self.source.role == "residual" else 1e-6)
        return self.levels if self.source.role == "txm" else of_sem

    def estimated_bytes(self, low_high: tuple[float, float], reduction: Reduction) -> float:
        """How much the embedded slices take."""
        positions, size_yx = _grid(self.shape, reduction)
        sizes = [len(encode_plane(plane, *low_high, size_yx, reduction.quality)) for plane in self.sampled()]
        return float(np.mean(sizes)) * len(positions) * _BASE64

    def jpegs(self, low_high: tuple[float, float], reduction: Reduction) -> list[bytes]:
        """The embedded slices."""
        positions, size_yx = _grid(self.shape, reduction)
        return [encode_plane(plane, *low_high, size_yx, reduction.quality) for plane in self.planes(positions)]
