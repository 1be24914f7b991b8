"""Phases separated by thresholds, by label images, and by a forest; and labels that go the way of their slices."""

from __future__ import annotations

import itertools
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal
from scipy import ndimage
from small_data import make_store

from txm2sem_core import io
from txm2sem_core.config import Config, ForestSettings, MeasureSettings
from txm2sem_core.errors import ConfigError, InputError
from txm2sem_core.metrics import Thresholds
from txm2sem_core.phases import fit_segmenter, place_labels
from txm2sem_core.phases.segmenter import thresholds_of_labels
from txm2sem_core.samples.feasibility import check_labels
from txm2sem_core.samples.pairs import label_files
from txm2sem_core.samples.raw_pairs import RawPair
from txm2sem_core.samples.table import Sample


def textured(seed: int, shape: tuple[int, int] = (96, 112)) -> tuple[np.ndarray, np.ndarray]:
    """Three phases; 1 and 2 (from 0) have the same grey level and differ in grain alone, so that no threshold does."""
    rng = np.random.default_rng(seed)
    field = ndimage.gaussian_filter(rng.standard_normal(shape), 8)
    phase = np.digitize(field, np.quantile(field, [1 / 3, 2 / 3]))
    smooth, rough = ndimage.gaussian_filter(rng.standard_normal(shape), 2) * 40, rng.standard_normal(shape) * 40
    grey = np.select([phase == 0, phase == 1], [60 + smooth / 4, 130 + smooth], 134 + rough)
    return grey.clip(0, 255).astype(np.uint8), phase.astype(np.uint8)


def labelled(folder: Path, *images: tuple[np.ndarray, np.ndarray]) -> Path:
    """As `place_labels` leaves them."""
    rows = []
    for number, (sem, labels) in enumerate(images):
        io.write_tiff(folder / f"{number}_sem.tif", sem)
        io.write_tiff(folder / f"{number}_labels.tif", labels)
        rows.append({"pair": f"{number:03d}", "sem": f"{number}_sem.tif", "labels": f"{number}_labels.tif"})
    io.write_csv(folder / "index.csv", pd.DataFrame(rows))
    return folder


def sparse_labels(phase: np.ndarray, share: float, seed: int) -> np.ndarray:
    drawn = np.random.default_rng(seed).random(phase.shape) < share
    return np.where(drawn, phase + 1, 0).astype(np.uint8)


def test_a_forest_sees_what_thresholds_cannot(tmp_path: Path) -> None:
    sem, phase = textured(0)
    labels = labelled(tmp_path / "labels", (sem, sparse_labels(phase, 0.1, 0)))
    store = make_store(tmp_path / "patches")
    other, truth = textured(1)
    right = {}
    for kind in ("labels", "forest"):
        segmenter = fit_segmenter(store, MeasureSettings(segmentation=kind, phases=3), labels)
        assert segmenter.phases == 3
        right[kind] = float(np.mean(segmenter(other) == truth))
    assert right["forest"] > 0.85
    assert right["forest"] > right["labels"] + 0.1


def test_the_same_seed_gives_the_same_forest(tmp_path: Path) -> None:
    sem, phase = textured(0)
    labels = labelled(tmp_path / "labels", (sem, sparse_labels(phase, 0.5, 0)))
    store = make_store(tmp_path / "patches")

    def segmented(seed: int) -> np.ndarray:
        forest = ForestSettings(seed=seed, trees=5, pixels=100)
        return fit_segmenter(store, MeasureSettings(segmentation="forest", phases=3, forest=forest), labels)(sem)

    assert_array_equal(segmented(3), segmented(3))
    assert (segmented(3) != segmented(4)).any()


