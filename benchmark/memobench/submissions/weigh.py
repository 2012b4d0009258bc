"""What the stored scores of a submission are worth: the evidence and the decision, by the same code as runs and audits.

A submission holds no pixels. So what is told from near-identical samples, from poses or from patients of test, dev and
fresh is not told here; whoever measures the samples again tells it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from memobench.measure.findings import decided_samples, run_findings
from memobench.memorization.certainty import NullScores, evidence_of
from memobench.memorization.decide import TAIL
from memobench.memorization.shift import Shift
from memobench.results import Decided, Result
from memobench.submissions.scores import decisions_of, pools_of

DRAWN = Shift(exchangeable=True, p_value=1.0, auc=0.5)  # by design: a task's holdout is a random draw of patients


@dataclass(frozen=True)
class Weighed:
    """What the scores of one submission say.

    Attributes:
        decision: With the samples to hold back by their number.
        p_copies: P(a generator that copied nobody gives a match with train so certain, or so many matches).
        p_leak: The same for holdout: a generator that has not seen those patients.
        leaked: Held-out patients that samples match at tau or above.
    """

    decision: Decided
    p_copies: float
    p_leak: float
    leaked: int


def weigh(result: Result, scores: Mapping[str, NDArray[Any]]) -> Weighed:
    """Weigh the scores of a run, or of an attack on one.

    Args:
        result: As submitted; threshold and metrics are taken to be checked.
        scores: Checked arrays of ``scores.npz``.

    Raises:
        DataError: Too few null scores.
    """
    tau, tail = float(result.threshold["tau"]), float(result.threshold["tail"])
    decisions, pools = decisions_of(scores, tau), pools_of(scores)
    owners = np.concatenate([pools.train, pools.holdout])
    # an attack's null scores stand in the order of its blind pool
    known = len(owners) == len(scores["null"]) and "exact" not in scores
    null = NullScores(scores["null"], owners if known else None, min(1.0, tail / (2 * TAIL)))
    evidence = evidence_of(decisions, pools, null, tau, shift=DRAWN)
    findings = run_findings(
        result.metrics,
        result.challenge,
        result.counts,
        preset=result.preset,
        data=result.identity.data,
        evidence=evidence,
    )
    held_out = decisions.called & (decisions.side < 0)
    return Weighed(
        decision=decided_samples(findings, decisions, evidence),
        p_copies=min(1.0, 2 * min(evidence.train.p_set, evidence.train.p_count)),
        p_leak=min(1.0, 2 * min(evidence.holdout.p_set, evidence.holdout.p_count)),
        leaked=len(np.unique(pools.holdout[decisions.holdout_index[held_out]])),
    )
