"""One volume that is predicted: its units are made, judged, and closed into what was asked for."""

from __future__ import annotations

import hashlib
import json
import math
import os
import sys
from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, closing
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from txm2sem_core import io
from txm2sem_core.errors import ConfigError, InputError, print_warnings
from txm2sem_core.inference.coherence import hold_together
from txm2sem_core.inference.compatibility import slices_unlike_training, volume_warnings
from txm2sem_core.inference.ensemble import EnsemblePredictor
from txm2sem_core.inference.fingerprint import digest_of_units, job_digest, result_digest
from txm2sem_core.inference.guided_blocks import blocks_of, guided_slices
from txm2sem_core.inference.input_checks import check_scans, histogram_warnings
from txm2sem_core.inference.outputs import VolumeOutput
from txm2sem_core.inference.parallel import parallel_map
from txm2sem_core.inference.streaming import BackgroundWriter, PreparedSlice, prefetched_slices, with_context
from txm2sem_core.inference.unit_builder import (
    PredictedSlice,
    UnitBuilder,
    add_content,
    predict_slice,
    recorded_outside,
)
from txm2sem_core.io import UnitStore, Volume
from txm2sem_core.io.field_of_view import FieldOfView
from txm2sem_core.io.units import Unit, plan_slab
from txm2sem_core.provenance import know_files, versions
from txm2sem_core.runtime.allocator import empty_unpooled, give_back_freed_memory
from txm2sem_core.runtime.progress import progress

_MOST_REMEMBERED = 256 * 2**20  # bytes of slices that are looked at several times before the prediction begins
OnProgress = Callable[[int, int], None]
ShouldStop = Callable[[], bool]


