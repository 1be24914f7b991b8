"""Whether the results of a report were made with the settings that it states."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path, PurePath

from txm2sem_core.io.results import RECORDS
from txm2sem_core.provenance.records import differences, read_record

_SHOWN = 6  # results that a warning names


def made_otherwise(folder: Path, expected: Mapping[str, Mapping[str, str]]) -> list[str]:
    """Warnings of a sample: results that were made with other settings or raw data, and those without a record.

    Args:
        folder: of the sample's results.
        expected: of each record, by its path in the results folder, what it must say (`records.read_expected`).
    """
    others: dict[str, list[str]] = {}
    unknown = []
    for path, values in sorted(expected.items()):
        if PurePath(path).parts[0] != folder.name:
            continue
        record, result = folder.parent / path, _result(path)
        known = read_record(record)
        if known is None:
            unknown.append(result)
        elif keys := differences(known, values):
            others.setdefault(keys, []).append(result)
    return [
        *(
            f"Made with other settings than those stated below ({keys}): {_named(results)}. What is shown of them is "
            "not of this configuration. Remove them, and run the workflow again."
            for keys, results in others.items()
        ),
        *([_without_record(unknown)] if unknown else []),
    ]


def _without_record(results: list[str]) -> str:
    return (
        f"No record says with which settings these were made: {_named(results)}. An earlier version made them, or they "
        f"were copied without the hidden folder {RECORDS}. If the settings stated below may not be theirs, remove them "
        "and run the workflow again."
    )


def _result(record: str) -> str:
    """The result that a record is of: the path in the sample's folder."""
    return PurePath(*PurePath(record).parts[2:]).as_posix().removesuffix(".json")


def _named(results: list[str]) -> str:
    more = f" and {len(results) - _SHOWN} more" if len(results) > _SHOWN else ""
    return ", ".join(results[:_SHOWN]) + more
