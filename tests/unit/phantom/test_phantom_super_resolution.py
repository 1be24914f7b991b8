"""A phantom whose FIB-SEM pixels are finer than the TXM's."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from txm2sem_core import io
from txm2sem_core.config import PhantomSettings, load_config
from txm2sem_core.errors import ConfigError
from txm2sem_core.phantom import make_phantom
from txm2sem_core.phantom.stage import build_truth
from txm2sem_core.samples.feasibility import check_feasible
from txm2sem_core.samples.pairs import list_pairs
from txm2sem_core.samples.table import Sample
from txm2sem_core.samples.volume import open_sample_volume, sample_voxel_size_nm

SETTINGS = PhantomSettings(shape=(5, 64, 80), seed=3, pair_every=2, super_resolution=2)


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("phantom") / "raw"
    make_phantom(SETTINGS, folder)
    return folder


def test_the_rock_is_the_same_and_the_txm_has_its_mean_in_wider_pixels() -> None:
    fine, plain = build_truth(SETTINGS), build_truth(SETTINGS.model_copy(update={"super_resolution": 1}))
    np.testing.assert_array_equal(fine.sem, plain.sem)
    assert fine.attenuation.shape == (5, 32, 40)
    blocks = plain.attenuation.reshape(5, 32, 2, 40, 2).mean(axis=(2, 4))
    np.testing.assert_allclose(fine.attenuation, blocks, rtol=1e-5)


def test_files_have_the_pixels_of_their_instruments(raw: Path) -> None:
    for name, shape, edge in (("txm/TXM000.tif", (32, 40), 64.0), ("sem/SEM000.tif", (60, 80), 32.0)):
        assert io.read_image(raw / name).shape == shape
        assert io.read_voxel_size_nm(raw / name) == pytest.approx((32.0, edge, edge))
    assert io.open_volume(raw / "txm_volume").shape == (5, 32, 40)
    assert io.open_volume(raw / "truth/sem.tif").shape == SETTINGS.shape


def test_a_sample_has_the_finer_grid(raw: Path) -> None:
    sample = Sample(sample="own", source="phantom", super_resolution="2")
    volume = open_sample_volume(sample, raw)
    assert volume is not None
    assert volume.shape == SETTINGS.shape
    assert sample_voxel_size_nm(sample, raw) == pytest.approx((32.0, 32.0, 32.0))
    (first, *_) = list_pairs(sample, raw)
    assert first.read_txm().shape == (64, 80)
    assert first.stated_scale == pytest.approx(1.0)


@pytest.mark.parametrize(("column", "factor"), [(None, 2), ("2", 1), ("4", 2)])
def test_table_and_phantom_must_agree(tmp_path: Path, column: str | None, factor: int) -> None:
    phantom = {"shape": [48, 64, 64], "super_resolution": factor}
    variants = {"a": {"family": "baseline", "generator": {"name": "pointwise"}}}
    config = load_config({"samples": "s", "figures": "f", "phantom": phantom, "variants": variants}, "test")
    with pytest.raises(ConfigError, match=f"phantom.super_resolution = {factor}, and the column says"):
        check_feasible(config, Sample(sample="own", source="phantom", super_resolution=column), tmp_path)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"shape": [8, 66, 64], "super_resolution": 4}, "multiples of super_resolution = 4"),
        ({"super_resolution": 2, "milled": {"slices": 3}}, "does not go with milled.slices"),
        ({"super_resolution": 3}, "super_resolution"),
    ],
)
def test_what_cannot_be_is_refused(values: dict[str, object], message: str) -> None:
    variants = {"a": {"family": "baseline", "generator": {"name": "pointwise"}}}
    with pytest.raises(ConfigError, match=message):
        load_config({"samples": "s", "figures": "f", "phantom": values, "variants": variants}, "test")
