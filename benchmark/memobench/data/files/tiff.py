"""The pages of a TIFF file, walked through before any is decoded: how many, how large, and whether they end."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import BinaryIO

from memobench.data.files.limits import DEFLATE, check_size
from memobench.data.files.picture import Unreadable

MOST_PAGES = 65_536
_WIDTH, _HEIGHT, _BITS, _PACKED, _SAMPLES = 256, 257, 258, 259, 277
_BOUNDED = {1: 1, 32773: 64, 5: 2000, 7: DEFLATE, 8: DEFLATE, 32946: DEFLATE}  # compression: the most that it expands
_TYPES = {1: "B", 3: "H", 4: "I", 16: "Q"}


def count_pages(file: Path, limit: int) -> int:
    """How many pages the file has, all of which may be held in memory.

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
        seen: set[int] = set()
        declared = 0
        while at:
            if at in seen:
                raise Unreadable("has pages that go in a circle; it is damaged")
            if len(seen) == MOST_PAGES:
                raise Unreadable(f"has more than {MOST_PAGES} pages")
            seen.add(at)
            pixels, ratio, at = _page(handle, at, order, big)
            check_size(pixels, limit, stored, ratio)
            declared += pixels
            check_size(declared, limit)
    if not seen:
        raise Unreadable("has no page")
    return len(seen)


def _page(handle: BinaryIO, at: int, order: str, big: bool) -> tuple[int, int, int]:
    """Bytes of a page's pixels, the most that its compression expands, and where the next page's directory stands."""
    word, entry, pointer = ("Q", 20, "Q") if big else ("H", 12, "I")
    handle.seek(at)
    count = _unpacked(handle.read(struct.calcsize(order + word)), order + word)
    if count > 4096:
        raise Unreadable(f"has a page with {count} tags; it is damaged")
    tags = handle.read(count * entry)
    following = _unpacked(handle.read(struct.calcsize(order + pointer)), order + pointer)
    if len(tags) < count * entry:
        raise Unreadable("is cut short within its directory of pages")
    found = {}
    for index in range(count):
        tag, kind = struct.unpack_from(order + "HH", tags, index * entry)
        if tag in (_WIDTH, _HEIGHT, _PACKED, _SAMPLES) and kind in _TYPES:
            found[tag] = struct.unpack_from(order + _TYPES[kind], tags, index * entry + (12 if big else 8))[0]
        elif tag == _BITS and kind in _TYPES:
            many = struct.unpack_from(order + ("Q" if big else "I"), tags, index * entry + 4)[0]
            inside = many * struct.calcsize(_TYPES[kind]) <= (8 if big else 4)
            found[tag] = (
                struct.unpack_from(order + _TYPES[kind], tags, index * entry + (12 if big else 8))[0] if inside else 8
            )
    if _WIDTH not in found or _HEIGHT not in found:
        raise Unreadable("has a page without width or height")
    bits = min(found.get(_BITS, 1), 64) * min(found.get(_SAMPLES, 1), 64)
    return -(-found[_WIDTH] * found[_HEIGHT] * bits // 8), _BOUNDED.get(found.get(_PACKED, 1), 20_000), following


def _unpacked(content: bytes, form: str) -> int:
    if len(content) < struct.calcsize(form):
        raise Unreadable("is cut short within its directory of pages")
    return int(struct.unpack(form, content)[0])
