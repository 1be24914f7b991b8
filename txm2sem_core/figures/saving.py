"""A figure in every format that the style asks for."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from matplotlib.figure import Figure

from txm2sem_core.figure_settings import CommonStyle
from txm2sem_core.plotting import save_figure


def save(figure: Figure, outputs: Iterable[Path], common: CommonStyle) -> None:
    """Write the figure to every path, in the format of its suffix."""
    for path in outputs:
        save_figure(figure, path, common)
