"""Predict the test patches and test slices of a patch store: a prediction alone, or with its uncertainty."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from txm2sem_core import io
from txm2sem_core.errors import InputError
from txm2sem_core.families import Images
from txm2sem_core.inference.compatibility import store_for
from txm2sem_core.inference.ensemble import EnsemblePredictor
from txm2sem_core.inference.predictor import Predictor
from txm2sem_core.intensity import to_dtype
from txm2sem_core.metrics import UNCALIBRATED, Calibration, fit_calibration
from txm2sem_core.metrics.gaps import CALIBRATION, Gaps, with_gaps
from txm2sem_core.runtime.progress import progress


def predict_test(
    predictor: Predictor, patches: Path, output: Path, *, name: str = "test", overwrite: bool = True
) -> None:
    """Predict the test patches and the test slices of a patch store.

    Leaves in `output`: `patches.tif`, float32 SEM intensities [N, Y, X] in the order of the index's test rows, or class
    numbers, uint8; `slices/{pair}.tif`, whole test slices in the SEM's dtype, or of class numbers; and for a family
    that repairs, `damage.tif`, 255 where a patch was damaged. With `overwrite` earlier ones of ours are replaced.
    """
    store = store_for(predictor, patches)
    rows = store.of_split("test").to_dict("records")
    damage = predictor.family.test_damage(store, len(rows))
    predicted = []
    for number, row in enumerate(progress(rows, f"predict {name} patches", len(rows), "patches")):
        position = (row["pair"], row["y"], row["x"])
        laid = None if damage is None else damage[number]
        images = Images(store.txm_patch(*position, predictor.context), store.sem_patch(*position), laid)
        made = predictor.predict_patch(predictor.with_noise(images, (row["z"], row["y"], row["x"])))
        predicted.append(made if predictor.predicts_classes else made.astype(np.float32))
    io.write_tiff(output / "patches.tif", np.stack(predicted), store.voxel_size_nm, overwrite=overwrite)
    if damage is not None:
        masks = np.stack(damage).astype(np.uint8) * 255
        io.write_tiff(output / "damage.tif", masks, store.voxel_size_nm, overwrite=overwrite)
    with io.atomic_path(output / "slices", overwrite=overwrite) as folder:
        folder.mkdir()
        for pair, z in {row["pair"]: row["z"] for row in rows}.items():
            whole = store.pairs[pair]
            images = Images(store.txm_slab(pair, predictor.context), whole.sem, whole.charged)
            plane = predictor.predict(predictor.with_noise(images, (z, 0, 0)))
            io.write_tiff(folder / f"{pair}.tif", to_dtype(plane, predictor.sem_dtype)[0], store.voxel_size_nm)


def predict_test_with_uncertainty(
    predictor: EnsemblePredictor, patches: Path, output: Path, *, name: str, overwrite: bool = True
) -> None:
    """Predict the test patches and slices with their spread, and calibrate it on the validation patches.

    Leaves in `output`, beside what `predict_test` leaves (here of the mean): `spread.tif`, the standard deviation of
    the predictions, float32 grey levels [N, Y, X]; and `calibration.json`: the `scale` and `floor` of `Calibration`,
    what made the spread, and on how many validation patches and pixels it was fitted. Where they allow no calibration,
    `not_measured` in it says why, and scale and floor leave the spread as it is.
    """
    store = store_for(predictor, patches)
    calibration, pixels, gaps = _calibrated(predictor, store, name)
    rows = store.of_split("test")
    mean, spread = _patches_of(predictor, store, "test", name)
    io.write_tiff(output / "patches.tif", mean, store.voxel_size_nm, overwrite=overwrite)
    io.write_tiff(output / "spread.tif", spread, store.voxel_size_nm, overwrite=overwrite)
    with io.atomic_path(output / "slices", overwrite=overwrite) as folder:
        folder.mkdir()
        for pair in rows["pair"].unique():
            plane, _ = predictor.predict_plane(store.txm_slab(pair, predictor.context))
            io.write_tiff(folder / f"{pair}.tif", to_dtype(plane, store.sem_dtype)[0], store.voxel_size_nm)
    fitted_on = {"patches": len(store.of_split("validation")), "pixels": pixels}
    description = {
        **with_gaps(calibration.as_dict(), gaps),
        **predictor.describe(),
        **_ensemble_of(predictor),
        "validation": fitted_on,
        **io.MARK,
    }
    io.write_json(output / "calibration.json", description, overwrite=overwrite)


def read_calibration(path: Path, predictor: Predictor | EnsemblePredictor | None = None) -> Calibration:
    """Read what `predict_test_with_uncertainty` left in `calibration.json`.

    Raises:
        InputError: the file is missing or holds no calibration, or one of other models or passes than `predictor`'s.
    """
    values = io.read_json(path)
    try:
        calibration = Calibration.from_dict(values)
        made = {key: values.get(key) for key in ("models", "samples", "model_sha256")}
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise InputError(f"{path}: this is not a calibration ({error!r}). Give the one of predict-test.") from error
    if not isinstance(predictor, EnsemblePredictor):
        return calibration
    for key, here in _ensemble_of(predictor).items():
        if made[key] not in (None, here):
            raise InputError(
                f"{path}: it was fitted to a spread of other models or passes ({key} {made[key]}, here {here}), and "
                "says nothing of this one. Give the calibration.json that predict-test left for these models."
            )
    return calibration


def _ensemble_of(predictor: EnsemblePredictor) -> dict[str, Any]:
    """The ensemble that a calibration was fitted to: it is valid for no other."""
    made = predictor.describe()
    sha256 = sorted(map(str, predictor.origin()["model_sha256"]))
    return {"models": made["models"], "samples": made["samples"], "model_sha256": sha256}


def _calibrated(predictor: EnsemblePredictor, store: io.PatchStore, name: str) -> tuple[Calibration, int, Gaps]:
    """Calibration on the usable pixels of the validation patches, their number, and why it could not be had."""
    mean, spread = _patches_of(predictor, store, "validation", name)
    positions = [(row["pair"], row["y"], row["x"]) for row in store.of_split("validation").to_dict("records")]
    target = np.stack([store.sem_patch(*position) for position in positions]).astype(np.float32)
    usable = np.stack([store.mask_patch(*position) for position in positions])
    gaps, calibration = Gaps(f"predict-test {name}"), UNCALIBRATED
    with gaps.of(CALIBRATION):
        calibration = fit_calibration((mean - target)[usable], spread[usable])
    return calibration, int(np.count_nonzero(usable)), gaps


def _patches_of(predictor: EnsemblePredictor, store: io.PatchStore, split: str, name: str) -> tuple[np.ndarray, ...]:
    """Mean and spread of the patches of a split, float32 [N, Y, X] each."""
    rows = store.of_split(split).to_dict("records")
    if not rows:
        raise InputError(f"the patch store has no {split} patches: raise patches.split.{split} in the configuration.")
    predicted = [
        predictor.predict_patches(store.txm_patch(row["pair"], row["y"], row["x"], predictor.context)[None])
        for row in progress(rows, f"predict {name} {split} patches", len(rows), "patches")
    ]
    return tuple(np.concatenate(images) for images in zip(*predicted, strict=True))
