"""Where one more FIB-SEM slice would help most: `txm2sem suggest`.

A place of the TXM that is unlike all training slices may be predicted worse. How much worse is learnt from the test
patches: their squared errors over their novelty. What a slice at z would then save is the fall in novelty over the
whole volume if z belonged to the training slices, where samples or trainings disagree most counting most.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from txm2sem_core import io
from txm2sem_core.errors import ConfigError, InputError
from txm2sem_core.io.field_of_view import FieldOfView
from txm2sem_core.metrics.gaps import NOT_MEASURED, Gaps
from txm2sem_core.metrics.novelty import TILE_PX, Novelty, choose_next, describe_tiles
from txm2sem_core.samples.results import measured_txm, sample_folders

Real = NDArray[np.float64]
Row = dict[str, Any]
MOST_SLICES = 64  # of the volume, evenly, that are looked at
MOST_TILES = 256  # of each of them, drawn once and for all
DRAWS = 1000  # of the test patches, for the interval
LEAST_PATCHES = 8  # that do not overlap, to learn from them how errors depend on novelty
REPORTED = 3  # slices that the report suggests
SCORES = "metrics/patches.csv"  # of a sample's test patches
_ENDS = (5, 95)  # per cent


@dataclass(frozen=True)
class Places:
    """Slices of the volume that were looked at: for each its z, its tiles' descriptions, and what each tile counts."""

    z: list[int]
    described: list[Real]
    weight: list[Real]


@dataclass(frozen=True)
class ErrorFit:
    """How the squared error of a patch depends on its novelty.

    Attributes:
        slope: what one unit of novelty adds, as a share of the mean squared error; `low`, `high`: its 90 % interval.
        patches: that do not overlap, from which it was learnt; fewer than `LEAST_PATCHES` tell nothing.
    """

    slope: float = np.nan
    low: float = np.nan
    high: float = np.nan
    patches: int = 0


@dataclass(frozen=True)
class Suggestions:
    """Slices of the volume, what a FIB-SEM slice there would be worth, and from what that was learnt.

    Attributes:
        slices: a row for each that was looked at: `z`; `order`, 1, 2 ... of those suggested, else 0; `nearest_pair`,
            slices to the nearest pair; `novelty`, 1 where a place is as new as the training slices are to one another;
            `disagreement`, variance between the volumes over its mean; `gain`, `gain_low`, `gain_high`, the expected
            fall of the mean squared error as a share of it, and its 90 % interval.
        fit: how errors depend on novelty.
        variant: whose test patches and volumes were used.
        volumes: of that variant, by samples or trainings; two or more show where they disagree.
    """

    slices: pd.DataFrame
    fit: ErrorFit
    variant: str
    volumes: int

    def as_dict(self) -> dict[str, Any]:
        """For a JSON file."""
        return {
            "variant": self.variant,
            "volumes": self.volumes,
            "error_per_novelty": asdict(self.fit),
            "slices": _records(self.slices),
        }


def suggest_slices(
    results: Path, output: Path | None = None, count: int = 1, variant: str | None = None, *, overwrite: bool = False
) -> Suggestions:
    """Rank the slices of a sample's TXM volume by what a FIB-SEM slice there would be worth.

    Args:
        results: folder of a sample within a folder of results; or of results that hold one sample.
        output: JSON of `Suggestions`.
        count: slices to suggest, each after those before it.
        variant: whose test patches and volumes are used; the one of the highest PSNR if not given.
        overwrite: whether an earlier result of ours is replaced.

    Raises:
        InputError: the folder is none of a sample's results, or what is needed is not there.
        ConfigError: `variant` was not measured.
    """
    sample = _one_sample(results)
    if output is not None:
        io.check_output([sample], files=[output])
    store = io.read_patch_store(sample / "patches")
    patches = _test_patches(sample / SCORES, variant)
    volumes = [
        io.open_volume(path)
        for path in sorted((sample / "volumes" / str(patches["variant"].iloc[0])).glob("*/sem.ome.zarr"))
    ]
    txm = measured_txm(sample)
    if txm is None:
        raise InputError(f"{sample}: its TXM volume is not there. What could be milled next is sought in it.")
    found = _suggested(store, patches, txm, volumes, count)
    if output is not None:
        io.write_json(output, found.as_dict() | io.MARK, overwrite=overwrite)
    return found


