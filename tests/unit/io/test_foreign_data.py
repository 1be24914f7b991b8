"""Files, stores and folders from strangers: nothing of them leads elsewhere, swells, or is obeyed."""

from __future__ import annotations

import bz2
import gzip
import json
import lzma
import os
import struct
import subprocess
import threading
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import imagecodecs
import mrcfile
import numcodecs
import numpy as np
import pandas as pd
import pytest
import tifffile
import zarr
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from txm2sem_core import io
from txm2sem_core.errors import InputError, Txm2semError, printable
from txm2sem_core.io import guards
from txm2sem_core.io.files import is_plain_name, path_within, plain_name
from txm2sem_core.io.locks import exclusive, hold_mark
from txm2sem_core.io.results import MARK, check_results, mark_results
from txm2sem_core.report.page.embedding import figure_data
from txm2sem_core.report.page.numbers import shell_word
from txm2sem_core.runtime import device

SHAPE = (2, 16, 16)
VOXELS = np.arange(512, dtype=np.uint8).reshape(SHAPE)
SECRET = np.full(SHAPE, 99, np.uint8)


def read_all(path: Path) -> np.ndarray:
    with io.open_volume(path) as volume:
        return volume.read(0, volume.shape[0])


# --- HDF5


def virtual(file: h5py.File, source: str, name: str, to: str = "v") -> None:
    layout = h5py.VirtualLayout(SHAPE, "u1")
    layout[...] = h5py.VirtualSource(source, name, shape=SHAPE)
    file.create_virtual_dataset(to, layout)


@pytest.fixture
def sent(tmp_path: Path) -> Path:
    """A folder that was sent, beside one that holds what is the user's."""
    (tmp_path / "mine").mkdir()
    (tmp_path / "sent").mkdir()
    with h5py.File(tmp_path / "mine" / "scan.h5", "w") as file:
        file["d"] = SECRET
    (tmp_path / "mine" / "raw").write_bytes(SECRET.tobytes())
    with h5py.File(tmp_path / "sent" / "beside.h5", "w") as file:
        file["d"] = VOXELS
        file["soft"] = h5py.SoftLink("/d")
        virtual(file, ".", "d", "within")
        virtual(file, str(tmp_path / "mine" / "scan.h5"), "d", "out")
        file["link"] = h5py.ExternalLink(str(tmp_path / "mine" / "scan.h5"), "/d")
    (tmp_path / "sent" / "linked.h5").symlink_to(tmp_path / "mine" / "scan.h5")
    os.mkfifo(tmp_path / "sent" / "pipe.h5")
    return tmp_path / "sent"


LEADING_OUT = {
    "absolute": ("{mine}/scan.h5", "d"),
    "upwards": ("../mine/scan.h5", "d"),
    "a link beside": ("linked.h5", "d"),
    "a folder below": ("./beside.h5", "d"),
    "a virtual one beside that leads out": ("beside.h5", "out"),
    "a link in a file beside": ("beside.h5", "link"),
    "a pipe": ("pipe.h5", "d"),
    "not there": ("beside.h5", "nothing"),
    "itself": (".", "v"),
    "a link within": (".", "l"),
    "a soft link to a link": (".", "s"),
    "raw storage": (".", "r"),
}


@pytest.mark.parametrize("name", LEADING_OUT)
@pytest.mark.parametrize("named", [True, False])
def test_a_source_that_leads_out_of_an_hdf5_file_is_refused(sent: Path, name: str, named: bool) -> None:
    mine = sent.parent / "mine"
    source, inner = LEADING_OUT[name]
    with h5py.File(sent / "a.h5", "w") as file:
        virtual(file, source.format(mine=mine), inner)
        file["l"] = h5py.ExternalLink(str(mine / "scan.h5"), "/d")
        file["s"] = h5py.SoftLink("/l")
        if inner == "r":
            file.create_dataset("r", SHAPE, "u1", external=[(str(mine / "raw"), 0, SECRET.nbytes)])
    with pytest.raises(InputError, match=r"a\.h5"):
        read_all(sent / ("a.h5:/v" if named else "a.h5"))


