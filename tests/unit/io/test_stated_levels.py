"""What files state of their grey levels and of how these lie is honoured, or refused by name."""

from __future__ import annotations

import base64
import json
import struct
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import tifffile
import zarr
from PIL import Image

from txm2sem_core import io
from txm2sem_core.errors import InputError

VOLUME = np.random.default_rng(0).integers(100, 4000, (3, 20, 30)).astype(np.uint16)
SIGNED = (VOLUME.astype(int) - 2000).astype(np.int16)
CURVE = "cf=1\nc0=1.0\nc1=2.0\nc2=3.0\n"


def imagej(path: Path, stored: np.ndarray, lines: str, **options: Any) -> Path:
    """As ImageJ writes it: big-endian, the calibration in the description."""
    description = f"ImageJ=1.53t\nimages={len(stored)}\nslices={len(stored)}\n{lines}"
    options = {"photometric": "minisblack", "byteorder": ">"} | options
    tifffile.imwrite(path, stored, description=description, metadata=None, **options)
    return path


def first_slice(path: Path, folder: Path) -> tuple[np.ndarray, io.Volume]:
    """The same first slice as an image, and as a folder of slices."""
    folder.mkdir()
    (folder / "s0.tif").write_bytes(path.read_bytes())
    return io.read_image(path), io.open_volume(folder)


@pytest.mark.parametrize("compression", [None, "zlib"])  # read at once, and page by page
def test_a_16_bit_image_of_imagej_has_its_sign(tmp_path: Path, compression: str | None) -> None:
    stored, lines = (SIGNED.astype(int) + 32768).astype(np.uint16), "cf=0\nc0=-32768.0\nc1=1.0\nvunit=gray value\n"
    volume = io.open_volume(imagej(tmp_path / "v.tif", stored, lines, compression=compression))
    assert volume.dtype == volume.read(1, 3).dtype == np.int16
    np.testing.assert_array_equal(volume.read(1, 3), SIGNED[1:])
    image, folder = first_slice(imagej(tmp_path / "a.tif", stored[:1], lines), tmp_path / "folder")
    assert image.dtype == folder.dtype == np.int16
    np.testing.assert_array_equal(image, SIGNED[0])
    np.testing.assert_array_equal(folder.read(0, 1), SIGNED[:1])


def test_a_straight_line_of_imagej_gives_its_grey_levels(tmp_path: Path) -> None:
    volume = io.open_volume(imagej(tmp_path / "v.tif", VOLUME, "cf=0\nc0=-1.5\nc1=0.002\nvunit=1/cm\n"))
    assert volume.dtype == np.float32
    np.testing.assert_allclose(volume.read(0, 3), -1.5 + 0.002 * VOLUME, atol=1e-6)


@pytest.mark.parametrize(
    "lines", ["", "cf=0\nc0=0.0\nc1=1.0\n", "cf=20\n", "cf=0\nc0=x\nc1=1\n", "cf=0\nc0=1\nc1=nan\n"]
)
def test_no_calibration_leaves_what_is_stored(tmp_path: Path, lines: str) -> None:
    volume = io.open_volume(imagej(tmp_path / "v.tif", VOLUME, lines))
    assert volume.dtype == np.uint16
    np.testing.assert_array_equal(volume.read(0, 3), VOLUME)


@pytest.mark.parametrize(
    ("lines", "photometric", "names"),
    [
        (CURVE, "minisblack", "cf=1"),
        ("cf=21\n", "minisblack", "cf=21"),
        ("cf=0\nc0=255\nc1=-1\n", "miniswhite", "zero is white"),
    ],
)
def test_other_calibrations_are_refused(tmp_path: Path, lines: str, photometric: str, names: str) -> None:
    path = imagej(tmp_path / "v.tif", VOLUME[:1], lines, photometric=photometric)
    for read in (io.open_volume, io.read_image, io.image_kind):
        with pytest.raises(InputError, match=rf"v\.tif: .*{names}.* the function None"):
            read(path)


