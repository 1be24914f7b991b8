"""The rock itself, slice by slice: bedding, grains, organic matter with its nanopores, slit pores and fractures.

Bedding planes lie across the Y axis. Clay laminae and organic lenses follow a bedding coordinate v (in voxels, like y)
that waves gently and drapes around the grains, as compaction leaves it. Every structure has a size in nanometres, so
volumes of different shapes show the same rock.
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from txm2sem_core.phantom import phases
from txm2sem_core.phantom.fields import Floats, SplineField, node_counts, random_field
from txm2sem_core.phantom.grains import GrainSections, as_generator
from txm2sem_core.phantom.placement import Grains, place_grains

HALO_NM = 160.0  # how far around a grain its surface is known
FRACTURE_EVERY_NM = 11000.0
FRACTURE_NM = 130.0  # usual aperture
CHANNEL_NM = 110.0  # least aperture along a fracture's open channel
CHANNEL_HALF_WIDTH_NM = 150.0
FILM_NM = 35.0  # clay left between two grains in contact
DRAPE = 0.75  # share of a grain's height that the laminae are pushed aside


@dataclass(frozen=True)
class RockSlice:
    """One slice: phase `labels` `[Y, X]` uint8, and `clay_porosity` `[Y, X]`, the void share below the voxel's size."""

    labels: NDArray[np.uint8]
    clay_porosity: Floats


class _BeddingFrame:
    """Reads planes that are laid out in the bedding coordinate at the places where the laminae are now."""

    def __init__(self, bedding: Floats, pad: int) -> None:
        height, width = bedding.shape
        position = np.clip(bedding + np.float32(pad), 0.0, height + 2 * pad - 1.001)
        row = position.astype(np.int32)
        self._fraction = position - row
        self._index = row * width + np.arange(width, dtype=np.int32)
        self._width = width

    def sample(self, plane: Floats) -> Floats:
        """Values `[Y, X]` of `plane` `[Y + 2 pad, X]`, linear between rows."""
        above = np.take(plane, self._index)
        below = np.take(plane, self._index + self._width)
        return np.asarray(above + self._fraction * (below - above))


def _threshold(share: float) -> float:
    """The level that a unit Gaussian field exceeds over `share` of the volume."""
    return NormalDist().inv_cdf(1.0 - share)


