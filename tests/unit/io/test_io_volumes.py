"""Volumes read slab by slab from three kinds of storage, and OME-Zarr against a plain pyramid of means."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from txm2sem_core import io
from txm2sem_core.errors import InputError
from txm2sem_core.io.volumes import Volume

SIZE_NM = (40.0, 20.0, 10.0)


def stack(dtype: str = "uint16", shape: tuple[int, ...] = (7, 20, 30)) -> np.ndarray:
    rng = np.random.default_rng(0)
    return (rng.random(shape) * (1 if dtype.startswith("float") else np.iinfo(dtype).max)).astype(dtype)


def write(kind: str, path: Path, array: np.ndarray) -> Path:
    if kind == "tiff":
        io.write_tiff(path / "v.tif", array, SIZE_NM)
        return path / "v.tif"
    if kind == "bigtiff":
        io.write_volume_tiff(path / "v.tif", iter(array), SIZE_NM)
        return path / "v.tif"
    if kind == "one page":  # as ImageJ stores large stacks
        metadata = {"spacing": SIZE_NM[0], "unit": "nm"}
        resolution = (1 / SIZE_NM[2], 1 / SIZE_NM[1])
        tifffile.imwrite(path / "v.tif", array, imagej=True, resolution=resolution, metadata=metadata)
        return path / "v.tif"
    if kind == "folder":
        for z, plane in enumerate(array):
            io.write_tiff(path / "slices" / f"s{z + 5}.tif", plane, SIZE_NM)
        return path / "slices"
    io.write_ome_zarr(path / "v.ome.zarr", iter(array), array.shape, array.dtype, SIZE_NM)  # type: ignore[arg-type]
    return path / "v.ome.zarr"


KINDS = ["tiff", "bigtiff", "one page", "folder", "zarr"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
def test_every_storage_gives_back_voxels_dtype_and_size(tmp_path: Path, kind: str, dtype: str) -> None:
    array = stack(dtype)
    volume = io.open_volume(write(kind, tmp_path, array))
    assert (volume.shape, volume.dtype, volume.voxel_size_nm) == (array.shape, np.dtype(dtype), SIZE_NM)
    np.testing.assert_array_equal(volume.read(0, 7), array)
    np.testing.assert_array_equal(volume.read(2, 4), array[2:4])
    np.testing.assert_array_equal(np.stack(list(volume.slices())), array)


@pytest.mark.parametrize("kind", KINDS)
def test_slices_outside_the_volume(tmp_path: Path, kind: str) -> None:
    volume = io.open_volume(write(kind, tmp_path, stack("uint8")))
    for z0, z1 in ((0, 8), (-1, 2), (3, 3)):
        with pytest.raises(InputError, match="axis z"):
            volume.read(z0, z1)


@pytest.mark.parametrize("shape", [(1, 20, 30), (3, 20, 30), (5, 20, 3), (4, 3, 4), (2, 1, 9)])
def test_thin_and_narrow_stacks_keep_their_shape(tmp_path: Path, shape: tuple[int, ...]) -> None:
    array = stack("uint8", shape)
    volume = io.open_volume(write("tiff", tmp_path, array))
    assert volume.shape == shape
    np.testing.assert_array_equal(volume.read(0, shape[0]), array)


def test_big_endian_stack(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "v.tif", stack(), byteorder=">", compression="lzw")
    volume = io.open_volume(tmp_path / "v.tif")
    assert volume.dtype.isnative
    np.testing.assert_array_equal(volume.read(1, 6), stack()[1:6])


def test_slices_of_a_folder_stand_in_natural_order(tmp_path: Path) -> None:
    array = stack(shape=(12, 4, 5))
    for z, plane in enumerate(array):
        Image.fromarray(plane).save(tmp_path / f"slice{z}.png")
    np.testing.assert_array_equal(io.open_volume(tmp_path).read(0, 12), array)


@pytest.mark.parametrize("other", [np.zeros((4, 6), np.uint16), np.zeros((4, 5), np.uint8)])
def test_a_slice_that_differs_is_named(tmp_path: Path, other: np.ndarray) -> None:
    for name, plane in (("s1.tif", stack(shape=(4, 5))), ("s2.tif", stack(shape=(4, 5))), ("s10.tif", other)):
        io.write_tiff(tmp_path / name, plane)
    with pytest.raises(InputError, match=r"s10\.tif.*s1\.tif"):
        io.open_volume(tmp_path)


def test_a_slice_of_another_pixel_size_is_said(tmp_path: Path) -> None:
    for name, size in (("s9.tif", (40, 20, 10)), ("s10.tif", (40, 20.1, 10)), ("s11.tif", None), ("s12.tif", SIZE_NM)):
        io.write_tiff(tmp_path / name, stack(shape=(4, 5)), size)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert io.open_volume(tmp_path).voxel_size_nm == SIZE_NM
    io.write_tiff(tmp_path / "s13.tif", stack(shape=(4, 5)), (40, 20, 15))
    with pytest.warns(UserWarning, match=r"s13\.tif: .*\(40.0, 20.0, 15.0\) nm .*s9\.tif says \(40.0, 20.0, 10.0\)"):
        assert io.open_volume(tmp_path).voxel_size_nm == SIZE_NM


def test_a_single_image_is_a_volume_of_one_slice(tmp_path: Path) -> None:
    Image.fromarray(stack(shape=(4, 5))).save(tmp_path / "a.png")
    assert io.open_volume(tmp_path / "a.png").shape == (1, 4, 5)


@pytest.mark.parametrize("planar", ["contig", "separate"])
def test_a_colour_stack_is_refused(tmp_path: Path, planar: str) -> None:
    image = stack("uint8", (30, 40, 3) if planar == "contig" else (3, 30, 40))
    tifffile.imwrite(tmp_path / "v.tif", image, photometric="rgb", planarconfig=planar)
    with pytest.raises(InputError, match=r"v\.tif: a colour image.*a grey stack"):
        io.open_volume(tmp_path / "v.tif")


@pytest.mark.parametrize("share", [0.01, 0.2, 0.5, 0.9])
def test_a_stack_that_was_cut_short_is_refused_and_not_taken_for_a_shallower_one(tmp_path: Path, share: float) -> None:
    path = write("tiff", tmp_path, stack())
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(InputError, match=r"v\.tif"):
        io.open_volume(path).read(0, 7)


@pytest.mark.parametrize("kind", ["tiff", "zarr"])
def test_an_infinite_voxel_is_found_when_it_is_read(tmp_path: Path, kind: str) -> None:
    array = stack("float32")
    array[4, 2, 3] = np.inf
    volume = io.open_volume(write(kind, tmp_path, array))
    volume.read(0, 4)
    with pytest.raises(InputError, match="slices 4 to 5 hold 1 infinite voxels"):
        volume.read(4, 6)


def test_what_is_no_volume(tmp_path: Path) -> None:
    (tmp_path / "a.txt").touch()
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty.tif").touch()
    (tmp_path / "broken.zarr").mkdir()
    (tmp_path / "broken.zarr" / "zarr.json").write_text("{")
    for name, words in (
        ("none.tif", "no such file or folder"),
        ("a.txt", "a volume is"),
        ("empty", "no image"),
        ("empty.tif", "0 bytes"),
        ("broken.zarr", "not a readable OME-Zarr"),
    ):
        with pytest.raises(InputError, match=words) as caught:
            io.open_volume(tmp_path / name)
        assert name in str(caught.value)


# --- OME-Zarr


def halves(array: np.ndarray) -> np.ndarray:
    """Second implementation: the mean of each 2 x 2 x 2 block, of those voxels that it has."""
    out = np.zeros([-(-n // 2) for n in array.shape])
    for place in np.ndindex(out.shape):
        # an odd last plane counts twice, which is the mean of the block without it
        out[place] = array[tuple(slice(2 * i, 2 * i + 2) for i in place)].astype(float).mean()
    return out


def test_pyramid_values_scales_and_translations(tmp_path: Path) -> None:
    array = stack("uint16", (5, 5, 600))
    io.write_ome_zarr(tmp_path / "v.ome.zarr", iter(array), array.shape, array.dtype, SIZE_NM)  # type: ignore[arg-type]
    group = zarr.open_group(tmp_path / "v.ome.zarr", mode="r")
    multiscale = group.attrs["ome"]["multiscales"][0]  # type: ignore[index, call-overload]
    assert group.attrs["ome"]["version"] == "0.5"  # type: ignore[index, call-overload]
    assert [axis["name"] for axis in multiscale["axes"]] == ["z", "y", "x"]
    assert {axis["unit"] for axis in multiscale["axes"]} == {"nanometer"}
    assert multiscale["name"] == "v"
    expected = array
    for level, dataset in enumerate(multiscale["datasets"]):
        values = np.asarray(group[dataset["path"]])
        assert values.dtype == np.uint16
        np.testing.assert_allclose(values, expected, atol=0.5 * level)  # each level is rounded
        scale, translation = (entry[entry["type"]] for entry in dataset["coordinateTransformations"])
        factor = 2**level
        assert scale == [size * factor for size in SIZE_NM]
        # a voxel of the level stands in the middle of the voxels that it is the mean of
        assert translation == [size * np.arange(factor).mean() for size in SIZE_NM]
        expected = halves(values)
    assert level == 2


def test_an_axis_of_one_voxel_keeps_its_size_in_the_pyramid(tmp_path: Path) -> None:
    array = stack("uint8", (1, 300, 300))
    io.write_ome_zarr(tmp_path / "v.ome.zarr", iter(array), array.shape, array.dtype, SIZE_NM)  # type: ignore[arg-type]
    multiscale = zarr.open_group(tmp_path / "v.ome.zarr").attrs["ome"]["multiscales"][0]  # type: ignore[index, call-overload]
    assert [d["coordinateTransformations"][0]["scale"] for d in multiscale["datasets"]] == [[40, 20, 10], [40, 40, 20]]


@settings(max_examples=25)
@given(st.integers(1, 40), st.integers(1, 9), st.integers(1, 9))
def test_volumes_of_any_shape_come_back(
    tmp_path_factory: pytest.TempPathFactory, depth: int, height: int, width: int
) -> None:
    array = stack("uint8", (depth, height, width))
    path = tmp_path_factory.mktemp("zarr") / "v.ome.zarr"
    io.write_ome_zarr(path, iter(array), (depth, height, width), np.uint8, None)
    np.testing.assert_array_equal(io.open_volume(path).read(0, depth), array)


def test_an_unknown_voxel_size_has_no_unit(tmp_path: Path) -> None:
    for size, units in ((None, [None] * 3), ((None, 3.0, 2.0), [None, "nanometer", "nanometer"])):
        path = tmp_path / f"{size is None}.ome.zarr"
        io.write_ome_zarr(path, iter(stack()), (7, 20, 30), np.uint16, size)
        multiscale = zarr.open_group(path).attrs["ome"]["multiscales"][0]  # type: ignore[index, call-overload]
        assert [axis.get("unit") for axis in multiscale["axes"]] == units
        assert io.open_volume(path).voxel_size_nm == (size or (None, None, None))


@pytest.mark.parametrize(("unit", "unit_nm"), [("micrometer", 1e3), ("angstrom", 0.1)])
def test_ome_zarr_0_4_of_another_program(tmp_path: Path, unit: str, unit_nm: float) -> None:
    group = zarr.create_group(tmp_path / "v.zarr", zarr_format=2)
    group.create_array("scale0", data=stack())
    transform = [{"type": "scale", "scale": [4.0, 2.0, 1.0]}]
    axes = [{"name": axis, "type": "space", "unit": unit} for axis in "zyx"]
    group.attrs["multiscales"] = [
        {"version": "0.4", "axes": axes, "datasets": [{"path": "scale0", "coordinateTransformations": transform}]}
    ]
    volume = io.open_volume(tmp_path / "v.zarr")
    assert volume.voxel_size_nm == (4 * unit_nm, 2 * unit_nm, unit_nm)
    np.testing.assert_array_equal(volume.read(1, 3), stack()[1:3])


def test_a_zarr_without_ome_metadata_or_with_more_axes_is_refused(tmp_path: Path) -> None:
    zarr.create_group(tmp_path / "plain.zarr").create_array("0", data=stack())
    with pytest.raises(InputError, match=r"plain\.zarr: this is not a readable OME-Zarr"):
        io.open_volume(tmp_path / "plain.zarr")
    group = zarr.create_group(tmp_path / "5d.zarr")
    group.create_array("0", data=stack()[None, None])
    group.attrs["ome"] = {"version": "0.5", "multiscales": [{"datasets": [{"path": "0"}]}]}
    with pytest.raises(InputError, match="axes z, y, x"):
        io.open_volume(tmp_path / "5d.zarr")


# --- channels

CHANNELS = (io.Channel("prediction"), io.Channel("uncertainty", colour="E69F00", shown=False, from_zero=True))


def write_channels(path: Path, shape: tuple[int, int, int] = (19, 20, 300)) -> np.ndarray:
    """Write a volume of two channels; returns it as [C, Z, Y, X]."""
    array = np.stack([stack("uint8", shape), stack("uint8", shape) // 9])
    io.write_ome_zarr(path, iter(array.swapaxes(0, 1)), shape, np.uint8, SIZE_NM, {"a": 1}, CHANNELS)
    return array


def test_channels_come_back_and_the_first_is_the_default(tmp_path: Path) -> None:
    array = write_channels(tmp_path / "v.ome.zarr")
    for volume, expected in (
        (io.open_volume(tmp_path / "v.ome.zarr"), array[0]),
        (io.open_volume(tmp_path / "v.ome.zarr", channel=1), array[1]),
    ):
        assert (volume.shape, volume.dtype, volume.voxel_size_nm) == (array.shape[1:], np.uint8, SIZE_NM)
        assert volume.channels == 2
        np.testing.assert_array_equal(volume.read(0, 19), expected)


def test_metadata_and_pyramid_of_channels(tmp_path: Path) -> None:
    array = write_channels(tmp_path / "v.ome.zarr")
    group = zarr.open_group(tmp_path / "v.ome.zarr", mode="r")
    ome: Any = group.attrs["ome"]
    multiscale = ome["multiscales"][0]
    assert [(axis["name"], axis["type"]) for axis in multiscale["axes"]] == [
        ("c", "channel"),
        ("z", "space"),
        ("y", "space"),
        ("x", "space"),
    ]
    transforms = multiscale["datasets"][1]["coordinateTransformations"]
    assert transforms[0]["scale"] == [1.0, *(2 * size for size in SIZE_NM)]
    assert transforms[1]["translation"] == [0.0, *(size / 2 for size in SIZE_NM)]
    for channel in (0, 1):
        np.testing.assert_allclose(np.asarray(group["1"])[channel], halves(array[channel]), atol=0.5)  # type: ignore[index]
    windows = [channel["window"] for channel in ome["omero"]["channels"]]
    assert [channel["color"] for channel in ome["omero"]["channels"]] == ["FFFFFF", "E69F00"]
    assert [channel["active"] for channel in ome["omero"]["channels"]] == [True, False]
    assert all((window["min"], window["max"]) == (0, 255) for window in windows)
    assert windows[1]["start"] == 0
    assert 0 < windows[0]["start"] < windows[0]["end"] <= 255


def test_a_constant_channel_has_a_window_all_the_same(tmp_path: Path) -> None:
    planes = iter(np.zeros((3, 2, 8, 8), np.float32))
    io.write_ome_zarr(tmp_path / "v.ome.zarr", planes, (3, 8, 8), np.float32, None, None, CHANNELS)
    ome: Any = zarr.open_group(tmp_path / "v.ome.zarr", mode="r").attrs["ome"]
    assert all(channel["window"]["end"] > channel["window"]["start"] for channel in ome["omero"]["channels"])


def test_a_channel_that_is_not_there_is_refused(tmp_path: Path) -> None:
    write_channels(tmp_path / "v.ome.zarr")
    io.write_volume_tiff(tmp_path / "v.tif", iter(stack()), SIZE_NM)
    with pytest.raises(InputError, match="channel 2 was asked, it has 2"):
        io.open_volume(tmp_path / "v.ome.zarr", 2)
    with pytest.raises(InputError, match="only an OME-Zarr has channels"):
        io.open_volume(tmp_path / "v.tif", 1)


def test_a_series_in_time_is_not_taken_for_a_volume(tmp_path: Path) -> None:
    group = zarr.create_group(tmp_path / "t.zarr")
    group.create_array("0", data=stack())
    axes = [{"name": "t", "type": "time"}, {"name": "y", "type": "space"}, {"name": "x", "type": "space"}]
    group.attrs["ome"] = {"version": "0.5", "multiscales": [{"axes": axes, "datasets": [{"path": "0"}]}]}
    with pytest.raises(InputError, match="axes z, y, x or c, z, y, x"):
        io.open_volume(tmp_path / "t.zarr")


def test_tiffs_side_by_side_appear_together_or_not_at_all(tmp_path: Path) -> None:
    array = stack()
    paths = [tmp_path / "a.tif", tmp_path / "b.tif"]
    with pytest.raises(ValueError, match="zip"):
        io.write_volume_tiffs(paths, iter([array[:2], array[:1]]), SIZE_NM)
    assert list(tmp_path.iterdir()) == []
    io.write_volume_tiffs(paths, (np.stack([plane, plane + 1]) for plane in array), SIZE_NM)
    for shift, path in enumerate(paths):
        np.testing.assert_array_equal(io.open_volume(path).read(0, 7), array + shift)


def test_a_damaged_chunk_is_named(tmp_path: Path) -> None:
    path = write("zarr", tmp_path, np.arange(7 * 20 * 30, dtype=np.uint16).reshape(7, 20, 30))
    chunk = next(file for file in (path / "0").rglob("*") if file.is_file() and file.name != "zarr.json")
    chunk.write_bytes(chunk.read_bytes()[:100])
    with pytest.raises(InputError, match=r"v\.ome\.zarr: slices 0 to 6 are damaged"):
        io.open_volume(path).read(0, 7)


@pytest.mark.parametrize("count", [6, 8])
def test_a_wrong_number_of_slices_leaves_nothing(tmp_path: Path, count: int) -> None:
    path = tmp_path / "v.ome.zarr"
    with pytest.raises((InputError, ValueError), match=r"slices|shape|bounds|broadcast"):
        io.write_ome_zarr(path, iter(stack(shape=(count, 20, 30))), (7, 20, 30), np.uint16, SIZE_NM)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kind", ["tiff", "zarr"])
def test_slices_that_fail_in_the_middle_leave_nothing(tmp_path: Path, kind: str) -> None:
    def slices():  # type: ignore[no-untyped-def]
        yield from stack()[:3]
        raise InputError("the source broke")

    def write_failing() -> None:
        if kind == "tiff":
            io.write_volume_tiff(tmp_path / "v.tif", slices(), SIZE_NM)
        else:
            io.write_ome_zarr(tmp_path / "v.ome.zarr", slices(), (7, 20, 30), np.uint16, SIZE_NM)

    with pytest.raises(InputError, match="the source broke"):
        write_failing()
    assert list(tmp_path.iterdir()) == []


def test_other_attributes_stand_beside_the_ome_ones(tmp_path: Path) -> None:
    io.write_ome_zarr(tmp_path / "v.ome.zarr", iter(stack()), (7, 20, 30), np.uint16, SIZE_NM, {"model": {"seed": 3}})
    assert zarr.open_group(tmp_path / "v.ome.zarr").attrs["model"] == {"seed": 3}


def test_a_volume_in_memory() -> None:
    volume = Volume.of_array(stack(), SIZE_NM)
    np.testing.assert_array_equal(volume.read(2, 5), stack()[2:5])
    with pytest.raises(InputError, match="shape"):
        Volume.of_array(stack()[0])
