"""The register stage: raw pairs in, cropped pairs, masks, transforms and the table of their quality out."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from txm2sem_core import io
from txm2sem_core.bends import Bend
from txm2sem_core.config import RegisterSettings
from txm2sem_core.errors import InputError, RegistrationError, print_warnings, printable
from txm2sem_core.geometry import Array, Crop, Matrix, common_crop, coverage, covered_by, touched_by, warp
from txm2sem_core.intensity.measured import Slice, filled, measured_share
from txm2sem_core.io.voxel_sizes import VoxelSize
from txm2sem_core.registration.bending import Bending, find_bend
from txm2sem_core.registration.data_bar import Bar
from txm2sem_core.registration.diagnosis import explain
from txm2sem_core.registration.estimate import Registration
from txm2sem_core.registration.frames import placed_on
from txm2sem_core.registration.landmarks import BY_HAND, place_by_landmarks
from txm2sem_core.registration.neighbours import similarity_beside
from txm2sem_core.registration.numbering import find_numbering
from txm2sem_core.registration.placing import Placed, Starts, place, place_anywhere, place_near
from txm2sem_core.registration.sem_slices import SemSlice, sem_of
from txm2sem_core.registration.stretching import Stretch, of_notable, record_of_stretch, stretch_of
from txm2sem_core.registration.tables import Outcome, bend_columns, bend_record, write_tables
from txm2sem_core.runtime.progress import progress
from txm2sem_core.samples.raw_pairs import RawPair
from txm2sem_core.samples.stated_scales import check_scale_of_pair
from txm2sem_core.samples.warnings import set_warnings, stretch_warnings

WRONG_NUMBER = "it passed, on a neighbouring slice"
FIRST_ALONE = 2  # refused pairs that are sought anywhere one after the other, until one is found
REMEDY = "Check that its two slices show the same place, or change the keys named, or leave the pair out"


class Read(NamedTuple):
    """The slices of a pair, the FIB-SEM slice prepared (see `sem_slices`), and the size of the TXM's pixels."""

    txm: Slice
    prepared: SemSlice
    voxel_size_nm: VoxelSize | None

    @property
    def sem(self) -> Slice:
        """The FIB-SEM slice, as it is registered."""
        return self.prepared.image


def register_pairs(pairs: Sequence[RawPair], settings: RegisterSettings, output: Path, workers: int = 1) -> None:
    """Register and crop every pair, in `workers` threads, and write into `output` (see `_write_tables`).

    `pairs/{pair}_{txm,sem,mask,charge}.tif` (and one for each extra mask of the pair, and for each further scan, as
    `{pair}_txm_2.tif`) are cropped to the largest rectangle that both slices cover, in their own data types; the mask
    is 255 where the slices can be used, 0 where the FIB-SEM slice is charged or one of them was not measured (see
    `measured`), `charge` is 255 where it is charged. What was not measured keeps its value; NaN takes that of the
    nearest pixel that was. Where masks of what was measured were given, or a slice holds NaN,
    `{pair}_txm_measured.tif` and `{pair}_sem_measured.tif` say it of the slice; the latter also where a data bar was
    cut off, and of a further detector.

    Raises:
        InputError: no pairs, a file that cannot be read, or shapes that do not fit.
        RegistrationError: a pair is refused and `settings.refused` is "stop", or all pairs are. Nothing is written.
    """
    if not pairs:
        raise InputError(f"{output}: there are no pairs to register. Check the folders in the sample table.")
    with io.atomic_path(output / "pairs") as folder, ThreadPoolExecutor(max_workers=max(1, workers)) as pool:
        folder.mkdir()
        try:
            outcomes = _all_pairs(pairs, settings, folder, pool)
            beside = pool.map(partial(similarity_beside, pairs=pairs, settings=settings), outcomes)
            outcomes = [replace(each, beside=to) for each, to in zip(outcomes, beside, strict=True)]
        except BaseException:
            pool.shutdown(cancel_futures=True)  # else the pairs that wait would still be registered
            raise
        check_refused(outcomes, settings)
    say_found(outcomes)
    _say_unmeasured([outcome.registration for outcome in outcomes if outcome.registration is not None])
    write_tables(outcomes, output)
    print_warnings("register", set_warnings(io.read_csv(output / "quality.csv")))


