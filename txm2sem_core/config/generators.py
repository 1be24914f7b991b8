"""The names of generators: ours, and those that a user's files register. Nothing of such a file is run here."""

from __future__ import annotations

import ast
import difflib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from txm2sem_core.errors import ConfigError

FILTERS = ("linearfilt", "gammafilt")  # trained, but baselines all the same: one layer that sees 15 x 15 pixels
BASELINES = ("constant", "identity", "pointwise", "bicubic")
BLOCKS = range(1, 17)


@dataclass(frozen=True)
class Takes:
    """What a generator of ours can be given; a test holds it to the networks, which take seconds to load."""

    multiple: int = 1  # Y and X of its input must be multiples of it
    minimum: int = 1  # and at least so many pixels
    factors: tuple[int, ...] | None = (1,)  # of super-resolution; None: all


TAKES = {
    **{name: Takes(factors=(1,) if name == "identity" else None) for name in BASELINES},
    **{name: Takes() for name in FILTERS},
    **{f"unet_{2**depth}": Takes(2**depth, 2**depth) for depth in range(5, 10)},
    **{f"resnet_{blocks}blocks": Takes(4, 8) for blocks in BLOCKS},
    **{f"sr_resnet_{blocks}blocks": Takes(1, 5, (1, 2, 4, 8)) for blocks in BLOCKS},
}
BUILT_IN = frozenset(TAKES)


def registered_names(file: Path) -> set[str]:
    """Names in the calls of `register_generator` in a Python file, read and not run.

    Raises:
        ConfigError: the file is missing, is not Python, or registers nothing by a name that stands there as text.
    """
    try:
        tree = ast.parse(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"plugins: {file} cannot be read ({error.strerror}). Check the path.") from error
    except (SyntaxError, ValueError) as error:
        raise ConfigError(f"plugins: {file} is not Python ({error}).") from error
    names = {
        call.args[0].value
        for call in ast.walk(tree)
        if isinstance(call, ast.Call)
        and getattr(call.func, "attr", getattr(call.func, "id", "")) == "register_generator"
        and call.args
        and isinstance(call.args[0], ast.Constant)
        and isinstance(call.args[0].value, str)
    }
    if not names:
        raise ConfigError(
            f"plugins: {file} registers no generator. Decorate the function that builds your network with "
            '@register_generator("its_name"); docs/guides/your-own-network.md shows how.'
        )
    taken = sorted(names & BUILT_IN)
    if taken:
        raise ConfigError(f"plugins: {file} registers {taken[0]!r}, which is a name of ours. Choose another.")
    return names


def check_generator_name(name: str, plugins: Iterable[str], where: str) -> None:
    """Refuse a name that neither we nor a plug-in registers; ConfigError names the nearest."""
    known = BUILT_IN.union(*(registered_names(Path(file)) for file in plugins))
    if name in known:
        return
    near = difflib.get_close_matches(name, sorted(known), n=1, cutoff=0.5)
    remedy = f"Did you mean {near[0]!r}?" if near else "config/README.md lists them."
    raise ConfigError(
        f"{where}: there is no generator {name!r}. {remedy} If it is your own, name its file under plugins."
    )
