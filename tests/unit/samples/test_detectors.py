"""Columns `sem_2` and `sem_3` of the sample table: a sample for each detector, registered by the first one's images."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from txm2sem_core import io
from txm2sem_core.config import Config, Runs, load_config
from txm2sem_core.errors import ConfigError, InputError
from txm2sem_core.provenance.record import describe_inputs
from txm2sem_core.samples.feasibility import check_feasible, check_sample
from txm2sem_core.samples.files import SampleFiles
from txm2sem_core.samples.pairs import labels_of_pairs, list_pairs, pair_files
from txm2sem_core.samples.stated_sizes import contradictions
from txm2sem_core.samples.table import Sample, parse_sample, read_samples, rows_of

DEPTH = 6
FOLDERS = ("txm", "sem", "sem_2", "sem_3", "txm_volume")
SIZE = (30.0, 30.0, 30.0)
IMAGES = np.random.default_rng(0).integers(0, 200, (4, DEPTH, 40, 48)).astype(np.uint8)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, images in zip(("txm", "sem", "bse", "edx"), IMAGES, strict=True):
        for z in range(DEPTH):
            io.write_tiff(tmp_path / name / f"{z:03d}.tif", images[z], SIZE)
    io.write_tiff(tmp_path / "volume.tif", IMAGES[0], SIZE)
    return tmp_path


def read(folder: Path, **own: str) -> dict[str, Sample]:
    given = {"txm": "txm", "sem": "sem", "sem_2": "bse", "txm_volume": "volume.tif"} | own
    paths = {key: str(folder / name) for key, name in given.items() if name and key in FOLDERS}
    cells = {"sample": "own", "source": "pairs", "pair_z": f"0:{DEPTH}:1"} | given | paths
    (folder / "samples.tsv").write_text("\n".join("\t".join(line) for line in (cells, cells.values())) + "\n")
    return read_samples(folder / "samples.tsv")


def config() -> Config:
    values = {"samples": "s", "patches": {"size_px": 32}, "train": {"generator": {"name": "unet_32", "width": 4}}}
    return load_config({**values, "variants": {"network": {"family": "feedforward"}}}, "config.yaml")


def test_each_detector_is_a_sample(folder: Path) -> None:
    samples = read(folder, sem_3="edx")
    assert list(samples) == ["own", "own_sem_2", "own_sem_3"]
    for sample, name in zip(samples.values(), ("sem", "bse", "edx"), strict=True):
        pairs = list_pairs(sample, folder)
        assert [pair.sem for pair in pairs] == [folder / name / f"{z:03d}.tif" for z in range(DEPTH)]
        assert [pair.registered_sem for pair in pairs] == [folder / "sem" / f"{z:03d}.tif" for z in range(DEPTH)]
        np.testing.assert_array_equal(pairs[2].read_registered_sem().image, IMAGES[1, 2])
        assert [pair.z for pair in pairs] == list(range(DEPTH))
        check_sample(sample, folder)
        check_feasible(config(), sample, folder)
        assert contradictions(sample, folder) == []
    assert folder / "sem/003.tif" in pair_files(samples["own_sem_2"], folder)
    assert {str(folder / "sem"), str(folder / "bse")} <= set(samples["own_sem_2"].raw_paths())
    assert set(describe_inputs(samples["own_sem_2"])["inputs"]) == {"txm", "sem", "txm_volume", "registered_by"}


def test_the_first_detector_is_the_sample_that_it_was(folder: Path) -> None:
    """Its text is part of rules' params: another one would run everything again."""

    def row(sample: Sample) -> dict[str, str]:
        return json.loads(SampleFiles(sample, config(), Runs(config())).row())

    alone, both = read(folder, sem_2=""), read(folder)
    assert row(alone["own"]) == row(both["own"])
    assert "registered_by" not in row(both["own"])
    second = row(both["own_sem_2"])
    assert second["registered_by"] == str(folder / "sem")
    assert parse_sample(json.dumps(second)) == both["own_sem_2"]


def test_slices_that_are_sought_are_so_by_the_first_detector(folder: Path) -> None:
    pairs = list_pairs(read(folder, txm="", pair_z="find")["own_sem_2"], folder)
    assert all(pair.sought for pair in pairs)
    assert [pair.registered_sem.parent.name for pair in pairs] == ["sem"] * DEPTH


