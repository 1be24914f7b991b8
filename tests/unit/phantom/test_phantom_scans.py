"""Further scans of a phantom: the same rock at other energies, with noise of their own, beside a first that stays."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from txm2sem_core import io
from txm2sem_core.config import PhantomSettings
from txm2sem_core.phantom import make_phantom, phases, txm
from txm2sem_core.phantom.stage import build_truth
from txm2sem_core.samples.pairs import list_pairs
from txm2sem_core.samples.table import Sample
from txm2sem_core.samples.volume import open_sample_volume, volume_files

ONE = PhantomSettings(shape=(6, 64, 64), pair_every=3, max_shift_px=2.0, seed=3)
TWO = ONE.model_copy(update={"further_energies_kev": (5.4,), "further_photons": 40000.0})
SAMPLE = Sample(sample="own", source="phantom")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    base = tmp_path_factory.mktemp("phantoms")
    for name, settings in (("one", ONE), ("two", TWO)):
        make_phantom(settings, base / name)
    return base


def test_the_first_scan_and_the_slices_stay_to_the_byte(folder: Path) -> None:
    files = sorted(file for file in (folder / "one").rglob("*.*") if file.is_file() and file.name != "phantom.json")
    assert len(files) == 20
    for file in files:
        assert file.read_bytes() == (folder / "two" / file.relative_to(folder / "one")).read_bytes()


def test_a_further_scan_shows_the_phases_at_its_energy() -> None:
    """Voxels of one phase alone have its attenuation; clay holds voids."""
    truth = build_truth(TWO)
    for scan, energy in ((truth.attenuation, 8.0), (truth.further[0], 5.4)):
        attenuation = phases.attenuation_per_cm(energy)
        for phase in (phases.PORE, phases.QUARTZ, phases.CARBONATE):
            np.testing.assert_allclose(scan[truth.labels == phase], attenuation[phase], rtol=1e-5, atol=1e-6)


def test_a_further_scan_has_noise_of_its_own(folder: Path) -> None:
    """What the rock does not explain has nothing in common."""
    truth = build_truth(TWO)
    truth_of = (truth.attenuation, truth.further[0])
    for scan in truth_of:
        txm.blur_by_psf(scan, TWO.psf_fwhm_nm, TWO.voxel_size_nm)
    description = io.read_json(folder / "two" / "phantom.json")
    scales = description["txm_scale"], description["further_scans"][0]["txm_scale"]
    errors = []
    for name, scale, true in zip(("txm_volume", "txm_volume_2"), scales, truth_of, strict=True):
        stored = io.open_volume(folder / "two" / name).read(0, 6).astype(float) / 65535
        measured = scale["low_per_cm"] + stored * (scale["high_per_cm"] - scale["low_per_cm"])
        # the brightness drifts from slice to slice
        drift = [
            np.vdot(plane, of_rock) / np.vdot(of_rock, of_rock) for plane, of_rock in zip(measured, true, strict=True)
        ]
        errors.append((measured - true * np.array(drift)[:, None, None]).ravel())
    assert abs(np.corrcoef(*errors)[0, 1]) < 0.1
    assert errors[1].std() > 0


def test_finer_fib_sem_pixels_do_not_go_with_further_scans() -> None:
    with pytest.raises(ValueError, match="does not go with further_energies_kev"):
        PhantomSettings(further_energies_kev=(5.4,), super_resolution=2)


def test_its_pairs_and_volume_have_both_scans(folder: Path) -> None:
    pairs = list_pairs(SAMPLE, folder / "two")
    volume = open_sample_volume(SAMPLE, folder / "two")
    assert volume is not None
    assert len(volume.scans) == 2
    for pair in pairs:
        for scan, image in zip(volume.scans, (pair.read_txm(), *pair.read_further()), strict=True):
            assert pair.z is not None
            np.testing.assert_array_equal(scan.read(pair.z, pair.z + 1)[0], image.image)
    assert volume_files(SAMPLE, folder / "two")[1:] == [folder / "two/txm_volume_2"]
    assert volume_files(SAMPLE, folder / "one") == [folder / "one/txm_volume"]
    assert not list_pairs(SAMPLE, folder / "one")[0].further
