"""Synthetic images that repeat each other: a collapsed generator's hundred images may be five observations.

Images are compared as they stand, shrunk and band-passed, by normalized correlation; so noise, brightness and contrast
do not hide a repeat. An image belongs to the first image before it that it repeats (leader clustering, Hartigan 1975):
members resemble their leader, and no chain of small steps joins images that are unlike each other.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from memobench.data.nearly_same import banded

REPEAT = 0.9  # correlation from which on one image repeats another
BLOCK = 512


def repeats(pixels: NDArray[np.float32], *, least: float = REPEAT) -> NDArray[np.int64]:
    """(N,) the number of each image's cluster of near-identical images, by order of appearance.

    Memory is linear in N; time is N times the number of clusters. Images that show nothing repeat each other.

    Args:
        pixels: (N, *S) images in [0, 1], 2D or 3D.
        least: Correlation of the band-passed images from which on one repeats the other.

    >>> shapes = np.random.default_rng(0).random((2, 32, 32), dtype=np.float32)
    >>> noise = 0.05 * np.random.default_rng(1).random((4, 32, 32), dtype=np.float32)
    >>> repeats(shapes[[0, 1, 0, 1]] * 0.9 + noise).tolist()
    [0, 1, 0, 1]
    """
    if not len(pixels):
        return np.zeros(0, dtype=np.int64)
    rows = [banded(pixels[start : start + BLOCK]) for start in range(0, len(pixels), BLOCK)]
    vectors = np.concatenate(rows)
    number = np.empty(len(vectors), dtype=np.int64)
    leaders = np.empty_like(vectors)
    count = 0
    for start in range(0, len(vectors), BLOCK):
        block = vectors[start : start + BLOCK]
        known = count
        best, nearest = np.full(len(block), -np.inf, dtype=np.float32), np.zeros(len(block), dtype=np.int64)
        for first in range(0, known, 8 * BLOCK):
            agreement = block @ leaders[first : min(first + 8 * BLOCK, known)].T
            place = agreement.argmax(axis=1)
            value = agreement[np.arange(len(block)), place]
            better = value > best
            best[better], nearest[better] = value[better], place[better] + first
        among = block @ block.T
        new: list[int] = []  # rows of the block that lead
        for row in range(len(block)):
            if best[row] >= least:
                number[start + row] = nearest[row]
                continue
            if new and (agreements := among[row, new]).max() >= least:
                number[start + row] = known + int(agreements.argmax())
                continue
            leaders[count] = block[row]
            number[start + row] = count
            new.append(row)
            count += 1
    return number