@pytest.mark.parametrize("source", [("beside.h5", "d"), ("beside.h5", "soft"), ("beside.h5", "within"), (".", "own")])
def test_sources_in_the_file_and_beside_it_are_read(sent: Path, source: tuple[str, str]) -> None:
    with h5py.File(sent / "a.h5", "w") as file:
        file["own"] = VOXELS
        virtual(file, *source)
        virtual(file, str(sent / source[0]) if source[0] != "." else ".", source[1], "absolute")
    for name in ("v", "absolute"):
        np.testing.assert_array_equal(read_all(sent / f"a.h5:/{name}"), VOXELS)


def test_links_to_datasets(sent: Path) -> None:
    np.testing.assert_array_equal(read_all(sent / "beside.h5:/soft"), VOXELS)
    with pytest.raises(InputError, match="another file"):
        read_all(sent / "beside.h5:/link")


def test_a_chunk_that_unpacks_to_more_than_its_size(tmp_path: Path) -> None:
    packed = zlib.compress(bytes(300 * 2**20), 9)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        made = file.create_dataset("d", (64, 64, 64), "u1", chunks=(64, 64, 64), compression="gzip")
        made.id.write_direct_chunk((0, 0, 0), packed)
    with pytest.raises(InputError, match=r"unpacks to more|cannot be read"):
        read_all(tmp_path / "a.h5")


# --- zarr

PACKERS: dict[str, Any] = {
    "zlib": numcodecs.Zlib(),
    "gzip": numcodecs.GZip(),
    "bz2": numcodecs.BZ2(),
    "lzma": numcodecs.LZMA(),
    "zstd": numcodecs.Zstd(),
    "lz4": numcodecs.LZ4(),
    "blosc": numcodecs.Blosc(),
}


def ome_zarr(folder: Path, compressor: Any, chunk: bytes | None, shape: tuple[int, ...] = SHAPE) -> Path:
    axes = [{"name": axis, "type": "space", "unit": "nanometer"} for axis in "zyx"]
    dataset = {"path": "0", "coordinateTransformations": [{"type": "scale", "scale": [1, 1, 1]}]}
    images = {"multiscales": [{"version": "0.4", "axes": axes, "datasets": [dataset]}]}
    array = {"zarr_format": 2, "shape": shape, "chunks": SHAPE, "dtype": "|u1", "fill_value": 0, "order": "C"}
    array |= {"compressor": compressor, "filters": None, "dimension_separator": "/"}
    (folder / "0" / "0" / "0").mkdir(parents=True)
    (folder / ".zgroup").write_text('{"zarr_format": 2}')
    (folder / ".zattrs").write_text(json.dumps(images))
    (folder / "0" / ".zarray").write_text(json.dumps(array))
    if chunk is not None:
        (folder / "0" / "0" / "0" / "0").write_bytes(chunk)
    return folder


@pytest.mark.parametrize("name", PACKERS)
def test_every_codec_is_read_and_stops_at_the_size_of_its_chunk(tmp_path: Path, name: str) -> None:
    codec = PACKERS[name]
    sound = ome_zarr(tmp_path / "a.ome.zarr", codec.get_config(), bytes(codec.encode(VOXELS)))
    np.testing.assert_array_equal(read_all(sound), VOXELS)
    swollen = ome_zarr(tmp_path / "b.ome.zarr", codec.get_config(), bytes(codec.encode(np.zeros(2**25, np.uint8))))
    with pytest.raises(InputError, match=r"b\.ome\.zarr"):
        read_all(swollen)


