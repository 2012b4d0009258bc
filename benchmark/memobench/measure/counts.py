"""The measure itself: from a detector's answers to what was copied and how sure that is.

Runs, audits and attacks ask their detectors in different ways (ours is asked openly, a stranger's is asked blind), and
from then on there is only this function. It sees scores, never images.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from memobench.base.seeds import derive_seed
from memobench.memorization.calls import Calls, single_calls
from memobench.memorization.certainty import Evidence, NullScores, evidence_of
from memobench.memorization.counted import counted
from memobench.memorization.decide import Decisions, Threshold, decide, threshold
from memobench.memorization.rates import Pools
from memobench.memorization.shift import Shift
from memobench.results import Metric


@dataclass(frozen=True)
class Answers:
    """What a detector says of N samples and of two sides of real images.

    Attributes:
        null: What images of new patients score; tau and the p-values of single matches come from it.
        highest: The score of exact copies, above which tau never lies.
        matches: (N,) score and row of each sample's best match in train, and the same in holdout; -inf and 0 where
            nothing of a side is a candidate.
    """

    null: NullScores
    highest: float
    matches: tuple[NDArray[np.float32], NDArray[np.int64], NDArray[np.float32], NDArray[np.int64]]


@dataclass(frozen=True)
class Counts:
    """What was copied.

    Attributes:
        metrics: By name.
        threshold: How tau was found.
        decisions: What each sample matches.
        pools: Who stands in train and in holdout.
        calls: The list of samples called copies, with p-values.
        null: What images of new patients score.
        evidence: How sure single matches are, on either side, and whether train and holdout are exchangeable.
    """

    metrics: dict[str, Metric]
    threshold: Threshold
    decisions: Decisions
    pools: Pools
    calls: Calls
    null: NullScores
    evidence: Evidence

    @property
    def null_scores(self) -> NDArray[np.float32]:
        """(M,) best scores of real images against other patients."""
        return np.asarray(self.null.scores, dtype=np.float32)


def count_copies(answers: Answers, pools: Pools, shift: Shift, *, near: NDArray[np.int64] | None = None) -> Counts:
    """One threshold from real images, blind to the labels, then train against holdout.

    Args:
        answers: Of a detector that does not know who is a member.
        pools: The patients of the real images' two sides.
        shift: Whether these are exchangeable.
        near: (N,) equal for near-identical samples, which count once; None where that is not known.
    """
    null = answers.null
    patients = np.arange(len(null.scores)).astype(np.str_) if null.patients is None else null.patients
    limit = threshold(null.scores, null.pool_fraction, highest=answers.highest)
    decisions = decide(*answers.matches, limit.tau)
    metrics = counted(decisions, pools, seed=derive_seed(0, "inference"))
    calls = single_calls(decisions, pools, null.scores, patients, null.pool_fraction)
    evidence = evidence_of(decisions, pools, null, limit.tau, near=near, shift=shift)
    return Counts(metrics, limit, decisions, pools, calls, null, evidence)
