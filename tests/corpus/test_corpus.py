"""Every file of the corpus is read exactly, or refused in one line that names it and says what to do."""

from __future__ import annotations

import os
import struct
import sys
import threading
import warnings
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import mrcfile
import numpy as np
import pytest
import SimpleITK
import tifffile
from case import Case, Size, grey
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from tiff_files import BYTES, PLANE, STACK, STACKS, colour_palette, content, cut, grey_palette, pillow, renamed, tiff
from volume_files import DARK, SIGNED, VOLUMES, ZEISSES, folder, hdf5, imod, mrc, mrc_by_hand, zeiss

from txm2sem_core import io
from txm2sem_core.errors import ConfigError, InputError
from txm2sem_core.io import guards

CORPUS = STACKS | VOLUMES
assert len(CORPUS) == len(STACKS) + len(VOLUMES)


def png_header(width: int, height: int) -> Callable[[Path], Path]:
    """A PNG that says how large it is, and little more."""
    chunks = [
        (b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)),
        (b"IDAT", zlib.compress(b"")),
        (b"IEND", b""),
    ]
    packed = [
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    ]
    return content(b"\x89PNG\r\n\x1a\n" + b"".join(packed), "a.png")


PNGS: dict[str, Case] = {
    "16 bit": Case(pillow([Image.fromarray(PLANE)], "a.png"), PLANE),
    "8 bit": Case(pillow([Image.fromarray(BYTES[0])], "a.png"), BYTES[0]),
    "1 bit": Case(pillow([Image.fromarray(BYTES[0] > 99)], "a.png"), ((BYTES[0] > 99) * 255).astype(np.uint8)),
    **{
        mode: Case(pillow([Image.new(mode, (9, 8))], "a.png"), refused=("a.png", "colour"))
        for mode in ("RGB", "RGBA", "LA")
    },
    "palette": Case(pillow([colour_palette()], "a.png"), refused=("a.png", "colour")),
    "animated": Case(pillow([Image.fromarray(p) for p in BYTES], "a.png"), refused=("a.png", "5 frames")),
    "cut": Case(cut(pillow([Image.fromarray(PLANE)], "a.png"), 0.5), refused=("a.png", "cannot be read")),
    "TIFF stack named PNG": Case(renamed(tiff(STACK), "a.png"), refused=("a.png", "content is TIFF")),
    "JPEG named PNG": Case(
        renamed(pillow([Image.fromarray(BYTES[0])], "a.jpg"), "a.png"), refused=("a.png", "content is JPEG")
    ),
    "many pixels": Case(png_header(20000, 20000), refused=("a.png", "cannot be read", "exceeds")),
}  # fmt: skip


def check_size(found: Size | None, expected: Size | None) -> None:
    if expected is None:
        assert found is None or found == (None, None, None)
    else:
        assert found is not None
        assert [size is None for size in found] == [size is None for size in expected]
        known = [(f, e) for f, e in zip(found, expected, strict=True) if f is not None]
        np.testing.assert_allclose(*zip(*known, strict=True), rtol=1e-5)


def check_refused(read: Callable[[], object], words: tuple[str, ...]) -> None:
    with pytest.raises(InputError) as caught:
        read()
    message = str(caught.value)
    for word in words:
        assert word in message
    assert "\n" not in message
    assert message.endswith((".", "}.")), "the message says what to do"


def read_all(path: Path) -> np.ndarray:
    with io.open_volume(path) as volume:
        return volume.read(0, volume.shape[0])


@pytest.mark.parametrize("name", CORPUS)
def test_volumes(tmp_path: Path, name: str) -> None:
    case = CORPUS[name]
    path = case.make(tmp_path)
    if case.array is None:
        check_refused(lambda: read_all(path), case.refused)
        return
    with io.open_volume(path) as volume:
        assert (volume.shape, volume.dtype) == (case.array.shape, case.array.dtype)
        check_size(volume.voxel_size_nm, case.voxel_size_nm)
        whole, last = volume.read(0, volume.shape[0]), volume.read(volume.shape[0] - 1, volume.shape[0])
    assert whole.dtype == last.dtype == case.array.dtype
    assert whole.dtype.isnative
    np.testing.assert_allclose(whole.astype(float), case.array, atol=case.tolerance, rtol=0)
    np.testing.assert_array_equal(whole[-1:], last)