@pytest.mark.parametrize("codec", [zarr.codecs.GzipCodec(), zarr.codecs.ZstdCodec(), zarr.codecs.BloscCodec()])
@pytest.mark.parametrize("shards", [None, (2, 16, 16)])
def test_codecs_of_zarr_3(tmp_path: Path, codec: Any, shards: tuple[int, ...] | None) -> None:
    def write(name: str, chunks: tuple[int, ...]) -> Path:
        whole = zarr.create_array(
            tmp_path / name,
            shape=SHAPE,
            dtype="u1",
            chunks=chunks,
            shards=shards,
            compressors=[codec],
            dimension_names=list("zyx"),
        )
        whole[...] = VOXELS
        return tmp_path / name

    np.testing.assert_array_equal(read_all(write("a.zarr", (1, 16, 16))), VOXELS)
    if shards is None:
        large = zarr.create_array(tmp_path / "large", shape=(2**25,), dtype="u1", chunks=(2**25,), compressors=[codec])
        large[...] = np.ones(2**25, np.uint8)
        path = write("b.zarr", SHAPE)
        (path / "c" / "0" / "0" / "0").write_bytes((tmp_path / "large" / "c" / "0").read_bytes())
        with pytest.raises(InputError, match=r"b\.zarr"):
            read_all(path)


@pytest.mark.parametrize("codec", [{"id": "pickle"}, {"id": "json2"}, {"id": "msgpack2"}, {"id": "vlen-bytes"}])
def test_other_codecs_are_refused(tmp_path: Path, codec: dict[str, str]) -> None:
    with pytest.raises(InputError, match=r"a\.ome\.zarr"):
        read_all(ome_zarr(tmp_path / "a.ome.zarr", codec, b"x"))


def test_nothing_outside_of_a_zarr_folder_is_read(tmp_path: Path) -> None:
    (tmp_path / "letter").write_bytes(SECRET.tobytes())
    (tmp_path / "folder" / "0").mkdir(parents=True)
    (tmp_path / "folder" / "0" / "0").write_bytes(SECRET.tobytes())
    chunk = ome_zarr(tmp_path / "a.ome.zarr", None, None)
    (chunk / "0" / "0" / "0" / "0").symlink_to(tmp_path / "letter")
    between = ome_zarr(tmp_path / "b.ome.zarr", None, None)
    (between / "0" / "0" / "0").rmdir()
    (between / "0" / "0").rmdir()
    (between / "0" / "0").symlink_to(tmp_path / "folder")
    settings = ome_zarr(tmp_path / "c.ome.zarr", None, VOXELS.tobytes())
    (settings / "0" / ".zarray").rename(tmp_path / ".zarray")
    (settings / "0" / ".zarray").symlink_to(tmp_path / ".zarray")
    pipe = ome_zarr(tmp_path / "d.ome.zarr", None, None)
    os.mkfifo(pipe / "0" / "0" / "0" / "0")
    named = ome_zarr(tmp_path / "e.ome.zarr", None, VOXELS.tobytes())
    (named / ".zattrs").write_text((named / ".zattrs").read_text().replace('"path": "0"', '"path": "0/../../a"'))
    for path in (chunk, between, settings, pipe, named):
        with pytest.raises(InputError, match=path.name.replace(".", r"\.")):
            read_all(path)
    within = ome_zarr(tmp_path / "f.ome.zarr", None, None)
    (within / "kept").write_bytes(VOXELS.tobytes())
    (within / "0" / "0" / "0" / "0").symlink_to(within / "kept")
    np.testing.assert_array_equal(read_all(within), VOXELS)


# --- what is declared


@pytest.mark.parametrize("depth", [10**12, 2**20 + 1, 2**20])
def test_slices_without_end(tmp_path: Path, depth: int) -> None:
    with pytest.raises(InputError, match="slices"):
        io.open_volume(ome_zarr(tmp_path / "a.ome.zarr", None, None, (depth, 64, 64)))
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("d", (depth, 64, 64), "u1", chunks=(1, 64, 64))
    with pytest.raises(InputError, match="slices"):
        io.open_volume(tmp_path / "a.h5")


def test_a_small_empty_volume_is_read(tmp_path: Path) -> None:
    assert not read_all(ome_zarr(tmp_path / "a.ome.zarr", None, None, (100, 64, 64))).any()


def test_a_slice_beyond_memory_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guards, "available_memory", lambda: 2**20)
    with pytest.raises(InputError, match="one slice"):
        io.open_volume(ome_zarr(tmp_path / "a.ome.zarr", None, None, (1, 1024, 1024)))