@pytest.mark.parametrize("orientation", [2, 3, 6])
def test_an_image_that_is_to_be_turned_is_refused(tmp_path: Path, orientation: int) -> None:
    tifffile.imwrite(tmp_path / "a.tif", VOLUME[0], extratags=[(274, 3, 1, orientation, True)])
    exif = Image.Exif()
    exif[274] = orientation
    Image.fromarray(VOLUME[0]).save(tmp_path / "a.png", exif=exif)
    for read in (io.read_image, io.open_volume):
        for name in ("a.tif", "a.png"):
            with pytest.raises(InputError, match=rf"{name}: .*Orientation \({orientation}\)"):
                read(tmp_path / name)
    tifffile.imwrite(tmp_path / "upright.tif", VOLUME[0], extratags=[(274, 3, 1, 1, True)])
    np.testing.assert_array_equal(io.read_image(tmp_path / "upright.tif"), VOLUME[0])


def test_a_value_that_means_missing_in_a_tiff_is_refused(tmp_path: Path) -> None:
    for text in ("-9999", "nan"):
        tifffile.imwrite(tmp_path / f"{text}.tif", VOLUME[0].astype(np.float32), extratags=[(42113, 2, 0, text, True)])
    with pytest.raises(InputError, match=r"GDAL_NODATA = -9999 .*NaN there"):
        io.read_image(tmp_path / "-9999.tif")
    np.testing.assert_array_equal(io.read_image(tmp_path / "nan.tif"), VOLUME[0])


def hdf5(path: Path, array: np.ndarray, attributes: dict[str, Any], labels: str = "") -> Path:
    with h5py.File(path, "w") as file:
        data = file.create_dataset("v", data=array)
        data.attrs.update(attributes)
        for dimension, label in zip(data.dims, labels, strict=False):
            dimension.label = label
    return path


def zarr_array(path: Path, array: np.ndarray, attributes: dict[str, Any]) -> Path:
    made = zarr.create_array(
        path, shape=array.shape, dtype=array.dtype, chunks=(2, 8, 8), dimension_names=["z", "y", "x"]
    )
    made[:] = array
    made.attrs.update(attributes)
    return path


WRITERS = {"v.h5": hdf5, "v.zarr": zarr_array}


@pytest.mark.parametrize("name", WRITERS)
def test_a_value_that_means_missing_becomes_nan(tmp_path: Path, name: str) -> None:
    missing = VOLUME > 3000
    stored = np.where(missing, -999.0, VOLUME).astype(np.float32)
    volume = io.open_volume(WRITERS[name](tmp_path / name, stored, {"_FillValue": -999.0}))
    np.testing.assert_array_equal(volume.read(0, 3), np.where(missing, np.nan, VOLUME))


@pytest.mark.parametrize("name", WRITERS)
def test_nan_as_that_value_changes_nothing(tmp_path: Path, name: str) -> None:
    as_xarray_writes = base64.b64encode(struct.pack("<d", np.nan)).decode()
    value = as_xarray_writes if name == "v.zarr" else np.array([np.nan], np.float32)
    attributes = {"_FillValue": value, "scale_factor": 1, "add_offset": 0.0}
    volume = io.open_volume(WRITERS[name](tmp_path / name, VOLUME.astype(np.float32), attributes))
    np.testing.assert_array_equal(volume.read(0, 3), VOLUME)


@pytest.mark.parametrize("name", WRITERS)
@pytest.mark.parametrize(
    ("attributes", "names"),
    [
        ({"_FillValue": 65535}, "_FillValue = 65535 .*mask of what was measured"),
        ({"missing_value": 0}, "missing_value = 0"),
        ({"scale_factor": 0.5}, "scale_factor = 0.5 and add_offset = 0"),
        ({"add_offset": -100.0}, "add_offset = -100"),
    ],
)
def test_other_grey_levels_than_stored_are_refused(
    tmp_path: Path, name: str, attributes: dict[str, Any], names: str
) -> None:
    with pytest.raises(InputError, match=names):
        io.open_volume(WRITERS[name](tmp_path / name, VOLUME, attributes))


def test_axes_that_are_named_in_another_order_are_refused(tmp_path: Path) -> None:
    turned = VOLUME.transpose(2, 1, 0)
    tags = json.dumps({"axes": [{"key": key} for key in "xyz"]})
    for path in (hdf5(tmp_path / "a.h5", turned, {}, "xyz"), hdf5(tmp_path / "b.h5", turned, {"axistags": tags})):
        with pytest.raises(InputError, match=r"axes are x, y, z as they are stored"):
            io.open_volume(path)
    for number, labels in enumerate(("zyx", "", "abc")):
        volume = io.open_volume(hdf5(tmp_path / f"{number}.h5", VOLUME, {"axistags": "{"}, labels))
        np.testing.assert_array_equal(volume.read(0, 3), VOLUME)
