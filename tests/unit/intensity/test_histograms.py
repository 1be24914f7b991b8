"""Histograms: the distance against scipy's, sums in any order, and volumes that are or are not like the training."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import zarr
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import wasserstein_distance
from small_data import make_store, tiny

from txm2sem_core import io
from txm2sem_core.checkpoint import load_model
from txm2sem_core.errors import InputError
from txm2sem_core.inference import predict_volume
from txm2sem_core.intensity import Histogram, distribution_of
from txm2sem_core.intensity.histograms import LEAST_LIMIT, wasserstein
from txm2sem_core.training import train_model


@given(st.integers(0, 2**32), st.floats(-0.8, 0.8), st.floats(0.3, 1.5))
def test_the_distance_is_scipy_s(seed: int, shift: float, stretch: float) -> None:
    rng = np.random.default_rng(seed)
    a, b = rng.normal(0, 0.4, 3000), shift + stretch * rng.normal(0, 0.4, 2000)
    a, b = np.clip(a, -2.5, 2.5), np.clip(b, -2.5, 2.5)
    found = wasserstein(Histogram.of_pixels(a).quantiles(), Histogram.of_pixels(b).quantiles())
    assert found == pytest.approx(wasserstein_distance(a, b), abs=0.02)


def test_parts_add_up_and_come_back_from_text() -> None:
    pixels = np.random.default_rng(0).normal(0, 2, (6, 50)).astype(np.float32)
    parts = sum((Histogram.of_pixels(part) for part in pixels[::-1]), Histogram.empty())
    assert parts.as_text() == Histogram.of_pixels(pixels).as_text()
    assert Histogram.from_text(parts.as_text()).total == pixels.size
    with pytest.raises(ValueError, match="counts are needed"):
        Histogram.from_text("1 2 3")


def test_the_limit_follows_how_much_the_training_slices_differ() -> None:
    rng = np.random.default_rng(0)
    alike = distribution_of([rng.normal(0, 0.3, 5000) for _ in range(4)])
    assert alike.limit == LEAST_LIMIT
    unlike = distribution_of([rng.normal(mean, 0.3, 5000) for mean in (-0.3, 0.0, 0.3)])
    assert unlike.within == pytest.approx(0.45, abs=0.03)
    assert unlike.limit == pytest.approx(0.9, abs=0.06)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("histograms")
    make_store(root / "patches")
    train_model(root / "patches", tiny("baseline", generator={"name": "identity"}), 0, root / "model", device="cpu")
    return root


def predicted(
    place: Path, target: Path, change: float, size_nm: io.VoxelSize = (40.0, 20.0, 10.0)
) -> dict[str, object]:
    """What the volume of the training slice, made brighter, says of itself."""
    txm = io.read_patch_store(place / "patches").pairs["000"].txm.repeat(20, axis=0)
    source = target.with_suffix(".tif")
    io.write_volume_tiff(source, iter(np.clip(txm + float(change), 0, 255).astype(np.uint8)), size_nm)
    predict_volume(place / "model", source, target, device="cpu", voxel_size_nm=size_nm)
    return dict(zarr.open_group(target, mode="r").attrs["txm2sem"])  # type: ignore[arg-type]


def test_a_volume_like_the_training_slices_is_not_warned_of_and_says_where_it_comes_from(
    place: Path, tmp_path: Path
) -> None:
    said = predicted(place, tmp_path / "v.ome.zarr", 0)
    assert said["warnings"] == []
    assert said["model_sha256"] == io.sha256_file(place / "model/generator.safetensors")
    assert {"torch", "txm2sem", "numpy"} <= set(said["made_with"])  # type: ignore[call-overload]
    again = predicted(place, tmp_path / "again.ome.zarr", 0)
    other = predicted(place, tmp_path / "other.ome.zarr", 1)
    assert said["input_sha256"] == again["input_sha256"] != other["input_sha256"]


def test_a_volume_of_another_histogram_is_said(place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said = predicted(place, tmp_path / "v.ome.zarr", -30)
    (warning,) = [text for text in said["warnings"] if "training TXM slices" in text]  # type: ignore[attr-defined]
    assert warning in capsys.readouterr().err


def test_a_volume_of_another_voxel_size_is_said(place: Path, tmp_path: Path) -> None:
    (warning,) = predicted(place, tmp_path / "v.ome.zarr", 0, (55.0, 20.5, 13.0))["warnings"]  # type: ignore[misc]
    assert "x 13 nm, in training 10 nm" in warning
    assert "y" not in warning.split("(")[1].split(")")[0]  # within the tolerance
    assert "z 55" not in warning  # the network sees no neighbours


def test_a_model_s_histogram_is_checked_before_use(place: Path, tmp_path: Path) -> None:
    for name in ("generator.safetensors", "model.json"):
        (tmp_path / name).write_bytes((place / "model" / name).read_bytes())
    description = io.read_json(tmp_path / "model.json")
    description["histograms"]["txm"]["quantiles"] = [0.0]
    io.write_json(tmp_path / "model.json", description)
    with pytest.raises(InputError, match=r"histograms\.txm\.quantiles"):
        load_model(tmp_path)
