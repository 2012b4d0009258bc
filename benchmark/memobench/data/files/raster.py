"""PNG, JPEG and TIFF, by Pillow (further types of TIFF by tifffile): 8 and 16 bit, floating point, several pages."""

from __future__ import annotations

import io
import zlib
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from memobench.data.files.limits import DEFLATE, check_size
from memobench.data.files.picture import Header, Raw, Unreadable, grey, type_limits
from memobench.data.files.png import is_deep, read_deep
from memobench.data.files.tiff import Page, pages_of

Image.init()  # Pillow looks up the formats that it is asked for only among those that it has loaded
FORMATS = ("PNG", "JPEG", "TIFF")
_ASIDE = "smaller previews or masks of an image (NewSubfileType) were passed over"
_MIN_IS_WHITE = 0  # of the TIFF tag PhotometricInterpretation, which Pillow heeds for 8 bit only
_MOST_CHANNELS = 4  # red, green, blue, and opacity
_PHOTOMETRIC = 262
_ORIENTATION = 274
_BYTES = {"1": 1, "L": 1, "P": 1, "LA": 2, "PA": 2, "La": 2, "RGB": 3, "YCbCr": 3, "LAB": 3, "HSV": 3}


class _Plane(NamedTuple):
    values: NDArray[Any]  # (H, W)
    inverted: bool  # whether the smallest means white
    colour: bool
    kind: np.dtype[Any]  # of the values or colours as they are stored


def header(file: Path, limit: int) -> Header:
    """Size and number of pages; pages of a TIFF look like the slices of a volume.

    Args:
        file: A PNG, JPEG or TIFF file.
        limit: Bytes of pixels that are allowed.

    Raises:
        Unreadable: It declares more pixels than the limit or than the file can hold.
    """
    with file.open("rb") as handle:
        every = _every_page(handle.read(2), file, limit)
    pages = _images_of(every)
    doubts = (_ASIDE,) if len(pages) < len(every) else ()
    # A stack of colour pages says channels too; several volumes interleaved are more pages than one.
    film = f"the {pages[0].several} of its description" if len(pages) > 1 and pages[0].several else ""
    film = "" if pages and pages[0].samples > 1 and pages[0].several == "channels" else film
    frames, dim = len(pages) or 1, 3 if len(pages) > 1 and not film else 2
    if pages and _by_other(pages):
        return Header(pages[0].shape, frames, dim, film=film, doubts=doubts)
    with _opened(file, file.stat().st_size, limit) as image:
        return Header((image.height, image.width), frames, dim, film=film, doubts=doubts)


def examine(file: Path, handle: BinaryIO, limit: int) -> tuple[Header, Callable[[], Raw] | None]:
    """As :func:`header`, and how to read the only image of a file; None where there are several.

    Args:
        file: A PNG, JPEG or TIFF file.
        handle: The file, opened at its beginning.
        limit: Bytes of pixels that are allowed.

    Raises:
        Unreadable: It declares more pixels than the limit or than the file can hold.
    """
    content = handle.read()
    pages = _pages(content, file, limit)
    if pages:
        head = header(file, limit)
        return head, (lambda: _of(_planes(content, pages, [0], limit))) if len(pages) == 1 else None
    image = _opened(io.BytesIO(content), len(content), limit)
    return Header((image.height, image.width)), lambda: _of([_only(image, content)])


def read(files: Sequence[Path], frame: int | None, dim: int, limit: int) -> Raw:
    """One page as an image, or all pages as a volume.

    Args:
        files: A PNG, JPEG or TIFF file.
        frame: The page; None for the only one, or for all in 3D.
        dim: 2 or 3.
        limit: Bytes of pixels that are allowed.

    Raises:
        Unreadable: It is damaged, or the pages of a volume differ in size.
    """
    content = files[0].read_bytes()
    pages = _pages(content, files[0], limit)
    wanted = range(len(pages) or 1) if dim == 3 else [frame or 0]
    found = _planes(content, pages, wanted, limit)
    if dim == 2:
        return _of(found)
    if len({(one.values.shape, one.values.dtype.kind, one.values.dtype.itemsize, one.inverted) for one in found}) > 1:
        raise Unreadable("has pages of different size or type, so they are no slices of one volume")
    volume = np.stack([one.values for one in found])
    colour = any(one.colour for one in found)
    return Raw(volume, inverted=found[0].inverted, colour=colour, limits=type_limits(found[0].kind))


def _of(found: list[_Plane]) -> Raw:
    values, inverted, colour, kind = found[0]
    return Raw(values, inverted=inverted, colour=colour, limits=type_limits(kind))


