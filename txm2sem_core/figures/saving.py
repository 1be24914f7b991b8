"""A figure in every format that the style asks for."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from matplotlib.figure import Figure

from txm2sem_core.figure_settings import CommonStyle
from txm2sem_core.plotting import draw_words, save_figure


def save_reason(what: str, reason: str, outputs: Iterable[Path], common: CommonStyle) -> None:
    """Write, in place of a figure, why there is none."""
    save(draw_words(f"{what}: not drawn. {reason}", common), outputs, common)


def save(figure: Figure, outputs: Iterable[Path], common: CommonStyle) -> None:
    """Write the figure to every path, in the format of its suffix."""
    for path in outputs:
        save_figure(figure, path, common)
