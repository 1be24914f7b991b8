"""Volumes that are no single TIFF: folders of slices, OME-Zarr, HDF5, MRC, Zeiss; by other writers and by hand."""

from __future__ import annotations

import gzip
import json
import os
import struct
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import h5py
import mrcfile
import numpy as np
import zarr
from case import Case, cut, grey
from compound_file import write_compound_file
from numcodecs import Pickle
from PIL import Image
from tiff_files import BYTES, STACK, content, itk, pillow, tiff

Make = Callable[[Path], Path]

# --- folders


def folder(names: Sequence[str], planes: np.ndarray = STACK, extra: Callable[[Path], object] | None = None) -> Make:
    def make(root: Path) -> Path:
        path = root / "slices"
        path.mkdir()
        for name, plane in zip(names, planes, strict=True):
            Image.fromarray(plane).save(path / name)
        if extra:
            extra(path)
        return path

    return make


def numbered(pattern: str, numbers: Sequence[float] = (0, 1, 2, 3, 4)) -> list[str]:
    return [pattern.format(number) for number in numbers]


def litter(path: Path) -> None:
    """What Windows and macOS leave in a folder, notes, and a thumbnail's folder."""
    for name in ("Thumbs.db", ".DS_Store", "._s0.tif", ".hidden.tif", "notes.txt", "desktop.ini"):
        (path / name).write_bytes(b"x")
    (path / "previews.tif").mkdir()


def in_a_circle(path: Path) -> None:
    (path / "s5.tif").symlink_to(path / "s6.tif")
    (path / "s6.tif").symlink_to(path / "s5.tif")


def circle(root: Path) -> Path:
    (root / "a.tif").symlink_to(root / "b.tif")
    (root / "b.tif").symlink_to(root / "a.tif")
    return root / "a.tif"


def circle_of_folders(root: Path) -> Path:
    """A folder of slices that holds a link to itself."""
    path = folder(numbered("s{}.tif"))(root)
    (path / "again").symlink_to(path)
    return path


def linked(root: Path) -> Path:
    """Slices that are links to files elsewhere."""
    source = folder(numbered("s{}.tif"))(root)
    path = root / "links"
    path.mkdir()
    for file in source.iterdir():
        (path / file.name).symlink_to(file)
    return path


def read_only(root: Path) -> Path:
    path = folder(numbered("s{}.tif"))(root)
    for file in path.iterdir():
        file.chmod(0o444)
    path.chmod(0o555)
    return path


NAMES = numbered("s{}.tif")
FOLDERS: dict[str, Case] = {
    "folder": Case(folder(NAMES), STACK),
    "folder of PNG": Case(folder(numbered("s{}.png")), STACK),
    "folder of 8-bit PNG": Case(folder(numbered("s{}.png"), BYTES), BYTES),
    "folder with litter": Case(folder(NAMES, extra=litter), STACK),
    "folder with names of spaces and accents": Case(folder(numbered("Échantillon n° 3 coupe {:03}.tif")), STACK),
    "folder in natural order": Case(folder(numbered("s{}.tif", range(12)), grey((12, 4, 5))), grey((12, 4, 5))),
    "folder that goes up by five": Case(folder(numbered("s{:04}.tif", range(5, 30, 5))), STACK),
    "folder with distances as names": Case(folder(numbered("z{}um.tif", (9.5, 9.75, 10.0, 10.25, 10.5))), STACK),
    "folder with decimal commas": Case(
        folder(["z_0,5.tif", "z_1,0.tif", "z_1,5.tif", "z_2,0.tif", "z_2,5.tif"]), STACK
    ),
    "folder with decimal commas of other width": Case(
        folder(["z_0,25.tif", "z_0,5.tif", "z_0,75.tif", "z_1.tif", "z_1,25.tif"]), STACK
    ),
    "folder with a voltage": Case(folder([f"SEM_5.0kV_{z:03}.tif" for z in range(8, 13)]), STACK),
    "folder with a voltage with a comma": Case(folder([f"SEM_{z}_1,5kV.tif" for z in range(8, 13)]), STACK),
    "folder with mixed widths": Case(folder(["s8.tif", "s09.tif", "s010.tif", "s11.tif", "s0012.tif"]), STACK),
    "missing decimal": Case(
        folder(["z_0,0.tif", "z_0,5.tif", "z_1,0.tif", "z_2,0.tif", "z_2,5.tif"]),
        refused=("missing: number 1.5", "step 0.5"),
    ),
    "missing distance": Case(
        folder(numbered("z{}um.tif", (9.5, 9.75, 10.25, 10.5, 10.75))), refused=("missing: number 10.00", "step 0.25")
    ),
    "no constant step of decimals": Case(
        folder(["z_0,1.tif", "z_0,5.tif", "z_1,7.tif", "z_2,0.tif", "z_2,3.tif"]), refused=("constant step",)
    ),
    "folder with series and slice": Case(folder(numbered("scan2.{}.tif", (8, 9, 10, 11, 12))), STACK),
    "folder with number and distance": Case(
        folder([f"slice_{z:05}_z={z * 0.0123:.4f}um.tif" for z in range(5)]), STACK
    ),
    "folder with links": Case(linked, STACK),
    "folder with a link to itself": Case(circle_of_folders, STACK),
    "read-only folder": Case(read_only, STACK),
    "folder of one": Case(folder(["only.tif"], STACK[:1]), STACK[:1]),
    "missing number": Case(folder(numbered("s{}.tif", (0, 1, 3, 4, 7))), refused=("slices", "missing: number 2, 5, 6")),
    "missing number of a step": Case(
        folder(numbered("s{}.tif", (0, 10, 20, 40, 50))), refused=("missing: number 30", "step 10")
    ),
    "no constant step": Case(
        folder(numbered("s{}.tif", (100, 130, 161, 191, 221))),
        refused=("constant step", "from 130 to 161, elsewhere by 30"),
    ),
    "the same number twice": Case(
        folder(["s0.tif", "s1.tif", "s01.tif", "s2.tif", "s3.tif"]), refused=("same number",)
    ),
    "an odd name": Case(folder([*numbered("s{}.tif", range(4)), "overview.tif"]), refused=("overview.tif", "pattern")),
    "names without numbers": Case(
        folder(["a.tif", "b.tif", "c.tif", "d.tif", "e.tif"]), refused=("a.tif beside b.tif",)
    ),
    "another size": Case(
        folder(NAMES, extra=lambda p: Image.fromarray(STACK[0, 1:]).save(p / "s5.tif")), refused=("s5.tif", "agree")
    ),
    "another depth": Case(
        folder(NAMES, extra=lambda p: Image.fromarray(BYTES[0]).save(p / "s5.tif")),
        refused=("s5.tif", "uint8", "agree"),
    ),
    "a stack among slices": Case(
        folder(NAMES, extra=lambda p: tiff(STACK, "s5.tif")(p)), refused=("s5.tif", "one plane")
    ),
    "an empty slice": Case(folder(NAMES, extra=lambda p: (p / "s5.tif").touch()), refused=("s5.tif", "0 bytes")),
    "a colour slice": Case(
        folder(NAMES, extra=lambda p: pillow([Image.new("RGB", (17, 12), (9, 8, 7))], "s5.tif")(p)),
        refused=("s5.tif", "colour"),
    ),
    "a cut slice": Case(
        folder(NAMES, extra=lambda p: (p / "s2.tif").write_bytes((p / "s2.tif").read_bytes()[:300])),
        refused=("s2.tif",),
    ),
    "a circle of links among slices": Case(folder(NAMES, extra=in_a_circle), refused=("symbolic link", "s")),
    "circle of links": Case(circle, refused=("a.tif", "symbolic link")),
    "empty folder": Case(folder([], STACK[:0]), refused=("slices", "no image")),
    "nothing": Case(lambda root: root / "nothing.tif", refused=("nothing.tif", "no such file")),
}

