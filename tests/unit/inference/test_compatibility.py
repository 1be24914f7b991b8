"""A model that meets other data than it was trained with: the impossible is refused, the misleading reported."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_data import VOXEL_SIZE_NM, blurred, make_store, sharp, tiny

from txm2sem_core import io
from txm2sem_core.checkpoint import load_model
from txm2sem_core.config import PredictSettings
from txm2sem_core.errors import InputError
from txm2sem_core.inference import Predictor, load_ensemble, predict_test, predict_volume
from txm2sem_core.inference.test_set import predict_test_with_uncertainty, read_calibration
from txm2sem_core.intensity import Preparation
from txm2sem_core.io import Volume
from txm2sem_core.training import train_model


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Models of 16-bit slices, of three seeds, and the patches that they were trained on."""
    folder = tmp_path_factory.mktemp("trained")
    make_store(folder / "patches", dtype=np.uint16)
    for seed in (0, 1, 2):
        train_model(folder / "patches", tiny("feedforward"), seed, folder / f"seed{seed}", device="cpu")
    return folder


def predictor(trained: Path) -> Predictor:
    return Predictor(load_model(trained / "seed0"), PredictSettings(), "cpu")


def said(trained: Path, voxels: np.ndarray, capsys: pytest.CaptureFixture[str], size: Any = VOXEL_SIZE_NM) -> str:
    """What the prediction of a volume says before its first slice."""
    capsys.readouterr()
    source = Volume.of_array(voxels, size, "foreign")
    predict_volume(predictor(trained), source, trained / "out.ome.zarr", should_stop=lambda: True)
    return capsys.readouterr().err


def like(trained: Path) -> np.ndarray:
    return blurred(sharp((8, 72, 80), 4, np.uint16))


def test_a_volume_like_the_training_slices_is_no_reason_to_warn(
    trained: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "warning" not in said(trained, like(trained), capsys)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda v: (v // 257).astype(np.uint8), "foreign is uint8, but the model was trained on uint16 TXM slices"),
        (lambda v: (20000 + 0.3 * v).astype(np.uint16), "histogram of slices z = 2, 4, 5 of foreign is not that"),
        (lambda v: (65535 - v).astype(np.uint16), "histogram of slices z = 2, 4, 5 of foreign is not that"),
        (lambda v: np.full_like(v, 30000), "histogram of slices z = 2, 4, 5 of foreign is not that"),
    ],
)
def test_other_grey_levels_are_reported_before_the_first_slice(
    trained: Path, capsys: pytest.CaptureFixture[str], change: Any, words: str
) -> None:
    assert words in said(trained, change(like(trained)), capsys)


def test_test_patches_of_their_own_store_are_predicted_in_silence(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    predict_test(predictor(trained), trained / "patches", tmp_path / "out")
    assert "warning" not in capsys.readouterr().err


def test_foreign_patches_are_compared_with_what_the_model_knows(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make_store(tmp_path / "eight", dtype=np.uint8)
    with pytest.raises(InputError, match=r"its FIB-SEM slices are uint8, but the model was trained on uint16"):
        predict_test(predictor(trained), tmp_path / "eight", tmp_path / "out")
    store = make_store(tmp_path / "alike", dtype=np.uint16, seed=1)
    predict_test(predictor(trained), tmp_path / "alike", tmp_path / "out")
    assert "warning" not in capsys.readouterr().err
    object.__setattr__(store, "preparation", Preparation(contrast=2.0))
    io.write_patch_store(tmp_path / "stretched", store)
    with pytest.raises(InputError, match=r"prepared by .*contrast=2.0.*with the model's settings"):
        predict_test(predictor(trained), tmp_path / "stretched", tmp_path / "out")
    object.__setattr__(store, "preparation", Preparation())
    object.__setattr__(store, "voxel_size_nm", (40.0, 40.0, 20.0))
    for pair in store.pairs.values():
        pair.txm[:] = pair.txm // 4
        pair.sem[:] = pair.sem // 4 + 49000
    io.write_patch_store(tmp_path / "dark", store)
    predict_test(predictor(trained), tmp_path / "dark", tmp_path / "out")
    message = capsys.readouterr().err
    assert "voxel size of" in message
    assert "histogram of TXM patches" in message
    assert "outside the FIB-SEM intensities that the model was trained on" in message


def test_a_calibration_holds_of_its_own_models_alone(trained: Path, tmp_path: Path) -> None:
    def several(*names: str) -> Any:
        return load_ensemble([trained / name for name in names], PredictSettings(), "cpu")

    both = several("seed0", "seed1")
    predict_test_with_uncertainty(both, trained / "patches", tmp_path / "out", name="test")
    file = tmp_path / "out" / "calibration.json"
    assert read_calibration(file) == read_calibration(file, both) == read_calibration(file, several("seed1", "seed0"))
    for others in (several("seed0", "seed2"), several("seed0", "seed1", "seed2")):
        with pytest.raises(InputError, match=r"calibration.json: it was fitted to a spread of other models"):
            read_calibration(file, others)
    values = io.read_json(file)
    del values["model_sha256"]  # as earlier versions left it
    io.write_json(tmp_path / "old.json", values)
    assert read_calibration(tmp_path / "old.json", several("seed0", "seed2")).scale > 0
    with pytest.raises(InputError, match=r"\(models 2, here 3\)"):
        read_calibration(tmp_path / "old.json", several("seed0", "seed1", "seed2"))


def test_an_answer_that_is_not_finite_is_refused(trained: Path) -> None:
    loaded = load_model(trained / "seed0")
    for value in loaded.generator.parameters():
        value.data[:] = float("nan")
    with pytest.raises(InputError, match=r"values that are not finite \(precision float32\)"):
        Predictor(loaded, PredictSettings(), "cpu").predict_plane(like(trained)[:1])