@dataclass(frozen=True)
class PredictedVolume:
    """What `predict_volume` did.

    Attributes:
        path: the volume.
        whole: the volume is complete; False after a slab, or where `should_stop` stopped it: then the next call
        resumes.
        clipped: voxels that were clipped to the dtype's bounds, of all units of the volume or slab.
        made: units that this call made; the others existed already.
        units: of the volume or slab, by number: slices and checksums of the files.
    """

    path: Path
    whole: bool
    clipped: int
    made: int
    units: dict[str, dict[str, Any]]

    @property
    def digest(self) -> str:
        """SHA-256 over the checksums of the files: equal voxels, written by the same versions, have the same."""
        files = {number: unit.get("files") for number, unit in self.units.items()}
        return hashlib.sha256(json.dumps(files, sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True)
class Part:
    """What of a volume is to be done; by default all.

    Attributes:
        slab: (number from 1, of how many): make the units of this slab, and leave the volume unfinished.
        only_finish: make no unit, only the pyramid, and put the volume in place.
        on_progress: called with the slices that are done and their number in all, at first and after every slice.
        should_stop: asked before every slice; True leaves what is done for the next call.
    """

    slab: tuple[int, int] | None = None
    only_finish: bool = False
    on_progress: OnProgress | None = None
    should_stop: ShouldStop | None = None

    def __post_init__(self) -> None:
        if self.slab is not None and not 1 <= self.slab[0] <= self.slab[1]:
            raise ConfigError(f"slab: {self.slab[0]}/{self.slab[1]} is no slab; slabs are counted from 1/N to N/N.")
        if self.slab is not None and self.only_finish:
            raise ConfigError("slab: a slab is no whole volume. Finish in a call of its own, after all slabs.")


class Units(Protocol):
    """What keeps the units of a volume that is being made."""

    def writing(self) -> AbstractContextManager[Any]:
        """Units may be written."""

    def closing(self) -> AbstractContextManager[bool]:
        """No other writes; whether a unit is there."""

    def missing(self, units: Iterable[Unit], /) -> tuple[list[Unit], list[Unit]]:
        """Those that are missing, and those of them that were changed."""

    def write(self, unit: Unit, voxels: np.ndarray, notes: Mapping[str, Any]) -> None:
        """Keep a unit, and notes on it."""

    def marks(self, units: Iterable[Unit]) -> dict[str, dict[str, Any]]:
        """The notes, by the units' numbers."""

    def discard(self) -> None:
        """Keep nothing."""


class VolumeJob(ABC):
    """The prediction of one volume, by its units; where they are kept and what becomes of them is of a subclass."""

    def __init__(
        self, output: VolumeOutput, source: Volume, target: Path, voxel_size_nm: io.VoxelSize | None, name: str
    ) -> None:
        self.output, self.source, self.target, self.name = output, source, target, name
        predictor = output.predictor
        check_scans(predictor, source)
        f = predictor.factor
        depth, height, width = source.shape
        self.shape = (depth, height * f, width * f)
        z_nm, y_nm, x_nm = voxel_size_nm or source.voxel_size_nm or (None, None, None)
        self.size_nm = (z_nm, None if y_nm is None else y_nm / f, None if x_nm is None else x_nm / f)
        self.field = FieldOfView(source.remembering(_MOST_REMEMBERED))
        self.warnings = [*volume_warnings(predictor, self.field, (z_nm, y_nm, x_nm)), *output.warnings]
        at_first = slices_unlike_training(predictor, self.field)  # all of them are judged at the end
        print_warnings(f"predict {name}", [*self.warnings, *at_first])
        self.field.volume = source

    @property
    @abstractmethod
    def store(self) -> Units:
        """Where the units are kept."""

    @abstractmethod
    def _close(self, marks: dict[str, dict[str, Any]]) -> None:
        """Turn the units into what was asked for."""

    def run(self, part: Part) -> PredictedVolume:
        """Make what is missing of the part, then close the volume unless it is a slab."""
        units = io.volume_units(self.shape)
        own = units if part.slab is None else plan_slab(units, *part.slab)
        made, stopped = 0, False
        if own and not part.only_finish:
            with self.store.writing():
                missing = self._missing(own)
                made = self._make(missing, own, part)
                stopped = made < len(missing)
                marks = self.store.marks(own)
        if part.slab is not None or stopped:
            return self._result(False, made, marks if own else {})
        with self.store.closing() as begun:
            if not begun and made:  # another process with the same digest was faster
                return self._result(True, made, marks)
            self._check_complete(units)
            marks = self.store.marks(units)
            self._judge_histograms(marks)
            self._judge_measured(marks)
            self._close(marks)
        return self._result(True, made, marks)

    def _missing(self, units: list[Unit]) -> list[Unit]:
        missing, damaged = self.store.missing(units)
        for unit in damaged:
            print(
                f"predict {self.name}: warning: slices {unit.z0} to {unit.z1 - 1} (unit {unit.index}) were changed "
                "after they were written; they are made again.",
                file=sys.stderr,
            )
        if there := len(units) - len(missing):
            print(f"predict {self.name}: {there} of {len(units)} units are there already.", file=sys.stderr)
        return missing

    def _make(self, missing: list[Unit], own: list[Unit], part: Part) -> int:
        """Predict the missing units; returns how many were made before `should_stop` was True."""
        total = sum(unit.z1 - unit.z0 for unit in own)
        done = total - sum(unit.z1 - unit.z0 for unit in missing)
        predictor = self.output.predictor
        depth = self.source.shape[0]
        members = predictor.members if isinstance(predictor, EnsemblePredictor) else (predictor,)
        for member in members if missing else ():  # where a volume is only closed, nothing is drawn
            hold_together(member, self.field, self.size_nm, self.name)
        made = 0
        if part.on_progress is not None:
            part.on_progress(done, total)
        read = blocks_of(missing, depth) if predictor.reach_z else missing
        around = predictor.context + predictor.reach_z
        with (
            prefetched_slices(self.field, read, around, predictor.preparation) as slices,
            BackgroundWriter(self._write) as writer,
            closing(self._predicted(iter(slices), missing, part)) as predicted,
        ):
            unit: UnitBuilder | None = None
            for slice_ in progress(predicted, f"predict {self.name}", total, "slices", done):
                if part.should_stop is not None and part.should_stop():
                    break
                unit = unit or UnitBuilder(slice_.unit, self._empty(slice_.unit))
                unit.add(slice_)
                if slice_.z == slice_.unit.z1 - 1:
                    writer.put((unit.unit, unit.voxels, unit.notes()))
                    unit = None
                    give_back_freed_memory()  # or gaps between what is kept would grow from unit to unit
                    made += 1
                done += 1
                if part.on_progress is not None:
                    part.on_progress(done, total)
        return made

    def _predicted(self, slices: Iterator[PreparedSlice], missing: list[Unit], part: Part) -> Generator[PredictedSlice]:
        """The slices of the missing units in order: each by itself, or drawn together by blocks."""
        predictor = self.output.predictor
        depth, height, width = self.source.shape
        if predictor.reach_z:
            yield from guided_slices(self.output, slices, missing, depth, part.should_stop or (lambda: False))
            return
        each = with_context(slices, missing, predictor.context, depth)
        at_once = predictor.planes_at_once(height, width)
        with closing(parallel_map(partial(predict_slice, self.output), each, at_once)) as predicted:
            yield from predicted

    def _empty(self, unit: Unit) -> np.ndarray:
        several = len(self.output.channels)
        shape = (unit.z1 - unit.z0, *self.shape[1:])
        return empty_unpooled((several, *shape) if several else shape, self.output.predictor.sem_dtype)

    def _write(self, item: tuple[Unit, np.ndarray, dict[str, Any]]) -> None:
        self.store.write(*item)

    def _check_complete(self, units: list[Unit]) -> None:
        missing, damaged = self.store.missing(units)
        if missing:
            first = missing[0]
            kind = f" ({len(damaged)} of them changed after they were written)" if damaged else ""
            raise InputError(
                f"{self.target}: {len(missing)} of {len(units)} units are missing{kind}, the first with slices "
                f"{first.z0} to {first.z1 - 1} of axis z. Predict their slabs, or the volume without --finish, which "
                "makes what is missing."
            )

    def _judge_histograms(self, marks: dict[str, dict[str, Any]]) -> None:
        """Compare the histogram of the whole volume, however it was cut into jobs, with the training slices'."""
        scans = zip(self.output.predictor.learnt_scans, self.source.scans, strict=True)
        for number, (learnt, scan) in enumerate(scans, start=1):
            found = histogram_warnings(learnt.distribution, marks, scan.source, number)
            self.warnings += found
            print_warnings(f"predict {self.name}", found)

    def _judge_measured(self, marks: dict[str, dict[str, Any]]) -> None:
        """Say where nothing was measured, and so nothing predicted.

        Raises:
            InputError: nothing was measured at all.
        """
        share = self._measured_share(marks)
        if share == 0:
            self.store.discard()
            raise InputError(
                f"{self.source.source}: nothing was measured: each of its slices is NaN or has one value, within its "
                "mask if it has one. Give another volume, export it again, or correct the mask."
            )
        if share < 1:
            value = self._outside()
            warning = f"{share:.1%} of {self.source.source} was measured; elsewhere the predicted volume is {value}."
            self.warnings.append(warning)
            print_warnings(f"predict {self.name}", [warning])

    def _measured_share(self, marks: dict[str, dict[str, Any]]) -> float:
        unmeasured = sum(int(mark.get("unmeasured", 0)) for mark in marks.values())
        return 1 - unmeasured / math.prod(self.source.shape)

    def _outside(self) -> int | str:
        predictor = self.output.predictor
        return recorded_outside(predictor.sem_dtype, predictor.predicts_classes)

    def _result(self, whole: bool, made: int, marks: dict[str, dict[str, Any]]) -> PredictedVolume:
        clipped = sum(int(mark.get("clipped", 0)) for mark in marks.values())
        if clipped:
            dtype = self.output.predictor.sem_dtype
            print(f"predict {self.name}: {clipped} voxels were clipped to {dtype}.", file=sys.stderr)
        return PredictedVolume(self.target, whole, clipped, made, marks)


class FileJob(VolumeJob):
    """The prediction of a volume into a file; its units lie beside it until it is whole (`io.unit_store`)."""

    def __init__(
        self,
        output: VolumeOutput,
        source: Volume,
        target: Path,
        voxel_size_nm: io.VoxelSize | None,
        name: str,
        *,
        overwrite: bool,
    ) -> None:
        super().__init__(output, source, target, voxel_size_nm, name)
        self.overwrite = overwrite
        predictor = output.predictor
        version = "0.5" if self._as_tiff else predictor.settings.ome_zarr
        described = {**output.describe(), **({"ome_zarr": version} if version != "0.5" else {})}
        digest = job_digest(predictor.identity(), source, described)
        self.result = result_digest(predictor.identity(), source, {**described, "size_nm": self.size_nm})
        self._units = UnitStore(target, digest, self.shape, predictor.sem_dtype, output.channels, version)

    @property
    def store(self) -> UnitStore:
        """Beside the target."""
        return self._units

    def _write(self, item: tuple[Unit, np.ndarray, dict[str, Any]]) -> None:
        """Keep a unit, and while the next is predicted what the pyramid has above it."""
        super()._write(item)
        if not self._as_tiff:
            self.store.build_over(item[0])

    def finished(self) -> PredictedVolume | None:
        """The volume, if it is there and the same; None if it is not there, or to be replaced.

        Raises:
            InputError: another stands there, and is not to be replaced.
        """
        files = self.output.files(self.target) if self._as_tiff else [self.target]
        standing = [file for file in files if os.path.lexists(file)]
        if self.overwrite or not all(self._is_same(io.read_marks(file)) for file in standing):
            for file in standing:
                io.check_standing(file, folder=not self._as_tiff, overwrite=self.overwrite)
            return None
        if len(standing) < len(files):
            return None
        try:
            io.open_volume(self.target)
        except InputError as error:
            raise InputError(f"{error} To do so in its place, give --overwrite.") from error
        print(f"predict {self.name}: {self.target} is there already, of the same model and input.", file=sys.stderr)
        return PredictedVolume(self.target, True, 0, 0, {})

    def _is_same(self, marks: Mapping[str, Any]) -> bool:
        """Whether a finished volume was made as this one would be, by the marks in it."""
        return marks.get("result_sha256") == self.result and marks.get("input_sha256") == self._input_digest

    def _close(self, marks: dict[str, dict[str, Any]]) -> None:
        """Turn the units into what was asked for."""
        if self._as_tiff:
            files, made_from = self.output.files(self.target), self._marks(marks)
            io.write_volume_tiffs(
                files, self._planes(), self.size_nm, self.shape[0], marks=made_from, overwrite=self.overwrite
            )
            self.store.discard()
        else:
            self.store.build_pyramid()
            written = self.store.written()
            self.store.put_in_place(self.size_nm, self._attributes(marks), overwrite=self.overwrite)
            know_files(self.target, written)

    @property
    def _as_tiff(self) -> bool:
        return not self.target.name.endswith(".zarr")

    @cached_property
    def _input_digest(self) -> str:
        """Of the input as it would be read for a prediction, unit by unit as marks have it."""
        units, total = io.volume_units(self.shape), self.shape[0]
        digests = {unit.index: hashlib.sha256() for unit in units}
        with prefetched_slices(self.field, units, 0, self.output.predictor.preparation) as slices:
            of_units = with_context(iter(slices), units, 0, total)
            for slice_ in progress(of_units, f"predict {self.name}: is the input the same", total, "slices"):
                add_content(digests[slice_.unit.index], slice_.txm, slice_.mask)
        return digest_of_units({str(index): digest.hexdigest() for index, digest in digests.items()})

    def _marks(self, marks: dict[str, dict[str, Any]]) -> dict[str, Any]:
        """What tells later that this volume was made of these, by whatever name the input had; and what was measured.

        Without a word of the latter all of it was.
        """
        inputs = {number: str(mark["input_sha256"]) for number, mark in marks.items()}
        made_of = {"result_sha256": self.result, "input_sha256": digest_of_units(inputs)}
        share = self._measured_share(marks)
        if share == 1:
            return made_of
        whole = io.ranges_as_text(sorted(z for mark in marks.values() for z in mark.get("whole", [])))
        stated = {io.UNMEASURED: self._outside(), "measured_share": round(share, 6)}
        return {**made_of, **stated, **({io.WHOLE_SLICES: whole} if whole else {})}

    def _attributes(self, marks: dict[str, dict[str, Any]]) -> dict[str, Any]:
        """Where the volume comes from and what makes it doubtful; the same however it was cut into jobs."""
        attributes = self.output.attributes(self.warnings)
        attributes["txm2sem"] |= {
            **self.output.predictor.origin(),
            **self._marks(marks),
            "made_with": versions("torch", "numpy", "zarr"),
        }
        return attributes

    def _planes(self) -> Iterator[np.ndarray]:
        """Planes [C, Y, X] of the units, C = 1 without channels."""
        for unit in io.volume_units(self.shape):
            voxels = self.store.read(unit)
            if not self.output.channels:
                voxels = voxels[None]
            yield from voxels.swapaxes(0, 1)
