"""Columns `txm_2` and `txm_volume_2` of the sample table: what they name, what goes with them, what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from txm2sem_core import io
from txm2sem_core.config import Config, Runs, load_config
from txm2sem_core.errors import ConfigError, InputError
from txm2sem_core.report.gather import _of_scans
from txm2sem_core.samples.feasibility import check_feasible, check_sample
from txm2sem_core.samples.files import SampleFiles
from txm2sem_core.samples.pairs import list_pairs, pair_files
from txm2sem_core.samples.stated_sizes import contradictions
from txm2sem_core.samples.table import Sample, parse_sample, read_samples
from txm2sem_core.samples.volume import open_sample_volume, volume_files

DEPTH = 5
SCANS = [np.random.default_rng(seed).integers(0, 200, (DEPTH, 40, 48)) for seed in (0, 1)]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, scan, dtype in (("", SCANS[0], np.uint8), ("_2", SCANS[1], np.uint16)):
        for z in range(DEPTH):
            io.write_tiff(tmp_path / f"txm{name}/{z:03d}.tif", scan[z].astype(dtype), (30.0, 30.0, 30.0))
        io.write_tiff(tmp_path / f"volume{name}.tif", scan.astype(dtype), (30.0, 30.0, 30.0))
    for z in range(DEPTH):
        io.write_tiff(tmp_path / f"sem/{z:03d}.tif", SCANS[0][z].astype(np.uint8), (30.0, 30.0, 30.0))
    return tmp_path


def columns(folder: Path, **own: str | None) -> dict[str, str]:
    given = {"txm": "txm", "txm_2": "txm_2", "sem": "sem", "txm_volume": "volume.tif", "txm_volume_2": "volume_2.tif"}
    paths = {key: str(folder / name) for key, name in (given | own).items() if name is not None and key != "pair_z"}
    return {"sample": "own", "source": "pairs", "pair_z": own.get("pair_z") or "0:5:1", **paths}


def sample_of(folder: Path, **own: str | None) -> Sample:
    return Sample.model_validate(columns(folder, **own))


def read(folder: Path, values: dict[str, str]) -> Sample:
    (folder / "samples.tsv").write_text("\n".join("\t".join(cells) for cells in (values, values.values())) + "\n")
    return read_samples(folder / "samples.tsv")["own"]


def config_of(**variant: Any) -> Config:
    values = {"samples": "s", "patches": {"size_px": 32}, "train": {"generator": {"name": "unet_32", "width": 4}}}
    variants = {
        "pointwise": {"family": "baseline", "generator": {"name": "pointwise"}},
        "network": {"family": "feedforward", **variant},
    }
    return load_config({**values, "variants": variants}, "config.yaml")


def test_slices_and_volumes_of_both_scans_are_found(folder: Path) -> None:
    sample = read(folder, columns(folder))
    pairs = list_pairs(sample, folder)
    assert [pair.further for pair in pairs] == [(folder / f"txm_2/{z:03d}.tif",) for z in range(DEPTH)]
    np.testing.assert_array_equal(pairs[3].read_further()[0].image, SCANS[1][3])
    volume = open_sample_volume(sample, folder)
    assert volume is not None
    np.testing.assert_array_equal(volume.scans[1].read(2, 3)[0], SCANS[1][2])
    assert volume_files(sample, folder) == [folder / "volume.tif", folder / "volume_2.tif"]
    assert folder / "txm_2/001.tif" in pair_files(sample, folder)
    assert {str(folder / "txm_2"), str(folder / "volume_2.tif")} <= set(sample.raw_paths())
    check_sample(sample, folder)
    check_feasible(config_of(), sample, folder)


def test_a_row_of_one_scan_is_what_it_was(folder: Path) -> None:
    """Its text is part of rules' params: another one would run everything again."""
    one, two = sample_of(folder, txm_2=None, txm_volume_2=None), sample_of(folder)
    rows = [json.loads(SampleFiles(each, config_of(), Runs(config_of())).row()) for each in (one, two)]
    assert not [key for key in rows[0] if key[-1].isdigit()]
    assert {key for key in rows[1] if key not in rows[0]} == {"txm_2", "txm_volume_2"}
    assert parse_sample(json.dumps(rows[1])) == two


def test_networks_predict_from_all_scans_and_baselines_from_the_first(folder: Path) -> None:
    files = SampleFiles(sample_of(folder), config_of(), Runs(config_of()))
    assert files.volume_options("network") == f"--further {folder}/volume_2.tif"
    assert files.volume_options("pointwise") == ""