# --- OME-Zarr


def ome_zarr_by_hand(array: np.ndarray, axes: str = "zyx", units: Sequence[str | None] = (), **metadata: Any) -> Make:
    """OME-Zarr 0.4 on zarr 2, from the two specifications: JSON and raw chunks, no library."""

    def make(root: Path) -> Path:
        path = root / "v.zarr"
        (path / "s0").mkdir(parents=True)
        kinds = {"c": "channel", "t": "time"}
        named = [
            {"name": axis, "type": kinds.get(axis, "space"), **({"unit": unit} if unit else {})}
            for axis, unit in zip(axes, units or [None] * len(axes), strict=True)
        ]
        scale = [{"type": "scale", "scale": [float(2**i) for i in range(len(axes))]}]
        multiscale = {"version": "0.4", "axes": named, "datasets": [{"path": "s0", "coordinateTransformations": scale}]}
        (path / ".zgroup").write_text('{"zarr_format": 2}')
        (path / ".zattrs").write_text(json.dumps({"multiscales": [multiscale | metadata]}))
        chunks = [1] * (array.ndim - 2) + list(array.shape[-2:])
        head = {"zarr_format": 2, "shape": array.shape, "chunks": chunks, "dtype": array.dtype.str, "order": "C"}
        (path / "s0" / ".zarray").write_text(json.dumps(head | {"compressor": None, "fill_value": 0, "filters": None}))
        for place in np.ndindex(array.shape[:-2]):
            (path / "s0" / ".".join(map(str, (*place, 0, 0)))).write_bytes(array[place].tobytes())
        return path

    return make


def changed(make: Make, edit: Callable[[Path], object]) -> Make:
    def make_changed(root: Path) -> Path:
        path = make(root)
        edit(path)
        return path

    return make_changed


def edit_json(name: str, change: Callable[[dict[str, Any]], object]) -> Callable[[Path], None]:
    def edit(path: Path) -> None:
        entries = json.loads((path / name).read_text())
        change(entries)
        (path / name).write_text(json.dumps(entries))

    return edit


def zarr_array(array: np.ndarray, **options: Any) -> Make:
    def make(root: Path) -> Path:
        zarr.create_array(root / "v.zarr", data=array, **options)
        return root / "v.zarr"

    return make


