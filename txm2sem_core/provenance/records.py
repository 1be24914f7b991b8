"""Records of the settings that each result was made with, kept beside the results.

Snakemake keeps the settings of its jobs in its folder `.snakemake`, by the paths of the results, and compares them
unless an option says otherwise. That folder can be lost, and the results moved. So each job leaves a record too: the
settings of its rule as names and texts.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePath
from typing import Any

from txm2sem_core.errors import InputError
from txm2sem_core.io.results import RECORDS
from txm2sem_core.io.tables import read_json

_LONGEST = 4000  # characters of a text that stands in a record; of a longer one its digest does
_SHORT = 100  # characters of a text that an expectation holds: a job's command must not be longer than 128 KiB
_DIGEST = "sha256-16:"  # what stands for a longer one, with the first 16 digits
_SHOWN = 4  # keys that a message names


def record_of(output: str, results: str) -> str:
    """The record of the job whose first output is `output`: in a hidden folder of the sample, or of the results."""
    place = PurePath(output).relative_to(results)
    where, name = ("", place) if len(place.parts) == 1 else (place.parts[0], PurePath(*place.parts[1:]))
    return str(PurePath(results, where, RECORDS, f"{name}.json"))


def record_text(values: Mapping[str, str], results: str) -> str:
    """A record as text. The results folder, which may be moved, is left out of the values."""
    return json.dumps({name: _short(value, results) for name, value in values.items()}, sort_keys=True)


def changes(record: Path, values: Mapping[str, str], results: str) -> str:
    """How the values differ from those of a record, in words; empty where they are the same or there is no record.

    Names that only one of both has are of another version of the workflow, and left out.
    """
    known = read_record(record)
    return differences(known or {}, {name: _short(value, results) for name, value in values.items()})


def read_record(record: Path) -> dict[str, Any] | None:
    """What a result was made with; None where there is no record, or one that was being written when its job died."""
    try:
        known = read_json(record)
    except InputError:
        return None
    return known if isinstance(known, dict) else None


def differences(known: Mapping[str, Any], now: Mapping[str, str]) -> str:
    """How values that are wanted now differ from those of a record, in words; both as they stand in records."""
    found = [
        text
        for name, value in now.items()
        if name in known and value not in (known[name], _briefly(str(known[name])))
        for text in _differences_of(name, str(known[name]), value)
    ]
    more = f" and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
    return ", ".join(found[:_SHOWN]) + more


def expected_text(records: Mapping[str, Mapping[str, str]], results: str) -> str:
    """What the records of some results must say, as canonical JSON: a text of several results stands in it once.

    It is brief, since a command has a greatest length: of longer texts there are digests alone.

    Args:
        records: of each record, by its path (see `record_of`), the values.
        results: the results folder, which may be moved and is left out of paths and values.
    """
    texts: list[str] = []
    of_values: dict[str, list[str]] = {}
    for path, values in sorted(records.items()):
        indices = {name: _index_of(_briefly(_short(value, results)), texts) for name, value in values.items()}
        of_values.setdefault(json.dumps(indices, sort_keys=True), []).append(str(PurePath(path).relative_to(results)))
    groups = [{"values": json.loads(values), "records": paths} for values, paths in of_values.items()]
    return json.dumps({"texts": texts, "groups": groups}, sort_keys=True)


def read_expected(text: str) -> dict[str, dict[str, str]]:
    """What `expected_text` wrote: of each record, by its path in the results folder, the values or their digests."""
    known = json.loads(text)
    return {
        path: {name: known["texts"][index] for name, index in group["values"].items()}
        for group in known["groups"]
        for path in group["records"]
    }


def _briefly(text: str) -> str:
    return text if len(text) <= _SHORT else _DIGEST + hashlib.sha256(text.encode()).hexdigest()[:16]


def _index_of(text: str, texts: list[str]) -> int:
    if text not in texts:
        texts.append(text)
    return texts.index(text)


def _short(value: str, results: str) -> str:
    value = value.replace(f"{results}/", "<results>/")
    return value if len(value) <= _LONGEST else f"sha256:{hashlib.sha256(value.encode()).hexdigest()}"


def _differences_of(name: str, before: str, now: str) -> Iterator[str]:
    if name == "raw_digest":
        yield "the raw data"
        return
    was, becomes = _object(before), _object(now)
    if was is None or becomes is None:
        yield f"{name} {before}, now {now}" if len(before) + len(now) < 100 else name
        return
    yield from (f"{key} {one}, now {other}" for key, one, other in differing(was, becomes))


def differing(before: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    """The dotted names of what two settings say differently, with both values as texts; `none` where one has none."""
    one, other = dict(_leaves(before)), dict(_leaves(now))
    for key in sorted(one.keys() | other.keys()):
        if one.get(key) != other.get(key):
            yield key, one.get(key, "none"), other.get(key, "none")


def _object(text: str) -> dict[str, Any] | None:
    try:
        values = json.loads(text)
    except ValueError:
        return None
    return values if isinstance(values, dict) else None


def _leaves(values: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """The values within an object by their dotted names."""
    for key, value in values.items():
        if isinstance(value, dict):
            yield from ((f"{key}.{inner}", text) for inner, text in _leaves(value))
        else:
            yield key, json.dumps(value)
