"""Sections of a phantom's TXM, its truth, a mean, two samples, and where the TXM is not what a sample would show.

    snakemake --configfile config/benchmarks/pairs-to-volume.yaml --cores 2 --resources gpu=1
    python benchmarks/samples_picture.py results/pairs-to-volume/rock10 --output samples.png

The mean is the variant `residual`, the samples are those of `flow`. Across z above, along z below.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

from txm2sem_core import io
from txm2sem_core.measure.consistency import MAP_PX

SIDE_PX, DPI = 160, 100
WIDTH_IN = 12.0


def main() -> None:
    """Draw it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sample", type=Path, help="folder of a sample in a folder of results")
    parser.add_argument("--output", type=Path, required=True)
    given = parser.parse_args()
    volumes = given.sample / "volumes"
    shown = {
        "TXM": given.sample / "raw/txm_volume",
        "truth": given.sample / "raw/truth/sem.tif",
        "mean": volumes / "residual/seed0/sem.ome.zarr",
        "a sample": volumes / "flow/seed0/sem.ome.zarr",
        "another": volumes / "flow/seed0_sample2/sem.ome.zarr",
        "TXM that it would not show": given.sample / "metrics/flow/seed0/txm_residual.ome.zarr",
    }
    images = {title: np.stack(list(io.open_volume(path).slices())).astype(float) for title, path in shown.items()}
    depth, *plane = images["truth"].shape
    first = [(n - SIDE_PX) // 2 // MAP_PX * MAP_PX for n in plane]
    height = WIDTH_IN / len(images) * (1 + depth / SIDE_PX) + 0.4
    figure, axes = plt.subplots(
        2, len(images), figsize=(WIDTH_IN, height), layout="constrained", height_ratios=[SIDE_PX, depth]
    )
    for column, (title, volume) in zip(axes.T, images.items(), strict=True):
        step = MAP_PX if volume.shape[0] < depth else 1
        y, x = (slice(n // step, (n + SIDE_PX) // step) for n in first)
        low, high = {"TXM": np.percentile(volume, (0.5, 99))}.get(title, (0, 3) if step > 1 else (0, 230))
        sections = volume[depth // 2 // step, y, x], volume[:, (first[0] + SIDE_PX // 2) // step, x]
        for axis, section in zip(column, sections, strict=True):
            axis.imshow(section, cmap="magma" if step > 1 else "gray", vmin=low, vmax=high)
            axis.set_axis_off()
        column[0].set_title(title, fontsize=9)
    given.output.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(given.output, dpi=DPI)


if __name__ == "__main__":
    main()