def several_images(root: Path) -> Path:
    """The layout of bioformats2raw: images are groups of a group."""
    outer = root / "outer.zarr"
    outer.mkdir()
    (outer / ".zgroup").write_text('{"zarr_format": 2}')
    (outer / ".zattrs").write_text('{"bioformats2raw.layout": 3}')
    ome_zarr_by_hand(STACK[None, None], "tczyx", [None, None, "micrometer", "micrometer", "micrometer"])(root).rename(
        outer / "0"
    )
    return outer


def appended(zarr_format: int) -> Make:
    """Slices were appended, the unit of z and its scale corrected, after the metadata had been consolidated."""

    def make(root: Path) -> Path:
        path = root / "v.zarr"
        group = zarr.open_group(path, mode="w", zarr_format=zarr_format)
        group.create_array("a/0", data=STACK[:2], chunks=(1, 12, 17))
        group.attrs.update(ome_attributes(zarr_format, "nanometer", 1.0))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that version 3 has no consolidated metadata in its specification
            zarr.consolidate_metadata(path)
        array = zarr.open_array(path / "a/0", mode="r+")
        array.resize(STACK.shape)
        array[2:] = STACK[2:]
        corrected = ome_attributes(zarr_format, "micrometer", 0.5)
        if zarr_format == 2:
            (path / ".zattrs").write_text(json.dumps(corrected))
        else:
            edit_json("zarr.json", lambda entries: entries.update(attributes=corrected))(path)
        return path

    return make


def ome_attributes(zarr_format: int, unit: str, z: float) -> dict[str, Any]:
    axes = [{"name": axis, "type": "space", "unit": unit} for axis in "zyx"]
    scale = [{"type": "scale", "scale": [z, 0.25, 0.125]}]
    image = {"axes": axes, "datasets": [{"path": "a/0", "coordinateTransformations": scale}]}
    if zarr_format == 2:
        return {"multiscales": [image | {"version": "0.4"}]}
    return {"ome": {"version": "0.5", "multiscales": [image]}}


def appended_in_bioformats2raw(root: Path) -> Path:
    (root / "outer.zarr").mkdir()
    appended(2)(root).rename(root / "outer.zarr" / "0")
    (root / "outer.zarr" / ".zgroup").write_text('{"zarr_format": 2}')
    (root / "outer.zarr" / ".zattrs").write_text('{"bioformats2raw.layout": 3}')
    stale = {"metadata": {"0/.zgroup": {"zarr_format": 2}, "0/.zattrs": {}, ".zgroup": {"zarr_format": 2}}}
    (root / "outer.zarr" / ".zmetadata").write_text(json.dumps(stale | {"zarr_consolidated_format": 1}))
    return root / "outer.zarr"


class Trap:
    """Runs a command when it is unpickled."""

    def __reduce__(self) -> tuple[Callable[[str], int], tuple[str]]:
        return os.system, ("touch trap_has_sprung",)


def pickles(path: Path) -> None:
    """Chunks that are pickles, which zarr 2 reads with the codec of that name."""
    edit_json("s0/.zarray", lambda head: head.update(compressor={"id": "pickle"}))(path)
    for chunk in (path / "s0").glob("*.0.0"):
        chunk.write_bytes(Pickle().encode(np.array([Trap()], dtype=object)))


def lengthen(head: Mapping[str, Any]) -> None:
    head["chunks"][:], head["shape"][:] = [2**10, 2**20, 2**20], [2**10, 2**20, 2**20]  # type: ignore[index]


