"""The contract of a copy detector, ours and third parties': what it is given, and what it answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from memobench.generator import Context
from memobench.images import Images


class CopyDetector(Protocol):
    """What a detector is.

    Attributes:
        VERSION: Changes with anything that changes a score.
        TRAINED_AS: The name under which what it learned is stored, equal for detectors that learn the same; None for
            detectors that learn nothing.
    """

    VERSION: ClassVar[str]
    TRAINED_AS: ClassVar[str | None]

    def fit(
        self, train: Images, holdout: Images, dev: Images | None, *, context: Context, preset: str = "quick"
    ) -> Self:
        """Learn, and return self.

        Args:
            train: The members. A detector that learns from them alone can be better at them than at other images.
            holdout: As many other patients.
            dev: Other patients again; None where there are too few.
            context: Seed, device, progress, checkpoints.
            preset: How much to train: smoke, quick, standard or paper.
        """
        ...

    def match(
        self,
        queries: NDArray[np.float32],
        pool: Images,
        k: int = 1,
        query_patients: NDArray[np.str_] | None = None,
    ) -> Matches:
        """The k strongest matches of each query (N, *S) in the pool, passing over images of the query's patient."""
        ...

    def null_scores(self, pool: Images) -> tuple[NDArray[np.float32], float]:
        """(N,) the best score of each pool image against other patients, and the share of the pool compared with.

        They set tau (:func:`memobench.memorization.decide.threshold`).
        """
        ...

    def state(self) -> dict[str, NDArray[Any]]:
        """What was learned, as named arrays."""
        ...

    def restore(self, state: Mapping[str, NDArray[Any]], *, preset: str, device: str = "cpu") -> Self:
        """Take up what :meth:`state` gave, and return self."""
        ...


@dataclass(frozen=True)
class Matches:
    """The strongest matches of N queries in a pool, strongest first.

    Attributes:
        score: (N, k) log odds that the query is a copy of the match.
        index: (N, k) rows of the pool.

    Of a pool of two sides both are (N, 2): the strongest match on the first and on the second side, with a score of
    -inf and row -1 where nothing of a side was a candidate; one of the two is finite.
    """

    score: NDArray[np.float32]
    index: NDArray[np.int64]
