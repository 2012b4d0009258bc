"""The measure itself: from a detector's answers to what was copied and how sure that is.

Runs, audits and attacks ask their detectors in different ways (ours is asked openly, a stranger's is asked blind), and
from then on there is only this function. It sees scores, never images.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from memobench.base.seeds import derive_seed
from memobench.memorization.calls import Calls, calls_without_holdout, sample_p_values, single_calls
from memobench.memorization.certainty import Evidence, NullScores, evidence_of
from memobench.memorization.counted import counted
from memobench.memorization.decide import TAIL, Decisions, Threshold, decide, threshold
from memobench.memorization.rates import Pools, Tally, tally
from memobench.memorization.shift import Shift
from memobench.memorization.without_holdout import WEAKER, rates_without_holdout, threshold_without_holdout
from memobench.results import Metric


@dataclass(frozen=True)
class Answers:
    """What a detector says of N samples and of two sides of real images.

    Attributes:
        null: What images of new patients score; tau and the p-values of single matches come from it.
        highest: The score of exact copies, above which tau never lies.
        matches: (N,) score and row of each sample's best match in train, and the same in holdout; -inf and 0 where
            nothing of a side is a candidate. Without held-out patients the strongest match with another training
            patient stands for the second.
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
        tally: What each patient received; None without held-out patients.
        calls: The list of samples called copies, with p-values.
        null: What images of new patients score.
        evidence: How sure single matches are, on either side, and whether train and holdout are exchangeable.
    """

    metrics: dict[str, Metric]
    threshold: Threshold
    decisions: Decisions
    pools: Pools
    tally: Tally | None
    calls: Calls
    null: NullScores
    evidence: Evidence

    @property
    def null_scores(self) -> NDArray[np.float32]:
        """(M,) best scores of real images against other patients."""
        return np.asarray(self.null.scores, dtype=np.float32)


def count_copies(answers: Answers, pools: Pools, shift: Shift, *, near: NDArray[np.int64] | None = None) -> Counts:
    """One threshold from real images, blind to the labels, then train against holdout.

    Without held-out patients what chance alone adds is taken from the threshold's tail instead.

    Args:
        answers: Of a detector that does not know who is a member.
        pools: The patients of the real images' two sides.
        shift: Whether these are exchangeable.
        near: (N,) equal for near-identical samples, which count once; None where that is not known.
    """
    null = answers.null
    patients = np.arange(len(null.scores)).astype(np.str_) if null.patients is None else null.patients
    limit = limit_of(null, pools, highest=answers.highest)
    decisions = decide(*answers.matches, limit.tau)
    if pools.decoys:
        count = tally(decisions, pools)
        metrics = counted(decisions, count, seed=derive_seed(0, "inference"))
        calls = single_calls(decisions, count, null.scores, patients, null.pool_fraction)
    else:
        count, score = None, decisions.train_score
        metrics = rates_without_holdout(score, decisions.train_index, pools.train, limit, TAIL)
        p_value = sample_p_values(score, null.scores, patients, 1 / null.pool_fraction)
        calls = calls_without_holdout(decisions, pools, p_value, tail=TAIL, words=WEAKER)
    evidence = evidence_of(decisions, pools, null, limit.tau, near=near, shift=shift)
    return Counts(metrics, limit, decisions, pools, count, calls, null, evidence)


def limit_of(null: NullScores, pools: Pools, *, tail: float = TAIL, highest: float = np.inf) -> Threshold:
    """The score that images of new patients reach with probability ``tail``.

    Args:
        null: What images of new patients score.
        pools: Whom a sample is compared with.
        tail: Probability to aim at.
        highest: The score of exact copies, above which it never lies.
    """
    rule = threshold if pools.decoys else threshold_without_holdout
    return rule(null.scores, null.pool_fraction, tail, highest)
