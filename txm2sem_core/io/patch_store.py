"""The patch store: the split, registered pairs in one file, with the index of the patches cut from them.

Patches overlap heavily, so the store holds each pair once (`store.safetensors`: `{pair}/txm` [C, Y/f, X/f] with the
C = 2k + 1 TXM slices around it, `{pair}/sem`, `{pair}/mask`, and where they are known `{pair}/classes`,
`{pair}/charge` [Y, X] and `{pair}/beyond`, the TXM slices further off) and the index (`index.csv`) says where each
patch lies, in SEM pixels. `store.json` holds what belongs to all.

Where the rock was scanned several times, `{pair}/txm_2` and on hold the slices of the further scans, and a slab has all
slices of the first scan, then all of the second, and so on: [E (2k + 1), Y/f, X/f] of E scans.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from safetensors.numpy import save_file

from txm2sem_core.errors import InputError
from txm2sem_core.intensity import IntensityRange, Preparation, range_of_scans
from txm2sem_core.io.atomic import atomic_path
from txm2sem_core.io.ownership import MARK
from txm2sem_core.io.scan_names import name_of_scan
from txm2sem_core.io.stored_images import MIDDLE_PX, REACH_Z, ImageFile, Pair, PairImages, StoredPair, StoredPairs
from txm2sem_core.io.tables import read_csv, read_json, sha256_file, write_csv, write_json

if TYPE_CHECKING:
    import pandas as pd

_FILES = ("store.safetensors", "index.csv")  # beside `store.json`, which has their digests
_SPLITS = ("train", "validation", "test")


@dataclass(frozen=True)
class PatchStore:
    """The pairs and patches of one sample at one factor, in their own dtypes; images are read as needed."""

    pairs: Mapping[str, Pair]
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
    further_ranges: tuple[IntensityRange, ...] = ()  # of the second scan and on

    @property
    def scans(self) -> int:
        """How many scans of the rock there are."""
        return 1 + len(self.further_ranges)

    @property
    def slab_range(self) -> IntensityRange:
        """What maps the slabs of `txm_patch` and `txm_slab`."""
        return range_of_scans(self.txm_range, self.further_ranges)

    def of_scans(self, count: int) -> PatchStore:
        """The store with the first so many scans."""
        return self if count == self.scans else replace(self, further_ranges=self.further_ranges[: count - 1])

    @property
    def sem_dtype(self) -> np.dtype:
        """Dtype of the SEM images."""
        return next(iter(self.pairs.values())).dtype("sem")

    @property
    def txm_dtype(self) -> np.dtype:
        """Dtype of the TXM images."""
        return next(iter(self.pairs.values())).dtype("txm")

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

    def in_memory(self) -> PatchStore:
        """The store with all its images: for a training, which draws from all of them again and again."""
        pairs: dict[str, PairImages] = {
            n: pair.in_memory() if isinstance(pair, StoredPair) else pair for n, pair in self.pairs.items()
        }
        return replace(self, pairs=pairs)

    def of_split(self, split: str) -> pd.DataFrame:
        """The index rows of `train`, `validation` or `test`."""
        return self.index[self.index["split"] == split].reset_index(drop=True)

    def txm_patch(self, pair: str, y: int, x: int, context: int) -> np.ndarray:
        """TXM patch [E (2 context + 1), size/f, size/f] of E scans at SEM pixel (y, x); of one in its own dtype."""
        f, size = self.factor, self.size_px // self.factor
        return self._slab(pair, context, slice(y // f, y // f + size), slice(x // f, x // f + size))

    def txm_slab(self, pair: str, context: int) -> np.ndarray:
        """The same of the whole slices of a pair."""
        return self._slab(pair, context, slice(None), slice(None))

    def _slab(self, pair: str, context: int, y: slice, x: slice) -> np.ndarray:
        middle = slice(self.context - context, self.context + context + 1)
        images = self.pairs[pair]
        if self.scans == 1:
            return images.txm[middle, y, x]
        return np.concatenate([slices[middle, y, x] for slices in images.scans[: self.scans]])

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
        for number, slices in enumerate(images.further, start=2):
            tensors[f"{pair}/{name_of_scan(number)}"] = np.ascontiguousarray(slices)
        tensors[f"{pair}/sem"] = np.ascontiguousarray(images.sem)
        tensors[f"{pair}/mask"] = np.ascontiguousarray(images.mask, dtype=np.uint8)
        if images.classes is not None:
            tensors[f"{pair}/classes"] = np.ascontiguousarray(images.classes)
        if images.charge is not None:
            tensors[f"{pair}/charge"] = np.ascontiguousarray(images.charge, dtype=np.uint8)
        if images.beyond is not None:
            tensors[f"{pair}/beyond"] = np.ascontiguousarray(images.beyond)
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
        **({"further_ranges": [each.as_dict() for each in store.further_ranges]} if store.further_ranges else {}),
        "voxel_size_nm": list(store.voxel_size_nm),
        "warnings": list(store.warnings),
        "images_sha256": {name: hashlib.sha256(image.data).hexdigest() for name, image in tensors.items()},
        "sha256": {"index.csv": sha256_file(folder / "index.csv")},
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
    for name, digest in description["sha256"].items():
        if name not in _FILES:
            raise KeyError(name)
        if not (folder / name).is_file() or sha256_file(folder / name) != digest:
            raise InputError(
                f"{folder / name}: missing or changed since it was written. Unless a job is writing it now, delete "
                f"{folder} and run again."
            )
    # stores of version 0.1 have one digest of all images
    file = ImageFile(folder / "store.safetensors", description.get("images_sha256"))
    z_nm, y_nm, x_nm = description["voxel_size_nm"]
    return PatchStore(
        pairs=StoredPairs(file),
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
        further_ranges=tuple(IntensityRange(**each) for each in description.get("further_ranges", ())),
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
        shape, *others = (images.shape(image) for image in ("sem", "mask", "classes", "charge"))
        coarse = tuple(n // factor for n in shape or ())
        slices = [(2 * context + 1, *coarse)] * store.scans
        beyond = (2 * max(REACH_Z - context, 0), *(min(n, MIDDLE_PX) for n in coarse))
        fits = all(one in (shape, None) for one in others) and images.shapes_of_scans == slices
        fits = fits and images.shape("beyond") in (beyond, None)
        if shape is None or len(shape) != 2 or not fits:
            raise InputError(f"{folder / _FILES[0]}: the images of pair {name} do not fit each other. Run again.")
    rows = store.index
    for pair, y, x, split in zip(
        rows["pair"], rows["y"].astype(int), rows["x"].astype(int), rows["split"], strict=True
    ):
        height, width = store.pairs[pair].shape("sem") or (0, 0)
        if split not in _SPLITS or not (0 <= y <= height - size and 0 <= x <= width - size):
            raise InputError(f"{folder / _FILES[1]}: the patch at y {y}, x {x} of pair {pair} lies outside. Run again.")
