"""The names of generators: ours, and those that a user's files register. Nothing of such a file is run here."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from txm2sem_core.config.families import built_in, parsed, registrations
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
    "residual_unet": Takes(4, 8),
    **{f"resnet_{blocks}blocks": Takes(4, 8) for blocks in BLOCKS},
    **{f"sr_resnet_{blocks}blocks": Takes(1, 5, (1, 2, 4, 8)) for blocks in BLOCKS},
}
BUILT_IN = frozenset(TAKES)
VELOCITY = "residual_unet"  # what a flow's velocity is like, whatever its mean is


def registered_names(file: Path) -> set[str]:
    """Names of the generators that a user's Python file registers, read and not run; none where it registers a family.

    Raises:
        ConfigError: the file is missing, is not Python, or registers nothing by a name that stands there as text.
    """
    tree = parsed(file)
    names, families = (set(registrations(tree, f"register_{kind}")) for kind in ("generator", "family"))
    if not names | families:
        raise ConfigError(
            f"plugins: {file} registers no generator and no family. Decorate the function that builds your network "
            'with @register_generator("its_name"), as docs/guides/your-own-network.md shows, or your family with '
            '@register_family("its_name"), as docs/guides/your-own-family.md does.'
        )
    taken = sorted(names & BUILT_IN | families & built_in().keys())
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
