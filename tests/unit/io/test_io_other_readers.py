"""What we write is read by ImageJ, ITK, tifffile, imageio and scikit-image with the same pixels and the same size.

ImageJ is asked where Java's compiler and its jar are there: Debian's package `imagej`, or `IJ_JAR=/path/to/ij.jar`.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import imageio.v3
import numpy as np
import pytest
import SimpleITK
import skimage.io
import tifffile
from test_io_images import IMAGEJ_SIZES, imagej_tiff

from txm2sem_core import io
from txm2sem_core.errors import InputError

JAR = Path(os.environ.get("IJ_JAR", "/usr/share/java/ij.jar"))
IMAGEJ = """
import ij.measure.Calibration;
class Ask {
    public static void main(String[] files) {
        for (String file : files) {
            ij.ImagePlus image = new ij.io.Opener().openImage(file);
            if (image == null) { System.out.println("cannot be opened"); continue; }
            Calibration c = image.getCalibration();
            System.out.println(c.pixelWidth + " " + c.getXUnit() + " " + c.pixelHeight + " " + c.getYUnit() + " "
                + c.pixelDepth + " " + c.getZUnit() + " " + image.getStackSize() + " " + image.getNSlices() + " "
                + image.getBitDepth() + " " + image.getStack().getProcessor(image.getStackSize()).getf(3, 2));
        }
    }
}
"""
IMAGEJ_NM = {"µm": 1e3, "μm": 1e3, "micron": 1e3, "nm": 1.0, "nanometers": 1.0, "mm": 1e6, "inch": 2.54e7, "Å": 0.1}


@dataclass(frozen=True)
class Written:
    """A file of ours, and what it holds."""

    path: Path
    array: np.ndarray  # [Y, X] or [Z, Y, X]
    size_nm: io.VoxelSize


def stack(dtype: str, depth: int | None) -> np.ndarray:
    shape = (9, 11) if depth is None else (depth, 9, 11)
    return (np.arange(np.prod(shape)).reshape(shape) * 7 % 251).astype(dtype)


SIZES: list[io.VoxelSize] = [
    (32.0, 32.0, 32.0),
    (40.0, 4.7, 4.7),
    (65.0, 65.0, 65.0),
    (10.0, 16.0, 4.35),
    (500.0, 1234.5, 9876.543),
    (1.0, 0.5, 0.25),
    (50.0, 100 / 3, 2 / 3),
    (None, 65.0, 4.7),
]


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> list[Written]:
    """Planes, stacks and volumes of all sizes and types."""
    folder = tmp_path_factory.mktemp("written")
    files = []
    for number, size in enumerate(SIZES):
        for dtype in ("uint8", "uint16", "float32") if number == 0 else ("uint16",):
            for depth in (None, 1, 5):  # scikit-image takes 3 or 4 slices for channels
                array = stack(dtype, depth)
                path = folder / f"{number} {dtype} {depth}.tif"
                io.write_tiff(path, array, size)
                files.append(Written(path, array, size))
                if depth is not None:
                    path = folder / f"{number} {dtype} {depth} volume.tif"
                    io.write_volume_tiff(path, iter(array), size, depth)
                    files.append(Written(path, array, size))
    return files


def test_we_read_what_we_wrote(written: list[Written]) -> None:
    """To the last digit where sizes have at most two decimals."""
    for file in written:
        found = io.read_voxel_size_nm(file.path) or ()
        for size, expected in zip(found, file.size_nm, strict=True):
            assert size == (expected if expected is None else pytest.approx(expected, rel=1e-9))
        if all(size is None or size == round(size, 2) for size in file.size_nm):
            assert found == file.size_nm


def test_tifffile(written: list[Written]) -> None:
    for file in written:
        with tifffile.TiffFile(file.path) as tiff:
            x, y = tiff.pages.first.get_resolution(tifffile.RESUNIT.MICROMETER)
            assert (1e3 / y, 1e3 / x) == pytest.approx(file.size_nm[1:])
            assert tiff.imagej_metadata is not None
            assert tiff.imagej_metadata["unit"] == "um"
            if file.size_nm[0] is not None:
                assert tiff.imagej_metadata["spacing"] * 1e3 == pytest.approx(file.size_nm[0])
            np.testing.assert_array_equal(tiff.asarray().reshape(file.array.shape), file.array)


def test_itk(written: list[Written]) -> None:
    """ITK's unit is the millimetre; it knows no distance between the pages of a TIFF."""
    for file in written:
        image = SimpleITK.ReadImage(str(file.path))
        assert [1e6 * size for size in image.GetSpacing()[1::-1]] == pytest.approx(file.size_nm[1:])
        np.testing.assert_array_equal(SimpleITK.GetArrayFromImage(image).reshape(file.array.shape), file.array)