def test_a_header_of_mrc_that_is_longer_than_the_file(tmp_path: Path) -> None:
    with mrcfile.new(tmp_path / "a.mrc", VOXELS.astype(np.int8)):
        pass
    data = bytearray((tmp_path / "a.mrc").read_bytes())
    data[92:96] = struct.pack("<i", 2**31 - 1)
    (tmp_path / "a.mrc").write_bytes(data)
    with pytest.raises(InputError, match=r"a\.mrc"):
        io.open_volume(tmp_path / "a.mrc")


@pytest.mark.parametrize("shift", [0, 20, 31, 65535])
def test_sectors_of_no_known_size(tmp_path: Path, shift: int) -> None:
    head = bytearray(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(2048))
    head[30:34] = struct.pack("<HH", shift, 6)
    (tmp_path / "a.txm").write_bytes(head)
    with pytest.raises(InputError, match=r"a\.txm.*sectors"):
        io.open_volume(tmp_path / "a.txm")


def test_slices_in_too_many_chunks(tmp_path: Path) -> None:
    path = ome_zarr(tmp_path / "a.ome.zarr", None, None, (1, 16 * 2**16, 16))
    with pytest.raises(InputError, match="chunks"):
        io.open_volume(path)


@pytest.mark.parametrize(
    "planes",
    [
        'SizeZ="200000000"><TiffData IFD="0" PlaneCount="200000000"/>',
        'SizeZ="200000000"><TiffData IFD="0" PlaneCount="1"/>',
        'SizeZ="1"><TiffData IFD="0" NumPlanes="200000000"/>',
        'SizeZ="1">' + "<TiffData/>" * 2_000_000,
    ],
)
def test_planes_without_end_in_ome_xml(tmp_path: Path, planes: str) -> None:
    xml = (
        '<?xml version="1.0"?><OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06"><Image ID="Image:0">'
        '<Pixels ID="P:0" DimensionOrder="XYZCT" Type="uint8" SizeX="8" SizeY="8" SizeC="1" SizeT="1" '
        f"{planes}</Pixels></Image></OME>"
    )
    path = tmp_path / "v.ome.tif"
    tifffile.imwrite(path, np.zeros((1, 8, 8), np.uint8), photometric="minisblack", metadata=None, description=xml)
    with pytest.raises(InputError, match=r"v\.ome\.tif.*announce"):
        io.open_volume(path)


CODESTREAMS: dict[int, Callable[[np.ndarray], bytes]] = {
    7: imagecodecs.jpeg_encode,
    34712: imagecodecs.jpeg2k_encode,
    34933: imagecodecs.png_encode,
    50002: imagecodecs.jpegxl_encode,
}


@pytest.mark.parametrize("compression", CODESTREAMS)
def test_a_codestream_of_a_larger_image(tmp_path: Path, compression: int) -> None:
    def written(side: int) -> Path:
        data = CODESTREAMS[compression](np.zeros((side, side), np.uint8))
        tags = [(256, 16), (257, 16), (258, 8), (259, compression), (262, 1), (277, 1), (278, 16), (279, len(data))]
        start = 8 + 2 + 12 * (len(tags) + 1) + 4
        head = b"II*\0" + struct.pack("<IH", 8, len(tags) + 1)
        for tag, value in sorted([*tags, (273, start)]):
            head += struct.pack("<HHII", tag, 4, 1, value)
        (tmp_path / f"{side}.tif").write_bytes(head + struct.pack("<I", 0) + data)
        return tmp_path / f"{side}.tif"

    assert io.read_image(written(16)).shape == (16, 16)
    for read in (io.read_image, read_all):
        with pytest.raises(InputError, match="larger image"):
            read(written(4000))


def test_a_png_that_its_bytes_cannot_hold(tmp_path: Path) -> None:
    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", 12_000, 12_000, 8, 0, 0, 0, 0))
    path = tmp_path / "a.png"
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b""))
    for read in (io.read_image, figure_data):
        with pytest.raises(InputError, match="cannot hold"):
            read(path)


