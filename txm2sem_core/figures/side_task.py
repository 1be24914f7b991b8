"""Test patches of a side task: a repair, or a segmentation."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from txm2sem_core import io
from txm2sem_core.config.figures import CommonStyle, MontageStyle
from txm2sem_core.figures.saving import save
from txm2sem_core.metrics.damage import interpolated
from txm2sem_core.metrics.density import CLASSES
from txm2sem_core.plotting import Column, draw_side_task


def side_task_figure(
    task: str,
    patches: Path,
    store: Path,
    style: MontageStyle,
    common: CommonStyle,
    outputs: Iterable[Path],
) -> None:
    """Draw test patches of a side task beside what was measured.

    Args:
        task: `repair` or `segmentation`.
        patches: the predicted `patches.tif`; of a repair `damage.tif` lies beside it.
        store: the `store.json` of the patch store.
        style: of this figure.
        common: of all figures.
        outputs: files to write; their suffixes are the formats.
    """
    draw = _repair if task == "repair" else _segmentation
    save(draw(patches, io.read_patch_store(store.parent), style, common), outputs, common)


def _repair(patches: Path, store: io.PatchStore, style: MontageStyle, common: CommonStyle) -> Figure:
    """Test patches of a repair: TXM, damaged, repaired, measured; the damage is white, as in the network's input."""
    positions, rows = _shown_patches(store, style)
    repaired, damages = (io.open_volume(path) for path in (patches, patches.with_name("damage.tif")))
    true = [store.sem_patch(*position) for position in positions]
    laid = [damages.read(row, row + 1)[0] > 0 for row in rows]
    columns = [
        Column("TXM", [store.txm_patch(*position, 0)[0] for position in positions], "txm"),
        Column("Damaged", [np.where(d, store.sem_range.high, t) for d, t in zip(laid, true, strict=True)]),
        Column("Repaired", [repaired.read(row, row + 1)[0] for row in rows]),
        Column("Interpolated", [interpolated(t, d) for d, t in zip(laid, true, strict=True)]),
        Column("FIB-SEM", true),
    ]
    return draw_side_task(columns, store.pixel_size_nm, (), style, common)


def _segmentation(patches: Path, store: io.PatchStore, style: MontageStyle, common: CommonStyle) -> Figure:
    """Test patches of a segmentation: TXM, FIB-SEM, predicted and true classes."""
    positions, rows = _shown_patches(store, style)
    predicted = io.open_volume(patches)
    classes = [store.class_patch(*position) for position in positions]
    columns = [
        Column("TXM", [store.txm_patch(*position, 0)[0] for position in positions], "txm"),
        Column("FIB-SEM", [store.sem_patch(*position) for position in positions]),
        Column("Predicted", [predicted.read(row, row + 1)[0] for row in rows], ""),
        Column("True", [own for own in classes if own is not None], ""),
    ]
    return draw_side_task(columns, store.pixel_size_nm, CLASSES, style, common)


def _shown_patches(store: io.PatchStore, style: MontageStyle) -> tuple[list[tuple[str, int, int]], list[int]]:
    """Places of the test patches that are shown, evenly over the split, and their rows."""
    test = store.of_split("test")
    count = min(max(style.patches, 3), len(test))
    rows = [round((number + 0.5) * len(test) / count - 0.5) for number in range(count)]
    positions = [(str(test["pair"][row]), int(test["y"][row]), int(test["x"][row])) for row in rows]
    return positions, rows
