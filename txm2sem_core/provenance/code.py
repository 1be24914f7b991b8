"""Which code a result depends on, found by its imports, and one digest of it.

From an entry (a script, a command, a function) imports are followed as Python would run them, also those within
functions. A name that a package re-exports is taken from the module that defines it: whoever imports `psnr` from
`metrics` depends on `metrics/image.py` alone. A module that does something by being imported, such as registering a
network, counts wherever it is imported. A digest is over the code: comments, docstrings and layout are no part of it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

from txm2sem_core.errors import ConfigError
from txm2sem_core.provenance.syntax import Import, Source, command_source, read_source

PACKAGE = Path(__file__).parents[1]
NAME = PACKAGE.name

# No part of any digest, and not followed: nothing of it can change a result.
INFRASTRUCTURE = {
    "": "holds the version: a name of the code, whose content is what counts",
    "__main__": "calls the command",
    "cli": "unpacks options; a command itself, one function of it, counts as the entry that it is",
    "commands.app": "what commands are registered with",
    "commands.project": "begins projects, looks at machines and results",
    "commands.options": "how what was typed is unpacked and checked; what a rule passes is one of its params",
    "errors": "words of messages: what is refused leaves no result",
    "runtime.progress": "passes items through and counts them",
    "runtime.garbage": "how seldom garbage is looked for",
    "runtime.allocator": "what becomes of freed memory",
    "runtime.out_of_memory": "the message where memory runs out, and whether a smaller attempt follows",
    "runtime.flock": "who waits for whom",
    "runtime.device": "which device computes: chosen for each run and recorded, and never a reason to run again",
    "io.atomic": "how a file comes to its place, not what stands in it",
    "io.exchange": "how two files change places",
    "io.lock_marks": "who waits for whom",
    "io.locks": "the same",
    "io.guards": "refuses files that change underneath or do not fit into memory",
    "io.mounts": "what may be expected of a file system",
    "io.results": "refuses folders that hold what is not of a run, and marks a run's own",
    "config.loading": "turns the user's file into the values that a job is given",
    "config.checking": "the messages of wrong settings",
    "config.presets": "values, which a job is given",
    "config.families": "names and combinations that are refused or not, and values, which a job is given",
    "config.generators": "names that are refused or not",
    "networks.plugins": "loads the user's own networks and families, which count by their content",
    "provenance.code": "tells code apart",
    "provenance.syntax": "tells code apart",
    "provenance.digests": "tells files apart",
    "provenance.records": "tells what results were made with",
    "provenance.user_cache": "where digests are kept",
}
# Of the classes of this, a job is given the values of the fields; only what their methods compute from them counts.
SETTINGS = "config"


def code_digest(*entries: str | Path) -> str:
    """SHA-256 over the code that entries depend on; the same wherever it lies, and after any change of wording.

    Args:
        entries: a file (a script, a user's own network); `module` or `module:name` of this package; or
            `cli:COMMAND` for what a command calls.

    Raises:
        ConfigError: there is no such entry, or a file of it is no Python.
    """
    digest = hashlib.sha256()
    for name, part in sorted(code_parts(*entries).items()):
        digest.update(f"{name} {part}\n".encode())
    return digest.hexdigest()


def code_parts(*entries: str | Path) -> dict[str, str]:
    """The parts of the code that entries depend on, each with its digest.

    Modules are named without this package's name (`io.images`), its other files by their path (`py.typed`),
    and files outside of it by their index among the entries and their name.
    """
    parts: dict[str, str] = {}
    waiting: list[str] = []
    data: set[str] = set()
    for number, entry in enumerate(entries):
        if isinstance(entry, str) and not entry.startswith("cli:"):
            waiting += _entry_modules(entry)
            continue
        source = command_source(PACKAGE / "cli.py", entry[4:]) if isinstance(entry, str) else read_source(entry)
        parts[entry if isinstance(entry, str) else f"file {number} {entry.name}"] = source.digest
        data.update(source.texts)
        waiting += _imported(source, "")
    for module in _closure(waiting):
        source = _source(module)
        parts[module] = source.digest
        data.update(source.texts)
    for path in _data_files():
        if path.name in data:
            parts |= {_relative(file): _content(file) for file in _data_files() if file.parent == path.parent}
    return parts


def _closure(modules: Iterable[str]) -> set[str]:
    """The modules, and all that they depend on, without infrastructure."""
    waiting, found = list(modules), set()
    while waiting:
        module = waiting.pop()
        if module in found or module in INFRASTRUCTURE:
            continue
        found.add(module)
        source = _source(module)
        waiting += _imported(source, module)
        waiting += [ran for ran in _run_by(module) if _source(ran).acts]
        if source.dynamic:  # it may import whatever lies around it
            waiting += _whole(module if _is_package(module) else module.rpartition(".")[0])
    return found


def _entry_modules(entry: str) -> list[str]:
    module, _, name = entry.partition(":")
    if _file(module) is None:
        raise ConfigError(f"{entry}: there is no module {module} in {NAME}.")
    return sorted(_definers(module, name) if name else _whole(module))


def _imported(source: Source, module: str) -> Iterator[str]:
    """The modules of this package that define what a file imports."""
    for imported in source.imports:
        target = _absolute(imported, module)
        if target is None:
            continue
        if imported.name is None:
            yield from _whole(target)
            continue
        inner = f"{target}.{imported.name}".strip(".")
        for definer in _definers(target, imported.name):
            if definer != inner or not _is_package(inner):
                yield definer
            elif imported.used is None:
                yield from _whole(inner)
            else:  # of a package that is imported to write `io.read_json`, what defines `read_json`
                for attribute in imported.used:
                    yield from _definers(inner, attribute)


def _definers(module: str, name: str) -> list[str]:
    """The module that defines `name`; the package's `__init__` where it is no re-export."""
    if not _is_package(module):
        return [module]
    inner = f"{module}.{name}".strip(".")
    bound = _source(module).bound.get(name)
    target = None if bound is None else _absolute(bound, module)
    if bound is not None and target is not None and (target, bound.name) != (module, name):
        return _definers(target, bound.name) if bound.name else _whole(target)
    return [inner] if _file(inner) is not None else [module]


@cache
def _run_by(module: str) -> frozenset[str]:
    """All modules of this package that run when a module is imported, itself among them."""
    waiting, found = [module], set()
    while waiting:
        here = waiting.pop()
        if here in found or (here in INFRASTRUCTURE and here):
            continue
        found.add(here)
        waiting += _parents(here)
        for imported in _source(here).at_import:
            target = _absolute(imported, here)
            if target is not None:
                inner = f"{target}.{imported.name}".strip(".")
                waiting += [target, *([inner] if imported.name and _file(inner) else []), *_parents(target)]
    return frozenset(found)


def _parents(module: str) -> list[str]:
    parts = module.split(".")
    return [".".join(parts[:count]) for count in range(len(parts))] if module else []


def _absolute(imported: Import, module: str) -> str | None:
    """The module that an import names, without this package's name; None for one of another library."""
    if imported.level:
        parts = module.split(".") if module else []
        up = imported.level - (1 if _is_package(module) else 0)
        return ".".join([*parts[: len(parts) - up], *filter(None, [imported.module])])
    if imported.module == NAME:
        return ""
    return imported.module.removeprefix(f"{NAME}.") if imported.module.startswith(f"{NAME}.") else None


@cache
def _file(module: str) -> Path | None:
    base = PACKAGE.joinpath(*module.split(".")) if module else PACKAGE
    return next((file for file in (base / "__init__.py", base.with_suffix(".py")) if file.is_file()), None)


def _is_package(module: str) -> bool:
    file = _file(module)
    return file is not None and file.name == "__init__.py"


@cache
def _whole(module: str) -> list[str]:
    """A module, or all modules of a package and of those within."""
    if not _is_package(module):
        return [module]
    base = PACKAGE.joinpath(*module.split(".")) if module else PACKAGE
    files = (file.relative_to(PACKAGE).with_suffix("").parts for file in sorted(base.rglob("*.py")))
    return [".".join(parts[:-1] if parts[-1] == "__init__" else parts) for parts in files]


@cache
def _source(module: str) -> Source:
    file = _file(module)
    if file is None:
        raise ConfigError(f"{NAME}.{module}: this module is imported, but there is no such file.")
    return read_source(file, settings=module.split(".")[0] == SETTINGS)


@cache
def _data_files() -> tuple[Path, ...]:
    """Files of the package that are not Python, such as templates."""
    found = (file for file in PACKAGE.rglob("*") if file.is_file() and not file.name.endswith((".py", ".pyc")))
    return tuple(sorted(file for file in found if not file.name.startswith(".")))


def _relative(file: Path) -> str:
    return file.relative_to(PACKAGE).as_posix()


@cache
def _content(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()
