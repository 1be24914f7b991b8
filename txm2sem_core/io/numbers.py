"""The numbers in the file names of slices: which number counts them, and which files belong to one slice."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import pairwise
from pathlib import Path

from txm2sem_core.errors import InputError

# a point stands between two numbers (slice 7 of series 2 in `2.007`) or, where that makes no sense, before decimals
# (`z0.25`); a comma between digits always stands before decimals
NUMBER = "{number}"  # in a pattern of names
WHOLE, DECIMAL = r"\d+(?:,\d+)?", r"\d+(?:[.,]\d+)?"


@dataclass(frozen=True)
class NumberedFile:
    """A file, the number that counts it, and that number as it stands in the name, with at least three digits."""

    number: Decimal
    name: str
    path: Path


def values(text: str, pattern: str) -> list[Decimal]:
    """All numbers in a text."""
    return [_value(number) for number in re.findall(pattern, text)]


def constant_step(ordered: Sequence[Decimal]) -> bool:
    """Whether numbers go up by one step."""
    steps = {b - a for a, b in pairwise(ordered)}
    return len(steps) == 1 and min(steps) > 0


def number_files(
    files: Sequence[Path], fits: Callable[[set[Decimal]], bool] = lambda numbers: True
) -> dict[Decimal, NumberedFile]:
    """Number the files of a folder by the last number in their names (`SEM_dark007.tif` is 7), lowest first.

    Where that stands in two names, or does not fit, it is the last with decimals (`z_1.5.tif`), or the last that is not
    the same in all names (`SEM_012_5.0kV.tif`).

    Args:
        files: of one folder.
        fits: whether these are the numbers that are looked for; where none fit, the first that are no number twice.

    Raises:
        InputError: a name without a number, or a number that stands in two names.
    """
    for file in files:
        if not re.search(WHOLE, file.stem):
            raise InputError(f"{file}: pairs are matched by the number in their names, this name has none. Rename it.")
    unique = [numbered for numbered in _readings(files) if len({one.number for one in numbered}) == len(files)]
    if not unique:
        raise _twice(next(_readings(files)))
    chosen = next((some for some in unique if fits({one.number for one in some})), unique[0])
    return {one.number: one for one in sorted(chosen, key=lambda one: one.number)}


def number_by_pattern(files: Sequence[Path], pattern: str) -> dict[Decimal, NumberedFile]:
    """Number the files whose names are as `pattern` says, lowest first; others are left out.

    Args:
        files: of one folder.
        pattern: a file's name, with `{number}` where its number stands, and `*` for what may be anything.

    Raises:
        InputError: no name is so, or a number stands in two.
    """
    parts = [".*".join(re.escape(piece) for piece in part.split("*")) for part in pattern.split(NUMBER)]
    expression = re.compile(f"({DECIMAL})".join(parts))
    matches = [(file, match.group(1)) for file in files if (match := expression.fullmatch(file.name)) is not None]
    if not matches:
        raise InputError(f"{files[0].parent}: no name of an image there is as {pattern} says, as {files[0].name}.")
    numbered = sorted((_counted(text, file) for file, text in matches), key=lambda one: one.number)
    if len({one.number for one in numbered}) < len(numbered):
        raise _twice(numbered)
    return {one.number: one for one in numbered}


def _readings(files: Sequence[Path]) -> Iterator[list[NumberedFile]]:
    """The files with the numbers that may count them, the usual ones first."""
    whole, decimal = ([_numbered(file, pattern, -1) for file in files] for pattern in (WHOLE, DECIMAL))
    yield from (decimal, whole) if _decimals_count(whole, decimal) else (whole, decimal)
    for pattern in (WHOLE, DECIMAL):
        if len({re.sub(pattern, "#", file.stem) for file in files}) > 1:
            continue
        columns = list(zip(*(values(file.stem, pattern) for file in files), strict=True))
        for column in reversed(range(len(columns))):
            if len(set(columns[column])) > 1:
                yield [_numbered(file, pattern, column) for file in files]


def _decimals_count(whole: Sequence[NumberedFile], decimal: Sequence[NumberedFile]) -> bool:
    """Whether points are decimal points, though no number after a point occurs twice (`z_0.5`, `z_1.0`).

    They do where the numbers before them differ, and the digits after them would bring the slices into another order;
    and where only so the numbers go up by a constant step.
    """
    if any("." not in one.name for one in decimal):
        return False
    by_digits, by_decimals = (sorted(some, key=lambda one: one.number) for some in (whole, decimal))
    if constant_step([one.number for one in by_decimals]) and not constant_step([one.number for one in by_digits]):
        return True
    several = len({int(one.number) for one in decimal}) > 1
    return several and [one.path for one in by_digits] != [one.path for one in by_decimals]


def _numbered(file: Path, pattern: str, column: int) -> NumberedFile:
    return _counted(re.findall(pattern, file.stem)[column], file)


def _counted(text: str, file: Path) -> NumberedFile:
    text = text.replace(",", ".")
    before, point, after = text.partition(".")
    return NumberedFile(_value(text), f"{before.zfill(3)}{point}{after}", file)


def _value(text: str) -> Decimal:
    return Decimal(text.replace(",", "."))


def _twice(numbered: Sequence[NumberedFile]) -> InputError:
    seen: dict[Decimal, Path] = {}
    for one in numbered:
        if one.number in seen:
            return InputError(
                f"{one.path}: the number {one.name} stands in {seen[one.number].name} too, and no other number in the "
                "names of this folder tells its images apart. Rename one; or, of slices, say in the columns txm_names "
                f"or sem_names of the sample table which images are meant, with {NUMBER} where their number stands."
            )
        seen[one.number] = one.path
    raise AssertionError("no number stands there twice")
