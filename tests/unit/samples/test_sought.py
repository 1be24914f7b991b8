"""Samples without TXM slices, whose FIB-SEM slices are sought in the volume: the table, its pairs, their splits."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from txm2sem_core import io
from txm2sem_core.config import PatchesSettings, PhantomSettings, load_config
from txm2sem_core.costs.sizes import sizes_of
from txm2sem_core.errors import ConfigError
from txm2sem_core.patches import split_pairs
from txm2sem_core.phantom import make_phantom
from txm2sem_core.samples.feasibility import check_feasible
from txm2sem_core.samples.pairs import list_pairs, pair_files
from txm2sem_core.samples.preflight import check_run
from txm2sem_core.samples.sought import GUESS_REACH, Depths
from txm2sem_core.samples.splits import apart
from txm2sem_core.samples.table import Sample, read_samples
from txm2sem_core.samples.volume import plane_pixel_size_nm

COLUMNS = ("sample", "source", "txm", "sem", "txm_volume", "pair_z", "landmarks", "voxel_size_nm", "sem_spacing_nm")


def table(folder: Path, **cells: str) -> Path:
    values = {"sample": "rock", "source": "pairs", "sem": "sem", "txm_volume": "volume", **cells}
    path = folder / "samples.tsv"
    path.write_text("\t".join(COLUMNS) + "\n" + "\t".join(values.get(name, "") for name in COLUMNS) + "\n")
    return path


@pytest.fixture
def sample(tmp_path: Path) -> Sample:
    rng = np.random.default_rng(0)
    for z in range(30):
        io.write_tiff(tmp_path / f"volume/slice{z:03d}.tif", rng.integers(0, 9, (20, 30)).astype(np.uint16), None)
    for number in (3, 4, 7):
        image = rng.integers(0, 9, (50, 40)).astype(np.uint8)
        io.write_tiff(tmp_path / f"sem/SEM{number:03d}.tif", image, (None, 8, 8))
    cells = {"sem": str(tmp_path / "sem"), "txm_volume": str(tmp_path / "volume"), "voxel_size_nm": "64,32,32"}
    return read_samples(table(tmp_path, **cells, pair_z="find"))["rock"]


def test_pairs_are_the_slices_with_the_volume(sample: Sample, tmp_path: Path) -> None:
    pairs = list_pairs(sample, tmp_path)
    assert [pair.pair for pair in pairs] == ["003", "004", "007"]
    assert all(pair.sought and pair.z is None and pair.depths is None for pair in pairs)
    assert pairs[0].stated_scale == pytest.approx(0.25)
    assert pairs[0].txm_kind() == ((20, 30), np.dtype(np.uint16))
    assert [file.name for file in pair_files(sample, tmp_path)] == ["SEM003.tif", "SEM004.tif", "SEM007.tif"]
    assert plane_pixel_size_nm(sample, tmp_path) == (32, 32)


def test_positions_are_first_guesses(sample: Sample, tmp_path: Path) -> None:
    for text, first in (("10:25:5", 10 - GUESS_REACH), ("find 20-30", 20), ("find 18", 18 - GUESS_REACH)):
        pairs = list_pairs(sample.model_copy(update={"pair_z": text}), tmp_path)
        assert pairs[0].depths is not None
        assert pairs[0].depths[0] == first
    with pytest.raises(ConfigError, match="pair_z"):
        list_pairs(sample.model_copy(update={"pair_z": "find there"}), tmp_path)


@pytest.mark.parametrize(
    ("cells", "named"),
    [
        ({"txm_volume": ""}, "column txm"),
        ({"txm": "txm", "pair_z": "find"}, "column pair_z"),
        ({"landmarks": "points"}, "column landmarks"),
        ({"txm": "txm", "sem_spacing_nm": "20"}, "column sem_spacing_nm"),
        ({"sem_spacing_nm": "wide"}, "column sem_spacing_nm: one number"),
        ({"sem_spacing_nm": "0"}, "column sem_spacing_nm: the size must be greater"),
        ({"source": "reference", "txm": "images", "pair_z": "find"}, "column pair_z"),
    ],
)
def test_columns_that_do_not_go_together_are_refused(tmp_path: Path, cells: dict[str, str], named: str) -> None:
    with pytest.raises(ConfigError, match=named):
        read_samples(table(tmp_path, **cells))


@pytest.mark.parametrize("milled", [False, True])
def test_slices_of_a_phantom_are_sought_where_it_is_asked_for(milled: bool, tmp_path: Path) -> None:
    raw = tmp_path / "raw"
    made = PhantomSettings(shape=(24, 64, 64), pair_every=8, milled={"slices": 4 if milled else 0, "spacing": 1})
    make_phantom(made, raw)
    sample = read_samples(table(tmp_path, source="phantom", sem="", txm_volume="", pair_z="find 4-20"))["rock"]
    pairs = list_pairs(sample, raw)
    assert {pair.sem.parent for pair in pairs} == {raw / ("milled/sem" if milled else "sem")}
    assert len(pairs) == (4 if milled else 3)
    for pair in pairs:
        assert pair.sought
        assert pair.depths == Depths(4, 20)
        assert pair.stated_scale == pytest.approx(1)
        assert pair.charge is not None
    sizes = sizes_of(sample, made, raw)
    assert (sizes.pairs, sizes.sought) == (len(pairs), True)
    values = {"phantom": made.model_dump(), "patches": {"size_px": 32}}
    values["variants"] = {"a": {"family": "feedforward", "generator": {"name": "unet_32"}}}
    config = load_config(values)
    check_feasible(config, sample, raw)
    stopped = load_config(values | {"register": {"transform": "none"}})
    with pytest.raises(ConfigError, match=r"register\.transform: none"):
        check_feasible(stopped, sample, raw)
    guessed = sample.model_copy(update={"pair_z": "find 4,8"})
    with pytest.raises(ConfigError, match="column pair_z: 2 first guesses"):
        check_feasible(config, guessed, raw)


def test_oblique_pairs_keep_apart_by_what_they_reach() -> None:
    z, splits = [0.0, 10.0, 20.0], ["train", "validation", "test"]
    assert apart(z, splits, 2) == splits
    assert apart(z, splits, 2, [4.0, 4.0, 1.0]) == [None, "validation", "test"]
    assert apart(z, splits, 0, [6.0, 6.0, 1.0]) == [None, "validation", "test"]  # they cross, also without context
    assert apart(z, splits, 0, [0.0, 0.0, 0.0]) == splits


def test_splits_follow_the_position_along_the_normal() -> None:
    pairs = pd.DataFrame({"pair": list("abcdef"), "z": np.nan, "split": None})
    pairs["along_first"] = pairs["along_last"] = [50.0, 40, 30, 20, 10, 0]
    chosen = split_pairs(pairs, PatchesSettings(context=2))
    assert chosen.tolist() == ["test", "validation", "train", "train", "train", "train"]


def test_sought_slices_that_may_not_be_turned_are_said(tmp_path: Path) -> None:
    (tmp_path / "samples.tsv").write_text("sample\tsource\tpair_z\nsought\tphantom\tfind\nupright\tphantom\t\n")
    values = {
        "variants": {"a": {"family": "feedforward", "generator": {"name": "unet_32"}}},
        "patches": {"size_px": 64},
    }
    values |= {"samples": str(tmp_path / "samples.tsv")}
    for transform, count in (("translation", 1), ("rigid", 0), ("similarity", 0)):
        said = check_run({**values, "register": {"transform": transform}}).warnings
        assert len([each for each in said if "sample sought: register.transform is translation" in each]) == count


def test_a_stretch_of_sought_slices_is_refused_or_said(tmp_path: Path) -> None:
    rows = {"both": "sought\tphantom\tfind\nupright\tphantom\t\n", "one": "sought\tphantom\tfind\n"}
    values = {"variants": {"a": {"family": "feedforward", "generator": {"name": "unet_32"}}}}
    values |= {"patches": {"size_px": 64}, "register": {"transform": "affine"}}
    for name, text in rows.items():
        (tmp_path / f"{name}.tsv").write_text(f"sample\tsource\tpair_z\n{text}")
    with pytest.raises(ConfigError, match=r"register.transform: affine: slices that are sought.* Set it to similarity"):
        check_run({**values, "samples": str(tmp_path / "one.tsv")})
    said = check_run({**values, "samples": str(tmp_path / "both.tsv")}).warnings
    assert len([each for each in said if "affine" in each]) == 1
    assert said[0].startswith("sample sought: register.transform is affine, but slices that are sought")
    values["register"] = {"transform": "similarity"}
    assert not check_run({**values, "samples": str(tmp_path / "one.tsv")}).warnings
