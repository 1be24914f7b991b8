"""A volume as an array that is read when a part of it is shown."""

from __future__ import annotations

from typing import Any

import numpy as np

from txm2sem_core.io import Volume


class VolumeArray:
    """A volume [Z, Y, X] with the shape, the type and the slicing of an array; napari asks for one plane at a time."""

    ndim = 3

    def __init__(self, volume: Volume) -> None:
        self._volume, self.shape, self.dtype = volume, volume.shape, volume.dtype

    @property
    def size(self) -> int:
        """Number of voxels."""
        return int(np.prod(self.shape))

    def __getitem__(self, key: Any) -> np.ndarray:
        """A part, by whole numbers and slices as of a NumPy array; of z only what is needed is read."""
        whole = (slice(None),) * 3
        given = key if isinstance(key, tuple) else (key,)
        if Ellipsis in given:
            at = given.index(Ellipsis)
            given = (*given[:at], *whole[: 3 - len(given) + 1], *given[at + 1 :])
        z, y, x = (*given, *whole)[:3]
        if isinstance(z, slice):
            start, stop, step = z.indices(self.shape[0])
            if start >= stop or step < 1:
                numbers = np.arange(self.shape[0])[z]
                return self._volume.read(0, self.shape[0])[numbers][:, y, x]
            return self._volume.read(start, stop)[::step, y, x]
        plane = range(self.shape[0])[int(z)]
        return self._volume.read(plane, plane + 1)[0][y, x]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        """All of it, as a view in three dimensions needs."""
        return np.asarray(self._volume.read(0, self.shape[0]), dtype=dtype)
