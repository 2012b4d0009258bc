"""What detectors share that learn nothing and score every pair of images."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from memobench.base.errors import DataError
from memobench.detection.contract import Matches
from memobench.images import Images

if TYPE_CHECKING:
    from memobench.generator import Context

BLOCK = 256  # queries scored at once
ScoreRows = Callable[[slice], NDArray[np.floating]]


def strongest(
    score_rows: ScoreRows,
    count: int,
    pool_patients: NDArray[np.str_],
    k: int = 1,
    query_patients: NDArray[np.str_] | None = None,
    block: int = BLOCK,
) -> Matches:
    """The k highest scores of each query, block by block; equal scores go to the lower index.

    Args:
        score_rows: ``score_rows(rows)`` gives the scores (len(rows), M) of a slice of the queries with the pool.
        count: Number of queries, N.
        pool_patients: (M,) patients of the pool.
        k: Matches per query.
        query_patients: (N,) patients of the queries, whose own images are passed over.
        block: Queries per block.

    Raises:
        DataError: A query has fewer than k images to be compared with.

    >>> table = np.array([[0.1, 0.9, 0.5]])
    >>> found = strongest(lambda rows: table[rows], 1, np.array(["a", "b", "c"]), 2, np.array(["b"]))
    >>> found.index.tolist()
    [[2, 0]]
    """
    if not 1 <= k <= len(pool_patients):
        raise DataError(f"k = {k} matches cannot be found in a pool of {len(pool_patients)} images")
    score = np.empty((count, k), dtype=np.float32)
    index = np.empty((count, k), dtype=np.int64)
    for start in range(0, count, block):
        rows = slice(start, min(start + block, count))
        found = np.array(score_rows(rows), dtype=np.float64)
        if query_patients is not None:
            found[query_patients[rows][:, None] == pool_patients[None, :]] = -np.inf
        order = np.argsort(-found, axis=1, kind="stable")[:, :k]
        best = np.take_along_axis(found, order, axis=1)
        if np.isneginf(best).any():
            row = start + int(np.isneginf(best).any(axis=1).argmax())
            raise DataError(
                f"query {row} can be compared with fewer than {k} images of other patients; give a larger pool"
            )
        score[rows], index[rows] = best, order
    return Matches(score, index)


class PairDetector(ABC):
    """A detector that learns nothing: a score of two images, applied to every pair."""

    VERSION: ClassVar[str] = "1"
    TRAINED_AS: ClassVar[str | None] = None

    @abstractmethod
    def scores(self, queries: NDArray[np.float32], pool: NDArray[np.float32]) -> ScoreRows:
        """A function from a slice of the queries to their scores with all of the pool, higher for more similar ones."""

    def fit(
        self, train: Images, holdout: Images, dev: Images | None, *, context: Context, preset: str = "quick"
    ) -> Self:
        """Nothing is learned."""
        return self

    def match(
        self,
        queries: NDArray[np.float32],
        pool: Images,
        k: int = 1,
        query_patients: NDArray[np.str_] | None = None,
    ) -> Matches:
        """The k strongest matches of each query in the pool.

        Args:
            queries: (N, *S) images.
            pool: Real images.
            k: How many matches.
            query_patients: (N,) the patients of real queries, whose own images are passed over.

        Raises:
            DataError: Shapes that differ, or a query with fewer than k images to be compared with.
        """
        if queries.shape[1:] != pool.shape:
            raise DataError(f"queries of {queries.shape[1:]} cannot be matched with images of {pool.shape}")
        return strongest(self.scores(queries, pool.pixels), len(queries), pool.patients, k, query_patients)

    def null_scores(self, pool: Images) -> tuple[NDArray[np.float32], float]:
        """(N,) the best score of each pool image against other patients, each compared with the whole pool."""
        return self.match(pool.pixels, pool, query_patients=pool.patients).score[:, 0], 1.0

    def state(self) -> dict[str, NDArray[Any]]:
        """Nothing."""
        return {}

    def restore(self, state: Mapping[str, NDArray[Any]], *, preset: str, device: str = "cpu") -> Self:
        """Nothing to take up."""
        return self
