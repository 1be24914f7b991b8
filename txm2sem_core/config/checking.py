"""Settings are checked, and the first fault is reported in one sentence: key, value, rule, remedy."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from txm2sem_core.errors import ConfigError

Model = TypeVar("Model", bound=BaseModel)
MAX_DEPTH = 32
MAX_VALUES = 50_000
_SHOWN_CHARACTERS = 200


def merge(*layers: Mapping[str, Any]) -> dict[str, Any]:
    """Later layers override earlier ones, key by key, into nested maps."""
    merged: dict[str, Any] = {}
    for layer in layers:
        for key, value in layer.items():
            if isinstance(value, Mapping) and isinstance(merged.get(key), Mapping):
                merged[key] = merge(merged[key], value)
            else:
                merged[key] = value
    return merged


def check_bounds(values: Any, where: str) -> None:
    """Refuse what no settings need, before anything walks through it: values shared by aliases count each time.

    Raises:
        ConfigError: nested more than 32 deep, or more than 50,000 values.
    """
    waiting, count = [(values, 1)], 0
    while waiting:
        value, depth = waiting.pop()
        count += 1
        if depth > MAX_DEPTH or count > MAX_VALUES:
            raise ConfigError(
                f"{where}: refused, as it is nested more than {MAX_DEPTH} deep, or holds or by its aliases stands for "
                f"more than {MAX_VALUES} values. No settings need so many."
            )
        if isinstance(value, Mapping):
            waiting += [(item, depth + 1) for item in value.values()]
        elif isinstance(value, list | tuple):
            waiting += [(item, depth + 1) for item in value]


def shown(value: object) -> str:
    """A value as a message shows it: in one line, and not endless."""
    try:
        text = repr(value)
    except ValueError:  # a whole number of more than 4,300 digits
        text = f"a {type(value).__name__} of too many digits"
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}..."


def _key(part: object) -> str:
    """A part of a key as it was written, or escaped where it would break the line."""
    text = str(part)
    text = text if text.isprintable() else repr(text)
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}..."


def validated(model: type[Model], values: Any, prefix: str, where: str = "") -> Model:
    """Check `values`; ConfigError with the first fault, its key under `prefix`, after `where` (a file, say)."""
    try:
        return model.model_validate(values)
    except ValidationError as error:
        raise ConfigError(_explain(error, model, prefix, where)) from error


def known_keys(model: type[BaseModel], values: Mapping[str, Any]) -> dict[str, Any]:
    """Those of the values, into nested groups, whose keys a model has: as of settings that an earlier version wrote."""
    known: dict[str, Any] = {}
    for name, field in model.model_fields.items():
        if name in values:
            kind, value = field.annotation, values[name]
            nested = isinstance(kind, type) and issubclass(kind, BaseModel) and isinstance(value, Mapping)
            known[name] = known_keys(kind, value) if nested else value  # type: ignore[arg-type]
    return known


def _explain(error: ValidationError, model: type[BaseModel], prefix: str, where: str) -> str:
    """The first fault of a validation as one sentence: key, value, rule, remedy."""
    fault = error.errors(include_url=False)[0]
    path = [part for part in fault["loc"][:-1] if not (isinstance(part, str) and "[" in part)] + [*fault["loc"][-1:]]
    if fault["type"] != "extra_forbidden" and path and "[" in str(path[-1]):
        path.pop()  # pydantic's name of a kind, as `function-after[...]`, and no key
    key = ".".join([prefix] * bool(prefix) + [_key(part) for part in path]) or "the whole"
    start = f"{where}: " if where else ""
    if fault["type"] == "extra_forbidden":
        known = _keys_at(model, path[:-1])
        near = difflib.get_close_matches(str(fault["loc"][-1])[:_SHOWN_CHARACTERS], known, n=1, cutoff=0.5)
        remedy = f"Did you mean {near[0]!r}?" if near else f"Known keys here: {', '.join(known)}."
        return f"{start}{key}: there is no such key. {remedy}"
    if fault["type"] == "missing":
        return f"{start}{key}: this key is missing. Add it; config/README.md describes it."
    rule = " ".join(fault["msg"].removeprefix("Value error, ").split())
    value = "" if isinstance(fault["input"], Mapping) else f" The value is {shown(fault['input'])}."
    return f"{start}{key}: {rule}.{value} config/README.md describes this key."


def _keys_at(model: type[BaseModel], path: list[Any]) -> list[str]:
    """The keys that a nested group of settings knows."""
    for part in path:
        field = next((f for n, f in model.model_fields.items() if part in (n, f.alias)), None)
        if field is None or not (isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel)):
            return []
        model = field.annotation
    return sorted(field.alias or name for name, field in model.model_fields.items())
