"""The images of a patch store, read one by one when they are asked for: who needs a few need not hold 10 GB of them."""

from __future__ import annotations

import hashlib
import itertools
import json
import math
import struct
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np

from txm2sem_core.errors import InputError
from txm2sem_core.intensity.measured import measured
from txm2sem_core.io.files import plain_name
from txm2sem_core.io.scan_names import name_of_scan

IMAGES = ("txm", "sem", "mask", "classes", "charge", "beyond")
NEEDED = ("txm", "sem", "mask")
REACH_Z = 2  # TXM slices on each side of a pair that are kept, to learn how far the TXM mixes what lies along z
MIDDLE_PX = 1024  # of these, along y and x
KEPT_BYTES = 2**28  # of the images that were read last
# the names of types in the format, https://github.com/huggingface/safetensors#format
_DTYPES = {"BOOL": "?", "U8": "u1", "I8": "i1", "U16": "<u2", "I16": "<i2", "U32": "<u4", "I32": "<i4"}
_DTYPES |= {"F16": "<f2", "F32": "<f4", "F64": "<f8"}
_LONGEST_HEADER = 10**8  # bytes, by the format


@dataclass(frozen=True)
class PairImages:
    """One registered pair: TXM [C, Y/f, X/f], SEM [Y, X], and where both can be used (mask [Y, X]).

    `further` are the slices of further scans, each like those of the first, in a type of its own.

    Where they are known, also the class of each pixel, uint8 [Y, X] (`metrics.density.CLASSES`), and where the SEM is
    charged (charge [Y, X]): what was not measured cannot be used either, and is not charged.

    `beyond` are the TXM slices next to those of `txm`, up to `REACH_Z` on each side of the pair, below and then above;
    of their middle `MIDDLE_PX` along y and x.
    """

    txm: np.ndarray
    sem: np.ndarray
    mask: np.ndarray
    classes: np.ndarray | None = None
    charge: np.ndarray | None = None
    further: tuple[np.ndarray, ...] = ()
    beyond: np.ndarray | None = None

    @property
    def scans(self) -> tuple[np.ndarray, ...]:
        """The TXM slices of each scan."""
        return (self.txm, *self.further)

    @property
    def charged(self) -> np.ndarray:
        """Where the SEM is charged, bool [Y, X]."""
        return _charged(self)

    def shape(self, image: str) -> tuple[int, ...] | None:
        """Shape of one of `IMAGES`; None where it is not known."""
        found = getattr(self, image)
        return None if found is None else found.shape

    @property
    def shapes_of_scans(self) -> list[tuple[int, ...]]:
        """Shape of the TXM slices of each scan."""
        return [slices.shape for slices in self.scans]

    def dtype(self, image: str) -> np.dtype:
        """Type of one of `NEEDED`."""
        return getattr(self, image).dtype


class StoredPair:
    """The same; images are read, and compared with their digests, on demand."""

    def __init__(self, file: ImageFile, name: str) -> None:
        self._file, self._name = file, name

    def _read(self, image: str) -> np.ndarray:
        return self._file.read(f"{self._name}/{image}")

    def _read_if_there(self, image: str) -> np.ndarray | None:
        return None if self.shape(image) is None else self._read(image)

    txm = property(partial(_read, image="txm"))
    sem = property(partial(_read, image="sem"))
    mask = property(partial(_read, image="mask"))
    classes = property(partial(_read_if_there, image="classes"))
    charge = property(partial(_read_if_there, image="charge"))
    beyond = property(partial(_read_if_there, image="beyond"))

    @property
    def further(self) -> tuple[np.ndarray, ...]:
        """The TXM slices of further scans."""
        return self.scans[1:]

    @property
    def scans(self) -> tuple[np.ndarray, ...]:
        """The TXM slices of each scan."""
        return tuple(self._read(image) for image in self._scans)

    @property
    def _scans(self) -> list[str]:
        """The names of their images."""
        further = itertools.takewhile(
            lambda image: self.shape(image) is not None, map(name_of_scan, itertools.count(2))
        )
        return ["txm", *further]

    @property
    def charged(self) -> np.ndarray:
        """Where the SEM is charged, bool [Y, X]."""
        return _charged(self)

    def shape(self, image: str) -> tuple[int, ...] | None:
        """Shape of one of `IMAGES`, by the file's header; None where it is not known."""
        stored = self._file.stored.get(f"{self._name}/{image}")
        return None if stored is None else stored.shape

    @property
    def shapes_of_scans(self) -> list[tuple[int, ...]]:
        """Shape of the TXM slices of each scan, by the file's header."""
        return [self._file.stored[f"{self._name}/{image}"].shape for image in self._scans]

    def dtype(self, image: str) -> np.dtype:
        """Type of one of `NEEDED`, by the file's header."""
        return self._file.stored[f"{self._name}/{image}"].dtype

    def in_memory(self) -> PairImages:
        """The pair with all its images, the caller's own."""
        known = (self.classes, self.charge, self.beyond)
        classes, charge, beyond = (None if image is None else image.copy() for image in known)
        further = tuple(image.copy() for image in self.further)
        return PairImages(self.txm.copy(), self.sem.copy(), self.mask.copy(), classes, charge, further, beyond)


