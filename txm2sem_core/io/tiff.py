"""What every TIFF is checked for before a pixel is read, and how a page becomes grey levels."""

from __future__ import annotations

import logging
import math
import re
import struct
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import tifffile
from tifffile import PHOTOMETRIC

from txm2sem_core.errors import InputError
from txm2sem_core.io.codestreams import IMAGE_COMPRESSIONS, declared_pixels
from txm2sem_core.io.guards import check_fits, check_pieces
from txm2sem_core.io.stated_levels import check_page

TIFF_SUFFIXES = (".tif", ".tiff")
# none, the three of CCITT, LZW, deflate (8, 32946), PackBits, LZMA, zstd, and codecs of images; what they unpack to is
# bounded while they are unpacked
READ_COMPRESSIONS = (1, 2, 3, 4, 5, 8, 32773, 32946, 34925, 50000, *IMAGE_COMPRESSIONS)
# kinds of microscopes for light and of scanners, which tifffile reads in ways of their own, not all within one file
_OTHER_KINDS = ("lsm", "fluoview", "svs", "scn", "qpi", "ndpi", "bif", "avs", "eer", "philips", "scanimage", "mdgel")
_MOST_PLANES = 2**20
KEPT_DTYPES = ("uint8", "uint16", "uint32", "int8", "int16", "int32", "float32", "float64")
# what damaged files raise: in tifffile, its decoders, and numpy
DAMAGE = (
    tifffile.TiffFileError,
    struct.error,
    ValueError,
    OSError,
    LookupError,
    RuntimeError,
    TypeError,
    AttributeError,
    ArithmeticError,
    MemoryError,
)
_MAGIC = {
    b"\x89PNG": "PNG",
    b"\xff\xd8\xff": "JPEG",
    b"\x89HDF": "HDF5",
    b"PK\x03\x04": "ZIP",
    b"\xd0\xcf\x11\xe0": "Zeiss or Microsoft compound",
    b"II*\0": "TIFF",
    b"MM\0*": "TIFF",
    b"II+\0": "TIFF",
    b"MM\0+": "TIFF",
    b"GIF8": "GIF",
    b"BM": "BMP",
    b"%PDF": "PDF",
}
logging.getLogger("tifffile").addHandler(logging.NullHandler())  # what it logs of damage is raised here


def check_content(path: Path, *expected: str) -> None:
    """See that a file is there, is not empty, and is of the kind that its suffix promises.

    Args:
        path: the file.
        expected: kinds (`TIFF`, `PNG`); another known kind is refused. What is not known is left to the reader.

    Raises:
        InputError: it is none of this.
    """
    if not path.is_file():
        if path.is_symlink() and not path.exists():
            raise InputError(f"{path}: this symbolic link leads nowhere, or in a circle. Correct or remove it.")
        if path.exists():
            raise InputError(f"{path}: this is not a file, but a folder, a pipe or a device. Check it.")
        raise InputError(f"{path}: there is no such file. Check the path.")
    try:
        with path.open("rb") as file:
            start = file.read(8)
    except OSError as error:
        raise InputError(f"{path}: this file may not be read ({error.strerror}). Change its rights.") from error
    if not start:
        raise InputError(f"{path}: this file is empty (0 bytes). Copy or export it again.")
    kind = next((kind for magic, kind in _MAGIC.items() if start.startswith(magic)), None)
    if kind is not None and expected and kind not in expected:
        raise InputError(
            f"{path}: its name says {' or '.join(expected)}, its content is {kind}. Give it the suffix of what it is."
        )


def damaged(path: Path, error: BaseException, what: str = "this image") -> InputError:
    """The message for what a library raised; always one line."""
    reason = str(error) if isinstance(error, tifffile.TiffFileError) else f"{type(error).__name__}: {error}"
    reason = " ".join(reason.split())[:200]
    return InputError(
        f"{path}: {what} cannot be read, it is damaged or not what its name says ({reason}). Export it again."
    )


def check_whole(tiff: tifffile.TiffFile) -> None:
    """Raise `TiffFileError` if the last page names a next one: the file was cut short, which tifffile only logs."""
    if not len(tiff.pages):
        raise tifffile.TiffFileError("it holds no page")
    layout, stream = tiff.tiff, tiff.filehandle
    last = tiff.pages[-1]
    stream.seek(last.offset)
    (tags,) = struct.unpack(layout.tagnoformat, stream.read(layout.tagnosize))
    stream.seek(last.offset + layout.tagnosize + tags * layout.tagsize)
    (following,) = struct.unpack(layout.offsetformat, stream.read(layout.offsetsize))
    if following:
        raise tifffile.TiffFileError(f"cut short after {len(tiff.pages)} pages")


def opened_tiff(path: Path) -> tifffile.TiffFile:
    """Open a TIFF; of Micro-Manager's as any other: tifffile would look for their sets of files."""
    return tifffile.TiffFile(path, is_mmstack=False, is_ndtiff=False)