def _all_pairs(
    pairs: Sequence[RawPair], settings: RegisterSettings, folder: Path, pool: ThreadPoolExecutor
) -> list[Outcome]:
    """First every pair about where it is; then those refused anywhere, where one's place is a start for the others.

    A few are sought one after the other until one is found: so results do not depend on which thread is first.
    """
    results = pool.map(partial(_register_near, settings=settings, folder=folder), pairs)
    outcomes = list(progress(results, "register", len(pairs), "pairs"))
    refused = [i for i, outcome in enumerate(outcomes) if not outcome.accepted]
    numbering = find_numbering(pairs, [_margin(outcome) for outcome in outcomes], settings) if refused else None
    if numbering is not None:  # then those that passed are on a wrong slice as well
        return [replace(each, reasons=each.reasons or [WRONG_NUMBER], hint=numbering) for each in outcomes]
    starts: list[Matrix] = []
    for count, i in enumerate(refused):
        if starts or count == FIRST_ALONE or settings.transform == "none":
            rest = refused[count:]
            again = partial(_register_anywhere, settings=settings, folder=folder, starts=starts)
            found = pool.map(again, [outcomes[k] for k in rest])
            for k, outcome in zip(rest, progress(found, "search anywhere", len(rest), "refused pairs"), strict=True):
                outcomes[k] = outcome
            break
        outcomes[i] = _register_anywhere(outcomes[i], settings, folder, [])
        found_one = outcomes[i].registration
        if outcomes[i].accepted and found_one is not None:
            starts.append(found_one.matrix)
    return outcomes


def register_files(
    fixed: Path,
    moving: Path,
    output: Path,
    settings: RegisterSettings,
    mask: Path | None = None,
    *,
    measured: tuple[Path | None, Path | None] = (None, None),
    landmarks: Path | None = None,
    overwrite: bool = True,
) -> Registration:
    """Register one FIB-SEM slice: `registered.tif` on the TXM slice's grid, and `transform.json`, in `output`.

    With a mask of the FIB-SEM slice also `mask.tif`, brought along by the same transform. `measured` are masks of what
    was measured of the TXM and of the FIB-SEM slice; what was not keeps its value, NaN too. `landmarks` are points
    marked by hand, as BigWarp exports them. With `overwrite` an earlier registration of ours is replaced.

    Raises:
        InputError: one of these files is an input or something of the user's (see `io.check_output`); a file that
            cannot be read; or, with `transform: none`, shapes that differ.
        RegistrationError: the registration is refused. Nothing is written.
    """
    names = ["registered.tif", "transform.json", *(["mask.tif"] if mask is not None else [])]
    io.check_output([fixed, moving, mask, *measured, landmarks], files=[output / name for name in names])
    pair = RawPair(moving.stem, None, fixed, moving, txm_measured=measured[0], sem_measured=measured[1])
    pair = replace(pair, landmarks=() if landmarks is None else (landmarks,))
    slices = _read_slices(pair, settings)
    txm, sem, bar = slices.txm, slices.sem, slices.prepared.bar
    if np.array_equal(txm.image, sem.image):
        print_warnings("register", [f"{moving} and {fixed} are the same image to the last bit. Give a slice of each."])
    on_sem = None if mask is None else _read_on_sem(mask, moving, sem.shape)
    searched: Starts = {}
    by_hand = place_by_landmarks(pair, txm, sem, settings)
    placed = by_hand or place(txm, sem, settings, pair.stated_scale, searched=searched)
    found = placed.found
    if found is None or not placed.accepted:
        reasons = [*placed.reasons, *_unmeasured(txm, sem)]
        reasons += [BY_HAND if pair.landmarks else explain(txm, sem, settings, pair.stated_scale, searched)]
        raise RegistrationError(f"{moving} on {fixed}: refused, {'; '.join(reasons)}. {REMEDY}.")
    bending = _bending(txm, sem, found, settings)
    bend = None if bending is None else bending.bend
    registered = sem.image if settings.transform == "none" else placed_on(sem, found.matrix, txm.shape, bend)
    crop = _crop(found, settings, sem.shape, txm.shape, bar, bend)
    record: dict[str, Any] = {name: _finite(value) for name, value in asdict(found).items() if name != "matrix"}
    record |= {"matrix": found.matrix.tolist(), "crop": crop._asdict(), "transform": settings.transform, **io.MARK}
    record |= bend_record(bending) | {name: _finite(value) for name, value in bend_columns(bending).items()}
    stretch = _stretch(txm, sem, found, settings, bend)
    record |= record_of_stretch(stretch)
    io.write_tiff(output / "registered.tif", registered, io.read_voxel_size_nm(fixed), overwrite=overwrite)
    if on_sem is not None:
        on_txm = on_sem if settings.transform == "none" else warp(on_sem, found.matrix, txm.shape, order=0, bend=bend)
        io.write_tiff(output / "mask.tif", on_txm, io.read_voxel_size_nm(fixed), overwrite=overwrite)
    io.write_json(output / "transform.json", record, overwrite=overwrite)
    say_found([Outcome(pair, found, crop, [], {}, slices.prepared.taken, bending=bending, stretch=stretch)])
    print_warnings("register", stretch_warnings(of_notable({pair.pair: stretch}), 1, sought=False))
    _say_unmeasured([found])
    return found