@given(
    grey=st.lists(st.integers(0, 12), min_size=12, max_size=40), seed=st.integers(0, 99), phases=st.sampled_from((2, 3))
)
@settings(max_examples=60, deadline=None)
def test_thresholds_of_labels_are_the_best_of_all(grey: list[int], seed: int, phases: int) -> None:
    image = np.array(grey, np.uint8)
    rng = np.random.default_rng(seed)
    labels = np.clip(np.argsort(np.argsort(image + rng.normal(0, 3, image.size))) * phases // image.size, 0, phases - 1)
    means = [image[labels == phase].mean() for phase in range(phases)]
    if (np.diff(means) <= 0).any() or len(set(grey)) < phases:
        with pytest.raises(InputError):
            thresholds_of_labels([(image, (labels + 1).astype(np.uint8))], phases)
        return

    def accuracy(levels: tuple[float, ...]) -> float:
        found = Thresholds(levels)(image)
        return float(np.mean([np.mean(found[labels == phase] == phase) for phase in range(phases)]))

    found = thresholds_of_labels([(image, (labels + 1).astype(np.uint8))], phases)
    every = itertools.combinations(np.arange(image.min(), image.max()) + 0.5, phases - 1)
    best = max((accuracy(tuple(map(float, levels))) for levels in every), default=0.0)
    assert accuracy(found) >= best - 1e-9


def test_thresholds_lie_in_the_middle_of_a_gap() -> None:
    grey = np.repeat(np.array([10, 20, 80, 90], np.uint8), 5)
    (level,) = thresholds_of_labels([(grey, np.repeat(np.array([1, 1, 2, 2], np.uint8), 5))], 2)
    assert level == pytest.approx(50, abs=1)


@pytest.mark.parametrize(("labels", "words"), [([1, 1, 4], "above measure.phases"), ([1, 1, 1], "label 2, 3")])
def test_labels_that_do_not_do_are_refused(tmp_path: Path, labels: list[int], words: str) -> None:
    image = np.arange(3, dtype=np.uint8)[None]
    folder = labelled(tmp_path / "labels", (image, np.array([labels], np.uint8)))
    with pytest.raises(InputError, match=words):
        fit_segmenter(make_store(tmp_path / "p"), MeasureSettings(segmentation="labels", phases=3), folder)


def test_fewer_grey_levels_than_labelled_phases_are_refused() -> None:
    grey = np.array([0, 0, 1, 1, 1], np.uint8)
    with pytest.raises(InputError, match="2 different grey levels"):
        thresholds_of_labels([(grey, np.array([1, 2, 2, 3, 3], np.uint8))], 3)


def test_labels_against_the_order_of_grey_levels_are_refused() -> None:
    grey = np.array([10, 20], np.uint8)
    with pytest.raises(InputError, match="Renumber"):
        thresholds_of_labels([(grey, np.array([2, 1], np.uint8))], 2)


def test_without_scikit_learn_the_forest_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sem, phase = textured(0)
    labels = labelled(tmp_path / "labels", (sem, sparse_labels(phase, 0.1, 0)))
    monkeypatch.setitem(sys.modules, "sklearn.ensemble", None)
    with pytest.raises(ConfigError, match=r"scikit-learn"):
        fit_segmenter(make_store(tmp_path / "p"), MeasureSettings(segmentation="forest", phases=3), labels)


# --- labels on registered slices


def registered_pair(root: Path, *, matrix: list[list[float]], crop: dict[str, int]) -> tuple[RawPair, np.ndarray]:
    """A pair as the register stage leaves it, and its raw FIB-SEM slice."""
    raw = np.random.default_rng(0).integers(1, 255, (30, 40)).astype(np.uint8)
    io.write_tiff(root / "raw/SEM001.tif", raw)
    height, width = crop["y1"] - crop["y0"], crop["x1"] - crop["x0"]
    mask = np.full((height, width), 255, np.uint8)
    mask[0, 0] = 0
    io.write_tiff(root / "registered/pairs/001_mask.tif", mask)
    io.write_tiff(root / "registered/pairs/001_sem.tif", np.zeros((height, width), np.uint8))
    row = {"pair": "001", "sem": "pairs/001_sem.tif", "mask": "pairs/001_mask.tif"}
    io.write_csv(root / "registered/index.csv", pd.DataFrame([row]))
    io.write_json(root / "registered/transforms.json", {"001": {"matrix": matrix, "crop": crop}})
    return RawPair("001", None, root / "none.tif", root / "raw/SEM001.tif"), raw


def test_labels_take_the_transform_and_crop_of_their_slice(tmp_path: Path) -> None:
    shift = [[1.0, 0.0, 4.0], [0.0, 1.0, -2.0], [0.0, 0.0, 1.0]]  # x + 4, y - 2
    pair, _ = registered_pair(tmp_path, matrix=shift, crop={"y0": 1, "y1": 21, "x0": 6, "x1": 36})
    labels = np.random.default_rng(1).integers(0, 4, (30, 40)).astype(np.uint8)
    io.write_tiff(tmp_path / "labels/001.tif", labels)
    place_labels([pair], {"001": tmp_path / "labels/001.tif"}, tmp_path / "registered", tmp_path / "out")
    expected = labels[3:23, 2:32].copy()
    expected[0, 0] = 0  # charged
    assert_array_equal(io.read_image(tmp_path / "out/pairs/001_labels.tif"), expected)
    assert io.read_csv(tmp_path / "out/index.csv")["labelled_px"].tolist() == [np.count_nonzero(expected)]


@pytest.mark.parametrize(
    ("name", "labels", "words"),
    [
        ("002", np.ones((30, 40), np.uint8), "no FIB-SEM slice with the number 002"),
        ("001", np.ones((30, 41), np.uint8), "must fit"),
        ("001", np.full((30, 40), 300, np.uint16), "8-bit"),
    ],
)
def test_wrong_label_images_are_refused(tmp_path: Path, name: str, labels: np.ndarray, words: str) -> None:
    pair, _ = registered_pair(tmp_path, matrix=np.eye(3).tolist(), crop={"y0": 0, "y1": 30, "x0": 0, "x1": 40})
    io.write_tiff(tmp_path / f"labels/{name}.tif", labels)
    with pytest.raises(InputError, match=words):
        place_labels([pair], {name: tmp_path / f"labels/{name}.tif"}, tmp_path / "registered", tmp_path / "out")
    assert not (tmp_path / "out/index.csv").exists()


def test_a_segmentation_by_labels_needs_labels(tmp_path: Path) -> None:
    config = Config.model_construct(measure=MeasureSettings(segmentation="forest"))
    with pytest.raises(ConfigError, match="column labels"):
        check_labels(config, Sample(sample="a", source="phantom"), tmp_path)
    for kind in ("txm", "sem", "labels"):
        io.write_tiff(tmp_path / kind / f"{kind}1.tif", np.ones((4, 4), np.uint8))
    folders = {kind: str(tmp_path / kind) for kind in ("txm", "sem", "labels")}
    sample = Sample(sample="a", source="pairs", **folders)
    check_labels(config, sample, tmp_path)
    assert list(label_files(sample)) == ["001"]
    io.write_tiff(tmp_path / "labels/labels7.tif", np.ones((4, 4), np.uint8))
    with pytest.raises(InputError, match="number 007"):
        check_labels(config, sample, tmp_path)


def test_thresholds_beside_another_segmentation_are_refused() -> None:
    with pytest.raises(ValueError, match="leave them out"):
        MeasureSettings(segmentation="forest", thresholds=(3.0,))
