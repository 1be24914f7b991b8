"""Volumes for the report's viewer: chosen, reduced and compressed slice by slice, within a number of bytes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from txm2sem_core import io
from txm2sem_core.io.field_of_view import FieldOfView, as_shown
from txm2sem_core.report.page import Role, ViewerData, ViewerVolume, VolumeEntry, encode_plane

MOST_PREDICTIONS = 6  # learned variants, the best first
SMALLEST_SHARE = 0.9  # a volume that covers less of the TXM's shape along an axis is left out
_SAMPLED = 5  # slices, evenly over the volume, of which grey levels and bytes are estimated
_SLAB_BYTES = 64 * 2**20  # read at once at most, since a chunk of an OME-Zarr holds several slices
_SLAB_SLICES = 16
_PERCENTILES = (0.5, 99.5)  # black and white
_BASE64 = 4 / 3


@dataclass(frozen=True)
class Source:
    """A volume that can be shown: its name, what it is, and where it lies."""

    name: str
    role: Role
    path: Path
    channel: int = 0
    measured: Path | None = None  # the mask of what was measured, where one was given


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
    summary: Sequence[Mapping[str, Any]], volumes: Sequence[VolumeEntry], txm: Source | None, truth: Path | None
) -> list[Source]:
    """What the viewer offers: TXM, learned variants from the best on, the best baseline, truth, an uncertainty.

    Args:
        summary: rows of the comparison, with `variant`, `label` and `kind`, the highest PSNR first.
        volumes: the predicted volumes.
        txm: the TXM volume.
        truth: the true FIB-SEM volume.
    """
    paths = {volume["variant"]: Path(volume["path"]) for volume in volumes}
    rows = [row for row in summary if row["variant"] in paths]
    learned = [row for row in rows if row["kind"] == "learned"][:MOST_PREDICTIONS]
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
    return sources


def embed_volumes(
    sources: Sequence[Source],
    sem_levels: tuple[float, float],
    voxel_size_nm: Sequence[float | None],
    most_bytes: float,
) -> ViewerData | None:
    """Read the volumes slab by slab and compress what fits into `most_bytes`; at no time is a whole volume in memory.

    Args:
        sources: the TXM volume first.
        sem_levels: grey levels for black and white of all FIB-SEM images where there is no truth to take them of.
        voxel_size_nm: of the volumes (Z, Y, X), None where it is not known.
        most_bytes: of all that is embedded, as base64.

    Returns:
        None where there is nothing to show.
    """
    opened = [(s, io.with_mask(io.open_volume(s.path, s.channel), s.measured)) for s in sources]
    if not opened:
        return None
    whole = opened[0][1].shape
    kept = [(s, v) for s, v in opened if all(v.shape[a] >= SMALLEST_SHARE * whole[a] for a in range(3))]
    left_out = [
        f"{s.name}: its shape {v.shape} (Z, Y, X) is not the TXM's, {whole}" for s, v in opened if (s, v) not in kept
    ]
    shape = tuple(min(volume.shape[axis] for _, volume in kept) for axis in range(3))
    views = [_View(s, v, shape, FieldOfView(v, guess=s.role == "txm")) for s, v in kept]
    truth = next((view.levels() for view in views if view.source.role == "truth"), sem_levels)
    views = [replace(view, sem_levels=truth) for view in views]
    reduction = next((r for r in REDUCTIONS if sum(v.estimated_bytes(r) for v in views) <= most_bytes), REDUCTIONS[-1])
    positions, size_yx = _grid(shape, reduction)
    step = positions[1] - positions[0] if len(positions) > 1 else 1
    z_nm, y_nm, x_nm = voxel_size_nm
    return {
        "volumes": [view.embedded(positions, size_yx, reduction.quality) for view in views],
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


def _grid(shape: tuple[int, ...], reduction: Reduction) -> tuple[list[int], tuple[int, int]]:
    """Slices that are embedded, evenly apart, and the size of each, (Y, X)."""
    depth, height, width = shape
    positions = list(range(0, depth, -(-depth // reduction.slices)))
    share = min(1.0, reduction.side_px / max(height, width))
    return positions, (max(1, round(height * share)), max(1, round(width * share)))


@dataclass(frozen=True)
class _View:
    """A volume and the part of it, from its first voxel on, that all volumes share."""

    source: Source
    volume: io.Volume
    shape: tuple[int, ...]
    field: FieldOfView
    sem_levels: tuple[float, float] = (0.0, 1.0)

    def planes(self, positions: Sequence[int]) -> Iterator[np.ndarray]:
        """The slices [Y, X] at some positions along z, in ascending order; NaN where nothing was measured."""
        plane_bytes = max(1, self.volume.shape[1] * self.volume.shape[2] * self.volume.dtype.itemsize)
        block = int(np.clip(_SLAB_BYTES // plane_bytes, 1, _SLAB_SLICES))
        for first in range(0, self.shape[0], block):
            wanted = [z for z in positions if first <= z < first + block]
            if wanted:
                slab = self.volume.read(wanted[0], wanted[-1] + 1)
                for z in wanted:
                    plane = slab[z - wanted[0]]
                    yield as_shown(plane, self.field.of(plane, z))[: self.shape[1], : self.shape[2]]

    def sampled(self) -> list[np.ndarray]:
        """A few slices."""
        return list(self.planes(np.unique(np.linspace(0, self.shape[0] - 1, _SAMPLED).round().astype(int)).tolist()))

    def levels(self) -> tuple[float, float]:
        """Grey levels for black and white, of what was measured of some slices."""
        seen = np.concatenate([plane[np.isfinite(plane)] for plane in self.sampled()])
        low, high = np.percentile(seen, _PERCENTILES) if seen.size else (0.0, 1.0)
        return float(low), float(high)

    def shown_levels(self) -> tuple[float, float]:
        """The levels that this volume is shown with: FIB-SEM images share theirs, an uncertainty starts at 0."""
        if self.source.role == "uncertainty":
            return 0.0, max(self.levels()[1], 1e-6)
        return self.levels() if self.source.role == "txm" else self.sem_levels

    def estimated_bytes(self, reduction: Reduction) -> float:
        """How much the embedded slices take."""
        positions, size_yx = _grid(self.shape, reduction)
        low, high = self.shown_levels()
        sizes = [len(encode_plane(plane, low, high, size_yx, reduction.quality)) for plane in self.sampled()]
        return float(np.mean(sizes)) * len(positions) * _BASE64

    def embedded(self, positions: Sequence[int], size_yx: tuple[int, int], quality: int) -> ViewerVolume:
        """The slices as JPEG."""
        low, high = self.shown_levels()
        slices = [encode_plane(plane, low, high, size_yx, quality) for plane in self.planes(positions)]
        return {"name": self.source.name, "role": self.source.role, "low": low, "high": high, "slices": slices}