def suggest_by_txm(patches: Path, scores: Path, txm: str | Path, measured: Path | None, output: Path) -> None:
    """Suggest slices by the TXM and the errors of the test patches alone, for the report.

    Args:
        patches: folder of the full-resolution patch store.
        scores: `metrics/patches.csv`; of the variant of the highest PSNR.
        txm: the measured TXM volume.
        measured: mask of what was measured of it; None where there is none.
        output: CSV, a row for each of `REPORTED` slices in the order of their worth: `order`, `z`, `nearest_pair`,
            `novelty`, `gain`, `gain_low`, `gain_high` as of `Suggestions`, `variant`; or `not_measured` alone.
    """
    gaps = Gaps("suggest_slices")
    with gaps.of("suggestions"):
        store = io.read_patch_store(patches)
        volume = io.with_mask(io.open_volume(txm), measured)
        found = _suggested(store, _test_patches(scores, None), volume, (), REPORTED)
        chosen = found.slices[found.slices["order"] > 0].sort_values("order")
        nearest = chosen["nearest_pair"].where(chosen["nearest_pair"] >= 0)  # of planes that were sought none is
        kept = chosen.drop(columns="disagreement").assign(nearest_pair=nearest, variant=found.variant)
        io.write_csv(output, kept)
    if gaps.reasons:
        io.write_csv(output, pd.DataFrame([{NOT_MEASURED: gaps.as_text()}]))


def _suggested(
    store: io.PatchStore, patches: pd.DataFrame, txm: io.Volume, volumes: Sequence[io.Volume], count: int
) -> Suggestions:
    novelty = _training(store)
    fit = _fit_errors(patches, store, novelty)
    places = _look(txm, store, volumes)
    name = str(patches["variant"].iloc[0])
    return Suggestions(_ranked(places, novelty, fit, _numbers(store), count), fit, name, len(volumes))


def _one_sample(results: Path) -> Path:
    found = sample_folders(results)
    if not found:
        raise InputError(f"{results}: this is no folder of results, nor of a sample in one. Give results/SAMPLE.")
    if len(found) > 1:
        names = ", ".join(one.name for one in found)
        raise InputError(f"{results}: there are several samples in it. Give the folder of one of {names}.")
    return found[0]


def _test_patches(path: Path, variant: str | None) -> pd.DataFrame:
    """Scores of the test patches of one variant at full resolution, as the mean over its trainings."""
    scores = io.read_csv(path)
    learned = scores[scores["psnr"].notna()]
    best = learned.groupby("variant")["psnr"].mean().sort_values(ascending=False)
    if variant is not None and variant not in best.index:
        raise ConfigError(f"--variant {variant}: {path} has {', '.join(map(str, best.index))}.")
    if best.empty:
        raise InputError(f"{path}: no test patch was measured, so nothing tells the errors.")
    own = learned[learned["variant"] == (variant or best.index[0])]
    error = (10 ** (-own["psnr"] / 10)).rename("error")  # squared, in units of the data range
    by_patch = own.assign(error=error).groupby(["variant", "pair", "y", "x"])
    return by_patch["error"].mean().reset_index()


def _training(store: io.PatchStore) -> Novelty:
    names = dict.fromkeys(store.of_split("train")["pair"])
    return Novelty.of([_tiles_of(store, name)[0] for name in names])


def _tiles_of(store: io.PatchStore, pair: str) -> tuple[Real, NDArray[np.intp]]:
    """Tiles of the TXM slice of a pair."""
    images = store.pairs[pair]
    return describe_tiles(images.txm[store.context], images.mask > 0)


def _fit_errors(patches: pd.DataFrame, store: io.PatchStore, novelty: Novelty) -> ErrorFit:
    """Learn from test patches that do not overlap; the interval is that of the patches drawn anew again and again."""
    rows = [(row["error"], _novelty_of(row, store, novelty)) for row in _apart(patches, store.size_px)]
    error, new = np.array([row for row in rows if np.isfinite(row[1])]).reshape(-1, 2).T
    if len(error) < LEAST_PATCHES or new.std() == 0:
        return ErrorFit(patches=len(error))
    error = error / error.mean()
    random, slopes = np.random.default_rng(0), []
    for _ in range(DRAWS):
        drawn = random.integers(0, len(error), len(error))
        if new[drawn].std() > 0:
            slopes.append(np.polyfit(new[drawn], error[drawn], 1)[0])
    low, high = np.percentile(slopes, _ENDS)
    return ErrorFit(float(np.polyfit(new, error, 1)[0]), float(low), float(high), len(error))


def _apart(patches: pd.DataFrame, size_px: int) -> Iterator[Row]:
    """Patches that share no pixel, from the first on."""
    taken: dict[str, list[tuple[int, int]]] = {}
    for row in _records(patches):
        kept = taken.setdefault(str(row["pair"]), [])
        if all(abs(row["y"] - y) >= size_px or abs(row["x"] - x) >= size_px for y, x in kept):
            kept.append((row["y"], row["x"]))
            yield row


