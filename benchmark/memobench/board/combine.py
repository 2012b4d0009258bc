"""One number of several seeds: its mean, with an interval that counts patients and training again.

The seeds of a row share their patients, so more seeds do not make the patients more. Neither is the covariance of two
seeds known from what is submitted. So the rule is a conservative one:

- the patients' part of the reach is the mean over seeds of the distance from the estimate to that seed's interval end,
  which is what perfectly correlated patient errors give (the largest standard error that a mean can have);
- the seeds' part is Student's t with n - 1 degrees of freedom times the standard error of the mean over n seeds;
- the two are added in squares, each end by itself: the method of variance estimates recovery (Zou & Donner 2008,
  Statistics in Medicine 27, 1693, section 2), which keeps skewed intervals skewed.

The spread between seeds holds the noise of drawing samples, which the patients' part may hold as well; it is then
counted twice. With one seed the interval is the submitted one, and does not cover training again.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import stdtrit

from memobench.base.errors import DataError
from memobench.results import Metric

LEVEL = 0.95
FIGURES = 9  # significant: what differs beyond depends on the library of mathematics


@dataclass(frozen=True)
class Number:
    """A metric over the seeds of a row.

    Attributes:
        value: Mean over seeds.
        low: Lower end of the 95% interval; None where a seed has no interval.
        high: Upper end.
        null: Mean over seeds of the value when there is nothing to find; None where there is none.
        better: "lower", "higher" or "null".
        p_value: Smallest p-value of the seeds times their number (Bonferroni), at most 1; None where there is none.
    """

    value: float
    low: float | None
    high: float | None
    null: float | None
    better: str
    p_value: float | None


def combine(seeds: Sequence[Metric], *, lowest: float = -math.inf, highest: float = math.inf) -> Number:
    """The metric of several seeds as one number, by the rule above.

    Args:
        seeds: The same metric of each seed.
        lowest: The smallest value that the metric can take; no interval reaches below it.
        highest: The largest.

    Raises:
        DataError: There is no seed.

    >>> one = Metric(value=0.2, low=0.1, high=0.3, null=0.0, better="lower")
    >>> combine([one]).high, combine([one, one]).high  # the same patients again: no narrower
    (0.3, 0.3)
    """
    if not seeds:
        raise DataError("no seed to combine; a row holds one submission at least")
    values = np.array([seed.value for seed in seeds])
    value = math.fsum(values) / len(values)
    lows = [seed.value - seed.low for seed in seeds if seed.low is not None]
    highs = [seed.high - seed.value for seed in seeds if seed.high is not None]
    low: float | None = None
    high: float | None = None
    if len(lows) == len(highs) == len(seeds):
        spread = 0.0
        if len(seeds) > 1:
            freedom = len(seeds) - 1
            spread = float(stdtrit(freedom, 0.5 + LEVEL / 2)) * float(np.std(values, ddof=1)) / math.sqrt(len(seeds))
        low = max(value - math.hypot(max(math.fsum(lows) / len(lows), 0.0), spread), min(lowest, value))
        high = min(value + math.hypot(max(math.fsum(highs) / len(highs), 0.0), spread), max(highest, value))
    nulls = [seed.null for seed in seeds if seed.null is not None]
    null = math.fsum(nulls) / len(nulls) if len(nulls) == len(seeds) else None
    tested = [seed.p_value for seed in seeds if seed.p_value is not None]
    p_value = min(1.0, len(tested) * min(tested)) if len(tested) == len(seeds) else None
    low, high, null, p_value = (None if end is None else significant(end) for end in (low, high, null, p_value))
    return Number(significant(value), low, high, null, seeds[0].better, p_value)


def significant(value: float) -> float:
    """A number to :data:`FIGURES` significant figures.

    >>> significant(1 / 3), significant(0.0)
    (0.333333333, 0.0)
    """
    return float(f"{value:.{FIGURES}g}") + 0.0  # no negative zero
