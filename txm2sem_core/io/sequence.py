"""The order of slices in a folder, and whether one is missing: z is where a slice stands, so a gap shifts all above."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from decimal import Decimal
from itertools import pairwise
from math import gcd
from pathlib import Path

from txm2sem_core.errors import InputError
from txm2sem_core.io.numbers import DECIMAL, WHOLE, constant_step, values

_SHOWN = 8  # missing numbers that a message lists


def slice_order(files: Sequence[Path]) -> list[Path]:
    """Sort slices by the number in their names that counts them.

    All names must be alike but for their numbers. One of the numbers must go up by a constant step: 1, any other
    count, or a distance such as 0.25 micrometres.

    Args:
        files: of one folder, in natural order.

    Raises:
        InputError: names of several patterns, a number that stands twice, or a gap; names the files and the numbers.
    """
    if len(files) < 2:
        return list(files)
    for number in (WHOLE, DECIMAL):
        for column in _columns(files, number):
            ordered = sorted(zip(column, files, strict=True))
            if constant_step([value for value, _ in ordered]):
                return [file for _, file in ordered]
    raise _complaint(files)


def _columns(files: Sequence[Path], number: str) -> list[list[Decimal]]:
    """The numbers of the names, one list for each place in them; none where the names have no common pattern."""
    texts = {re.sub(number, "#", file.stem) for file in files}
    if len(texts) > 1:
        return []
    rows = [values(file.stem, number) for file in files]
    return [list(column) for column in zip(*rows, strict=True) if len(set(column)) > 1]


def _complaint(files: Sequence[Path]) -> InputError:
    folder = files[0].parent
    patterns: dict[str, list[Path]] = {}
    for file in files:
        patterns.setdefault(re.sub(WHOLE, "#", file.stem), []).append(file)
    columns = _columns(files, WHOLE)
    if not columns and len(patterns) > 1:
        rarest = min(patterns.values(), key=len)[0]
        usual = max(patterns.values(), key=len)[-1]
        if rarest == usual:  # every name is a pattern of its own
            rarest, usual = files[0], files[1]
        return InputError(
            f"{folder}: the names of its images follow no common pattern ({rarest.name} beside {usual.name}), so the "
            "order of the slices is not known. Leave nothing in the folder but slices whose names differ in one number."
        )
    if not columns:  # same number in all: `s1.tif` and `s01.tif`, or `s1.png` and `s1.tif`
        return InputError(
            f"{folder}: {files[0].name} and {files[1].name} have the same number. Leave one file for each slice."
        )
    for number in (WHOLE, DECIMAL):
        # the number that counts is the one that differs in most names
        column = max(_columns(files, number), key=lambda found: len(set(found)))
        if len(set(column)) == len(files) and (gap := _gap(folder, sorted(column))):
            return gap
    column = max(columns, key=lambda found: len(set(found)))
    ordered = sorted(zip(column, files, strict=True))
    for (a, first), (b, second) in pairwise(ordered):
        if a == b:
            return InputError(
                f"{folder}: {first.name} and {second.name} have the same number. Leave one file for each slice."
            )
    return _uneven(folder, [value for value, _ in ordered])


def _gap(folder: Path, numbers: Sequence[Decimal]) -> InputError | None:
    """The message for numbers that would go up by a constant step if some were not missing."""
    steps = [b - a for a, b in pairwise(numbers)]
    step, usual = _common_step(steps), Counter(steps).most_common(1)[0][0]
    if step != usual or (numbers[-1] - numbers[0]) / step >= 3 * len(numbers):
        return None
    absent = [f"{a + i * step}" for a, b in pairwise(numbers) for i in range(1, int((b - a) / step))]
    more = f" and {len(absent) - _SHOWN} more" if len(absent) > _SHOWN else ""
    return InputError(
        f"{folder}: slices are missing: number {', '.join(absent[:_SHOWN])}{more} (of {numbers[0]} to "
        f"{numbers[-1]}, step {step}). All slices above would stand at a wrong z. Add them; where one is lost, put a "
        "copy of its neighbour in its place."
    )


def _common_step(steps: Sequence[Decimal]) -> Decimal:
    """The largest step of which all are multiples."""
    decimals = max(-int(step.as_tuple().exponent) for step in steps)
    return Decimal(gcd(*(int(step.scaleb(decimals)) for step in steps))).scaleb(-decimals)


def _uneven(folder: Path, numbers: Sequence[Decimal]) -> InputError:
    usual = Counter(b - a for a, b in pairwise(numbers)).most_common(1)[0][0]
    a, b = next((a, b) for a, b in pairwise(numbers) if b - a != usual)
    return InputError(
        f"{folder}: the numbers of its slices do not go up by a constant step (from {a} to {b}, elsewhere by {usual}), "
        "so z is not known. Number the slices 0, 1, 2, ..., or give them as one TIFF."
    )
