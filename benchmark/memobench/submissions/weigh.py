"""What the stored scores of a submission are worth: the evidence and the decision, by the same code as runs and audits.

A submission holds no pixels. So what is told from near-identical samples, from poses or from patients of test, dev and
fresh is not told here; the verifier, who measures the samples again, tells it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from memobench.base.errors import DataError
from memobench.measure.decision import WORDS, decide_set
from memobench.measure.findings import decided_samples, evidence_of_scores, recorded, run_findings
from memobench.results import Decided, Result
from memobench.submissions.records import Submission
from memobench.submissions.scores import (
    BELOW,
    MOST_BYTES,
    OF_ATTACK,
    TYPES,
    check_arrays,
    claimed_threshold,
    decisions_of,
    pools_of,
)
from memobench.submissions.untrusted import parse_arrays, read_bytes


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


def weighed_in(folder: Path, submission: Submission) -> Weighed | None:
    """What the scores say that lie in a submission's folder; None where they cannot be read, and a verifier says why.

    Args:
        folder: Of the submission.
        submission: Which names the scores by their digest.
    """
    try:
        packed = read_bytes(folder / "scores.npz", MOST_BYTES)
        if hashlib.sha256(packed).hexdigest() != submission.scores_sha256:
            return None
        wanted = OF_ATTACK if submission.kind == "attack" else TYPES
        scores = parse_arrays(packed, "scores.npz", wanted, MOST_BYTES, below=BELOW)
        check_arrays(scores, submission.result.identity.samples)
        return weigh(submission.result, scores)
    except DataError:
        return None


def told_by(result: Result, weighed: Weighed | None) -> Decided:
    """What to do with a submission's samples, in the words of this version and never in those of the submitter.

    Where no scores are there, its metrics tell; a stricter word of its own is kept.

    Args:
        result: As submitted.
        weighed: What its scores say; None where they cannot be read.
    """
    if weighed is not None:
        return weighed.decision
    claimed = result.decision.word
    without = f"The submission says: {claimed}. The scores that would say why are not there, or cannot be read."
    kept = Decided(word=claimed, sentence=without, reasons=[without])
    try:
        identity = result.identity
        found = run_findings(
            result.metrics,
            result.challenge,
            result.counts,
            preset=result.preset,
            data=identity.data,
            origin=identity.origin,
        )
    except (KeyError, OverflowError):  # of a submission that lacks what a decision rests on
        return kept
    derived = recorded(decide_set(found))
    return kept if WORDS.index(claimed) > WORDS.index(derived.word) else derived
