"""What of an image can be compared: whether there is any content, and where it lies within a frame of even border.

An image without structure (an even grey, black or white square; a thin strip within a border) matches nobody and
everybody: registration lays anything over it. Such an image is not evidence for or against a copy. It is named and
counted, and never matched.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter

FLAT = 0.006  # root mean square of the detail, in units of the range [0, 1]: about one and a half of 255 grey levels
SPECK = 0.02  # share of the image that is not its most common grey
STEP = 0.01  # greys that differ by less count as the same
STRIP = 0.06  # share of the image within its even border
NAMED = 5  # images in a note
# Noise may have been added to the border too. A row of border has at most this standard deviation, and its mean differs
# from that of the outermost by at most this, absolutely and relative to the standard deviation of the whole image.
_EVEN, _EVEN_OF_WHOLE = 0.06, 0.35
_SAME, _SAME_OF_WHOLE = 0.02, 0.15
_LEAST = 4  # pixels that are left between two borders, at least
_ROUNDS = 2  # bars at the side are even only once the bars above and below are gone
_PIXELS = 1 << 21  # looked at together


def has_content(pixels: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Whether each image has anything that could be compared.

    It has not where one of these holds: its detail (the image less its local mean over a quarter of a side) is below
    1.5 grey levels of 255; all but 2% of its pixels have one grey; or all but 6% of it is an even border.

    Args:
        pixels: (N, *S) in [0, 1], S being (H, W) or (D, H, W). May be memory-mapped.

    Returns:
        (N,) False where there is nothing to compare.

    >>> grey, chess = np.full((8, 8), 0.5), np.indices((8, 8)).sum(axis=0) % 2
    >>> has_content(np.stack([grey, chess]).astype(np.float32)).tolist()
    [False, True]
    """
    found = [
        (_detail(part) >= FLAT) & (_off_grey(part) > SPECK) & (_share(_boxes(part), part.shape[1:]) >= STRIP)
        for part in _parts(pixels)
    ]
    return np.concatenate(found) if found else np.zeros(0, dtype=bool)


def content_notes(blank: NDArray[np.bool_], names: Sequence[str] | None = None) -> list[str]:
    """What a reader must know of images without content: how many there are, and which.

    Args:
        blank: (N,) from the inverse of :func:`has_content`.
        names: (N,) of the images; None for their numbers.
    """
    if not blank.any():
        return []
    rows = np.flatnonzero(blank)
    listed = ", ".join(str(row) if names is None else str(names[row]) for row in rows[:NAMED])
    more = f" and {len(rows) - NAMED} more" if len(rows) > NAMED else ""
    which = f"{'sample' if names is None else 'image'}{'s' * (len(rows) > 1)} {listed}{more}"
    if blank.all():
        return [f"NOTHING TO COMPARE: all {len(rows)} synthetic images are even or nearly all border"]
    have = "1 synthetic image is" if len(rows) == 1 else f"{len(rows)} synthetic images are"
    return [f"{have} even or nearly all border, with nothing to compare, and matched nobody: {which}"]


def content_boxes(pixels: NDArray[np.float32]) -> NDArray[np.int64]:
    """Where the content of each image lies within a frame: rows at an end that are even and equal are border.

    Each side is judged by itself, so bars may be black, white or grey, on one side or on all, and carry a little noise.

    Args:
        pixels: (N, *S) in [0, 1].

    Returns:
        (N, dim, 2) first and one past the last pixel along each axis. The whole image where it has no frame, or is all
        frame.

    >>> picture = np.zeros((1, 8, 8), dtype=np.float32)
    >>> picture[0, 2:6] = np.random.default_rng(0).random((4, 8))
    >>> content_boxes(picture).tolist()
    [[[2, 6], [0, 8]]]
    """
    shape = pixels.shape[1:]
    boxes = [_boxes(part) for part in _parts(pixels)]
    found = np.concatenate(boxes) if boxes else np.zeros((0, len(shape), 2), dtype=np.int64)
    found[(found[:, :, 1] - found[:, :, 0] < _LEAST).any(axis=1)] = [[0, side] for side in shape]
    return found