UM = ("micrometer",) * 3
ZARRS: dict[str, Case] = {
    "OME-Zarr 0.4 in micrometres": Case(ome_zarr_by_hand(STACK, units=UM), STACK, (1000, 2000, 4000)),
    "OME-Zarr 0.4 in mixed units": Case(
        ome_zarr_by_hand(STACK, units=("angstrom", "nanometer", "millimeter")), STACK, (0.1, 2, 4e6)
    ),
    "OME-Zarr 0.4 without units": Case(ome_zarr_by_hand(STACK), STACK),
    "OME-Zarr 0.4 with stale consolidated metadata": Case(appended(2), STACK, (500, 250, 125)),
    "OME-Zarr 0.5 with stale consolidated metadata": Case(appended(3), STACK, (500, 250, 125)),
    "OME-Zarr of bioformats2raw with stale consolidated metadata": Case(
        appended_in_bioformats2raw, STACK, (500, 250, 125)
    ),
    "OME-Zarr with consolidated metadata that are no JSON": Case(
        changed(ome_zarr_by_hand(STACK), lambda p: (p / ".zmetadata").write_text("{")), STACK
    ),
    "OME-Zarr whose dataset is its own group": Case(
        changed(
            ome_zarr_by_hand(STACK),
            edit_json(".zattrs", lambda a: a["multiscales"][0]["datasets"][0].update(path=".")),
        ),
        refused=("v.zarr", "no plain name"),
    ),
    "OME-Zarr 0.4 big-endian": Case(ome_zarr_by_hand(STACK.astype(">u2")), STACK),
    "OME-Zarr with a scale for all levels": Case(
        ome_zarr_by_hand(STACK, units=UM, coordinateTransformations=[{"type": "scale", "scale": [3.0, 1.0, 0.5]}]),
        STACK,
        (3000, 2000, 2000),
    ),
    "OME-Zarr of five axes": Case(
        ome_zarr_by_hand(STACK[None, None], "tczyx", ("second", None, *UM)), STACK, (4000, 8000, 16000)
    ),
    "OME-Zarr of a plane": Case(ome_zarr_by_hand(STACK[0], "yx", UM[:2]), STACK[:1], (None, 1000, 2000)),
    "OME-Zarr of bioformats2raw": Case(several_images, STACK, (4000, 8000, 16000)),
    "zarr array that names its axes": Case(zarr_array(STACK, dimension_names=("z", "y", "x")), STACK),
    "zarr 2 array that names its axes": Case(
        zarr_array(STACK, zarr_format=2, attributes={"_ARRAY_DIMENSIONS": ["z", "y", "x"]}), STACK
    ),
    "zarr array that names no axes": Case(zarr_array(STACK), refused=("v.zarr", "which axis is z")),
    "zarr array of other axes": Case(zarr_array(STACK, dimension_names=("x", "y", "z")), refused=("x, y, z",)),
    "OME-Zarr in time": Case(ome_zarr_by_hand(STACK[:, None], "tzyx"), refused=("v.zarr", "5 steps along axis t")),
    "OME-Zarr of transposed axes": Case(ome_zarr_by_hand(STACK, "xyz"), refused=("v.zarr", "z, y, x")),
    "OME-Zarr that is no JSON": Case(
        changed(ome_zarr_by_hand(STACK), lambda p: (p / ".zattrs").write_text("{")),
        refused=("v.zarr", "not a readable"),
    ),
    "OME-Zarr without its array": Case(
        changed(ome_zarr_by_hand(STACK), lambda p: (p / "s0/.zarray").unlink()), refused=("v.zarr", "not a readable")
    ),
    "OME-Zarr with a chunk cut": Case(
        changed(ome_zarr_by_hand(STACK), lambda p: (p / "s0/3.0.0").write_bytes(b"abc")), refused=("v.zarr", "damaged")
    ),
    "OME-Zarr whose array lies elsewhere": Case(
        changed(
            ome_zarr_by_hand(STACK),
            edit_json(".zattrs", lambda a: a["multiscales"][0]["datasets"][0].update(path="../other")),
        ),
        refused=("v.zarr", "outside"),
    ),
    "OME-Zarr of pickles": Case(changed(ome_zarr_by_hand(STACK), pickles), refused=("v.zarr", "can run code")),
    "OME-Zarr with chunks beyond memory": Case(
        changed(ome_zarr_by_hand(STACK), edit_json("s0/.zarray", lengthen)), refused=("v.zarr", "one chunk", "GiB")
    ),
    "OME-Zarr of 64-bit integers": Case(ome_zarr_by_hand(STACK.astype(np.int64)), refused=("v.zarr", "int64")),
    "group without metadata": Case(
        changed(ome_zarr_by_hand(STACK), lambda p: (p / ".zattrs").unlink()),
        refused=("v.zarr", "no OME metadata", "s0"),
    ),
}

# --- HDF5


def hdf5(fill: Callable[[h5py.File], object], dataset: str = "", name: str = "v.h5") -> Make:
    def make(root: Path) -> Path:
        with h5py.File(root / name, "w") as file:
            fill(file)
        return root / f"{name}:{dataset}" if dataset else root / name

    return make


def two_datasets(file: h5py.File) -> None:
    data = file.create_dataset("entry/data", data=STACK, chunks=(1, 12, 17), compression="gzip", shuffle=True)
    data.attrs["element_size_um"] = (0.04, 0.02, 0.01)
    file["other"] = STACK[:2]
    file["positions"] = np.arange(5.0)
    file["table"] = np.zeros((2, 2, 2), "S5")


def sized(size: Any) -> Callable[[h5py.File], None]:
    def fill(file: h5py.File) -> None:
        file["data"] = STACK
        file["data"].attrs["element_size_um"] = size

    return fill


def linked_hdf5(root: Path) -> Path:
    hdf5(lambda file: file.update({"data": STACK}), name="other.h5")(root)
    return hdf5(lambda file: file.update({"data": h5py.ExternalLink("other.h5", "/data")}), "data")(root)


def virtual(there: bool) -> Make:
    def make(root: Path) -> Path:
        hdf5(lambda file: file.update({"data": STACK}), name="source.h5")(root)
        layout = h5py.VirtualLayout(STACK.shape, STACK.dtype)
        layout[:] = h5py.VirtualSource("source.h5", "data", STACK.shape)
        path = hdf5(lambda file: file.create_virtual_dataset("data", layout))(root)
        if not there:
            (root / "source.h5").unlink()
        return path

    return make


def raw_elsewhere(root: Path) -> Path:
    """Voxels that are the bytes of some other file of the machine."""
    (root / "secret").write_bytes(STACK.tobytes())
    where = [(str(root / "secret"), 0, STACK.nbytes)]
    return hdf5(lambda file: file.create_dataset("data", STACK.shape, STACK.dtype, external=where))(root)


def data_exchange(*others: str, theta: Any = range(5), **more: np.ndarray) -> Callable[[h5py.File], None]:
    """Projections as synchrotrons store them, with fields and angles."""

    def fill(file: h5py.File) -> None:
        file["exchange/data"] = STACK
        for other in others:
            file[f"exchange/{other}"] = STACK[:2]
        if theta is not None:
            file["exchange/theta"] = np.float32(theta)
        for name, array in more.items():
            file[name.replace("__", "/")] = array

    return fill