def check_description(path: Path, tiff: tifffile.TiffFile) -> None:
    """Refuse XML that declares entities or more planes than there are, and OME-TIFF that leads to other files.

    OME-XML needs neither a document type nor entities; both are ways to make a reader swell or open other files.

    Raises:
        InputError: names the file and what it declares.
    """
    description = tiff.pages.first.description or ""
    if re.search(r"<!\s*(DOCTYPE|ENTITY)", description, re.IGNORECASE):
        raise InputError(
            f"{path}: its XML metadata declare a document type or entities, which no OME-TIFF needs and which can do "
            "harm. Export it again without."
        )
    kind = next((kind for kind in _OTHER_KINDS if getattr(tiff, f"is_{kind}", False)), None)
    if kind is not None:
        raise InputError(f"{path}: a TIFF of the kind {kind.upper()} is not read. Export it as plain or OME-TIFF.")
    if not tiff.is_ome:
        return
    try:
        root = ElementTree.fromstring(description)
    except ElementTree.ParseError as error:
        raise InputError(f"{path}: its OME-XML cannot be read ({error}). Export it again, or as plain TIFF.") from error
    # a file that was renamed keeps the identifier of its planes; planes of another file have another
    others = {
        entry.get("FileName", "?")
        for entry in root.iterfind("{*}Image/{*}Pixels/{*}TiffData/{*}UUID")
        if entry.text != root.get("UUID")
    }
    if others or root.find("{*}BinaryOnly") is not None:
        raise InputError(
            f"{path}: this OME-TIFF is one of several files of a series ({', '.join(sorted(others)[:3]) or 'others'}). "
            "Export the volume as one OME-TIFF, or give a folder with one slice a file."
        )
    _check_planes(path, root, len(tiff.pages))


def _check_planes(path: Path, root: ElementTree.Element, pages: int) -> None:
    """Hold the planes that OME-XML declares against the pages that there are: tifffile lists them all.

    Raises:
        InputError: there are fewer, or the same pages are declared again and again.
        ValueError: a number that is none.
    """
    listed = 0
    for pixels in root.iterfind("{*}Image/{*}Pixels"):
        planes = math.prod(int(pixels.get(f"Size{axis}", "1")) for axis in "ZCT")
        parts = [(entry.get("PlaneCount") or entry.get("NumPlanes"), entry) for entry in pixels.iterfind("{*}TiffData")]
        counts = [int(count) if count else 1 if "IFD" in entry.attrib else pages for count, entry in parts]
        samples = [int(channel.get("SamplesPerPixel", "1")) for channel in pixels.iterfind("{*}Channel")]
        listed += sum(counts)
        most = pages * max(samples, default=1)
        if max([planes, *counts]) > most or listed > max(2 * pages, _MOST_PLANES):
            raise InputError(
                f"{path}: its metadata announce {max(planes, listed)} slices, of which some are not in the file: it "
                f"has {pages}. Export it again."
            )
    for along in root.iter():
        if along.tag.rpartition("}")[2].startswith("ModuloAlong") and "Start" in along.attrib:
            start, end, step = (float(along.get(key, "1")) for key in ("Start", "End", "Step"))
            if not abs(end - start) <= pages * abs(step):  # also where one of them is no number
                raise InputError(f"{path}: its OME-XML announces more planes along an axis than the file has pages.")


def is_rgb(page: tifffile.TiffPage) -> bool:
    """Whether a page has three channels side by side, as microscopes save grey images at times."""
    contiguous = page.planarconfig == tifffile.PLANARCONFIG.CONTIG and len(page.shape) == 3
    return page.photometric == PHOTOMETRIC.RGB and contiguous and page.shape[2] == 3


def check_grey(path: Path, page: tifffile.TiffPage, *, rgb: bool = False) -> None:
    """Refuse what is not one channel of grey levels, or unpacks to more than fits.

    Args:
        path: for messages.
        page: of a TIFF.
        rgb: whether three channels are let through, which `one_channel` looks at once they are decoded.

    Raises:
        InputError: colour, a palette with colours, pixels of an odd type, an image that is to be turned, a value that
            means "missing", or more than the bound of `check_fits`.
    """
    shape, photometric = page.shape, page.photometric
    if rgb and is_rgb(page):
        pass
    elif page.samplesperpixel > 1 or photometric in (PHOTOMETRIC.RGB, PHOTOMETRIC.YCBCR, PHOTOMETRIC.SEPARATED):
        raise InputError(
            f"{path}: a colour image of shape {shape}; a grey stack [Z, Y, X] or plane [Y, X] is needed. Convert it to "
            "one grey channel."
        )
    if photometric == PHOTOMETRIC.PALETTE and not _is_grey_palette(page):
        raise InputError(
            f"{path}: a colour image with a palette; its pixels are numbers of colours, not grey levels. Convert it to "
            "8-bit grey (in ImageJ: Image > Lookup Tables > Grays)."
        )
    if page.dtype is None or kept_dtype(page.dtype) is None:
        raise InputError(
            f"{path}: pixels of type {page.dtype} are not supported. Export as 8-bit, 16-bit or 32-bit grey."
        )
    check_page(path, page)
    if page.imagedepth > 1:
        raise InputError(f"{path}: its pages hold {page.imagedepth} planes each. Export it with one plane a page.")
    check_fits(path, math.prod(shape) * page.dtype.itemsize, f"one page of {shape} {page.dtype}")
    _check_segments(path, page)