def _finite(value: float) -> float | bool | None:
    if isinstance(value, bool):
        return value
    return float(value) if np.isfinite(value) else None


def _read_slices(pair: RawPair, settings: RegisterSettings) -> Read:
    if settings.transform != "none":
        check_scale_of_pair(pair)
    txm, sem = pair.read_txm(), sem_of(pair, settings)
    if settings.transform == "none" and txm.shape != (shape := sem.image.shape):
        raise InputError(
            f"{pair.txm} is {txm.shape} and {pair.registered_sem} is {shape} (Y, X): with register.transform = none "
            "the two must be of one shape. Crop them alike, or choose another transform."
        )
    return Read(txm, sem, pair.read_txm_size_nm())


def _has_nan(image: Array) -> bool:
    return image.dtype.kind == "f" and not np.isfinite(image).all()


def _finite_image(image: Array) -> Array:
    """`image` with the nearest value instead of NaN, which later stages do not read; the pair's mask leaves it out."""
    return filled(image, np.isfinite(image)) if _has_nan(image) else image


def _unmeasured(txm: Slice, sem: Slice) -> list[str]:
    """How much of a refused pair was not measured, in words; empty where all was."""
    shares = [(name, 1 - measured_share(image.mask)) for name, image in (("TXM", txm), ("FIB-SEM", sem))]
    said = " and ".join(f"{100 * share:.3g} % of the {name} slice" for name, share in shares if share)
    why = "one value up to the corners, or none, or outside of a given mask"
    return [f"{said} was not measured ({why}) and had no part in this"] if said else []


def _say_unmeasured(found: Sequence[Registration]) -> None:
    """Say in the log how much of the slices was not measured; nothing where all was."""
    for name, measures in (("TXM", "fixed_measured"), ("FIB-SEM", "moving_measured")):
        shares = [1 - getattr(registration, measures) for registration in found]
        if any(shares):
            print(
                f"register: {100 * np.mean(shares):.3g} % of the {name} slices (at most {100 * max(shares):.3g} % of "
                "one) was not measured: a given mask says so, or it has one value up to the corners, as outside of a "
                "tomogram's circle or at the border of an aligned stack, or no value. It has no part in the "
                "registration.",
                file=sys.stderr,
            )


