"""Looking again and again while a generator is trained: an alarm that many looks do not make falser.

At each look the samples of the last few looks are weighed together, by two tests that are valid at any one look:

- the exact test of :mod:`memobench.memorization.evidence`: do training patients lead the strongest matches? Its labels
  are assigned again patient by patient, so that samples may depend on each other in any way, within a look and between
  looks: a generator that makes one image for ever is no evidence.
- single matches and their number against the tail of the null scores (:mod:`memobench.memorization.certainty`), which
  sees the first copies where there are too few patients for the exact test.

The error is spent over the looks (Bonferroni; alpha spending of Lan & DeMets, Biometrika 1983): of the chance ``alpha``
of ever raising a false alarm, half goes evenly to the first ``looks`` looks, a quarter to the next twice as many, and
so on. So the chance stays below ``alpha`` however long one looks, and whatever was planned.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from memobench.base.errors import DataError
from memobench.memorization.certainty import NullScores, evidence_of
from memobench.memorization.decide import Decisions
from memobench.memorization.evidence import evidence_test, strongest_matches
from memobench.memorization.rates import Pools, rates, tally
from memobench.memorization.shift import BY_DESIGN
from memobench.results import Metric

FIRST = 199  # labellings by which looks without anything to see are done
UNLIKELY = 0.05  # above it they are
SHARES = 399  # labellings of the rates, whose p-values are not used


@dataclass(frozen=True)
class Spending:
    """How the error is spent over looks.

    Attributes:
        alpha: Chance of ever raising a false alarm.
        looks: How many looks are planned; more are allowed, at a price.
    """

    alpha: float = 0.05
    looks: int = 50

    def __post_init__(self) -> None:
        """Refuse what is no chance and no number.

        Raises:
            DataError: It is not.
        """
        if not 0 < self.alpha < 1 or self.looks < 1:
            raise DataError(f"alpha={self.alpha} and looks={self.looks} spend no error; give 0.05 and 50 for example")

    def level(self, look: int) -> float:
        """The error of a look, the first being 1.

        >>> Spending(0.05, 50).level(1), Spending(0.05, 50).level(51)
        (0.0005, 0.000125)
        >>> bool(sum(Spending(0.05, 5).level(look) for look in range(1, 10_000)) < 0.05)
        True
        """
        block, first = 1, self.looks
        while look > first:
            block += 1
            first += self.looks * 2 ** (block - 1)
        return float(self.alpha * 2.0**-block / (self.looks * 2 ** (block - 1)))


@dataclass(frozen=True)
class Look:
    """What was seen at one look.

    Attributes:
        number: Of the look, from 1.
        samples: How many samples were weighed, those of the last looks together.
        train_share: Share of them that match train better than holdout; 0.5 where nothing is memorized.
        copy_rate: Share of them that are copies, less what chance gives. Both intervals are wide enough for all looks
            together.
        copied_patients: Training patients whom one of the samples certainly copies.
        p_value: Of this look alone.
        level: The error that this look may spend.
        alarm: Whether the p-value is at or below it.
    """

    number: int
    samples: int
    train_share: Metric
    copy_rate: Metric
    copied_patients: int
    p_value: float
    level: float

    @property
    def alarm(self) -> bool:
        """Whether copies are there, as far as this look tells."""
        return self.p_value <= self.level


@dataclass(frozen=True)
class Against:
    """What samples are weighed against.

    Attributes:
        pools: The patients of train and holdout, a random draw from one set.
        null: What images of new patients score.
        tau: The threshold of a call.
    """

    pools: Pools
    null: NullScores
    tau: float


def look_at(
    decisions: Decisions,
    against: Against,
    spending: Spending,
    *,
    number: int,
    near: NDArray[np.int64] | None = None,
) -> Look:
    """Weigh samples at one look.

    Args:
        decisions: What each of N samples matches.
        against: What they are weighed against.
        spending: How the error is spent.
        number: Of the look, from 1.
        near: (N,) equal for near-identical samples, which count once.

    Raises:
        DataError: See :func:`memobench.memorization.rates.tally`.
    """
    level = spending.level(number)
    found = rates(tally(decisions, against.pools), seed=number, draws=SHARES)
    p_value, patients = weighed(decisions, against, level, number=number, near=near)
    wider = float(stats.norm.isf(level / 2) / stats.norm.isf(0.025))
    return Look(
        number,
        len(decisions.side),
        _widened(found["train_share"], wider, 0.0),
        _widened(found["copy_rate"], wider, -1.0),
        patients,
        p_value,
        level,
    )


def weighed(
    decisions: Decisions, against: Against, level: float, *, number: int, near: NDArray[np.int64] | None = None
) -> tuple[float, int]:
    """The p-value of a look, and how many training patients are certainly copied.

    Args:
        decisions: What each of N samples matches.
        against: What they are weighed against.
        level: The error that the look may spend; above it the p-value is rough.
        number: Of the look, from 1.
        near: (N,) equal for near-identical samples, which count once.
    """
    pools = against.pools
    evidence = evidence_of(decisions, pools, against.null, against.tau, near=near, shift=BY_DESIGN).train
    single = min(1.0, 2 * min(evidence.p_set, evidence.p_count))
    return min(1.0, 2 * min(single, _lead(decisions, pools, number, level))), evidence.patients


def _lead(decisions: Decisions, pools: Pools, number: int, level: float) -> float:
    """The exact p-value of whether training patients lead, with labellings enough for the level where it matters.

    Few labellings end looks without anything to see; a small p-value comes from new labellings alone, so that looking
    at the first ones costs nothing.
    """
    votes = strongest_matches(decisions, pools)
    if not np.isfinite(votes).any():
        return 1.0
    _, few = evidence_test(votes, pools.in_train, seed=2 * number, draws=FIRST, strata=pools.stratum)
    if few.more > UNLIKELY:
        return few.more
    enough = math.ceil(4 / level)
    _, test = evidence_test(votes, pools.in_train, seed=2 * number + 1, draws=enough, strata=pools.stratum)
    return test.more


def _widened(metric: Metric, wider: float, least: float) -> Metric:
    """A metric whose 95% interval is made wide enough for all looks together."""
    if metric.low is None or metric.high is None:
        return metric
    low = max(metric.value - wider * (metric.value - metric.low), least)
    high = min(metric.value + wider * (metric.high - metric.value), 1.0)
    return metric.model_copy(update={"low": low, "high": high, "p_value": None, "note": "valid at all looks together"})
