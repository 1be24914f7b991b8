"""Prediction by the models of the side tasks: repaired SEM slices, and maps of classes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from txm2sem_core import io
from txm2sem_core.checkpoint import LoadedModel
from txm2sem_core.config import PredictSettings, TrainSettings
from txm2sem_core.errors import ConfigError, InputError, print_warnings
from txm2sem_core.families.side_tasks import DamageBank, predicted_classes, repair_input
from txm2sem_core.inference.foreign import depth_warnings, range_warnings, store_for
from txm2sem_core.inference.input_checks import size_warnings
from txm2sem_core.inference.predictor import Predictor
from txm2sem_core.intensity import to_dtype
from txm2sem_core.io.voxel_sizes import UNKNOWN


class ClassPredictor(Predictor):
    """A segmentation model: where others give SEM intensities, it gives class numbers (see `side_tasks.CLASSES`)."""

    least_is_a_class = True

    def __init__(self, model: LoadedModel, settings: PredictSettings, device: str = "auto") -> None:
        super().__init__(model, settings, device)
        self.from_sem = model.description["settings"]["segment_from"] == "sem"
        if self.from_sem:
            self.txm_range = self.sem_range
        self.sem_dtype = np.dtype(np.uint8)

    def predict_plane(self, txm: np.ndarray) -> np.ndarray:
        """Classes [Y, X], uint8, of an image [1, Y, X] of the kind that the model was trained on."""
        return predicted_classes(self.network_plane(self.txm_range.to_unit(txm)))

    def predict_patches(self, txm: np.ndarray) -> np.ndarray:
        """Classes [B, Y, X] of patches [B, 1, Y, X]."""
        return predicted_classes(self.network_patches(self.txm_range.to_unit(txm)))


class Repairer(Predictor):
    """A repair model."""

    def __init__(self, model: LoadedModel, settings: PredictSettings, device: str = "auto") -> None:
        super().__init__(model, settings, device)
        chosen = model.description["settings"]
        self.context = 0  # SEM and mask are channels too, and no neighbours
        self.sem_only = chosen["repair_from"] == "sem"
        self.damage: tuple[float, float] = tuple(chosen["damage"])

    def predict_plane(self, txm: np.ndarray) -> np.ndarray:
        """Refuse: a TXM slice alone cannot be repaired."""
        raise ConfigError(
            "this model repairs FIB-SEM slices, and needs one with its mask of charge beside the TXM slice. Use "
            "`txm2sem repair --txm T --sem S --mask M`."
        )

    def repair_plane(self, txm: np.ndarray, sem: np.ndarray, mask: np.ndarray) -> tuple[np.ndarray, int]:
        """Repair a slice where the mask says so; all else is the very same.

        Args:
            txm: [Y, X], TXM intensities, in register with the SEM slice.
            sem: [Y, X], SEM intensities; what stands under the mask does not matter.
            mask: [Y, X], True where charged.

        Returns:
            [Y, X] in the SEM's dtype, and how many pixels had to be clipped to its bounds.
        """
        txm_unit = np.zeros_like(txm, dtype=np.float32) if self.sem_only else self.txm_range.to_unit(txm)
        planes = [torch.from_numpy(plane)[None, None] for plane in (txm_unit, self.sem_range.to_unit(sem), mask)]
        predicted = self.sem_range.from_unit(self.network_plane(repair_input(*planes)[0].numpy())[0])
        stored, _ = to_dtype(predicted, sem.dtype)
        _, clipped = to_dtype(predicted[mask], sem.dtype)
        return np.where(mask, stored, sem), clipped


def load_predictor(model: LoadedModel, settings: PredictSettings, device: str = "auto") -> Predictor:
    """The predictor of a model's family."""
    families = {"repair": Repairer, "segmentation": ClassPredictor}
    return families.get(model.description.get("family", ""), Predictor)(model, settings, device)


