"""TIFF stacks and planes as tifffile, Pillow (libtiff), ITK and hands write them."""

from __future__ import annotations

import struct
import warnings
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import SimpleITK
import tifffile
from case import Case, cut, grey
from PIL import Image

STACK = grey()
BYTES = grey(dtype="uint8")
PLANE = grey((12, 17))


def tiff(array: np.ndarray, name: str = "v.tif", **options: Any) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        tifffile.imwrite(folder / name, array, **{"photometric": "minisblack", "metadata": None} | options)
        return folder / name

    return make


def imagej(array: np.ndarray, resolution: float = 4.0, **metadata: Any) -> Callable[[Path], Path]:
    """ImageJ's format; `resolution` in pixels a unit."""
    return tiff(array, imagej=True, photometric=None, resolution=(resolution, resolution * 2), metadata=metadata)


def ome(array: np.ndarray, axes: str, name: str = "v.ome.tif", **metadata: Any) -> Callable[[Path], Path]:
    return tiff(array, name, ome=True, metadata={"axes": axes, **metadata})


def with_xml(xml: str) -> Callable[[Path], Path]:
    """A TIFF with a description of one's own."""
    return tiff(STACK, "v.ome.tif", description=xml)


def pillow(planes: np.ndarray | list[Image.Image], name: str = "v.tif", **options: Any) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        images = [plane if isinstance(plane, Image.Image) else Image.fromarray(plane) for plane in planes]
        images[0].save(folder / name, save_all=len(images) > 1, append_images=images[1:], **options)
        return folder / name

    return make


def itk(array: np.ndarray, name: str, spacing: tuple[float, ...] | None = None) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        image = SimpleITK.GetImageFromArray(array)
        if spacing:
            image.SetSpacing(spacing[::-1])
        SimpleITK.WriteImage(image, str(folder / name))
        return folder / name

    return make


def by_hand(
    width: int, height: int, bits: int, strip: bytes, name: str = "v.tif", *, compression: int = 1, photometric: int = 1
) -> Callable[[Path], Path]:
    """A TIFF of one strip, from the specification (TIFF 6.0, Adobe 1992)."""

    def make(folder: Path) -> Path:
        tags = [(256, 4, width), (257, 4, height), (258, 3, bits), (259, 3, compression), (262, 3, photometric)]
        tags += [(273, 4, 8), (277, 3, 1), (278, 4, height), (279, 4, len(strip))]
        start = 8 + len(strip) + len(strip) % 2
        entries = b"".join(struct.pack("<HHII", tag, kind, 1, value) for tag, kind, value in tags)
        directory = struct.pack("<H", len(tags)) + entries + struct.pack("<I", 0)
        (folder / name).write_bytes(struct.pack("<2sHI", b"II", 42, start) + strip.ljust(start - 8, b"\0") + directory)
        return folder / name

    return make


