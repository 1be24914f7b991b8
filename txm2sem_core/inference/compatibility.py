"""Whether the input of a model is like its training data: bit depth, grey levels, voxel sizes, preparation.

The patches that a model was trained on are not checked. An input that cannot be right is refused; one that may be right
and could mislead gets a warning. For volumes see also `input_checks`.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from txm2sem_core import io
from txm2sem_core.errors import InputError, print_warnings
from txm2sem_core.inference.ensemble import EnsemblePredictor
from txm2sem_core.inference.input_checks import TOLERATED_SHARE, input_warnings, share_far_beyond, size_warnings
from txm2sem_core.inference.learnt import LearntScan
from txm2sem_core.inference.predictor import Predictor
from txm2sem_core.intensity import IntensityRange
from txm2sem_core.intensity.histograms import Histogram, thinned
from txm2sem_core.intensity.measured import measured
from txm2sem_core.io import PatchStore
from txm2sem_core.io.field_of_view import FieldOfView, sampled_slices

AnyPredictor = Predictor | EnsemblePredictor


def store_for(predictor: AnyPredictor, patches: Path) -> PatchStore:
    """Read a patch store that a model can be tested on; warns of one that is unlike the training patches.

    Raises:
        InputError: it is of another factor than the model or lacks context, its FIB-SEM slices are of another bit
            depth, or its TXM slices were prepared otherwise.
    """
    store, trained = io.read_patch_store(patches), predictor.description
    if store.factor != predictor.factor:
        raise InputError(f"{patches}: the patches' factor is {store.factor}, the model's {predictor.factor}.")
    if store.context < predictor.context:
        raise InputError(
            f"{patches}: the patches' context is {store.context}, the model's {predictor.context}. Raise it."
        )
    if store.scans < predictor.scans:
        raise InputError(
            f"{patches}: the patches are of {store.scans} TXM scan{'s' * (store.scans > 1)}, but the model predicts "
            f"from {predictor.scans}. Give patches of as many, or another model."
        )
    store = store.of_scans(predictor.scans)
    if trained.get("patches_sha256") == store.digest:
        return store
    if store.sem_dtype != np.dtype(trained["sem_dtype"]):
        raise InputError(
            f"{patches}: its FIB-SEM slices are {store.sem_dtype}, but the model was trained on "
            f"{trained['sem_dtype']}, and predicts their grey levels. Give patches of that bit depth, or a model that "
            "was trained on these."
        )
    if store.preparation != predictor.preparation:
        raise InputError(
            f"{patches}: its TXM slices were prepared by {store.preparation}, those of the model by "
            f"{predictor.preparation} (patches.txm). Extract the patches with the model's settings."
        )
    print_warnings("predict-test", _store_warnings(predictor, store, str(patches)))
    return store


def _store_warnings(predictor: AnyPredictor, store: PatchStore, source: str) -> list[str]:
    positions = [(row["pair"], row["y"], row["x"]) for row in store.of_split("test").to_dict("records")]
    if not positions:
        return []
    first = store.pairs[positions[0][0]]
    z_nm, y_nm, x_nm = store.voxel_size_nm
    f = store.factor  # the store states the size of the finer FIB-SEM
    size = (z_nm, None if y_nm is None else y_nm * f, None if x_nm is None else x_nm * f)
    patches = [store.txm_patch(*position, 0) for position in positions]
    names = [f"{source} (scan {number})" if store.scans > 1 else source for number in range(1, store.scans + 1)]
    seen = [[patch[scan][measured(patch[scan])] for patch in patches] for scan in range(store.scans)]
    types = [slices.dtype for slices in first.scans]
    targets = [store.sem_patch(*position)[store.mask_patch(*position)] for position in positions]
    sem_range = IntensityRange(**predictor.description["normalisation"]["sem"])
    return [
        *(depth_warnings(predictor, types, names) if store.preparation.is_none else []),
        *size_warnings(predictor, source, size),
        *(
            _unlike_training(predictor, seen, [f"TXM patches of {name}" for name in names])
            if sees_txm(predictor)
            else []
        ),
        *range_warnings(np.concatenate(targets), sem_range, f"the FIB-SEM patches of {source}", "FIB-SEM"),
    ]


def sees_txm(predictor: AnyPredictor) -> bool:
    """Whether the network is given TXM slices: a segmentation may be of FIB-SEM slices."""
    return predictor.txm_range == IntensityRange(**predictor.description["normalisation"]["txm"])


def depth_warnings(predictor: AnyPredictor, types: Sequence[np.dtype], sources: Sequence[str]) -> list[str]:
    """Whole numbers of another bit depth than the training TXM slices' (where the model says it), scan by scan."""
    if not sees_txm(predictor):
        return []
    learnt = [scan.dtype for scan in predictor.learnt_scans]
    return [
        f"{source} is {dtype}, but the model was trained on {trained} TXM slices: the same grey level means another "
        "intensity. Export it with the same bit depth and scale as the training slices."
        for dtype, trained, source in zip(types, learnt, sources, strict=False)
        if trained is not None and trained.kind in "iu" and dtype.kind in "iu" and dtype != trained
    ]


