"""What samples of training patches lack of the patches: flat parts, grey levels, and changes over a distance."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from txm2sem_core.geometry import Mask, relative_length
from txm2sem_core.io import PatchStore
from txm2sem_core.io.voxel_sizes import VoxelSize
from txm2sem_core.networks import Flow, inference
from txm2sem_core.networks.flow import KNOTS, MOST_LAG

PIXELS = 500_000  # of training patches, that are compared with samples
LEAST_PATCHES = 32
OUTER = 0.005  # share of the grey levels below the lowest knot, and above the highest
FLATNESSES = (0.0, *np.geomspace(2e-3, 0.3, 20).tolist())  # weights that are tried, in the unit range
_LEAST_STEP = 1e-4  # between knots, in the unit range


class Drawn(NamedTuple):
    """A training FIB-SEM patch and a sample of it, `[s, s]` in the unit range, and where both count."""

    true: NDArray[np.float32]
    made: NDArray[np.float32]
    counted: Mask


def draw_patches(network: Flow, store: PatchStore, context: int, mode: str) -> list[Drawn]:
    """Samples of training patches, evenly over the training slices; the same in each run.

    Args:
        network: trained.
        store: patches of the training slices, as they were trained on.
        context: TXM slices on each side that the network is given.
        mode: of inference.
    """
    random = torch.Generator().manual_seed(0)
    device = next(network.parameters()).device
    rows = store.of_split("train")
    count = min(len(rows), max(LEAST_PATCHES, PIXELS // store.size_px**2))
    chosen = rows.iloc[np.linspace(0, len(rows) - 1, count).round().astype(int)]
    drawn = []
    with inference(network, mode):
        for row in chosen.to_dict("records"):
            patch = store.txm_patch(row["pair"], row["y"], row["x"], context)
            txm = torch.from_numpy(store.slab_range.to_unit(patch))[None]
            noise = torch.randn((1, 1, *txm.shape[2:]), generator=random)
            made = network(torch.cat([txm, noise], dim=1).to(device))[0, 0].cpu().numpy()
            true = store.sem_range.to_unit(store.sem_patch(row["pair"], row["y"], row["x"]))
            drawn.append(Drawn(true, made, store.mask_patch(row["pair"], row["y"], row["x"]) > 0))
    return drawn


def grey_levels(drawn: Sequence[Drawn]) -> NDArray[np.float32]:
    """Which grey levels of samples to map to which, `[2, KNOTS]`, so that they are as frequent as in the patches.

    Quantiles of the samples and of the patches, where both count.
    """
    shares = np.linspace(OUTER, 1 - OUTER, KNOTS)
    made, true = (
        np.quantile(np.concatenate([image[each.counted] for each, image in zip(drawn, images, strict=True)]), shares)
        for images in ([each.made for each in drawn], [each.true for each in drawn])
    )
    rising = np.maximum.accumulate(made - _LEAST_STEP * np.arange(KNOTS)) + _LEAST_STEP * np.arange(KNOTS)
    return np.stack([rising, true]).astype(np.float32)


def fit_flatness(finished: Callable[[float], Sequence[Drawn]], voxel_size_nm: VoxelSize) -> float:
    """The weight of the total variation with which samples change as much from pixel to pixel as the patches do.

    0 where they change less without it.

    Args:
        finished: patches and samples, by that weight.
        voxel_size_nm: along z, y, x.
    """
    found: list[float] = []
    for weight in FLATNESSES:
        found.append(float(relative_changes(finished(weight), voxel_size_nm)[0]))
        if found[-1] > 1:
            break
    return float(np.interp(1, np.maximum.accumulate(found), FLATNESSES[: len(found)]))


def relative_changes(drawn: Sequence[Drawn], voxel_size_nm: VoxelSize) -> NDArray[np.float64]:
    """The change of training FIB-SEM patches over that of samples of them, over 1 to `MOST_LAG` pixels of axis y.

    Samples may be softer than what they were learned from, so that they change less.

    Args:
        drawn: patches and samples.
        voxel_size_nm: along z, y, x.
    """
    _, y_nm, x_nm = voxel_size_nm
    pixels_x = relative_length(y_nm, x_nm)
    distances = range(1, min(MOST_LAG, len(drawn[0].true) // 2) + 1)
    changes = [
        [
            [sum(changes_in_plane(image, d, pixels_x, each.counted)) for d in distances]
            for image in (each.true, each.made)
        ]
        for each in drawn
    ]
    true_change, sample_change = np.mean(changes, axis=0)
    ratio = true_change / np.maximum(sample_change, np.finfo(np.float32).tiny)
    return np.concatenate([ratio, np.full(MOST_LAG - len(ratio), ratio[-1])])


def changes_in_plane(
    image: NDArray[np.float32], distance: float, pixels_x: float, counted: Mask | None = None
) -> tuple[float, float]:
    """Mean absolute change of an image `[Y, X]` over a distance, along y and along x.

    Over one pixel it is the density of the walls between darker and brighter, as a mean over all grey levels (the
    coarea formula), where that of squares follows the few highest steps.

    Args:
        image: grey levels.
        distance: in pixels of axis y; between whole numbers it is interpolated.
        pixels_x: pixels along x for each along y.
        counted: where the image counts; None for everywhere.
    """
    known = np.ones(image.shape, dtype=bool) if counted is None else counted
    return _change(image, known, distance), _change(image.T, known.T, distance * pixels_x)


def _change(image: NDArray[np.float32], known: Mask, distance: float) -> float:
    """Along the first axis."""
    below = math.floor(distance)
    share = distance - below
    lower = _change_at(image, known, below)
    return lower if share == 0 else (1 - share) * lower + share * _change_at(image, known, below + 1)


def _change_at(image: NDArray[np.float32], known: Mask, lag: int) -> float:
    lag = min(lag, len(image) - 1)
    if lag == 0:
        return 0.0
    both = known[:-lag] & known[lag:]
    return float(np.abs(image[lag:] - image[:-lag])[both].mean()) if both.any() else 0.0