def packed_12_bit(plane: np.ndarray) -> bytes:
    """Two pixels in three bytes, the higher bits first; each row starts at a byte."""
    rows = []
    for row in plane:
        bits = "".join(f"{value:012b}" for value in row)
        rows.append(int(bits.ljust(-(-len(bits) // 8) * 8, "0"), 2).to_bytes(-(-len(bits) // 8), "big"))
    return b"".join(rows)


def differing_pages(folder: Path) -> Path:
    with tifffile.TiffWriter(folder / "v.tif") as writer:
        for shape in ((12, 17), (12, 17), (12, 18), (12, 17), (12, 17)):
            writer.write(grey(shape), photometric="minisblack", metadata=None)
    return folder / "v.tif"


def a_page_of_another_depth(folder: Path) -> Path:
    with tifffile.TiffWriter(folder / "v.tif") as writer:
        for dtype in ("uint16", "uint16", "uint16", "uint8", "uint16", "uint16"):
            writer.write(grey((12, 17), dtype), photometric="minisblack", metadata=None, compression="zlib")
    return folder / "v.tif"


def ome_of_two_files(folder: Path) -> Path:
    """Three of five planes in this file, two in another."""
    tifffile.imwrite(folder / "second.ome.tif", STACK[3:], photometric="minisblack", metadata=None)
    planes = "".join(
        f'<TiffData IFD="{z if z < 3 else z - 3}" FirstZ="{z}" PlaneCount="1"><UUID '
        f'FileName="{"v" if z < 3 else "second"}.ome.tif">urn:uuid:{1 if z < 3 else 2}</UUID></TiffData>'
        for z in range(5)
    )
    return tiff(STACK[:3], "v.ome.tif", description=ome_xml(planes))(folder)


def ome_xml(planes: str = "<TiffData/>", *, start: str = "", name: str = "v", sizes: str = "") -> str:
    return (
        f'<?xml version="1.0"?>{start}<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06" '
        f'UUID="urn:uuid:1"><Image ID="Image:0" Name="{name}"><Pixels ID="Pixels:0" DimensionOrder="XYZCT" '
        f'Type="uint16" SizeX="17" SizeY="12" SizeZ="5" SizeC="1" SizeT="1" {sizes}>'
        f"{planes}</Pixels></Image></OME>"
    )


def laughs() -> str:
    """A billion laughs: ten entities, each ten times the one before."""
    entities = '<!ENTITY a0 "ha">' + "".join(f'<!ENTITY a{i} "{f"&a{i - 1};" * 10}">' for i in range(1, 10))
    return ome_xml(start=f"<!DOCTYPE OME [{entities}]>", name="&a9;")


def outside_entity() -> str:
    return ome_xml(start='<!DOCTYPE OME [<!ENTITY x SYSTEM "file:///etc/hostname">]>', name="&x;")


def renamed_ome(folder: Path) -> Path:
    """Names itself by its old name, with its own identifier: nothing is missing."""
    planes = "".join(
        f'<TiffData IFD="{z}" FirstZ="{z}" PlaneCount="1"><UUID FileName="old.ome.tif">urn:uuid:1</UUID></TiffData>'
        for z in range(5)
    )
    return tiff(STACK, "v.ome.tif", description=ome_xml(planes))(folder)


def grey_palette() -> Image.Image:
    image = Image.fromarray(BYTES[0], mode="L").convert("P")
    image.putpalette([level for level in range(256) for _ in range(3)])
    return image


def colour_palette() -> Image.Image:
    image = grey_palette()
    image.putpalette([level for i in range(256) for level in (i, 255 - i, (i * 7) % 256)])
    return image


def with_value(value: float) -> np.ndarray:
    array = grey(dtype="float32")
    array[3, 4, 5] = value
    return array


def content(data: bytes, name: str = "v.tif") -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        (folder / name).write_bytes(data)
        return folder / name

    return make


def renamed(make: Callable[[Path], Path], name: str) -> Callable[[Path], Path]:
    return lambda folder: make(folder).rename(folder / name)


JPEG = np.add.outer(np.arange(48), np.arange(64)).astype(np.uint8)  # smooth, so that little is lost
BOMB = zlib.compress(bytes(300_000_000), 9)  # 0.3 MB that become 300 MB
warnings.filterwarnings("ignore", message=".*mode.*deprecated", category=DeprecationWarning)

STACKS: dict[str, Case] = {
    **{
        f"{dtype} stack": Case(tiff(grey(dtype=dtype)), grey(dtype=dtype))
        for dtype in ("uint8", "int8", "uint16", "int16", "uint32", "int32", "float32", "float64")
    },
    "half precision": Case(tiff(grey(dtype="float16")), grey(dtype="float16").astype(np.float32)),
    "half precision, big-endian": Case(
        tiff(grey(dtype="float16"), byteorder=">"), grey(dtype="float16").astype(np.float32)
    ),
    **{
        f"{kind} compressed": Case(tiff(STACK, compression=kind), STACK)
        for kind in ("lzw", "zlib", "zstd", "packbits", "lzma", "png", "jpegxl")
    },
    "with predictor": Case(tiff(STACK, compression="lzw", predictor=True), STACK),
    "float with predictor": Case(tiff(grey(dtype="float32"), compression="zlib", predictor=3), grey(dtype="float32")),
    "JPEG compressed": Case(
        pillow([Image.fromarray(JPEG)] * 2, compression="jpeg", quality=95), np.stack([JPEG] * 2), tolerance=6
    ),
    "tiled": Case(tiff(grey((5, 40, 50)), tile=(16, 32)), grey((5, 40, 50))),
    "tiled and compressed": Case(tiff(grey((5, 40, 50)), tile=(16, 32), compression="zstd"), grey((5, 40, 50))),
    "striped": Case(tiff(STACK, rowsperstrip=5), STACK),
    "big-endian": Case(tiff(STACK, byteorder=">"), STACK),
    "big-endian float, compressed": Case(
        tiff(grey(dtype="float32"), byteorder=">", compression="zlib"), grey(dtype="float32")
    ),
    "BigTIFF": Case(tiff(STACK, bigtiff=True), STACK),
    "big-endian BigTIFF": Case(tiff(STACK, bigtiff=True, byteorder=">"), STACK),
    "one page and data behind it": Case(imagej(STACK, axes="ZYX", spacing=0.5, unit="um"), STACK, (500, 125, 250)),
    "Pillow's": Case(pillow(list(STACK)), STACK),
    "Pillow's LZW": Case(pillow(list(BYTES), compression="tiff_lzw"), BYTES),
    "ITK's": Case(itk(STACK, "v.tif"), STACK),
    "12 in 16 bit": Case(tiff(STACK >> 4), STACK >> 4),
    "packed 12 bit": Case(by_hand(17, 12, 12, packed_12_bit(PLANE >> 4)), (PLANE >> 4)[None]),
    "1 bit": Case(
        pillow([Image.fromarray(p > 99) for p in BYTES], compression="group4"), ((BYTES > 99) * 255).astype(np.uint8)
    ),
    "white is zero": Case(tiff(BYTES, photometric="miniswhite"), 255 - BYTES),
    "white is zero, 16 bit": Case(tiff(STACK, photometric="miniswhite"), 65535 - STACK),
    "white is zero, with sign": Case(
        tiff(STACK.astype(np.int16), photometric="miniswhite"), (-1 - STACK.astype(np.int16)).astype(np.int16)
    ),
    "white is zero, floats": Case(tiff(STACK.astype(np.float32), photometric="miniswhite"), -STACK.astype(np.float32)),
    "white is zero, packed 12 bit": Case(
        by_hand(17, 12, 12, packed_12_bit(PLANE >> 4), photometric=0), (4095 - (PLANE >> 4))[None]
    ),
    "grey palette": Case(pillow([grey_palette()]), BYTES[:1]),
    "one slice": Case(tiff(STACK[:1]), STACK[:1]),
    "one plane": Case(tiff(PLANE), PLANE[None]),
    "one pixel": Case(tiff(STACK[:1, :1, :1]), STACK[:1, :1, :1]),
    "constant": Case(tiff(np.full((3, 9, 9), 7, np.uint16)), np.full((3, 9, 9), 7, np.uint16)),
    "65,536 wide": Case(tiff(grey((2, 3, 65536))), grey((2, 3, 65536))),
    "65,536 high, compressed": Case(tiff(grey((1, 65536, 2)), compression="zlib"), grey((1, 65536, 2))),
    "name with spaces and accents": Case(tiff(STACK, "Coupe né 3 µm (ü).tif"), STACK),
    "upper case suffix": Case(tiff(STACK, "V.TIFF"), STACK),
    # --- sizes
    "size in centimetres": Case(
        tiff(STACK, resolution=(2e5, 1e5), resolutionunit="CENTIMETER"), STACK, (None, 100, 50)
    ),
    "size in inches": Case(tiff(STACK, resolution=(2.54e5, 5.08e5), resolutionunit="INCH"), STACK, (None, 50, 100)),
    "dots for printing": Case(tiff(STACK, resolution=(72, 72), resolutionunit="INCH"), STACK, None),
    "ImageJ hyperstack in nm": Case(
        imagej(STACK[None, :, None], 0.25, axes="TZCYX", spacing=7, unit="nm"), STACK, (7, 2, 4)
    ),
    "ImageJ in micron": Case(imagej(STACK, 2, axes="ZYX", spacing=0.5, unit="micron"), STACK, (500, 250, 500)),
    "ImageJ's slices as channels": Case(imagej(STACK, axes="CYX", unit="um"), STACK, (None, 125, 250)),
    "OME in nm": Case(
        ome(
            STACK,
            "ZYX",
            PhysicalSizeX=2,
            PhysicalSizeXUnit="nm",
            PhysicalSizeY=3,
            PhysicalSizeYUnit="nm",
            PhysicalSizeZ=4,
            PhysicalSizeZUnit="nm",
        ),
        STACK,
        (4, 3, 2),
    ),
    "OME in mixed units": Case(
        ome(
            STACK,
            "ZYX",
            PhysicalSizeX=20,
            PhysicalSizeXUnit="Å",
            PhysicalSizeY=0.5,
            PhysicalSizeZ=1e-3,
            PhysicalSizeZUnit="mm",
        ),
        STACK,
        (1000, 500, 2),
    ),
    "OME in pixels": Case(
        ome(STACK, "ZYX", PhysicalSizeX=1, PhysicalSizeXUnit="pixel", PhysicalSizeY=1, PhysicalSizeYUnit="pixel"),
        STACK,
        None,
    ),
    "OME of five axes": Case(ome(STACK[None, None], "TCZYX"), STACK),
    "OME, z before the channel": Case(ome(STACK[:, None], "ZCYX"), STACK),
    "OME that was renamed": Case(renamed_ome, STACK),
    "OME with a pyramid's name": Case(
        ome(STACK, "ZYX", "v.ome.btf.tif", PhysicalSizeX=2, PhysicalSizeY=2), STACK, (None, 2000, 2000)
    ),
    # --- refused
    "zero bytes": Case(content(b""), refused=("v.tif", "0 bytes")),
    "text": Case(content(b"not an image at all"), refused=("v.tif", "cannot be read")),
    "PNG named TIFF": Case(
        renamed(pillow([Image.fromarray(PLANE)], "v.png"), "v.tif"), refused=("v.tif", "content is PNG")
    ),
    "HDF5 named TIFF": Case(content(b"\x89HDF\r\n\x1a\n" + bytes(90)), refused=("v.tif", "content is HDF5")),
    "suffix of no volume": Case(content(b"abc", "v.raw"), refused=("v.raw", "a volume is")),
    **{f"cut at {share:.0%}": Case(cut(tiff(STACK), share), refused=("v.tif",)) for share in (0.02, 0.3, 0.8, 0.97)},
    **{
        f"{kind} cut": Case(cut(tiff(STACK, compression=kind), 0.6), refused=("v.tif",))
        for kind in ("lzw", "zlib", "zstd")
    },
    "tiled, cut": Case(cut(tiff(grey((5, 40, 50)), tile=(16, 32)), 0.6), refused=("v.tif",)),
    "ImageJ's, cut": Case(cut(imagej(STACK, axes="ZYX"), 0.8), refused=("v.tif", "damaged")),
    "RGB": Case(pillow([Image.new("RGB", (9, 8), "teal")]), refused=("v.tif", "colour")),
    "RGB planes": Case(tiff(grey((3, 9, 8), "uint8"), photometric="rgb", planarconfig="separate"), refused=("colour",)),
    "RGB JPEG": Case(pillow([Image.new("RGB", (32, 32), "teal")], compression="jpeg"), refused=("v.tif", "colour")),
    "RGBA": Case(pillow([Image.new("RGBA", (9, 8))]), refused=("v.tif", "colour")),
    "grey with alpha": Case(pillow([Image.new("LA", (9, 8))]), refused=("v.tif", "colour")),
    "CMYK": Case(pillow([Image.new("CMYK", (9, 8))]), refused=("v.tif", "colour")),
    "palette": Case(pillow([colour_palette()]), refused=("v.tif", "palette", "Grays")),
    "NaN": Case(tiff(with_value(np.nan)), with_value(np.nan)),
    "infinite": Case(tiff(with_value(np.inf)), refused=("v.tif",)),
    "complex": Case(tiff(STACK.astype(np.complex64)), refused=("v.tif", "complex64")),
    "64-bit integers": Case(tiff(STACK.astype(np.int64)), refused=("v.tif", "int64")),
    "two channels of ImageJ": Case(imagej(STACK[:4].reshape(2, 2, 12, 17), axes="ZCYX"), refused=("2 channels",)),
    "three channels of ImageJ": Case(imagej(STACK[:3], axes="CYX"), refused=("3 channels", "Re-order")),
    "frames of ImageJ": Case(imagej(STACK, axes="TYX"), refused=("5 points in time", "Re-order")),
    "channels of OME": Case(ome(STACK[:4].reshape(2, 2, 12, 17), "CZYX"), refused=("2 channels",)),
    "times of OME": Case(ome(STACK, "TYX"), refused=("5 points in time",)),
    "OME of two files": Case(ome_of_two_files, refused=("v.ome.tif", "one of several files", "second.ome.tif")),
    "OME that names a file elsewhere": Case(
        with_xml(ome_xml('<TiffData><UUID FileName="../../secret.tif">urn:uuid:9</UUID></TiffData>')),
        refused=("v.ome.tif", "several files"),
    ),
    "OME that is no XML": Case(with_xml("<?xml version='1.0'?><OME><Image></OME>"), refused=("v.ome.tif", "OME-XML")),
    "OME of more planes than there are": Case(
        with_xml(ome_xml().replace('SizeZ="5"', 'SizeZ="9"')), refused=("v.ome.tif",)
    ),
    "billion laughs": Case(with_xml(laughs()), refused=("v.ome.tif", "entities")),
    "entity of another file": Case(with_xml(outside_entity()), refused=("v.ome.tif", "entities")),
    "pages that differ": Case(differing_pages, refused=("v.tif", "agree")),
    "a page of another depth": Case(a_page_of_another_depth, refused=("v.tif", "agree")),
    "page beyond memory": Case(
        by_hand(2**20, 2**20, 8, BOMB[:4000], compression=8), refused=("v.tif", "GiB", "allowed")
    ),
    "strip that unpacks to more": Case(by_hand(64, 64, 8, BOMB, compression=8), refused=("v.tif", "cannot be read")),
    "zstd strip that unpacks to more": Case(
        by_hand(64, 64, 8, imagecodecs.zstd_encode(bytes(300_000_000)), compression=50000), refused=("v.tif",)
    ),
    "LZMA strip that unpacks to more": Case(
        by_hand(64, 64, 8, imagecodecs.lzma_encode(bytes(300_000_000)), compression=34925),
        np.zeros((1, 64, 64), np.uint8),
    ),
}
