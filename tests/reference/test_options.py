"""The page about the published options: none is left out, none is invented, and the keys it names exist."""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

import pytest
from published import published
from pydantic import BaseModel

from txm2sem_core.config import Config, TrainSettings
from txm2sem_core.samples.table import Sample

HERE = Path(__file__).parent
PAGE = (HERE.parents[1] / "docs/guides/from-the-published-code.md").read_text()
RECORDED: dict[str, list[Any]] = json.loads((HERE / "options.json").read_text())
NEWEST = {"hist_eq", "gamma", "x_misalign", "y_misalign"}
ROWS = re.findall(r"^\| (`.*?) \| (.*?) \| (.*) \|$", PAGE, flags=re.MULTILINE)


def test_every_option_stands_there_once() -> None:
    named = [name for options, _, _ in ROWS for name in re.findall(r"`(\w+)`", options)]
    assert len(named) == len(set(named))
    assert set(named) == set(RECORDED) | NEWEST


def shown(default: Any) -> set[str]:
    """How a default may be written."""
    if default is False:
        return {"off"}
    if default is True:
        return {"on"}
    if default is None:
        return {"none"}
    if default == "":
        return {"empty"}
    if isinstance(default, float | int):
        return {f"{default:g}", "infinite" if default == float("inf") else "", "2e-4" if default == 2e-4 else ""} - {""}
    return {f"`{default}`", default}


@pytest.mark.parametrize("option", sorted(RECORDED))
def test_the_first_default_of_an_option_stands_in_its_row(option: str) -> None:
    row = next(defaults for options, defaults, _ in ROWS if f"`{option}`" in options)
    assert any(text in row for text in shown(RECORDED[option][0])), row


def keys_of(model: type[BaseModel], prefix: str = "") -> Iterator[str]:
    for name, field in model.model_fields.items():
        key = prefix + (field.alias or name)
        yield key
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from keys_of(field.annotation, f"{key}.")


def test_every_key_exists() -> None:
    known = set(keys_of(Config)) | set(keys_of(TrainSettings, "train.")) | {"variants.NAME.family", "volumes/"}
    known |= set(Sample.model_fields)
    places = [place for _, _, place in ROWS]
    dotted = {key for place in places for key in re.findall(r"`((?:train|patches|variants)\.[\w.]+)", place)}
    assert dotted <= known
    assert len(dotted) > 25
    for place in places:  # what is not a key must be said to be gone, or be a column or another way
        assert "gone" in place or re.search(r"`[\w./]+`|follows from|variant's name", place), place


def published_options(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[Any]]:
    """Every option of both command lines with any model and dataset, and the defaults that it can have."""
    for name in ("torchvision", "torchvision.transforms", "cv2", "visdom", "dominate", "dominate.tags"):
        if name not in sys.modules:  # imported there, and needed for no option
            monkeypatch.setitem(sys.modules, name, MagicMock())
    models = ("feedforward", "pix2pix", "srcnn", "srgan", "repair", "segmentation", "cycle_gan", "test", "template")
    datasets = ("txm2sem", "txm2sem3d", "image_repair", "segmentation", "aligned", "unaligned", "single", "template")
    found: dict[str, list[Any]] = {}
    for command in ("Train", "Test"):
        options = getattr(published(f"options.{command.lower()}_options"), f"{command}Options")
        for module, name in [("models", m) for m in models] + [("data", d) for d in datasets]:
            if (command, name) == ("Train", "test"):
                continue  # the published code refuses it
            parser = options().initialize(argparse.ArgumentParser(conflict_handler="resolve", add_help=False))
            published(module).get_option_setter(name)(parser, command == "Train")
            for action in parser._actions:
                defaults = found.setdefault(action.dest, [])
                if action.default not in defaults:
                    defaults.append(action.default)
    return dict(sorted(found.items()))


if __name__ == "__main__":  # writes options.json
    with pytest.MonkeyPatch.context() as patch:
        (HERE / "options.json").write_text(json.dumps(published_options(patch), indent=0) + "\n")
