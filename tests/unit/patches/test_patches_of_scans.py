"""Two scans of one rock from raw slices to the patch store: registered by the first, crops and masks for both."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from small_data import blurred, sharp

from txm2sem_core import io
from txm2sem_core.config import DownsampleSettings, PatchesSettings, RegisterSettings, parse_settings
from txm2sem_core.errors import InputError
from txm2sem_core.intensity.measured import Slice
from txm2sem_core.io import PatchStore
from txm2sem_core.patches.downsample import downsample_patches
from txm2sem_core.patches.extract import extract_patches
from txm2sem_core.patches.slices import slices_of_pair
from txm2sem_core.registration import register_pairs
from txm2sem_core.samples.pairs import list_pairs
from txm2sem_core.samples.table import Sample
from txm2sem_core.samples.volume import open_sample_volume

SIZE = (30.0, 30.0, 30.0)
DEPTH, EVERY, SHIFT = 15, 3, (3, 5)  # FIB-SEM slices begin so many pixels further along y and x


@dataclass
class Made:
    """A folder of raw data and what was made of it."""

    folder: Path
    scans: list[np.ndarray]

    def sample(self, **own: str) -> Sample:
        given = {"txm": "txm", "txm_2": "txm_2", "sem": "sem", "txm_volume": "volume", "txm_volume_2": "volume_2"}
        paths = {key: str(self.folder / name) for key, name in (given | own).items()}
        return Sample.model_validate({"sample": "own", "source": "pairs", "pair_z": f"0:{DEPTH}:{EVERY}", **paths})

    def register(self) -> Path:
        """As slices that were registered before."""
        settings = RegisterSettings(transform="none")
        register_pairs(list_pairs(self.sample(), self.folder), settings, self.folder / "registered")
        return self.folder / "registered"

    def index(self) -> pd.DataFrame:
        """Of the registered pairs, by their name."""
        return io.read_csv(self.folder / "registered" / "index.csv").set_index("pair", drop=False)

    def patches(self, **values: Any) -> PatchStore:
        settings = parse_settings(PatchesSettings, "{}", size_px=16, train=12, evaluation_count=4, grid_px=4, **values)
        volume = open_sample_volume(self.sample(), self.folder)
        return extract_patches(self.folder / "registered", volume, settings, SIZE, self.folder / "patches")


@pytest.fixture
def made(tmp_path: Path) -> Made:
    """The second scan is of another rock altogether, 32 bits: nothing that is right by it can be by the first."""
    sem = sharp((DEPTH, 72, 80), 0)
    scans = [blurred(sem), np.random.default_rng(1).normal(5, 2, sem.shape).astype(np.float32)]
    for name, scan in (("", scans[0]), ("_2", scans[1])):
        for z in range(DEPTH):
            io.write_tiff(tmp_path / f"volume{name}" / f"{z:03d}.tif", scan[z], SIZE)
        for z in range(0, DEPTH, EVERY):
            io.write_tiff(tmp_path / f"txm{name}" / f"{z:03d}.tif", scan[z], SIZE)
    for z in range(0, DEPTH, EVERY):
        io.write_tiff(tmp_path / "sem" / f"{z:03d}.tif", sem[z], SIZE)
        io.write_tiff(tmp_path / "shifted" / f"{z:03d}.tif", sem[z, SHIFT[0] :, SHIFT[1] :], SIZE)
    return Made(tmp_path, scans)


def test_a_second_scan_is_cropped_as_the_first_and_leaves_it_as_it_is(made: Made) -> None:
    """All images and digests of a run of one scan, to the byte. Takes 2 s: pairs are sought twice."""
    both, settings = made.sample(sem="shifted"), RegisterSettings(transform="translation")
    pairs = [pair for pair in list_pairs(both, made.folder) if pair.pair in ("000", "006")]
    register_pairs(pairs, settings, made.folder / "registered")
    register_pairs([replace(pair, further=()) for pair in pairs], settings, made.folder / "alone")
    index, alone = made.index(), io.read_csv(made.folder / "alone" / "index.csv").set_index("pair", drop=False)
    assert set(index) - set(alone) == {"txm_2", "txm_2_sha256"}
    assert index[list(alone)].equals(alone)
    for row in index.to_dict("records"):
        crop = slice(row["y0"], row["y1"]), slice(row["x0"], row["x1"])
        assert (crop[0].start, crop[1].start) == pytest.approx(SHIFT, abs=1)
        for kind, scan in (("txm", made.scans[0]), ("txm_2", made.scans[1])):
            np.testing.assert_array_equal(io.read_image(made.folder / "registered" / row[kind]), scan[row["z"]][crop])


def test_the_store_holds_the_slices_of_both_scans(made: Made) -> None:
    made.register()
    store = made.patches(context=0)
    assert store.scans == io.read_patch_store(made.folder / "patches").scans == 2
    for name, pair in io.read_patch_store(made.folder / "patches").pairs.items():
        height, width = pair.sem.shape
        for scan, stored in zip(made.scans, pair.scans, strict=True):
            np.testing.assert_array_equal(stored, scan[None, int(name), :height, :width])
            assert stored.dtype == scan.dtype


def test_a_patch_has_all_slices_of_the_first_scan_then_all_of_the_second(made: Made) -> None:
    """And each scan its own range, from the pixels that count in the training pairs."""
    made.register()
    store = made.patches(context=1, split={"train": 0.4, "validation": 0.3, "test": 0.3})
    row = store.of_split("train").iloc[0]
    patch, pair = store.txm_patch(row.pair, row.y, row.x, 1), store.pairs[row.pair]
    here = (slice(None), slice(row.y, row.y + 16), slice(row.x, row.x + 16))
    np.testing.assert_array_equal(patch, np.concatenate([pair.txm[here], pair.further[0][here]]))
    np.testing.assert_array_equal(store.txm_patch(row.pair, row.y, row.x, 0), patch[[1, 4]])
    np.testing.assert_array_equal(store.txm_slab(row.pair, 1)[here], patch)
    trained = set(store.of_split("train")["pair"])
    own = np.concatenate([store.pairs[name].further[0][1][store.pairs[name].mask > 0] for name in sorted(trained)])
    low, high = np.percentile(own, PatchesSettings().percentiles)
    assert (store.further_ranges[0].low, store.further_ranges[0].high) == pytest.approx((low, high))
    unit = store.slab_range.to_unit(patch)
    np.testing.assert_array_equal(unit[:3], store.txm_range.to_unit(patch[:3].astype(np.uint8)))
    np.testing.assert_array_equal(unit[3:], store.further_ranges[0].to_unit(patch[3:]))
    np.testing.assert_array_equal(store.of_scans(1).txm_patch(row.pair, row.y, row.x, 1), pair.txm[here])


def test_a_sought_plane_cuts_all_scans_alike(made: Made) -> None:
    """A plane that lies in a slice of the volume: its pixels are those of the slices, of both scans."""
    volume = open_sample_volume(made.sample(), made.folder)
    grid = np.array([[1.0, 0, 0, 4], [0, 1, 0, 7], [0, 0, 1, 5]])  # pixel (x, y, n, 1) to voxel (x, y, z)
    here = slice(7, 7 + 20), slice(4, 4 + 30)
    row = pd.DataFrame([{"pair": "000", "grid": io.plane_as_text(grid)}]).itertuples()
    settings = PatchesSettings(context=2)
    stacks, positions = slices_of_pair(made.folder, next(row), Slice(made.scans[0][5][here]), volume, settings, 1.0)
    assert positions == []
    for stack, scan in zip(stacks, made.scans, strict=True):
        for slice_, z in zip(stack, range(3, 8), strict=True):
            np.testing.assert_allclose(slice_.image, scan[z][here], atol=1e-4)


def test_what_a_further_scan_did_not_measure_is_left_out(made: Made) -> None:
    for folder, z in (("txm_2", EVERY), ("volume_2", EVERY)):
        image = made.scans[1][z].copy()
        image[40:50, 40:60] = np.nan
        io.write_tiff(made.folder / folder / f"{z:03d}.tif", image, SIZE)
    made.register()
    row = made.index().loc["003"]
    mask = io.read_mask(made.folder / "registered" / row["mask"])
    expected = np.ones(made.scans[1].shape[1:], dtype=bool)
    expected[40:50, 40:60] = False
    np.testing.assert_array_equal(mask, expected)
    assert isinstance(row["txm_2_measured"], str)
    store = made.patches(context=0)
    height, width = store.pairs["003"].mask.shape
    np.testing.assert_array_equal(store.pairs["003"].mask > 0, mask[:height, :width])
    assert np.isfinite(store.pairs["003"].further[0]).all()


def test_a_second_volume_of_other_slices_is_named(made: Made) -> None:
    made.register()
    for z in range(DEPTH):
        io.write_tiff(made.folder / "volume_2" / f"{z:03d}.tif", made.scans[1][(z + 1) % DEPTH], SIZE)
    with pytest.raises(InputError, match=r"volume_2"):
        made.patches(context=0)


def test_volumes_of_all_scans_are_needed(made: Made) -> None:
    made.register()
    settings = parse_settings(PatchesSettings, "{}", size_px=16, train=12, grid_px=4)
    volume = io.open_volume(made.folder / "volume")
    with pytest.raises(InputError, match="has it in 2 TXM scans, but 1 volumes are given"):
        extract_patches(made.folder / "registered", volume, settings, SIZE, made.folder / "patches")


def test_a_coarser_store_has_the_first_scan_alone(made: Made) -> None:
    made.register()
    made.patches(context=0)
    coarse = downsample_patches(made.folder / "patches", 2, DownsampleSettings(method="area"), made.folder / "x2")
    assert coarse.scans == io.read_patch_store(made.folder / "x2").scans == 1


def test_a_store_whose_scans_do_not_fit_is_refused(made: Made) -> None:
    made.register()
    made.patches(context=0)
    description = io.read_json(made.folder / "patches" / "store.json")
    io.write_json(made.folder / "patches" / "store.json", description | {"further_ranges": []})
    with pytest.raises(InputError, match="do not fit each other"):
        io.read_patch_store(made.folder / "patches")
