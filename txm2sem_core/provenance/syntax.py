"""What a Python file imports and does, and a digest of its code without comments, docstrings and layout.

A file is parsed once: what was found is kept in the user's cache under the digest of its bytes, since parsing the whole
package takes longer than planning a run.
"""

from __future__ import annotations

import ast
import hashlib
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from txm2sem_core.errors import ConfigError
from txm2sem_core.provenance.user_cache import Kept

_FORM = 1  # of what is kept; counted up where it, or how it is found, changes
_LEFT_OUT = {"ctx", "kind", "type_comment", "type_ignores"}  # they follow from the rest, or say nothing when it runs
# calls that import by a name which is only known when they run
_DYNAMIC = {"import_module", "iter_modules", "walk_packages", "__import__"}
_FILE_NAME = re.compile(r"[\w-]+(\.[\w-]+)+")
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
_kept = Kept(f"code-{_FORM}", most=5000)


class Import(NamedTuple):
    """One imported name, or a whole module.

    Attributes:
        module: as it is written, without leading dots.
        level: number of these.
        name: what of it; None for the module itself.
        used: attributes of the name that the file uses, where it uses it for nothing else; None otherwise.
    """

    module: str
    level: int
    name: str | None
    used: Sequence[str] | None = None


class Source(NamedTuple):
    """What matters of a file.

    Attributes:
        digest: of its code; of an `__init__`, without its re-exports.
        imports: all but those for type checkers alone, and the re-exports of an `__init__`.
        at_import: those that run when it is imported.
        bound: names at its top that imports give it.
        acts: being imported, it does something beyond defining: it registers, or changes another module.
        dynamic: it imports by a name that is only known when it runs.
        texts: strings in it that may name a file.
    """

    digest: str
    imports: list[Import]
    at_import: list[Import]
    bound: dict[str, Import]
    acts: bool
    dynamic: bool
    texts: list[str]


