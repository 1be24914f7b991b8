"""Images on a figure: grey scales, physical extents and scale bars."""

from __future__ import annotations

import math
from collections.abc import Sequence

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.image import AxesImage
from matplotlib.patheffects import withStroke
from numpy.typing import NDArray

from txm2sem_core.config.figures import CommonStyle
from txm2sem_core.errors import InputError

Image = NDArray[np.generic]

NOTHING_COLOUR = "#56B4E9"  # pixels that are not finite; no grey, and visible to all


def physical_size(shape: tuple[int, ...], pixel_size_nm: tuple[float, float] | None) -> tuple[float, float]:
    """Height and width of a `[Y, X]` image in nm, or in pixels where the pixel size is not known."""
    y_size, x_size = pixel_size_nm or (1.0, 1.0)
    return shape[0] * y_size, shape[1] * x_size


def grey_range(images: Sequence[Image], percentiles: tuple[float, float]) -> tuple[float, float]:
    """Grey levels to draw as black and white: percentiles over the finite pixels of all images together."""
    values = np.concatenate([np.asarray(image, dtype=np.float64).ravel() for image in images])
    values = values[np.isfinite(values)]
    if values.size == 0:
        raise InputError("an image to draw holds no finite pixel")
    low, high = (float(value) for value in np.percentile(values, percentiles))
    return (low, high) if high > low else (low, low + 1.0)


def show_image(
    axes: Axes,
    image: Image,
    size_nm: tuple[float, float],
    limits: tuple[float, float],
    colours: str = "gray",
) -> AxesImage:
    """Draw `[Y, X]` over its physical height and width in nm, without ticks; pixels that are not finite turn blue."""
    height_nm, width_nm = size_nm
    shown = axes.imshow(
        np.ma.masked_invalid(np.asarray(image, dtype=np.float64)),
        cmap=mpl.colormaps[colours].with_extremes(bad=NOTHING_COLOUR),
        vmin=limits[0],
        vmax=limits[1],
        extent=(0.0, width_nm, height_nm, 0.0),
        aspect="auto",  # the axes have the image's proportions already
    )
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_visible(False)
    return shown


def scale_bar_length_nm(width_nm: float, fraction: float) -> float:
    """Greatest round length (1, 2 or 5 times a power of ten) of at most this share of the width."""
    greatest = width_nm * fraction
    power = 10.0 ** math.floor(math.log10(greatest))
    return max(step * power for step in (1, 2, 5) if step * power <= greatest * (1 + 1e-9))


def length_label(length_nm: float) -> str:
    """A length in nm, um or mm, whichever gives a number from 1 to 999."""
    for unit, nanometres in (("mm", 1e6), ("µm", 1e3)):
        if length_nm >= nanometres * (1 - 1e-9):
            return f"{length_nm / nanometres:g} {unit}"
    return f"{length_nm:g} nm"


def add_scale_bar(axes: Axes, size_nm: tuple[float, float], fraction: float, common: CommonStyle) -> None:
    """A labelled bar in the image's lower left corner, white with a dark rim so that it shows on any grey."""
    height_nm, width_nm = size_nm
    length = scale_bar_length_nm(width_nm, fraction)
    left, bottom = 0.05 * width_nm, height_nm - 0.05 * width_nm
    axes.plot(
        [left, left + length],
        [bottom, bottom],
        color="white",
        linewidth=1.6,
        solid_capstyle="butt",
        path_effects=[withStroke(linewidth=2.8, foreground="black")],
    )
    axes.annotate(
        length_label(length),
        (left, bottom),  # from the bar's start, since the label of a short bar is wider than the bar
        xytext=(0, 1.8),
        textcoords="offset points",
        ha="left",
        va="bottom",
        color="white",
        fontsize=common.font_size_pt - 0.5,
        path_effects=[withStroke(linewidth=1.4, foreground="black")],
    )
    axes.set_xlim(0, width_nm)
    axes.set_ylim(height_nm, 0)


def add_corner_label(axes: Axes, text: str, common: CommonStyle) -> None:
    """A word in the image's upper left corner."""
    axes.annotate(
        text,
        (0, 1),
        xycoords="axes fraction",
        xytext=(2.5, -2.5),
        textcoords="offset points",
        ha="left",
        va="top",
        color="white",
        fontsize=common.font_size_pt - 0.5,
        path_effects=[withStroke(linewidth=1.4, foreground="black")],
    )