@pytest.mark.parametrize("name", STACKS)
def test_tiff_planes(tmp_path: Path, name: str) -> None:
    """What is one plane is read as an image too, the same; all else is refused, and never read in part."""
    case = STACKS[name]
    path = case.make(tmp_path)
    if case.array is not None and case.array.shape[0] == 1:
        plane = io.read_image(path)
        np.testing.assert_array_equal(plane, case.array[0])
        assert io.image_kind(path) == (plane.shape, plane.dtype)
    else:
        check_refused(lambda: io.read_image(path), (path.name,))


@pytest.mark.parametrize("name", PNGS)
def test_png_planes(tmp_path: Path, name: str) -> None:
    case = PNGS[name]
    path = case.make(tmp_path)
    if case.array is None:
        check_refused(lambda: io.read_image(path), case.refused)
        check_refused(lambda: read_all(path), case.refused)
    else:
        plane = io.read_image(path)
        np.testing.assert_array_equal(plane, case.array)
        assert io.image_kind(path) == (plane.shape, plane.dtype)


def test_a_grey_palette_is_grey(tmp_path: Path) -> None:
    np.testing.assert_array_equal(io.read_image(pillow([grey_palette()])(tmp_path)), BYTES[0])


def test_the_trap_of_the_corpus_does_not_spring(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match="can run code"):
        read_all(VOLUMES["OME-Zarr of pickles"].make(tmp_path))
    assert not (tmp_path / "trap_has_sprung").exists()


# --- lazily, by many, without leaks

BIG = grey((40, 24, 32))
KINDS: dict[str, Callable[[Path], Path]] = {
    "side by side": tiff(BIG),
    "compressed": tiff(BIG, compression="zlib"),
    "folder": folder([f"s{z}.tif" for z in range(40)], BIG),
    "HDF5": hdf5(lambda file: file.create_dataset("a", data=BIG, chunks=(4, 24, 32), compression="gzip")),
    "MRC": mrc(BIG),
    "Zeiss": zeiss(BIG, 5),
}


def open_files() -> int:
    return len(os.listdir("/proc/self/fd"))


