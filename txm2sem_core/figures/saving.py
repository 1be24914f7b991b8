"""A figure in every format that the style asks for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from matplotlib.figure import Figure

from txm2sem_core.config.figures import CommonStyle
from txm2sem_core.metrics.gaps import Gaps
from txm2sem_core.plotting import draw_words, save_figure


def save_reason(what: str, reason: str, outputs: Iterable[Path], common: CommonStyle) -> None:
    """Write, in place of a figure, why there is none."""
    save(draw_words(f"{what}: not drawn. {reason}", common), outputs, common)


@contextmanager
def or_reason(what: str, outputs: Sequence[Path], common: CommonStyle) -> Iterator[None]:
    """Write in place of a figure why there is none, where its data do not allow one (see `Gaps.of`)."""
    gaps = Gaps("figures")
    with gaps.of(what):
        yield
    if gaps.reasons:
        save_reason(what, gaps.reasons[what], outputs, common)


def save(figure: Figure, outputs: Iterable[Path], common: CommonStyle) -> None:
    """Write the figure to every path, in the format of its suffix."""
    for path in outputs:
        save_figure(figure, path, common)
