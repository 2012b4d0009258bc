"""Multi-scale structural similarity of pairs of images, and diversity as its mean over pairs."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from memobench.base.errors import DataError
from memobench.base.seeds import generator_for

WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)  # Wang et al. 2003, section 3.2, from fine to coarse
WINDOW = 11
SIGMA = 1.5
C1, C2, TWO = np.float32(0.01**2), np.float32(0.03**2), np.float32(2)
CHUNK = 1 << 21  # pixels filtered at once
MARGIN = 1e-3  # by which interpolation may leave [0, 1]


def scales_for(shape: tuple[int, ...]) -> int:
    """How many of the five scales an image has room for: every side keeps 11 pixels, the window's width.

    >>> [scales_for((side, side)) for side in (16, 32, 64, 128, 176, 256)], scales_for((10, 96, 96))
    ([1, 2, 3, 4, 5, 5], 1)
    """
    return max(1, min(len(WEIGHTS), 1 + math.floor(math.log2(max(1.0, min(shape) / WINDOW)))))


def ms_ssim(x: NDArray[Any], y: NDArray[Any]) -> NDArray[np.float64]:
    """Multi-scale structural similarity of pairs of images (Wang, Simoncelli & Bovik 2003, eq. 7).

    Gaussian window of 11 pixels and sigma 1.5 where it lies wholly inside the image, K1 = 0.01, K2 = 0.03, halving by
    the mean of 2 (x 2 x 2) pixels. What the paper leaves open: as many scales as :func:`scales_for` allows, with the
    paper's weights of these scales divided by their sum (the five sum to 1.0001); a last odd line is dropped in
    halving; a negative mean of contrast and structure counts as 0; a side shorter than 11 has the longest odd window
    that fits. In three dimensions the window and the mean have three.

    Args:
        x: (N, *S) images in [0, 1], S of two or three sides.
        y: (N, *S) images, the partners.

    Returns:
        (N,) in [0, 1]; 1 for equal images.

    Raises:
        DataError: Shapes that differ or are not of two or three sides, or values outside [0, 1], NaN among them.

    >>> x = np.random.default_rng(0).random((2, 64, 64))
    >>> ms_ssim(x, x).tolist(), bool((ms_ssim(x, x[::-1]) < 0.5).all())
    ([1.0, 1.0], True)
    """
    if x.shape != y.shape or x.ndim not in (3, 4) or 0 in x.shape[1:]:
        raise DataError(f"images of shapes {x.shape} and {y.shape}; give two sets of (N, H, W) or (N, D, H, W)")
    values = np.empty(len(x))
    step = max(1, CHUNK // math.prod(x.shape[1:]))
    for start in range(0, len(x), step):
        part = slice(start, start + step)
        values[part] = _similarity(_in_range(x[part]), _in_range(y[part]))
    return values


def _in_range(images: NDArray[Any]) -> NDArray[np.float32]:
    low, high = float(images.min()), float(images.max())
    if not (low >= -MARGIN and high <= 1 + MARGIN):  # NaN fails too
        raise DataError(f"images hold values from {low:g} to {high:g}; structural similarity wants them in [0, 1]")
    return np.asarray(images, dtype=np.float32)


def _similarity(x: NDArray[np.float32], y: NDArray[np.float32]) -> NDArray[np.float64]:
    scales = scales_for(x.shape[1:])
    weights = np.array(WEIGHTS[:scales]) / sum(WEIGHTS[:scales])
    result = np.ones(len(x))
    for scale in range(scales):
        if scale:
            x, y = _halve(x), _halve(y)
        luminance, contrast = _terms(x, y)
        score = luminance * contrast if scale == scales - 1 else contrast
        mean = score.reshape(len(score), -1).mean(axis=1, dtype=np.float64)
        result *= np.maximum(mean, 0) ** weights[scale]
    return np.minimum(result, 1)


def _terms(x: NDArray[np.float32], y: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Luminance, and contrast times structure, at each place of the window."""
    mean_x, mean_y = _blur(x), _blur(y)
    # About the middle of the range: the variance is the same and loses fewer digits.
    a, b = x - np.float32(0.5), y - np.float32(0.5)
    mean_a, mean_b = mean_x - np.float32(0.5), mean_y - np.float32(0.5)
    variances = np.maximum(_blur(a * a + b * b) - (mean_a * mean_a + mean_b * mean_b), 0)
    covariances = TWO * (_blur(a * b) - mean_a * mean_b)
    luminance = (TWO * mean_x * mean_y + C1) / (mean_x * mean_x + mean_y * mean_y + C1)
    contrast = (covariances + C2) / (variances + C2)
    return np.asarray(luminance, dtype=np.float32), np.asarray(contrast, dtype=np.float32)