@pytest.mark.parametrize("kind", KINDS)
def test_threads_read_at_once(tmp_path: Path, kind: str) -> None:
    volume = io.open_volume(KINDS[kind](tmp_path))
    rng = np.random.default_rng(0)
    starts = rng.integers(0, 39, 200).tolist()
    barrier = threading.Barrier(4)

    def read(share: list[int]) -> bool:
        barrier.wait()
        return all(np.array_equal(volume.read(z, z + 2), BIG[z : z + 2]) for z in share)

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(read, [starts[i::4] for i in range(4)]))


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="open files are counted as Linux lists them")
@pytest.mark.parametrize("kind", KINDS)
def test_no_file_stays_open(tmp_path: Path, kind: str) -> None:
    path = KINDS[kind](tmp_path)
    read_all(path)
    before = open_files()
    volume = io.open_volume(path)
    for z in range(39):
        volume.read(z, z + 1)
    assert open_files() <= before + 2  # one handle (a mapped file has two), however often it is read
    volume.close()
    assert open_files() == before
    np.testing.assert_array_equal(volume.read(3, 4), BIG[3:4])  # opens again
    del volume
    assert open_files() == before
    for _ in range(3):
        io.open_volume(path).read(0, 1)
    assert open_files() == before


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
@pytest.mark.parametrize("kind", ["side by side", "compressed", "Zeiss"])
def test_a_forked_process_reads_with_a_handle_of_its_own(tmp_path: Path, kind: str) -> None:
    volume = io.open_volume(KINDS[kind](tmp_path))
    volume.read(0, 1)
    child = os.fork()
    if not child:
        right = all(np.array_equal(volume.read(z, z + 1), BIG[z : z + 1]) for z in range(40))
        os._exit(0 if right else 1)
    for z in reversed(range(40)):
        np.testing.assert_array_equal(volume.read(z, z + 1), BIG[z : z + 1])
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_the_chain_of_pages_is_walked_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Time is linear in Z: reading slice by slice opens the file once, and parses a page for each slice."""
    volume = io.open_volume(tiff(BIG, compression="zlib")(tmp_path))
    opened, parsed = [], []
    opening, parsing = tifffile.TiffFile.__init__, tifffile.TiffPage.__init__
    monkeypatch.setattr(tifffile.TiffFile, "__init__", lambda *a, **k: (opened.append(1), opening(*a, **k))[1])
    monkeypatch.setattr(tifffile.TiffPage, "__init__", lambda *a, **k: (parsed.append(1), parsing(*a, **k))[1])
    for z in range(40):
        volume.read(z, z + 1)
    assert len(opened) == 1
    assert 0 < len(parsed) <= 42


# --- files that change underneath


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_that_changes_while_it_is_read_is_refused(tmp_path: Path, kind: str) -> None:
    path = KINDS[kind](tmp_path)
    volume = io.open_volume(path)
    volume.read(7, 8)
    if path.is_file():
        os.utime(path, ns=(1, 1))  # what an editor in place leaves
    else:
        (path / "s7.tif").write_bytes((path / "s8.tif").read_bytes())
    with pytest.raises(InputError, match="changed while it was read"):
        volume.read(7, 8)


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_that_goes_while_it_is_read_is_refused(tmp_path: Path, kind: str) -> None:
    path = KINDS[kind](tmp_path)
    volume = io.open_volume(path)
    (path if path.is_file() else path / "s7.tif").unlink()
    with pytest.raises(InputError, match="cannot be reached"):
        volume.read(7, 8)


def test_an_image_that_changes_while_it_is_read_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tiff(PLANE)(tmp_path)
    whole = tifffile.TiffPage.asarray

    def slow(page: tifffile.TiffPage, **options: object) -> np.ndarray:
        os.utime(path, ns=(1, 1))
        return whole(page, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(tifffile.TiffPage, "asarray", slow)
    with pytest.raises(InputError, match=r"v\.tif: this file changed while it was read"):
        io.read_image(path)


# --- bounds


@pytest.mark.parametrize("make", [tiff(BIG), pillow([Image.fromarray(PLANE)], "a.png"), zeiss(BIG, 5)])
def test_the_bound_follows_the_memory_that_is_free(
    tmp_path: Path, make: Callable[[Path], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = make(tmp_path)
    read_all(path)
    monkeypatch.setattr(guards, "available_memory", lambda: 1000)
    check_refused(lambda: read_all(path), (path.name, "half of what is free"))


def test_free_memory_is_some_and_less_than_a_pebibyte() -> None:
    assert 2**26 < guards.available_memory() < 2**50


def test_zeiss_without_its_library_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = ZEISSES["Zeiss .txm"].make(tmp_path)
    monkeypatch.setitem(sys.modules, "olefile", None)
    with pytest.raises(ConfigError, match="pip install olefile"):
        io.open_volume(path)


def test_imod_s_default_size_is_none(tmp_path: Path) -> None:
    assert io.open_volume(mrc(STACK, 1.0, "a.mrc")(tmp_path)).voxel_size_nm is None
    assert io.open_volume(mrc(STACK, 1.5, "b.mrc")(tmp_path)).voxel_size_nm == pytest.approx((0.15,) * 3)


# --- bytes with and without a sign in MRC, and other readers of it

UNSIGNED, BOTH = "0 to 255", "which fit both"


@pytest.mark.parametrize(
    ("make", "array", "warned"),
    [
        (mrc_by_hand(BYTES, 0, limits=(0, 255)), BYTES, ()),
        (mrc_by_hand(BYTES, 0, limits=(0, 255), version=20141), BYTES, ()),
        (mrc_by_hand(SIGNED, 0, limits=(-128, 127)), SIGNED, ()),
        (mrc_by_hand(BYTES, 0, stamp=imod(0)), BYTES, ()),
        (mrc_by_hand(SIGNED, 0, stamp=imod(1)), SIGNED, ()),
        (mrc_by_hand(SIGNED, 0, stamp=imod(1), limits=(0, -1)), SIGNED, ()),
        (mrc_by_hand(DARK, 0, stamp=imod(0), limits=(0, 127)), DARK, ()),
        (mrc_by_hand(DARK, 0, stamp=imod(1), limits=(0, 127)), DARK.view(np.int8), ()),
        (mrc_by_hand(DARK, 0, limits=(0, 127)), DARK, (UNSIGNED, BOTH, "mean the same")),
        (mrc_by_hand(DARK, 0, limits=(0, 127), version=20141), DARK.view(np.int8), ("MRC2014", BOTH)),
        (mrc_by_hand(SIGNED, 0, stamp=imod(0), limits=(-128, 127)), SIGNED, ("the opposite", "-128 and 127")),
        (mrc_by_hand(BYTES, 0, stamp=imod(1), limits=(0, 255)), BYTES, ("the opposite", UNSIGNED)),
        (mrc_by_hand(BYTES, 0), BYTES, (UNSIGNED, "says nothing", "newstack")),
        (mrc_by_hand(SIGNED, 0, version=20140, limits=(0, -1)), SIGNED, ("MRC2014", "says nothing")),
        (mrc_by_hand(BYTES, 0, limits=(np.nan, np.nan)), BYTES, ("says nothing",)),
        (mrc_by_hand(SIGNED, 0, limits=(-128, 140)), SIGNED, ("no bytes can have",)),
        (mrc_by_hand(BYTES, 0, limits=(-1, 255)), BYTES, ("no bytes can have",)),
        (mrc_by_hand(SIGNED, 0, limits=(-900, 900), stamp=imod(1)), SIGNED, ("no bytes can have",)),
    ],
)
def test_the_sign_of_bytes_in_mrc(
    tmp_path: Path, make: Callable[[Path], Path], array: np.ndarray, warned: tuple[str, ...]
) -> None:
    path = make(tmp_path)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        found = read_all(path)
    assert found.dtype == array.dtype
    np.testing.assert_array_equal(found, array)
    messages = [str(one.message) for one in caught]
    assert len(messages) == bool(warned), messages
    for word in (str(path), *warned) if warned else ():
        assert word in messages[0]


@given(
    st.sampled_from([(0, "int8"), (1, "int16"), (2, "float32"), (6, "uint16"), (12, "float16")]),
    st.sampled_from("<>"),
    st.sampled_from([None, b"DA\0\0"]),
    st.sampled_from([b"", bytes(768), bytes(77)]),
    st.tuples(*[st.integers(1, 9)] * 3),
    st.sampled_from([0, 1, 401]),
    st.sampled_from([0, 20140, 20141]),
)
def test_mrcfile_reads_the_same_of_mrc(
    tmp_path_factory: pytest.TempPathFactory,
    kind: tuple[int, str],
    order: str,
    machine: bytes | None,
    extra: bytes,
    shape: tuple[int, int, int],
    space_group: int,
    version: int,
) -> None:
    mode, dtype = kind
    array = grey(shape, dtype, seed=sum(shape))
    array.flat[0] = -1 if mode in (0, 1, 2, 12) else 1
    machine = machine if order == "<" else None  # mrcfile takes bytes of a wrong stamp for little-endian
    options = {"extra": extra, "kind": b"FEI1", "space_group": space_group, "version": version, "machine": machine}
    size = tuple(n * step for n, step in zip(shape[::-1], (10.0, 20.0, 40.0), strict=True))
    limits = (float(array.min()), float(array.max()))
    make = mrc_by_hand(array, mode, size, order=order, limits=limits, **options)  # type: ignore[arg-type]
    path = make(tmp_path_factory.mktemp("mrc"))
    volume = io.open_volume(path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        second = mrcfile.open(path, permissive=True)
        data = second.data.copy()
    with second:
        np.testing.assert_array_equal(volume.read(0, shape[0]), data.reshape(shape))
        sizes = [float(second.voxel_size[axis]) / 10 for axis in "zyx"]
    assert volume.voxel_size_nm == pytest.approx(sizes)


@pytest.mark.parametrize("dtype", ["uint8", "int16", "uint16", "float32"])
@pytest.mark.parametrize("order", "<>")
def test_itk_reads_the_same_of_mrc(tmp_path: Path, dtype: str, order: str) -> None:
    array = grey(dtype=dtype)
    mode = {"uint8": 0, "int16": 1, "uint16": 6, "float32": 2}[dtype]
    limits = (float(array.min()), float(array.max()))
    path = mrc_by_hand(array, mode, (170, 240, 200), order=order, limits=limits, extra=bytes(160))(tmp_path)
    image = SimpleITK.ReadImage(str(path))
    volume = io.open_volume(path)
    np.testing.assert_array_equal(volume.read(0, 5), SimpleITK.GetArrayFromImage(image))
    assert volume.voxel_size_nm == pytest.approx([size / 10 for size in image.GetSpacing()[::-1]])
