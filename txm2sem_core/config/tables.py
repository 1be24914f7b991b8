"""What is said of every setting, made of the settings themselves: the tables of `config/README.md`, the JSON Schema.

`python -m txm2sem_core.config.tables config` writes both into that folder; editors complete and check a
configuration by the schema.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from txm2sem_core.config.base import Settings
from txm2sem_core.config.families import built_in
from txm2sem_core.config.loading import Config
from txm2sem_core.config.presets import PRESETS
from txm2sem_core.config.train import TrainSettings

LEFT_OUT = ("train", "variants")  # free maps in `Config`, described by `TrainSettings`
_TABLE = re.compile(r"(<!-- settings: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)


class Row(NamedTuple):
    """One key of a group, as the table and a reader see it."""

    key: str  # below the group's own, with dots
    meaning: str
    values: str
    default: str
    reruns: str


def json_schema() -> dict[str, Any]:
    """The JSON Schema of a whole configuration; `train` and variants hold any of the settings of `TrainSettings`."""
    schema = Config.model_json_schema(by_alias=True)
    variant = TrainSettings.model_json_schema(by_alias=True)
    schema["$defs"] |= variant.pop("$defs")
    variant.pop("required")
    variant["properties"]["family"]["examples"] = sorted(built_in())  # a user's own are fine too
    variant["properties"]["context"] = _or_auto(variant["properties"]["context"])
    for group in schema["$defs"].values():
        group.pop("title", None)
    schema["$defs"]["TrainSettings"] = variant
    schema["properties"]["train"] = {"$ref": "#/$defs/TrainSettings"}
    schema["properties"]["variants"] |= {"additionalProperties": {"$ref": "#/$defs/TrainSettings"}}
    schema["properties"]["phantoms"] |= {"additionalProperties": {"$ref": "#/$defs/PhantomSettings"}}
    for free in ("variants", "phantoms"):
        schema["properties"][free].pop("patternProperties", None)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema, "title": "TXM2SEM"}


def _or_auto(schema: dict[str, Any]) -> dict[str, Any]:
    """A number that the configuration may leave to us."""
    kept: dict[str, Any] = {key: schema[key] for key in ("description", "default") if key in schema}
    rest = {key: value for key, value in schema.items() if key not in kept}
    return {**kept, "anyOf": [rest, {"const": "auto"}]}


def rows(group: str) -> list[Row]:
    """The keys of a group, in the order of its fields: `run` (what belongs to no group), `train`, or a stage's name."""
    if group == "run":
        return list(_rows(Config, Config.reruns, nested=False))
    if group == "train":
        found = [row._replace(default=_by_family(row)) for row in _rows(TrainSettings, "")]
        names = ", ".join(map(code, sorted(built_in())))
        return [row._replace(values=names) if row.key == "family" else row for row in found]
    field = next(each for name, each in Config.model_fields.items() if group in (name, each.alias))
    assert isinstance(field.annotation, type)
    return list(_rows(field.annotation, field.annotation.reruns))


def _rows(model: type[Settings], reruns: str, prefix: str = "", *, nested: bool = True) -> Iterator[Row]:
    properties = model.model_json_schema(by_alias=True)["properties"]
    for name, field in model.model_fields.items():
        key = field.alias or name
        if isinstance(field.annotation, type) and issubclass(field.annotation, Settings):
            if nested:
                yield from _rows(field.annotation, field.annotation.reruns or reruns, f"{prefix}{key}.")
        elif model is not Config or name not in LEFT_OUT:
            yield _row(f"{prefix}{key}", properties[key], reruns)


def _row(key: str, schema: Mapping[str, Any], reruns: str) -> Row:
    default = schema.get("shown") or (code(schema["default"]) if "default" in schema else "needed")
    return Row(key, schema["description"], values(schema), default, schema.get("reruns", reruns))


def values(schema: Mapping[str, Any]) -> str:
    """What a key takes, in words, by the JSON Schema of its field."""
    if "enum" in schema:
        return ", ".join(map(code, schema["enum"]))
    if "const" in schema:
        return code(schema["const"])
    if "anyOf" in schema:
        return ", or ".join(values(each) for each in schema["anyOf"] if each.get("type") != "null")
    if schema["type"] == "array":
        items = schema.get("prefixItems")
        return f"{len(items)} of: {values(items[0])}" if items else f"list of: {values(schema['items'])}"
    if schema["type"] == "object":
        return "map of names to maps"
    kind = {"integer": "whole number", "number": "number", "boolean": "`true`, `false`", "string": "text"}
    return ", ".join(filter(None, [kind[schema["type"]], _bounds(schema)]))


def _bounds(schema: Mapping[str, Any]) -> str:
    low, high = schema.get("minimum"), schema.get("maximum")
    if high is not None and high >= 2**31 - 1:
        high = None  # no rule of ours: what 32 bits hold
    if low is not None and high is not None:
        return f"{low:g} to {high:g}"
    words = {"at least": low, "above": schema.get("exclusiveMinimum"), "at most": high}
    words["below"] = schema.get("exclusiveMaximum")
    return " and ".join(f"{word} {bound:g}" for word, bound in words.items() if bound is not None)


def _by_family(row: Row) -> str:
    """The default of a variant's key: the preset's over the field's, and those of single families and objectives."""
    families = {name: rules.settings for name, rules in built_in().items()}
    chosen = {name: _at(own, row.key) for name, own in {**families, **PRESETS["corrected"]}.items()}
    chosen = {name: value for name, value in chosen.items() if value is not None}
    default = code(chosen.pop("all")) if "all" in chosen else row.default
    return "; ".join([default, *(f"{name} {code(value)}" for name, value in chosen.items() if code(value) != default)])


def _at(values: Mapping[str, Any], key: str) -> Any:
    for part in key.split("."):
        if not isinstance(values, Mapping) or part not in values:
            return None
        values = values[part]
    return values


def code(value: Any) -> str:
    """A value as YAML writes it, in backticks."""
    return f"`{json.dumps(_plain(value)).strip(chr(34))}`"


def _plain(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def table(group: str) -> str:
    """A group's keys as a table in Markdown."""
    found = rows(group)
    heads = ["key", "meaning", "values", "default", *(["a change runs again"] if found[0].reruns else [])]
    lines = [f"| {' | '.join(heads)} |", "|" + "---|" * len(heads)]
    for row in found:
        cells = [f"`{row.key}`", row.meaning, row.values, row.default, row.reruns][: len(heads)]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def with_tables(page: str) -> str:
    """The page with every table between `<!-- settings: GROUP -->` and `<!-- end -->` generated."""
    return _TABLE.sub(lambda found: found[1] + table(found[2]) + found[3], page)


def schema_text() -> str:
    """`config/schema.json`."""
    return json.dumps(json_schema(), indent=1) + "\n"


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    (folder / "README.md").write_text(with_tables((folder / "README.md").read_text()))
    (folder / "schema.json").write_text(schema_text())
