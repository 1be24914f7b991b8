"""The sample table, the pairs that its rows name, and what is reported of wrong ones."""

from __future__ import annotations

from pathlib import Path
from random import Random

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from txm2sem_core import io
from txm2sem_core.config import load_config
from txm2sem_core.errors import ConfigError, InputError
from txm2sem_core.samples.context import check_context, widest_context
from txm2sem_core.samples.feasibility import check_sample
from txm2sem_core.samples.pairs import label_files, labels_of_pairs, list_pairs
from txm2sem_core.samples.table import Sample, parse_sample, read_samples
from txm2sem_core.samples.volume import plane_pixel_size_nm, sample_voxel_size_nm, volume_path

HEADER = "sample\tsource\ttxm\tsem\tcharge\ttxm_volume\tpair_z\tvoxel_size_nm"
RAW = Path("raw")


def table(path: Path, *rows: str, header: str = HEADER) -> Path:
    path.write_text("\n".join([header, *rows]) + "\n")
    return path


def images(folder: Path, *names: str, size_nm: io.VoxelSize | None = None) -> Path:
    for name in names:
        io.write_tiff(folder / name, np.ones((4, 5), np.uint8), size_nm)
    return folder


def pairs_sample(root: Path, **values: str) -> Sample:
    return Sample(sample="a", source="pairs", **{"txm": str(root / "txm"), "sem": str(root / "sem")} | values)


def test_a_table_with_comments_spaces_and_empty_cells(tmp_path: Path) -> None:
    rows = ["# a comment", "one\tphantom\t\t\t\t\t\t", "two\tpairs\t in/txm \tin/sem\t\tvol.tif\t0:9:3\t30,20, 10"]
    samples = read_samples(table(tmp_path / "s.tsv", *rows))
    assert list(samples) == ["one", "two"]
    assert samples["two"].txm == "in/txm"
    assert samples["two"].charge is None
    assert samples["two"].voxel_size() == (30, 20, 10)
    assert parse_sample(samples["two"].model_dump_json()) == samples["two"]


