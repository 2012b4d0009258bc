"""Copy detectors, one file each, by name in the registry: ours and those that the field uses.

A detector learns from real images, or not at all, and then says of any image which image of a pool it matches best and
how strongly. Scores of different detectors are not comparable; only what they separate is.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from memobench.images import Images
from memobench.registry import Registry

if TYPE_CHECKING:  # a list of detectors needs neither
    from memobench.copies.detector import Matches
    from memobench.generator import Context


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

        They set tau (:func:`memobench.copies.decide.threshold`).
        """
        ...

    def state(self) -> dict[str, NDArray[Any]]:
        """What was learned, as named arrays."""
        ...

    def restore(self, state: Mapping[str, NDArray[Any]], *, preset: str, device: str = "cpu") -> Self:
        """Take up what :meth:`state` gave, and return self."""
        ...


DETECTORS: Registry[type[CopyDetector]] = Registry("detector", "memobench.copies.detectors", "memobench.detectors")
