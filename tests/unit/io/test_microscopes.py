"""Pixel sizes and data bars that electron microscopes state in tags of their own.

The texts have the layout of files of a Helios NanoLab, a Merlin and a Phenom, with other numbers.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tifffile

from txm2sem_core import io
from txm2sem_core.config import RegisterSettings
from txm2sem_core.registration import register_files
from txm2sem_core.registration.data_bar import Bar, cut_bar
from txm2sem_core.samples.raw_pairs import RawPair

SHAPE = (120, 96)
FEI, FEI_EARLY, THERMO_XML, ZEISS = 34682, 34680, 34683, 34118


def fei(pixel: str = "3.3724e-09", rows: object = 100, columns: object = 96, bar: object = 20) -> str:
    lines = (
        "[User]",
        "UserText=a = b",
        "[Beam]",
        "HV=2000",
        "[Scan]",
        "InternalScan=true",
        f"PixelWidth={pixel}",
        f"PixelHeight={pixel}",
        "[Image]",
        f"ResolutionX={columns}",
        f"ResolutionY={rows}",
        "[PrivateFei]",
        "DataBarSelected=HV curr mag HFW",
        f"DatabarHeight={bar}",
    )
    return "\r\n".join(lines) + "\r\n"


def thermo(columns: int = 96) -> str:
    return (
        '<?xml version="1.0"?><Metadata xmlns:nil="http://schemas.fei.com/Metadata/v1/2013/07"><BinaryResult>'
        f'<ImageSize><X unit="px">{columns}</X><Y unit="px">100</Y></ImageSize><PixelSize>'
        '<X unit="m" unitPrefixPower="1">4.5e-09</X><Y unit="m" unitPrefixPower="1">5e-09</Y></PixelSize>'
        "</BinaryResult></Metadata>"
    )


PHENOM = (
    '<?xml version="1.0"?><FeiImage><databarHeight>16</databarHeight><pixelWidth unit="um">0.0125</pixelWidth>'
    '<pixelHeight unit="um">0.0125</pixelHeight></FeiImage>'
)


def zeiss(*entries: str) -> str:
    return "\r\n".join(["", "0", "0", "2.465245e-08", "6", *entries]) + "\r\n"


PIXEL = ("AP_IMAGE_PIXEL_SIZE", "Image Pixel Size = 12.33 nm")
SCREEN = ("AP_PIXEL_SIZE", "Pixel Size = 24.65 nm")


def written(path: Path, tag: int, text: str, image: np.ndarray | None = None, **options: object) -> Path:
    image = np.zeros(SHAPE, dtype=np.uint8) if image is None else image
    value = text.encode("cp1252")
    tifffile.imwrite(path, image, extratags=[(tag, "s", len(value) + 1, value, True)], metadata=None, **options)  # type: ignore[arg-type]
    return path


STATED = {
    "FEI": (FEI, fei(), 3.3724, 20),
    "FEI, as earlier": (FEI_EARLY, fei(), 3.3724, 20),
    "FEI, without its bar": (FEI, fei(rows=120, bar=""), 3.3724, 0),
    "FEI, of a camera": (FEI, fei(pixel=""), None, 20),
    "FEI, the bar alone": (FEI, fei(rows="", columns=""), 3.3724, 20),
    "FEI, scaled since": (FEI, fei(columns=192), None, 0),
    "FEI, of another shape": (FEI, fei(rows=40), 3.3724, 0),
    "FEI, decimal comma": (FEI, fei(pixel="3,3724e-09"), 3.3724, 20),
    "Thermo": (THERMO_XML, thermo(), 4.5, 20),
    "Thermo, scaled since": (THERMO_XML, thermo(48), None, 0),
    "Phenom": (THERMO_XML, PHENOM, 12.5, 16),
    "XML with entities": (THERMO_XML, PHENOM.replace("<Fei", "<!DOCTYPE a [<!ENTITY b 'c'>]><Fei"), None, 0),
    "no XML": (THERMO_XML, "<FeiImage>", None, 0),
    "Zeiss": (ZEISS, zeiss(*SCREEN, *PIXEL, "DP_IMAGE_STORE", "Store resolution = 96 * 120"), 12.33, 0),
    "Zeiss, micrometres": (ZEISS, zeiss("AP_IMAGE_PIXEL_SIZE", "Image Pixel Size = 2.615 µm"), 2615.0, 0),
    "Zeiss, early": (ZEISS, zeiss(*SCREEN, "AP_WIDTH", "Width = 1.2 µm"), 12.5, 0),
    "Zeiss, bar below": (ZEISS, zeiss(*PIXEL, "DP_IMAGE_STORE", "Store resolution = 96 * 108"), 12.33, 12),
    "Zeiss, scaled since": (ZEISS, zeiss(*PIXEL, "DP_IMAGE_STORE", "Store resolution = 1024 * 768"), None, 0),
    "nothing": (ZEISS, "nothing", None, 0),
}  # fmt: skip


@pytest.mark.parametrize("which", STATED)
def test_pixel_and_bar_are_those_that_the_tag_states(which: str, tmp_path: Path) -> None:
    tag, text, pixel_nm, bar = STATED[which]
    path = written(tmp_path / "a.tif", tag, text)
    size = io.read_voxel_size_nm(path)
    assert (None if size is None else size[2]) == pytest.approx(pixel_nm)
    assert io.read_bar_rows(path) == bar


def test_height_and_width_of_a_pixel_are_kept_apart(tmp_path: Path) -> None:
    assert io.read_voxel_size_nm(written(tmp_path / "a.tif", THERMO_XML, thermo())) == (None, 5.0, 4.5)


def test_what_imagej_has_saved_counts_before_the_tag_and_dots_for_printing_do_not(tmp_path: Path) -> None:
    printed = written(tmp_path / "a.tif", FEI, fei(), resolution=(3000, 3000), resolutionunit="CENTIMETER")
    assert io.read_voxel_size_nm(printed) == (None, 3.3724, 3.3724)
    saved = {"description": "ImageJ=1.54\nunit=um\n", "resolution": (200, 200)}
    assert io.read_voxel_size_nm(written(tmp_path / "b.tif", FEI, fei(), **saved)) == (None, 5.0, 5.0)


@pytest.mark.parametrize("junk", [b"", b"\0", b"\xff\xfe\x00[Scan", b"[Scan]\nPixelWidth=-1\n[Image]\nResolutionY=1e9"])
@pytest.mark.parametrize("tag", [FEI, FEI_EARLY, THERMO_XML, ZEISS])
def test_a_tag_that_says_nothing_harms_nothing(junk: bytes, tag: int, tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, np.ones(SHAPE, np.uint8), extratags=[(tag, "B", len(junk), junk, True)], metadata=None)
    assert (io.read_voxel_size_nm(path), io.read_bar_rows(path)) == (None, 0)
    assert io.read_image(path).all()


def rock(shape: tuple[int, int]) -> np.ndarray:
    from scipy import ndimage

    scene = ndimage.gaussian_filter(np.random.default_rng(5).normal(size=shape), 2.5)
    return np.rint(30 + 180 * (scene - scene.min()) / np.ptp(scene)).astype(np.uint8)


def test_a_stated_bar_is_cut_whatever_it_shows_and_what_is_left_is_looked_at(tmp_path: Path) -> None:
    image = rock(SHAPE)
    image[92:100] = np.where(np.arange(96) % 5 == 0, 0, 255)  # a line of text above it
    pair = RawPair("0", 0, tmp_path / "a.tif", written(tmp_path / "a.tif", FEI, fei(), image))
    sem, bar = cut_bar(pair.read_sem())
    assert bar == Bar(0, 28, 20)
    assert sem.mask[:92].all()
    assert not sem.mask[92:].any()
    given = replace(pair.read_sem(), given=np.ones(SHAPE, dtype=bool))
    assert cut_bar(given) == (given, Bar())  # the user's mask stands in its place


def test_a_slice_of_a_microscope_is_registered_by_its_tag_and_its_bar_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    scene = rock((200, 192))
    io.write_tiff(tmp_path / "txm.tif", scene.reshape(100, 2, 96, 2).mean((1, 3)).astype(np.uint8), (None, 20.0, 20.0))
    unlike = np.random.default_rng(1).integers(0, 256, (24, 192)).astype(np.uint8)  # no two grey levels: not detected
    text = fei("10e-9", rows=200, columns=192, bar=24)
    sem = written(tmp_path / "sem.tif", FEI, text, np.vstack([scene, unlike]))
    assert RawPair("0", 0, tmp_path / "txm.tif", sem).stated_scale == pytest.approx(0.5)
    found = register_files(tmp_path / "txm.tif", sem, tmp_path / "out", RegisterSettings(transform="similarity"))
    assert found.scale == pytest.approx(0.5, rel=0.01)
    assert "24 rows of data bar or empty border cut off at the bottom (24 of them a data bar" in capsys.readouterr().err
    assert io.read_json(tmp_path / "out" / "transform.json")["crop"]["y1"] >= 98
