"""Further scans of a rock and further detectors of its FIB-SEM: their columns of the table, and the rules for these."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from txm2sem_core import io
from txm2sem_core.config import PhantomSettings
from txm2sem_core.errors import ConfigError

_NO_SCANS = {
    "phantom": "a phantom's further scans are made as phantom.further_energies_kev says",
    "reference": "source reference has one scan",
}


def further_columns(columns: Iterable[str], column: str) -> list[str]:
    """Of these columns those of further scans or detectors beside the first's `column`: `txm_2` and on beside `txm`."""
    return [name for name in columns if re.fullmatch(rf"{column}_\d", name)]


def further_folders(raw: Path, name: str, phantom: PhantomSettings) -> list[Path]:
    """The folders of a phantom's further scans: `{name}_2` and on, `name` being `txm` or `txm_volume`."""
    return [raw / f"{name}_{number}" for number in range(2, 2 + len(phantom.further_energies_kev))]


def further_in(raw: Path, name: str) -> list[Path]:
    """The same of the phantom that was made in `raw`; InputError where its description cannot be read."""
    description = raw / "phantom.json"
    if not description.is_file():
        return []
    settings = io.read_json(description).get("settings", {})
    energies = settings.get("further_energies_kev", ())
    return further_folders(raw, name, PhantomSettings.model_construct(further_energies_kev=tuple(energies)))


def check_further(where: str, row: Mapping[str, Any]) -> None:
    """Refuse columns of further scans and detectors that do not go with the others.

    Args:
        where: names the row, up to the column.
        row: its cells by column, None for an empty one.

    Raises:
        ConfigError: names the column, the rule and what to do.
    """
    _check_scans(where, row)
    _check_detectors(where, row)


def _check_scans(where: str, row: Mapping[str, Any]) -> None:
    slices, volumes = (further_columns(row, column) for column in ("txm", "txm_volume"))
    given = [name for name in (*slices, *volumes) if row[name] is not None]
    if not given:
        return
    if row["source"] != "pairs":
        raise ConfigError(f"{where} {given[0]}: {_NO_SCANS[row['source']]}. Leave it empty.")
    if row["super_resolution"] is not None:
        raise ConfigError(
            f"{where} {given[0]}: several scans do not go with super_resolution = {row['super_resolution']}, whose "
            "networks take one. Leave one of the two columns empty."
        )
    _check_gaps(where, row, slices, "scans")
    _check_gaps(where, row, volumes, "scans")
    if row["txm"] is None and row[slices[0]] is not None:
        raise ConfigError(
            f"{where} {slices[0]}: it belongs to TXM slices, but column txm is empty, so planes are sought in the "
            f"volume. Give the scans' volumes alone, as {volumes[0]}."
        )
    _check_both(where, row, slices, volumes)


def _check_detectors(where: str, row: Mapping[str, Any]) -> None:
    columns = further_columns(row, "sem")
    given = [name for name in columns if row[name] is not None]
    if given and row["source"] != "pairs":
        raise ConfigError(f"{where} {given[0]}: source {row['source']} has one detector. Leave it empty.")
    _check_gaps(where, row, columns, "detectors")
    folders = [(name, row[name]) for name in ("sem", *given)]
    for number, (name, folder) in enumerate(folders):
        if (first := next((one for one, other in folders[:number] if Path(other) == Path(folder)), None)) is not None:
            raise ConfigError(
                f"{where} {name}: {folder} is the folder of column {first} too, and each detector has images of its "
                "own. Give their folder, or leave it empty."
            )


def _check_gaps(where: str, row: Mapping[str, Any], columns: list[str], what: str) -> None:
    """Scans and detectors (`what`) are numbered without a gap."""
    missing = [name for name in columns if row[name] is None]
    beyond = [name for name in columns if row[name] is not None and missing and name > missing[0]]
    if beyond:
        raise ConfigError(
            f"{where} {beyond[0]}: there is no {missing[0]}, and {what} are numbered without a gap. Move it there."
        )


def _check_both(where: str, row: Mapping[str, Any], slices: list[str], volumes: list[str]) -> None:
    """Where the first scan has a volume, each has one, and slices too unless planes are sought."""
    for of_slices, of_volume in zip(slices, volumes, strict=True):
        has_slices, has_volume = (row[name] is not None for name in (of_slices, of_volume))
        if has_volume and row["txm_volume"] is None:
            raise ConfigError(f"{where} {of_volume}: the first scan has no volume. Fill txm_volume.")
        if has_slices and not has_volume and row["txm_volume"] is not None:
            raise ConfigError(
                f"{where} {of_volume}: networks that learn from {of_slices} predict from its volume too. Give it, on "
                "the grid of txm_volume."
            )
        if has_volume and not has_slices and row["txm"] is not None:
            raise ConfigError(
                f"{where} {of_slices}: there is the volume of this scan, but not its slices, from which networks "
                "learn. Give their folder."
            )