def nxtomo(file: h5py.File) -> None:
    """NeXus's application definition, its data reached by a link."""
    entry = file.create_group("entry1/tomo_entry")
    entry["definition"] = "NXtomo"
    entry["instrument/detector/data"] = STACK
    entry["instrument/detector/image_key"] = np.array([2, 0, 0, 0, 1])
    entry["sample/rotation_angle"] = np.linspace(0, 180, 5)
    entry["data/data"] = h5py.SoftLink("/entry1/tomo_entry/instrument/detector/data")


def with_axes(at: str, axes: Any) -> Callable[[h5py.File], None]:
    """NXdata with named axes, at the dataset or at its group."""

    def fill(file: h5py.File) -> None:
        file["entry/data/data"] = STACK
        file[at].attrs["axes"] = axes

    return fill


def reconstruction_of_nxtomo(file: h5py.File) -> None:
    """As programs for tomography leave them: what was measured, and what it became."""
    nxtomo(file)
    file["entry1/processed/volume"] = STACK[:3]


HDF5S: dict[str, Case] = {
    "HDF5 of projections": Case(
        hdf5(data_exchange("data_white", "data_dark")),
        refused=("v.h5:/exchange/data", "projections", "/exchange/theta", "Reconstruct", "v.h5:/path/to/dataset"),
    ),
    "HDF5 of projections that were cut off": Case(hdf5(data_exchange(theta=range(9))), refused=("projections",)),
    "HDF5 of projections without angles": Case(
        hdf5(data_exchange("data_white", theta=None)), refused=("projections", "/exchange/data_white")
    ),
    "HDF5 of projections by name": Case(
        hdf5(data_exchange("data_white"), "/exchange/data"), refused=("v.h5:/exchange/data", "projections")
    ),
    "HDF5 of white fields by name": Case(
        hdf5(data_exchange("data_white"), "/exchange/data_white"), refused=("projections",)
    ),
    "HDF5 of Data Exchange, reconstructed": Case(hdf5(data_exchange(theta=None)), STACK),
    "HDF5 of projections and their reconstruction": Case(
        hdf5(data_exchange("data_white", exchange__recon=STACK[1:])), STACK[1:]
    ),
    "HDF5 of projections and a volume by name": Case(
        hdf5(data_exchange("data_white", result__a=STACK[1:], result__b=STACK[:3]), "result/b"), STACK[:3]
    ),
    "HDF5 of NXtomo": Case(hdf5(nxtomo, name="v.nxs"), refused=("v.nxs:/entry1", "projections", "image_key")),
    "HDF5 of NXtomo behind a link": Case(
        hdf5(nxtomo, "entry1/tomo_entry/data/data"), refused=("v.h5:/entry1", "projections")
    ),
    "HDF5 of NXtomo and its reconstruction": Case(hdf5(reconstruction_of_nxtomo), STACK[:3]),
    "HDF5 with angles beside it": Case(
        hdf5(lambda f: f.update({"a": STACK, "rotation_angle": np.arange(5.0)})),
        refused=("projections", "/rotation_angle"),
    ),
    "HDF5 of sinograms": Case(
        hdf5(lambda f: f.update({"sinograms": STACK, "theta": np.arange(12.0)})), refused=("projections", "/theta")
    ),
    "HDF5 with other angles beside it": Case(
        hdf5(lambda f: f.update({"a": STACK, "theta": np.arange(180.0), "angle": 90.0})), STACK
    ),
    "HDF5 with axes of angles": Case(hdf5(with_axes("entry/data/data", "theta:y:x")), refused=("axes are theta:y:x",)),
    "HDF5 with axes of angles at the group": Case(
        hdf5(with_axes("entry/data", np.array(["rotation_angle", "y", "x"], "S20"))), refused=("rotation_angle:y:x",)
    ),
    "HDF5 with axes of a volume": Case(hdf5(with_axes("entry/data", np.array(["z", "y", "x"], "S1"))), STACK),
    "HDF5": Case(hdf5(lambda f: f.update({"a/b": STACK})), STACK),
    "HDF5 with a named dataset": Case(hdf5(two_datasets, "/entry/data"), STACK, (40, 20, 10)),
    "HDF5 with the other": Case(hdf5(two_datasets, "other"), STACK[:2]),
    "HDF5 of one size": Case(hdf5(sized(np.float32([0.5, 0.25, 0.125]))), STACK, (500, 250, 125)),
    "HDF5 with a size that is none": Case(hdf5(sized("unknown")), STACK),
    "HDF5 big-endian": Case(hdf5(lambda f: f.update({"a": STACK.astype(">u2")}), name="v.hdf5"), STACK),
    "HDF5 big-endian, half precision": Case(
        hdf5(lambda f: f.update({"a": grey(dtype="float16").astype(">f2")})), grey(dtype="float16").astype(np.float32)
    ),
    "HDF5 of five axes": Case(hdf5(lambda f: f.update({"a": STACK[None, None]}), name="v.nxs"), STACK),
    "HDF5 virtual": Case(virtual(True), STACK),
    "HDF5 with several": Case(hdf5(two_datasets), refused=("v.h5", "2 (", "/entry/data", "/other", "Name one")),
    "HDF5 without any": Case(hdf5(lambda f: f.update({"a": 3})), refused=("v.h5", "0 (none)")),
    "HDF5 without that one": Case(hdf5(two_datasets, "/entry/dta"), refused=("v.h5:/entry/dta", "no such", "/other")),
    "HDF5 group": Case(hdf5(two_datasets, "/entry"), refused=("v.h5:/entry", "a group")),
    "HDF5 of two axes": Case(hdf5(two_datasets, "positions"), refused=("v.h5:/positions", "[Z, Y, X]")),
    "HDF5 of text": Case(hdf5(two_datasets, "table"), refused=("v.h5:/table", "|S5")),
    "HDF5 with a link to another": Case(linked_hdf5, refused=("data", "another file")),
    "HDF5 virtual without its source": Case(virtual(False), refused=("v.h5:/data", "source.h5 is missing")),
    "HDF5 with voxels elsewhere": Case(raw_elsewhere, refused=("v.h5:/data", "another file")),
    "HDF5 cut": Case(cut(hdf5(lambda f: f.update({"a": grey((9, 40, 50))})), 0.7), refused=("v.h5", "cannot be read")),
    "HDF5 of nothing": Case(content(b"", "v.h5"), refused=("v.h5", "0 bytes")),
    "TIFF named HDF5": Case(changed(lambda r: tiff(STACK)(r).rename(r / "v.h5"), lambda p: None), refused=("is TIFF",)),
    "text named HDF5": Case(content(b"time,value\n", "v.h5"), refused=("v.h5", "cannot be read")),
    "no HDF5": Case(lambda root: root / "none.h5:/data", refused=("none.h5", "no such file")),
}

