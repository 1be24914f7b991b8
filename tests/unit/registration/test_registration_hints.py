"""Refused pairs with a known mistake are told what is wrong, what they are told works, and others are told nothing."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from scipy import ndimage
from skimage.transform import rescale

from txm2sem_core import io
from txm2sem_core.config import PhantomSettings, RegisterSettings
from txm2sem_core.errors import RegistrationError
from txm2sem_core.geometry import centred_similarity, warp
from txm2sem_core.intensity.measured import Slice
from txm2sem_core.phantom import make_phantom
from txm2sem_core.registration import estimate_transform, judge, register_files, register_pairs
from txm2sem_core.registration.data_bar import bar_rows
from txm2sem_core.registration.diagnosis import NOTHING, Hint, Remedy, diagnose, explain
from txm2sem_core.registration.numbering import find_numbering
from txm2sem_core.registration.poses import EIGHT, Upright
from txm2sem_core.samples.raw_pairs import RawPair

SETTINGS = RegisterSettings()
QUICK = RegisterSettings(transform="rigid", max_rotation_deg=5)  # few starts: for tests that register many pairs
PAGE = Path(__file__).parents[3] / "docs/guides/your-own-data.md"
SIDE = 160
Slices = tuple[np.ndarray, np.ndarray]


@lru_cache
def texture(seed: int) -> Slices:
    """A smooth texture without noise, 8-bit, and the same blurred, inverted, turned a little, 16-bit."""
    scene = ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=(SIDE, SIDE)), 3)
    scene = (scene - scene.min()) / np.ptp(scene)
    sem = np.rint(20 + 200 * scene).astype(np.uint8)
    near = centred_similarity(3.0, 1.0, (4.0, -3.0), sem.shape, sem.shape)
    txm = warp(50000 - 30000 * ndimage.gaussian_filter(scene, 1), near, sem.shape, fill=35000)
    return np.rint(txm).astype(np.uint16), sem


@pytest.fixture(scope="module")
def phantom(tmp_path_factory: pytest.TempPathFactory) -> Slices:
    folder = tmp_path_factory.mktemp("phantom")
    make_phantom(PhantomSettings(shape=(24, SIDE, SIDE), pair_every=12), folder)
    txm, sem = (io.read_image(io.list_images(folder / name)[0]) for name in ("txm", "sem"))
    return txm, sem


def with_bar(image: np.ndarray) -> np.ndarray:
    bar = np.zeros((16, image.shape[1]), image.dtype)
    bar[4:10, 10:40] = bar[6:12, 70:100] = 255
    return np.vstack([image[:-16], bar])


def finer(image: np.ndarray) -> np.ndarray:
    return rescale(image, 2.5, order=1, preserve_range=True).round().astype(image.dtype)


MISTAKES: dict[str, tuple[Callable[[np.ndarray], np.ndarray], float, str]] = {
    "mirrored": (lambda a: a[:, ::-1], np.nan, "is mirrored left to right"),
    "mirrored upside down": (lambda a: a[::-1], np.nan, "is mirrored top to bottom"),
    "mirrored and turned": (lambda a: a.T, np.nan, "is mirrored along the diagonal from top left"),
    "turned by 90": (lambda a: np.rot90(a, 3), np.nan, "is turned by 90 degrees clockwise"),
    "turned by 180": (lambda a: np.rot90(a, 2), np.nan, "is turned by 180 degrees"),
    "turned by 270": (np.rot90, np.nan, "is turned by 90 degrees counter-clockwise"),
    "finer pixels, stated": (finer, 0.4, "a FIB-SEM pixel is 0.4 TXM pixels wide, as the files state"),
    "finer pixels, not stated": (finer, np.nan, r"a FIB-SEM pixel is 0\.(3[89]|4)\d* .*as the slices match"),
    "finer pixels, mirrored": (lambda a: finer(a[:, ::-1]), 0.4, "mirrored left to right, and a FIB-SEM pixel is 0.4"),
    "a data bar": (with_bar, np.nan, "16 rows at the bottom of the FIB-SEM slice are a data bar"),
}  # fmt: skip


def mended(hint: Hint, image: np.ndarray) -> np.ndarray:
    """What the hint's own words make of an image, as on the page."""
    code = hint.remedy.code
    assert not code or code in str(hint)
    result = eval(code or "image", {"np": np, "rescale": rescale, "image": image})
    return result.round().astype(image.dtype)


