"""Arms compared: means over seeds, with intervals that count both patients and seeds.

The runs of a study share their patients, so more seeds do not make the patients more. The variance of an arm's mean is
therefore the sum of two: that of dealing other patients, with all runs kept, and that of training again, between seeds.
For the same reason two arms are compared patient by patient: what their runs have in common drops out of a difference.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from memobench.copies.decide import Decisions
from memobench.errors import DataError
from memobench.exchange import Floats
from memobench.memorization.rates import Pools, tally
from memobench.seeds import generator_for

DRAWS = 2000  # of patients
LEVEL = 0.95


@dataclass(frozen=True)
class Hits:
    """Which patients the samples of one run resemble most: the ``train_share`` before it is summed.

    Attributes:
        names: (P,) all patients of both pools.
        in_train: (P,) whether each is a training patient.
        samples: (P,) samples whose best match is an image of the patient; a tie counts half for either.
    """

    names: NDArray[np.str_]
    in_train: NDArray[np.bool_]
    samples: Floats

    @classmethod
    def of(cls, decisions: Decisions, pools: Pools) -> Hits:
        """Count the decisions of a run."""
        return cls(pools.names, pools.in_train, tally(decisions, pools).samples)


@dataclass(frozen=True)
class Estimate:
    """A number with its interval, of 95 % unless something else is said.

    Attributes:
        value: The mean over seeds, or a difference of two.
        low: Lower end.
        high: Upper end.
    """

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Deviations:
    """What a run's Fréchet distance owes to its sets (:class:`memobench.quality.measure.Quality`).

    Attributes:
        by_patients: (B,) by blocks of test patients, the same in all runs of a study.
        by_samples: (A,) by blocks of the run's own samples.
    """

    by_patients: Floats
    by_samples: Floats


@dataclass(frozen=True)
class Spread:
    """A variance over patients and the degrees of freedom that it is known with."""

    variance: float
    freedom: float = np.inf


def train_share(hits: Hits, weight: Floats) -> Floats:
    """The share of samples nearer to train, when patients weigh what they are given: (B, P) weights to (B,).

    Pools of unequal size are weighted as in :mod:`memobench.memorization.rates`: the odds are divided by T / H.

    >>> hits = Hits(np.array(["a", "b"]), np.array([True, False]), np.array([3.0, 1.0]))
    >>> train_share(hits, np.array([[1.0, 1.0], [0.0, 2.0]])).tolist()
    [0.75, 0.0]
    """
    ratio = hits.in_train.sum() / max((~hits.in_train).sum(), 1)
    near = weight @ (hits.samples * hits.in_train)
    far = weight @ (hits.samples * ~hits.in_train) * ratio
    share: Floats = np.where(near + far > 0, near / np.maximum(near + far, 1e-12), 0.5)
    return share


def patient_draws(arms: Sequence[Sequence[Hits]], seed: int) -> list[Floats]:
    """For each arm, its mean train share in draws of other patients: lists of (DRAWS,).

    Training and holdout patients are drawn apart, with replacement, the same patients for all arms: what two arms have
    in common drops out of their difference (Efron & Tibshirani 1993, section 8.3).

    Args:
        arms: The runs of each arm.
        seed: Seed of the draws.

    Raises:
        DataError: A patient stands in train in one run and in holdout in another.
    """
    side: dict[str, bool] = {}
    for hits in (run for arm in arms for run in arm):
        for name, trained in zip(hits.names.tolist(), hits.in_train.tolist(), strict=True):
            if side.setdefault(name, trained) != trained:
                raise DataError(f'patient "{name}" stands on two sides; compare runs of one split only')
    rng = generator_for(seed, "patients")
    drawn: dict[str, Floats] = {}
    for trained in (True, False):
        names = sorted(name for name in side if side[name] == trained)
        counts = rng.multinomial(len(names), np.full(len(names), 1 / len(names)), size=DRAWS)
        drawn |= {name: counts[:, k].astype(np.float64) for k, name in enumerate(names)}
    return [
        np.mean([train_share(run, np.stack([drawn[name] for name in run.names.tolist()], axis=1)) for run in arm], 0)
        for arm in arms
    ]


def distance_spread(first: Sequence[Deviations], second: Sequence[Deviations] = ()) -> Spread:
    """The spread over test patients of an arm's mean Fréchet distance, or of the difference of two arms' means.

    Between seeds the samples differ too, so their part is in the variance between seeds. With one seed there is no
    such variance, and their part is added here.

    Args:
        first: The runs of an arm.
        second: Those of the arm that it is compared with; none for the first arm's own mean.

    Raises:
        DataError: The runs were measured against different numbers of patients.

    >>> run = Deviations(np.array([3.0, -3.0]), np.array([1.0, -1.0]))
    >>> distance_spread([run]).variance, distance_spread([run], [run]).variance, distance_spread([run] * 2).variance
    (10.0, 2.0, 9.0)
    """
    runs = [*first, *second]
    blocks = len(runs[0].by_patients)
    if any(len(run.by_patients) != blocks for run in runs):
        raise DataError("the runs' Fréchet distances were measured against different test patients; measure them again")
    moved = np.mean([run.by_patients for run in first], axis=0)  # (B,)
    if second:
        moved = moved - np.mean([run.by_patients for run in second], axis=0)
    variance = float(np.mean(moved**2))
    variance += sum(float(np.mean(arm[0].by_samples ** 2)) for arm in (first, second) if len(arm) == 1)
    return Spread(variance, blocks - 1)


def estimate(values: Sequence[float], patients: Spread) -> Estimate:
    """The mean over seeds, with its 95 % interval.

    Args:
        values: One value for each run.
        patients: Spread of the mean over draws of other patients, the runs kept.
    """
    return _interval(float(np.mean(values)), [patients, _between_seeds(values)], LEVEL)


def difference(first: Sequence[float], second: Sequence[float], patients: Spread, level: float = LEVEL) -> Estimate:
    """The difference of two arms' means, first minus second, with its interval.

    Args:
        first: One value for each run of the first arm.
        second: Those of the second.
        patients: Spread of the difference over draws of other patients, the runs kept.
        level: Of the interval.

    >>> found = difference([0.9, 0.8, 0.85], [0.5, 0.6, 0.55], Spread(0.0))
    >>> round(found.value, 3), found.low > 0
    (0.3, True)
    """
    value = float(np.mean(first) - np.mean(second))
    return _interval(value, [patients, _between_seeds(first), _between_seeds(second)], level)


def level_of_each(scores: int) -> float:
    """The level of each score's interval, so that all together hold with 95 % (Bonferroni).

    >>> level_of_each(1), level_of_each(2)
    (0.95, 0.975)
    """
    return 1 - (1 - LEVEL) / scores


def _between_seeds(values: Sequence[float]) -> Spread:
    """Variance of a mean over seeds, and its degrees of freedom; nothing is known of it with one seed."""
    count = len(values)
    return Spread(float(np.var(values, ddof=1)) / count, count - 1) if count > 1 else Spread(0.0)


def _interval(value: float, parts: Sequence[Spread], level: float) -> Estimate:
    """Student's interval with Welch and Satterthwaite's degrees of freedom."""
    variance = sum(part.variance for part in parts)
    spent = sum(part.variance**2 / part.freedom for part in parts)
    freedom = variance**2 / spent if spent > 0 else np.inf
    reach = float(stats.t.ppf(0.5 + level / 2, freedom)) * float(np.sqrt(variance))
    return Estimate(value, value - reach, value + reach)


def unseen_variance(drawn: Floats, own: float) -> float:
    """What draws of patients miss of a share's variance, as far as the runs' own intervals know more.

    Where nearly every sample lies nearer to train, hardly any draw differs from another, and the draws' variance falls
    to zero, as no binomial interval does.

    Args:
        drawn: (B,) the share in draws of other patients.
        own: Its variance by the intervals of the runs.

    >>> unseen_variance(np.ones(10), 0.01), unseen_variance(np.array([0.0, 1.0]), 0.01)
    (0.01, 0.0)
    """
    return max(0.0, own - float(np.var(drawn)))


def verdict(comparisons: Sequence[Sequence[Estimate]]) -> str:
    """What the data say of a claim.

    A comparison holds where one of its scores lies surely above zero and none surely below, and fails the other way
    round. Two scores of one thing see different ranges of it: the train share ends at 100 %, and the copy rate stays at
    zero until whole images are copied.

    Args:
        comparisons: For each comparison, the differences that should be positive, one for each score; their intervals
            hold together with 95 % (:func:`level_of_each`).

    Returns:
        "reproduced" where all comparisons hold, "not reproduced" where one fails, else "undecided".

    >>> above, across = Estimate(0.3, 0.2, 0.4), Estimate(0.1, -0.1, 0.3)
    >>> verdict([[above, across]]), verdict([[above], [across]])
    ('reproduced', 'undecided')
    """
    found = [_direction(scores) for scores in comparisons]
    if -1 in found:
        return "not reproduced"
    return "reproduced" if all(way == 1 for way in found) else "undecided"


def _direction(scores: Sequence[Estimate]) -> int:
    """1 where the scores say yes, -1 where they say no, 0 where they say neither or both."""
    return int(any(one.low > 0 for one in scores)) - int(any(one.high < 0 for one in scores))
