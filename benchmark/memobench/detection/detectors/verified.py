"""Ours: candidates from every pose of a grid, each registered to the image and weighed by a learned regression."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from memobench.detection.contract import Matches
from memobench.detection.detectors import DETECTORS
from memobench.detection.detectors._trained import Trained
from memobench.images import Images


@DETECTORS.register("verified")
class Verified(Trained):
    """The detector that every run uses (:mod:`memobench.detection.crossfit`); it never learns who is a member."""

    def match(
        self,
        queries: NDArray[np.float32],
        pool: Images,
        k: int = 1,
        query_patients: NDArray[np.str_] | None = None,
    ) -> Matches:
        """The k strongest matches of each query; see ``Detector.match``."""
        return self.detector.match(queries, pool, k=k, query_patients=query_patients)

    def null_scores(self, pool: Images) -> tuple[NDArray[np.float32], float]:
        """The best scores against other patients, and the share of the pool compared with."""
        scores, _, share = self.detector.null_scores(pool)
        return scores, share