@pytest.mark.parametrize(
    ("mistake", "source"),
    [*((mistake, "texture") for mistake in MISTAKES), ("mirrored", "phantom"), ("a data bar", "phantom")],
)
def test_a_mistake_is_named_and_the_pair_is_accepted_once_it_is_mended(
    mistake: str, source: str, request: pytest.FixtureRequest
) -> None:
    txm, sem = texture(1) if source == "texture" else request.getfixturevalue("phantom")
    make, stated, words = MISTAKES[mistake]
    given = QUICK if source == "texture" and "finer" not in mistake else SETTINGS
    wrong = np.ascontiguousarray(make(sem))
    hint = diagnose(Slice(txm), Slice(wrong), given, stated)
    assert hint is not None
    assert re.search(words, str(hint))
    anew = mended(hint, wrong)
    assert_array_equal(anew, hint.remedy.of(wrong))
    settings = hint.remedy.settings(given)
    assert judge(estimate_transform(Slice(txm), Slice(anew), settings), settings, txm.shape) == []


def test_a_part_and_a_turn_beyond_the_bounds_are_named_with_keys_that_accept_them() -> None:
    txm, sem = texture(2)
    turned = warp(sem, centred_similarity(24.0, 1.0, (0, 0), sem.shape, sem.shape), sem.shape)[28:-28, 28:-28]
    hint = diagnose(Slice(txm), Slice(turned), SETTINGS, np.nan)
    assert hint is not None
    assert not hint.remedy.code
    assert "set register.max_rotation_deg: 25" in str(hint) or "set register.max_rotation_deg: 30" in str(hint)
    assert re.search(r"set register\.min_overlap: 0\.3\d", str(hint))
    settings = hint.remedy.settings(SETTINGS)
    assert judge(estimate_transform(Slice(txm), Slice(turned), settings), settings, txm.shape) == []


@pytest.mark.parametrize("seed", [3, 4])
def test_unrelated_slices_are_told_that_nothing_helps(seed: int) -> None:
    assert explain(Slice(texture(1)[0]), Slice(texture(seed)[1]), SETTINGS, np.nan) == NOTHING


@pytest.mark.parametrize("which", [0, 1])
def test_a_blank_image_is_named_with_its_grey_level(which: int) -> None:
    slices = list(texture(1))
    slices[which] = np.full_like(slices[which], 7)
    assert re.search(
        rf"every pixel of the {('TXM', 'FIB-SEM')[which]} slice is 7: save",
        explain(*map(Slice, slices), SETTINGS, np.nan),
    )


@pytest.mark.parametrize("upright", EIGHT)
def test_code_and_remedy_agree_for_all_eight_ways(upright: Upright) -> None:
    image = np.arange(7 * 5, dtype=np.uint8).reshape(7, 5)
    remedy = Remedy(upright=upright, bar=(1, 2))
    assert_array_equal(eval(remedy.code, {"np": np, "image": image}), remedy.of(image))


@pytest.mark.parametrize("rows", [(0, 0), (9, 0), (0, 12)])
@pytest.mark.parametrize("level", [0, 255])
def test_a_bar_is_found_at_either_edge_and_none_where_there_is_none(rows: tuple[int, int], level: int) -> None:
    image = np.random.default_rng(0).normal(120, 20, (100, 90)).astype(np.uint8)
    image[: rows[0]] = image[100 - rows[1] :] = level
    assert bar_rows(image) == rows


def test_two_grey_levels_throughout_are_no_bar() -> None:
    assert bar_rows((np.random.default_rng(0).random((100, 90)) > 0.5).astype(np.uint8)) == (0, 0)