def test_imageio_and_scikit_image(written: list[Written]) -> None:
    for file in written:
        tags = imageio.v3.immeta(file.path, plugin="pillow", index=0)
        assert tags["ResolutionUnit"] == 3  # centimetre
        pixels = (float(tags["YResolution"]), float(tags["XResolution"]))
        assert [1e7 / n for n in pixels] == pytest.approx(file.size_nm[1:])
        entries = imageio.v3.immeta(file.path, plugin="tifffile")
        assert entries["unit"] == "um"
        assert entries.get("spacing") == (None if file.size_nm[0] is None else pytest.approx(file.size_nm[0] / 1e3))
        np.testing.assert_array_equal(skimage.io.imread(file.path).reshape(file.array.shape), file.array)


@pytest.fixture
def ask_imagej(tmp_path: Path) -> Callable[[list[Path]], list[list[str]]]:
    """ImageJ's answers on files, as words."""
    if not JAR.is_file():
        pytest.skip(f"no ImageJ at {JAR} (Debian's package imagej, or IJ_JAR)")
    if shutil.which("java") is None or shutil.which("javac") is None:
        pytest.skip("no java and javac")

    def ask(files: list[Path]) -> list[list[str]]:
        (tmp_path / "Ask.java").write_text(IMAGEJ)
        command = ["java", "-Djava.awt.headless=true", "-Dfile.encoding=UTF-8", "-Dstdout.encoding=UTF-8", "-cp"]
        command += [str(JAR), str(tmp_path / "Ask.java"), *map(str, files)]
        answer = subprocess.run(command, capture_output=True, check=True, encoding="utf-8", timeout=300)
        return [line.split() for line in answer.stdout.splitlines()]

    return ask


def test_imagej(written: list[Written], ask_imagej: Callable[[list[Path]], list[list[str]]]) -> None:
    answers = ask_imagej([file.path for file in written])
    for file, answer in zip(written, answers, strict=True):
        x, x_unit, y, y_unit, z, z_unit, pages, slices, bits, last = answer
        z_nm, y_nm, x_nm = file.size_nm
        assert float(x) * IMAGEJ_NM[x_unit] == pytest.approx(x_nm)
        assert float(y) * IMAGEJ_NM[y_unit] == pytest.approx(y_nm)
        if z_nm is None:
            assert z_unit == "pixel"
        else:
            assert float(z) * IMAGEJ_NM[z_unit] == pytest.approx(z_nm)
        depth = 1 if file.array.ndim == 2 else len(file.array)
        assert (int(pages), int(slices), int(bits)) == (depth, depth, 8 * file.array.itemsize)
        assert float(last) == file.array.reshape(depth, 9, 11)[-1, 2, 3]


def test_we_read_imagej_s_units_as_imagej_does(
    tmp_path: Path, ask_imagej: Callable[[list[Path]], list[list[str]]]
) -> None:
    """But for the slips of others, which it does not read: versions of ours before, a comma, a micro sign as bytes."""
    others = ("of ours, before", "decimal comma", "Latin-1", "UTF-8 as Latin-1")
    cases = {name: case for name, case in IMAGEJ_SIZES.items() if case[3] is not None and name not in others}
    files = [imagej_tiff(tmp_path / f"{n}.tif", *case[:3]) for n, case in enumerate(cases.values())]
    for (name, case), answer in zip(cases.items(), ask_imagej(files), strict=True):
        x, x_unit, y, y_unit, z, z_unit, *_ = answer
        z_nm, y_nm, x_nm = case[3] or (None, None, None)
        assert float(x) * IMAGEJ_NM[x_unit] == pytest.approx(x_nm), name
        assert float(y) * IMAGEJ_NM[y_unit] == pytest.approx(y_nm), name
        if z_nm is not None:
            assert float(z) * IMAGEJ_NM[z_unit] == pytest.approx(z_nm), name


def test_a_volume_of_unknown_depth_is_a_bigtiff_and_a_short_one_of_known_depth_is_not(tmp_path: Path) -> None:
    array = stack("uint8", 4)
    for depth, version in ((None, 43), (4, 42), (2**32, 43)):
        io.write_volume_tiff(tmp_path / "v.tif", iter(array), SIZES[0], depth)
        with tifffile.TiffFile(tmp_path / "v.tif") as tiff:
            assert tiff.tiff.version == version


def test_a_size_that_no_tiff_can_hold_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"3\.2e-08 nm cannot be written"):
        io.write_tiff(tmp_path / "a.tif", stack("uint8", None), (32.0, 3.2e-8, 3.2e-8))
    assert list(tmp_path.iterdir()) == []
