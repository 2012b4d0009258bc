"""The upper tail of a law of which a few hundred draws are known, and how far beyond them it may be believed.

Inside the draws a tail probability is counted. Beyond them it is extrapolated by a generalized Pareto law (Pickands
1975) fitted to the largest draws by L-moments (Hosking & Wallis 1987). Two things keep the extrapolation honest. The
shape is at least 0: a lighter tail than the exponential one would claim that no draw lies beyond some end. And the
probabilities are predictive: the scale is an estimate from k excesses, and its uncertainty is included. For exponential
excesses E and the sum S of k others, P(E > x) averaged over both is (1 + x / S)^-k exactly (Barndorff-Nielsen & Cox
1996), which falls as a power of x, no faster than k excesses allow.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import betainc
from scipy.stats import beta, binom, gamma

from memobench.base.errors import DataError
from memobench.base.seeds import generator_for

Floats = NDArray[np.float64]

LEAST = 8  # draws
TOP = 0.25  # of the draws belong to the tail: a start nearer the end tells less of the shape, and laws that are
# lighter than exponential (maxima of bounded scores) get a larger scale, so a smaller claim, from a start farther in
EXCESSES = 20  # but so many at least, where half of the draws are as many
LARGEST_SHAPE = 0.5
SHAPE_VARIANCE = 4 / 3  # times excesses: of the shape of an exponential law by L-moments (Hosking & Wallis 1987)
POOR = 0.01  # p-value of the outer misfit below which the fit is called poor
SIMULATIONS = 199  # fits to draws of the fitted law, for the p-values
OUTER = 0.2  # of the excesses are looked at for a tail that is heavier than fitted
GRID = 48  # nodes of the integrals over what is uncertain of a tail


@dataclass(frozen=True)
class TailFit:
    """The upper tail of a law.

    Attributes:
        start: Where the fitted tail begins; up to here probabilities are counted.
        shape: Shape of the generalized Pareto law, in [0, 0.5]; 0 is the exponential law.
        scale: Its scale, in the units of the draws.
        excesses: How many draws lie beyond the start.
        count: For how many independent draws these excesses count: fewer where several come from one patient.
        draws: Number of draws in all.
        misfit: Largest distance between the fitted and the empirical distribution of the excesses (Kolmogorov).
        p_value: How often excesses of the fitted law, fitted again, have a larger misfit (parametric bootstrap).
        p_heavier: The same for the largest fifth of the excesses: how often they lie as far out as here.
        poor: Whether that is below 0.01. The shape is then larger by its standard error, and the excesses count for
            a quarter (four at least, where there are as many): a tail that is heavier than fitted claims less. A misfit
            towards a lighter tail is no danger.
        ordered: (draws,) all draws, ascending.
    """

    start: float
    shape: float
    scale: float
    excesses: int
    count: float
    draws: int
    misfit: float
    p_value: float
    p_heavier: float
    poor: bool
    ordered: Floats = field(repr=False, compare=False)

    def survival(self, values: ArrayLike) -> Floats:
        """P(a further draw reaches each value): counted up to the start, predictive beyond; in (0, 1], shape kept.

        Counted probabilities are (1 + draws as large) / (1 + draws), so that they are valid p-values.
        """
        points = np.asarray(values, dtype=np.float64)
        if np.isnan(points).any():
            raise DataError("a score is not a number; measure the samples again")
        as_large = self.draws - np.searchsorted(self.ordered, points, side="left")
        counted = (1 + as_large) / (1 + self.draws)
        share = (1 + self.excesses) / (1 + self.draws)
        beyond = share * predictive(_exponential(points - self.start, self.shape, self.scale), self.count)
        return np.asarray(np.where(points > self.start, np.minimum(beyond, counted), counted), dtype=np.float64)

    def reached_by(self, least: int, trials: int, value: float, *, times: float = 1.0) -> float:
        """P(at least ``least`` of ``trials`` further draws reach a value), averaged over what is unknown of the tail.

        Given the tail the number is binomial. How many of all draws belong to the tail is uncertain as a binomial share
        is (a beta law, uniform prior), the scale as that of ``count`` excesses is (a gamma law).

        Args:
            least: Number of draws that reached it.
            trials: Number of draws in all.
            value: The value.
            times: What the probability of one draw is multiplied by, for instance because it is compared with more.

        >>> fit = fit_tail(np.random.default_rng(0).exponential(size=500))
        >>> fit.reached_by(0, 300, 7.0), fit.reached_by(1, 300, 7.0) > 0.1, fit.reached_by(9, 300, 7.0) < 0.01
        (1.0, True, True)
        """
        if least <= 0:
            return 1.0
        if least > trials:
            return 0.0
        nodes = (np.arange(GRID) + 0.5) / GRID
        # near 0 and 1 the outcome is decided by rare tails: nodes that crowd there, with the weights that undo it
        nodes, weight = np.sin(np.pi * nodes / 2) ** 2, np.pi / 2 * np.sin(np.pi * nodes)
        weight = weight / weight.sum()
        independent = self.draws * self.count / self.excesses
        if value <= self.start:
            reached = (self.draws - np.searchsorted(self.ordered, value, side="left")) * self.count / self.excesses
            rate = beta.ppf(nodes, reached + 1, max(independent - reached, 0) + 1)
            odds, weights = rate, weight
        else:
            share = beta.ppf(nodes, self.count + 1, max(independent - self.count, 0) + 1)
            reach = _exponential(np.array(value - self.start), self.shape, self.scale)
            # the scale is an estimate: true over estimated is count / gamma
            fall = np.exp(-reach * gamma.ppf(nodes, self.count) / self.count)
            odds, weights = np.multiply.outer(share, fall).ravel(), np.multiply.outer(weight, weight).ravel()
        tails = binom.sf(least - 1, trials, np.minimum(times * odds, 1.0))
        return float(min(1.0, (tails * weights).sum()))


def fit_tail(draws: ArrayLike, groups: NDArray[np.generic] | None = None, *, seed: int = 0) -> TailFit:
    """Fit the upper tail of a law to draws of it.

    Args:
        draws: (n,) finite numbers.
        groups: (n,) which draws belong together, as several images of one patient do; None where each stands alone.
            Excesses of one group count as one where they are as many as its draws, and in between as Kish's effective
            number of the groups has it.
        seed: Seed of the bootstrap.

    Raises:
        DataError: Fewer than 8 draws, all equal, not finite, or not one group for each.

    >>> fit = fit_tail(np.random.default_rng(0).exponential(size=1000))
    >>> fit.excesses, fit.shape < 0.3, bool(1e-5 < fit.survival(8.0) < 2e-3)
    (250, True, True)
    """
    values = np.asarray(draws, dtype=np.float64)
    if groups is not None and len(groups) != len(values):
        raise DataError(f"{len(values)} null scores of {len(groups)} images; give one score for each image")
    if len(values) < LEAST:
        raise DataError(f"{len(values)} real images are too few for a threshold; give at least {LEAST}")
    if not np.isfinite(values).all():
        raise DataError("a null score is not finite; measure the real images again")
    order = np.argsort(values, kind="stable")
    ordered = values[order]
    if ordered[0] == ordered[-1]:
        raise DataError("all real images match each other equally well; the detector sees no difference between them")
    n = len(ordered)
    k = min(max(int(n * TOP), EXCESSES), n // 2)
    start = float(ordered[-k - 1])
    excess = ordered[-k:] - start
    shape, scale = by_l_moments(excess)
    distance, heavier = (float(one[0]) for one in _misfits(excess[None], np.array([shape]), np.array([scale])))
    drawn = _drawn((SIMULATIONS, k), shape, scale, generator_for(seed, "tail fit", n, k))
    simulated = _misfits(drawn, *_fitted(drawn))
    p_value, p_heavier = (
        (1 + int((one >= seen - 1e-12).sum())) / (1 + SIMULATIONS)
        for one, seen in zip(simulated, (distance, heavier), strict=True)
    )
    count = float(k)
    if groups is not None:
        _, sizes = np.unique(groups[order][-k:], return_counts=True)
        count = float(k * k / np.square(sizes).sum())
    poor = p_heavier < POOR
    if poor:
        shape = min(shape + float(np.sqrt(SHAPE_VARIANCE / count)), LARGEST_SHAPE)
        count = max(count / 4, min(4.0, count))
    return TailFit(start, shape, scale, k, count, n, distance, p_value, p_heavier, poor, ordered)


def by_l_moments(excess: Floats) -> tuple[float, float]:
    """Shape and scale of a generalized Pareto law by its first two L-moments; the shape shrunk, within [0, 0.5].

    With b0 and b1 the first probability weighted moments, shape = 2 - b0 / (2 b1 - b0) and scale = b0 (1 - shape)
    (Hosking & Wallis 1987, eq. 8, with the other sign of the shape). Of a few dozen excesses the shape is known to
    +- 0.2 only, and half of all exponential samples would seem heavier than they are; so it is multiplied by
    shape^2 / (shape^2 + its variance), which believes it where it stands out (shrinkage after James & Stein 1961).
    """
    shape, scale = _fitted(excess[None])
    return float(shape[0]), float(scale[0])


def _fitted(excess: Floats) -> tuple[Floats, Floats]:
    """(m,) shapes and (m,) scales of m samples (m, k), as :func:`by_l_moments` has them."""
    first, second = l_moments(excess)
    spread = second > 0
    raw = np.where(spread, np.maximum(2 - first / np.where(spread, second, 1), 0), 0)
    shape = np.minimum(raw**3 / (raw**2 + SHAPE_VARIANCE / excess.shape[1]), LARGEST_SHAPE)
    return shape, np.maximum(first * (1 - shape), np.finfo(np.float64).tiny)


def l_moments(values: Floats) -> tuple[Floats, Floats]:
    """The first two sample L-moments (Hosking 1990): the mean, and half of the mean difference of two values.

    Args:
        values: (m, n) samples.

    Returns:
        (m,) and (m,).

    >>> [moment.tolist() for moment in l_moments(np.array([[1.0, 3.0]]))]
    [[2.0], [1.0]]
    """
    n = values.shape[1]
    ordered = np.sort(values, axis=1)
    mean = ordered.mean(axis=1)
    return mean, 2 * (np.arange(n) * ordered).sum(axis=1) / (n * (n - 1)) - mean if n > 1 else np.zeros_like(mean)


def predictive(reach: Floats, count: float) -> Floats:
    """P(an exponential draw exceeds ``reach`` estimated scales), the scale being estimated from ``count`` others.

    >>> predictive(np.array([1.0]), 1e9).round(4).tolist(), predictive(np.array([2.0]), 2).tolist()
    ([0.3679], [0.25])
    """
    return np.asarray((1 + np.maximum(reach, 0) / count) ** -count, dtype=np.float64)


def _exponential(excess: Floats, shape: float | Floats, scale: float | Floats) -> Floats:
    """Excesses on the scale on which the law is the unit exponential one."""
    reach = np.maximum(excess, 0) / scale
    bent = np.maximum(shape, np.finfo(np.float64).tiny)
    return np.asarray(np.where(np.asarray(shape) > 0, np.log1p(bent * reach) / bent, reach), dtype=np.float64)


def _drawn(size: tuple[int, int], shape: float, scale: float, rng: np.random.Generator) -> Floats:
    reach = rng.exponential(size=size)
    return np.asarray(scale * (np.expm1(shape * reach) / shape if shape > 0 else reach), dtype=np.float64)


def _misfits(excess: Floats, shape: Floats, scale: Floats) -> tuple[Floats, Floats]:
    """How far m samples (m, k) lie from generalized Pareto laws, and how far the largest of each lie beyond its law.

    Args:
        excess: (m, k).
        shape: (m,).
        scale: (m,).

    Returns:
        (m,) Kolmogorov distances; and (m,) minus the logarithm of the least probability, over the j largest excesses,
        that j or more lie so far out.
    """
    k = excess.shape[1]
    survival = np.exp(-_exponential(np.sort(excess, axis=1), shape[:, None], scale[:, None]))
    steps = np.arange(k + 1) / k
    distance = np.maximum(np.abs(1 - survival - steps[1:]), np.abs(1 - survival - steps[:-1])).max(axis=1)
    outer = np.arange(1, max(1, int(OUTER * k)) + 1)
    # P(Binomial(k, s) >= j) = I_s(j, k - j + 1)
    tails = betainc(outer, k - outer + 1, survival[:, ::-1][:, : len(outer)])
    return distance, -np.log(np.maximum(tails.min(axis=1), 1e-300))
