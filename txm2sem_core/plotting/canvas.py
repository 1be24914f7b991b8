"""The basis of all figures: sizes in millimetres, one set of fonts and colours, and files with fixed bytes.

Figures are built with matplotlib's object-oriented interface on an Agg canvas: no pyplot, no display, no state that
one figure leaves for the next. matplotlib's own defaults are put back first, so that a user's `matplotlibrc` changes
nothing.
"""

from __future__ import annotations

import bisect
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.textpath import TextPath

from txm2sem_core.config.figures import CommonStyle
from txm2sem_core.io import SOFTWARE, atomic_path

MM_PER_INCH = 25.4
MM_PER_POINT = MM_PER_INCH / 72
# Okabe and Ito (2008), Color Universal Design: distinguishable in all common kinds of colour vision. Without
# yellow, which is too light for a line on white, and black, which is the truth's.
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
LINE_STYLES = ("-", (0, (4, 1.5)), (0, (1, 1.2)), (0, (5, 1.2, 1, 1.2)))
MUTED = "#5A5A5A"


@contextmanager
def drawing(common: CommonStyle) -> Iterator[None]:
    """Draw with the configured style, whatever the user's own matplotlib settings are."""
    size = common.font_size_pt
    ours: dict[str, Any] = {
        "font.family": common.font_family,
        "font.size": size,
        "axes.titlesize": size,
        "axes.labelsize": size,
        "xtick.labelsize": size - 0.5,
        "ytick.labelsize": size - 0.5,
        "legend.fontsize": size - 0.5,
        "figure.dpi": common.dpi,
        "savefig.dpi": "figure",
        "lines.linewidth": common.line_width_pt,
        "axes.linewidth": 0.5,
        "xtick.major.width": 0.5,
        "ytick.major.width": 0.5,
        "xtick.minor.width": 0.4,
        "ytick.minor.width": 0.4,
        "xtick.major.size": 2.5,
        "ytick.major.size": 2.5,
        "xtick.minor.size": 1.5,
        "ytick.minor.size": 1.5,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "legend.frameon": False,
        "image.interpolation": "auto",  # sharp pixels where they are large, no moiré where they are small
        "image.cmap": "gray",
        "axes.unicode_minus": True,
    }
    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(cast("Any", ours))
        yield


def new_figure(width_mm: float, height_mm: float) -> Figure:
    """An empty figure of this size; `axes_mm` puts axes on it."""
    figure = Figure(figsize=(width_mm / MM_PER_INCH, height_mm / MM_PER_INCH))
    FigureCanvasAgg(figure)
    return figure


def size_mm(figure: Figure) -> tuple[float, float]:
    """Width and height of a figure in mm."""
    width, height = figure.get_size_inches()
    return float(width) * MM_PER_INCH, float(height) * MM_PER_INCH


def axes_mm(figure: Figure, left: float, top: float, width: float, height: float) -> Axes:
    """Axes at a place given in mm from the figure's upper left corner."""
    total_width, total_height = size_mm(figure)
    bottom = total_height - top - height
    return figure.add_axes((left / total_width, bottom / total_height, width / total_width, height / total_height))


def draw_words(text: str, common: CommonStyle) -> Figure:
    """A figure of one column that holds a text, and nothing else."""
    width = common.width_mm(1)
    with drawing(common):
        line = line_height_mm(common)
        letters = max(20, int(width / (0.2 * line)))
        lines = textwrap.wrap(text, letters // 2)
        figure = new_figure(width, (len(lines) + 2) * line)
        for number, words in enumerate(lines):
            text_mm(figure, 1.5, (number + 1) * line, fitted(words, width - 3.0, common))
    return figure


def text_mm(figure: Figure, left: float, top: float, text: str, **kwargs: Any) -> None:
    """Text whose upper left corner (unless `ha`, `va` say otherwise) lies at a place in mm from the upper left."""
    total_width, total_height = size_mm(figure)
    options: dict[str, Any] = {
        "ha": "left",
        "va": "top",
        "parse_math": False,
    } | kwargs  # a dollar sign in a label is a dollar sign
    figure.text(left / total_width, 1 - top / total_height, text, **options)


def text_width_mm(text: str, common: CommonStyle) -> float:
    """Width of a text in the configured font, in mm."""
    if not text.strip():
        return 0.0
    font = FontProperties(family=common.font_family, size=common.font_size_pt)
    return float(TextPath((0, 0), text.replace("$", r"\$"), prop=font).get_extents().width) * MM_PER_POINT


def fitted(text: str, width_mm: float, common: CommonStyle) -> str:
    """Give the text, cut short with an ellipsis where it is wider than this."""
    if text_width_mm(text, common) <= width_mm:
        return text
    kept = bisect.bisect_right(range(len(text)), width_mm, key=lambda n: text_width_mm(text[:n] + "…", common)) - 1
    return text[: max(kept, 0)].rstrip(" ,") + "…"


def line_height_mm(common: CommonStyle) -> float:
    """Height of a line of text with its spacing, in mm."""
    return common.font_size_pt * MM_PER_POINT * 1.35


def series_style(place: int) -> dict[str, Any]:
    """Colour and dash of the series at a place, from 0 on: colours change first, then dashes."""
    dash = LINE_STYLES[(place // len(PALETTE)) % len(LINE_STYLES)]
    return {"color": PALETTE[place % len(PALETTE)], "linestyle": dash}


def letter(index: int) -> str:
    """Name of the n-th panel: a to z, then aa, ab, ..."""
    name = ""
    index += 1
    while index:
        index, remainder = divmod(index - 1, 26)
        name = chr(ord("a") + remainder) + name
    return name


def save_figure(figure: Figure, path: Path, common: CommonStyle) -> None:
    """Write a figure as PNG, PDF or SVG by the path's suffix, whole or not at all.

    The same figure gives the same bytes: no dates, no random identifiers.

    Raises:
        InputError: the folder cannot be written.
    """
    metadata = {
        ".png": {"Software": SOFTWARE},
        ".pdf": {"CreationDate": None, "Creator": SOFTWARE, "Producer": None},
        ".svg": {"Date": None, "Creator": SOFTWARE},
    }[path.suffix.lower()]
    with drawing(common), atomic_path(path) as temporary:
        mpl.rcParams.update({"pdf.fonttype": 42, "svg.hashsalt": "txm2sem", "svg.fonttype": "path"})
        figure.savefig(temporary, format=path.suffix[1:].lower(), metadata=metadata)
