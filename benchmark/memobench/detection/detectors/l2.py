"""Euclidean distance of the pixels, negative: the ruler of the first memorization studies."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from memobench.detection.detectors import DETECTORS
from memobench.detection.detectors._pairs import PairDetector, ScoreRows


@DETECTORS.register("l2")
class L2(PairDetector):
    """Minus the root mean square difference of the pixels (as Carlini et al., USENIX Security 2023, uncalibrated)."""

    def scores(self, queries: NDArray[np.float32], pool: NDArray[np.float32]) -> ScoreRows:
        """Scores in [-1, 0]; 0 for equal images."""
        real = np.asarray(pool, dtype=np.float64).reshape(len(pool), -1)
        square = (real**2).sum(axis=1)

        def of(rows: slice) -> NDArray[np.float64]:
            asked = np.asarray(queries[rows], dtype=np.float64).reshape(-1, real.shape[1])
            # in float64 the product form is right to about 1e-8 of the range, far below a grey level
            distance = (asked**2).sum(axis=1)[:, None] + square - 2 * asked @ real.T
            score: NDArray[np.float64] = -np.sqrt(np.maximum(distance, 0) / real.shape[1])
            return score

        return of
