"""What is counted of decided matches, in one place: for runs and for their verification."""

from __future__ import annotations

from collections.abc import Mapping

from memobench.memorization.ceiling import memorized_ceiling
from memobench.memorization.decide import Decisions
from memobench.memorization.evidence import copy_evidence
from memobench.memorization.rates import Tally, rates
from memobench.memorization.sensitivity import corrected, corrected_patients
from memobench.results import Metric


def counted(decisions: Decisions, count: Tally, *, seed: int) -> dict[str, Metric]:
    """The rates, the evidence and the ceiling.

    Args:
        decisions: What each sample matches.
        count: What each patient received of them (:func:`memobench.memorization.rates.tally`).
        seed: Seed of the permutations.
    """
    metrics = rates(count, seed=seed)
    metrics["copy_evidence"] = copy_evidence(decisions, count.pools, seed=seed)
    metrics["memorized_ceiling"] = memorized_ceiling(count, metrics["memorized_patients"])
    return metrics


def with_sensitivity(metrics: Mapping[str, Metric], sensitivity: Metric, count: Tally | None) -> dict[str, Metric]:
    """``sensitivity``, and the counts corrected for it where it is above 0 and has an interval.

    Args:
        metrics: From :func:`counted`.
        sensitivity: Share of planted copies that reach tau.
        count: What each patient received; None without held-out patients, and the number of patients is then not
            corrected.
    """
    found = {"sensitivity": sensitivity}
    if sensitivity.value > 0 and sensitivity.low is not None and sensitivity.high is not None:
        ends = (sensitivity.value, sensitivity.low, sensitivity.high)
        found["copy_rate_corrected"] = corrected(metrics["copy_rate"], ends)
        if count is not None:
            found["memorized_patients_corrected"] = corrected_patients(metrics["memorized_patients"], count, ends)
    return found
