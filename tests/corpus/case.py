"""A file that users have, and what must become of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

Size = tuple[float | None, float | None, float | None]


@dataclass(frozen=True)
class Case:
    """`make(folder)` writes the file and returns its path; it is read as `array`, or refused with all of `refused`."""

    make: Callable[[Path], Path]
    array: np.ndarray | None = None
    voxel_size_nm: Size | None = None
    refused: tuple[str, ...] = ()
    tolerance: float = 0.0  # grey levels, of lossy compression

    def __post_init__(self) -> None:
        assert (self.array is None) == bool(self.refused), "either is expected"


def grey(shape: tuple[int, ...] = (5, 12, 17), dtype: str = "uint16", seed: int = 0) -> np.ndarray:
    """Noise over the whole range of the type."""
    rng = np.random.default_rng(seed)
    if np.dtype(dtype).kind == "f":
        return rng.standard_normal(shape).astype(dtype)
    info = np.iinfo(dtype)
    return rng.integers(info.min, info.max, shape, dtype=dtype, endpoint=True)


def cut(make: Callable[[Path], Path], share: float) -> Callable[[Path], Path]:
    """The same file cut short."""

    def shorter(folder: Path) -> Path:
        path = make(folder)
        data = path.read_bytes()
        path.write_bytes(data[: int(len(data) * share)])
        return path

    return shorter
