"""Planes in and out: dtypes, voxel sizes, compressions, and files that cannot be used."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tifffile
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from txm2sem_core import io
from txm2sem_core.errors import InputError
from txm2sem_core.io import ownership

DTYPES = ["uint8", "uint16", "int16", "float32", "float64"]


def plane(dtype: str = "uint16", shape: tuple[int, ...] = (24, 31)) -> np.ndarray:
    rng = np.random.default_rng(0)
    if np.dtype(dtype).kind == "f":
        return rng.standard_normal(shape).astype(dtype)
    info = np.iinfo(dtype)
    return rng.integers(info.min, info.max, shape, dtype=dtype, endpoint=True)


# --- round trips


@pytest.mark.parametrize("dtype", DTYPES)
def test_pixels_and_dtype_come_back(tmp_path: Path, dtype: str) -> None:
    image = plane(dtype)
    io.write_tiff(tmp_path / "a.tif", image, (4.0, 3.0, 2.0))
    back = io.read_image(tmp_path / "a.tif")
    assert back.dtype == dtype
    np.testing.assert_array_equal(back, image)
    np.testing.assert_array_equal(tifffile.imread(tmp_path / "a.tif"), image)


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_png_keeps_its_depth(tmp_path: Path, dtype: str) -> None:
    image = plane(dtype)
    Image.fromarray(image).save(tmp_path / "a.png")
    back = io.read_image(tmp_path / "a.png")
    assert back.dtype == dtype
    np.testing.assert_array_equal(back, image)


@pytest.mark.parametrize("compression", ["lzw", "zlib", "zstd", "packbits"])
@pytest.mark.parametrize("byteorder", ["<", ">"])
def test_compressed_and_big_endian_files(tmp_path: Path, compression: str, byteorder: str) -> None:
    image = plane()
    tifffile.imwrite(tmp_path / "a.tiff", image, compression=compression, byteorder=byteorder)  # type: ignore[arg-type]
    back = io.read_image(tmp_path / "a.tiff")
    assert back.dtype == np.dtype("uint16")
    assert back.dtype.isnative
    np.testing.assert_array_equal(back, image)


def test_a_tiled_tiff_with_empty_leading_axes_is_one_plane(tmp_path: Path) -> None:
    image = plane(shape=(40, 50))
    tifffile.imwrite(tmp_path / "a.tif", image[None, None], tile=(16, 16))
    np.testing.assert_array_equal(io.read_image(tmp_path / "a.tif"), image)


def test_bilevel_images_become_masks(tmp_path: Path) -> None:
    mask = plane("uint8") > 100
    Image.fromarray(mask).save(tmp_path / "mask.png")
    np.testing.assert_array_equal(io.read_mask(tmp_path / "mask.png"), mask)
    io.write_tiff(tmp_path / "mask.tif", mask.astype(np.uint8) * 7)
    np.testing.assert_array_equal(io.read_mask(tmp_path / "mask.tif"), mask)


def test_the_same_image_gives_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a.tif", "b.tif"):
        io.write_tiff(tmp_path / name, plane(), (1.0, 2.0, 3.0))
    assert (tmp_path / "a.tif").read_bytes() == (tmp_path / "b.tif").read_bytes()


# --- voxel sizes


@given(st.tuples(*[st.floats(0.5, 1e4)] * 3))
def test_voxel_sizes_come_back(tmp_path_factory: pytest.TempPathFactory, size: tuple[float, float, float]) -> None:
    path = tmp_path_factory.mktemp("sizes") / "a.tif"
    io.write_tiff(path, plane("uint8", (3, 4)), size)
    assert io.read_voxel_size_nm(path) == pytest.approx(size, rel=1e-6)


def test_a_size_in_the_plane_alone(tmp_path: Path) -> None:
    io.write_tiff(tmp_path / "a.tif", plane(), (None, 3.0, 2.0))
    assert io.read_voxel_size_nm(tmp_path / "a.tif") == (None, 3.0, 2.0)


@pytest.mark.parametrize("size", [None, (None, None, None), (5.0, None, None)])
def test_an_unknown_size_is_not_invented(tmp_path: Path, size: io.VoxelSize | None) -> None:
    io.write_tiff(tmp_path / "a.tif", plane(), size)
    assert io.read_voxel_size_nm(tmp_path / "a.tif") is None


@pytest.mark.parametrize(
    ("unit", "unit_nm"), [("nm", 1), ("um", 1e3), ("micron", 1e3), ("\\u00B5m", 1e3), ("mm", 1e6), ("nanometer", 1)]
)
def test_sizes_of_imagej(tmp_path: Path, unit: str, unit_nm: float) -> None:
    metadata = {"spacing": 0.5, "unit": unit, "axes": "ZYX"}
    stack = plane(shape=(3, 8, 9))
    tifffile.imwrite(tmp_path / "a.tif", stack, imagej=True, resolution=(1 / 0.25, 1 / 0.125), metadata=metadata)
    expected = (0.5 * unit_nm, 0.125 * unit_nm, 0.25 * unit_nm)
    assert io.read_voxel_size_nm(tmp_path / "a.tif") == pytest.approx(expected)


def imagej_tiff(path: Path, lines: str, pixels: tuple[float, float], unit: str = "NONE", byteorder: str = "<") -> Path:
    """A TIFF with a description of ImageJ's and `pixels` along x and y a unit of the resolution tag."""
    options = {"photometric": "minisblack", "metadata": None, "resolution": pixels, "resolutionunit": unit}
    description = f"ImageJ=1.54f\n{lines}\n".encode("latin-1")
    tifffile.imwrite(path, plane(shape=(3, 8, 9)), description=description, byteorder=byteorder, **options)  # type: ignore[arg-type]
    return path