class Rock:
    """A shale of `shape` `[Z, Y, X]` voxels; `cut(z)` gives its slices in any order, always the same for one seed."""

    def __init__(self, seed: int, shape: tuple[int, int, int], voxel_size_nm: tuple[float, float, float]) -> None:
        self.seed = seed
        self.shape = shape
        self.voxel_size_nm = voxel_size_nm
        size_nm = np.array(shape) * np.array(voxel_size_nm)
        self.fractures_nm = self._fracture_heights(float(size_nm[1]))
        grains = place_grains(seed, size_nm, self.fractures_nm)
        self._loose = GrainSections(grains.loose, shape, voxel_size_nm)
        crystals = [crystal for framboid in grains.framboids for crystal in framboid.crystals]
        self._crystals = GrainSections(crystals, shape, voxel_size_nm)
        self._framboids = grains.framboids
        self._displacement = self._drape(grains)
        # Fields in the bedding frame reach beyond the volume by the largest shift of a lamina.
        self._pad = int(np.ceil(1500.0 / voxel_size_nm[1]))
        self._make_fields()

    def _fracture_heights(self, height_nm: float) -> list[float]:
        rng = as_generator(self.seed, "fractures")
        count = max(1, round(height_nm / FRACTURE_EVERY_NM))
        spacing = height_nm / count
        return [float((index + rng.uniform(0.25, 0.75)) * spacing) for index in range(count)]

    def _field(self, name: str, z_nm: float, y_nm: float, x_nm: float, *, bedded: bool = False) -> SplineField:
        depth, height, width = self.shape
        shape = (depth, height + 2 * self._pad, width) if bedded else self.shape
        cells = (z_nm / self.voxel_size_nm[0], y_nm / self.voxel_size_nm[1], x_nm / self.voxel_size_nm[2])
        return random_field(as_generator(self.seed, name), shape, cells)

    def _make_fields(self) -> None:
        self._wave = self._field("wave", 2600.0, 9000.0, 2600.0)
        self._rough = self._field("rough", 260.0, 260.0, 260.0)
        self._worn = self._field("worn", 90.0, 90.0, 90.0)
        self._nano = self._field("nanopores", 62.0, 62.0, 62.0)
        self._bubbles = self._field("bubbles", 150.0, 150.0, 150.0)
        self._maturity = self._field("maturity", 900.0, 900.0, 900.0)
        self._lamina = self._field("laminae", 1800.0, 260.0, 1800.0, bedded=True)
        self._organic = self._field("organic", 520.0, 130.0, 620.0, bedded=True)
        self._plates = self._field("plates", 280.0, 48.0, 340.0, bedded=True)
        self._slits = self._field("slits", 230.0, 55.0, 260.0, bedded=True)
        self._wobble = self._field("wobble", 1400.0, 4000.0, 1200.0)
        self._aperture = self._field("aperture", 800.0, 4000.0, 900.0)
        self._course = self._field("course", 4000.0, 4000.0, 1500.0)

    def _drape(self, grains: Grains) -> SplineField:
        """How far the laminae are pushed aside by the grains, in voxels of y, as a coarse field."""
        cell_nm = 190.0
        cells = (cell_nm / self.voxel_size_nm[0], cell_nm / self.voxel_size_nm[1], cell_nm / self.voxel_size_nm[2])
        nodes = np.zeros(node_counts(self.shape, cells), dtype=np.float32)
        bodies = [(g.centre, 0.75 * g.radius) for g in grains.loose if g.radius > cell_nm]
        bodies += [(f.centre, f.radius) for f in grains.framboids]
        for centre, radius in bodies:
            sigma = 0.9 * radius
            first = np.maximum(np.floor((centre - 2.5 * sigma) / cell_nm).astype(int) + 1, 0)
            last = np.minimum(np.ceil((centre + 2.5 * sigma) / cell_nm).astype(int) + 2, nodes.shape)
            if np.any(last <= first):
                continue
            dz, dy, dx = ((np.arange(first[i], last[i]) - 1) * cell_nm - centre[i] for i in range(3))
            gauss_z, gauss_y, gauss_x = (np.exp(-(d**2) / (2.0 * sigma**2)) for d in (dz, dy, dx))
            push = DRAPE * gauss_z[:, None, None] * (dy * gauss_y)[None, :, None] * gauss_x[None, None, :]
            nodes[first[0] : last[0], first[1] : last[1], first[2] : last[2]] += push / self.voxel_size_nm[1]
        return SplineField(nodes, self.shape, cells, np.zeros(3))

    def cut(self, z: int) -> RockSlice:
        """The rock at slice `z`."""
        wave = self._wave.plane(z) * np.float32(110.0 / self.voxel_size_nm[1])
        bedding = np.arange(self.shape[1], dtype=np.float32)[:, None] + wave - self._displacement.plane(z)
        frame = _BeddingFrame(bedding, self._pad)
        depth, second, phase = self._loose.cut(z, HALO_NM)
        apart = depth - second > FILM_NM
        depth += 32.0 * self._rough.plane(z) + 13.0 * self._worn.plane(z)
        grain = (depth > 0) & apart
        lamina = frame.sample(self._lamina.plane(z))
        plates = frame.sample(self._plates.plane(z))

        labels = np.full(self.shape[1:], phases.CLAY, dtype=np.uint8)
        organic = self._organic_excess(frame.sample(self._organic.plane(z)), lamina, depth)
        labels[organic > 0] = phases.ORGANIC
        labels[self._clay_pores(frame.sample(self._slits.plane(z)), plates, depth)] = phases.PORE
        labels[(organic > 0.04) & self._organic_pores(z)] = phases.PORE
        labels[grain] = phase[grain]
        self._fill_framboids(z, labels)
        self._open_fractures(z, bedding, depth, labels)
        porosity = np.clip(0.19 + 0.075 * plates - 0.05 * lamina, 0.02, 0.5)
        return RockSlice(labels, porosity.astype(np.float32))

    def _organic_excess(self, organic: Floats, lamina: Floats, depth: Floats) -> Floats:
        """Above 0 in organic matter, and larger inside it: lenses along the laminae, and fillings between grains."""
        near = np.clip(1.0 + depth / HALO_NM, 0.0, 1.0)
        score = organic + 0.45 * lamina + 0.35 * near
        return np.asarray(score - np.float32(1.1 * _threshold(0.2)))

    def _organic_pores(self, z: int) -> NDArray[np.bool_]:
        """Nanopores and bubbles of organic matter; some of it is spongy, some tight."""
        maturity = self._maturity.plane(z)
        nano = self._nano.plane(z) + 0.45 * maturity
        bubbles = self._bubbles.plane(z) + 0.5 * maturity
        return np.asarray((nano > 1.1 * _threshold(0.26)) | (bubbles > 1.12 * _threshold(0.06)))

    def _clay_pores(self, slits: Floats, plates: Floats, depth: Floats) -> NDArray[np.bool_]:
        """Slits between clay plates, and gaps where clay has shrunk from a grain's side."""
        shrunk = (depth > -26.0) & (slits + 0.5 * plates > 1.12 * _threshold(0.08))
        return np.asarray((slits + 0.7 * plates > 1.22 * _threshold(0.018)) | shrunk)

    def _fill_framboids(self, z: int, labels: NDArray[np.uint8]) -> None:
        """Pyrite crystals, with organic matter and a little void between them."""
        z_nm = z * self.voxel_size_nm[0]
        y_nm = np.arange(self.shape[1]) * self.voxel_size_nm[1]
        x_nm = np.arange(self.shape[2]) * self.voxel_size_nm[2]
        for ball in self._framboids:
            room = (0.92 * ball.radius) ** 2 - (z_nm - ball.centre[0]) ** 2
            if room > 0:
                rows = np.flatnonzero(np.abs(y_nm - ball.centre[1]) < np.sqrt(room))
                columns = np.flatnonzero(np.abs(x_nm - ball.centre[2]) < np.sqrt(room))
                if rows.size and columns.size:
                    here = labels[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
                    apart = (y_nm[rows] - ball.centre[1])[:, None] ** 2 + (x_nm[columns] - ball.centre[2]) ** 2
                    here[(apart < room) & (here != phases.PORE)] = phases.ORGANIC
        depth, second, _ = self._crystals.cut(z, 0.0)
        labels[(depth > 0) & (depth - second > 0.3 * FILM_NM)] = phases.PYRITE

    def _open_fractures(self, z: int, bedding: Floats, depth: Floats, labels: NDArray[np.uint8]) -> None:
        """Fractures along the bedding: open in patches, and all along one winding channel from x = 0 to the far side.

        The channel is what makes the pore space percolate along X: its aperture is never less than `CHANNEL_NM`.
        """
        y_step = self.voxel_size_nm[1]
        swing_nm = min(170.0, 0.05 * self.shape[1] * y_step)  # a small volume holds its fracture whole
        stretch = np.maximum(np.gradient(bedding, axis=0), 0.5)
        for height_nm in self.fractures_nm:
            row = height_nm / y_step
            wobble, aperture = self._wobble.row(z, row), self._aperture.row(z, row)
            course = self._course.row(0, row)
            middle = (height_nm + swing_nm * wobble) / y_step
            off_course = np.abs(z * self.voxel_size_nm[0] - self._channel_nm(course))
            channel = off_course < CHANNEL_HALF_WIDTH_NM
            closing = np.clip(1.0 - (off_course - CHANNEL_HALF_WIDTH_NM) / 200.0, 0.0, 1.0)
            opening = FRACTURE_NM * np.clip(0.2 + 0.8 * aperture, 0.0, 1.6)
            opening = np.maximum(opening, CHANNEL_NM * closing)
            opening = np.where(channel, np.maximum(opening, CHANNEL_NM), opening)
            beside = np.abs(bedding - middle) / stretch
            inside = beside < opening / (2.0 * y_step)
            labels[inside & (channel | (depth < 40.0))] = phases.PORE

    def _channel_nm(self, course: Floats) -> Floats:
        """The depth z in nm of a fracture's open channel along x: it winds, and stays within the volume."""
        depth_nm = self.shape[0] * self.voxel_size_nm[0]
        swing = min(0.4 * depth_nm, 1200.0)
        return np.asarray(0.5 * depth_nm + swing * np.tanh(course))
