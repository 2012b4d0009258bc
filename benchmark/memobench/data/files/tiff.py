"""The pages of a TIFF file, walked through before any is decoded: how many, how large, and whether they end."""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO

from memobench.data.files.limits import DEFLATE, check_size
from memobench.data.files.picture import Unreadable

MOST_PAGES = 65_536
_WIDTH, _HEIGHT, _BITS, _PACKED, _SAMPLES, _FORMAT, _DEPTH, _ASIDE = 256, 257, 258, 259, 277, 339, 32997, 254
_READ = (_WIDTH, _HEIGHT, _BITS, _PACKED, _SAMPLES, _FORMAT, _DEPTH, _ASIDE)
_DESCRIPTION, _ASCII, _LONGEST = 270, 2, 65_536  # the last in bytes that are read
_PREVIEW, _MASK = 1, 4  # bits of the tag NewSubfileType
_UNSIGNED, _SIGNED, _FLOAT = 1, 2, 3
_BOUNDED = {1: 1, 32773: 64, 5: 2000, 7: DEFLATE, 8: DEFLATE, 32946: DEFLATE}  # compression: the most that it expands
_TYPES = {1: "B", 3: "H", 4: "I", 16: "Q"}


@dataclass(frozen=True)
class Page:
    """What a page says of itself.

    Attributes:
        shape: (H, W).
        bits: Of one channel.
        samples: How many channels.
        form: Of the numbers: 1 unsigned, 2 signed, 3 floating point.
        packed: The number of the compression.
        big_endian: Whether the file's numbers begin with their highest byte.
        number: Of the page in the file, from 0.
        aside: Whether it is no image of its own, but another page's preview or mask.
        several: What the file's description says that its pages are several of, one volume each; "" for nothing.
    """

    shape: tuple[int, int]
    bits: int
    samples: int
    form: int
    packed: int
    big_endian: bool
    number: int = 0
    aside: bool = False
    several: str = ""

    @property
    def beyond_pillow(self) -> bool:
        """Whether Pillow would lose bits, mistake signs or the order of bytes, or not know the type at all."""
        if self.big_endian and (self.bits > 16 or (self.bits > 8 and self.form != _UNSIGNED)):
            return True
        if self.form == _FLOAT:
            return self.bits != 32 or self.samples > 1
        if self.form == _SIGNED:
            return self.bits not in (16, 32) or self.samples > 1
        return self.bits > 32 or (self.bits > 8 and self.samples > 1)