def _parts(pixels: NDArray[np.float32]) -> list[NDArray[np.float32]]:
    step = max(1, _PIXELS // max(1, int(np.prod(pixels.shape[1:]))))
    return [np.asarray(pixels[start : start + step], dtype=np.float32) for start in range(0, len(pixels), step)]


def _boxes(part: NDArray[np.float32]) -> NDArray[np.int64]:
    """(N, dim, 2) boxes; empty along an axis where nothing is left."""
    shape = part.shape[1:]
    boxes = np.tile(np.array([[0, side] for side in shape], dtype=np.int64), (len(part), 1, 1))
    sums, squares = (_integral(values) for values in (part, np.square(part)))
    whole = part.reshape(len(part), -1).std(axis=1, dtype=np.float64)[:, None]
    limits = np.minimum(_EVEN, _EVEN_OF_WHOLE * whole), np.minimum(_SAME, _SAME_OF_WHOLE * whole)
    for _ in range(_ROUNDS):
        for axis in range(len(shape)):
            mean, spread = _slices(sums, squares, boxes, axis)
            low, high = boxes[:, axis].T
            first = _border(mean, spread, low, high - low, limits)
            last = _border(mean[:, ::-1], spread[:, ::-1], shape[axis] - high, high - low, limits)
            boxes[:, axis] = np.stack([low + first, np.maximum(high - last, low + first)], axis=1)
    return boxes


def _integral(values: NDArray[np.float32]) -> NDArray[np.float64]:
    """(N, *S) to sums over all pixels before each corner (N, *S + 1)."""
    sums = np.zeros((len(values), *(side + 1 for side in values.shape[1:])))
    sums[(slice(None), *[slice(1, None)] * (values.ndim - 1))] = values
    for axis in range(1, values.ndim):
        np.cumsum(sums, axis=axis, out=sums)
    return sums


def _slices(
    sums: NDArray[np.float64], squares: NDArray[np.float64], boxes: NDArray[np.int64], axis: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(N, S[axis]) mean and standard deviation of each slice across an axis, within the boxes along the others."""
    others = [k for k in range(boxes.shape[1]) if k != axis]
    count = np.maximum(np.prod([boxes[:, k, 1] - boxes[:, k, 0] for k in others], axis=0), 1)[:, None]
    moments = []
    for integral in (sums, squares):
        layers = np.diff(np.moveaxis(integral, axis + 1, 1), axis=1)  # (N, S[axis], others + 1)
        images, along = np.arange(len(layers))[:, None], np.arange(layers.shape[1])
        total = np.zeros(layers.shape[:2])
        for corner in np.ndindex(*[2] * len(others)):
            sign = (-1) ** (len(others) - sum(corner))
            ends = [boxes[:, k, end][:, None] for k, end in zip(others, corner, strict=True)]
            total += sign * layers[(images, along, *ends)]
        moments.append(total / count)
    mean, square = moments
    return mean, np.sqrt(np.maximum(square - mean**2, 0))


def _border(
    mean: NDArray[np.float64],
    spread: NDArray[np.float64],
    start: NDArray[np.int64],
    left: NDArray[np.int64],
    limits: tuple[NDArray[np.float64], NDArray[np.float64]],
) -> NDArray[np.int64]:
    """(N,) how many slices from ``start`` on are even and equal, at most ``left``; limits on spread and mean (N, 1)."""
    images, steps = np.arange(len(mean)), np.arange(mean.shape[1])
    place = np.minimum(start[:, None] + steps, mean.shape[1] - 1)
    mean, spread = mean[images[:, None], place], spread[images[:, None], place]
    even, same = limits
    most = np.minimum(even, 1.5 * spread[:, :1] + 0.01)
    border = (np.abs(mean - mean[:, :1]) <= same) & (spread <= most) & (steps < left[:, None])
    border &= spread[:, :1] <= even
    found: NDArray[np.int64] = np.where(border.all(axis=1), mean.shape[1], border.argmin(axis=1)).astype(np.int64)
    return found


def _share(boxes: NDArray[np.int64], shape: tuple[int, ...]) -> NDArray[np.float64]:
    """(N,) share of the image within each box."""
    return np.asarray(np.prod((boxes[:, :, 1] - boxes[:, :, 0]) / np.array(shape), axis=1))


def _detail(part: NDArray[np.float32]) -> NDArray[np.float64]:
    """(N,) root mean square of each image less its local mean over a quarter of a side."""
    sizes = [1, *(max(3, side // 4) | 1 for side in part.shape[1:])]
    rest = (part - uniform_filter(part, sizes, mode="nearest")).reshape(len(part), -1)
    found: NDArray[np.float64] = np.sqrt(np.square(rest).mean(axis=1, dtype=np.float64))
    return found


def _off_grey(part: NDArray[np.float32]) -> NDArray[np.float64]:
    """(N,) share of each image that differs from its most common grey."""
    flat = part.reshape(len(part), -1)
    levels = np.rint(flat * 255).astype(np.int64)
    counts = np.bincount((levels + 256 * np.arange(len(part))[:, None]).ravel(), minlength=256 * len(part))
    common = counts.reshape(len(part), 256).argmax(axis=1)[:, None] / 255
    return np.asarray((np.abs(flat - common) > STEP).mean(axis=1))
