"""YAML as data from a stranger: plain values, no key twice, and no file that unfolds without bounds."""

from __future__ import annotations

from collections.abc import Hashable
from pathlib import Path
from typing import Any

import yaml

from txm2sem_core.errors import InputError
from txm2sem_core.io.tables import read_text

MAX_CHARACTERS = 2**20
MAX_NODES = 50_000  # values of a file, with every alias (`*name`) counted as what it stands for
MAX_DEPTH = 32


class _Loader(yaml.SafeLoader):
    """Plain values only, and an error where a key stands twice in one map: PyYAML would keep the last silently."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: dict[tuple[str, str], int] = {}
        for key, _ in node.value if isinstance(node, yaml.MappingNode) else ():
            if isinstance(key, yaml.ScalarNode) and key.tag != "tag:yaml.org,2002:merge":
                line = key.start_mark.line + 1
                if (key.tag, key.value) in seen:
                    raise yaml.constructor.ConstructorError(
                        None,
                        None,
                        f"the key {key.value!r} stands twice, in lines {seen[key.tag, key.value]} and {line}",
                    )
                seen[key.tag, key.value] = line
        return super().construct_mapping(node, deep)


def read_yaml(path: str | Path) -> Any:
    """Read a file of plain YAML values.

    Raises:
        InputError: the file cannot be read, is not UTF-8 or not YAML, asks for a Python object, names a key twice, is
            nested more than 32 deep, or holds (or, by its aliases, stands for) more than 50,000 values.
    """
    text = read_text(path)
    if len(text) > MAX_CHARACTERS:
        raise InputError(f"{path}: {len(text)} characters are too many for YAML settings (at most {MAX_CHARACTERS}).")
    try:
        _check_bounds(text, path)
        return yaml.load(text, _Loader)
    except yaml.YAMLError as error:
        raise InputError(f"{path}: this is not YAML ({' '.join(str(error).split())}). Correct it.") from error
    except (ValueError, OverflowError, RecursionError) as error:  # dates such as 2020-99-99, numbers of 5,000 digits
        raise InputError(
            f"{path}: a value cannot be read ({' '.join(str(error).split())[:200]}). Correct it."
        ) from error


def _check_bounds(text: str, path: str | Path) -> None:
    """Count what the file stands for from its events, before anything is built."""
    weights: dict[str, int] = {}
    open_nodes: list[tuple[str | None, int]] = []  # anchor, and values so far
    for event in yaml.parse(text, yaml.SafeLoader):
        if isinstance(event, yaml.AliasEvent):
            weight, anchor = (
                weights.get(str(event.anchor), MAX_NODES + 1),
                None,
            )  # one that stands for itself has no end
        elif isinstance(event, yaml.ScalarEvent):
            weight, anchor = 1, event.anchor
        elif isinstance(event, yaml.CollectionStartEvent):
            open_nodes.append((event.anchor, 1))
            if len(open_nodes) > MAX_DEPTH:
                raise InputError(_too_much(path))
            continue
        elif isinstance(event, yaml.CollectionEndEvent):
            anchor, weight = open_nodes.pop()
        else:
            continue
        if weight > MAX_NODES:
            raise InputError(_too_much(path))
        if anchor is not None:
            weights[anchor] = weight
        if open_nodes:
            open_nodes[-1] = (open_nodes[-1][0], open_nodes[-1][1] + weight)


def _too_much(where: str | Path) -> str:
    return (
        f"{where}: refused, as it is nested more than {MAX_DEPTH} deep, or holds or by its aliases stands for "
        f"more than {MAX_NODES} values. No settings need so many."
    )