@pytest.mark.parametrize(
    ("own", "message"),
    [
        ({"txm_3": "txm_2", "txm_2": None}, r"column txm_3: there is no txm_2, and scans are numbered without a gap"),
        ({"txm_volume_2": None}, r"column txm_volume_2: networks that learn from txm_2 predict from its volume too"),
        ({"txm_2": None}, r"column txm_2: there is the volume of this scan, but not its slices"),
        ({"txm_volume": None, "pair_z": None}, r"column txm_volume_2: the first scan has no volume"),
        ({"txm": None, "pair_z": "find"}, r"column txm_2: it belongs to TXM slices, but column txm is empty"),
    ],
)
def test_columns_that_do_not_go_together(folder: Path, own: dict[str, str | None], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        read(folder, columns(folder, **own))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"source": "phantom", "txm_2": "x"}, "made as phantom.further_energies_kev says"),
        ({"source": "reference", "txm": "x", "txm_2": "x"}, "source reference has one scan"),
        (
            {"source": "pairs", "txm": "x", "txm_2": "x", "sem": "x", "super_resolution": "2"},
            "do not go with super_res",
        ),
    ],
)
def test_samples_that_have_no_further_scans(tmp_path: Path, values: dict[str, str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        read(tmp_path, {"sample": "own", **values})


def test_planes_that_are_sought_need_the_volumes_alone(folder: Path) -> None:
    sample = read(folder, columns(folder, txm=None, txm_2=None, pair_z="find"))
    assert sample.sought
    volume = open_sample_volume(sample, folder)
    assert volume is not None
    assert len(volume.scans) == 2


def test_slices_without_partner_in_a_scan(folder: Path) -> None:
    (folder / "txm_2/003.tif").rename(folder / "txm_2/007.tif")
    with pytest.raises(InputError, match=r"txm/003.tif: there is no slice with the number 003 in .*txm_2"):
        list_pairs(sample_of(folder), folder)
    io.write_tiff(folder / "txm_2/003.tif", SCANS[1][3].astype(np.uint16))
    with pytest.raises(InputError, match=r"txm_2/007.tif: there is no slice with the number 007 in .*txm, and"):
        list_pairs(sample_of(folder), folder)


def test_scans_on_different_grids(folder: Path) -> None:
    io.write_tiff(folder / "txm_2/001.tif", SCANS[1][1, 1:].astype(np.uint16))
    with pytest.raises(InputError, match=r"txm_2/001.tif is \(39, 48\) and .*txm/001.tif is \(40, 48\)"):
        check_feasible(config_of(), sample_of(folder), folder)
    io.write_tiff(folder / "volume_2.tif", SCANS[1][1:].astype(np.uint16))
    with pytest.raises(InputError, match=r"volume_2.tif has the shape \(4, 40, 48\) and .*volume.tif \(5, 40, 48\)"):
        open_sample_volume(sample_of(folder), folder)


def test_another_pixel_size_of_a_further_scan_is_said(folder: Path) -> None:
    assert contradictions(sample_of(folder), folder) == []
    io.write_tiff(folder / "volume_2.tif", SCANS[1].astype(np.uint16), (30.0, 40.0, 40.0))
    io.write_tiff(folder / "txm_2/001.tif", SCANS[1][1].astype(np.uint16), (30.0, 50.0, 50.0))
    said = [each.text for each in contradictions(sample_of(folder), folder)]
    assert ["50 nm" in text or "50, 50 nm" in text for text in said] == [True, False]
    assert "txm_2/001.tif" in said[0]
    assert "volume_2.tif" in said[1]


def test_the_report_says_how_many_scans_networks_see() -> None:
    assert _of_scans({}) == ""
    assert "Learned variants see 2 TXM scans of the rock" in _of_scans({"further_ranges": [{"low": 0, "high": 1}]})


def test_bit_depths_that_differ_within_a_scan(folder: Path) -> None:
    io.write_tiff(folder / "volume_2.tif", SCANS[1].astype(np.uint8))
    with pytest.raises(InputError, match=r"volume_2.tif: its voxels are uint8, but .* are uint16, as .*txm_2"):
        check_feasible(config_of(), sample_of(folder), folder)
    io.write_tiff(folder / "txm_2/001.tif", SCANS[1][1].astype(np.uint8))
    with pytest.raises(InputError, match=r"txm_2/001.tif: uint8, but 000.tif is uint16"):
        check_sample(sample_of(folder), folder)


@pytest.mark.parametrize(
    ("variant", "message"),
    [
        ({"z_penalty": {"stack": 0.1}}, r"variants network, key z_penalty.stack: .* sample own has 2"),
        (
            {"family": "srcnn", "factor": 2, "generator": {"name": "sr_resnet_2blocks"}},
            r"variants network: they learn from a coarser TXM .* but sample own has 2.* \(leave_out: \[network\]\)",
        ),
    ],
)
def test_what_several_scans_cannot_be_used_for(folder: Path, variant: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        check_feasible(config_of(**variant), sample_of(folder), folder)
    check_feasible(config_of(**variant), sample_of(folder, txm_2=None, txm_volume_2=None), folder)