def write_set(folder: Path, order: list[int]) -> list[RawPair]:
    """Pairs 0, 1, ... of which the FIB-SEM slice is that of texture `order[i]`."""
    for i, j in enumerate(order):
        io.write_tiff(folder / "txm" / f"TXM{i:03d}.tif", texture(10 + i)[0], None)
        io.write_tiff(folder / "sem" / f"SEM{i:03d}.tif", texture(10 + j)[1], None)
    return pairs_of(folder, "sem")


def pairs_of(folder: Path, sem: str) -> list[RawPair]:
    files = {path.stem[3:]: path for path in io.list_images(folder / sem)}
    return [RawPair(n, int(n), folder / "txm" / f"TXM{n}.tif", path) for n, path in files.items()]


@pytest.mark.parametrize(
    ("order", "words"),
    [
        ([4, 3, 2, 1, 0], "numbered from the other end: SEM000.tif fits TXM004.tif"),
        ([1, 2, 3, 4, 5], "numbered one too low: SEM000.tif fits TXM001.tif"),
        ([-1, 0, 1, 2, 3], "numbered one too high: SEM001.tif fits TXM000.tif"),
    ],
)
def test_wrong_numbers_of_a_set_are_named_and_mended_by_the_lines_of_the_page(
    order: list[int], words: str, tmp_path: Path
) -> None:
    pairs = write_set(tmp_path, order)
    hint = find_numbering(pairs, [None if i != j else 0.1 for i, j in enumerate(order)], QUICK)
    assert hint is not None
    assert words in hint
    code = re.search(r"zip\(.*?\)", hint)
    assert code is not None
    run_page("sem-renumbered", tmp_path, {"zip(files, files[::-1])": code.group()})
    register_pairs(pairs_of(tmp_path, "sem-renumbered")[:2], QUICK, tmp_path / "out")
    assert io.read_csv(tmp_path / "out" / "quality.csv")["accepted"].all()


def run_page(target: str, folder: Path, replaced: dict[str, str]) -> None:
    """Run the block of the page that writes into `target`, with DATA and other words replaced."""
    block = next(b for b in re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL) if target in b)
    for old, new in ({"DATA": str(folder)} | replaced).items():
        assert old in block
        block = block.replace(old, new)
    exec(block, {})


def test_poor_pairs_in_a_set_of_right_numbers_are_not_told_of_numbers(tmp_path: Path) -> None:
    pairs = write_set(tmp_path, [0, 1, 2, -5, -6])
    assert find_numbering(pairs, [0.1, 0.1, 0.1, None, None], QUICK) is None


def test_the_hint_stands_in_table_and_message_and_the_lines_of_the_page_mend_the_pair(tmp_path: Path) -> None:
    txm, sem = texture(20)
    for name, image in (("000", sem), ("001", sem[:, ::-1])):
        io.write_tiff(tmp_path / "txm" / f"TXM{name}.tif", txm, None)
        io.write_tiff(tmp_path / "sem" / f"SEM{name}.tif", np.ascontiguousarray(image), None)
    pairs = pairs_of(tmp_path, "sem")
    register_pairs(pairs, QUICK, tmp_path / "out")
    quality = io.read_csv(tmp_path / "out" / "quality.csv")
    assert quality["accepted"].tolist() == [True, False]
    hint = quality["reasons"][1].split("; hint: ")[1]
    assert "mirrored left to right" in hint
    with pytest.raises(RegistrationError, match=re.escape(hint)):
        register_pairs(pairs, QUICK.model_copy(update={"refused": "stop"}), tmp_path / "stopped")
    with pytest.raises(RegistrationError, match=re.escape(hint)):
        register_files(pairs[1].txm, pairs[1].sem, tmp_path / "one", QUICK)
    code = re.search(r"anew as (.*) \(docs", hint)
    assert code is not None
    run_page("sem-mended", tmp_path, {"image[:, ::-1]": code.group(1)})
    register_files(pairs[1].txm, tmp_path / "sem-mended" / "SEM001.tif", tmp_path / "one", QUICK)
