"""Width and height that a JPEG, JPEG 2000, JPEG XL or PNG codestream declares: its decoder makes an image of that size.

A codestream stands in a strip or tile of a TIFF, and need not be of its size. Sources: ITU-T T.81, B.1.1 and B.2.2
(JPEG); ITU-T T.800, A.5.1 (JPEG 2000); ISO/IEC 18181-1, annex D.2, and 18181-2 (JPEG XL); the PNG specification,
11.2.1.
"""

from __future__ import annotations

import struct

JPEG = (6, 7, 33007, 34892)  # numbers of TIFF compressions
JPEG_2000 = (33003, 33004, 33005, 34712)
PNG = (34933,)
JPEG_XL = (50002, 52546)
IMAGE_COMPRESSIONS = (*JPEG, *JPEG_2000, *PNG, *JPEG_XL)

_ALONE = {0x01, *range(0xD0, 0xD9)}  # markers of JPEG without a segment
_NO_FRAME = {0xC4, 0xC8, 0xCC}  # tables, among the markers of frames
_SCAN, _END = 0xDA, 0xD9


def declared_pixels(compression: int, data: bytes) -> int:
    """Pixels that a codestream declares, the most where it does so several times; 0 where it declares none.

    Raises:
        struct.error, ValueError: its header is damaged.
    """
    if compression in JPEG:
        return _jpeg(data)
    if compression in JPEG_2000:
        return _jpeg_2000(data)
    if compression in JPEG_XL:
        return _jpeg_xl(data)
    height_width = struct.unpack_from(">II", data, 16)
    return height_width[0] * height_width[1]


def _jpeg(data: bytes) -> int:
    """The largest frame; tables alone have none."""
    at, most = 2, 0
    while True:
        at = data.find(b"\xff", at)
        while 0 <= at < len(data) - 1 and data[at + 1] == 0xFF:  # fill bytes
            at += 1
        if at < 0 or at + 1 >= len(data):
            return most
        marker, at = data[at + 1], at + 2
        if marker == 0 or marker in _ALONE:
            continue
        if marker in (_SCAN, _END):
            return most
        (length,) = struct.unpack_from(">H", data, at)
        if 0xC0 <= marker <= 0xCF and marker not in _NO_FRAME:
            height, width = struct.unpack_from(">HH", data, at + 3)
            most = max(most, height * width)
        at += max(length, 2)


def _jpeg_2000(data: bytes) -> int:
    """The size of the reference grid, in the segment that follows the start of the codestream."""
    at, most = data.find(b"\xff\x4f\xff\x51"), 0
    while at >= 0:  # in a file of boxes the mark may stand by chance before it
        width, height = struct.unpack_from(">II", data, at + 8)
        most = max(most, width * height)
        at = data.find(b"\xff\x4f\xff\x51", at + 4)
    return most


def _jpeg_xl(data: bytes) -> int:
    """The size in front of a codestream; it is bare, or stands in a box."""
    if data[:2] != b"\xff\x0a":
        boxes = [(data.find(kind), skipped) for kind, skipped in ((b"jxlc", 4), (b"jxlp", 8))]
        data = next((data[at + skipped :] for at, skipped in boxes if at >= 0), b"")
    if data[:2] != b"\xff\x0a" or len(data) < 12:
        raise ValueError("no JPEG XL codestream")
    bits, at = int.from_bytes(data[2:12], "little"), 0

    def read(count: int) -> int:
        nonlocal at
        at += count
        return bits >> (at - count) & ((1 << count) - 1)

    small = read(1)

    def side() -> int:
        return 8 * (1 + read(5)) if small else 1 + read((9, 13, 18, 30)[read(2)])

    height = side()
    ratio = read(3)
    if not ratio:
        return height * side()
    over, under = ((1, 1), (12, 10), (4, 3), (3, 2), (16, 9), (5, 4), (2, 1))[ratio - 1]
    return height * (height * over // under)
