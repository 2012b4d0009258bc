"""Inference that counts patients: exact permutation of train and holdout, and intervals for clustered shares.

When nothing was memorized, train and holdout patients are exchangeable: which of two patients was shown to the
generator is a coin that the generator never saw. Samples that match the same patient are not independent, so here
every quantity is first summed per patient; a collapsed generator that repeats one image a hundred times is one
observation, not a hundred.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from memobench.seeds import generator_for

Floats = NDArray[np.float64]


def per_patient(values: NDArray[np.generic], patients: NDArray[np.str_], names: NDArray[np.str_]) -> Floats:
    """Sum values by patient: (N,) values and their patients to (P,) sums in the order of ``names`` (sorted).

    >>> per_patient(np.array([1, 2, 3]), np.array(["a", "b", "a"]), np.array(["a", "b"])).tolist()
    [4.0, 2.0]
    """
    place = np.searchsorted(names, patients)
    return np.bincount(place, weights=values.astype(np.float64), minlength=len(names)).astype(np.float64)


def permutation_test(
    contributions: Floats, in_train: NDArray[np.bool_], *, draws: int = 9999, seed: int = 0
) -> tuple[float, float]:
    """P-values of "train gets more than holdout" and of "less", when patients' labels are drawn anew.

    The statistic is the sum of the train patients' contributions. Each draw deals the same number of train labels to
    the patients at random. The p-value (1 + draws at least as large) / (1 + draws) is valid at every sample size
    (Phipson & Smyth 2010).

    Args:
        contributions: (P,) what each patient received, whatever its label: hits, matched samples, matched images.
        in_train: (P,) the labels as they are.
        draws: Number of random labellings.
        seed: Seed of the labellings.

    >>> more, less = permutation_test(np.array([5.0, 4, 6, 0, 0, 1]), np.array([True] * 3 + [False] * 3))
    >>> more < 0.06, less > 0.9
    (True, True)
    """
    rng = generator_for(seed, "permutation")
    observed = contributions[in_train].sum()
    carrying = contributions != 0
    values = contributions[carrying]
    if not len(values):
        return 1.0, 1.0
    # Only the labels of patients who carry something matter; drawing those without replacement from the urn of all
    # labels is the same as permuting everything.
    train, total = int(in_train.sum()), len(in_train)
    at_least = at_most = 0
    slack = 1e-9 * max(1.0, abs(float(observed)))  # sums of half samples are rounded
    for start in range(0, draws, 1000):
        n = min(1000, draws - start)
        keys = rng.random((n, total))
        cut = np.partition(keys, train - 1, axis=1)[:, train - 1 : train]  # (n, 1): the train-th smallest key
        sums = (keys[:, : len(values)] <= cut) @ values
        at_least += int((sums >= observed - slack).sum())
        at_most += int((sums <= observed + slack).sum())
    return (1 + at_least) / (1 + draws), (1 + at_most) / (1 + draws)


def keep_null(
    estimate: tuple[float, float, float], null: float, test: tuple[float, float]
) -> tuple[float, float, float]:
    """Widen an interval to hold the null value wherever the exact test does not reject it at 2.5 % a side.

    An interval is the set of values that are not rejected; for the null an exact test is at hand, which few patients
    who attract many samples cannot fool as they can a variance estimate.

    >>> keep_null((0.1, 0.02, 0.2), 0.0, (0.2, 0.9))
    (0.1, 0.0, 0.2)
    """
    value, low, high = estimate
    more, less = test
    return value, min(low, null) if more > 0.025 else low, max(high, null) if less > 0.025 else high


def effective_size(weights: Floats) -> float:
    """Kish's effective number of observations, (sum w)^2 / sum w^2, of clusters with sizes w.

    >>> effective_size(np.array([1.0, 1.0, 1.0])), effective_size(np.array([100.0, 0.0]))
    (3.0, 1.0)
    """
    square = float((weights**2).sum())
    return float(weights.sum()) ** 2 / square if square else 0.0


def clopper_pearson(successes: float, trials: float, confidence: float = 0.95) -> tuple[float, float]:
    """Exact binomial interval of a share (Clopper & Pearson 1934), continued to fractional counts by the beta law.

    >>> low, high = clopper_pearson(5, 5)
    >>> round(low, 3), high
    (0.478, 1.0)
    """
    tail = (1 - confidence) / 2
    if trials <= 0:
        return 0.0, 1.0
    low = 0.0 if successes <= 0 else float(stats.beta.ppf(tail, successes, trials - successes + 1))
    high = 1.0 if successes >= trials else float(stats.beta.ppf(1 - tail, successes + 1, trials - successes))
    return low, high


def clustered_share(hits: Floats, sizes: Floats) -> tuple[float, float, float]:
    """A share of samples with its 95 % interval when samples come in clusters (patients).

    Korn & Graubard (1998): the exact binomial interval at the effective number of observations. That number is
    trials / design effect, the design effect from the linearized variance of the ratio sum(hits) / sum(sizes); where
    all or none are hits it cannot be estimated and Kish's takes its place.

    Args:
        hits: (P,) samples of the cluster that count.
        sizes: (P,) samples of the cluster.

    Returns:
        The share and its lower and upper end.
    """
    total = float(sizes.sum())
    if total == 0:
        return 0.0, 0.0, 1.0
    share = float(hits.sum()) / total
    occupied = sizes > 0
    clusters = int(occupied.sum())
    kish = effective_size(sizes[occupied])
    trials = kish
    if 0 < share < 1 and clusters > 1:
        residual = hits[occupied] - share * sizes[occupied]
        variance = clusters / (clusters - 1) * float((residual**2).sum()) / total**2
        if variance > 0:
            trials = share * (1 - share) / variance
            # few clusters make the variance itself uncertain
            spread = float(stats.t.ppf(0.975, total - 1) / stats.t.ppf(0.975, clusters - 1)) if total > 1 else 1.0
            trials = min(trials * spread**2, total)
    low, high = clopper_pearson(share * trials, trials)
    return share, low, high


def difference(
    first: tuple[float, float, float], second: tuple[float, float, float], correlation: float = 0.0
) -> tuple[float, float, float]:
    """The difference of two shares with its interval, recovered from theirs (MOVER; Zou & Donner 2008).

    Args:
        first: A share with its lower and upper end.
        second: The share to subtract, likewise.
        correlation: Correlation between the two estimates.

    >>> difference((0.5, 0.4, 0.6), (0.0, 0.0, 0.1))
    (0.5, 0.3585786437626905, 0.6)
    """
    a, a_low, a_high = first
    b, b_low, b_high = second
    below = (a - a_low) ** 2 + (b_high - b) ** 2 - 2 * correlation * (a - a_low) * (b_high - b)
    above = (a_high - a) ** 2 + (b - b_low) ** 2 - 2 * correlation * (a_high - a) * (b - b_low)
    d = a - b
    return d, max(-1.0, d - max(below, 0.0) ** 0.5), min(1.0, d + max(above, 0.0) ** 0.5)


def exclusive_correlation(a: float, b: float) -> float:
    """Correlation of two estimated shares of the same samples of which none can count for both (multinomial).

    >>> exclusive_correlation(0.5, 0.5)
    -1.0
    """
    if not (0 < a < 1 and 0 < b < 1):
        return 0.0
    return -float(np.sqrt(a * b / ((1 - a) * (1 - b))))