IMAGEJ_SIZES: dict[str, tuple[str, tuple[float, float], str, io.VoxelSize | None]] = {
    "units of their own": ("unit=um\nyunit=nm\nzunit=mm\nspacing=0.001", (4, 0.004), "NONE", (1000, 250, 250)),
    "zunit alone": ("unit=nm\nzunit=micron\nspacing=0.5", (0.25, 0.5), "NONE", (500, 2, 4)),
    "escaped": ("unit=\\u00B5m\nspacing=0.5", (4, 2), "NONE", (500, 500, 250)),
    "escaped, Greek": ("unit=\\u03bcm\nspacing=0.5", (4, 2), "NONE", (500, 500, 250)),
    "Latin-1": ("unit=\u00b5m\nspacing=0.5", (4, 2), "NONE", (500, 500, 250)),
    "UTF-8 as Latin-1": ("unit=\u00c2\u00b5m\nspacing=0.5", (4, 2), "NONE", (500, 500, 250)),
    "angstrom": ("unit=A\nspacing=20", (0.1, 0.05), "NONE", (2, 2, 1)),
    "angstrom, escaped": ("unit=\\u00C5\nspacing=20", (0.1, 0.05), "NONE", (2, 2, 1)),
    "plural": ("unit=nanometers\nspacing=40", (0.25, 0.5), "NONE", (40, 2, 4)),
    "exponent": ("unit=um\nspacing=4.0E-2", (4, 2), "NONE", (40, 500, 250)),
    "decimal comma": ("unit=um\nspacing=0,04", (4, 2), "NONE", (40, 500, 250)),
    "below zero": ("unit=um\nspacing=-0.04", (4, 2), "NONE", (40, 500, 250)),
    "blanks": ("unit = um\nspacing = 0.04", (4, 2), "NONE", (40, 500, 250)),
    "inch": ("unit=inch\nspacing=1.0E-5", (1e5, 2e5), "INCH", (254, 127, 254)),
    "cm": ("unit=cm\nspacing=4.0E-6", (312500, 625000), "CENTIMETER", (40, 16, 32)),
    "mm": ("unit=mm\nspacing=4.0E-5", (31250, 62500), "NONE", (40, 16, 32)),
    "centimetres with um": ("unit=um\nspacing=0.04", (312500, 625000), "CENTIMETER", (40, 16, 32)),
    "of ours, before": ("unit=nm\nspacing=40", (312500, 625000), "CENTIMETER", (40, 16, 32)),
    "as ImageJ reads it": ("unit=nm\nspacing=40", (0.03125, 0.0625), "CENTIMETER", (40, 16, 32)),
    "no distance": ("unit=um", (4, 2), "NONE", (None, 500, 250)),
    "distance in pixels": ("unit=um\nzunit=pixel\nspacing=1", (4, 2), "NONE", (None, 500, 250)),
    "distance that is no number": ("unit=um\nspacing=unknown", (4, 2), "NONE", (None, 500, 250)),
    "distance beyond all": ("unit=um\nspacing=1e999999999", (4, 2), "NONE", (None, 500, 250)),
    "y in pixels": ("unit=um\nyunit=pixel\nspacing=1", (4, 2), "NONE", None),
    "pixels": ("unit=pixel\nspacing=2", (4, 2), "NONE", None),
    "no unit": ("spacing=2", (4, 2), "NONE", None),
    "megametres": ("unit=Mm\nspacing=2", (4, 2), "NONE", None),
}


