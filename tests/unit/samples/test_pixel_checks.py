"""What the pixels of a sample's own images rule out before a job has run; and that what is right is let through."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from small_data import blurred, sharp

from txm2sem_core import io
from txm2sem_core.config import load_config
from txm2sem_core.errors import ConfigError, InputError
from txm2sem_core.samples.pixel_checks import check_pixels
from txm2sem_core.samples.preflight import check_file
from txm2sem_core.samples.slice_position import position_in_plane
from txm2sem_core.samples.table import Sample

Images = NDArray[Any]


def written(folder: Path, images: Images) -> str:
    for number, image in enumerate(images):
        io.write_tiff(folder / f"{number:03d}.tif", image)
    return str(folder)


def sample(folder: Path, sem: Images, txm: Images | None = None, volume: Images | None = None, **own: str) -> Sample:
    """Pairs at z = 0, 2, 4, ... of a volume twice as deep."""
    deep = np.repeat(blurred(sem), 2, axis=0) if volume is None else volume
    txm = deep[::2] if txm is None else txm
    columns = {"txm": written(folder / "txm", txm), "sem": written(folder / "sem", sem)}
    columns |= {"txm_volume": written(folder / "volume", deep), "pair_z": f"0:{len(deep)}:2"}
    return Sample(sample="shale", source="pairs", **columns, **own)


def warnings_of(chosen: Sample, measure: dict[str, Any] | None = None, **train: Any) -> list[str]:
    values = {"measure": measure or {}, "variants": {"net": {"family": "feedforward"}}, "train": train}
    return check_pixels(load_config(values), chosen, Path("raw"))


def grey(dtype: type = np.uint8) -> Images:
    return sharp((4, 48, 56), 1, dtype)


def three_levels() -> Images:
    return (80 * np.digitize(grey(), [60, 150]) + 40).astype(np.uint8)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_grey_levels_of_a_microscope_are_let_through(tmp_path: Path, dtype: type) -> None:
    chosen = sample(tmp_path, grey(dtype))
    assert warnings_of(chosen) == []
    top = int(grey(dtype).max())
    assert warnings_of(chosen, {"thresholds": [top // 2, top]}) == []  # a phase that one sample lacks is no fault
    assert warnings_of(chosen, {"data_range": float(np.iinfo(dtype).max)}) == []


def test_fewer_levels_than_phases_are_refused_with_a_number_that_does(tmp_path: Path) -> None:
    chosen = sample(tmp_path, three_levels())
    with pytest.raises(ConfigError, match=r"measure.phases: 4 .*hold 3 \(40, 120, 200\).*sem/000.tif.*phases to 3"):
        warnings_of(chosen)
    assert warnings_of(chosen, {"phases": 3}) == []
    assert warnings_of(chosen, {"thresholds": [80, 160]}) == []
    assert warnings_of(chosen.model_copy(update={"txm_volume": None, "pair_z": None})) == []  # no volume is segmented
    with pytest.raises(ConfigError, match=r"variants.net.select: the pores of best_porosity need 4 .*best_psnr"):
        warnings_of(chosen, {"phases": 3}, select="best_porosity")


@pytest.mark.parametrize(
    ("dtype", "thresholds", "words"),
    [
        (np.uint8, [12000.0, 25000.0], r"12000 separates no grey levels .*uint8 \(0 to 255\)"),
        (np.uint8, [-5.0, 100.0], "-5 separates no grey levels"),
        (np.uint16, [60000.0, 65000.0], "separate nothing: .* of one phase"),
        (np.float32, [0.5, 0.7], "separate nothing: .* of one phase"),
    ],
)
def test_thresholds_outside_the_grey_levels_are_refused(
    tmp_path: Path, dtype: type, thresholds: list[float], words: str
) -> None:
    images: Images = grey(np.uint16 if dtype == np.uint16 else np.uint8).astype(dtype)
    with pytest.raises(ConfigError, match=f"measure.thresholds: .*{words}"):
        warnings_of(sample(tmp_path, images), {"thresholds": thresholds})


def test_a_data_range_that_cannot_be_is_refused_and_a_wide_one_reported(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"measure.data_range: 65535 is more than .* can span, which are uint8"):
        warnings_of(sample(tmp_path / "a", grey()), {"data_range": 65535})
    with pytest.raises(ConfigError, match=r"measure.data_range: 255 does not hold .*Set it to auto"):
        warnings_of(sample(tmp_path / "b", grey(np.uint16)), {"data_range": 255})
    labels = sample(tmp_path / "c", (three_levels() // 80 + 1).astype(np.uint8))
    (warning,) = warnings_of(labels, {"phases": 3})
    assert "3 grey levels, 1 to 3, and measure.data_range = auto, which is 255" in warning
    assert warnings_of(labels, {"phases": 3, "data_range": 2}) == []  # what it says


def test_label_images_are_looked_into(tmp_path: Path) -> None:
    folder, sem = tmp_path / "labels", grey()
    io.write_tiff(folder / "001.tif", np.digitize(sem[1], [50, 100, 150]).astype(np.uint8) + 1)
    chosen = sample(tmp_path, sem, labels=str(folder))
    assert warnings_of(chosen, {"segmentation": "labels"}) == []
    with pytest.raises(ConfigError, match=r"labels: .*001.tif holds uint8 values from 1 to 4; with measure.phases = 2"):
        warnings_of(chosen, {"segmentation": "labels", "phases": 2})
    with pytest.raises(ConfigError, match=r"labels: no pixel has the label 5, but measure.phases is 5"):
        warnings_of(chosen, {"segmentation": "forest", "phases": 5})
    io.write_tiff(folder / "001.tif", np.ones((9, 9), np.uint8), overwrite=True)
    with pytest.raises(ConfigError, match=r"001.tif is \(9, 9\) and .*001.tif is \(48, 56\)"):
        warnings_of(chosen, {"segmentation": "labels"})


def test_cropped_slices_are_found_in_their_plane_and_the_remedies_help(tmp_path: Path) -> None:
    sem, volume = grey(), sharp((8, 48, 56), 2)
    whole, cropped = volume[::2], volume[::2, 5:41, 8:48]
    chosen = sample(tmp_path / "a", sem[:, 5:41, 8:48], cropped, volume)
    with pytest.raises(
        InputError, match=r"36 x 40 pixels, and slice z = 0 of .* 48 x 56 .*y = 5 to 40 and x = 8 to 47"
    ):
        warnings_of(chosen)
    assert warnings_of(sample(tmp_path / "b", sem[:, 5:41, 8:48], whole, volume)) == []
    assert warnings_of(sample(tmp_path / "c", sem[:, 5:41, 8:48], cropped, volume[:, 5:41, 8:48])) == []
    assert (
        warnings_of(sample(tmp_path / "d", sem[:, :30, :40], volume[::2, :30, :40], volume)) == []
    )  # its upper left corner
    (warning,) = warnings_of(sample(tmp_path / "e", sem[:, :30, :40], sharp((4, 30, 40), 9), volume))
    assert "found neither there nor elsewhere" in warning


def test_what_is_no_part_of_a_plane_is_not_placed() -> None:
    plane = sharp((1, 30, 40), 3)[0]
    found = position_in_plane(plane[4:20, 6:30], plane)
    assert found is not None
    assert found == pytest.approx((4, 6, 1))
    assert position_in_plane(np.pad(plane, 2), plane) is None
    assert position_in_plane(np.full((9, 9), 7, np.uint8), plane) is None
    assert position_in_plane(sharp((1, 20, 20), 8)[0], plane) is None


def test_the_command_check_looks_at_pixels_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    chosen = sample(tmp_path, three_levels())
    monkeypatch.chdir(tmp_path)
    row = {key: value for key, value in chosen.model_dump().items() if value is not None} | {
        "voxel_size_nm": "32,32,32"
    }
    Path("s.tsv").write_text("\t".join(row) + "\n" + "\t".join(map(str, row.values())) + "\n")
    Path("f.yaml").write_text("{}\n")
    text = "samples: s.tsv\nfigures: f.yaml\npatches: {size_px: 32}\n"
    text += "variants: {a: {family: baseline, generator: {name: constant}}}\n"
    Path("c.yaml").write_text(text)
    with pytest.raises(ConfigError, match=r"measure\.phases: 4 phases need 4 different grey levels"):
        check_file(Path("c.yaml"))
    Path("c.yaml").write_text(text + "measure: {phases: 3}\n")
    assert "in order. 1 samples" in check_file(Path("c.yaml"))