def test_chunks_of_a_png(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    Image.fromarray(VOXELS[0]).save(path)
    data = path.read_bytes()
    path.write_bytes(data + b"\xff" * 100)
    np.testing.assert_array_equal(io.read_image(path), VOXELS[0])
    path.write_bytes(data[:33] + b"\xf0\0\0\0tEXt" + data[33:])
    with pytest.raises(InputError, match=r"a\.png.*longer than the file"):
        io.read_image(path)


@pytest.mark.parametrize("kind", ["EPS", "GIF", "TIFF", "JPEG", "PPM"])
def test_a_figure_is_opened_as_a_png_alone(tmp_path: Path, kind: str) -> None:
    Image.new("RGB", (8, 8)).save(tmp_path / "figure.png", kind)
    with pytest.raises(InputError, match="PNG"):
        figure_data(tmp_path / "figure.png")


@pytest.mark.parametrize("read", [io.read_text, io.read_json, io.read_csv, io.read_yaml, io.sha256_file, figure_data])
def test_pipes_and_devices_are_not_waited_for(tmp_path: Path, read: Callable[[Path], object]) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "zero").symlink_to("/dev/zero")
    for name in ("pipe", "zero"):
        done: list[BaseException] = []

        def attempt(path: Path = tmp_path / name, done: list[BaseException] = done) -> None:
            try:
                read(path)
            except InputError as error:
                done.append(error)

        thread = threading.Thread(target=attempt, daemon=True)
        thread.start()
        thread.join(30)
        assert done, f"{name} was waited for"


# --- names


@given(st.text(max_size=12) | st.sampled_from(["..", ".", "a/b", "/a", "a\\b", "C:x", "a\0", "\x1b[2J", "a\u202eb"]))
def test_a_plain_name_stays_in_its_folder(name: str) -> None:
    if is_plain_name(name):
        assert plain_name(name, "file", "a pair") == name
        assert os.path.dirname(os.path.normpath(os.path.join("/folder", name))) == "/folder"
        assert printable(name) == name
    else:
        with pytest.raises(InputError, match="no plain name"):
            plain_name(name, "file", "a pair")


@pytest.mark.parametrize("name", ["../new", "/etc/passwd", "a/b", "..", ".hidden", "\x1b[2J"])
def test_pairs_of_tables_and_files_of_an_index(tmp_path: Path, name: str) -> None:
    pd.DataFrame({"pair": [name], "z": [0]}).to_csv(tmp_path / "t.csv", index=False)
    with pytest.raises(InputError, match=r"t\.csv: a pair"):
        io.read_csv(tmp_path / "t.csv")
    if name != "a/b":
        with pytest.raises(InputError, match="an image"):
            path_within(tmp_path, f"pairs/{name}", tmp_path / "index.csv", "an image")


def test_a_path_of_an_index_leads_out_by_no_link(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "pairs").symlink_to(tmp_path)
    with pytest.raises(InputError, match="link that leads out"):
        path_within(tmp_path / "in", "pairs/a.tif", "index.csv", "an image")


@given(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1, max_size=12))
def test_a_copied_path_is_one_word_of_a_shell(name: str) -> None:
    word = shell_word(name)
    assert printable(word) == word
    said = subprocess.run(["bash", "-c", f"printf %s {word}"], capture_output=True, check=True).stdout.decode()
    assert said == (f"./{name}" if name.startswith("-") else name)


def test_messages_show_what_a_terminal_would_obey(tmp_path: Path) -> None:
    path = tmp_path / "a\x1b]0;owned\x07\u202e\nerror: b.tif"
    with pytest.raises(Txm2semError) as caught:
        io.open_volume(path)
    assert printable(caught.value) == str(caught.value)
    assert r"a\x1b]0;owned\x07\u202e\nerror: b.tif" in str(caught.value)


# --- locks and results


