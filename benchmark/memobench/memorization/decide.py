"""The rule: from match scores to copies, with the threshold set by patients of whom nothing was copied.

A score is the log odds that a sample is a copy of a real image, as far as planted copies tell (:mod:`verify`). In use
they are not odds: how many of the samples are copies is what is sought, and the best of a whole pool is high by chance.
So the cut is not at 0 but at tau, the score that real images of other patients reach once in a thousand times.

A sample is called where the real image that it matches best, of train and holdout together, is matched at tau or above.
The threshold comes from the real images alone and never asks who was a member; whatever bias it has is the same for
train and holdout, and every count over train is reported minus the same count over holdout.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import genpareto, kstest

from memobench.base.errors import DataError
from memobench.stats.tails import l_moments

TAIL = 0.001
EMPIRICAL = 20  # images expected beyond tau, from which on the empirical quantile is used


@dataclass(frozen=True)
class Threshold:
    """The match score that separates copies from other patients, and how it was found.

    Attributes:
        tau: The threshold on the score, in its units (log odds for our detector).
        tail: The share of null scores beyond it, as aimed at.
        method: "empirical" or "generalized Pareto".
        images: Number of null scores.
        start: Where the fitted tail begins (Pareto only).
        shape: Shape of the fitted tail (Pareto only).
        scale: Scale of the fitted tail (Pareto only).
        widened: What the scale was multiplied by for tau because it is estimated from few scores (Pareto only).
        misfit: Largest distance between the fitted and the empirical distribution of the tail (Pareto only).
        capped: True where tau was lowered to the score of exact copies.
    """

    tau: float
    tail: float
    method: str
    images: int
    start: float | None = None
    shape: float | None = None
    scale: float | None = None
    widened: float | None = None
    misfit: float | None = None
    capped: bool = False


def threshold(
    null_scores: NDArray[np.floating], pool_fraction: float, tail: float = TAIL, highest: float = np.inf
) -> Threshold:
    """The score that an image of a new patient reaches against the training pool with probability ``tail``.

    The null scores are those of real images of train and holdout, each retrieved, registered and verified against the
    images of other patients as a sample would be, by a verifier that learned from neither
    (:meth:`memobench.detection.crossfit.Detector.null_scores`). They were compared with ``pool_fraction`` of both pools
    together (1 where the detector learned from other patients, 1/2 where it was cross-fitted over two folds), that is
    with 2 * pool_fraction training pools. A small probability that any of a pool reaches tau is proportional to the
    size of the pool; so the quantile sought among the null scores is ``tail * 2 * pool_fraction``. Taking both pools,
    blind to the labels, keeps the permutation tests exact and doubles the data against holdout-to-train alone. The law
    of log odds is taken as it comes: an empirical quantile where at least 20 null scores are expected beyond it, else
    a generalized Pareto law fitted to the largest tenth (at least 20) by L-moments (Hosking & Wallis 1987, eq. 8).

    The scale is an estimate, and a quantile far out suffers more from one that is too small than it gains from one
    that is too large: with 20 excesses a new image would reach it 1.6 times too often. For exponential excesses E and
    the sum S of k others, P(E > c S) = (1 + c)^-k exactly, so tau at start + S (p^(-1/k) - 1) is reached with
    probability p on average (the predictive limit; Barndorff-Nielsen & Cox 1996). The scale of every tail is widened
    by the factor that this asks for.

    Args:
        null_scores: (N,) the best score of each real image against other patients.
        pool_fraction: Share of both pools together that each was compared with, in (0, 1].
        tail: Probability to aim at.
        highest: The score of exact copies, above which tau never lies: a tail fitted to a few dozen images may reach
            beyond. It is found without the labels too, and the decoys take away what a lower tau lets in.

    Raises:
        DataError: Fewer than 8 scores, or all are equal.

    >>> rng = np.random.default_rng(0)
    >>> found = threshold(rng.normal(size=100_000), pool_fraction=0.5)
    >>> found.method, round(found.tau, 1)
    ('empirical', 3.1)
    """
    scores = np.sort(np.asarray(null_scores, dtype=np.float64))
    n = len(scores)
    if n < 8:
        raise DataError(f"{n} real images are too few for a threshold; give at least 8 in train and holdout together")
    if scores[0] == scores[-1]:
        raise DataError("all real images match each other equally well; the detector sees no difference between them")
    share = tail * 2 * pool_fraction
    if n * share >= EMPIRICAL:
        tau = min(float(np.quantile(scores, 1 - share)), highest)
        return Threshold(tau, share, "empirical", n, capped=tau == highest)
    k = min(max(n // 10, 20), n // 2)
    start = float(scores[-k - 1])
    excess = scores[-k:] - start
    shape, scale = _pareto(excess)
    probability = share * n / k  # of lying beyond tau, given the tail
    widened = float(k * np.expm1(-np.log(probability) / k) / -np.log(probability))
    exponential = abs(shape) < 1e-6  # the limit of the law at shape 0
    beyond = widened * scale * (-np.log(probability) if exponential else (probability**-shape - 1) / shape)
    misfit = float(kstest(excess, genpareto(0.0 if exponential else shape, scale=scale).cdf).statistic)
    tau = min(start + float(beyond), highest)
    return Threshold(tau, share, "generalized Pareto", n, start, shape, scale, widened, misfit, capped=tau == highest)


@dataclass(frozen=True)
class Decisions:
    """What each sample matches: arrays over the N samples.

    Attributes:
        train_score: Best score against train; -inf where none of its images was a candidate.
        train_index: The training image of that score; 0 where there is none.
        holdout_score: Best score against holdout, likewise. One of the two is finite.
        holdout_index: The holdout image of that score, likewise.
        side: +1 where train matches better, -1 where holdout does, 0 for a tie.
        called: True where the better score reaches tau. The sample is a copy of a training image where ``side`` is
            not negative either.
    """

    train_score: NDArray[np.float32]
    train_index: NDArray[np.int64]
    holdout_score: NDArray[np.float32]
    holdout_index: NDArray[np.int64]
    side: NDArray[np.int8]
    called: NDArray[np.bool_]


def decide(
    train_score: NDArray[np.float32],
    train_index: NDArray[np.int64],
    holdout_score: NDArray[np.float32],
    holdout_index: NDArray[np.int64],
    tau: float,
) -> Decisions:
    """Compare each sample's best match in train with its best in holdout, and both with tau. All arrays (N,)."""
    side = np.sign(train_score.astype(np.float64) - holdout_score.astype(np.float64)).astype(np.int8)
    called = np.maximum(train_score, holdout_score) >= tau
    return Decisions(train_score, train_index, holdout_score, holdout_index, side, called)


def _pareto(excess: NDArray[np.float64]) -> tuple[float, float]:
    """Shape and scale of a generalized Pareto law by its first two L-moments; shape kept within [0, 0.5].

    A negative shape would claim that no score lies beyond some end, which a few dozen scores cannot tell: they made tau
    too low by far. The exponential law is the lightest tail that is believed.
    """
    first, second = (float(one[0]) for one in l_moments(excess[None]))
    if second <= 0:
        return 0.0, max(first, float(np.finfo(np.float64).tiny))
    shape = float(np.clip(2 - first / second, 0.0, 0.5))
    return shape, first * (1 - shape)