def pages_of(file: Path, limit: int) -> list[Page]:
    """The pages of a file, all of which may be held in memory.

    Raises:
        Unreadable: The directory of pages is cut short, goes in a circle or is endless, or the pages declare more
            pixels than the limit or than the file can hold.
    """
    stored = file.stat().st_size
    with file.open("rb") as handle:
        start = handle.read(16)
        order = "<" if start[:2] == b"II" else ">"
        big = start[2:4] in (b"+\0", b"\0+")
        if len(start) < (16 if big else 8):
            raise Unreadable("is cut short within its header")
        at = struct.unpack_from(order + ("Q" if big else "I"), start, 8 if big else 4)[0]
        found: list[Page] = []
        seen: set[int] = set()
        declared = 0
        while at:
            if at in seen:
                raise Unreadable("has pages that go in a circle; it is damaged")
            if len(seen) == MOST_PAGES:
                raise Unreadable(f"has more than {MOST_PAGES} pages")
            seen.add(at)
            page, at = _page(handle, at, order, big)
            pixels = -(-page.shape[0] * page.shape[1] * page.bits * page.samples // 8)
            check_size(pixels, limit, stored, _BOUNDED.get(page.packed, 20_000))
            declared += pixels
            check_size(declared, limit)
            found.append(replace(page, number=len(found)))
    if not found:
        raise Unreadable("has no page")
    if all(page.aside for page in found):
        raise Unreadable("holds previews or masks of an image only (NewSubfileType); save the image itself")
    return found


def _page(handle: BinaryIO, at: int, order: str, big: bool) -> tuple[Page, int]:
    """What a page says, and where the next page's directory stands."""
    word, entry, pointer = ("Q", 20, "Q") if big else ("H", 12, "I")
    handle.seek(at)
    count = _unpacked(handle.read(struct.calcsize(order + word)), order + word)
    if count > 4096:
        raise Unreadable(f"has a page with {count} tags; it is damaged")
    tags = handle.read(count * entry)
    following = _unpacked(handle.read(struct.calcsize(order + pointer)), order + pointer)
    if len(tags) < count * entry:
        raise Unreadable("is cut short within its directory of pages")
    found, described = {}, b""
    for index in range(count):
        tag, kind = struct.unpack_from(order + "HH", tags, index * entry)
        if tag == _DESCRIPTION and kind == _ASCII:
            described = _text(handle, tags[index * entry : (index + 1) * entry], order, big)
        if tag in _READ and kind in _TYPES:
            found[tag] = _number(handle, tags[index * entry : (index + 1) * entry], order, big)
    if _WIDTH not in found or _HEIGHT not in found:
        raise Unreadable("has a page without width or height")
    if found.get(_DEPTH, 1) > 1:
        raise Unreadable("holds a volume in one page (ImageDepth), of which one slice would be read; save one per page")
    bits, samples = min(found.get(_BITS, 1), 64), min(found.get(_SAMPLES, 1), 64)
    shape = (found[_HEIGHT], found[_WIDTH])
    aside = bool(found.get(_ASIDE, 0) & (_PREVIEW | _MASK))
    form, packed = found.get(_FORMAT, _UNSIGNED), found.get(_PACKED, 1)
    several = _several(described)
    return Page(shape, bits, samples, form, packed, order == ">", aside=aside, several=several), following


def _number(handle: BinaryIO, entry: bytes, order: str, big: bool) -> int:
    """The first number of a tag, which stands in the entry itself or elsewhere in the file."""
    kind = _TYPES[struct.unpack_from(order + "H", entry, 2)[0]]
    many = struct.unpack_from(order + ("Q" if big else "I"), entry, 4)[0]
    inside = 12 if big else 8
    if many * struct.calcsize(kind) <= len(entry) - inside:
        return int(struct.unpack_from(order + kind, entry, inside)[0])
    here = handle.tell()
    handle.seek(struct.unpack_from(order + ("Q" if big else "I"), entry, inside)[0])
    found = _unpacked(handle.read(struct.calcsize(kind)), order + kind)
    handle.seek(here)
    return found


def _text(handle: BinaryIO, entry: bytes, order: str, big: bool) -> bytes:
    """The beginning of a text that stands elsewhere in the file."""
    many = struct.unpack_from(order + ("Q" if big else "I"), entry, 4)[0]
    inside, here = 12 if big else 8, handle.tell()
    if many <= len(entry) - inside:
        return entry[inside : inside + many]
    handle.seek(struct.unpack_from(order + ("Q" if big else "I"), entry, inside)[0])
    found = handle.read(min(many, _LONGEST))
    handle.seek(here)
    return found


def _several(description: bytes) -> str:
    """What ImageJ or OME say that the pages are several of, beside slices: channels or times; "" for nothing.

    >>> _several(b"ImageJ=1.11a images=10 channels=2 slices=5 hyperstack=true"), _several(b"ImageJ=1.11a slices=5")
    ('channels', '')
    """
    if description.startswith(b"ImageJ"):
        names = {"channels": rb"channels=(\d+)", "times": rb"frames=(\d+)"}
    elif b"<OME" in description:
        names = {"channels": rb"SizeC=\"(\d+)\"", "times": rb"SizeT=\"(\d+)\""}
    else:
        return ""
    counts = {name: re.search(pattern, description) for name, pattern in names.items()}
    return next((name for name, match in counts.items() if match and int(match[1]) > 1), "")


def _unpacked(content: bytes, form: str) -> int:
    if len(content) < struct.calcsize(form):
        raise Unreadable("is cut short within its directory of pages")
    return int(struct.unpack(form, content)[0])
