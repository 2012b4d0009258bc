"""The calibrated l2 distance of the extraction attack on diffusion models, and its threshold."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from memobench.base.errors import DataError
from memobench.memorization._points import both, different
from memobench.neighbours.nearest import nearest

ALPHA = 0.5
NEIGHBOURS = 50
LEVEL = 0.001


def l2_ratio(
    generated: ArrayLike, train: ArrayLike, *, neighbours: int = NEIGHBOURS, alpha: float = ALPHA
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """The adaptive l2 distance of Carlini et al. (USENIX Security 2023), from their attack on CIFAR-10 models.

    l(g, r) = |g - r| / (alpha * mean over the n nearest training images y of |g - y|), with r the nearest one, which
    is among the n. The paper takes n = 50 and alpha = 0.5 on pixels scaled to [0, 1], and lists the smallest ratios;
    here it is taken on whatever features are given. It lies in [0, 1 / alpha], 0 for an exact copy. Training images
    that are one point (closer than 1e-5 of the set's spread) count once, or a copy of an image that is there n times
    would get 1 / alpha.

    Args:
        generated: (N, D) features.
        train: (M, D) features of the training images.
        neighbours: n, at least 2 and at most the number of different training images.
        alpha: Scale of the denominator.

    Returns:
        (N,) ratios and (N,) the row of the nearest training image.

    Raises:
        DataError: Fewer than n different training images, dimensions that differ, NaN or infinite values.

    >>> l2_ratio([[1.0], [2.0]], [[0.0], [2.0], [6.0]], neighbours=2)[0].tolist()
    [2.0, 0.0]
    """
    if neighbours < 2 or not alpha > 0:
        raise ValueError(f"neighbours = {neighbours}, alpha = {alpha}: give two neighbours at least and alpha above 0")
    samples, real = both(generated, train)
    chosen = different(real)
    if len(chosen) < neighbours:
        raise DataError(
            f"{neighbours} nearest training images are asked for and {len(chosen)} are different; ask for fewer"
        )
    distances, index = nearest(samples, real[chosen], k=neighbours)
    return distances[:, 0] / (alpha * distances.mean(axis=1)), chosen[index[:, 0]]


def calibrated_threshold(fresh: NDArray[np.float64], *, level: float = LEVEL) -> tuple[float, float]:
    """The ratio below which a fresh real image falls with a known probability.

    The k-th smallest of the n fresh ratios, k = floor(level * (n + 1)) and at least 1: another fresh image falls
    strictly below it with probability at most k / (n + 1), whatever the distribution. With fewer than 1 / level - 1
    fresh images the level is out of reach and 1 / (n + 1) is what there is.

    Args:
        fresh: (n,) ratios of real images that the generator did not see, against the same training images.
        level: The probability to aim at.

    Returns:
        The threshold and the probability k / (n + 1) that it was set for.

    Raises:
        DataError: No ratios.

    >>> calibrated_threshold(np.array([0.9, 0.7, 0.8]))
    (0.7, 0.25)
    """
    count = len(fresh)
    if not count:
        raise DataError("no fresh images to set a threshold with; give at least one")
    k = max(1, math.floor(level * (count + 1) * (1 + 1e-12)))
    return float(np.sort(fresh)[k - 1]), k / (count + 1)