def _check_segments(path: Path, page: tifffile.TiffPage) -> None:
    """Hold the strips or tiles of a page against the page, the memory and the file.

    Raises:
        InputError: a packing that is not read, or tiles that are too large or too many.
        TiffFileError: a strip or tile lies beyond the end of the file.
    """
    if page.compression not in READ_COMPRESSIONS:
        name = getattr(page.compression, "name", page.compression)
        raise InputError(f"{path}: packed by {name}, which is not read. Export it with LZW, deflate or no compression.")
    assert page.dtype is not None
    if page.is_tiled:
        tile = (page.tiledepth, page.tilelength, page.tilewidth)
        check_pieces(path, tile, page.shape, page.dtype.itemsize, "tile")
    else:
        strip = (min(page.rowsperstrip, page.imagelength), page.imagewidth)
        check_pieces(path, strip, page.shape, page.dtype.itemsize, "strip")
    if max(page.databytecounts, default=0) > page.parent.filehandle.size:
        raise tifffile.TiffFileError("cut short: a part of a page is longer than the file")


def page_pixels(page: tifffile.TiffPage) -> np.ndarray:
    """Decode a page that `check_grey` has let through.

    tifffile bounds what all but image codecs unpack to by the size of the strip or tile; a codestream is bounded here.

    Raises:
        TiffFileError: a codestream declares more than four times the pixels of its place.
    """
    if page.compression in IMAGE_COMPRESSIONS:
        rows, columns = (
            (page.tilelength, page.tilewidth)
            if page.is_tiled
            else (min(page.rowsperstrip, page.imagelength), page.imagewidth)
        )
        file = page.parent.filehandle
        for data, _ in file.read_segments(page.dataoffsets, page.databytecounts, sort=True):
            if isinstance(data, bytes) and declared_pixels(page.compression, data) > max(4 * rows * columns, 2**16):
                raise tifffile.TiffFileError("a strip or tile holds a codestream of a larger image")
    return page.asarray()


def one_channel(path: Path, pixels: np.ndarray) -> np.ndarray:
    """The first of three channels [Y, X, 3] that are equal; an image [Y, X] as it is.

    Raises:
        InputError: the channels differ.
    """
    if pixels.ndim == 2:
        return pixels
    if not (pixels == pixels[..., :1]).all():
        raise InputError(
            f"{path}: a colour image of shape {pixels.shape}, whose channels differ; grey levels are needed. Convert "
            "it to one grey channel, without what the microscope has drawn over it in colour."
        )
    return np.ascontiguousarray(pixels[..., 0])


def _is_grey_palette(page: tifffile.TiffPage) -> bool:
    """Whether the palette is the grey ramp, entry i being grey level i."""
    colours = page.colormap
    if colours is None:
        return False
    ramp = np.arange(colours.shape[-1]) * (65535 / max(colours.shape[-1] - 1, 1))
    return bool(np.abs(colours.astype(float) - ramp).max() <= 256)


def kept_dtype(dtype: np.dtype) -> np.dtype | None:
    """The type that pixels of `dtype` are handed on in: native order, masks as 0 and 255; None if not supported."""
    if dtype.kind == "b":
        return np.dtype(np.uint8)
    if dtype.name == "float16":  # in either byte order
        return np.dtype(np.float32)
    return np.dtype(dtype.name) if dtype.name in KEPT_DTYPES else None


def to_kept(array: np.ndarray) -> np.ndarray:
    """Pixels in the type of `kept_dtype`, contiguous."""
    wanted = kept_dtype(array.dtype)
    if wanted is None:
        raise TypeError(f"pixels of type {array.dtype}")
    if array.dtype.kind == "b":
        return array.astype(np.uint8) * np.uint8(255)
    return np.ascontiguousarray(array, dtype=wanted)


def grey_levels(page: tifffile.TiffPage, array: np.ndarray) -> np.ndarray:
    """Decoded pixels of a page as grey levels: where the page says that zero is white, they are turned round.

    Whole numbers are turned within the bits that the page says they have, signed ones about -1/2, as the same image
    with an offset would be; others change their sign.
    """
    if page.photometric == PHOTOMETRIC.MINISWHITE:
        if array.dtype.kind in "bi":
            array = ~array
        elif array.dtype.kind == "u":
            array = array.dtype.type(2**page.bitspersample - 1) - array
        else:
            array = -array
    return to_kept(array)
