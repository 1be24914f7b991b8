"""Mean PSNR and SSIM of every variant and baseline."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from txm2sem_core import io
from txm2sem_core.config.figures import CommonStyle, ComparisonStyle
from txm2sem_core.figures.saving import save
from txm2sem_core.plotting import draw_comparison


def comparison_figure(
    summary: Path, patches: Path, style: ComparisonStyle, common: CommonStyle, outputs: Iterable[Path]
) -> None:
    """Draw mean PSNR and SSIM of every variant, from `summary.csv` and `patches.csv` (for the seeds)."""
    scores = io.read_csv(patches).drop_duplicates(["variant", "seed", "pair", "y", "x"])
    slices = scores.groupby(["variant", "seed", "pair"], sort=False)[["psnr", "ssim"]].mean()
    by_seed = slices.groupby(["variant", "seed"], sort=False).mean().reset_index()
    seeds = by_seed.rename(columns={"psnr": "psnr_mean", "ssim": "ssim_mean"})
    several = seeds if seeds["seed"].nunique() > 1 else None
    save(draw_comparison(io.read_csv(summary), style, common, several), outputs, common)