def _read_on_sem(path: Path, sem_path: Path, shape: tuple[int, ...]) -> Array:
    image = io.read_image(path)
    if image.shape != shape:
        raise InputError(f"{path} is {image.shape} and {sem_path} is {shape} (Y, X): a mask must fit its slice.")
    return image


def _crop(
    found: Registration,
    settings: RegisterSettings,
    sem_shape: tuple[int, int],
    txm_shape: tuple[int, int],
    bar: Bar,
    bend: Bend | None = None,
) -> Crop:
    """The largest rectangle of the TXM slice that the FIB-SEM slice covers, but for its data bar."""
    if settings.transform == "none":
        return Crop(0, txm_shape[0], 0, txm_shape[1])
    below = np.array([[1, 0, 0], [0, 1, bar.top], [0, 0, 1]], dtype=np.float64)
    without = (sem_shape[0] - bar.top - bar.bottom, sem_shape[1])
    return common_crop(coverage(found.matrix @ below, without, txm_shape, bend))


def _bending(txm: Slice, sem: Slice, found: Registration, settings: RegisterSettings) -> Bending | None:
    """How an accepted slice is bent; None where it may not be."""
    return find_bend(txm, sem, found.matrix, settings) if settings.bend_px else None


def _stretch(
    txm: Slice, sem: Slice, found: Registration, settings: RegisterSettings, bend: Bend | None
) -> Stretch | None:
    """How an accepted slice would be stretched; not asked where a bend has taken that up."""
    return None if bend is not None else stretch_of(txm, sem, found.matrix, settings)


def _register_near(pair: RawPair, settings: RegisterSettings, folder: Path) -> Outcome:
    slices = _read_slices(pair, settings)
    txm, sem = slices.txm, slices.sem
    placed = place_by_landmarks(pair, txm, sem, settings) or place_near(txm, sem, settings, pair.stated_scale)
    return kept(pair, slices, images_on_sem(pair, sem.shape), placed, settings, folder)


def _register_anywhere(refused: Outcome, settings: RegisterSettings, folder: Path, starts: Sequence[Matrix]) -> Outcome:
    """A pair that was refused where it is, sought anywhere; with a hint where it is refused again."""
    pair = refused.pair
    if pair.landmarks:
        return replace(refused, hint=BY_HAND)
    slices = _read_slices(pair, settings)
    txm, sem = slices.txm, slices.sem
    placed, searched = None, Starts()
    if settings.transform != "none":
        placed = place_anywhere(txm, sem, settings, pair.stated_scale, starts, searched=searched)
    if placed is not None:
        return kept(pair, slices, images_on_sem(pair, sem.shape), placed, settings, folder)
    return replace(refused, hint=explain(txm, sem, settings, pair.stated_scale, searched))


def images_on_sem(pair: RawPair, shape: tuple[int, ...]) -> dict[str, Array]:
    """The masks of a FIB-SEM slice, by kind."""
    charge = {"charge": pair.charge} if pair.charge is not None else {}
    return {name: _read_on_sem(path, pair.sem, shape) for name, path in (charge | pair.extra).items()}


