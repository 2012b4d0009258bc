"""What is known of an arm once its runs are finished, and how far each metric would move with other patients."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from memobench.base.errors import DataError
from memobench.stats.exchange import Floats
from memobench.study.compare import (
    Deviations,
    Estimate,
    Spread,
    difference,
    distance_spread,
    estimate,
    own_spread,
    patient_draws,
    share_spread,
)
from memobench.study.findings import DISTANCE, RATE, SHARE
from memobench.study.grid import Finished, deviations_of, hits_of
from memobench.study.results import METRICS
from memobench.task import Splits

BOUNDS = {SHARE: (0.0, 1.0), RATE: (-1.0, 1.0), DISTANCE: (0.0, np.inf), "recall": (0.0, 1.0)}  # where each can lie


@dataclass(frozen=True)
class Observed:
    """An arm and its runs.

    Attributes:
        runs: One for each seed.
        values: By metric, one value for each run.
        draws: (DRAWS,) its mean train share in draws of other patients, the same for all arms.
        deviations: Of its Fréchet distances; none where a run is of a version that did not store them.
    """

    runs: Sequence[Finished]
    values: dict[str, list[float]]
    draws: Floats
    deviations: Sequence[Deviations]

    def estimates(self) -> dict[str, Estimate]:
        """Each metric's mean over seeds with its interval, which ends where the metric does."""
        estimates = {}
        for name, row in self.values.items():
            estimates[name] = _within(estimate(row, spread(name, self)), *BOUNDS.get(name, (-np.inf, np.inf)))
        return estimates

    def above(self, other: Observed, metric: str, level: float) -> Estimate:
        """By how much its metric lies above another arm's, with an interval of that level."""
        made = difference(self.values[metric], other.values[metric], spread(metric, self, other), level)
        least, most = BOUNDS[metric]
        return _within(made, least - most, most - least)


def observe(arms: Mapping[str, Sequence[Finished]], whole: Splits) -> dict[str, Observed]:
    """Read what the runs of each arm have stored.

    Args:
        arms: By label, its runs.
        whole: The task's images, all of them.

    Raises:
        DataError: A patient stands in train in one run and in holdout in another, or a run lacks what is compared.
    """
    for one in (one for runs in arms.values() for one in runs):
        if lacking := [name for name in (SHARE, RATE, DISTANCE) if name not in one.result.metrics]:
            notes = "; ".join(one.result.notes) or "no reason is noted"
            raise DataError(f"run {one.result.run_id} has no {', '.join(lacking)} to compare: {notes}")
    drawn = patient_draws([[hits_of(one, whole) for one in runs] for runs in arms.values()], 0)
    observed = {}
    for (label, runs), draws in zip(arms.items(), drawn, strict=True):
        deviations = [found for one in runs if (found := deviations_of(one))]
        observed[label] = Observed(runs, _values(runs), draws, deviations if len(deviations) == len(runs) else ())
    return observed


def spread(metric: str, first: Observed, second: Observed | None = None) -> Spread:
    """How far a metric's mean over an arm's runs, or the difference of two arms, moves when patients are others.

    The train share and the Fréchet distance are compared on the same patients. Other metrics, and distances of runs
    that have not stored what that takes, are compared as if the two arms' patients were not the same: too cautiously.
    """
    arms = [first] if second is None else [first, second]
    if metric == DISTANCE and all(arm.deviations for arm in arms):
        return distance_spread(*(arm.deviations for arm in arms))
    own = [own_spread([_own_interval(one, metric) for one in arm.runs]) for arm in arms]
    if metric == SHARE:
        return share_spread([arm.draws for arm in arms], own)
    return own[0] if second is None else own[0].minus(own[1])


def _within(found: Estimate, least: float, most: float) -> Estimate:
    return Estimate(found.value, max(found.low, least), min(found.high, most))


def _values(runs: Sequence[Finished]) -> dict[str, list[float]]:
    names = [name for name in METRICS if all(name in one.result.metrics for one in runs)]
    return {name: [one.result.metrics[name].value for one in runs] for name in names}


def _own_interval(run: Finished, name: str) -> Estimate:
    """Over patients, as the run carries it; none of a metric that has none."""
    metric = run.result.metrics[name]
    low, high = (metric.value if end is None else end for end in (metric.low, metric.high))
    return Estimate(metric.value, low, high)