@pytest.mark.parametrize("name", IMAGEJ_SIZES)
@pytest.mark.parametrize("byteorder", ["<", ">"])
def test_sizes_as_imagej_writes_them(tmp_path: Path, name: str, byteorder: str) -> None:
    lines, pixels, unit, size = IMAGEJ_SIZES[name]
    path = imagej_tiff(tmp_path / "a.tif", lines, pixels, unit, byteorder)
    assert io.read_voxel_size_nm(path) == size
    assert io.open_volume(path).voxel_size_nm == size


def test_two_units_that_both_make_sense_are_said(tmp_path: Path) -> None:
    path = imagej_tiff(tmp_path / "a.tif", "unit=mm", (1e5, 1e5), "CENTIMETER")
    with pytest.warns(UserWarning, match=r"a\.tif: a pixel is 10 nm .* and 100 nm"):
        assert io.read_voxel_size_nm(path) == (None, 10, 10)


def test_one_pixel_a_micrometre_is_a_size_and_not_a_missing_one(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", plane(), imagej=True, resolution=(1, 1), metadata={"unit": "um"})
    assert io.read_voxel_size_nm(tmp_path / "a.tif") == (None, 1000.0, 1000.0)


def test_imagej_without_a_unit_has_no_size(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", plane(), imagej=True, resolution=(1, 1))
    assert io.read_voxel_size_nm(tmp_path / "a.tif") is None


@pytest.mark.parametrize(("unit", "unit_nm"), [("nm", 1.0), ("µm", 1e3), (None, 1e3)])
def test_sizes_of_ome_tiff(tmp_path: Path, unit: str | None, unit_nm: float) -> None:
    metadata: dict[str, object] = {"axes": "ZYX", "PhysicalSizeX": 0.25, "PhysicalSizeY": 0.5, "PhysicalSizeZ": 2.0}
    metadata |= {} if unit is None else {f"PhysicalSize{axis}Unit": unit for axis in "XYZ"}
    tifffile.imwrite(tmp_path / "a.ome.tif", plane(shape=(3, 8, 9)), metadata=metadata)
    assert io.read_voxel_size_nm(tmp_path / "a.ome.tif") == (2.0 * unit_nm, 0.5 * unit_nm, 0.25 * unit_nm)


def test_every_axis_of_ome_tiff_has_a_unit_of_its_own(tmp_path: Path) -> None:
    metadata = {"axes": "ZYX", "PhysicalSizeX": 320, "PhysicalSizeXUnit": "\u212b", "PhysicalSizeY": 3.2e-5}
    metadata |= {"PhysicalSizeYUnit": "mm", "PhysicalSizeZ": 0.04}
    tifffile.imwrite(tmp_path / "a.ome.tif", plane(shape=(3, 8, 9)), metadata=metadata)
    assert io.read_voxel_size_nm(tmp_path / "a.ome.tif") == (40, 32, 32)


@pytest.mark.parametrize(("unit", "unit_nm"), [("CENTIMETER", 1e7), ("INCH", 2.54e7)])
def test_sizes_of_resolution_tags(tmp_path: Path, unit: str, unit_nm: float) -> None:
    tifffile.imwrite(tmp_path / "a.tif", plane(), resolution=(200_000, 100_000), resolutionunit=unit)
    assert io.read_voxel_size_nm(tmp_path / "a.tif") == pytest.approx((None, unit_nm / 1e5, unit_nm / 2e5))


@pytest.mark.parametrize(("dots", "unit"), [(72, "INCH"), (96, "INCH"), (300, "INCH"), (1, "CENTIMETER"), (1, "NONE")])
def test_dots_for_printing_are_no_voxel_size(tmp_path: Path, dots: int, unit: str) -> None:
    tifffile.imwrite(tmp_path / "a.tif", plane(), resolution=(dots, dots), resolutionunit=unit)
    assert io.read_voxel_size_nm(tmp_path / "a.tif") is None


def test_a_png_says_nothing_of_its_size(tmp_path: Path) -> None:
    Image.fromarray(plane("uint8")).save(tmp_path / "a.png", dpi=(25400, 25400))
    assert io.read_voxel_size_nm(tmp_path / "a.png") is None


# --- folders


def test_images_are_listed_in_natural_order(tmp_path: Path) -> None:
    names = ["s1.tif", "s2.TIF", "s10.tiff", "S11.png"]
    for name in [*reversed(names), ".s3.tif", "notes.txt"]:
        (tmp_path / name).touch()
    assert [file.name for file in io.list_images(tmp_path)] == names


def test_a_folder_without_images(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").touch()
    with pytest.raises(InputError, match="there is no image"):
        io.list_images(tmp_path)
    with pytest.raises(InputError, match="no such folder"):
        io.list_images(tmp_path / "none")


# --- files that cannot be used


def truncated(share: float, **options: object) -> Callable[[Path], None]:
    def make(path: Path) -> None:
        tifffile.imwrite(path, plane(shape=(64, 64)), **options)  # type: ignore[arg-type]
        data = path.read_bytes()
        path.write_bytes(data[: int(len(data) * share)])

    return make


def scrambled(path: Path) -> None:
    tifffile.imwrite(path, plane(shape=(64, 64)), compression="zlib")
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 200] = bytes(200)
    path.write_bytes(data)


def stack_cut_after_a_page(path: Path) -> None:
    """Its one page is whole, but a stack lost its other planes: that must not pass for a plane."""
    io.write_tiff(path, plane(shape=(4, 64, 64)))
    path.write_bytes(path.read_bytes()[: 64 * 64 * 2 + 2000])


UNUSABLE: dict[str, tuple[Callable[[Path], object], str]] = {
    "missing": (lambda p: None, "no such file"),
    "empty": (lambda p: p.touch(), "0 bytes"),
    "text": (lambda p: p.write_text("not an image at all"), "cannot be read"),
    "first 4 bytes": (lambda p: p.write_bytes(b"II*\0"), "damaged"),
    "first 8 bytes": (lambda p: p.write_bytes(b"II*\0\x08\0\0\0"), "no page"),
    "truncated tags": (truncated(0.01), "cannot be read"),
    "truncated": (truncated(0.5), "damaged|cannot be read"),
    "truncated lzw": (truncated(0.5, compression="lzw"), "damaged|cannot be read"),
    "truncated zlib": (truncated(0.5, compression="zlib"), "damaged|cannot be read"),
    "truncated zstd": (truncated(0.9, compression="zstd"), "damaged|cannot be read"),
    "scrambled": (scrambled, "damaged"),
    "cut stack": (stack_cut_after_a_page, "cut short"),
    "colour": (lambda p: tifffile.imwrite(p, plane("uint8", (8, 9, 3)), photometric="rgb"), "colour"),
    "stack": (lambda p: io.write_tiff(p, plane(shape=(3, 8, 9))), "one plane"),
    "NaN": (lambda p: io.write_tiff(p, np.full((4, 4), np.nan, np.float32)), "16 pixels are NaN"),
    "infinite": (lambda p: io.write_tiff(p, np.array([[1, np.inf]], np.float32)), "1 pixels are NaN"),
    "64-bit integers": (lambda p: tifffile.imwrite(p, plane("int64", (8, 9))), "int64"),
    "complex": (lambda p: tifffile.imwrite(p, np.ones((8, 9), np.complex64)), "complex64"),
}


@pytest.mark.parametrize("kind", UNUSABLE)
def test_what_cannot_be_used_is_named(tmp_path: Path, kind: str) -> None:
    make, words = UNUSABLE[kind]
    path = tmp_path / "broken 01.tif"
    make(path)
    with pytest.raises(InputError, match=words) as caught:
        io.read_image(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "LA", "P"])
def test_colour_png(tmp_path: Path, mode: str) -> None:
    Image.new(mode, (8, 9)).save(tmp_path / "a.png")
    with pytest.raises(InputError, match=r"a\.png: a colour image"):
        io.read_image(tmp_path / "a.png")


def test_a_truncated_png(tmp_path: Path) -> None:
    Image.fromarray(plane(shape=(64, 64))).save(tmp_path / "a.png")
    (tmp_path / "a.png").write_bytes((tmp_path / "a.png").read_bytes()[:2000])
    with pytest.raises(InputError, match=r"a\.png: this image cannot be read.*truncated"):
        io.read_image(tmp_path / "a.png")


def test_another_format(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(b"x")
    with pytest.raises(InputError, match=r"\.tif, \.tiff, \.png"):
        io.read_image(tmp_path / "a.jpg")


@given(st.integers(0, 1400), st.sampled_from([None, "zlib"]))
def test_a_file_cut_anywhere_is_refused_and_never_another_error(
    tmp_path_factory: pytest.TempPathFactory, length: int, compression: str | None
) -> None:
    path = tmp_path_factory.mktemp("cut") / "a.tif"
    tifffile.imwrite(path, plane(shape=(24, 31)), compression=compression)  # type: ignore[arg-type]
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(InputError, match=r"a\.tif"):
        io.read_image(path)


# --- writing


def test_a_failed_write_leaves_the_earlier_file_and_nothing_else(tmp_path: Path) -> None:
    target = tmp_path / "a.tif"
    io.write_tiff(target, plane())
    before = target.read_bytes()
    with pytest.raises(KeyError):
        io.write_tiff(target, np.array([["text"]], dtype=object))
    assert target.read_bytes() == before
    assert list(tmp_path.iterdir()) == [target]


def test_atomic_folders_replace_a_folder_that_holds_files(tmp_path: Path) -> None:
    target = tmp_path / "deep" / "folder"
    for text in ("one", "two"):
        with io.atomic_path(target) as temporary:
            temporary.mkdir()
            (temporary / f"{text}.txt").write_text(text)
            assert not target.exists() or (target / "one.txt").exists()
    assert sorted(file.name for file in target.iterdir()) == [ownership.MANIFEST, "two.txt"]
    assert list(target.parent.iterdir()) == [target]


def test_an_atomic_folder_that_fails_leaves_the_earlier_one(tmp_path: Path) -> None:
    target = tmp_path / "folder"
    target.mkdir()
    (target / "old.txt").touch()

    def fail() -> None:
        with io.atomic_path(target) as temporary:
            temporary.mkdir()
            (temporary / "new.txt").touch()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert list(tmp_path.rglob("*.txt")) == [target / "old.txt"]
    assert list(tmp_path.iterdir()) == [target]


def test_the_temporary_file_keeps_the_suffix(tmp_path: Path) -> None:
    with io.atomic_path(tmp_path / "a.ome.zarr") as temporary:
        assert temporary.name.endswith(".ome.zarr")
        assert temporary.parent == tmp_path
        temporary.touch()


def test_a_target_below_a_file_is_a_mistake_of_the_user(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="cannot be made"):
        io.write_tiff(tmp_path / "file" / "a.tif", plane())


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_three_equal_channels_are_one(tmp_path: Path, dtype: str) -> None:
    grey = plane(dtype, (8, 9))
    tifffile.imwrite(tmp_path / "a.tif", np.stack([grey] * 3, axis=-1), photometric="rgb")
    assert io.image_kind(tmp_path / "a.tif") == ((8, 9), np.dtype(dtype))
    np.testing.assert_array_equal(io.read_image(tmp_path / "a.tif"), grey)
    coloured = np.stack([grey, grey, grey[::-1]], axis=-1)
    tifffile.imwrite(tmp_path / "b.tif", coloured, photometric="rgb")
    with pytest.raises(InputError, match=r"b\.tif: a colour image .* channels differ"):
        io.read_image(tmp_path / "b.tif")
