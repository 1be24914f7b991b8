"""What became of each pair, and the tables that say it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from txm2sem_core import io
from txm2sem_core.geometry import Crop, Matrix
from txm2sem_core.registration.bending import Bending
from txm2sem_core.registration.estimate import Registration
from txm2sem_core.registration.placing import describe
from txm2sem_core.registration.stretching import Stretch, record_of_stretch
from txm2sem_core.samples.raw_pairs import RawPair

NAN = float("nan")
AT_END = "at the end of the volume, perhaps beyond it"
MEASURES = (
    "correlation_before",
    "correlation_after",
    "similarity_before",
    "similarity_after",
    "similarity_chance",
    "disagreement_px",
    "mirrored",
    "rotation_deg",
    "scale",
    "shift_x_px",
    "shift_y_px",
    "overlap",
    "fixed_measured",
    "moving_measured",
)


@dataclass(frozen=True)
class InVolume:
    """Where a slice lies in the volume."""

    plane: Matrix  # [3, 4], from its pixel (x, y, n, 1) to the voxel (x, y, z); see `planes`
    grid: Matrix  # the same from a pixel of the cropped images
    centre_z: float  # of the slice
    tilt_deg: float
    held: bool  # believed since it lies where its neighbours put it
    at_end: bool  # whether it may lie beyond the volume (see `volume_placing.at_end`)
    along: tuple[float, float] = (NAN, NAN)  # from where to where along the mean normal of all, in
    # heights of voxels


@dataclass(frozen=True)
class Outcome:
    """What became of one pair. Without a registration there is no crop either."""

    pair: RawPair
    registration: Registration | None
    crop: Crop
    reasons: list[str]
    digests: dict[str, str]  # file kind to SHA-256; empty for a refused pair
    taken: Sequence[str] = ()  # off the FIB-SEM slice and out of it, in words
    beside: tuple[float, float] = (NAN, NAN)  # see `neighbours`
    in_volume: InVolume | None = None  # of a pair whose plane was sought
    bending: Bending | None = None  # of an accepted pair where `bend_px` allows it
    stretch: Stretch | None = None  # of an accepted pair where it was asked
    hint: str = ""  # of a refused pair: what is wrong and what to do, as far as it was found

    @property
    def accepted(self) -> bool:
        """Whether the pair can be used."""
        return not self.reasons

    @property
    def verdict(self) -> str:
        """Why the pair was refused; empty for an accepted one."""
        return "; ".join([*self.reasons, *([self.hint] if self.hint else [])])

    @property
    def found(self) -> str:
        """How an accepted slice lies and what was cut off, in words; empty where nothing is unusual."""
        words = [describe(self.registration)] if self.registration is not None and self.accepted else []
        if self.in_volume is not None and self.accepted:
            where = self.in_volume
            words.append(f"centre at z {where.centre_z:.1f}, tilt {where.tilt_deg:.1f} degrees")
            words += ["held by its neighbours"] if where.held else []
            words += [AT_END] if where.at_end else []
        words += [bent_in_words(self.bending)] if self.bending is not None else []
        words += [self.stretch.in_words] if self.stretch is not None else []
        return ", ".join(word for word in [*words, *self.taken] if word)


def write_tables(outcomes: list[Outcome], output: Path) -> None:
    """Write the three tables.

    `quality.csv` has a row for every pair, `index.csv` one for every accepted pair, `transforms.json` an entry for
    every pair that got a transform, refused ones among them, so that a figure can show what was refused. A hidden file
    beside them says that they are ours, since they have no room for a mark.
    """
    index = pd.DataFrame([_index_row(outcome) for outcome in outcomes if outcome.accepted])
    transforms = {
        o.pair.pair: {"matrix": o.registration.matrix.tolist(), "crop": o.crop._asdict(), "z": o.pair.z}
        | {"accepted": o.accepted}
        | bend_record(o.bending)
        for o in outcomes
        if o.registration is not None
    }
    io.write_json(output / "transforms.json", transforms)
    io.write_csv(output / "quality.csv", _whole_z(pd.DataFrame([_quality_row(outcome) for outcome in outcomes])))
    io.write_csv(output / "index.csv", _whole_z(index))
    digests = {name: io.sha256_file(output / name) for name in ("transforms.json", "quality.csv", "index.csv")}
    io.write_json(output / io.MANIFEST, {**io.MARK, "sha256": digests})


def bent_in_words(bending: Bending) -> str:
    """By how much a slice is bent; empty where it is not."""
    if bending.bend is None:
        return ""
    return f"bent by up to {bending.greatest_px:.1f} pixels (in the median by {bending.median_px:.1f})"


def bend_record(bending: Bending | None) -> dict[str, Any]:
    """The bend of a slice as JSON has it, beside its matrix (see `bends`); nothing where it is not bent."""
    return {} if bending is None or bending.bend is None else {"bend": bending.bend.record()}


def bend_columns(bending: Bending | None) -> dict[str, float]:
    """By how much a slice is bent, and by how much parts that had no say became more alike, or less."""
    of = bending or Bending()
    return {
        "bend_max_px": of.greatest_px,
        "bend_median_px": of.median_px,
        "bend_gain": of.gain,
        "bend_disagreement": of.disagreement,
    }


def _whole_z(table: pd.DataFrame) -> pd.DataFrame:
    return table.astype({"z": "Int64"})  # a missing z would turn the others into 8.0


def _where(outcome: Outcome) -> dict[str, Any]:
    """Columns of a pair whose plane was sought."""
    if not outcome.pair.sought:
        return {}
    where = outcome.in_volume
    if where is None:
        return {"centre_z": NAN, "tilt_deg": NAN, "held": False, "at_end": False, "plane": ""}
    return {
        "centre_z": where.centre_z,
        "tilt_deg": where.tilt_deg,
        "held": where.held,
        "at_end": where.at_end,
        "plane": io.plane_as_text(where.plane),
    }


def _in_volume(outcome: Outcome) -> dict[str, Any]:
    """Columns by which patches are cut and split, of a pair whose plane was sought."""
    where = outcome.in_volume
    if where is None:
        return {}
    texts = {"plane": io.plane_as_text(where.plane), "grid": io.plane_as_text(where.grid)}
    return texts | {"along_first": where.along[0], "along_last": where.along[1], "finer": outcome.pair.finer}


def _quality_row(outcome: Outcome) -> dict[str, Any]:
    pair, crop = outcome.pair, outcome.crop
    measures = {name: getattr(outcome.registration, name, NAN) for name in MEASURES}
    return {
        "pair": pair.pair,
        "z": pair.z,
        "split": pair.split,
        **_where(outcome),
        **measures,
        **bend_columns(outcome.bending),
        **record_of_stretch(outcome.stretch),
        "stated_scale": pair.stated_scale,
        "similarity_to_previous": outcome.beside[0],
        "similarity_to_next": outcome.beside[1],
        "found": outcome.found,
        "crop_height": crop.y1 - crop.y0,
        "crop_width": crop.x1 - crop.x0,
        "accepted": outcome.accepted,
        "reasons": outcome.verdict,
    }


def _index_row(outcome: Outcome) -> dict[str, Any]:
    pair, crop = outcome.pair, outcome.crop
    return {
        "pair": pair.pair,
        "z": pair.z,
        "split": pair.split,
        **_in_volume(outcome),
        **crop._asdict(),
        "height": crop.y1 - crop.y0,
        "width": crop.x1 - crop.x0,
        **{name: f"pairs/{pair.pair}_{name}.tif" for name in outcome.digests},
        **{f"{name}_sha256": digest for name, digest in outcome.digests.items()},
    }
