"""Structural similarity of the pixels (Wang et al. 2004): local means, variances and correlations, in place."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from memobench.detection.detectors import DETECTORS
from memobench.detection.detectors._pairs import PairDetector, ScoreRows

WINDOW, SIGMA = 11, 1.5
C1, C2 = 0.01**2, 0.03**2  # K1 and K2 of the paper, for intensities in [0, 1]
CACHED = 1 << 18  # numbers of the products filtered at once: what stays in the processor's cache


@DETECTORS.register("ssim")
class SSIM(PairDetector):
    """Mean structural similarity, exact, for every pair.

    What depends on one image alone is filtered once; a pair costs the filtering of its product.
    """

    def scores(self, queries: NDArray[np.float32], pool: NDArray[np.float32]) -> ScoreRows:
        """Scores in [-1, 1]; 1 for equal images."""
        filters = [band(side) for side in pool.shape[1:]]
        real = _moments(np.asarray(pool), filters)
        step = max(1, CACHED // pool[0].size)

        def of(rows: slice) -> NDArray[np.float32]:
            asked = np.asarray(queries[rows])
            means, variances = _moments(asked, filters)
            table = np.empty((len(asked), len(pool)), dtype=np.float32)
            for start in range(0, len(pool), step):
                part = slice(start, start + step)
                for row, image in enumerate(asked):
                    product = filtered(pool[part] * image, filters)
                    table[row, part] = _similarity(means[row], variances[row], real[0][part], real[1][part], product)
            return table

        return of


def window(side: int) -> NDArray[np.float64]:
    """The Gaussian weights of a window for images of a side: 11 long, or the largest odd number in half of the side.

    >>> len(window(64)), len(window(16)), len(window(8))
    (11, 7, 3)
    """
    length = min(WINDOW, (side // 2 - 1) // 2 * 2 + 1)
    offset = np.arange(length) - length // 2
    weight = np.exp(-0.5 * (offset / (SIGMA * length / WINDOW)) ** 2)
    return np.asarray(weight / weight.sum())


def band(side: int) -> NDArray[np.float32]:
    """The matrix (places where the window lies inside, side) that filters one axis."""
    weights = window(side)
    places = side - len(weights) + 1
    matrix = np.zeros((places, side), dtype=np.float32)
    for place in range(places):
        matrix[place, place : place + len(weights)] = weights
    return matrix


def filtered(images: NDArray[np.float32], filters: list[NDArray[np.float32]]) -> NDArray[np.float32]:
    """Images (N, *S) filtered along every axis, as (N, places).

    A product with a banded matrix: it does more arithmetic than a convolution with the window, and takes less time.
    """
    for axis, matrix in enumerate(filters, start=1):
        images = np.moveaxis(np.moveaxis(images, axis, -1) @ matrix.T, -1, axis)
    return images.reshape(len(images), -1)


def _moments(
    images: NDArray[np.float32], filters: list[NDArray[np.float32]]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Local means and local variances, (N, places) each."""
    means = filtered(images, filters)
    return means, filtered(images * images, filters) - means * means


def _similarity(
    mean: NDArray[np.float32],
    variance: NDArray[np.float32],
    means: NDArray[np.float32],
    variances: NDArray[np.float32],
    product: NDArray[np.float32],
) -> NDArray[np.float32]:
    """Equation 13 of the paper, averaged over the places: one image (places,) against many (N, places)."""
    both = means * mean
    covariance = product - both
    similar = (2 * both + C1) * (2 * covariance + C2)
    similar /= (means * means + (mean * mean + C1)) * (variances + (variance + C2))
    average: NDArray[np.float32] = similar.mean(axis=1)
    return average
