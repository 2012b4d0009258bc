"""Exact inference by exchange: when nothing was memorized, train and holdout patients are interchangeable.

Which of two patients was shown to the generator is a coin that the generator never saw. Samples that match the same
patient are not independent, so here every quantity is first summed per patient; a collapsed generator that repeats one
image a hundred times is one observation, not a hundred.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from memobench.base.seeds import generator_for

Floats = NDArray[np.float64]

LEVEL = 0.95
BATCH = 1000  # labellings drawn at a time, to bound the memory
HELD = 1 << 20  # labels held at once: fewer labellings of many patients


@dataclass(frozen=True)
class ExactTest:
    """P-values of a permutation test of "train gets more than holdout".

    Attributes:
        more: Valid p-value, (1 + draws at least as large) / (1 + draws) (Phipson & Smyth 2010, eq. 2): at most its
            nominal level in every sample size, below it where ties are many.
        less: The same for "train gets less".
        fuzzy: ``more`` with ties broken by a coin (Geyer & Meeden 2005): uniform on (0, 1) exactly when nothing was
            memorized. It shows that the test is exact; it is not for decisions, since it depends on the coin.
    """

    more: float
    less: float
    fuzzy: float


def per_patient(values: NDArray[np.generic], patients: NDArray[np.str_], names: NDArray[np.str_]) -> Floats:
    """Sum values by patient: (N,) values and their patients to (P,) sums in the order of ``names`` (sorted).

    >>> per_patient(np.array([1, 2, 3]), np.array(["a", "b", "a"]), np.array(["a", "b"])).tolist()
    [4.0, 2.0]
    """
    place = np.searchsorted(names, patients)
    return np.bincount(place, weights=values.astype(np.float64), minlength=len(names)).astype(np.float64)


def labellings(
    in_train: NDArray[np.bool_],
    draws: int,
    rng: np.random.Generator,
    *,
    strata: NDArray[np.integer] | None = None,
) -> Iterator[NDArray[np.bool_]]:
    """Assign the train labels again at random, ``draws`` times, in batches of (n, P), as many as in ``in_train``.

    Args:
        in_train: (P,) the labels as they are.
        draws: Number of labellings.
        rng: Where they come from.
        strata: (P,) a number for each patient's stratum, within which alone labels change places, so that every
            stratum keeps its number of train patients; None for one stratum.

    >>> labels = np.concatenate(list(labellings(np.array([True, False, False]), 5, np.random.default_rng(0))))
    >>> labels.shape, labels.sum(axis=1).tolist()
    ((5, 3), [1, 1, 1, 1, 1])
    """
    train, total = int(in_train.sum()), len(in_train)
    batch = min(BATCH, max(1, HELD // max(1, total)))  # numbers come in the same order, whatever the batch
    for start in range(0, draws, batch):
        keys = rng.random((min(batch, draws - start), total))
        if strata is None:
            yield _smallest(keys, train)
            continue
        labels = np.zeros(keys.shape, dtype=np.bool_)
        for stratum in np.unique(strata):
            own = strata == stratum
            labels[:, own] = _smallest(keys[:, own], int(in_train[own].sum()))
        yield labels


def _smallest(keys: Floats, count: int) -> NDArray[np.bool_]:
    """(n, P) where the ``count`` smallest keys of each row stand."""
    if count == 0:
        return np.zeros(keys.shape, dtype=np.bool_)
    cut = np.partition(keys, count - 1, axis=1)[:, count - 1 : count]  # (n, 1)
    return keys <= cut


def permutation_tests(
    contributions: Floats,
    in_train: NDArray[np.bool_],
    *,
    draws: int = 9999,
    seed: int = 0,
    strata: NDArray[np.integer] | None = None,
) -> list[ExactTest]:
    """Test whether train patients receive more than their share, for several quantities with the same labellings.

    The statistic is the sum of the train patients' contributions. Each draw gives as many train labels as there are to
    patients at random, so pools of unequal size keep their sizes.

    Args:
        contributions: (P, K) what each patient received, whatever its label: hits, matched samples, matched images.
        in_train: (P,) the labels as they are.
        draws: Number of random labellings.
        seed: Seed of the labellings.
        strata: (P,) the stratum of each patient, within which labels are exchanged; None for one stratum.

    Returns:
        One test per column. A column that is the same for all patients has nothing to test: its p-values are 1.

    >>> test, = permutation_tests(np.array([[5.0], [4], [6], [0], [0], [1]]), np.array([True] * 3 + [False] * 3))
    >>> test.more < 0.06, test.less > 0.9
    (True, True)
    """
    rng = generator_for(seed, "permutation")
    observed = contributions[in_train].sum(axis=0)
    # sums of half samples and of residuals are rounded
    slack = 1e-9 * np.maximum(1.0, np.abs(contributions).sum(axis=0))
    above = np.zeros(contributions.shape[1], dtype=np.int64)
    below = np.zeros_like(above)
    for labels in labellings(in_train, draws, rng, strata=strata):
        sums = labels.astype(np.float64) @ contributions
        above += (sums > observed + slack).sum(axis=0)
        below += (sums < observed - slack).sum(axis=0)
    coins = rng.random(len(above))
    return [exact_test(int(a), int(b), draws, float(coin)) for a, b, coin in zip(above, below, coins, strict=True)]


def exact_test(above: int, below: int, draws: int, coin: float) -> ExactTest:
    """The p-values from the numbers of draws above and below what was observed, and a coin in [0, 1) for the ties.

    >>> exact_test(above=0, below=9, draws=9, coin=0.5)
    ExactTest(more=0.1, less=1.0, fuzzy=0.05)
    """
    ties = draws - above - below
    more, less = (1 + draws - below) / (1 + draws), (1 + draws - above) / (1 + draws)
    return ExactTest(more, less, (above + coin * (1 + ties)) / (1 + draws))


def keep_null(estimate: tuple[float, float, float], null: float, test: ExactTest) -> tuple[float, float, float]:
    """Widen an interval to hold the null value wherever the exact test does not reject it at 2.5% a side.

    An interval is the set of values that are not rejected; for the null an exact test is at hand, which few patients
    who attract many samples cannot fool as they can a variance estimate.

    >>> keep_null((0.1, 0.02, 0.2), 0.0, ExactTest(more=0.2, less=0.9, fuzzy=0.2))
    (0.1, 0.0, 0.2)
    """
    value, low, high = estimate
    side = (1 - LEVEL) / 2
    return value, min(low, null) if test.more > side else low, max(high, null) if test.less > side else high
