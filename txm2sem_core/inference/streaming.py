"""Reading, computing and writing at the same time, with bounded memory."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterable, Iterator
from types import TracebackType
from typing import Generic, NamedTuple, Self, TypeVar

import numpy as np

from txm2sem_core.geometry import Mask
from txm2sem_core.intensity import Preparation
from txm2sem_core.io.field_of_view import FieldOfView
from txm2sem_core.io.units import Unit, plan_reads

Item = TypeVar("Item")
_READ_BYTES = 16 * 2**20  # that are read at once, but one slice at least
_MOST_SLICES = 16  # read at once: volumes stored in chunks are seldom thicker
_WAITING = 2  # slices that wait for the network
_POLL_S = 0.1
_END = object()


class Prefetcher(Generic[Item]):
    """Runs an iterator in a thread of its own, at most `ahead` items before its reader, which also gets its errors.

    To be used as a context, whose end stops the thread.
    """

    def __init__(self, items: Iterable[Item], ahead: int) -> None:
        self._items = items
        self._queue: queue.Queue[object] = queue.Queue(maxsize=ahead)
        self._stop = threading.Event()
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="reader", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()

    def __iter__(self) -> Iterator[Item]:
        while (item := self._queue.get()) is not _END:
            yield item  # type: ignore[misc]
        if self._error is not None:
            raise self._error

    def _run(self) -> None:
        try:
            for item in self._items:
                if not self._put(item):
                    return
        except BaseException as error:
            self._error = error
        self._put(_END)

    def _put(self, item: object) -> bool:
        while not self._stop.is_set():
            try:
                self._queue.put(item, timeout=_POLL_S)
            except queue.Full:
                continue
            return True
        return False


class BackgroundWriter(Generic[Item]):
    """Does `work` in a thread of its own, on one item at a time: `put` waits until the item before it is done.

    To be used as a context, whose end waits for the last item. An error of the work is raised by what comes next.
    """

    def __init__(self, work: Callable[[Item], None]) -> None:
        self._work = work
        self._thread: threading.Thread | None = None
        self._error: BaseException | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self.wait()
        except BaseException:
            if error is None:  # the first error is reported
                raise

    def put(self, item: Item) -> None:
        """Give the next item to the thread."""
        self.wait()
        thread = threading.Thread(target=self._run, args=(item,), name="writer", daemon=True)
        thread.start()  # which fails where memory is short; only one that runs is waited for
        self._thread = thread

    def wait(self) -> None:
        """Until nothing is being done."""
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        if self._error is not None:
            error, self._error = self._error, None
            raise error

    def _run(self, item: Item) -> None:
        try:
            self._work(item)
        except BaseException as error:
            self._error = error


class PreparedSlice(NamedTuple):
    """A slice as the network sees it.

    Attributes:
        z: its position.
        planes: [E, Y, X] of E scans, prepared; filled where nothing was measured.
        mask: [Y, X], where all scans were measured; None: everywhere.
    """

    z: int
    planes: np.ndarray
    mask: Mask | None


class SliceOfUnit(NamedTuple):
    """A slice that is predicted.

    Attributes:
        unit: the unit that it belongs to.
        z: its position.
        txm: [E (2 context + 1), Y, X], the slice with its context, of E scans one after the other.
        mask: [Y, X], where the slice itself was measured, by all scans; None: everywhere.
    """

    unit: Unit
    z: int
    txm: np.ndarray
    mask: Mask | None


def prepared_slices(
    field: FieldOfView, units: list[Unit], context: int, preparation: Preparation
) -> Iterator[PreparedSlice]:
    """Every slice that `units` are predicted from, read once and prepared once, in order."""
    depth, height, width = field.volume.shape
    itemsize = sum(scan.volume.dtype.itemsize for scan in field.scans)
    most = max(1, min(_MOST_SLICES, _READ_BYTES // (height * width * itemsize)))
    for start, stop in plan_reads(units, context, depth, most):
        slabs = [scan.volume.read(start, stop) for scan in field.scans]
        for z in range(start, stop):
            seen = [
                _prepared(scan, slab[z - start].copy(), z, preparation)  # a view would keep all of the slab
                for scan, slab in zip(field.scans, slabs, strict=True)
            ]
            masks = [mask for _, mask in seen if mask is not None]
            known = np.logical_and.reduce(masks) if masks else None
            yield PreparedSlice(z, np.stack([plane for plane, _ in seen]), known)
        del slabs  # before the next are read


def _prepared(
    field: FieldOfView, plane: np.ndarray, z: int, preparation: Preparation
) -> tuple[np.ndarray, Mask | None]:
    """A slice [Y, X] of one scan as the network sees it, and where it was measured."""
    mask = field.of(plane, z)
    return preparation.apply(field.filled(plane, mask)), mask


class HeldSlices:
    """Slices that are read in order, of which as many are held as are needed at a time."""

    def __init__(self, slices: Iterator[PreparedSlice], context: int, depth: int) -> None:
        """Slices of a volume of `depth`, that are needed with `context` slices on each side."""
        self._slices, self._context, self._last = slices, context, depth - 1
        self._held: dict[int, PreparedSlice] = {}

    def hold(self, wanted: range) -> None:
        """Hold these slices and their context; slices before them are wanted no more."""
        first, last = self._with_context(wanted[0])[0], self._with_context(wanted[-1])[-1]
        for old in [n for n in self._held if n < first]:
            del self._held[old]
        while last not in self._held:
            slice_ = next(self._slices)
            self._held[slice_.z] = slice_

    def slab(self, z: int) -> np.ndarray:
        """A slice with its context, `[E (2 context + 1), Y, X]`; at the ends the outermost slice is repeated."""
        slab = np.stack([self._held[n].planes for n in self._with_context(z)], axis=1)  # [E, 2 context + 1, Y, X]
        return slab.reshape(-1, *slab.shape[2:])

    def mask(self, z: int) -> Mask | None:
        """Where a slice was measured."""
        return self._held[z].mask

    def _with_context(self, z: int) -> list[int]:
        return [min(max(n, 0), self._last) for n in range(z - self._context, z + self._context + 1)]


def with_context(slices: Iterator[PreparedSlice], units: list[Unit], context: int, depth: int) -> Iterator[SliceOfUnit]:
    """Every slice of the units with its context; at the ends of the volume the outermost slice is repeated."""
    held = HeldSlices(slices, context, depth)
    for unit in units:
        for z in range(unit.z0, unit.z1):
            held.hold(range(z, z + 1))
            yield SliceOfUnit(unit, z, held.slab(z), held.mask(z))


def prefetched_slices(
    field: FieldOfView, units: list[Unit], context: int, preparation: Preparation
) -> Prefetcher[PreparedSlice]:
    """`prepared_slices` in a thread of their own."""
    return Prefetcher(prepared_slices(field, units, context, preparation), _WAITING)