def kept(
    pair: RawPair,
    slices: Read,
    on_sem: dict[str, Array],
    result: Placed,
    settings: RegisterSettings,
    folder: Path,
) -> Outcome:
    """The outcome of a pair; of an accepted one the images are written."""
    txm, sem, found = slices.txm, slices.sem, result.found
    bar, taken = slices.prepared.bar, slices.prepared.taken
    if found is None:
        return Outcome(pair, None, Crop(0, 0, 0, 0), [*result.reasons, *_unmeasured(txm, sem)], {}, taken)
    if not result.accepted:
        crop = _crop(found, settings, sem.shape, txm.shape, bar)
        return Outcome(pair, found, crop, [*result.reasons, *_unmeasured(txm, sem)], {}, taken)
    bending = _bending(txm, sem, found, settings)
    bend = None if bending is None else bending.bend
    crop = _crop(found, settings, sem.shape, txm.shape, bar, bend).on_grid(pair.finer)
    learnt = slices.prepared.learnt or sem
    sem_measured = learnt.mask
    placed = {"sem": learnt.image} | on_sem
    if settings.transform != "none":
        placed = {name: _placed_mask(name, image, found.matrix, txm.shape, bend) for name, image in on_sem.items()}
        placed = {"sem": placed_on(learnt, found.matrix, txm.shape, bend)} | placed
        sem_measured = covered_by(sem_measured, found.matrix, txm.shape, bend)
    charged = io.not_zero(placed.pop("charge", np.zeros(txm.shape, dtype=np.uint8)))
    scans = {io.name_of_scan(number): scan for number, scan in enumerate([txm, *pair.read_further()], start=1)}
    seen = np.logical_and.reduce([scan.mask for scan in scans.values()])
    masks = {"mask": ~charged & seen & sem_measured, "charge": charged}
    # what later stages cannot find: NaN is filled below
    known = {name: scan for name, scan in scans.items() if scan.given is not None or _has_nan(scan.image)}
    masks |= {f"{name}_measured": scan.mask for name, scan in known.items()}
    told = pair.sem_measured is not None or pair.registered_by is not None or any(bar) or _has_nan(learnt.image)
    masks |= {"sem_measured": sem_measured} if told else {}
    of_scans = {name: scan.image for name, scan in scans.items()}
    images = {**of_scans, **{name: np.where(each, 255, 0).astype(np.uint8) for name, each in masks.items()}}
    digests = {}
    for name, image in (images | placed).items():
        path = folder / f"{pair.pair}_{name}.tif"
        io.write_tiff(path, _finite_image(crop.of(image)), slices.voxel_size_nm)
        digests[name] = io.sha256_file(path)
    stretch = _stretch(txm, sem, found, settings, bend)
    return Outcome(pair, found, crop, [], digests, taken, bending=bending, stretch=stretch)


def _placed_mask(name: str, image: Array, matrix: Matrix, shape: tuple[int, int], bend: Bend | None) -> Array:
    """A mask on the fixed grid: charged where any of the pixels within is, of other masks what most of them have."""
    if name == "charge":
        touched = touched_by(io.not_zero(image), matrix, shape, bend)
        return np.where(touched & coverage(matrix, image.shape, shape, bend), 255, 0)
    return warp(image, matrix, shape, order=0, bend=bend)


def _margin(outcome: Outcome) -> float | None:
    """How far an accepted pair stands above chance; None for a refused one."""
    found = outcome.registration
    return found.above_chance if outcome.accepted and found is not None else None


def check_refused(outcomes: list[Outcome], settings: RegisterSettings) -> None:
    """Say which pairs are refused; raise `RegistrationError` where the settings ask for that, or all are."""
    refused = [outcome for outcome in outcomes if not outcome.accepted]
    named = "\n".join(printable(f"  {o.pair.registered_sem} on {o.pair.txm}: {o.verdict}") for o in refused)
    if not refused:
        return
    if settings.refused == "exclude" and len(refused) < len(outcomes):
        print(f"register: {len(refused)} of {len(outcomes)} pairs are refused and left out:\n{named}", file=sys.stderr)
        return
    exclude = "" if len(refused) == len(outcomes) else " (register.refused = exclude does so by itself)"
    raise RegistrationError(f"{len(refused)} of {len(outcomes)} pairs are refused:\n{named}\n{REMEDY}{exclude}.")


def say_found(outcomes: Sequence[Outcome]) -> None:
    """Say in the log how slices lie that are not nearly on their partners, and what was cut off of them."""
    for outcome in outcomes:
        if outcome.found:
            print(
                printable(f"register: {outcome.pair.registered_sem} on {outcome.pair.txm}: {outcome.found}"),
                file=sys.stderr,
            )
