"""The register stage: raw pairs in, cropped pairs, masks, transforms and the table of their quality out."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from txm2sem_core import io
from txm2sem_core.config import RegisterSettings
from txm2sem_core.errors import InputError, RegistrationError, print_warnings, printable
from txm2sem_core.geometry import Array, Crop, Matrix, common_crop, coverage, covered_by, warp
from txm2sem_core.intensity.measured import Slice, filled, measured_share
from txm2sem_core.registration.diagnosis import explain
from txm2sem_core.registration.estimate import Registration, estimate_transform, judge
from txm2sem_core.registration.numbering import find_numbering
from txm2sem_core.runtime.progress import progress
from txm2sem_core.samples.raw_pairs import RawPair

MEASURES = (
    "correlation_before",
    "correlation_after",
    "similarity_before",
    "similarity_after",
    "similarity_chance",
    "disagreement_px",
    "rotation_deg",
    "scale",
    "shift_x_px",
    "shift_y_px",
    "overlap",
    "fixed_measured",
    "moving_measured",
)
REMEDY = "Check that its two slices show the same place, or change the keys named, or leave the pair out"


@dataclass(frozen=True)
class _Outcome:
    """What became of one pair. Without a registration there is no crop either."""

    pair: RawPair
    registration: Registration | None
    crop: Crop
    reasons: list[str]
    digests: dict[str, str]  # file kind to SHA-256; empty for a refused pair
    hint: str = ""  # of a refused pair: what is wrong and what to do, as far as it was found

    @property
    def accepted(self) -> bool:
        return not self.reasons

    @property
    def verdict(self) -> str:
        """Why the pair was refused; empty for an accepted one."""
        return "; ".join([*self.reasons, *([self.hint] if self.hint else [])])


def register_pairs(pairs: Sequence[RawPair], settings: RegisterSettings, output: Path, workers: int = 1) -> None:
    """Register and crop every pair, in `workers` threads, and write into `output` (see `_write_tables`).

    `pairs/{pair}_{txm,sem,mask,charge}.tif` (and one for each extra mask of the pair) are cropped to the largest
    rectangle that both slices cover, in their own data types; the mask is 255 where the slices can be used, 0 where the
    FIB-SEM slice is charged or one of the two was not measured (see `measured`), `charge` is 255 where it is charged.
    What was not measured keeps its value; NaN takes that of the nearest pixel that was. Where masks of what was
    measured were given, or a slice holds NaN, `{pair}_txm_measured.tif` and `{pair}_sem_measured.tif` say it of the
    slice.

    Raises:
        InputError: no pairs, a file that cannot be read, or shapes that do not fit.
        RegistrationError: a pair is refused and `settings.refused` is "stop", or all pairs are. Nothing is written.
    """
    if not pairs:
        raise InputError(f"{output}: there are no pairs to register. Check the folders in the sample table.")
    with io.atomic_path(output / "pairs") as folder, ThreadPoolExecutor(max_workers=max(1, workers)) as pool:
        folder.mkdir()
        results = pool.map(partial(_register_pair, settings=settings, folder=folder), pairs)
        try:
            outcomes = list(progress(results, "register", len(pairs), "pairs"))
            outcomes = _explained(outcomes, settings, pool)
        except BaseException:
            pool.shutdown(cancel_futures=True)  # else the pairs that wait would still be registered
            raise
        _check_refused(outcomes, settings)
    _say_unmeasured([outcome.registration for outcome in outcomes if outcome.registration is not None])
    _write_tables(outcomes, output)


def register_files(
    fixed: Path,
    moving: Path,
    output: Path,
    settings: RegisterSettings,
    mask: Path | None = None,
    *,
    measured: tuple[Path | None, Path | None] = (None, None),
    overwrite: bool = True,
) -> Registration:
    """Register one FIB-SEM slice: `registered.tif` on the TXM slice's grid, and `transform.json`, in `output`.

    With a mask of the FIB-SEM slice also `mask.tif`, brought along by the same transform. `measured` are masks of what
    was measured of the TXM and of the FIB-SEM slice; what was not keeps its value, NaN too. With `overwrite` an earlier
    registration of ours is replaced.

    Raises:
        InputError: one of these files is an input or something of the user's (see `io.check_output`); a file that
            cannot be read; or, with `transform: none`, shapes that differ.
        RegistrationError: the registration is refused. Nothing is written.
    """
    names = ["registered.tif", "transform.json", *(["mask.tif"] if mask is not None else [])]
    io.check_output([fixed, moving, mask, *measured], files=[output / name for name in names])
    pair = RawPair(moving.stem, None, fixed, moving, txm_measured=measured[0], sem_measured=measured[1])
    txm, sem = _read_slices(pair, settings)
    if np.array_equal(txm.image, sem.image):
        print_warnings("register", [f"{moving} and {fixed} are the same image to the last bit. Give a slice of each."])
    on_sem = None if mask is None else _read_on_sem(mask, moving, sem.shape)
    try:
        found = estimate_transform(txm, sem, settings)
        reasons = judge(found, settings, txm.shape)
    except RegistrationError as error:
        reasons = [str(error)]
    if reasons:
        reasons += [*_unmeasured(txm, sem), explain(txm, sem, settings, _stated_scale(pair))]
        raise RegistrationError(f"{moving} on {fixed}: refused, {'; '.join(reasons)}. {REMEDY}.")
    registered = sem.image if settings.transform == "none" else _placed(sem, found.matrix, txm.shape)
    crop = _crop(found, settings, sem.shape, txm.shape)
    record: dict[str, Any] = {name: _finite(value) for name, value in asdict(found).items() if name != "matrix"}
    record |= {"matrix": found.matrix.tolist(), "crop": crop._asdict(), "transform": settings.transform, **io.MARK}
    io.write_tiff(output / "registered.tif", registered, io.read_voxel_size_nm(fixed), overwrite=overwrite)
    if on_sem is not None:
        placed = on_sem if settings.transform == "none" else warp(on_sem, found.matrix, txm.shape, order=0)
        io.write_tiff(output / "mask.tif", placed, io.read_voxel_size_nm(fixed), overwrite=overwrite)
    io.write_json(output / "transform.json", record, overwrite=overwrite)
    _say_unmeasured([found])
    return found


def _finite(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def _read_slices(pair: RawPair, settings: RegisterSettings) -> tuple[Slice, Slice]:
    txm, sem = pair.read_txm(), pair.read_sem()
    if settings.transform == "none" and txm.shape != sem.shape:
        raise InputError(
            f"{pair.txm} is {txm.shape} and {pair.sem} is {sem.shape} (Y, X): with register.transform = none the two "
            "must be of one shape. Crop them alike, or choose another transform."
        )
    return txm, sem


def _placed(sem: Slice, matrix: Matrix, shape: tuple[int, int]) -> Array:
    """A slice on the fixed grid. Where it was not measured, by nearest neighbour: it mixes with nothing."""
    if sem.mask.all():
        return warp(sem.image, matrix, shape)
    within = covered_by(sem.mask, matrix, shape)
    return np.where(within, warp(sem.filled, matrix, shape), warp(sem.image, matrix, shape, order=0))


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
    found: Registration, settings: RegisterSettings, sem_shape: tuple[int, int], txm_shape: tuple[int, int]
) -> Crop:
    if settings.transform == "none":
        return Crop(0, txm_shape[0], 0, txm_shape[1])
    return common_crop(coverage(found.matrix, sem_shape, txm_shape))


def _register_pair(pair: RawPair, settings: RegisterSettings, folder: Path) -> _Outcome:
    txm, sem = _read_slices(pair, settings)
    charge = {"charge": pair.charge} if pair.charge is not None else {}
    on_sem = {name: _read_on_sem(path, pair.sem, sem.shape) for name, path in (charge | pair.extra).items()}
    try:
        found = estimate_transform(txm, sem, settings)
    except RegistrationError as error:
        return _Outcome(pair, None, Crop(0, 0, 0, 0), [str(error), *_unmeasured(txm, sem)], {})
    crop = _crop(found, settings, sem.shape, txm.shape)
    reasons = judge(found, settings, txm.shape)
    if reasons:
        return _Outcome(pair, found, crop, [*reasons, *_unmeasured(txm, sem)], {})
    sem_measured = sem.mask
    placed = {"sem": sem.image} | on_sem
    if settings.transform != "none":
        placed = {name: warp(image, found.matrix, txm.shape, order=0) for name, image in on_sem.items()}
        placed = {"sem": _placed(sem, found.matrix, txm.shape)} | placed
        sem_measured = covered_by(sem_measured, found.matrix, txm.shape)
    charged = io.not_zero(placed.pop("charge", np.zeros(txm.shape, dtype=np.uint8)))
    masks = {"mask": ~charged & txm.mask & sem_measured, "charge": charged}
    # what later stages cannot find: NaN is filled below
    masks |= {"txm_measured": txm.mask} if pair.txm_measured is not None or _has_nan(txm.image) else {}
    masks |= {"sem_measured": sem_measured} if pair.sem_measured is not None or _has_nan(sem.image) else {}
    images = {"txm": txm.image, **{name: np.where(each, 255, 0).astype(np.uint8) for name, each in masks.items()}}
    voxel_size_nm = io.read_voxel_size_nm(pair.txm)
    digests = {}
    for name, image in (images | placed).items():
        path = folder / f"{pair.pair}_{name}.tif"
        io.write_tiff(path, _finite_image(crop.of(image)), voxel_size_nm)
        digests[name] = io.sha256_file(path)
    return _Outcome(pair, found, crop, [], digests)


def _explained(outcomes: list[_Outcome], settings: RegisterSettings, pool: ThreadPoolExecutor) -> list[_Outcome]:
    """The outcomes, those of refused pairs with a hint: of the numbers if these are wrong, else of each pair."""
    refused = [outcome for outcome in outcomes if not outcome.accepted]
    if not refused:
        return outcomes
    pairs = [outcome.pair for outcome in outcomes]
    margins = [_margin(outcome) for outcome in outcomes]
    numbering = find_numbering(pairs, margins, settings)
    if numbering is not None:
        hints = [numbering] * len(refused)
    else:
        found = pool.map(partial(_hint, settings=settings), [outcome.pair for outcome in refused])
        hints = list(progress(found, "look for what is wrong", len(refused), "refused pairs"))
    with_hint = dict(zip([outcome.pair.pair for outcome in refused], hints, strict=True))
    return [replace(outcome, hint=with_hint.get(outcome.pair.pair, "")) for outcome in outcomes]


def _margin(outcome: _Outcome) -> float | None:
    """How far an accepted pair stands above chance; None for a refused one."""
    found = outcome.registration
    return found.similarity_after - found.similarity_chance if outcome.accepted and found is not None else None


def _hint(pair: RawPair, settings: RegisterSettings) -> str:
    return explain(*_read_slices(pair, settings), settings, _stated_scale(pair))


def _check_refused(outcomes: list[_Outcome], settings: RegisterSettings) -> None:
    refused = [outcome for outcome in outcomes if not outcome.accepted]
    named = "\n".join(printable(f"  {o.pair.sem} on {o.pair.txm}: {o.verdict}") for o in refused)
    if not refused:
        return
    if settings.refused == "exclude" and len(refused) < len(outcomes):
        print(f"register: {len(refused)} of {len(outcomes)} pairs are refused and left out:\n{named}", file=sys.stderr)
        return
    exclude = "" if len(refused) == len(outcomes) else " (register.refused = exclude does so by itself)"
    raise RegistrationError(f"{len(refused)} of {len(outcomes)} pairs are refused:\n{named}\n{REMEDY}{exclude}.")


def _write_tables(outcomes: list[_Outcome], output: Path) -> None:
    """Write the three tables.

    `quality.csv` has a row for every pair, `index.csv` one for every accepted pair, `transforms.json` an entry for
    every pair that got a transform, refused ones among them, so that a figure can show what was refused. A hidden file
    beside them says that they are ours, since they have no room for a mark.
    """
    index = pd.DataFrame([_index_row(outcome) for outcome in outcomes if outcome.accepted])
    transforms = {
        o.pair.pair: {"matrix": o.registration.matrix.tolist(), "crop": o.crop._asdict(), "z": o.pair.z}
        | {"accepted": o.accepted}
        for o in outcomes
        if o.registration is not None
    }
    io.write_json(output / "transforms.json", transforms)
    io.write_csv(output / "quality.csv", _whole_z(pd.DataFrame([_quality_row(outcome) for outcome in outcomes])))
    io.write_csv(output / "index.csv", _whole_z(index))
    digests = {name: io.sha256_file(output / name) for name in ("transforms.json", "quality.csv", "index.csv")}
    io.write_json(output / io.MANIFEST, {**io.MARK, "sha256": digests})


def _whole_z(table: pd.DataFrame) -> pd.DataFrame:
    return table.astype({"z": "Int64"})  # a missing z would turn the others into 8.0


def _quality_row(outcome: _Outcome) -> dict[str, Any]:
    pair, crop = outcome.pair, outcome.crop
    measures = {name: getattr(outcome.registration, name, float("nan")) for name in MEASURES}
    return {
        "pair": pair.pair,
        "z": pair.z,
        "split": pair.split,
        **measures,
        "stated_scale": _stated_scale(pair),
        "crop_height": crop.y1 - crop.y0,
        "crop_width": crop.x1 - crop.x0,
        "accepted": outcome.accepted,
        "reasons": outcome.verdict,
    }


def _stated_scale(pair: RawPair) -> float:
    """TXM pixels to a FIB-SEM pixel, as the files' own pixel sizes have it; NaN where one says nothing."""
    txm, sem = (io.read_voxel_size_nm(path) for path in (pair.txm, pair.sem))
    known = txm is not None and sem is not None and txm[2] and sem[2]
    return sem[2] / txm[2] if known else float("nan")  # type: ignore[index, operator]


def _index_row(outcome: _Outcome) -> dict[str, Any]:
    pair, crop = outcome.pair, outcome.crop
    return {
        "pair": pair.pair,
        "z": pair.z,
        "split": pair.split,
        **crop._asdict(),
        "height": crop.y1 - crop.y0,
        "width": crop.x1 - crop.x0,
        **{name: f"pairs/{pair.pair}_{name}.tif" for name in outcome.digests},
        **{f"{name}_sha256": digest for name, digest in outcome.digests.items()},
    }
