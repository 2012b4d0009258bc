"""What the detectors share that are made of our own embedding: its training, and its matches without verification."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from memobench.detection.contract import Matches
from memobench.detection.crossfit import Detector
from memobench.detection.detectors._pairs import strongest
from memobench.detection.parameters import DETECTOR_VERSION, EmbeddingParameters
from memobench.images import Images

if TYPE_CHECKING:
    from memobench.generator import Context


class Trained:
    """Our detector, trained: on other patients, or cross-fitted over the pool, never knowing who is a member."""

    VERSION: ClassVar[str] = DETECTOR_VERSION
    TRAINED_AS: ClassVar[str | None] = "ours"

    detector: Detector
    moments: NDArray[np.float64]  # (embeddings, 2) median and spread of the best similarities of other patients

    def fit(
        self, train: Images, holdout: Images, dev: Images | None, *, context: Context, preset: str = "quick"
    ) -> Self:
        """Train on ``dev`` where it has patients enough, else on train and holdout together, unlabelled."""
        pool = train.joined(holdout)
        pool = pool.take(np.lexsort([pool.scans, pool.patients]))
        self.detector = Detector.fit(pool, dev, EmbeddingParameters.preset(preset), context=context)
        self.moments = np.tile([0.0, 1.0], (len(self.detector.embeddings), 1))
        best = self.match_embeddings(pool.pixels, pool, 1, pool.patients).score[:, 0].astype(np.float64)
        moments = []
        for number in range(len(self.moments)):
            low, median, high = np.quantile(best[self._judges(number, pool.patients)], [0.25, 0.5, 0.75])
            moments.append([median, max((high - low) / 1.349, 1e-6)])  # the spread of a normal law
        self.moments = np.array(moments)
        return self

    def match_embeddings(
        self,
        queries: NDArray[np.float32],
        pool: Images,
        k: int = 1,
        query_patients: NDArray[np.str_] | None = None,
    ) -> Matches:
        """The k strongest matches by the embedding alone: Fisher's z of the cosine, standardized.

        As in :meth:`memobench.detection.crossfit.Detector.match`, an image is never judged by an embedding that learned
        from it.
        """
        parts = []
        for number, embedding in enumerate(self.detector.embeddings):
            members = np.flatnonzero(self._judges(number, pool.patients))
            if not len(members):
                continue
            asked = np.ones(len(queries), dtype=bool)
            if query_patients is not None:
                asked = self._judges(number, query_patients)
            real = embedding.embed(pool.pixels[members]).astype(np.float64)
            parts.append((number, members, asked, embedding.embed(queries).astype(np.float64), real))

        def score(rows: slice) -> NDArray[np.float64]:
            table = np.full((rows.stop - rows.start, len(pool)), -np.inf)
            for number, members, asked, made, real in parts:
                median, spread = self.moments[number]
                # beyond 1 - 1e-6 embeddings in single precision cannot be told apart
                z = (np.arctanh(np.clip(made[rows] @ real.T, -1 + 1e-6, 1 - 1e-6)) - median) / spread
                z[~asked[rows]] = -np.inf
                table[:, members] = np.maximum(table[:, members], z)
            return table

        return strongest(score, len(queries), pool.patients, k, query_patients)

    def state(self) -> dict[str, NDArray[Any]]:
        """The detector's arrays and the embeddings' moments."""
        return {**{f"detector.{key}": value for key, value in self.detector.state().items()}, "moments": self.moments}

    def restore(self, state: Mapping[str, NDArray[Any]], *, preset: str, device: str = "cpu") -> Self:
        """Take up what :meth:`state` gave."""
        prefix = "detector."
        own = {key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)}
        self.detector = Detector.restore(own, EmbeddingParameters.preset(preset), device=device)
        self.moments = np.asarray(state["moments"])
        return self

    def _judges(self, number: int, patients: NDArray[np.str_]) -> NDArray[np.bool_]:
        """Which images an embedding may judge: those whose patient it has not learned from."""
        folds = self.detector.folds
        if folds is None:
            return np.ones(len(patients), dtype=bool)
        learned = np.concatenate([fold for place, fold in enumerate(folds) if place != number])
        judged: NDArray[np.bool_] = ~np.isin(patients, learned)
        return judged
