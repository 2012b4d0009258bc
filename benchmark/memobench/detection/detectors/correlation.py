"""Pearson correlation of the pixels: blind to brightness and contrast, lost on any movement."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from memobench.detection.detectors import DETECTORS
from memobench.detection.detectors._pairs import PairDetector, ScoreRows


def standardized(images: NDArray[np.floating]) -> NDArray[np.float64]:
    """Rows (N, D) of mean zero and length one, whose products are Pearson correlations; zero for constant images.

    >>> x = standardized(np.array([[0.0, 1.0], [1.0, 0.0], [0.5, 0.5]]))
    >>> (x @ x.T).round(6).tolist()
    [[1.0, -1.0, 0.0], [-1.0, 1.0, 0.0], [0.0, 0.0, 0.0]]
    """
    rows = np.asarray(images, dtype=np.float64).reshape(len(images), -1)
    rows = rows - rows.mean(axis=1, keepdims=True)
    length = np.linalg.norm(rows, axis=1, keepdims=True)
    flat = length <= 1e-9 * np.sqrt(rows.shape[1])  # nothing but rounding is left
    standard: NDArray[np.float64] = np.where(flat, 0.0, rows / np.where(flat, 1.0, length))
    return standard


@DETECTORS.register("correlation")
class Correlation(PairDetector):
    """Normalized correlation of the pixels."""

    def scores(self, queries: NDArray[np.float32], pool: NDArray[np.float32]) -> ScoreRows:
        """Correlations in [-1, 1]; 0 where an image is constant."""
        real = standardized(pool)
        return lambda rows: standardized(queries[rows]) @ real.T
