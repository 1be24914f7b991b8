"""Where in the volume slices are sought: `find`, `find 20-60`, `find 40` or `find 40,48,56`."""

from __future__ import annotations

import re
from typing import NamedTuple

from txm2sem_core.errors import ConfigError

WORD = "find"
GUESS_REACH = 15  # slices below and above a first guess
_RANGE = re.compile(r"(\d+(?:\.\d+)?)-(\d+(?:\.\d+)?)")


class Depths(NamedTuple):
    """First and last slice of the volume between which the centre of a slice is sought."""

    first: float
    last: float
    guessed: bool = False  # about a first guess, beyond which a plane may be found


def is_sought(text: str | None) -> bool:
    """Whether a `pair_z` asks for a search."""
    return text is not None and text.split(maxsplit=1)[:1] == [WORD]


def depths_sought(text: str, count: int) -> list[Depths | None]:
    """Where in the volume the centre of each of `count` slices may lie; None: anywhere.

    Args:
        text: `find`; or with a range of slices, or with a first guess, one for all or one each.
        count: of slices.

    Raises:
        ConfigError: it is none of these.
    """
    _, _, where = text.strip().partition(" ")
    where = where.replace(" ", "")
    if not where:
        return [None] * count
    if (limits := _RANGE.fullmatch(where)) is not None:
        first, last = float(limits[1]), float(limits[2])
        if first > last:
            raise ConfigError(f"a range from {first:g} to {last:g} holds no slice. Give the lower number first.")
        return [Depths(first, last)] * count
    try:
        guesses = [float(part) for part in where.split(",")]
    except ValueError as error:
        raise ConfigError(
            f"give {WORD}, {WORD} 20-60 for a range of slices, or {WORD} 40 or {WORD} 40,48,56 for first guesses"
        ) from error
    if len(guesses) not in (1, count):
        raise ConfigError(f"{len(guesses)} first guesses are given for {count} slices. Give one for all, or one each.")
    guesses = guesses * count if len(guesses) == 1 else guesses
    return [around(guess) for guess in guesses]


def around(guess: float) -> Depths:
    """The slices about a first guess."""
    return Depths(guess - GUESS_REACH, guess + GUESS_REACH, guessed=True)
