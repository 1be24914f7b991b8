"""What every TIFF is checked for before a pixel is read, and how a page becomes grey levels."""

from __future__ import annotations

import logging
import re
import struct
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import tifffile
from tifffile import PHOTOMETRIC

from txm2sem_core.errors import InputError
from txm2sem_core.io.guards import check_fits

TIFF_SUFFIXES = (".tif", ".tiff")
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
        if path.is_symlink():
            raise InputError(f"{path}: this symbolic link leads nowhere, or in a circle. Mend or remove it.")
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


def check_description(path: Path, tiff: tifffile.TiffFile) -> None:
    """Refuse XML that declares entities, and OME-TIFF that sends the reader to other files.

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


def check_grey(path: Path, page: tifffile.TiffPage) -> None:
    """Refuse what is not one channel of grey levels, or unpacks to more than fits.

    Raises:
        InputError: colour, a palette with colours, pixels of an odd type, or more than the bound of `check_fits`.
    """
    shape, photometric = page.shape, page.photometric
    if page.samplesperpixel > 1 or photometric in (PHOTOMETRIC.RGB, PHOTOMETRIC.YCBCR, PHOTOMETRIC.SEPARATED):
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
    if page.imagedepth > 1:
        raise InputError(f"{path}: its pages hold {page.imagedepth} planes each. Export it with one plane a page.")
    check_fits(path, int(np.prod(shape)) * page.dtype.itemsize, f"one page of {shape} {page.dtype}")


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