def range_warnings(pixels: np.ndarray, trained: IntensityRange, source: str, kind: str) -> list[str]:
    """Intensities far beyond those of the training."""
    beyond = share_far_beyond(pixels, trained)
    if beyond <= TOLERATED_SHARE:
        return []
    return [
        f"{beyond:.0%} of {source} lie far outside the {kind} intensities that the model was trained on "
        f"({trained.low:g} to {trained.high:g}): what it makes of them means nothing. Give images of the same bit "
        "depth and scale as the training slices."
    ]


def _unlike_training(predictor: AnyPredictor, seen: Sequence[list[np.ndarray]], sources: Sequence[str]) -> list[str]:
    """Measured pixels of some planes of each scan with a joint histogram unlike that of its training slices."""
    scans = zip(seen, sources, predictor.learnt_scans, strict=True)
    return [warning for each in scans for warning in _scan_unlike_training(predictor, *each)]


def _scan_unlike_training(
    predictor: AnyPredictor, seen: list[np.ndarray], source: str, learnt: LearntScan
) -> list[str]:
    trained = learnt.distribution if sees_txm(predictor) else None
    if not any(pixels.size for pixels in seen):
        return [f"nothing was measured in {source}: they are blank."]
    if trained is None:
        return range_warnings(np.concatenate(seen), learnt.range, source, "TXM")
    apart = trained.distance(
        sum((Histogram.of_pixels(learnt.range.to_unit(pixels)) for pixels in seen), Histogram.empty())
    )
    if apart <= trained.limit:
        return []
    return [
        f"the histogram of {source} is not that of the training TXM slices: they lie {apart:.2f} apart, at most "
        f"{trained.limit:.2f} is expected (the training intensities span -1 to 1). The model has not learnt such "
        "images: compare the exposure and the reconstruction's scaling."
    ]


def volume_warnings(predictor: AnyPredictor, field: FieldOfView, voxel_size_nm: io.VoxelSize) -> list[str]:
    """What is known of a volume before it is predicted and could mislead (see `input_warnings`), its bit depth too."""
    source = field.volume
    return [
        *input_warnings(predictor, field, voxel_size_nm),
        *depth_warnings(predictor, [scan.dtype for scan in source.scans], [scan.source for scan in source.scans]),
        *(warning for scan in source.scans for warning in _no_txm(scan)),
    ]


def _no_txm(source: io.Volume) -> list[str]:
    """Warn of a file that is no TXM volume for any model: a prediction of ours, or a single grey level."""
    if source.stated:
        return [f"{source.source} is a FIB-SEM volume that TXM2SEM predicted, and no TXM volume. Give that one."]
    slices = [source.read(z, z + 1)[0] for z in sampled_slices(source)]
    levels = {level for plane in slices for level in (plane.min(), plane.max())}
    if len(levels) > 1:
        return []
    return [
        f"slices z = {', '.join(map(str, sampled_slices(source)))} of {source.source} all have the one grey level "
        f"{slices[0].flat[0]:g}: there is nothing to predict from. Look whether this is the right file."
    ]


def slices_unlike_training(predictor: AnyPredictor, field: FieldOfView) -> list[str]:
    """Say whether some slices are not like the training's, before hours of prediction.

    The whole volume is judged at the end (`input_checks.histogram_warnings`), for its metadata and the report.
    """
    positions = sampled_slices(field.volume)
    positions = positions[1:-1] or positions  # the ends of a sample differ
    seen = [[_measured_pixels(predictor, scan, z) for z in positions] for scan in field.scans]
    shown = ", ".join(map(str, positions))
    return _unlike_training(predictor, seen, [f"slices z = {shown} of {scan.volume.source}" for scan in field.scans])


def _measured_pixels(predictor: AnyPredictor, field: FieldOfView, z: int) -> np.ndarray:
    """Some of a slice, prepared as the network gets them."""
    plane = field.volume.read(z, z + 1)[0]
    mask = field.of(plane, z)
    prepared = predictor.preparation.apply(thinned(field.filled(plane, mask)))
    return prepared.ravel() if mask is None else prepared[thinned(mask)]