def predict_test_repair(repairer: Repairer, patches: Path, output: Path, *, overwrite: bool = True) -> None:
    """Repair the test patches, with damage laid over them, and the test slices, where they are charged.

    Leaves in `output`: `patches.tif`, float32 [N, Y, X] as `predict_test` does; `damage.tif`, 255 where the patch was
    damaged; and `slices/{pair}.tif` in the SEM's dtype, equal to the measured slice but where it is charged.
    """
    store = store_for(repairer, patches)
    rows = store.of_split("test").to_dict("records")
    damages = DamageBank(store, repairer.damage).for_evaluation(len(rows))
    repaired = []
    for row, damage in zip(rows, damages, strict=True):
        place = (row["pair"], row["y"], row["x"])
        sem = store.sem_patch(*place)
        repaired.append(repairer.repair_plane(store.txm_patch(*place, 0)[0], sem, damage)[0].astype(np.float32))
    io.write_tiff(output / "patches.tif", np.stack(repaired), store.voxel_size_nm, overwrite=overwrite)
    laid = np.stack(damages).astype(np.uint8) * 255
    io.write_tiff(output / "damage.tif", laid, store.voxel_size_nm, overwrite=overwrite)
    with io.atomic_path(output / "slices", overwrite=overwrite) as folder:
        folder.mkdir()
        for pair in dict.fromkeys(row["pair"] for row in rows):
            images = store.pairs[pair]
            plane, _ = repairer.repair_plane(images.txm[store.context], images.sem, images.charged)
            io.write_tiff(folder / f"{pair}.tif", plane, store.voxel_size_nm)


def predict_test_classes(predictor: ClassPredictor, patches: Path, output: Path, *, overwrite: bool = True) -> None:
    """Segment the test patches and slices: `patches.tif` [N, Y, X] and `slices/{pair}.tif`, class numbers, uint8."""
    store = store_for(predictor, patches)
    rows = store.of_split("test").to_dict("records")
    seen = [
        store.sem_patch(row["pair"], row["y"], row["x"])[None]
        if predictor.from_sem
        else store.txm_patch(row["pair"], row["y"], row["x"], 0)
        for row in rows
    ]
    classes = [predictor.predict_patches(image[None])[0] for image in seen]
    io.write_tiff(output / "patches.tif", np.stack(classes), store.voxel_size_nm, overwrite=overwrite)
    with io.atomic_path(output / "slices", overwrite=overwrite) as folder:
        folder.mkdir()
        for pair in dict.fromkeys(row["pair"] for row in rows):
            images = store.pairs[pair]
            plane = images.sem if predictor.from_sem else images.txm[store.context]
            io.write_tiff(folder / f"{pair}.tif", predictor.predict_plane(plane[None]), store.voxel_size_nm)


def repair_files(repairer: Repairer, txm: Path, sem: Path, mask: Path, output: Path, *, overwrite: bool = True) -> int:
    """Repair one slice on disk; its pixel size goes with it. Returns how many pixels were clipped.

    With `overwrite` an earlier result of ours is replaced.

    Raises:
        InputError: the output is an input or something of the user's (see `io.check_output`), a file cannot be read,
            shapes or data types do not fit, or more is charged than the model has learnt to repair, as where a mask
            means the opposite.
    """
    io.check_output([txm, sem, mask], files=[output])
    if output.suffix.lower() not in (".tif", ".tiff"):
        raise ConfigError(f"{output}: the output must end in .tif.")
    images = {"TXM": io.read_image(txm), "FIB-SEM": io.read_image(sem)}
    charged = io.read_mask(mask)
    for path, shape in ((txm, images["TXM"].shape), (mask, charged.shape)):
        if shape != images["FIB-SEM"].shape:
            raise InputError(
                f"{path}: {shape} (Y, X), but {sem} has {images['FIB-SEM'].shape}. The slices must be in register: "
                "`txm2sem register` brings one onto the other."
            )
    if images["FIB-SEM"].dtype != repairer.sem_dtype:
        raise InputError(f"{sem}: {images['FIB-SEM'].dtype}, but the model was trained on {repairer.sem_dtype} slices.")
    greatest = TrainSettings.model_validate(repairer.description["settings"]).damage[1]
    if charged.mean() > greatest:
        raise InputError(
            f"{mask}: {charged.mean():.0%} of the slice is not zero, which means charged; the model has learnt to "
            f"repair at most {greatest:.0%} of a patch (train.damage). Where the mask means the opposite, as those in "
            "registered/pairs/ do (255 = usable), invert it."
        )
    prepared = repairer.preparation.apply(images["TXM"])
    doubts = depth_warnings(repairer, images["TXM"].dtype, str(txm)) if not repairer.sem_only else []
    doubts += range_warnings(prepared, repairer.txm_range, str(txm), "TXM") if not repairer.sem_only else []
    doubts += range_warnings(images["FIB-SEM"][~charged], repairer.sem_range, str(sem), "FIB-SEM")
    doubts += size_warnings(repairer, str(sem), io.read_voxel_size_nm(sem) or UNKNOWN)
    print_warnings("repair", doubts)
    plane, clipped = repairer.repair_plane(prepared, images["FIB-SEM"], charged)
    io.write_tiff(output, plane, io.read_voxel_size_nm(sem), overwrite=overwrite)
    return clipped
