"""The patch store: the split, registered pairs in one file, with the index of the patches cut from them.

Patches overlap heavily, so the store holds each pair once (`store.safetensors`: `{pair}/txm` [C, Y/f, X/f] with the
C = 2k + 1 TXM slices around it, `{pair}/sem`, `{pair}/mask`, and where they are known `{pair}/classes` and
`{pair}/charge` [Y, X]) and the index (`index.csv`) says where each patch lies, in SEM pixels. `store.json` holds what
belongs to all.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from txm2sem_core.errors import InputError
from txm2sem_core.intensity import IntensityRange, Preparation
from txm2sem_core.intensity.measured import measured
from txm2sem_core.io.atomic import atomic_path
from txm2sem_core.io.files import plain_name
from txm2sem_core.io.ownership import MARK
from txm2sem_core.io.tables import read_csv, read_json, sha256_file, write_csv, write_json

if TYPE_CHECKING:
    import pandas as pd

_FILES = ("store.safetensors", "index.csv")  # beside `store.json`, which has their digests
_SPLITS = ("train", "validation", "test")


@dataclass(frozen=True)
class PairImages:
    """One registered pair: TXM [C, Y/f, X/f], SEM [Y, X], and where both can be used (mask [Y, X]).

    Where they are known, also the class of each pixel, uint8 [Y, X] (`metrics.density.CLASSES`), and where the SEM is
    charged (charge [Y, X]): what was not measured cannot be used either, and is not charged.
    """

    txm: np.ndarray
    sem: np.ndarray
    mask: np.ndarray
    classes: np.ndarray | None = None
    charge: np.ndarray | None = None

    @property
    def charged(self) -> np.ndarray:
        """Where the SEM is charged, bool [Y, X]; in stores of earlier versions what is measured and cannot be used."""
        return self.charge > 0 if self.charge is not None else (self.mask == 0) & measured(self.sem)


@dataclass(frozen=True)
class PatchStore:
    """The pairs and patches of one sample at one factor, in memory in their own dtypes."""

    pairs: Mapping[str, PairImages]
    index: pd.DataFrame
    size_px: int
    factor: int
    context: int
    txm_range: IntensityRange
    sem_range: IntensityRange
    voxel_size_nm: tuple[float | None, float | None, float | None]  # of the SEM and the full-resolution TXM
    preparation: Preparation  # what was done to the TXM, and is done to a volume that is predicted
    digest: str  # of `store.json`, and so of images, index and ranges
    warnings: tuple[str, ...] = ()  # what could mislead, for `model.json` and the report

    @property
    def sem_dtype(self) -> np.dtype:
        """Dtype of the SEM images."""
        return next(iter(self.pairs.values())).sem.dtype

    @property
    def pixel_size_nm(self) -> tuple[float, float] | None:
        """Pixel size (Y, X) of the SEM, or None where it is not known."""
        _, y_nm, x_nm = self.voxel_size_nm
        return None if y_nm is None or x_nm is None else (y_nm, x_nm)

    def data_range(self, setting: float | str = "auto") -> float:
        """The range that PSNR and SSIM refer to, in SEM grey levels: `auto` is 255 for 8-bit, else the recorded one."""
        if setting != "auto":
            return float(setting)
        return 255.0 if self.sem_dtype == np.uint8 else self.sem_range.high - self.sem_range.low

    def of_split(self, split: str) -> pd.DataFrame:
        """The index rows of `train`, `validation` or `test`."""
        return self.index[self.index["split"] == split].reset_index(drop=True)

    def txm_patch(self, pair: str, y: int, x: int, context: int) -> np.ndarray:
        """TXM patch [2 context + 1, size/f, size/f] at SEM pixel (y, x), in its own dtype."""
        f, size = self.factor, self.size_px // self.factor
        middle = slice(self.context - context, self.context + context + 1)
        return self.pairs[pair].txm[middle, y // f : y // f + size, x // f : x // f + size]

    def sem_patch(self, pair: str, y: int, x: int) -> np.ndarray:
        """SEM patch [size, size]."""
        return self.pairs[pair].sem[y : y + self.size_px, x : x + self.size_px]

    def mask_patch(self, pair: str, y: int, x: int) -> np.ndarray:
        """Usable pixels [size, size] of the patch, bool."""
        return self.pairs[pair].mask[y : y + self.size_px, x : x + self.size_px] > 0

    def class_patch(self, pair: str, y: int, x: int) -> np.ndarray | None:
        """Classes of the patch's pixels [size, size], or None where they are not known."""
        classes = self.pairs[pair].classes
        return None if classes is None else classes[y : y + self.size_px, x : x + self.size_px]