# --- MRC


def mrc(array: np.ndarray, voxel_size_angstrom: float | None = None, name: str = "v.mrc") -> Make:
    def make(root: Path) -> Path:
        with mrcfile.new(root / name, array) as file:
            if voxel_size_angstrom:
                file.voxel_size = voxel_size_angstrom
        return root / name

    return make


def mrc_by_hand(
    array: np.ndarray, mode: int, size: tuple[float, float, float] = (0, 0, 0), *, order: str = "<",
    extra: bytes = b"", kind: bytes = b"", stamp: bytes = b"", axes: tuple[int, int, int] = (1, 2, 3),
    limits: tuple[float, float] = (0, 0), version: int = 0, space_group: int = 1, depth: int | None = None,
    name: bytes = b"MAP ", machine: bytes | None = None, bits: int | None = None,
) -> Make:  # fmt: skip
    """An MRC2014 file from its specification.

    Args:
        array: [Z, Y, X].
        mode: of its voxels.
        size: of the whole cell, x, y, z in angstrom.
        order: of bytes.
        extra: the extended header, of this `kind`.
        stamp: IMOD's, in the byte order of the file.
        axes: of columns, rows and sections.
        limits: minimum and maximum.
        version: 20140 and later for MRC2014.
        space_group: 0 for images, 1 for a volume, 401 for a stack of volumes.
        depth: sections of a volume of a stack.
        name: `MAP `, but in files of before 2000.
        machine: its stamp; that of the byte order if none is given.
        bits: of a voxel, where not those of the array.
    """

    def make(root: Path) -> Path:
        nz, ny, nx = array.shape
        nx = nx if bits is None else nx * 8 * array.itemsize // bits
        header = struct.pack(f"{order}10i", nx, ny, nz, mode, 0, 0, 0, nx, ny, nz if depth is None else depth)
        header += struct.pack(f"{order}6f3i3fii", *size, 90, 90, 90, *axes, *limits, 0, space_group, len(extra))
        header = header.ljust(104, b"\0") + kind.ljust(4, b"\0") + struct.pack(f"{order}i", version)
        header = header.ljust(152, b"\0") + stamp
        own = b"DD\0\0" if order == "<" else b"\x11\x11\0\0"
        header = header.ljust(208, b"\0") + name + (own if machine is None else machine)
        data = array.astype(array.dtype.newbyteorder(order)).tobytes()
        (root / "v.mrc").write_bytes(header.ljust(1024, b"\0") + extra + data)
        return root / "v.mrc"

    return make


def packed_mrc(root: Path) -> Path:
    path = mrc(STACK)(root)
    (root / "v.mrc.gz").write_bytes(gzip.compress(path.read_bytes()))
    return root / "v.mrc.gz"


FLOATS = grey(dtype="float32")
SIGNED = grey(dtype="int8")
DARK = BYTES >> 1  # 0 to 127: the same with and without a sign


def imod(flags: int, order: str = "<") -> bytes:
    return struct.pack(f"{order}ii", 1146047817, flags)


def longer(make: Callable[[Path], Path]) -> Callable[[Path], Path]:
    """The same file with bytes behind it."""

    def appended(folder: Path) -> Path:
        path = make(folder)
        path.write_bytes(path.read_bytes() + bytes(240))
        return path

    return appended


