"""A detector that is not told who is a member: all that it receives is the same, whichever patients stand in train.

The comparison of train with holdout, patient by patient, is exact for every detector that does not know the labels, and
worthless for one that does. A stranger's detector is therefore given one pool, train and holdout together, whose
patients carry new names and stand in a new order, both assigned by numbers that depend on no label (the embedded data
are numbered side by side, so the order of the true names would tell). It learns from halves of that pool. It is asked
for the scores of every query with every image of the pool, all queries mixed, and which image stands where is looked up
here, after it has answered.

No way of asking can keep a detector from knowing images that it brought along: a table of the training images, or code
that draws them again. Two things stand against that: its answers on new patients (:mod:`memobench.measure.attack`), and
that its code is read.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Self

import numpy as np
from numpy.typing import NDArray

from memobench.base.errors import DataError
from memobench.base.seeds import generator_for
from memobench.images import Images, content_digests

if TYPE_CHECKING:  # neither is needed to ask
    from memobench.detection.contract import CopyDetector, Matches

ROUNDING = 1e-6  # of the spread of null scores: the sums of another block may leave an exact copy a hair off


@dataclass(frozen=True)
class BlindPool:
    """Train and holdout together, as a detector sees them, and where each image stands.

    Attributes:
        images: The M images, patients and scans under new names, in the order of these.
        train: (n,) rows of ``images`` of the training images, in the order of train.
        holdout: (m,) the same of the holdout images.
    """

    images: Images
    train: NDArray[np.int64]
    holdout: NDArray[np.int64]

    @classmethod
    def of(cls, train: Images, holdout: Images) -> Self:
        """The pool of a task's two sides.

        Args:
            train: The members.
            holdout: Images of other patients.

        Raises:
            DataError: A patient stands in both.
        """
        if shared := np.intersect1d(train.patients, holdout.patients).tolist():
            raise DataError(f'patient "{shared[0]}" stands in train and in holdout; split the data by patient')
        both = train.joined(holdout)
        patients, owner = np.unique(both.patients, return_inverse=True)
        number_of = generator_for(0, "blind", "patients").permutation(len(patients))[owner.reshape(-1)]
        order = np.lexsort([content_digests(both.pixels), both.scans, number_of])
        place = np.empty(len(order), dtype=np.int64)
        place[order] = np.arange(len(order))
        names = [f"patient-{number:06d}" for number in number_of[order]]
        known: dict[str, dict[str, int]] = {}
        scans = []
        for name, scan in zip(names, both.scans[order].tolist(), strict=True):
            own = known.setdefault(name, {})
            scans.append(f"{name}-{own.setdefault(scan, len(own))}")
        pixels = np.array(both.pixels[order])
        pixels.flags.writeable = False
        return cls(Images(pixels, np.array(names), np.array(scans)), place[: len(train)], place[len(train) :])

    @property
    def halves(self) -> tuple[Images, Images]:
        """What a detector may learn from as "train" and "holdout": the pool's patients, halved by their new names."""
        patients = np.unique(self.images.patients)
        first = np.isin(self.images.patients, patients[: len(patients) // 2])
        return self.images.take(first), self.images.take(~first)

    def null_scores(self, detector: CopyDetector) -> tuple[NDArray[np.float32], float]:
        """(M,) the best score of each image against other patients, and the share of the pool compared with.

        Raises:
            DataError: The detector gives no such numbers.
        """
        scores, share = detector.null_scores(self.images)
        scores = np.asarray(scores, dtype=np.float32)
        if scores.shape != (len(self.images),) or not np.isfinite(scores).all():
            raise DataError(
                f"the detector gives null scores of shape {scores.shape}; give a finite one for each of the "
                f"{len(self.images)} images of the pool"
            )
        if not 0 < share <= 1:
            raise DataError(f"the detector compared null scores with {share} of the pool; give a share in (0, 1]")
        return scores, float(share)

    def tables(self, detector: CopyDetector, *queries: NDArray[np.float32]) -> list[NDArray[np.float32]]:
        """(N, M) the score of every query with every image, one table for each set of queries; all are asked mixed.

        Args:
            detector: Fitted.
            queries: Sets of (N, *S) images.

        Raises:
            DataError: The detector does not score every pair, or scores one with no finite number.
        """
        asked = np.concatenate(queries)
        order = generator_for(0, "blind", "queries").permutation(len(asked))
        found = detector.match(asked[order], self.images, len(self.images))
        table = np.empty((len(asked), len(self.images)), dtype=np.float32)
        table[order] = _spread(found.score, found.index, table.shape)
        return np.split(table, np.cumsum([len(one) for one in queries])[:-1])

    def match(self, detector: CopyDetector, queries: NDArray[np.float32], among: Images) -> Matches:
        """The best match of each query among some images of the two sides, which the detector is not told.

        Args:
            detector: Fitted.
            queries: (N, *S) images.
            among: Images of train and holdout under their true names.

        Raises:
            DataError: An image stands in neither side, or see :meth:`tables`.
        """
        from memobench.detection.contract import Matches

        try:
            rows = np.array([self._place[content] for content in content_digests(among.pixels).tolist()])
        except KeyError:
            raise DataError("an image to be matched with stands in neither train nor holdout") from None
        (table,) = self.tables(detector, queries)
        best = table[:, rows].argmax(axis=1)
        return Matches(table[np.arange(len(queries)), rows[best]][:, None], best[:, None])

    @cached_property
    def _place(self) -> dict[str, int]:
        """From content to a row of the pool: images that are pixel for pixel the same have the same scores."""
        return {content: row for row, content in enumerate(content_digests(self.images.pixels).tolist())}


def exact_limit(null: NDArray[np.floating], exact: NDArray[np.floating]) -> float:
    """The score above which no tau lies: what every real image reaches against the pool that holds it.

    A tail that is fitted to a few hundred images may reach beyond the score of exact copies, where nothing is found.

    Args:
        null: (M,) best scores against other patients.
        exact: (M,) best scores of the same images against the whole pool, themselves included.

    >>> exact_limit(np.array([0.1, 0.9]), np.array([1.0, 1.0])) < 1.0
    True
    """
    values = np.asarray(null, dtype=np.float64)
    return float(np.min(exact)) - ROUNDING * float(values.max() - values.min())


def _spread(score: NDArray[np.floating], index: NDArray[np.integer], shape: Sequence[int]) -> NDArray[np.float32]:
    """Scores in the order of the pool from scores in the order of their strength."""
    score, index = np.asarray(score, dtype=np.float32), np.asarray(index)
    if score.shape != tuple(shape) or index.shape != tuple(shape):
        raise DataError(
            f"the detector answers with {score.shape} scores; match(queries, pool, k) must give k for each query"
        )
    if not np.isfinite(score).all():
        raise DataError("the detector gives scores that are not finite numbers; every pair needs one")
    if not np.array_equal(np.sort(index, axis=1), np.broadcast_to(np.arange(shape[1]), tuple(shape))):
        raise DataError("the detector names an image of the pool twice for one query, or one that is not in it")
    table = np.empty(tuple(shape), dtype=np.float32)
    np.put_along_axis(table, index, score, axis=1)
    return table
