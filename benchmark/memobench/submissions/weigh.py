"""What the stored scores of a submission are worth: the evidence and the decision, by the same code as runs and audits.

A submission holds no pixels. So what is told from near-identical samples, from poses or from patients of test, dev and
fresh is not told here; the verifier, who measures the samples again, tells it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from memobench.measure.findings import decided_samples, evidence_of_scores, run_findings
from memobench.results import Decided, Result
from memobench.submissions.scores import claimed_threshold, decisions_of, pools_of


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
    limit = claimed_threshold(result.threshold)
    decisions, pools = decisions_of(scores, limit.tau), pools_of(scores)
    evidence = evidence_of_scores(decisions, pools, scores["null"], limit, blind="exact" in scores)
    findings = run_findings(
        result.metrics,
        result.challenge,
        result.counts,
        preset=result.preset,
        data=result.identity.data,
        origin=result.identity.origin,
        evidence=evidence,
    )
    held_out = decisions.called & (decisions.side < 0)
    return Weighed(
        decision=decided_samples(findings, decisions, evidence, regions=result.regions),
        p_copies=min(1.0, 2 * min(evidence.train.p_set, evidence.train.p_count)),
        p_leak=min(1.0, 2 * min(evidence.holdout.p_set, evidence.holdout.p_count)),
        leaked=len(np.unique(pools.holdout[decisions.holdout_index[held_out]])),
    )