NOT_MEASURED = np.where(np.arange(24).reshape(2, 3, 4) % 4, 7, np.nan).astype(np.float32)
MRCS: dict[str, Case] = {
    **{
        f"MRC {dtype}": Case(mrc(grey(dtype=dtype)), grey(dtype=dtype))
        for dtype in ("int8", "int16", "uint16", "float32")
    },
    "MRC in angstrom": Case(mrc(STACK, 250.0), STACK, (25, 25, 25)),
    "MRC of unequal sides": Case(mrc_by_hand(FLOATS, 2, (17 * 100, 12 * 200, 5 * 400)), FLOATS, (40, 20, 10)),
    "MRC big-endian": Case(mrc_by_hand(FLOATS, 2, (0, 0, 0), order=">"), FLOATS),
    "MRC with an extended header": Case(mrc_by_hand(STACK, 6, (0, 0, 0), extra=bytes(512)), STACK),
    "MRC of IMOD, unsigned bytes": Case(mrc_by_hand(BYTES, 0, (17.0, 12.0, 5.0), stamp=imod(0)), BYTES),
    "MRC of IMOD, signed bytes": Case(mrc_by_hand(SIGNED, 0, stamp=imod(1), limits=(-128, 127)), SIGNED),
    "MRC of IMOD, big-endian": Case(mrc_by_hand(BYTES, 0, stamp=imod(0, ">"), limits=(0, 255), order=">"), BYTES),
    "MRC of IMOD before its stamp": Case(mrc_by_hand(BYTES, 0, limits=(0, 255)), BYTES),
    "MRC of bytes of ITK": Case(itk(BYTES, "v.mrc"), BYTES),
    "MRC of the standard, signed bytes": Case(mrc_by_hand(SIGNED, 0, limits=(-128, 127), version=20140), SIGNED),
    "MRC of another name": Case(mrc_by_hand(STACK, 6, name=b"MAP\0"), STACK),
    "MRC of before 2000": Case(mrc_by_hand(FLOATS, 2, name=bytes(4), machine=bytes(4)), FLOATS),
    "MRC of before 2000, big-endian": Case(mrc_by_hand(FLOATS, 2, order=">", name=bytes(4), machine=bytes(4)), FLOATS),
    "MRC of before 2000 with an origin there": Case(
        mrc_by_hand(FLOATS, 2, name=struct.pack("<f", 9.5), machine=struct.pack("<f", 7.5)), FLOATS
    ),
    **{
        f"MRC with the machine stamp {machine.hex()}, {order}": Case(
            mrc_by_hand(STACK, 6, (1700, 2400, 2000), order=order, machine=machine), STACK, (40, 20, 10)
        )
        for machine in (b"DA\0\0", b"DD\0\0", b"\x11\x11\0\0", bytes(4), b"4\x12\0\0")
        for order in "<>"
    },
    "MRC of images": Case(mrc_by_hand(STACK, 6, (170, 240, 40), space_group=0, depth=1), STACK, (4, 2, 1)),
    "MRC of one image": Case(mrc_by_hand(STACK[:1], 6, space_group=0), STACK[:1]),
    "MRC of one volume of a stack": Case(
        mrc_by_hand(STACK, 6, (1700, 2400, 2000), space_group=401), STACK, (40, 20, 10)
    ),
    "MRC with 16-bit numbers for the space group": Case(mrc_by_hand(STACK, 6, space_group=1 | 7 << 16), STACK),
    **{
        f"MRC with an extended header {kind.decode()}": Case(
            mrc_by_hand(STACK, 6, extra=bytes(range(250)), kind=kind, version=20141), STACK
        )
        for kind in (b"FEI1", b"FEI2", b"SERI", b"AGAR", b"CCP4", b"MRCO", b"HDF5", b"none")
    },
    "MRC without its grid": Case(mrc_by_hand(STACK, 6, (0, 0, 0), depth=0), STACK),
    "MRC of unknown distance": Case(mrc_by_hand(STACK, 6, (170, 240, 0)), STACK, (None, 2, 1)),
    "MRC of axes that nobody wrote": Case(mrc_by_hand(STACK, 6, axes=(0, 0, 0)), STACK),
    "MRC of several volumes": Case(
        mrc_by_hand(grey((6, 4, 5)), 6, space_group=401, depth=2), refused=("v.mrc", "a stack of volumes of 2 sections")
    ),
    "MRC of 4 bits": Case(mrc_by_hand(BYTES, 101, bits=4), refused=("v.mrc", "mode 101", "4 bits", "newstack")),
    "MRC of 4 bits in bytes": Case(
        mrc_by_hand(BYTES, 0, stamp=imod(16), limits=(0, 15)), refused=("v.mrc", "mode 0", "4 bits")
    ),
    "MRC in colour": Case(mrc_by_hand(BYTES[..., :15], 16, bits=24), refused=("v.mrc", "mode 16", "colours")),
    "MRC of complex integers": Case(mrc_by_hand(FLOATS, 3), refused=("v.mrc", "mode 3", "complex")),
    "MRC of an unknown mode": Case(mrc_by_hand(FLOATS, 7), refused=("v.mrc", "no MRC header")),
    "MRC of before 2000, cut": Case(
        cut(mrc_by_hand(FLOATS, 2, name=bytes(4), machine=bytes(4)), 0.8), refused=("v.mrc", "no MRC header")
    ),
    "MRC of ITK": Case(itk(FLOATS, "v.mrc", (40.0, 20.0, 10.0)), FLOATS, (4, 2, 1)),
    "MRC half precision": Case(mrc(grey(dtype="float16")), grey(dtype="float16").astype(np.float32)),
    "MRC of one section": Case(mrc(STACK[0]), STACK[:1]),
    "MRC longer than it says": Case(longer(mrc(STACK)), refused=("v.mrc", "larger than expected")),
    "MRC complex": Case(mrc(STACK.astype(np.complex64)), refused=("v.mrc", "mode 4", "complex")),
    "MRC cut": Case(cut(mrc(STACK), 0.7), refused=("v.mrc", "damaged or cut short")),
    "MRC cut in the header": Case(cut(mrc(STACK), 0.1), refused=("v.mrc", "damaged or cut short")),
    "MRC of turned axes": Case(mrc_by_hand(FLOATS, 2, (0, 0, 0), axes=(3, 2, 1)), refused=("v.mrc", "(3, 2, 1)")),
    "MRC with NaN": Case(mrc_by_hand(NOT_MEASURED, 2, (0, 0, 0)), NOT_MEASURED),
    "MRC with infinite voxels": Case(
        mrc_by_hand(np.full((2, 3, 4), np.inf, np.float32), 2, (0, 0, 0)), refused=("v.mrc", "infinite")
    ),
    "MRC compressed": Case(packed_mrc, refused=("v.mrc.gz", "Unpack it")),
    "MRC of nothing": Case(content(b"", "v.mrc"), refused=("v.mrc", "0 bytes")),
    "text named MRC": Case(content(b"x" * 5000, "v.rec"), refused=("v.rec", "damaged")),
}

