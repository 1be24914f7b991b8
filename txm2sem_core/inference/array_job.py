"""A volume that is predicted into memory."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np

from txm2sem_core import io
from txm2sem_core.inference.outputs import VolumeOutput
from txm2sem_core.inference.volume_job import VolumeJob
from txm2sem_core.io import Volume
from txm2sem_core.io.units import Unit


class _ArrayUnits:
    """Units in one array [Z, Y, X], or [C, Z, Y, X]."""

    def __init__(self, shape: tuple[int, ...], dtype: np.dtype) -> None:
        self.voxels = np.empty(shape, dtype)
        self._marks: dict[str, dict[str, Any]] = {}

    def writing(self) -> AbstractContextManager[None]:
        """Nobody else writes."""
        return nullcontext()

    def closing(self) -> AbstractContextManager[bool]:
        """All units are there."""
        return nullcontext(True)

    def missing(self, units: Iterable[Unit], /) -> tuple[list[Unit], list[Unit]]:
        """Those that were not written; none can be changed by others."""
        return [unit for unit in units if str(unit.index) not in self._marks], []

    def write(self, unit: Unit, voxels: np.ndarray, notes: Mapping[str, Any]) -> None:
        """Keep a unit."""
        self.voxels[..., unit.z0 : unit.z1, :, :] = voxels
        self._marks[str(unit.index)] = dict(notes)

    def marks(self, units: Iterable[Unit]) -> dict[str, dict[str, Any]]:
        """The notes on units."""
        return {str(unit.index): self._marks[str(unit.index)] for unit in units}

    def discard(self) -> None:
        """Nothing is left behind anyway."""


class ArrayJob(VolumeJob):
    """The prediction of a volume into an array, `voxels`: [Z, Y, X], or [C, Z, Y, X] with an uncertainty."""

    def __init__(self, output: VolumeOutput, source: Volume, voxel_size_nm: io.VoxelSize | None, name: str) -> None:
        super().__init__(output, source, Path(source.source), voxel_size_nm, name)
        channels = len(output.channels)
        shape = (channels, *self.shape) if channels else self.shape
        self._units = _ArrayUnits(shape, output.predictor.sem_dtype)

    @property
    def store(self) -> _ArrayUnits:
        """In memory."""
        return self._units

    @property
    def voxels(self) -> np.ndarray:
        """The predicted volume."""
        return self._units.voxels

    def _close(self, marks: dict[str, dict[str, Any]]) -> None:
        """The array is what was asked for."""
