"""PNG of 16 bits with colour or opacity, of which Pillow keeps 8 bits: unpacked here, with all of them."""

from __future__ import annotations

import zlib

import numpy as np
from numpy.typing import NDArray

from memobench.data.files.picture import Unreadable

_START = 8  # bytes of the signature
_CHANNELS = {2: 3, 4: 2, 6: 4}  # by colour type: RGB, grey with opacity, RGB with opacity


def is_deep(content: bytes) -> bool:
    """Whether a PNG file holds several channels of 16 bits.

    >>> is_deep(bytes(24) + bytes([16, 2])), is_deep(bytes(24) + bytes([16, 0]))
    (True, False)
    """
    return len(content) > 25 and content[24] == 16 and content[25] in _CHANNELS


def read_deep(content: bytes) -> NDArray[np.uint16]:
    """(H, W, C) the channels of such a file, whose checksums have been looked at.

    Raises:
        Unreadable: It is interlaced, or its pixels are not as many as its header says.
    """
    width, height = (int.from_bytes(content[at : at + 4], "big") for at in (16, 20))
    if content[28]:
        raise Unreadable("is an interlaced PNG of 16 bits with colour; save it without interlacing")
    channels = _CHANNELS[content[25]]
    step = 2 * channels
    expected = height * (1 + width * step)
    try:
        lines = zlib.decompressobj().decompress(_data(content), expected + 1)
    except zlib.error as error:
        raise Unreadable(f"is damaged ({error})") from error
    if len(lines) != expected:
        raise Unreadable("is damaged: its pixels are not as many as its header says")
    table = np.frombuffer(lines, np.uint8).reshape(height, 1 + width * step)
    if table[:, 0].max() > 4:
        raise Unreadable("is damaged: it names a filter that PNG does not know")
    pixels = _unfiltered(table[:, 0], table[:, 1:].reshape(height, width, step))
    return pixels.view(">u2").astype(np.uint16)


def _data(content: bytes) -> bytes:
    """The parts IDAT, one behind the other."""
    at, parts = _START, []
    while at + 8 <= len(content):
        length = int.from_bytes(content[at : at + 4], "big")
        if content[at + 4 : at + 8] == b"IDAT":
            parts.append(content[at + 8 : at + 8 + length])
        at += 12 + length
    return b"".join(parts)


def _unfiltered(filters: NDArray[np.uint8], lines: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Undo the filter of each line (PNG specification, section 9), all pixels of an oblique line at once.

    A pixel needs those to the left, above, and above to the left. So pixels whose row and column add up to the same
    number do not need each other.

    Args:
        filters: (H,) 0 none, 1 left, 2 above, 3 mean of both, 4 Paeth.
        lines: (H, W, B) bytes of each pixel.
    """
    height, width, step = lines.shape
    done = np.zeros((height + 1, width + 1, step), dtype=np.int16)  # with an empty row above and column to the left
    for total in range(height + width - 1):
        rows = np.arange(max(0, total - width + 1), min(height, total + 1))
        columns = total - rows
        left, above, corner = done[rows + 1, columns], done[rows, columns + 1], done[rows, columns]
        towards = left + above - corner
        far_left, far_above, far_corner = abs(towards - left), abs(towards - above), abs(towards - corner)
        near = np.where(far_above <= far_corner, above, corner)
        paeth = np.where((far_left <= far_above) & (far_left <= far_corner), left, near)
        kind = filters[rows][:, None]
        expected = np.select([kind == 1, kind == 2, kind == 3, kind == 4], [left, above, (left + above) // 2, paeth])
        done[rows + 1, columns + 1] = (lines[rows, columns] + expected) & 255
    return np.ascontiguousarray(done[1:, 1:].astype(np.uint8))
