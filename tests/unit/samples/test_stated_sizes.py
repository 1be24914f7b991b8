"""Two sources of a voxel size that contradict each other: reported, or refused where one is in another unit."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from txm2sem_core import io
from txm2sem_core.config import load_config
from txm2sem_core.errors import ConfigError
from txm2sem_core.io import VoxelSize
from txm2sem_core.samples.stated_sizes import check_sizes, contradictions
from txm2sem_core.samples.table import Sample, read_samples

CONFIG = load_config({"variants": {"a": {"family": "feedforward"}}})
RAW = Path("raw")
SIZE = (32.0, 32.0, 32.0)


def sample(
    root: Path,
    table: str | None,
    txm: VoxelSize | None = SIZE,
    sem: VoxelSize | None = SIZE,
    volume: VoxelSize | None = SIZE,
    charge: VoxelSize | None = SIZE,
    insists: bool = False,
) -> Sample:
    for kind, size in (("txm", txm), ("sem", sem), ("charge", charge), ("volume", volume)):
        for number in range(3):
            io.write_tiff(root / kind / f"{kind}{number:03d}.tif", np.zeros((8, 8), np.uint8), size)
    return Sample(
        sample="rock",
        source="pairs",
        **{kind: str(root / kind) for kind in ("txm", "sem", "charge")},
        txm_volume=str(root / "volume"),
        voxel_size_nm=table,
        voxel_size_from="table" if insists else None,
    )


@pytest.mark.parametrize("table", [None, "32,32,32", "40,32.3,31.7", "10,32,32"])
def test_sizes_that_agree_within_what_is_rounded(tmp_path: Path, table: str | None) -> None:
    z_nm = 32.0 if table is None else float(table.split(",")[0])
    own = sample(tmp_path, table, txm=(7, 32, 32), sem=(None, 25, 25), volume=(z_nm, 32, 32), charge=(1, 25, 25))
    assert check_sizes(CONFIG, own, RAW) == []  # a slice has no size along z, and registration scales FIB-SEM slices


def test_files_that_say_nothing_contradict_nobody(tmp_path: Path) -> None:
    own = sample(tmp_path, "32,32,32", txm=None, sem=None, volume=None, charge=None)
    assert check_sizes(CONFIG, own, RAW) == []


def test_a_contradiction_is_reported_with_both_sizes_and_the_files(tmp_path: Path) -> None:
    warnings = check_sizes(CONFIG, sample(tmp_path, "40,40,32"), RAW)
    used = "sample rock: the voxel size is 40, 40, 32 nm (z, y, x) by column voxel_size_nm of the table"
    assert warnings == [
        f"{used}, but the file says 32, 32, 32 nm (z, y, x): {tmp_path / 'volume'}.",
        f"{used}, but the files say 32, 32 nm (y, x): {tmp_path / 'txm' / 'txm000.tif'} and 2 more.",
    ]


def test_one_slice_that_differs_is_named(tmp_path: Path) -> None:
    own = sample(tmp_path, None)
    io.write_tiff(tmp_path / "txm" / "txm001.tif", np.zeros((8, 8), np.uint8), (32, 36, 32))
    (warning,) = check_sizes(CONFIG, own, RAW)
    assert f"32, 32, 32 nm (z, y, x) by {tmp_path / 'volume'}, but the file says 36, 32 nm (y, x)" in warning
    assert warning.endswith("txm001.tif.")


def test_a_mask_that_differs_from_its_slice_is_reported_and_never_refused(tmp_path: Path) -> None:
    (warning,) = check_sizes(CONFIG, sample(tmp_path, None, charge=(32, 0.032, 0.032)), RAW)
    assert "but the file says 0.032, 0.032 nm (y, x)" in warning
    assert warning.endswith("charge000.tif.")


SIDES = {
    "the table": ({"table": "0.032,0.032,0.032"}, "write voxel_size_nm = 32,32,32 into"),
    "one axis of the table": ({"table": "3200,32,32"}, "write voxel_size_nm = 32,32,32 into"),
    "the volume": ({"table": None, "volume": (0.032, 0.032, 0.032)}, "write voxel_size_nm = 32,32,32 into"),
    "the TXM slices": ({"table": "32,32,32", "txm": (32, 3.2e7, 3.2e7)}, "= 3.2e[+]07,3.2e[+]07,3.2e[+]07 into"),
    "the FIB-SEM slices": ({"table": "32,32,32", "sem": (32, 0.32, 0.32)}, "write voxel_size_nm = 0.32,0.32,0.32 into"),
}


@pytest.mark.parametrize("side", SIDES)
def test_another_unit_is_refused_unless_the_table_is_insisted_on(tmp_path: Path, side: str) -> None:
    values, remedy = SIDES[side]
    with pytest.raises(ConfigError, match=f"sample rock: the voxel size is .* A factor of 10* is .*{remedy}") as caught:
        check_sizes(CONFIG, sample(tmp_path, **values), RAW)
    assert "\n" not in str(caught.value)
    if values["table"] is not None:
        assert check_sizes(CONFIG, sample(tmp_path, **values, insists=True), RAW)  # reported nevertheless


def test_a_scale_that_registration_would_find_is_no_unit(tmp_path: Path) -> None:
    narrow = load_config({"variants": {"a": {"family": "feedforward"}}, "register": {"scales": [1, 1]}})
    own = sample(tmp_path, None, sem=(None, 3.2, 3.2), charge=(None, 3.2, 3.2))
    with pytest.raises(ConfigError, match="A factor of 10 is"):
        check_sizes(narrow, own, RAW)
    assert check_sizes(CONFIG, own, RAW) == []


def test_the_table_of_a_phantom(tmp_path: Path) -> None:
    def own(size: str) -> Sample:
        return Sample(sample="rock", source="phantom", voxel_size_nm=size)

    assert check_sizes(CONFIG, own("32,32,32"), RAW) == []
    (warning,) = check_sizes(CONFIG, own("30,30,30"), RAW)
    assert "phantom.voxel_size_nm" in warning
    with pytest.raises(ConfigError, match="A factor of 1000 is"):
        check_sizes(CONFIG, own("0.032,0.032,0.032"), RAW)


def test_what_insists_must_say_something(tmp_path: Path) -> None:
    (tmp_path / "s.tsv").write_text("sample\tsource\tvoxel_size_from\nrock\tphantom\ttable\n")
    with pytest.raises(ConfigError, match="row 2, column voxel_size_from: column voxel_size_nm says nothing"):
        read_samples(tmp_path / "s.tsv")


@settings(max_examples=100, deadline=None)
@given(st.one_of(st.floats(0.001, 1000), st.integers(-6, 6).map(lambda n: 10.0**n * 1.004)))
def test_refused_where_and_only_where_a_power_of_ten_lies_between(three_pairs: Sample, ratio: float) -> None:
    table = f"{32 / ratio!r},32,32"
    found = contradictions(three_pairs.model_copy(update={"voxel_size_nm": table}), RAW)
    power = 10.0 ** round(np.log10(ratio))
    if abs(abs(ratio - 1) - 0.01) > 1e-3:
        assert bool(found) == (abs(ratio - 1) > 0.01)
    if found and abs(abs(ratio / power - 1) - 0.01) > 1e-3:
        assert (found[0].unit != 1) == (power != 1 and abs(ratio / power - 1) < 0.01)


@pytest.fixture(scope="module")
def three_pairs(tmp_path_factory: pytest.TempPathFactory) -> Sample:
    return sample(tmp_path_factory.mktemp("three"), "32,32,32")
