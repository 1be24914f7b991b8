"""Losses and validation scores over the epochs of the trainings."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from txm2sem_core import io
from txm2sem_core.config.figures import CommonStyle, CurvesStyle
from txm2sem_core.figures.saving import save
from txm2sem_core.plotting import History, draw_curves


def curves_figure(
    histories: Sequence[Path],
    runs: Sequence[tuple[str, int]],
    variants: Sequence[str],
    style: CurvesStyle,
    common: CommonStyle,
    outputs: Iterable[Path],
) -> None:
    """Draw losses and validation scores of the trainings.

    Args:
        histories: the `history.csv` of each.
        runs: variant and seed of each.
        variants: all of the run, whose colours follow their places.
        style: of this figure.
        common: of all figures.
        outputs: files to write; their suffixes are the formats.
    """
    trainings = []
    for (variant, seed), path in zip(runs, histories, strict=True):
        table = io.read_csv(path)
        losses = {
            f"{name.removeprefix('loss_').replace('_', ' ').capitalize()} loss": table[name].to_numpy()
            for name in map(str, table)
            if name.startswith("loss_") and table[name].any()
        }
        epochs, psnrs, ssims = (table[name].to_numpy() for name in ("epoch", "validation_psnr", "validation_ssim"))
        trainings.append(
            History(variant.replace("_", " "), seed, epochs, psnrs, ssims, losses, variants.index(variant))
        )
    save(draw_curves(trainings, style, common), outputs, common)
