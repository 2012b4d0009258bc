"""How many training patients further sampling would reach: capture and recapture of patients by copies."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from memobench.memorization.rates import Tally
from memobench.results import Metric
from memobench.stats.exchange import Floats

LEAST_RATE = 0.1  # copies per patient and set of samples: seen once in ten times as many samples
SHAPES = (0.3, 0.6, 1.2, 2.5, 5.0, 1e4)  # of the gamma law of the patients' rates; the last: all equal
STEPS = 120  # iterations for the background


@dataclass(frozen=True)
class Ceiling:
    """The number of memorized patients, found or not yet.

    Attributes:
        value: Chao's estimate, within the interval.
        low: Lower end of the 95% interval.
        high: Upper end.
    """

    value: float
    low: float
    high: float


def memorized_ceiling(count: Tally, memorized: Metric) -> Metric:
    """The number of training patients that ten times as many samples would show as copied.

    See :func:`ceiling`. The ceiling is no lower than what was found.

    Args:
        count: What each patient received.
        memorized: ``memorized_patients`` of the same decisions.
    """
    copies, in_train = np.ceil(count.copies).astype(np.int64), count.in_train
    found = ceiling(copies[in_train], copies[~in_train])
    value = max(found.value, memorized.value, 0.0)
    return Metric(
        value=value,
        low=min(max(found.low, memorized.low or 0.0), value),
        high=max(found.high, memorized.high or 0.0, value),
        null=0.0,
        better="lower",
        note="training patients that ten times as many samples would show as copied; without hits only a bound",
    )


def ceiling(train: NDArray[np.int64], holdout: NDArray[np.int64]) -> Ceiling:
    """How many of the T training patients are memorized, from the copies that each received.

    The model: a share s of the training patients is memorized, each with a rate of its own, gamma over the patients and
    LEAST_RATE copies at least on average; every patient of either pool receives chance hits by one law, which is
    estimated freely. The interval is that of s by the profile likelihood ratio, so it is bounded by T, holds for rates
    that are equal as well as for rates that differ, and is wide where few patients were hit twice. The value is the
    bias-corrected estimate of Chao (1987; Chao & Chiu 2016, eq. 6), found + f1 (f1 - 1) / (2 (f2 + 1)) with f1 and f2
    the patients hit once and twice and holdout subtracted, taken into the interval: a lower bound where rates differ.

    Without any hit the value is 0, and the upper end what LEAST_RATE leaves possible.

    Args:
        train: (T,) copies of each training patient.
        holdout: (H,) copies of each holdout patient.

    >>> rng = np.random.default_rng(0)
    >>> found = ceiling(rng.poisson(1.5 * (np.arange(200) < 80)), np.zeros(200, int))
    >>> found.low < 80 < found.high
    True
    """
    total, weight = len(train), len(train) / len(holdout)
    shares = np.unique(np.concatenate([np.linspace(0, 0.1, 21), np.linspace(0.1, 1, 61)]))
    likelihood = _profile(train, holdout, shares)
    inside = np.flatnonzero(2 * (likelihood.max() - likelihood) <= stats.chi2.ppf(0.95, 1))
    least, largest = shares[max(inside[0] - 1, 0)], shares[min(inside[-1] + 1, len(shares) - 1)]  # the grid's doubt
    hit, once, twice = (
        max(float(of_train.sum()) - weight * float(of_holdout.sum()), 0.0)
        for of_train, of_holdout in ((train > 0, holdout > 0), (train == 1, holdout == 1), (train == 2, holdout == 2))
    )
    low, high = total * float(least), total * float(largest)
    unseen = max(once * (once - 1), 0.0) / (2 * (twice + 1))
    return Ceiling(float(np.clip(hit + unseen, low, high)) if train.any() else 0.0, low, high)


def _profile(train: NDArray[np.int64], holdout: NDArray[np.int64], shares: Floats) -> Floats:
    """(S,) log-likelihood of each share, the largest over the rates and the law of chance hits."""
    edges = _edges(max(int(train.max()), int(holdout.max())))
    classes = len(edges) - 1
    of_train, of_holdout = (np.histogram(counts, edges)[0].astype(np.float64) for counts in (train, holdout))
    together = _together(edges)
    rates = np.geomspace(LEAST_RATE, max(4.0, 2.0 * float(train.max())), 18)
    rate, shape = (grid.reshape(-1) for grid in np.meshgrid(rates, np.array(SHAPES)))
    below = stats.nbinom.cdf(edges[None, 1:] - 1, shape[:, None], (shape / (shape + rate))[:, None])
    below[:, -1] = 1.0
    copied = np.diff(below, axis=1, prepend=0.0)  # (R, C) law of a memorized patient's true copies
    # (R, C, C): from a chance class to the class that is seen, for a memorized patient
    memorized = np.einsum("rk,jkc->rcj", copied, together)
    back = np.ascontiguousarray(memorized.transpose(0, 2, 1))
    plain = 1 - shares
    start = of_train + of_holdout + 0.1
    chance = np.broadcast_to((start / start.sum())[:, None], (len(rate), classes, len(shares)))

    def expected() -> Floats:
        """(R, C, S) law of what is seen of a training patient."""
        law: Floats = np.maximum(plain * chance + shares * (memorized @ chance), 1e-300)
        return law

    for _ in range(STEPS):
        ratio = of_train[:, None] / expected()
        chance = chance * (plain * ratio + shares * (back @ ratio)) + of_holdout[:, None]
        chance = chance / chance.sum(axis=1, keepdims=True)
    known = of_train @ np.log(expected()) + of_holdout @ np.log(np.maximum(chance, 1e-300))  # (R, S)
    best: Floats = known.max(axis=0)
    return best


def _edges(most: int) -> NDArray[np.int64]:
    """Classes of counts: 0, 1, 2, 3, 4-7, 8-15, ...; enough for ``most``. A last edge closes the last class."""
    edges = [0, 1, 2, 3, 4]
    while edges[-1] <= most:
        edges.append(2 * edges[-1])
    return np.array(edges, dtype=np.int64)


def _together(edges: NDArray[np.int64]) -> Floats:
    """(C, C, C) 1 where a chance count of class j and copies of class k make a count of class c.

    Sums are exact below 4; beyond, they are those of the classes' lower ends.
    """
    classes = len(edges) - 1
    low = edges[:-1]
    sums = np.minimum(low[:, None] + low[None, :], edges[-1] - 1)
    together: Floats = (np.searchsorted(edges, sums, side="right") - 1)[:, :, None] == np.arange(classes)
    return together.astype(np.float64)