Pair = PairImages | StoredPair


def _charged(pair: Pair) -> np.ndarray:
    """Of stores of earlier versions, which do not say it: what is measured and cannot be used."""
    return pair.charge > 0 if pair.charge is not None else (pair.mask == 0) & measured(pair.sem)


class StoredPairs(Mapping[str, StoredPair]):
    """The pairs of a store by name."""

    def __init__(self, file: ImageFile) -> None:
        self._file = file
        self._names = sorted({key.rpartition("/")[0] for key in file.stored})
        for name in self._names:
            plain_name(name, file.path, "a pair")
            missing = [image for image in NEEDED if f"{name}/{image}" not in file.stored]
            if missing:
                raise KeyError(f"{name}/{missing[0]}")

    def __getitem__(self, name: str) -> StoredPair:
        if name not in self._names:
            raise KeyError(name)
        return StoredPair(self._file, name)

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


class _Stored(NamedTuple):
    """Where an image lies in the file."""

    dtype: np.dtype
    shape: tuple[int, ...]
    start: int  # bytes from the file's begin
    size: int  # bytes


class ImageFile:
    """A file in the format of safetensors, read image by image; the last ones up to `KEPT_BYTES` are kept."""

    def __init__(self, path: Path, digests: Mapping[str, str] | None) -> None:
        """Read the header.

        Args:
            path: the file.
            digests: SHA-256 of each image's bytes by its name; None where the whole file was held against its digest.

        Raises:
            InputError: it is no such file, or does not hold the images of the digests.
        """
        self.path = path
        self._digests = None if digests is None else dict(digests)
        self._kept: OrderedDict[str, np.ndarray] = OrderedDict()
        self._checked: set[str] = set()
        try:
            self.stored = _header(path)
        except (OSError, ValueError, KeyError, TypeError, AttributeError, struct.error) as error:
            raise self._damaged(f"{error!r:.200}") from error
        if digests is not None and self.stored.keys() != digests.keys():
            raise self._damaged("it does not hold the images that store.json names")

    def read(self, name: str) -> np.ndarray:
        """One image, which cannot be written to.

        Raises:
            InputError: it changed since the store was written.
        """
        if name in self._kept:
            self._kept.move_to_end(name)
            return self._kept[name]
        stored = self.stored[name]
        try:
            image = np.fromfile(self.path, np.uint8, stored.size, offset=stored.start)
        except (OSError, ValueError) as error:
            raise self._damaged(f"{error!r:.200}") from error
        if image.size != stored.size or not self._is_sound(name, image):
            raise self._damaged(f"{name} changed since it was written")
        found = image.view(stored.dtype).reshape(stored.shape)
        found.flags.writeable = False
        self._keep(name, found)
        return found

    def _is_sound(self, name: str, image: np.ndarray) -> bool:
        if self._digests is None or name in self._checked:
            return True
        if hashlib.sha256(image.data).hexdigest() != self._digests[name]:
            return False
        self._checked.add(name)
        return True

    def _keep(self, name: str, image: np.ndarray) -> None:
        self._kept[name] = image
        while sum(one.nbytes for one in self._kept.values()) > KEPT_BYTES:
            self._kept.popitem(last=False)

    def _damaged(self, why: str) -> InputError:
        return InputError(f"{self.path}: damaged ({why}). Delete {self.path.parent}; run again.")


def _header(path: Path) -> dict[str, _Stored]:
    """Where each image lies: 8 bytes with the header's length, the header as JSON, the images."""
    length = path.stat().st_size
    with path.open("rb") as file:
        (size,) = struct.unpack("<Q", file.read(8))
        if size > min(_LONGEST_HEADER, length):
            raise ValueError(f"its header has {size} bytes")
        described = json.loads(file.read(size))
    described.pop("__metadata__", None)
    found = {}
    for name, one in described.items():
        first, last = one["data_offsets"]
        dtype, shape = np.dtype(_DTYPES[one["dtype"]]), tuple(one["shape"])
        if not all(type(n) is int and n >= 0 for n in (first, last, *shape)):
            raise ValueError(f"{name}: {one}")
        if last - first != math.prod(shape) * dtype.itemsize or 8 + size + last > length:
            raise ValueError(f"{name} lies outside of it")
        found[name] = _Stored(dtype, shape, 8 + size + first, last - first)
    return found