def _planes(content: bytes, pages: list[Page], wanted: Iterable[int], limit: int) -> list[_Plane]:
    if _by_other(pages):
        return _by_tifffile(content, [pages[page].number for page in wanted])
    with _opened(io.BytesIO(content), len(content), limit) as image:
        return [_page(image, pages[page].number) for page in wanted] if pages else [_only(image, content)]


def _only(image: Image.Image, content: bytes) -> _Plane:
    """The image of a PNG or JPEG file."""
    if image.format == "PNG":
        _check_sums(content)
        frames = getattr(image, "n_frames", 1)
        if frames > 1:
            raise Unreadable(f"is an animation of {frames} images; save each as a file of its own")
    return _deep_png(content) if is_deep(content) else _page(image, 0)


def _pages(start: bytes, file: Path, limit: int) -> list[Page]:
    return _images_of(_every_page(start, file, limit))


def _every_page(start: bytes, file: Path, limit: int) -> list[Page]:
    pages = pages_of(file, limit) if start[:2] in (b"II", b"MM") else []
    if many := next((page.samples for page in pages if page.samples > _MOST_CHANNELS), 0):
        raise Unreadable(f"has {many} channels, so it is neither grey nor colour; save one of them, or three as colour")
    return pages


def _by_other(pages: list[Page]) -> bool:
    """Whether Pillow reads some page wrongly, or does not open the file by what its first page is."""
    return bool(pages) and (pages[0].number > 0 or any(page.beyond_pillow for page in pages))


def _images_of(pages: list[Page]) -> list[Page]:
    """The pages but previews and masks of others."""
    return [page for page in pages if not page.aside]


def _deep_png(content: bytes) -> _Plane:
    channels = read_deep(content)
    values, colour = grey(channels)
    return _Plane(values, False, colour, channels.dtype)


def _by_tifffile(content: bytes, wanted: Iterable[int]) -> list[_Plane]:
    """Pages of a type that Pillow does not read, or would read with fewer bits.

    Raises:
        Unreadable: tifffile is not installed.
    """
    try:
        import tifffile
    except ImportError as error:
        raise Unreadable(
            "is TIFF with 16-bit colour, 64 bits or another type that Pillow does not read; pip install tifffile, or "
            "save it as 8 or 16 bit grey"
        ) from error
    found: list[_Plane] = []
    with tifffile.TiffFile(io.BytesIO(content)) as opened:
        for index in wanted:
            page: Any = opened.pages[index]
            values, colour = page.asarray(), False
            kind = values.dtype
            if values.ndim == 3:
                values, colour = grey(np.moveaxis(values, page.axes.index("S"), -1))
            tag = page.tags.get(_ORIENTATION)
            values = _upright(values, 1 if tag is None else int(tag.value))
            found.append(_Plane(values, int(page.photometric) == _MIN_IS_WHITE, colour, kind))
    return found


def _upright(values: NDArray[Any], orientation: int) -> NDArray[Any]:
    """An image as a viewer shows it, by the TIFF tag Orientation (1 to 8), as Pillow turns it.

    >>> _upright(np.array([[1, 2]]), 6).tolist(), _upright(np.array([[1, 2]]), 2).tolist()
    ([[1], [2]], [[2, 1]])
    """
    if orientation in (5, 6, 7, 8):  # rows are columns
        values = values.T
    if orientation in (2, 3, 6, 7):
        values = values[:, ::-1]
    if orientation in (3, 4, 7, 8):
        values = values[::-1]
    return values


def _opened(source: Path | io.BytesIO, stored: int, limit: int) -> Image.Image:
    try:
        image = Image.open(source, formats=FORMATS)
    except UnidentifiedImageError as error:  # its message gives the path away and says no more
        raise Unreadable("is damaged, or a kind of PNG, JPEG or TIFF that Pillow does not read") from error
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


def _page(image: Image.Image, page: int) -> _Plane:
    if page or image.format == "TIFF":
        image.seek(page)
    tags = getattr(image, "tag_v2", {})
    if image.format == "TIFF":  # whose next page may be asked for
        upright = ImageOps.exif_transpose(image)
    else:
        ImageOps.exif_transpose(image, in_place=True)
        upright = image
    if upright.mode.startswith("I") or upright.mode == "F":
        values = np.asarray(upright)
        return _Plane(values, tags.get(_PHOTOMETRIC) == _MIN_IS_WHITE, False, values.dtype)
    if upright.mode in ("1", "L", "LA", "La"):
        values = np.asarray(upright if upright.mode == "L" else upright.convert("L"))
        return _Plane(values, False, False, values.dtype)
    colours = np.asarray(upright.convert("RGB"))
    values, colour = grey(colours)
    return _Plane(values, False, colour, colours.dtype)
