"""Column `super_resolution` of the sample table: what it makes of pairs, sizes and settings, and where it cannot be."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from txm2sem_core import io
from txm2sem_core.config import PhantomSettings, Runs, load_config
from txm2sem_core.errors import ConfigError
from txm2sem_core.report.gather import _on_finer_grid
from txm2sem_core.samples.files import SampleFiles
from txm2sem_core.samples.finer_factor import with_factor
from txm2sem_core.samples.pairs import list_pairs
from txm2sem_core.samples.stated_sizes import contradictions
from txm2sem_core.samples.table import Sample, read_samples
from txm2sem_core.samples.volume import open_sample_volume, sample_voxel_size_nm, volume_files, volume_path

TXM = np.random.default_rng(0).integers(0, 200, (3, 20, 24)).astype(np.uint8)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for z in range(3):
        io.write_tiff(tmp_path / f"txm/{z}.tif", TXM[z], (None, 40.0, 40.0))
        io.write_tiff(tmp_path / f"sem/{z}.tif", np.kron(TXM[z], np.ones((4, 4), np.uint8)), (None, 10.0, 10.0))
    io.write_tiff(tmp_path / "volume.tif", TXM, (40.0, 40.0, 40.0))
    return tmp_path


def sample_of(folder: Path, **columns: str) -> Sample:
    own = {"txm": str(folder / "txm"), "sem": str(folder / "sem"), "txm_volume": str(folder / "volume.tif")}
    return Sample.model_validate({"sample": "own", "source": "pairs", "pair_z": "0:3:1", **own, **columns})


def test_pairs_and_volume_are_on_the_finer_grid(folder: Path) -> None:
    plain, finer = sample_of(folder), sample_of(folder, super_resolution="4")
    one, other = (list_pairs(sample, folder)[1] for sample in (plain, finer))
    assert_array_equal(other.read_txm().image, np.kron(one.read_txm().image, np.ones((4, 4), np.uint8)))
    assert other.txm_kind() == ((80, 96), np.uint8)
    assert (one.stated_scale, other.stated_scale) == pytest.approx((0.25, 1.0))
    assert sample_voxel_size_nm(finer, folder) == pytest.approx((40.0, 10.0, 10.0))
    volume = open_sample_volume(finer, folder)
    assert volume is not None
    assert volume.shape == (3, 80, 96)
    assert volume_path(finer, folder) == Path(f"{folder}/volume.tif:x4")
    assert volume_files(finer, folder) == volume_files(plain, folder) == [folder / "volume.tif"]
    assert contradictions(finer, folder) == []


def test_sizes_of_the_table_are_the_txms(folder: Path) -> None:
    finer = sample_of(folder, super_resolution="2", voxel_size_nm="40,40,40", sem_pixel_size_nm="10")
    assert list_pairs(finer, folder)[0].pixel_nm == (20.0, 10.0)
    assert sample_voxel_size_nm(finer, folder) == (40.0, 20.0, 20.0)
    assert contradictions(finer, folder) == []
    assert contradictions(sample_of(folder, super_resolution="2", voxel_size_nm="40,20,20"), folder)


@pytest.mark.parametrize(
    ("sem_nm", "factor"), [("40", 1), ("30", 1), ("28", 2), ("15", 2), ("14", 4), ("7.2", 4), ("7", 8), ("1", 8)]
)
@pytest.mark.parametrize("sought", [False, True])
def test_auto_is_the_nearest_to_the_ratio_of_the_sizes(folder: Path, sem_nm: str, factor: int, sought: bool) -> None:
    sample = sample_of(folder, super_resolution="auto", sem_pixel_size_nm=sem_nm)
    sample = sample.model_copy(update={"txm": None, "pair_z": "find"}) if sought else sample
    settled = with_factor(sample, PhantomSettings(), folder)
    assert settled.finer() == factor
    assert settled == sample.model_copy(update={"super_resolution": None if factor == 1 else str(factor)})
    assert with_factor(settled, PhantomSettings(), folder) is settled


def test_auto_of_the_files_and_of_a_phantom_and_of_unknown_sizes(folder: Path) -> None:
    assert with_factor(sample_of(folder, super_resolution="auto"), PhantomSettings(), folder).finer() == 4
    phantom = Sample(sample="rock", source="phantom", super_resolution="auto")
    assert with_factor(phantom, PhantomSettings(super_resolution=2), folder).finer() == 2
    for z in range(3):
        io.write_tiff(folder / f"sem/{z}.tif", np.zeros((80, 96), np.uint8), None)
    with pytest.raises(ConfigError, match="sample own, column super_resolution: auto needs the sizes"):
        with_factor(sample_of(folder, super_resolution="auto"), PhantomSettings(), folder)


def test_slices_that_are_sought_are_of_the_finer_grid_too(folder: Path) -> None:
    columns = {"super_resolution": "4", "pair_z": "find"}
    sample = sample_of(folder, **columns).model_copy(update={"txm": None})
    pair = list_pairs(sample, folder)[1]
    assert (pair.finer, pair.sought, pair.txm_kind()[0]) == (4, True, (80, 96))
    assert pair.stated_scale == pytest.approx(1.0)  # to a pixel of the results


def test_points_marked_in_the_txm_slice_lie_at_the_same_place(folder: Path) -> None:
    for kind, points in (("txm", [[2, 3], [10, 4]]), ("sem", [[9, 13], [41, 17]])):
        rows = [f"{n},{y},{x}" for n, (x, y) in enumerate(points)]
        (folder / "points" / kind).mkdir(parents=True)
        (folder / "points" / kind / "1.csv").write_text("\n".join(["index,axis-0,axis-1", *rows]) + "\n")
    sample = sample_of(folder, super_resolution="4", landmarks=str(folder / "points"))
    found = list_pairs(sample, folder)[1].read_landmarks()
    assert found is not None
    assert_array_equal(found[0], [[9, 13], [41, 17]])
    assert_array_equal(found[1], [[9.5, 13.5], [41.5, 17.5]])


def test_what_was_measured_is_not_made_coarser_by_other_ways(folder: Path) -> None:
    values = {
        "samples": "s",
        "figures": "f",
        "downsample": {"method": "psf", "noise_sigma": 0.1},
        "variants": {"a": {"family": "baseline", "generator": {"name": "pointwise"}}},
    }
    config = load_config(values, "test")
    for column, factors in ((None, {2: "psf", 4: "psf"}), ("4", {2: "area", 4: "area", 8: "psf"}), ("2", {4: "psf"})):
        columns = {} if column is None else {"super_resolution": column}
        here = SampleFiles(sample_of(folder, **columns), config, Runs(config))
        assert {factor: here.downsampling(factor).method for factor in factors} == factors


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"super_resolution": "3"}, "one of 2, 4, 8, auto is needed. The value is '3'"),
        ({"super_resolution": "x"}, "one of 2, 4, 8, auto is needed"),
        ({"super_resolution": "2", "source": "reference", "sem": ""}, "source reference has FIB-SEM pixels as wide"),
        ({"super_resolution": "auto", "source": "reference", "sem": ""}, "source reference has FIB-SEM pixels as wide"),
    ],
)
def test_what_cannot_be_is_refused(tmp_path: Path, columns: dict[str, str], message: str) -> None:
    row = {"sample": "own", "source": "pairs", "txm": "a", "sem": "b", "txm_volume": "c", **columns}
    (tmp_path / "samples.tsv").write_text("\t".join(row) + "\n" + "\t".join(row.values()) + "\n")
    with pytest.raises(ConfigError, match=message):
        read_samples(tmp_path / "samples.tsv")


def test_the_report_says_which_super_resolution_it_is() -> None:
    assert _on_finer_grid(1) == ""
    assert "variants of factor 4" in _on_finer_grid(4)
    assert "native super-resolution" in _on_finer_grid(4)