def _blur(images: NDArray[np.float32]) -> NDArray[np.float32]:
    """Gaussian weighted means over the windows that lie inside: one banded matrix product per axis."""
    for axis in range(1, images.ndim):
        matrix = _window_matrix(images.shape[axis])
        images = np.moveaxis(np.moveaxis(images, axis, -1) @ matrix, -1, axis)
    return images


def _window_matrix(side: int) -> NDArray[np.float32]:
    """(side, places) whose columns are the window at each place."""
    width = min(WINDOW, side - 1 + side % 2)
    offsets = np.arange(width) - width // 2
    window = np.exp(-(offsets**2) / (2 * SIGMA**2))
    window /= window.sum()
    places = side - width + 1
    matrix = np.zeros((side, places), dtype=np.float32)
    for offset in range(width):
        matrix[np.arange(places) + offset, np.arange(places)] = window[offset]
    return matrix


def _halve(images: NDArray[np.float32]) -> NDArray[np.float32]:
    for axis in range(1, images.ndim):
        even = images.shape[axis] // 2 * 2
        pairs = np.moveaxis(images, axis, -1)[..., :even]
        images = np.moveaxis((pairs[..., ::2] + pairs[..., 1::2]) * np.float32(0.5), -1, axis)
    return images


@dataclass(frozen=True)
class Diversity:
    """The similarity of random pairs of one set's images: low means diverse.

    Attributes:
        value: The mean over the pairs.
        pairs: (P, 2) indices of the images of each pair.
        values: (P,) the similarity of each pair.
    """

    value: float
    pairs: NDArray[np.int64]
    values: NDArray[np.float64]


def diversity(pixels: NDArray[Any], *, pairs: int = 512, seed: int, groups: NDArray[Any] | None = None) -> Diversity:
    """Mean multi-scale structural similarity over random pairs of different images.

    Odena et al. 2017, section 4.2, for the use as a measure of diversity.

    Args:
        pixels: (N, *S) images in [0, 1].
        pairs: Pairs drawn without replacement; all of them where there are no more.
        seed: Seed of the draw.
        groups: (N,) group (patient) of each image: pairs are then of two groups.

    Raises:
        DataError: Fewer than two images, or than two groups.

    >>> same = diversity(np.full((4, 16, 16), 0.5), pairs=100, seed=0)
    >>> same.value, len(same.values)
    (1.0, 6)
    """
    count = len(pixels)
    total = count * (count - 1) // 2
    rng = generator_for(seed, "diversity")
    number = np.arange(total) if total <= 4 * pairs else rng.choice(total, 4 * pairs, replace=False, shuffle=False)
    first, second = _pair(rng.permutation(number))
    if groups is not None:
        other = np.asarray(groups)[first] != np.asarray(groups)[second]
        first, second = first[other], second[other]
    chosen = np.stack([first, second], axis=1)[:pairs]
    if not len(chosen):
        raise DataError(f"{count} images form no pair of different images or patients; diversity needs two at least")
    values = ms_ssim_pairs(pixels, chosen)
    return Diversity(float(values.mean()), chosen, values)


def ms_ssim_pairs(pixels: NDArray[Any], pairs: NDArray[np.int64]) -> NDArray[np.float64]:
    """The similarity of pairs (P, 2) of one set's images, taken up a few at a time."""
    step = max(1, CHUNK // math.prod(pixels.shape[1:]))
    parts = [ms_ssim(pixels[p[:, 0]], pixels[p[:, 1]]) for p in np.split(pairs, range(step, len(pairs), step))]
    return np.concatenate(parts)


def _pair(number: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The number-th pair (i, j), i > j, counted row by row: number = i (i - 1) / 2 + j."""
    i = ((1 + np.sqrt(1 + 8 * number.astype(np.float64))) / 2).astype(np.int64)
    i -= i * (i - 1) // 2 > number
    i += (i + 1) * i // 2 <= number
    return i, number - i * (i - 1) // 2