@pytest.mark.parametrize("sought", [False, True])
def test_names_and_offset_hold_for_all_detectors(folder: Path, sought: bool) -> None:
    for z in range(DEPTH):
        for name in ("sem", "bse"):
            (folder / name / f"{z:03d}.tif").rename(folder / name / f"{name}_{z + 1:03d}_5kV.tif")
    where = {"txm": "", "pair_z": "find"} if sought else {}
    samples = read(folder, sem_names="*_{number}_5kV.tif", sem_number_offset="-1", **where)
    pair = list_pairs(samples["own_sem_2"], folder)[2]
    assert (pair.sem.name, pair.registered_sem.name) == ("bse_003_5kV.tif", "sem_003_5kV.tif")
    assert pair.pair == ("003" if sought else "002")


def test_labels_of_sought_slices_have_the_numbers_of_their_files(folder: Path) -> None:
    io.write_tiff(folder / "labels/003.tif", IMAGES[1, 3])
    sample = read(folder, txm="", pair_z="find", sem_number_offset="-1")["own"]
    sample = sample.model_copy(update={"labels": str(folder / "labels")})
    assert labels_of_pairs(sample, list_pairs(sample, folder)) == {"003": folder / "labels/003.tif"}


def test_a_table_is_written_as_it_was_read(folder: Path) -> None:
    samples = read(folder, sem_3="edx")
    rows = rows_of(samples.values())
    assert [row.sem_3 for row in rows] == [str(folder / "edx")]
    assert [sample for row in rows for sample in row.samples()] == list(samples.values())


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"sem_2": "", "sem_3": "edx"}, "column sem_3: there is no sem_2, and detectors are numbered without a gap"),
        ({"sem_2": "sem"}, "column sem_2: .*sem is the folder of column sem too"),
        ({"sem_2": "sem/"}, "column sem_2: .*sem/? is the folder of column sem too"),
        ({"sem_3": "bse"}, "column sem_3: .*bse is the folder of column sem_2 too"),
        ({"source": "phantom"}, "column sem_2: source phantom has one detector. Leave it empty"),
        ({"source": "reference"}, "column sem_2: source reference has one detector. Leave it empty"),
        ({"registered_by": "sem"}, "column registered_by: the columns are sample, .*, sem_2, sem_3"),
        ({"sample": "x" * 60}, r"row 2, column sample: .*(at most|pattern)"),
    ],
)
def test_columns_that_do_not_go_together_are_refused(folder: Path, values: dict[str, str], message: str) -> None:
    own = {key: value for key, value in values.items() if key not in ("source", "sample")}
    given = {"txm": "txm", "sem": "sem", "sem_2": "bse"} | own
    cells = {"sample": "own", "source": "pairs"} | {key: value and str(folder / value) for key, value in given.items()}
    cells |= {key: values[key] for key in ("source", "sample") if key in values}
    (folder / "samples.tsv").write_text("\n".join("\t".join(line) for line in (cells, cells.values())) + "\n")
    with pytest.raises(ConfigError, match=message):
        read_samples(folder / "samples.tsv")


def test_a_sample_with_the_name_of_a_detectors_is_refused(folder: Path) -> None:
    rows = ["sample\tsource\ttxm\tsem\tsem_2", "own\tpairs\tt\ts\tb", "own_sem_2\tpairs\tt\tb\t"]
    (folder / "samples.tsv").write_text("\n".join(rows) + "\n")
    with pytest.raises(ConfigError, match=r"row 3: the sample 'own_sem_2' occurs twice"):
        read_samples(folder / "samples.tsv")


def test_images_that_do_not_belong_together_are_refused_by_name(folder: Path) -> None:
    (folder / "sem/003.tif").rename(folder / "sem/007.tif")
    missing = r"bse/003.tif: there is no image with the number 003 in .*sem, and detectors have the same slices"
    for sought in ({}, {"txm": "", "pair_z": "find"}):
        with pytest.raises(InputError, match=missing):
            list_pairs(read(folder, **sought)["own_sem_2"], folder)
    (folder / "sem/007.tif").rename(folder / "sem/003.tif")
    io.write_tiff(folder / "bse/003.tif", IMAGES[2, 3, 1:], SIZE)
    sample = read(folder)["own_sem_2"]
    with pytest.raises(InputError, match=r"bse/003.tif is \(39, 48\) and .*sem/003.tif is \(40, 48\)"):
        check_feasible(config(), sample, folder)
    with pytest.raises(InputError, match=r"bse/003.tif is \(39, 48\) and .*sem/003.tif is \(40, 48\)"):
        list_pairs(sample, folder)[3].read_registered_sem()
    io.write_tiff(folder / "bse/003.tif", IMAGES[2, 3].astype(np.uint16), SIZE)
    with pytest.raises(InputError, match=r"bse/003.tif: uint16, but 000.tif is uint8"):
        check_sample(sample, folder)
    io.write_tiff(folder / "bse/003.tif", IMAGES[2, 3], (30.0, 30e3, 30e3))
    assert any("bse/003.tif" in each.text for each in contradictions(sample, folder))
