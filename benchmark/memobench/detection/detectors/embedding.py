"""The contrastive embedding of our detector alone: cosine similarity, nothing registered or verified."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from memobench.detection.contract import Matches
from memobench.detection.detectors import DETECTORS
from memobench.detection.detectors._trained import Trained
from memobench.images import Images


@DETECTORS.register("embedding")
class EmbeddingAlone(Trained):
    """What ``verified`` narrows large pools down by; on pools that it searches in full it does without."""

    def match(
        self,
        queries: NDArray[np.float32],
        pool: Images,
        k: int = 1,
        query_patients: NDArray[np.str_] | None = None,
    ) -> Matches:
        """The k strongest matches of each query by embedding."""
        return self.match_embeddings(queries, pool, k, query_patients)

    def null_scores(self, pool: Images) -> tuple[NDArray[np.float32], float]:
        """The best scores against other patients, and the share of the pool compared with."""
        scores = self.match(pool.pixels, pool, query_patients=pool.patients).score[:, 0]
        return scores, 1 / len(self.detector.embeddings)
