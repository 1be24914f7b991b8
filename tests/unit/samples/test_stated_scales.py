"""Pixel sizes of another unit are refused before the run, and before images of such sizes are made."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from txm2sem_core import io
from txm2sem_core.cli import app
from txm2sem_core.config import RegisterSettings, load_config
from txm2sem_core.errors import ConfigError
from txm2sem_core.registration import register_pairs, register_planes
from txm2sem_core.samples.pairs import list_pairs
from txm2sem_core.samples.stated_scales import check_scale, check_scales
from txm2sem_core.samples.table import Sample

CONFIG_VALUES = {"variants": {"a": {"family": "feedforward"}}}
CONFIG = load_config(CONFIG_VALUES)
RAW = Path("raw")
UNITS = "Sizes are in nanometres, and a factor of 1000 is one of units: correct"


def own(root: Path, sem_nm: float | None = None, table: str | None = None, *, sought: bool = False) -> Sample:
    rng = np.random.default_rng(0)
    for number in range(3):
        size = None if sem_nm is None else (None, sem_nm, sem_nm)
        io.write_tiff(root / f"sem/s{number}.tif", rng.integers(0, 255, (64, 80), dtype=np.uint8), size)
        io.write_tiff(root / f"txm/t{number}.tif", rng.integers(0, 255, (96, 96), dtype=np.uint8), (None, 30, 30))
    planes = iter(rng.integers(0, 255, (12, 96, 96), dtype=np.uint8))
    io.write_volume_tiff(root / "volume.tif", planes, (30, 30, 30))
    where = {"pair_z": "find"} if sought else {"txm": str(root / "txm"), "pair_z": "0:3:1"}
    paths = {"sem": str(root / "sem"), "txm_volume": str(root / "volume.tif")}
    return Sample(sample="rock", source="pairs", sem_pixel_size_nm=table, **paths, **where)


@pytest.mark.parametrize("sought", [False, True])
@pytest.mark.parametrize("sem", [12000.0, 0.012])
@pytest.mark.parametrize("by_table", [False, True])
def test_micrometres_are_refused(tmp_path: Path, sought: bool, sem: float, by_table: bool) -> None:
    sample = own(tmp_path, 12 if by_table else sem, f"{sem}" if by_table else None, sought=sought)
    source = "column sem_pixel_size_nm" if by_table else "its file"
    with pytest.raises(ConfigError, match=rf"s0.tif: its pixels are {sem:g} nm wide by {source}, .* 30 nm") as caught:
        check_scales(CONFIG, sample, RAW)
    assert UNITS in str(caught.value)
    assert "\n" not in str(caught.value)
    pairs, out = list_pairs(sample, RAW), tmp_path / "out"
    volume = io.open_volume(tmp_path / "volume.tif")
    register = partial(register_planes, pairs, volume, 1.0) if sought else partial(register_pairs, pairs)
    with pytest.raises(ConfigError, match="one of units"):
        register(RegisterSettings(), out)
    assert not (out / "index.csv").exists()


@pytest.mark.parametrize("fixed", ["txm/t0.tif", "volume.tif"])
def test_the_command_refuses_them(tmp_path: Path, fixed: str) -> None:
    own(tmp_path, 12000)
    words = ["register", "--fixed", tmp_path / fixed, "--moving", tmp_path / "sem/s0.tif", "--output", tmp_path / "out"]
    result = CliRunner().invoke(app, list(map(str, words)))
    assert isinstance(result.exception, ConfigError)
    assert UNITS in str(result.exception)
    assert not (tmp_path / "out").exists()


def test_sizes_that_registration_does_not_look_at_are_no_error(tmp_path: Path) -> None:
    check_scales(load_config({**CONFIG_VALUES, "register": {"transform": "none"}}), own(tmp_path, 12000), RAW)
    check_scales(CONFIG, own(tmp_path), RAW)


@pytest.mark.parametrize("sought", [False, True])
@pytest.mark.parametrize("transform", ["none", "rigid", "similarity", "affine"])
def test_pixels_that_are_not_square_are_named(tmp_path: Path, transform: str, sought: bool) -> None:
    """As of a slice that was seen from 52 degrees; not where the transform holds them, or where the TXM's are alike."""
    sample = own(tmp_path, 12, sought=sought)
    config = load_config({**CONFIG_VALUES, "register": {"transform": transform}})
    assert check_scales(config, sample, RAW) == []
    for number in (0, 1):
        image = io.read_image(tmp_path / f"sem/s{number}.tif")
        io.write_tiff(tmp_path / f"sem/s{number}.tif", image, (None, 15.2, 12))
    said = check_scales(config, sample, RAW)
    if transform == "none" or (transform == "affine" and not sought):
        assert said == []
        return
    assert len(said) == 1
    assert "the pixels of 2 of 3 FIB-SEM slices have another shape than the TXM's" in said[0]
    assert "s0.tif are 15.2 nm high and 12 nm wide by its file, the TXM's 30 nm high and 30 nm wide" in said[0]
    assert said[0].endswith("pixels of its shape." if sought else "Set register.transform: affine.")
    if sought:
        io.write_volume_tiff(tmp_path / "odd.tif", iter(np.ones((12, 96, 96), dtype=np.uint8)), (30, 38, 30))
        assert check_scales(config, sample.model_copy(update={"txm_volume": str(tmp_path / "odd.tif")}), RAW) != said
        square = own(tmp_path / "square", 12, sought=True)
        odd = square.model_copy(update={"txm_volume": str(tmp_path / "odd.tif")})
        assert "12 nm wide by its file, the TXM's 38 nm high and 30 nm wide" in check_scales(config, odd, RAW)[0]
        return
    for number in (0, 1):
        image = io.read_image(tmp_path / f"txm/t{number}.tif")
        io.write_tiff(tmp_path / f"txm/t{number}.tif", image, (None, 38, 30))
    assert check_scales(config, sample, RAW) == []
    for number in (0, 1):
        io.write_tiff(tmp_path / f"txm/t{number}.tif", image, None)
    assert "the TXM's of no stated size, and taken as square" in check_scales(config, sample, RAW)[0]


@given(scale=st.floats(0.1, 2.0), side=st.integers(64, 6000), txm=st.integers(600, 3000))
def test_all_scales_that_are_searched_pass(scale: float, side: int, txm: int) -> None:
    check_scale((30, 30 * scale), (Path("s.tif"), (side, side)), ("v.tif", (txm, txm)))


def test_a_much_finer_sem_passes() -> None:
    check_scale((100, 1), (Path("s.tif"), (4000, 6000)), ("v.tif", (1000, 1000)))


def test_a_slice_that_is_much_larger_than_the_volume_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"would cover 4e[+]04 x 4e[+]04 TXM pixels of 1000 x 1000"):
        check_scale((100, 1000), (Path("s.tif"), (4000, 4000)), ("v.tif", (1000, 1000)))