@pytest.mark.parametrize(
    ("rows", "header", "words"),
    [
        ([], HEADER, "no rows"),
        (["one\tphantom", "one\tphantom"], HEADER, "twice"),
        (["one\tphatom"], HEADER, "row 2, column source"),
        (["one two\tphantom"], HEADER, "row 2, column sample"),
        (["one\tpairs\tfolder"], HEADER, "row 2, column sem: source pairs needs"),
        (["one\treference"], HEADER, "row 2, column txm: source reference needs"),
        (["one\tphantom\tx"], "sample\tsource\ttmx", "column tmx.*the columns are sample, source, txm"),
        (["phantom"], "source", "column sample"),
        (["one phantom"], "sample source", "column sample: the columns are .* separated by tabs"),
        (["one\tphantom\t\t\t\t\t\t1,2"], HEADER, "column voxel_size_nm: three numbers"),
        (["one\tphantom\t\t\t\t\t\t1,2,0"], HEADER, "column voxel_size_nm: sizes must be greater"),
    ],
)
def test_wrong_tables(tmp_path: Path, rows: list[str], header: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        read_samples(table(tmp_path / "s.tsv", *rows, header=header))


def test_a_table_that_is_missing_or_empty(tmp_path: Path) -> None:
    (tmp_path / "empty.tsv").touch()
    for name in ("none.tsv", "empty.tsv"):
        with pytest.raises(ConfigError, match=name):
            read_samples(tmp_path / name)


@pytest.mark.parametrize(
    ("text", "count", "expected"),
    [("0:9:3", 3, [0, 3, 6]), ("5:8", 3, [5, 6, 7]), ("4,1", 2, [4, 1]), (None, 2, [None, None])],
)
def test_the_place_of_pairs(text: str | None, count: int, expected: list[int | None]) -> None:
    assert Sample(sample="a", source="pairs", pair_z=text).z_of_pairs(count) == expected


@pytest.mark.parametrize(
    ("text", "count"), [("0:9:3", 4), ("1,1", 2), ("-1,2", 2), ("a,b", 2), ("0:9:0", 1), ("1:2:3:4", 1)]
)
def test_places_that_do_not_fit_the_pairs(text: str, count: int) -> None:
    with pytest.raises(ConfigError, match="sample a, column pair_z") as caught:
        Sample(sample="a", source="pairs", pair_z=text).z_of_pairs(count)
    assert repr(text) in str(caught.value)


# --- pairs


def test_pairs_are_matched_by_number_and_ordered(tmp_path: Path) -> None:
    images(tmp_path / "txm", "TXM_10.tif", "TXM_2.tif", "TXM_001.tif")
    images(tmp_path / "sem", "SEM2dark002.tif", "SEM2dark010.tif", "x1.tif")
    found = list_pairs(pairs_sample(tmp_path, pair_z="0:6:2"), RAW)
    assert [(p.pair, p.z, p.txm.name, p.sem.name) for p in found] == [
        ("001", 0, "TXM_001.tif", "x1.tif"),
        ("002", 2, "TXM_2.tif", "SEM2dark002.tif"),
        ("010", 4, "TXM_10.tif", "SEM2dark010.tif"),
    ]
    assert found[0].charge is None


WAYS_TO_NUMBER: dict[str, tuple[list[str], list[str], list[str]]] = {
    "other width": (["TXM000.tif", "TXM001.tif"], ["slice_0000.tif", "slice_0001.tif"], ["000", "001"]),
    "no width": (["TXM_1.tif", "TXM_9.tif", "TXM_10.tif"], ["001.tif", "009.tif", "010.tif"], ["001", "009", "010"]),
    "mixed widths": (["8.tif", "09.tif", "0010.tif"], ["a8.tif", "a9.tif", "a10.tif"], ["008", "009", "0010"]),
    "before a voltage": (
        ["TXM_012.tif", "TXM_016.tif"],
        ["SEM_012_5.0kV.tif", "SEM_016_5.0kV.tif"],
        ["012", "016"],
    ),
    "after a voltage": (["TXM12.tif", "TXM16.tif"], ["SEM_5.0kV_012.tif", "SEM_5.0kV_016.tif"], ["012", "016"]),
    "decimal comma": (["z_0,5.tif", "z_1,0.tif"], ["s_0,5.tif", "s_1,0.tif"], ["000.5", "001.0"]),
    "decimal comma and point": (["z_0,5.tif", "z_1,0.tif"], ["s_0.50.tif", "s_1.tif"], ["000.5", "001.0"]),
    "decimal point": (["z_0.5.tif", "z_1.0.tif"], ["z_0.5.tif", "z_1.0.tif"], ["000.5", "001.0"]),
    "decimals that stand there twice": (
        ["z_0.5.tif", "z_1.0.tif", "z_1.5.tif", "z_10.0.tif"],
        ["z_0.5.tif", "z_1.0.tif", "z_1.5.tif", "z_10.0.tif"],
        ["000.5", "001.0", "001.5", "010.0"],
    ),
    "quarters": (
        ["0.25.tif", "0.5.tif", "0.75.tif"],
        ["0.25.tif", "0.50.tif", "0.75.tif"],
        ["000.25", "000.5", "000.75"],
    ),
    "slices of a series": (["t2.9.tif", "t2.10.tif"], ["scan3.009.tif", "scan3.010.tif"], ["009", "010"]),
    "slices of several series": (["1.001.tif", "2.002.tif"], ["SEM1.tif", "SEM2.tif"], ["001", "002"]),
}


@pytest.mark.parametrize("name", WAYS_TO_NUMBER)
def test_pairs_are_matched_by_the_value_of_their_number(tmp_path: Path, name: str) -> None:
    """In every folder that holds partners; the lowest first, and named as the TXM slice is."""
    txm, sem, names = WAYS_TO_NUMBER[name]
    folders = {"txm": txm, "sem": sem, "charge": sem, "lowdensity": txm, "highdensity": sem, "labels": sem}
    for folder, files in folders.items():
        images(tmp_path / folder, *reversed(files))
    others = {folder: str(tmp_path / folder) for folder in ("charge", "lowdensity", "highdensity", "labels")}
    sample = pairs_sample(tmp_path, pair_z=",".join(str(5 * i) for i in range(len(txm))), **others)
    found = list_pairs(sample, RAW)
    assert [pair.pair for pair in found] == names
    assert [pair.z for pair in found] == [5 * i for i in range(len(txm))]
    assert [(pair.txm.name, pair.sem.name) for pair in found] == list(zip(txm, sem, strict=True))
    assert [pair.charge.name if pair.charge else None for pair in found] == sem
    assert [(pair.extra["lowdensity"].name, pair.extra["highdensity"].name) for pair in found] == list(
        zip(txm, sem, strict=True)
    )
    labels = labels_of_pairs(sample, found)
    assert [labels[name].name for name in names] == sem
    assert set(label_files(sample).values()) == {tmp_path / "labels" / file for file in sem}


def test_numbers_of_other_width_in_the_published_layout(tmp_path: Path) -> None:
    sample = reference_layout(tmp_path)
    for file in (*tmp_path.glob("*/sem/*.tif"), *tmp_path.glob("*/lowdensity/*.tif")):
        file.rename(file.with_name(file.name.replace("00", "_")))
    found = list_pairs(sample, RAW)
    assert [p.pair for p in found] == [f"{s}00{n}" for s in ("train", "validation", "test") for n in (0, 1)]
    assert found[1].sem.name == "SEM_1.tif"
    assert found[1].extra["lowdensity"].name == "SEM_dark_1.tif"


@given(st.sets(st.integers(0, 2000), min_size=1, max_size=12), st.integers(1, 6), st.integers(1, 6), st.randoms())
def test_any_width_gives_the_same_pairs(
    tmp_path_factory: pytest.TempPathFactory, numbers: set[int], width: int, other: int, random: Random
) -> None:
    folder = tmp_path_factory.mktemp("pairs")
    for kind, digits in (("txm", width), ("sem", other)):
        (folder / kind).mkdir()
        for number in random.sample(sorted(numbers), len(numbers)):
            (folder / kind / f"{kind}{number:0{digits}}.tif").touch()
    found = list_pairs(pairs_sample(folder), RAW)
    assert [int(pair.pair) for pair in found] == sorted(numbers)
    assert [pair.pair for pair in found] == [f"{number:0{max(width, 3)}}" for number in sorted(numbers)]
    assert all(int(pair.txm.stem[3:]) == int(pair.sem.stem[3:]) == int(pair.pair) for pair in found)


@pytest.mark.parametrize(
    ("txm", "sem", "charge", "words"),
    [
        (["a1.tif", "a2.tif"], ["b1.tif"], None, r"txm/a2\.tif: there is no partner with the number 002 in .*sem"),
        (["a1.tif"], ["b1.tif", "b3.tif"], None, r"sem/b3\.tif: there is no partner with the number 003 in .*txm"),
        (["a1.tif"], ["b1.tif"], ["c2.tif"], r"txm/a1\.tif: there is no charge mask with the number 001"),
        (["a1.tif", "a01.tif"], ["b1.tif"], None, "the number 001 stands in"),
        (["a1.tif", "a0001.tif"], ["b1.tif"], None, "the number 0?001 stands in"),
        (["z_0,5.tif", "z_0,50.tif"], ["b1.tif"], None, r"z_0,50?\.tif: the number 000\.50? stands in z_0,5"),
        (["z_0,5.tif"], ["z_1,0.tif"], None, r"z_0,5\.tif: there is no partner with the number 000\.5"),
        (["a.tif"], ["b1.tif"], None, r"a\.tif: .* this name has none"),
        ([], ["b1.tif"], None, "txm: there is no such folder"),
    ],
)
def test_pairs_that_do_not_match(
    tmp_path: Path, txm: list[str], sem: list[str], charge: list[str] | None, words: str
) -> None:
    for name, files in (("txm", txm), ("sem", sem), ("charge", charge or [])):
        images(tmp_path / name, *files)
    values = {} if charge is None else {"charge": str(tmp_path / "charge")}
    with pytest.raises(InputError, match=words):
        list_pairs(pairs_sample(tmp_path, **values), RAW)


def test_a_phantom_says_where_its_pairs_stand(tmp_path: Path) -> None:
    for kind in ("txm", "sem", "charge"):
        images(tmp_path / kind, "000.tif", "001.tif")
    io.write_csv(tmp_path / "pairs.csv", pd.DataFrame({"pair": ["001", "000"], "z": [8, 2]}))
    found = list_pairs(Sample(sample="a", source="phantom"), tmp_path)
    assert [(p.pair, p.z) for p in found] == [("000", 2), ("001", 8)]
    assert all(p.charge is not None for p in found)


def reference_layout(root: Path, validation: str = "validation") -> Sample:
    for split in ("train", validation, "test"):
        images(root / split / "txm", "TXM000.tif", "TXM001.tif")
        images(root / split / "sem", "SEM000.tif", "SEM001.tif")
        images(root / split / "charge", "charge000.tif", "charge001.tif")
        images(root / split / "lowdensity", "SEM_dark000.tif", "SEM_dark001.tif")
    return Sample(sample="a", source="reference", txm=str(root))


@pytest.mark.parametrize("validation", ["validation", "val"])
def test_the_published_layout(tmp_path: Path, validation: str) -> None:
    found = list_pairs(reference_layout(tmp_path, validation), RAW)
    assert [p.pair for p in found] == [f"{s}00{n}" for s in ("train", "validation", "test") for n in (0, 1)]
    assert [p.split for p in found] == ["train"] * 2 + ["validation"] * 2 + ["test"] * 2
    assert found[3].extra == {"lowdensity": tmp_path / validation / "lowdensity" / "SEM_dark001.tif"}
    assert found[3].charge == tmp_path / validation / "charge" / "charge001.tif"


def test_the_published_layout_with_something_missing(tmp_path: Path) -> None:
    sample = reference_layout(tmp_path)
    (tmp_path / "test/lowdensity/SEM_dark001.tif").unlink()
    with pytest.raises(InputError, match=r"SEM001\.tif: there is no partner with the number 001 in .*lowdensity"):
        list_pairs(sample, RAW)
    (tmp_path / "validation").rename(tmp_path / "other")
    with pytest.raises(InputError, match="validation: no such folder"):
        list_pairs(sample, RAW)


# --- volumes and voxel sizes


def test_where_the_volume_lies(tmp_path: Path) -> None:
    assert volume_path(Sample(sample="a", source="phantom"), RAW) == RAW / "txm_volume"
    assert volume_path(Sample(sample="a", source="pairs", txm_volume="v.tif"), RAW) == Path("v.tif")
    assert volume_path(pairs_sample(tmp_path), RAW) is None
    sample = reference_layout(tmp_path)
    assert volume_path(sample, RAW) is None
    (tmp_path / "txm_full_stack").mkdir()
    assert volume_path(sample, RAW) == tmp_path / "txm_full_stack"


def test_voxel_sizes_come_from_the_table_then_the_volume_then_the_slices(tmp_path: Path) -> None:
    images(tmp_path / "txm", "1.tif", size_nm=(None, 2.0, 3.0))
    images(tmp_path / "sem", "1.tif")
    io.write_tiff(tmp_path / "v.tif", np.ones((2, 4, 5), np.uint8), (7.0, 5.0, 6.0))
    volume = str(tmp_path / "v.tif")
    assert sample_voxel_size_nm(pairs_sample(tmp_path), RAW) == (None, 2, 3)
    assert plane_pixel_size_nm(pairs_sample(tmp_path), RAW) == (2, 3)
    assert sample_voxel_size_nm(pairs_sample(tmp_path, txm_volume=volume), RAW) == (7, 5, 6)
    asked = pairs_sample(tmp_path, txm_volume=volume, voxel_size_nm="9,8,7")
    assert sample_voxel_size_nm(asked, RAW) == (9, 8, 7)
    assert plane_pixel_size_nm(asked, RAW) == (8, 7)


def test_a_volume_whose_voxel_size_is_not_known(tmp_path: Path) -> None:
    io.write_tiff(tmp_path / "v.tif", np.ones((2, 4, 5), np.uint8), (None, 5.0, 6.0))
    with pytest.raises(InputError, match=r"v\.tif: .*z not known, y 5\.0.*voxel_size_nm of sample a"):
        sample_voxel_size_nm(pairs_sample(tmp_path, txm_volume=str(tmp_path / "v.tif")), RAW)


def test_a_sample_is_checked_before_anything_runs(tmp_path: Path) -> None:
    names = [f"A{n}.tif" for n in range(3)]
    images(tmp_path / "txm", *names, size_nm=(None, 30.0, 30.0))
    images(tmp_path / "sem", *names)
    images(tmp_path / "volume", *names, size_nm=(None, 30.0, 30.0))
    with_volume = {"txm_volume": str(tmp_path / "volume"), "pair_z": "0:3:1"}
    check_sample(pairs_sample(tmp_path), RAW)
    with pytest.raises(InputError, match="column voxel_size_nm"):
        check_sample(pairs_sample(tmp_path, **with_volume), RAW)
    check_sample(pairs_sample(tmp_path, **with_volume, voxel_size_nm="30,30,30"), RAW)
    with pytest.raises(InputError, match="pair 002 is at z = 4"):
        check_sample(pairs_sample(tmp_path, **with_volume | {"pair_z": "0,1,4"}, voxel_size_nm="30,30,30"), RAW)
    with pytest.raises(InputError, match="no such file or folder"):
        check_sample(pairs_sample(tmp_path, txm_volume=str(tmp_path / "none"), voxel_size_nm="30,30,30"), RAW)
    io.write_tiff(tmp_path / "sem" / "A1.tif", np.ones((4, 5), np.uint16))
    with pytest.raises(InputError, match=r"A1\.tif: uint16, but A0\.tif is uint8"):
        check_sample(pairs_sample(tmp_path), RAW)


@pytest.mark.parametrize(
    ("variant", "needs_place", "words"),
    [
        ({"context": 1}, True, "variant net, key context: it sees 1 TXM slices .* columns txm_volume and pair_z"),
        ({"context": 0, "z_penalty": {"stack": 0.1}}, False, r"key z_penalty\.stack: .* column txm_volume"),
    ],
)
def test_variants_that_need_a_volume_or_places_in_it(
    tmp_path: Path, variant: dict[str, object], needs_place: bool, words: str
) -> None:
    images(tmp_path / "txm", "a1.tif", "a2.tif"), images(tmp_path / "sem", "b1.tif", "b2.tif")
    config = load_config({"variants": {"net": {"family": "feedforward", **variant}}})
    with pytest.raises(ConfigError, match=words):
        check_context(config, pairs_sample(tmp_path), RAW)
    unplaced = pairs_sample(tmp_path, txm_volume=str(images(tmp_path / "volume", "1.tif", "2.tif")))
    if needs_place:
        with pytest.raises(ConfigError, match=words):
            check_context(config, unplaced, RAW)
    else:
        check_context(config, unplaced, RAW)
    check_context(config, unplaced.model_copy(update={"pair_z": "0,1"}), RAW)
    check_context(config, Sample(sample="a", source="phantom"), RAW)
    without = load_config({"variants": {"net": {"family": "feedforward", "context": 0}}})
    check_context(without, pairs_sample(tmp_path), RAW)


@pytest.mark.parametrize(
    ("places", "context"), [("0,5,20", 2), ("0:40:20", 2), ("0,4,9", 1), ("0,3", 1), ("0,2", 0), ("3,4,5", 0)]
)
def test_auto_is_as_wide_as_pairs_stand_apart(tmp_path: Path, places: str, context: int) -> None:
    count = 2 if ":" in places else len(places.split(","))
    names = [f"{number}.tif" for number in range(count)]
    volume = str(images(tmp_path / "volume", *(f"{z:02d}.tif" for z in range(21))))
    images(tmp_path / "txm", *names), images(tmp_path / "sem", *names)
    placed = pairs_sample(tmp_path, txm_volume=volume, pair_z=places)
    phantom = Sample(sample="b", source="phantom")
    assert widest_context([placed], 8, RAW) == context
    assert widest_context([phantom, placed], 8, RAW) == context
    assert widest_context([phantom], 8, RAW) == 2
    assert widest_context([phantom], 4, RAW) == 1
    assert widest_context([placed, pairs_sample(tmp_path)], 8, RAW) == 0


def test_auto_context_is_what_the_samples_allow() -> None:
    config = {"variants": {"a": {"family": "feedforward"}, "b": {"family": "feedforward", "context": 3}}}
    wide = load_config(config, auto_context=2)
    assert (wide.variant("a").context, wide.variant("b").context, wide.patches.context) == (2, 3, 3)
    assert load_config(config).variant("a").context == 0
    narrow = {"variants": {"a": {"family": "feedforward"}}, "patches": {"context": 0}}
    assert load_config(narrow, auto_context=2).variant("a").context == 0
    assert load_config({**config, "preset": "paper"}, auto_context=2).variant("a").context == 0
    assert load_config({**config, "train": {"context": 1}}, auto_context=2).variant("a").context == 1


def test_an_offset_of_numbers_is_suggested_and_holds_for_masks_and_labels(tmp_path: Path) -> None:
    images(tmp_path / "txm", "TXM000.tif", "TXM001.tif", "TXM002.tif")
    for folder in ("sem", "charge", "labels"):
        images(tmp_path / folder, "a001.tif", "a002.tif", "a003.tif")
    values = {kind: str(tmp_path / kind) for kind in ("charge", "labels")}
    with pytest.raises(InputError, match=r"TXM000\.tif: there is no partner .* sem_number_offset = -1 into") as caught:
        list_pairs(pairs_sample(tmp_path, **values), RAW)
    assert "\n" not in str(caught.value)
    sample = pairs_sample(tmp_path, sem_number_offset="-1", **values)
    pairs = list_pairs(sample, RAW)
    assert [(p.pair, p.txm.name, p.sem.name, p.charge and p.charge.name) for p in pairs] == [
        (f"00{i}", f"TXM00{i}.tif", f"a00{i + 1}.tif", f"a00{i + 1}.tif") for i in range(3)
    ]
    assert {name: file.name for name, file in labels_of_pairs(sample, pairs).items()} == {
        f"00{i}": f"a00{i + 1}.tif" for i in range(3)
    }


def test_a_pattern_of_names_says_which_number_counts_and_which_files_are_meant(tmp_path: Path) -> None:
    images(tmp_path / "txm", "TXM_7.tif", "TXM_8.tif")
    images(tmp_path / "sem", "S7_5kV_a1.tif", "S8_5kV_a2.tif", "S7_10kV_a1.tif", "S8_10kV_a2.tif")
    with pytest.raises(
        InputError, match=r"stands in S7_5kV_a1.tif too.* txm_names or sem_names of .* \{number\} where"
    ):
        list_pairs(pairs_sample(tmp_path), RAW)
    pairs = list_pairs(pairs_sample(tmp_path, sem_names="S{number}_5kV_*.tif"), RAW)
    assert [(p.pair, p.sem.name) for p in pairs] == [("007", "S7_5kV_a1.tif"), ("008", "S8_5kV_a2.tif")]
    with pytest.raises(InputError, match=r"no name of an image there is as T\{number\}\.tif says, as S7_5kV"):
        list_pairs(pairs_sample(tmp_path, sem_names="T{number}.tif"), RAW)


@pytest.mark.parametrize(
    ("column", "value", "words"),
    [
        ("sem_names", "SEM_5kV.tif", r"column sem_names: \{number\} is needed once"),
        ("txm_names", "{number}_{number}.tif", r"column txm_names: \{number\} is needed once"),
        ("sem_number_offset", "one", "column sem_number_offset: a whole number is needed"),
        ("sem_pixel_size_nm", "fine", "column sem_pixel_size_nm: one number is needed"),
        ("sem_pixel_size_nm", "-3", "column sem_pixel_size_nm: the size must be greater than 0"),
    ],
)
def test_wrong_cells_about_names_and_sizes(column: str, value: str, words: str, tmp_path: Path) -> None:
    header = f"sample\tsource\ttxm\tsem\t{column}"
    with pytest.raises(ConfigError, match=words):
        read_samples(table(tmp_path / "samples.tsv", f"a\tpairs\tt\ts\t{value}", header=header))


def test_the_scale_comes_from_files_and_table(tmp_path: Path) -> None:
    images(tmp_path / "txm", "1.tif", size_nm=(None, 32.0, 32.0))
    images(tmp_path / "sem", "1.tif")
    assert np.isnan(list_pairs(pairs_sample(tmp_path), RAW)[0].stated_scale)
    assert list_pairs(pairs_sample(tmp_path, sem_pixel_size_nm="12.8"), RAW)[0].stated_scale == pytest.approx(0.4)
    images(tmp_path / "txm", "1.tif")
    values = {"sem_pixel_size_nm": "10", "voxel_size_nm": "20,20,20"}
    assert list_pairs(pairs_sample(tmp_path, **values), RAW)[0].stated_scale == pytest.approx(0.5)
