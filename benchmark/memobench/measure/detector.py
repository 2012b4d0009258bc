"""What the measure asks of the task's own detector, whatever stands behind it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from memobench.base.progress import Track, silent
from memobench.detection.contract import Matches
from memobench.detection.pool import MatchingPool
from memobench.images import Images


class OwnDetector(Protocol):
    """A detector that was trained without knowing who is a member, as :class:`memobench.detection.crossfit.Detector`.

    Beyond the contract of every detector it can search a pool of two sides as one, and has features.
    """

    @property
    def embeddings(self) -> Sequence[Any]:
        """One, or one per fold."""
        ...

    @property
    def verifiers(self) -> Sequence[Any]:
        """As many."""
        ...

    def matching_pool(self, pool: Images) -> MatchingPool:
        """A pool made ready to be searched several times."""
        ...

    def match(
        self,
        queries: NDArray[np.float32],
        pool: Images | MatchingPool,
        *,
        k: int = 1,
        query_patients: NDArray[np.str_] | None = None,
        second: NDArray[np.bool_] | None = None,
        track: Track = silent,
    ) -> Matches:
        """The k strongest matches of each query in a pool."""
        ...

    def null_scores(
        self, pool: Images | MatchingPool, *, most: int | None = None, track: Track = silent
    ) -> tuple[NDArray[np.float32], NDArray[np.str_], float]:
        """Best scores of pool images against other patients, their patients, and the share compared with."""
        ...

    def exact_scores(self, images: Images) -> NDArray[np.float32]:
        """(N,) the score of each real image against itself."""
        ...

    def features(self, pixels: NDArray[np.float32]) -> NDArray[np.float32]:
        """Quality features (N, F) of images."""
        ...

    def embed(self, pixels: NDArray[np.float32]) -> NDArray[np.float32]:
        """Embeddings (N, D) of length one."""
        ...

    def judged_first(self, images: Images) -> Images:
        """The images that the first embedding has not learned from."""
        ...
