"""What is counted of decided matches, in one place: a run counts so, and whoever verifies a run counts so too."""

from __future__ import annotations

from collections.abc import Mapping

from memobench.memorization.ceiling import memorized_ceiling
from memobench.memorization.decide import Decisions
from memobench.memorization.evidence import copy_evidence
from memobench.memorization.rates import Pools, rates
from memobench.memorization.sensitivity import corrected, corrected_patients
from memobench.results import Metric


def counted(decisions: Decisions, pools: Pools, *, seed: int) -> dict[str, Metric]:
    """The rates, the evidence and the ceiling.

    Args:
        decisions: What each sample matches.
        pools: The patients of the pools' images.
        seed: Seed of the permutations.

    Raises:
        DataError: See :func:`memobench.memorization.rates.tally`.
    """
    metrics = rates(decisions, pools, seed=seed)
    metrics["copy_evidence"] = copy_evidence(decisions, pools, seed=seed)
    metrics["memorized_ceiling"] = memorized_ceiling(decisions, pools, metrics["memorized_patients"])
    return metrics


def with_sensitivity(
    metrics: Mapping[str, Metric], sensitivity: Metric, decisions: Decisions, pools: Pools
) -> dict[str, Metric]:
    """``sensitivity``, and the counts corrected for it where it is above 0 and has an interval.

    Args:
        metrics: From :func:`counted`.
        sensitivity: Share of planted copies that reach tau.
        decisions: What each sample matches.
        pools: The patients of the pools' images.
    """
    found = {"sensitivity": sensitivity}
    if sensitivity.value > 0 and sensitivity.low is not None and sensitivity.high is not None:
        ends = (sensitivity.value, sensitivity.low, sensitivity.high)
        found["copy_rate_corrected"] = corrected(metrics["copy_rate"], ends)
        found["memorized_patients_corrected"] = corrected_patients(
            metrics["memorized_patients"], decisions, pools, ends
        )
    return found
