"""Intervals for shares that are counted over patients.

The sampling model. Patients are independent draws from a large population, given how many images each has in its pool.
A patient is copied at a rate of its own (zero for most, perhaps), and the N samples are drawn in proportion to the
rates and to a fixed rate of everything that is not a copy. The parameters are ratios of expectations over that
population: the copy rate is the share of the whole rate that is copying, the memorized patients are the expected number
hit by N samples. An interval therefore answers "what would other patients have shown", not only "what would other
samples have shown", and is wide where few patients make up most copies.

Every estimate is a smooth function of sums over patients, so its variance is that of a sum of per-patient influences,
taken within train and within holdout apart (both sizes are fixed by design). The intervals are Jeffreys' at the
effective number of trials that this variance gives, and differences and ratios are recovered from them (MOVER).
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from memobench.stats.exchange import LEVEL, Floats

HUBNESS = 2.0

Interval = tuple[float, float, float]


def jeffreys(successes: float, trials: float, level: float = LEVEL) -> tuple[float, float]:
    """Jeffreys' interval of a share (Brown, Cai & DasGupta 2001, eq. 6-8), also for fractional counts.

    Its coverage lies around the nominal level, where the exact interval of Clopper and Pearson lies above it. Where
    none or all are hits there is one end only, and all of the error is spent on it (the rule of three).

    >>> low, high = jeffreys(0, 10)
    >>> low, round(high, 3)
    (0.0, 0.259)
    """
    if trials <= 0:
        return 0.0, 1.0
    tail = (1 - level) / 2
    a, b = successes + 0.5, trials - successes + 0.5
    one_sided = 1 - (1 - level) ** (1 / trials)
    if successes <= 0:
        return 0.0, one_sided
    if successes >= trials:
        return 1 - one_sided, 1.0
    low, high = float(stats.beta.ppf(tail, a, b)), float(stats.beta.ppf(1 - tail, a, b))
    share = successes / trials
    return min(low, share), max(high, share)


def influence_covariance(influence: Floats, in_train: NDArray[np.bool_], images: Floats | None = None) -> Floats:
    """Covariance of K estimates that are sums of per-patient influences.

    Within each pool the influences are taken beside their mean and, given the numbers of images, beside their linear
    dependence on them; the residual sum of squares is scaled by n / (n - parameters). A pool of one patient keeps its
    square.

    Args:
        influence: (P, K) influence of each patient on each estimate.
        in_train: (P,) which pool each patient stands in.
        images: (P,) number of images of each patient, where the parameter is one for pools with these images.

    Returns:
        (K, K) covariance.

    >>> x = np.random.default_rng(0).normal(size=(4000, 1)) / 4000
    >>> variance = influence_covariance(x, np.arange(4000) < 2000)
    >>> round(float(variance[0, 0]) * 4000, 1)
    1.0
    """
    total = np.zeros((influence.shape[1],) * 2)
    for pool in (in_train, ~in_train):
        values, n = influence[pool], int(pool.sum())
        parameters = 0
        if n > 1:
            values = values - values.mean(axis=0)
            parameters = 1
        if images is not None and n > 4:
            number = images[pool] - images[pool].mean()
            if spread := float(number @ number):
                values = values - np.outer(number, number @ values) / spread
                parameters = 2
        total += n / (n - parameters) * (values.T @ values)
    return total


def share_interval(share: float, variance: float, *, most: float, fallback: float) -> Interval:
    """A share with its interval at the effective number of trials, share * (1 - share) / variance.

    Args:
        share: The estimate, in [0, 1].
        variance: Its estimated variance.
        most: The largest number of trials that is believed.
        fallback: The number of trials where the variance cannot be estimated: none or all are hits.

    >>> share, low, high = share_interval(0.3, 0.3 * 0.7 / 100, most=100, fallback=100)
    >>> round(low, 3), round(high, 3)
    (0.217, 0.395)
    """
    trials = min(share * (1 - share) / variance, most) if 0 < share < 1 and variance > 0 else fallback
    return share, *jeffreys(share * trials, trials)


def clustered_share(hits: Floats, sizes: Floats) -> Interval:
    """A share of items with its 95% interval when items come in clusters, such as the images of a patient.

    The variance is the linearized one of the ratio sum(hits) / sum(sizes) over clusters (Korn & Graubard 1998).

    Args:
        hits: (P,) items of each cluster that count.
        sizes: (P,) items of each cluster.

    >>> share, low, high = clustered_share(np.array([1.0, 0.0, 1.0, 0.0]), np.ones(4))
    >>> share, low < 0.2, high > 0.8
    (0.5, True, True)
    """
    occupied = sizes > 0
    total, clusters = float(sizes.sum()), int(occupied.sum())
    share = float(hits.sum()) / total if total else 0.0
    residual = hits[occupied] - share * sizes[occupied]
    variance = clusters / (clusters - 1) * float((residual**2).sum()) / total**2 if clusters > 1 else 0.0
    return share_interval(share, variance, most=total, fallback=effective_size(sizes))


def difference(first: Interval, second: Interval, correlation: float = 0.0) -> Interval:
    """The difference of two estimates with its interval, recovered from theirs (MOVER; Zou & Donner 2008, eq. 1).

    Args:
        first: An estimate with its lower and upper end.
        second: The estimate to subtract, likewise.
        correlation: Correlation between the two.

    >>> difference((0.5, 0.4, 0.6), (0.0, 0.0, 0.1))
    (0.5, 0.3585786437626905, 0.6)
    """
    a, a_low, a_high = first
    b, b_low, b_high = second
    below = (a - a_low) ** 2 + (b_high - b) ** 2 - 2 * correlation * (a - a_low) * (b_high - b)
    above = (a_high - a) ** 2 + (b - b_low) ** 2 - 2 * correlation * (a_high - a) * (b - b_low)
    return a - b, a - b - max(below, 0.0) ** 0.5, a - b + max(above, 0.0) ** 0.5


def ratio(first: Interval, second: Interval) -> Interval:
    """The ratio of two independent estimates with its interval, recovered from theirs (MOVER-R; Donner & Zou 2012).

    A bound of the ratio d is where the difference first - d * second (same paper, section 2) has its bound at 0.

    Args:
        first: An estimate at or above 0, with its lower and upper end at or above 0.
        second: The estimate to divide by, above 0, likewise.

    Returns:
        The ratio and its ends; the upper end is infinite where ``second`` may be 0.

    >>> [round(end, 3) for end in ratio((0.5, 0.4, 0.6), (0.5, 0.5, 0.5))]
    [1.0, 0.8, 1.2]
    """
    a, a_low, a_high = first
    b, b_low, b_high = second

    def bound(a_end: float, b_end: float, sign: float) -> float:
        # (a - d b)^2 = (a - a_end)^2 + d^2 (b - b_end)^2
        square = b_end * (2 * b - b_end)
        root = math.sqrt(max((a * b) ** 2 - a_end * (2 * a - a_end) * square, 0.0))
        if square > 0:
            return (a * b + sign * root) / square
        # the equation turns linear or loses its bound: the divisor may be 0, or as far above its estimate
        return a_end * (2 * a - a_end) / (a * b + root) if sign < 0 and a * b + root > 0 else float("inf")

    return a / b, max(bound(a_low, b_high, -1.0), 0.0), bound(a_high, b_low, 1.0)


def beyond_chance(first: Interval, second: Interval) -> Interval:
    """The share that only the first pool explains: hit, and not by what hits the second pool by chance alone.

    Where a share q is hit for a reason of its own and a share b by chance, independently, 1 - (1 - q)(1 - b) is hit, so
    q = 1 - (1 - a) / (1 - b) (Abbott 1925). The plain difference a - b = q (1 - b) would miss those hit for both
    reasons. Where the second pool is hit more often, the roles change and so does the sign, which keeps the null at 0.

    Args:
        first: The share a that is hit in the first pool, with its interval.
        second: The share b that is hit in the second, likewise.

    >>> [round(end, 3) for end in beyond_chance((0.6, 0.5, 0.7), (0.2, 0.1, 0.3))]
    [0.5, 0.351, 0.633]
    >>> beyond_chance((1.0, 0.9, 1.0), (1.0, 0.9, 1.0))  # chance explains all, and hides all
    (0.0, -1.0, 1.0)
    """
    if first[0] < second[0]:
        value, low, high = beyond_chance(second, first)
        return -value, -high, -low
    if second[0] >= 1:
        return 0.0, -1.0, 1.0
    missed, expected = ((1 - value, 1 - high, 1 - low) for value, low, high in (first, second))
    value, low, high = ratio(missed, expected)
    return 1 - value, max(1 - high, -1.0), min(1 - low, 1.0)


def scaled(estimate: Interval, factor: float) -> Interval:
    """An estimate and its interval times a positive factor.

    >>> scaled((1.0, 0.5, 2.0), 2.0)
    (2.0, 1.0, 4.0)
    """
    value, low, high = estimate
    return value * factor, low * factor, high * factor


def repetition(sizes: Floats) -> float:
    """How many times over samples repeat each other, at least 1, judged by how unevenly they fall on patients.

    N samples that fall on P patients independently and evenly give sum(sizes^2) / N = 1 + N / P on average. Some
    patients are nearest to many samples though no sample repeats another (hubs; Radovanovic et al. 2010), which about
    doubles it; what lies above HUBNESS times as much is repetition, as of a collapsed generator, and divides the number
    of samples.

    Args:
        sizes: (P,) samples that match each patient best.

    >>> repetition(np.ones(10)), round(repetition(np.array([50.0] + [0.0] * 9)), 1)
    (1.0, 4.2)
    """
    total = float(sizes.sum())
    return max(1.0, float((sizes**2).sum()) / total / (1 + total / len(sizes)) / HUBNESS) if total else 1.0


def effective_size(weights: Floats) -> float:
    """Kish's effective number of observations, (sum w)^2 / sum w^2, of clusters with sizes w.

    >>> effective_size(np.array([1.0, 1.0, 1.0])), effective_size(np.array([100.0, 0.0]))
    (3.0, 1.0)
    """
    square = float((weights**2).sum())
    return float(weights.sum()) ** 2 / square if square else 0.0
