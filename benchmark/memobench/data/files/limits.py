"""What a header declares, compared with a limit and with the file's size before memory is taken."""

from __future__ import annotations

import math
from collections.abc import Sequence

from memobench.data.files.picture import Unreadable

MAX_IMAGE_GIB = 4.0  # of one file's pixels as they are stored; a whole-body CT of 2000 slices takes 1
DEFLATE = 250  # an image packed by deflate (gzip, zip, PNG) or JPEG; 1030 is possible, for a constant
WAVELET = 20_000  # JPEG 2000 and JPEG-LS: background takes next to nothing
_FREE = 2**28  # bytes that are never questioned


def gib(limit: float) -> int:
    """GiB to bytes."""
    return int(limit * 2**30)


def check_size(declared: int, limit: int, stored: int | None = None, ratio: int = DEFLATE) -> None:
    """Refuse a header that declares more than is allowed, or more than its file can hold.

    Args:
        declared: Bytes of the pixels as the header declares them.
        limit: Bytes that are allowed (``--max-image-gib``).
        stored: Bytes of the compressed file; None not to compare.
        ratio: The most that the compression can expand.

    Raises:
        Unreadable: It declares too much, or nothing at all.
    """
    if declared <= 0:
        raise Unreadable("declares a picture without pixels")
    if declared > limit:
        raise Unreadable(
            f"declares {size(declared)} of pixels, more than the limit of {size(limit)}; raise --max-image-gib if the "
            "file is trusted"
        )
    if stored is not None and declared > _FREE and declared > stored * ratio:
        raise Unreadable(
            f"declares {size(declared)} of pixels in {size(stored)}, far more than an image unpacks to; it is damaged "
            "or a trap"
        )


def product(shape: Sequence[int]) -> int:
    """How many pixels a shape has; no overflow.

    Raises:
        Unreadable: A side is negative.
    """
    if any(side < 0 for side in shape):
        raise Unreadable(f"declares a negative side ({'x'.join(map(str, shape))})")
    return math.prod(int(side) for side in shape)


def size(count: int) -> str:
    """Bytes for people.

    >>> size(2**31), size(39_000), size(7)
    ('2.0 GiB', '38.1 KiB', '7 bytes')
    """
    for power, unit in ((30, "GiB"), (20, "MiB"), (10, "KiB")):
        if count >= 2**power:
            return f"{count / 2**power:.1f} {unit}"
    return f"{count} bytes"
