"""Sheets: pictures that show several images in rows and columns, as training scripts write them beside the samples.

A sheet is matched as one image and resembles nobody, so every copy on it would stay unseen. It is told in two ways.

1. **By content.** Real images of one kind resemble their mean. The parts of a sheet do, and the whole does not: its
   gain is the mean correlation of its parts with the mean real image, less that of the whole, in the best of all
   divisions. Real images undergo the same choice, and set how large a gain is unusual. Where real images do not
   resemble their mean (crops of lung), this tells nothing.
2. **By size.** Most images of the set have one size, and this one has a multiple of it, with or without lines between.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional as F

from memobench.base.seeds import generator_for
from memobench.images import Images

SIDE = 8  # pixels of one part as it is compared
MOST = 10  # rows, and columns
NULL = 512  # real images that undergo the choice, at most
ENOUGH = 20  # real images, at least
RESEMBLING = 0.4  # correlation of the middle real image with the mean, below which content tells nothing
MARGIN = 0.1  # by which a gain surpasses the largest of a real image; none of 15,000 single images did
TYPICAL = 0.25  # quantile of the real images' correlation with the mean that the parts must reach
WIDEST = 8  # pixels of a line between images, at most
NAMED = 5  # images in a note
_EVEN = 0.02  # standard deviation below which a part is empty, as the end of a last row is
_BLOCK = 256


def sheets(samples: NDArray[np.float32], real: Images) -> NDArray[np.int64]:
    """How many rows and columns of images each sample shows.

    Args:
        samples: (N, *S) in [0, 1]; volumes are never sheets.
        real: Train and holdout together; their order is not regarded.

    Returns:
        (N, 2) rows and columns; 1, 1 for a single image.
    """
    found = np.ones((len(samples), 2), dtype=np.int64)
    if samples.ndim != 3 or len(real) < ENOUGH or not len(samples):
        return found
    rows = np.sort(generator_for(0, "sheet null").permutation(len(real))[:NULL])
    known = np.asarray(real.pixels[rows], dtype=np.float32)
    mean = _mean(known)
    usual = _gains(known, mean)
    if np.median(usual.whole) < RESEMBLING:
        return found
    made = _gains(samples, mean)
    unusual = made.gain > usual.gain.max() + MARGIN
    unusual &= made.gain + made.whole >= np.quantile(usual.whole, TYPICAL)
    found[unusual] = made.parts[unusual]
    return found


def sheets_by_size(shapes: Sequence[tuple[int, ...]]) -> NDArray[np.int64]:
    """As :func:`sheets`, by the sizes of the pictures alone, where more than half have one size.

    An image at a whole multiple of both sides may be a finer one, and is none.

    Args:
        shapes: (H, W) of each, before it was resampled.

    >>> sheets_by_size([(128, 128)] * 5 + [(522, 1042), (256, 256)])[5:].tolist()
    [[4, 8], [1, 1]]
    """
    found = np.ones((len(shapes), 2), dtype=np.int64)
    if not shapes or len(shapes[0]) != 2:
        return found
    (usual, count), *_ = Counter(shapes).most_common(1)
    if 2 * count <= len(shapes):
        return found
    for row, shape in enumerate(shapes):
        if shape != usual and (parts := _divided(shape, usual)) is not None:
            found[row] = parts
    return found


def sheet_notes(found: NDArray[np.int64], names: Sequence[str] | None = None) -> list[str]:
    """What a reader must know of sheets: how many there are, and which.

    Args:
        found: (N, 2) rows and columns.
        names: (N,) of the images; None for their numbers.

    >>> sheet_notes(np.array([[1, 1], [4, 8]]), ["a.png", "grid.png"])
    ['1 synthetic image seems to be a sheet of several images, whose parts were not compared: grid.png (4 x 8)']
    """
    rows = np.flatnonzero(found.max(axis=1) > 1)
    if not len(rows):
        return []
    named = [f"sample {row}" if names is None else names[row] for row in rows[:NAMED]]
    divided = [f"{lines} x {columns}" for lines, columns in found[rows[:NAMED]].tolist()]
    listed = ", ".join(f"{name} ({parts})" for name, parts in zip(named, divided, strict=True))
    more = f" and {len(rows) - NAMED} more" if len(rows) > NAMED else ""
    seem = "image seems to be a sheet" if len(rows) == 1 else "images seem to be sheets"
    return [f"{len(rows)} synthetic {seem} of several images, whose parts were not compared: {listed}{more}"]


@dataclass(frozen=True)
class _Gains:
    gain: NDArray[np.float64]  # (N,) of the best division
    whole: NDArray[np.float64]  # (N,) correlation of the whole with the mean real image
    parts: NDArray[np.int64]  # (N, 2) the best division


def _mean(pixels: NDArray[np.float32]) -> torch.Tensor:
    """(P,) the mean image at the size of a part, of mean 0 and length 1."""
    small = F.adaptive_avg_pool2d(torch.from_numpy(pixels.mean(axis=0))[None], (SIDE, SIDE)).reshape(-1)
    small = small - small.mean()
    scaled: torch.Tensor = small / small.norm().clamp_min(1e-6)
    return scaled


def _gains(pixels: NDArray[np.float32], mean: torch.Tensor) -> _Gains:
    divisions = [(rows, columns) for rows in range(1, MOST + 1) for columns in range(1, MOST + 1)]
    table = np.empty((len(divisions), len(pixels)))
    for start in range(0, len(pixels), _BLOCK):
        block = torch.from_numpy(np.array(pixels[start : start + _BLOCK], dtype=np.float32))[:, None]
        for number, division in enumerate(divisions):
            table[number, start : start + _BLOCK] = _resemblance(block, mean, *division)
    best = table[1:].argmax(axis=0) + 1
    gain = np.take_along_axis(table, best[None], axis=0)[0] - table[0]
    return _Gains(gain, table[0], np.array(divisions, dtype=np.int64)[best])


def _resemblance(images: torch.Tensor, mean: torch.Tensor, rows: int, columns: int) -> NDArray[np.float64]:
    """(N,) how well the parts resemble the mean real image on average; -1 where most parts are empty."""
    small = F.adaptive_avg_pool2d(images, (rows * SIDE, columns * SIDE))
    parts = small.reshape(len(images), rows, SIDE, columns, SIDE).permute(0, 1, 3, 2, 4).flatten(3).flatten(1, 2)
    parts = parts - parts.mean(dim=-1, keepdim=True)
    length = parts.norm(dim=-1)
    filled = length > _EVEN * SIDE
    likeness = (parts @ mean) / length.clamp_min(1e-6)
    count = filled.sum(dim=1)
    kept = 2 * count > rows * columns
    average = (likeness * filled).sum(dim=1) / count.clamp_min(1)
    return np.asarray(torch.where(kept, average, -torch.ones_like(average)), dtype=np.float64)


def _divided(shape: tuple[int, ...], usual: tuple[int, ...]) -> tuple[int, int] | None:
    """Rows and columns of images of the usual size, with lines of one width between or around them."""
    rows, columns = (max(1, side // own) for side, own in zip(shape, usual, strict=True))
    if rows * columns < 2:
        return None
    rest = (shape[0] - rows * usual[0], shape[1] - columns * usual[1])
    if rest == (0, 0):
        return None if rows == columns else (rows, columns)
    for width in range(1, WIDEST + 1):
        if rest in ((width * (rows + 1), width * (columns + 1)), (width * (rows - 1), width * (columns - 1))):
            return rows, columns
    return None
