"""Refused pairs are told what the settings forbid, what they are told works, and others are told nothing."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

import numpy as np
import pytest
import yaml
from scipy import ndimage
from skimage.transform import rescale

from txm2sem_core import io
from txm2sem_core.config import RegisterSettings
from txm2sem_core.errors import RegistrationError
from txm2sem_core.geometry import centred_similarity, warp
from txm2sem_core.intensity.measured import Slice
from txm2sem_core.registration import place, placing, register_files, register_pairs
from txm2sem_core.registration.data_bar import bar_rows
from txm2sem_core.registration.diagnosis import NOTHING, explain
from txm2sem_core.registration.numbering import find_numbering
from txm2sem_core.registration.placing import Starts
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


def finer(image: np.ndarray) -> np.ndarray:
    return rescale(image, 2.5, order=1, preserve_range=True).round().astype(image.dtype)


def squeezed(image: np.ndarray, height: float) -> np.ndarray:
    """As a slice that is seen from 52 degrees, where this is 0.79."""
    return rescale(image, (height, 1), order=1, preserve_range=True).round().astype(image.dtype)


FORBIDDEN = RegisterSettings(mirrored=False, max_rotation_deg=15, scales=(1, 1))


def test_unrelated_slices_get_no_hint() -> None:
    assert explain(Slice(texture(1)[0]), Slice(texture(3)[1]), FORBIDDEN, np.nan) == NOTHING


FORBIDS: dict[str, tuple[Callable[[np.ndarray], np.ndarray], dict[str, object], str]] = {
    "mirrored": (lambda a: a[:, ::-1], {"mirrored": False}, "mirrored, which .*register.mirrored: true"),
    "turned": (np.rot90, {"max_rotation_deg": 15}, r"turned by 9\d\.\d degrees, .*max_rotation_deg: (95|100)"),
    "finer": (finer, {"scales": (1, 1)}, r"scale 0\.4\d*, .*register.scales: \[0.39\d*, 1\]"),
    "stretched": (lambda a: squeezed(a, 0.79), {}, r"stretched by 2[67]\.\d %, .*register.transform: affine$"),
    "a part": (lambda a: a[25:105, 50:130], {"min_overlap": 0.5}, r"on 2\d % of the .*min_overlap: 0\.(19|2)"),
}  # fmt: skip


@pytest.mark.parametrize("mistake", FORBIDS)
def test_what_the_settings_forbid_is_refused_and_named_with_the_keys_that_accept_it(mistake: str) -> None:
    txm, sem = texture(1)
    make, keys, words = FORBIDS[mistake]
    settings = SETTINGS.model_copy(update=keys)
    wrong = Slice(np.ascontiguousarray(make(sem)))
    assert not place(Slice(txm), wrong, settings).accepted
    hint = explain(Slice(txm), wrong, settings, np.nan)
    assert re.search(words, hint)
    changed = dict(re.findall(r"set register\.(\w+): ([^;]+)", hint))
    accepting = RegisterSettings(**(settings.model_dump() | {k: yaml.safe_load(v) for k, v in changed.items()}))
    assert place(Slice(txm), wrong, accepting).accepted


def test_a_refused_pair_is_not_sought_twice_in_the_same_way(monkeypatch: pytest.MonkeyPatch) -> None:
    """A hint tries a stretch from the starts that the search itself found."""
    txm, sem = (Slice(each) for each in (texture(1)[0], texture(3)[1]))
    poses, asked = placing.strongest_poses, []
    monkeypatch.setattr(placing, "strongest_poses", lambda *given: asked.append(given[2]) or poses(*given))
    searched: Starts = {}
    assert not place(txm, sem, SETTINGS, searched=searched).accepted
    count = len(asked)
    assert count > 0
    assert explain(txm, sem, SETTINGS, np.nan, searched) == NOTHING
    assert len(asked) == count
    turned = RegisterSettings(max_rotation_deg=15)
    searched = {}
    assert not place(txm, sem, turned, searched=searched).accepted
    count = len(asked)
    assert explain(txm, sem, turned, np.nan, searched) == NOTHING
    assert len(asked) > count  # all turns


def test_the_plainest_transform_that_accepts_is_named() -> None:
    """Not one that stretches, of a slice whose scale the settings hold; none of a slice that is mirrored only."""
    txm, sem = texture(1)
    hint = explain(Slice(txm), Slice(finer(sem)), RegisterSettings(transform="rigid"), np.nan)
    assert re.search(r"register.transform: similarity$", hint)
    for transform in ("rigid", "affine"):
        settings = RegisterSettings(transform=transform, mirrored=False, scales=(0.9, 1.1))
        hint = explain(Slice(txm), Slice(sem[:, ::-1].copy()), settings, np.nan)
        assert "register.mirrored: true" in hint
        assert "transform" not in hint


@pytest.mark.parametrize("which", [0, 1])
def test_a_blank_image_is_named_with_its_grey_level(which: int) -> None:
    slices = list(texture(1))
    slices[which] = np.full_like(slices[which], 7)
    assert re.search(
        rf"every pixel of the {('TXM', 'FIB-SEM')[which]} slice is 7: save",
        explain(*map(Slice, slices), SETTINGS, np.nan),
    )


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
def test_wrong_numbers_of_a_set_are_named_and_corrected_by_the_lines_of_the_page(
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


def test_poor_pairs_in_a_set_of_right_numbers_get_no_hint_about_numbers(tmp_path: Path) -> None:
    pairs = write_set(tmp_path, [0, 1, 2, -5, -6])
    assert find_numbering(pairs, [0.1, 0.1, 0.1, None, None], QUICK) is None


def test_the_hint_stands_in_table_and_message(tmp_path: Path) -> None:
    txm, sem = texture(20)
    for name, image in (("000", sem), ("001", sem[:, ::-1])):
        io.write_tiff(tmp_path / "txm" / f"TXM{name}.tif", txm, None)
        io.write_tiff(tmp_path / "sem" / f"SEM{name}.tif", np.ascontiguousarray(image), None)
    pairs = pairs_of(tmp_path, "sem")
    forbidden = QUICK.model_copy(update={"mirrored": False})
    register_pairs(pairs, forbidden, tmp_path / "out")
    quality = io.read_csv(tmp_path / "out" / "quality.csv")
    assert quality["accepted"].tolist() == [True, False]
    hint = quality["reasons"][1].split("; hint: ")[1]
    assert "set register.mirrored: true" in hint
    with pytest.raises(RegistrationError, match=re.escape(hint)):
        register_pairs(pairs, forbidden.model_copy(update={"refused": "stop"}), tmp_path / "stopped")
    with pytest.raises(RegistrationError, match=re.escape(hint)):
        register_files(pairs[1].txm, pairs[1].sem, tmp_path / "one", forbidden)


def test_pairs_that_pass_in_a_set_numbered_from_the_other_end_are_refused_as_well(tmp_path: Path) -> None:
    pairs = write_set(tmp_path, [4, 3, 2, 1, 0])
    with pytest.raises(
        RegistrationError, match=r"5 of 5 pairs are refused(.|\n)*numbered from the other end"
    ) as caught:
        register_pairs(pairs, QUICK, tmp_path / "out")
    assert "it passed, on a neighbouring slice" in str(caught.value)