def test_no_lock_empties_a_file_or_follows_a_link(tmp_path: Path) -> None:
    thesis = tmp_path / "thesis"
    thesis.write_text("years of work")
    (tmp_path / "linked").symlink_to(thesis)
    (tmp_path / ".a.lock").symlink_to(thesis)
    with pytest.raises(InputError, match="linked"):
        hold_mark(tmp_path / "linked", lambda: None)
    with pytest.raises(InputError, match=r"\.a\.lock"), exclusive(tmp_path / "a", "work"):
        pass
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(InputError, match="pipe"):
        hold_mark(tmp_path / "pipe", lambda: None)
    alone = []
    os.close(hold_mark(thesis, lambda: alone.append(True)))
    assert thesis.read_text() == "years of work"
    assert alone == [True]


def test_the_next_name_is_taken_where_the_folder_of_gpus_is_anothers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(device, "Path", lambda name: tmp_path if name == "/tmp" else Path(name))
    first = device._lock_folder()
    first.rmdir()
    first.symlink_to(tmp_path)  # as another user may put it there
    second = device._lock_folder()
    assert second != first
    assert second.parent == tmp_path
    assert second.stat().st_mode & 0o077 == 0
    assert device._lock_folder() == second


def test_results_are_known_by_their_mark(tmp_path: Path) -> None:
    results = tmp_path / "results"
    check_results(results, ["tiny"])  # nothing is there
    (results / "tiny" / "raw").mkdir(parents=True)
    (results / "notes.txt").write_text("in nobody's way")
    check_results(results, ["tiny"])
    (results / "tiny" / "raw" / "thesis.txt").write_text("years of work")
    with pytest.raises(InputError, match=r"thesis\.txt"):
        check_results(results, ["tiny"])
    mark_results(results)
    mark_results(results)
    check_results(results, ["tiny"])
    (results / MARK).unlink()
    io.write_json(results / "provenance.json", {"software": {"txm2sem": "1"}, "config_sha256": "0"})
    check_results(results, ["tiny"])


def test_what_lies_in_a_folder_that_is_removed_as_a_whole_is_named(tmp_path: Path) -> None:
    results = tmp_path / "results"
    mark_results(results)
    raw, volume = results / "tiny" / "raw", results / "tiny" / "volumes" / "a" / "seed0" / "sem.ome.zarr"
    for name in ("txm/TXM000.tif", "phantom.json", ".snakemake_timestamp", "txm/.DS_Store"):
        io.write_text(raw / name, "")
    io.write_json(raw / "phantom.json", {"software": "TXM2SEM", "sha256": {"txm/TXM000.tif": ""}})
    io.write_ome_zarr(volume, VOXELS, SHAPE, np.uint8, None, {"txm2sem": {}})
    check_results(results, ["tiny"])
    for folder in (raw / "txm", volume, volume / "0"):
        (folder / "thesis.txt").write_text("years of work")
        with pytest.raises(InputError, match=r"thesis\.txt"):
            check_results(results, ["tiny"])
        (folder / "thesis.txt").unlink()
    check_results(results, ["tiny"])


@pytest.mark.parametrize("place", ["tiny", "tiny/raw", "tiny/models/a/seed0/.state", "logs/a.log", "report.html"])
def test_no_link_stands_among_results(tmp_path: Path, place: str) -> None:
    results = tmp_path / "results"
    mark_results(results)
    (results / place).parent.mkdir(parents=True, exist_ok=True)
    (results / place).symlink_to(tmp_path / "mine")
    with pytest.raises(InputError, match="a link stands among the results"):
        check_results(results, ["tiny"])


def test_streams_one_after_the_other_are_unpacked() -> None:
    from txm2sem_core.io.unpacking import TooLargeError, unpacked_stream

    for kind, pack in (("gzip", gzip.compress), ("bz2", bz2.compress), ("lzma", lzma.compress)):
        assert unpacked_stream(kind, pack(b"one") + pack(b"two"), 6, None, None) == b"onetwo"
        with pytest.raises(TooLargeError):
            unpacked_stream(kind, pack(b"one") + pack(b"two"), 5, None, None)