def write_patch_store(folder: str | Path, store: PatchStore) -> None:
    """Write the store's three files; each appears whole or not at all, `store.json` last."""
    folder = Path(folder)
    tensors: dict[str, np.ndarray] = {}
    for pair, images in store.pairs.items():
        tensors[f"{pair}/txm"] = np.ascontiguousarray(images.txm)
        tensors[f"{pair}/sem"] = np.ascontiguousarray(images.sem)
        tensors[f"{pair}/mask"] = np.ascontiguousarray(images.mask, dtype=np.uint8)
        if images.classes is not None:
            tensors[f"{pair}/classes"] = np.ascontiguousarray(images.classes)
        if images.charge is not None:
            tensors[f"{pair}/charge"] = np.ascontiguousarray(images.charge, dtype=np.uint8)
    with atomic_path(folder / "store.safetensors") as temporary:
        temporary.touch()
        mode = temporary.stat().st_mode
        save_file(tensors, temporary, metadata=MARK)  # makes it readable by this user alone
        temporary.chmod(mode)
    write_csv(folder / "index.csv", store.index)
    description = {
        **MARK,
        "size_px": store.size_px,
        "factor": store.factor,
        "context": store.context,
        "preparation": asdict(store.preparation),
        "txm_range": store.txm_range.as_dict(),
        "sem_range": store.sem_range.as_dict(),
        "voxel_size_nm": list(store.voxel_size_nm),
        "warnings": list(store.warnings),
        "sha256": {name: sha256_file(folder / name) for name in _FILES},
    }
    write_json(folder / "store.json", description)


def read_patch_store(folder: str | Path) -> PatchStore:
    """Read a store.

    Raises:
        InputError: a file is missing, damaged, or does not belong to the others; a pair has no plain name; or a patch
            lies outside of its pair.
    """
    folder = Path(folder)
    description = read_json(folder / "store.json")
    try:
        store = _read_store(folder, description)
        _check_store(folder, store)
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise InputError(
            f"{folder / 'store.json'}: this is not the description of a patch store ({error!r:.200}). Delete {folder}; "
            "run again."
        ) from error
    return store


def _read_store(folder: Path, description: dict[str, Any]) -> PatchStore:
    for name in _FILES:
        if not (folder / name).is_file() or sha256_file(folder / name) != description["sha256"][name]:
            raise InputError(
                f"{folder / name}: missing or changed since it was written. Unless a job is writing it now, delete "
                f"{folder} and run again."
            )
    try:
        tensors = load_file(folder / "store.safetensors")
    except (SafetensorError, OSError) as error:
        raise InputError(f"{folder / 'store.safetensors'}: damaged ({error}). Delete {folder}; run again.") from error
    names = sorted({key.rsplit("/", 1)[0] for key in tensors})
    for name in names:
        plain_name(name, folder / "store.safetensors", "a pair")
    pairs = {
        n: PairImages(
            *(tensors[f"{n}/{name}"] for name in ("txm", "sem", "mask")),
            *(tensors.get(f"{n}/{name}") for name in ("classes", "charge")),
        )
        for n in names
    }
    z_nm, y_nm, x_nm = description["voxel_size_nm"]
    return PatchStore(
        pairs=pairs,
        index=read_csv(folder / "index.csv"),
        size_px=description["size_px"],
        factor=description["factor"],
        context=description["context"],
        txm_range=IntensityRange(**description["txm_range"]),
        sem_range=IntensityRange(**description["sem_range"]),
        voxel_size_nm=(z_nm, y_nm, x_nm),
        preparation=Preparation(**description.get("preparation", {})),
        digest=sha256_file(folder / "store.json"),
        warnings=tuple(description.get("warnings", ())),
    )


def _check_store(folder: Path, store: PatchStore) -> None:
    """See that numbers, images and index fit each other.

    Raises:
        InputError: names what does not.
        KeyError, TypeError, ValueError: a column or value is missing, or is of another kind.
    """
    where = f"{folder / 'store.json'}: "
    size, factor, context = store.size_px, store.factor, store.context
    if not all(type(value) is int for value in (size, factor, context)) or min(size, factor, context + 1) < 1:
        raise InputError(f"{where}size_px, factor and context are {size!r}, {factor!r}, {context!r}. Run again.")
    if any(value is not None and not float(value) > 0 for value in store.voxel_size_nm):
        raise InputError(f"{where}voxel_size_nm is {list(store.voxel_size_nm)!r}. Run again.")
    for name, images in store.pairs.items():
        shape, coarse = images.sem.shape, tuple(n // factor for n in images.sem.shape)
        others = [one.shape for one in (images.mask, images.classes, images.charge) if one is not None]
        if len(shape) != 2 or images.txm.shape != (2 * context + 1, *coarse) or any(one != shape for one in others):
            raise InputError(f"{folder / _FILES[0]}: the images of pair {name} do not fit each other. Run again.")
    rows = store.index
    for pair, y, x, split in zip(
        rows["pair"], rows["y"].astype(int), rows["x"].astype(int), rows["split"], strict=True
    ):
        height, width = store.pairs[pair].sem.shape
        if split not in _SPLITS or not (0 <= y <= height - size and 0 <= x <= width - size):
            raise InputError(f"{folder / _FILES[1]}: the patch at y {y}, x {x} of pair {pair} lies outside. Run again.")
