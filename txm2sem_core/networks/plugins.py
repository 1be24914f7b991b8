"""A user's own networks and families, each registered by one Python file.

Such a file is run, so only files that the user names are: never one that a model's description names.
"""

from __future__ import annotations

import hashlib
import importlib.util
import sys
import traceback
from collections.abc import Iterable
from pathlib import Path

from txm2sem_core.errors import ConfigError
from txm2sem_core.networks.registry import builder_module, forget_module

_PREFIX = "txm2sem_plugin_"


def load_plugins(files: Iterable[str | Path]) -> None:
    """Run files that register networks or families; a file that is already loaded and unchanged is skipped.

    Raises:
        ConfigError: a file is missing, or fails: with its line.
    """
    for file in files:
        path = Path(file)
        if not path.is_file():
            raise ConfigError(f"plugin: there is no file {path}. Check the path.")
        name = f"{_PREFIX}{path.stem}_{_digest(path)[:12]}"
        if name in sys.modules:
            continue
        for earlier in [key for key in sys.modules if _is_of(key, path)]:
            forget_module(earlier)
            del sys.modules[earlier]
        spec = importlib.util.spec_from_file_location(name, path)
        if spec is None or spec.loader is None:
            raise ConfigError(f"plugin: {path} is not a Python file. Its name must end in .py.")
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        try:
            spec.loader.exec_module(module)
        except ConfigError:
            del sys.modules[name]
            raise
        except Exception as error:
            del sys.modules[name]
            lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(path)]
            where = f"{path}, line {lines[-1]}" if lines else str(path)
            raise ConfigError(f"plugin: {where}: {type(error).__name__}: {error}") from error


def plugin_file(generator: str) -> Path | None:
    """The user's file that registered a generator; None for one of ours."""
    return file_of(builder_module(generator))


def file_of(module: str) -> Path | None:
    """The user's file that a module was loaded from; None for a module of another kind."""
    loaded = sys.modules.get(module) if module.startswith(_PREFIX) else None
    return None if loaded is None or loaded.__file__ is None else Path(loaded.__file__)


def plugin_of(generator: str) -> dict[str, str] | None:
    """The same as `model.json` records it (name, sha256)."""
    return described(plugin_file(generator))


def described(file: Path | None) -> dict[str, str] | None:
    """A user's file as `model.json` records it (name, sha256); None for none."""
    return None if file is None else {"file": file.name, "sha256": _digest(file)}


def _is_of(module: str, path: Path) -> bool:
    return module.startswith(_PREFIX) and getattr(sys.modules[module], "__file__", None) == str(path)


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
