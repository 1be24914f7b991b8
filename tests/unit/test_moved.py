"""Modules are found by the names that they had in version 0.1, and are the same modules."""

from __future__ import annotations

import importlib
import sys

import pytest

from txm2sem_core._moved import MOVED


@pytest.mark.parametrize("old", MOVED)
def test_an_old_name_is_the_module_of_the_new_one(old: str) -> None:
    sys.modules.pop(f"txm2sem_core.{old}", None)
    new = importlib.import_module(f"txm2sem_core.{MOVED[old]}")
    with pytest.warns(FutureWarning, match=f"is txm2sem_core.{MOVED[old]} now"):
        assert importlib.import_module(f"txm2sem_core.{old}") is new
    assert new.__name__ == new.__spec__.name == f"txm2sem_core.{MOVED[old]}"  # type: ignore[union-attr]


@pytest.mark.parametrize("name", ["nothing", "metrics.nothing", "measures"])
def test_what_never_was_is_not_found(name: str) -> None:
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module(f"txm2sem_core.{name}")