def _novelty_of(row: Row, store: io.PatchStore, novelty: Novelty) -> float:
    """The mean over a test patch's tiles; NaN where it has none."""
    position = (row["pair"], row["y"], row["x"])
    described, _ = describe_tiles(store.txm_patch(*position, context=0)[0], store.mask_patch(*position))
    return float(novelty(described).mean()) if len(described) else np.nan


def _records(table: pd.DataFrame) -> list[Row]:
    return [{str(key): value for key, value in row.items()} for row in table.to_dict("records")]


def _look(txm: io.Volume, store: io.PatchStore, volumes: Sequence[io.Volume]) -> Places:
    field, random = FieldOfView(txm), np.random.default_rng(0)
    places = Places([], [], [])
    for z in np.unique(np.linspace(0, txm.shape[0] - 1, MOST_SLICES).round().astype(int)):
        plane = txm.read(z, z + 1)[0]
        mask = field.of(plane, z)
        described, position = describe_tiles(store.preparation.apply(field.filled(plane, mask)), mask)
        drawn = np.sort(random.permutation(len(described))[:MOST_TILES])
        if len(drawn):
            places.z.append(int(z))
            places.described.append(described[drawn])
            places.weight.append(_disagreement(volumes, z, position[drawn]))
    if not places.z:
        raise InputError(f"{txm.source}: no slice holds a measured tile of {TILE_PX} x {TILE_PX} pixels.")
    return places


def _disagreement(volumes: Sequence[io.Volume], z: int, position: NDArray[np.intp]) -> Real:
    """Variance between the volumes, mean over each tile; 1 where there are fewer than two of them."""
    if len(volumes) < 2:
        return np.ones(len(position))
    planes = np.stack([volume.read(z, z + 1)[0].astype(np.float32) for volume in volumes])
    variance = planes.var(axis=0, ddof=1)
    return np.array([np.nan_to_num(variance[y : y + TILE_PX, x : x + TILE_PX].mean()) for y, x in position])


def _numbers(store: io.PatchStore) -> list[int]:
    """The slices that have a partner."""
    return sorted({round(z) for z in store.index["z"].dropna()})


def _ranked(places: Places, novelty: Novelty, fit: ErrorFit, pairs: Sequence[int], count: int) -> pd.DataFrame:
    """Each slice by what it saves; those suggested are chosen one after the other, each knowing those before it."""
    sizes = np.cumsum([len(one) for one in places.described])[:-1]
    weight = np.concatenate(places.weight)
    weight = weight / weight.mean() if weight.mean() > 0 else np.ones_like(weight)
    nearest = [min((abs(z - pair) for pair in pairs), default=-1) for z in places.z]
    chosen, first = choose_next(novelty, places.described, weight, np.array(nearest) != 0, count)
    order = np.zeros(len(places.z), int)
    order[chosen] = range(1, len(chosen) + 1)
    now = novelty(np.concatenate(places.described))
    return pd.DataFrame(
        {
            "z": places.z,
            "order": order,
            "nearest_pair": nearest,
            "novelty": [float(one.mean()) for one in np.split(now, sizes)],
            "disagreement": [float(one.mean()) for one in np.split(weight, sizes)],
            "gain": fit.slope * first,
            "gain_low": fit.low * first,
            "gain_high": fit.high * first,
        }
    )


def suggestions_text(found: Suggestions) -> str:
    """What the terminal shows."""
    fit, chosen = found.fit, found.slices[found.slices["order"] > 0].sort_values("order")
    lines = [_line(row) for row in _records(chosen)]
    if fit.patches < LEAST_PATCHES:
        lines.append(
            f"What they would gain is not known: it is learnt from test patches, and {fit.patches} do not overlap, of "
            f"{LEAST_PATCHES} that are needed."
        )
    elif not fit.low > 0:
        lines.append(
            f"It is not seen that errors of {found.variant} rise with novelty in this sample (one unit adds "
            f"{100 * fit.slope:.0f} %, 90 % interval {100 * fit.low:.0f} to {100 * fit.high:.0f} %): an even spacing "
            "of slices is as good a choice."
        )
    return "\n".join(lines)


def _line(row: Row) -> str:
    gain = ""
    if np.isfinite(row["gain"]):
        ends = f"{100 * row['gain_low']:.1f} to {100 * row['gain_high']:.1f}"
        gain = f"; expected fall of the mean squared error {100 * row['gain']:.1f} % (90 %: {ends})"
    away = f"{row['nearest_pair']} slice{'s' * (row['nearest_pair'] != 1)} from the nearest pair"
    return f"z {row['z']}: {away}, novelty {row['novelty']:.2f}{gain}"
