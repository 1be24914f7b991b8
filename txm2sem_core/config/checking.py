"""Settings checked, and the first fault told in one sentence: key, value, rule, remedy."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from txm2sem_core.errors import ConfigError

Model = TypeVar("Model", bound=BaseModel)


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


def validated(model: type[Model], values: Any, prefix: str, where: str = "") -> Model:
    """Check `values`; ConfigError with the first fault, its key under `prefix`, after `where` (a file, say)."""
    try:
        return model.model_validate(values)
    except ValidationError as error:
        raise ConfigError(_explain(error, model, prefix, where)) from error


def _explain(error: ValidationError, model: type[BaseModel], prefix: str, where: str) -> str:
    """The first fault of a validation as one sentence: key, value, rule, remedy."""
    fault = error.errors(include_url=False)[0]
    path = [part for part in fault["loc"] if not (isinstance(part, str) and "[" in part)]
    key = ".".join([prefix] * bool(prefix) + [str(part) for part in path]) or "the whole"
    start = f"{where}: " if where else ""
    if fault["type"] == "extra_forbidden":
        known = _keys_at(model, path[:-1])
        near = difflib.get_close_matches(str(path[-1]), known, n=1, cutoff=0.5)
        remedy = f"Did you mean {near[0]!r}?" if near else f"Known keys here: {', '.join(known)}."
        return f"{start}{key}: there is no such key. {remedy}"
    if fault["type"] == "missing":
        return f"{start}{key}: this key is missing. Add it; config/README.md describes it."
    rule = fault["msg"].removeprefix("Value error, ")
    value = "" if isinstance(fault["input"], Mapping) else f" The value is {fault['input']!r}."
    return f"{start}{key}: {rule}.{value} config/README.md describes this key."


def _keys_at(model: type[BaseModel], path: list[Any]) -> list[str]:
    """The keys that a nested group of settings knows."""
    for part in path:
        field = next((f for n, f in model.model_fields.items() if part in (n, f.alias)), None)
        if field is None or not (isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel)):
            return []
        model = field.annotation
    return sorted(field.alias or name for name, field in model.model_fields.items())
