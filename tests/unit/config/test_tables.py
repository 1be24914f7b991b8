"""What is said of the settings is what they are: the tables, and the schema beside what reads a configuration."""

from __future__ import annotations

import copy
import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from txm2sem_core import networks
from txm2sem_core.config import Config, TrainSettings, load_config
from txm2sem_core.config.base import Settings
from txm2sem_core.config.tables import json_schema, rows, schema_text, values, with_tables
from txm2sem_core.errors import ConfigError

CONFIG = Path(__file__).resolve().parents[3] / "config"
OWN = sorted([*CONFIG.glob("*.yaml"), *CONFIG.glob("examples/*.yaml")])  # those of projects name the schema beside them
FILES = [file for file in OWN if "variants" in yaml.safe_load(file.read_text())]
GROUPS = ("run", "phantom", "register", "patches", "downsample", "train", "predict", "measure")
SCHEMA = jsonschema.Draft202012Validator(json_schema())
DEMO = yaml.safe_load((CONFIG / "demo.yaml").read_text())


def test_the_page_and_the_schema_are_those_of_the_code() -> None:
    """Else: make settings."""
    page = (CONFIG / "README.md").read_text()
    assert with_tables(page) == page
    assert (CONFIG / "schema.json").read_text() == schema_text()
    assert all(f"<!-- settings: {group} -->" in page for group in GROUPS)


def test_the_page_names_every_generator() -> None:
    """Of `resnet_Nblocks` one number stands for all."""
    own = [name for name in networks.generator_names() if not networks.plugin_of(name)]  # other tests add some
    named = {re.sub(r"\d+blocks$", "9blocks", name) for name in own}
    page = (CONFIG / "README.md").read_text()
    assert [name for name in sorted(named) if f"`{name}`" not in page] == []


def keys_of(model: type[Settings], prefix: str = "") -> set[str]:
    found = set()
    for name, field in model.model_fields.items():
        key, kind = f"{prefix}{field.alias or name}", field.annotation
        nested = isinstance(kind, type) and issubclass(kind, Settings)
        found |= keys_of(kind, f"{key}.") if nested else {key}
    return found


def test_every_setting_has_its_row_and_its_meaning() -> None:
    named = {row.key if group == "run" else f"{group}.{row.key}" for group in GROUPS for row in rows(group)}
    variant = {f"train.{key}" for key in keys_of(TrainSettings)}
    assert named == keys_of(Config) - {"train", "variants"} | variant
    assert all(row.meaning and row.values and row.default for group in GROUPS for row in rows(group))
    assert all(row.reruns for group in GROUPS if group != "train" for row in rows(group))


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_our_configurations_keep_to_the_schema_that_they_name(file: Path) -> None:
    first = file.read_text().splitlines()[0]
    assert (file.parent / first.removeprefix("# yaml-language-server: $schema=")).resolve() == CONFIG / "schema.json"
    SCHEMA.validate(yaml.safe_load(file.read_text()))


def changed(path: str, value: Any) -> dict[str, Any]:
    config = copy.deepcopy(DEMO)
    *groups, key = path.split(".")
    place = config
    for group in groups:
        place = place.setdefault(group, {})
    place[key] = value
    return config


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("patchs", {}),
        ("patches.size", 64),
        ("patches.size_px", 4),
        ("patches.size_px", "large"),
        ("patches.context", 4),
        ("phantom.shape", [16, 128]),
        ("register.transform", "warp"),
        ("train.context", "most"),
        ("train.generator.width", 0),
        ("train.optimiser.beta1", 1),
        ("train.factor", 3),
        ("variants.feedforward.batch_size", 0),
        ("predict.uncertainty.ensemble", "perhaps"),
        ("measure.phases", 6),
        ("seeds", []),
        ("variants", {}),
    ],
)
def test_what_the_schema_refuses_is_refused(path: str, value: Any) -> None:
    config = changed(path, value)
    assert not SCHEMA.is_valid(config)
    with pytest.raises(ConfigError):
        load_config(config)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("train.context", "auto"),
        ("variants.feedforward.context", 1),
        ("measure.data_range", 100.5),
        ("predict.jobs", 3),
        ("register.max_shift_fraction", 1),
        ("title", "My rock"),
    ],
)
def test_what_is_read_keeps_to_the_schema(path: str, value: Any) -> None:
    config = changed(path, value)
    load_config(config)
    SCHEMA.validate(config)


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        ({"type": "integer", "minimum": 0, "maximum": 3}, "whole number, 0 to 3"),
        ({"type": "integer", "minimum": 1, "maximum": 2**31 - 1}, "whole number, at least 1"),
        ({"type": "number", "exclusiveMinimum": 0}, "number, above 0"),
        ({"type": "number", "minimum": 0, "exclusiveMaximum": 1}, "number, at least 0 and below 1"),
        ({"type": "boolean"}, "`true`, `false`"),
        ({"enum": ["mean", "sum"]}, "`mean`, `sum`"),
        ({"anyOf": [{"type": "number"}, {"const": "auto"}]}, "number, or `auto`"),
        ({"type": "array", "prefixItems": [{"type": "number"}] * 3}, "3 of: number"),
        ({"type": "array", "items": {"type": "string"}}, "list of: text"),
    ],
)
def test_values_in_words(schema: dict[str, Any], words: str) -> None:
    assert values(schema) == words