def read_source(path: Path, settings: bool = False) -> Source:
    """Parse a file, or take the cached result for the same bytes.

    Args:
        path: Python file.
        settings: of its classes, only what methods compute from the fields counts.

    Raises:
        ConfigError: it is missing, or no Python.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ConfigError(f"{path}: this file of code cannot be read ({error.strerror}). Check the path.") from error
    package = path.name == "__init__.py"
    key = hashlib.sha256(data).hexdigest() + ("i" if package else "") + ("s" if settings else "")
    kept = _kept.get(key)
    if kept is None:
        kept = _found(_parsed(path, data), package, settings)
        _kept.put(key, kept)
    digest, imports, at_import, bound, *others = kept
    return Source(
        digest,
        [Import(*item) for item in imports],
        [Import(*item) for item in at_import],
        {name: Import(*item) for name, item in bound.items()},
        *others,
    )


def command_source(path: Path, command: str) -> Source:
    """One command of a typer file, with the functions of the file and the imports that it uses.

    The words of its options are no part of its code.

    Raises:
        ConfigError: there is no such command.
    """
    tree = _parsed(path, path.read_bytes())
    functions = {node.name: node for node in tree.body if isinstance(node, _FUNCTIONS)}
    chosen = [node for node in functions.values() if command in _command_names(node)]
    if not chosen:
        raise ConfigError(f"{path.name}: there is no command {command}.")
    for node in chosen:
        used = (item.id for item in ast.walk(node) if isinstance(item, ast.Name) and item.id in functions)
        chosen += [functions[name] for name in dict.fromkeys(used) if functions[name] not in chosen]
    defaults = ast.Tuple([value for node in chosen for value in node.args.defaults], ast.Load())
    bodies = [statement for node in chosen for statement in node.body]
    named = _names(item for node in bodies for item in ast.walk(node))
    above = [imported for node in tree.body for name, imported in _imports_of(node) if name in named]
    found = _found(ast.Module(bodies, []), False, False)
    return found._replace(
        digest=_digest_of(ast.Module([ast.Expr(defaults), *bodies], [])), imports=[*found.imports, *above]
    )


def _command_names(node: ast.FunctionDef | ast.AsyncFunctionDef) -> Iterator[str]:
    for call in node.decorator_list:
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute) and call.func.attr == "command":
            given = [item.value for item in call.args if isinstance(item, ast.Constant)]
            yield str(given[0]) if given else node.name.replace("_", "-")


def _parsed(path: Path, data: bytes) -> ast.Module:
    try:
        return ast.parse(data)
    except (SyntaxError, ValueError) as error:
        line = f", line {error.lineno}" if isinstance(error, SyntaxError) and error.lineno else ""
        raise ConfigError(f"{path}{line}: this is not Python ({error.args[0]}). Correct the file.") from error


def _found(tree: ast.Module, package: bool, settings: bool) -> Source:
    top = list(_run_at_import(tree.body))
    nodes = list(_walk(tree))
    exported = _exported(top) if package else set()
    kept = [node for node in nodes if not (exported and node in top and isinstance(node, ast.ImportFrom))]
    names, used = _names(kept), _attributes(nodes)
    imports = [
        (name, _with_use(imported, used.get(name, set()))) for node in nodes for name, imported in _imports_of(node)
    ]
    code: ast.AST = tree
    if package:
        code = ast.Module([node for node in tree.body if not _only_hands_on(node, exported, names)], [])
    elif settings:
        code = _computing(tree)
    texts = {node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)}
    return Source(
        digest=_digest_of(code),
        imports=[imported for name, imported in imports if name in names or name not in exported],
        at_import=[imported for node in top for _, imported in _imports_of(node)],
        bound={name: imported for node in top for name, imported in _imports_of(node)},
        acts=any(_acts(node, tree) for node in top),
        dynamic=bool(names & _DYNAMIC),
        texts=sorted(text for text in texts if _FILE_NAME.fullmatch(text)),
    )


def _walk(tree: ast.AST) -> Iterator[ast.AST]:
    """All nodes but those that only a type checker sees."""
    waiting = [tree]
    while waiting:
        node = waiting.pop()
        yield node
        waiting += node.orelse if _for_type_checkers(node) else ast.iter_child_nodes(node)  # type: ignore[attr-defined]


def _for_type_checkers(node: ast.AST) -> bool:
    if not isinstance(node, ast.If):
        return False
    test = node.test
    return (test.attr if isinstance(test, ast.Attribute) else getattr(test, "id", "")) == "TYPE_CHECKING"


def _run_at_import(body: Iterable[ast.stmt]) -> Iterator[ast.stmt]:
    """The statements that importing runs, those within blocks too."""
    for node in body:
        yield node
        if _for_type_checkers(node):
            yield from _run_at_import(node.orelse)  # type: ignore[attr-defined]
        elif not isinstance(node, (*_FUNCTIONS, ast.ClassDef)):
            blocks = [getattr(node, name, []) for name in ("body", "orelse", "finalbody")]
            blocks += [handler.body for handler in getattr(node, "handlers", [])]
            for block in blocks:
                yield from _run_at_import(block)


def _imports_of(node: ast.AST) -> list[tuple[str, Import]]:
    """What an import statement binds, and to what."""
    if isinstance(node, ast.Import):
        return [(alias.asname or alias.name.split(".")[0], Import(alias.name, 0, None)) for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        return [
            (
                alias.asname or alias.name,
                Import(node.module or "", node.level, None if alias.name == "*" else alias.name),
            )
            for alias in node.names
        ]
    return []


def _with_use(imported: Import, attributes: set[str] | None) -> Import:
    """An import with the attributes that are used of it."""
    return imported if attributes is None else imported._replace(used=sorted(attributes))


def _attributes(nodes: list[ast.AST]) -> dict[str, set[str] | None]:
    """The attributes that are used of each name; None where it is also used by itself."""
    found: dict[str, set[str] | None] = {}
    parents = {id(node.value): node.attr for node in nodes if isinstance(node, ast.Attribute)}
    for node in nodes:
        if isinstance(node, ast.Name):
            attribute, before = parents.get(id(node)), found.setdefault(node.id, set())
            found[node.id] = None if attribute is None or before is None else before | {attribute}
    return found


def _names(nodes: Iterable[ast.AST]) -> set[str]:
    plain = {node.id for node in nodes if isinstance(node, ast.Name)}
    return plain | {node.attr for node in nodes if isinstance(node, ast.Attribute)}


def _exported(top: Iterable[ast.stmt]) -> set[str]:
    """`__all__`, which says what a package hands on."""
    found: set[str] = set()
    for node in top:
        if isinstance(node, ast.Assign) and any(getattr(target, "id", "") == "__all__" for target in node.targets):
            found |= {str(item.value) for item in ast.walk(node.value) if isinstance(item, ast.Constant)}
    return found


def _only_hands_on(node: ast.stmt, exported: set[str], names: set[str]) -> bool:
    if isinstance(node, ast.Assign):
        return any(getattr(target, "id", "") == "__all__" for target in node.targets)
    return isinstance(node, ast.ImportFrom) and all(
        name in exported and name not in names for name, _ in _imports_of(node)
    )


def _acts(node: ast.stmt, tree: ast.Module) -> bool:
    """Whether a statement at the top of a module does more than define."""
    if isinstance(node, ast.Expr):
        return not isinstance(node.value, ast.Constant)
    if isinstance(node, (ast.Assign, ast.AugAssign, ast.AnnAssign, ast.Delete)):
        targets = node.targets if isinstance(node, (ast.Assign, ast.Delete)) else [node.target]
        return any(isinstance(target, (ast.Attribute, ast.Subscript)) for target in targets)
    if isinstance(node, (*_FUNCTIONS, ast.ClassDef)):
        foreign = {name for item in tree.body for name, what in _imports_of(item) if _is_foreign(what)}
        return any(_root(item) not in foreign for item in node.decorator_list)
    return False


def _is_foreign(imported: Import) -> bool:
    return imported.level == 0 and imported.module.split(".")[0] != __name__.split(".")[0]


def _root(node: ast.expr) -> str:
    """The name that an expression such as `a.b(c)` begins with."""
    while isinstance(node, (ast.Call, ast.Attribute)):
        node = node.func if isinstance(node, ast.Call) else node.value
    return node.id if isinstance(node, ast.Name) else ""


def _computing(tree: ast.Module) -> ast.Module:
    """What computes in a module of settings: methods that do not only check, and the constants that they name."""
    classes = [node for node in tree.body if isinstance(node, ast.ClassDef)]
    methods = [
        ast.Module([ast.Constant(group.name), method], [])  # type: ignore[list-item]
        for group in classes
        for method in group.body
        if isinstance(method, _FUNCTIONS)
        and not any(_root(item).endswith("validator") for item in method.decorator_list)
    ]
    named = _names(node for method in methods for node in ast.walk(method))
    constants = [node for node in tree.body if isinstance(node, ast.Assign) and _names(node.targets) & named]
    return ast.Module([*constants, *methods], [])  # type: ignore[list-item]


def _digest_of(tree: ast.AST) -> str:
    pieces: list[str] = []
    _write(tree, pieces)
    return hashlib.sha256("\n".join(pieces).encode("utf-8", "surrogatepass")).hexdigest()


def _write(node: ast.AST, pieces: list[str]) -> None:
    """A tree as text. What is empty is left out, since versions of Python differ in what they add to a tree."""
    pieces.append(node.__class__.__name__)
    for field in node._fields:
        value = getattr(node, field, None)
        if value is None or field in _LEFT_OUT:
            continue
        if isinstance(value, ast.AST):
            pieces.append(field)
            _write(value, pieces)
        elif isinstance(value, list):
            if value:
                pieces.append(field)
            for item in value:
                if not isinstance(item, ast.AST):
                    pieces.append(repr(item))
                elif not (isinstance(item, ast.Expr) and _is_text(item.value)):  # a docstring
                    _write(item, pieces)
        else:
            pieces.append(f"{field}={value!r}")
    pieces.append(")")


def _is_text(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str)
