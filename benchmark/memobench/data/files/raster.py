"""PNG, JPEG and TIFF, by Pillow: 8 and 16 bit, floating point, and TIFF of several pages."""

from __future__ import annotations

import io
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from memobench.data.files.limits import DEFLATE, check_size
from memobench.data.files.picture import Header, Raw, Unreadable, grey, type_limits
from memobench.data.files.tiff import count_pages

Image.init()  # Pillow looks up the formats that it is asked for only among those that it has loaded
FORMATS = ("PNG", "JPEG", "TIFF")
_MIN_IS_WHITE = 0  # of the TIFF tag PhotometricInterpretation, which Pillow heeds for 8 bit only
_PHOTOMETRIC = 262
_BYTES = {"1": 1, "L": 1, "P": 1, "LA": 2, "PA": 2, "La": 2, "RGB": 3, "YCbCr": 3, "LAB": 3, "HSV": 3}


def header(file: Path, limit: int) -> Header:
    """Size and number of pages; pages of a TIFF look like the slices of a volume.

    Args:
        file: A PNG, JPEG or TIFF file.
        limit: Bytes of pixels that are allowed.

    Raises:
        Unreadable: It declares more pixels than the limit or than the file can hold.
    """
    with file.open("rb") as handle:
        pages = _pages(handle.read(2), file, limit)
    with _opened(file, file.stat().st_size, limit) as image:
        return Header((image.height, image.width), frames=pages, dim=2 if pages == 1 else 3)


def read(file: Path, frame: int | None, dim: int, limit: int) -> Raw:
    """One page as an image, or all pages as a volume.

    Args:
        file: A PNG, JPEG or TIFF file.
        frame: The page; None for the only one, or for all in 3D.
        dim: 2 or 3.
        limit: Bytes of pixels that are allowed.

    Raises:
        Unreadable: It is damaged, or the pages of a volume differ in size.
    """
    content = file.read_bytes()
    count = _pages(content, file, limit)
    with _opened(io.BytesIO(content), len(content), limit) as image:
        if image.format == "PNG":
            _check_sums(content)
        if dim == 2:
            values, inverted, colour = _page(image, frame or 0)
            return Raw(values, inverted=inverted, colour=colour, limits=_limits(values, colour))
        pages = [_page(image, page) for page in range(count)]
    if len({(values.shape, values.dtype.kind, values.dtype.itemsize, inverted) for values, inverted, _ in pages}) > 1:
        raise Unreadable("has pages of different size or type, so they are no slices of one volume")
    volume = np.stack([values for values, *_ in pages])
    colour = any(colour for *_, colour in pages)
    return Raw(volume, inverted=pages[0][1], colour=colour, limits=_limits(volume, colour))


def _limits(values: NDArray[Any], colour: bool) -> tuple[float, float] | None:
    """Black and white of a page: a luminance is one of 8-bit colours."""
    return type_limits(np.dtype(np.uint8)) if colour else type_limits(values.dtype)


def _pages(start: bytes, file: Path, limit: int) -> int:
    return count_pages(file, limit) if start[:2] in (b"II", b"MM") else 1


def _opened(source: Path | io.BytesIO, stored: int, limit: int) -> Image.Image:
    image = Image.open(source, formats=FORMATS)
    try:
        if image.format != "TIFF":
            declared = image.width * image.height * _BYTES.get(image.mode, 4)
            check_size(declared, limit, stored, DEFLATE)
            # A block of 8x8 takes at least two bits; what is missing a decoder would fill without a word.
            if image.format == "JPEG" and "progressive" not in image.info and image.width * image.height > 256 * stored:
                raise Unreadable(f"declares {image.width}x{image.height} pixels and is far too short for them")
    except Unreadable:
        image.close()
        raise
    return image


def _check_sums(content: bytes) -> None:
    """Look at every checksum of a PNG, which decoding alone does not.

    Raises:
        Unreadable: One is wrong, or the file is cut short.
    """
    at, view = 8, memoryview(content)
    while True:
        if at + 12 > len(content):
            raise Unreadable("is damaged or cut short: its last part is missing")
        length = int.from_bytes(view[at : at + 4], "big")
        end = at + 8 + length
        if end + 4 > len(content):
            raise Unreadable("is damaged or cut short: a part is longer than the file")
        if zlib.crc32(view[at + 4 : end]) != int.from_bytes(view[end : end + 4], "big"):
            raise Unreadable("is damaged: a checksum is wrong")
        if content[at + 4 : at + 8] == b"IEND":
            return
        at = end + 4


def _page(image: Image.Image, page: int) -> tuple[NDArray[Any], bool, bool]:
    """(H, W) values, whether the smallest means white, whether there was colour."""
    if page or image.format == "TIFF":
        image.seek(page)
    tags = getattr(image, "tag_v2", {})
    upright = ImageOps.exif_transpose(image)
    if upright.mode.startswith("I") or upright.mode == "F":
        return np.asarray(upright), tags.get(_PHOTOMETRIC) == _MIN_IS_WHITE, False
    if upright.mode in ("1", "L", "LA", "La"):
        return np.asarray(upright.convert("L")), False, False
    values, colour = grey(np.asarray(upright.convert("RGB")))
    return values, False, colour