# --- Zeiss


def zeiss(array: np.ndarray, kind: int, name: str = "v.txm", **streams: bytes | None) -> Make:
    """Streams as Xradia's software names them; `streams` replace or, with None, drop some of `ImageInfo`."""

    def make(root: Path) -> Path:
        depth, height, width = array.shape
        numbers = {"ImageHeight": height, "ImageWidth": width, "NoOfImages": depth, "ImagesTaken": depth}
        info = {key: struct.pack("<i", value) for key, value in {**numbers, "DataType": kind}.items()}
        info["PixelSize"] = struct.pack("<f", 0.065)
        kept = {f"ImageInfo/{key}": value for key, value in {**info, **streams}.items() if value is not None}
        kept["Version"] = struct.pack("<f", 5.0)
        planes = {f"ImageData{z // 100 + 1}/Image{z + 1}": plane.tobytes() for z, plane in enumerate(array)}
        write_compound_file(root / name, kept | planes)
        return root / name

    return make


LARGE = grey((3, 60, 70))  # planes that do not fit the mini stream
ANGLES = struct.pack("<3f", -60, 0, 60)
ZEISSES: dict[str, Case] = {
    "Zeiss .txm": Case(zeiss(LARGE, 5), LARGE, (65, 65, 65)),
    "Zeiss .txm of floats": Case(zeiss(FLOATS, 10), FLOATS, (65, 65, 65)),
    "Zeiss .txm of bytes, unknown size": Case(zeiss(BYTES, 3, PixelSize=None), BYTES),
    "Zeiss .txm of more than a hundred slices": Case(zeiss(grey((203, 5, 6)), 5), grey((203, 5, 6)), (65, 65, 65)),
    "Zeiss .txrm of slices": Case(zeiss(STACK, 5, "v.txrm"), STACK, (65, 65, 65)),
    "Zeiss .txrm of projections": Case(
        zeiss(LARGE, 5, "v.txrm", Angles=ANGLES), refused=("v.txrm", "projections", "-60 to 60")
    ),
    "Zeiss, not finished": Case(
        zeiss(LARGE, 5, NoOfImages=struct.pack("<i", 9)), refused=("v.txm", "9 slices are announced, 3 were written")
    ),
    "Zeiss, a slice missing": Case(
        zeiss(LARGE, 5, NoOfImages=struct.pack("<i", 4), ImagesTaken=None), refused=("v.txm", "Image4")
    ),
    "Zeiss of an unknown type": Case(zeiss(LARGE, 99), refused=("v.txm", "data type 99")),
    "Zeiss without a header": Case(zeiss(LARGE, 5, ImageWidth=None), refused=("v.txm", "damaged")),
    "Zeiss cut": Case(cut(zeiss(LARGE, 5), 0.4), refused=("v.txm", "damaged or cut short")),
    "Zeiss beyond memory": Case(
        zeiss(LARGE, 5, ImageWidth=struct.pack("<i", 2**30), ImageHeight=struct.pack("<i", 2**20)), refused=("GiB",)
    ),
    "TIFF named .txm": Case(lambda root: tiff(STACK)(root).rename(root / "v.txm"), refused=("v.txm", "is TIFF")),
    "text named .txm": Case(content(b"x" * 5000, "v.txm"), refused=("v.txm", "damaged")),
}

VOLUMES = FOLDERS | ZARRS | HDF5S | MRCS | ZEISSES
