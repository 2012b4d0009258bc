"""Arms compared: means over seeds, with intervals that count both patients and seeds.

The runs of a study share their patients, so more seeds do not make the patients more. The variance of an arm's mean is
therefore the sum of two: that of drawing other patients, with all runs kept, and that of training again, between seeds.
For the same reason two arms are compared patient by patient: what their runs have in common drops out of a difference.

A share near zero or one can move far to one side alone, and so can that of a generator whose samples lie all near a few
patients. Each end of an interval is therefore as far away as the runs' own intervals say of that side, and the ends of
a difference are recovered from those of its two sides (MOVER; Zou & Donner 2008, eq. 1).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from memobench.base.errors import DataError
from memobench.base.seeds import generator_for
from memobench.memorization.decide import Decisions
from memobench.memorization.rates import Pools, tally
from memobench.stats.exchange import Floats

DRAWS = 2000  # of patients
LEVEL = 0.95
NORMAL = 1.959964  # the normal quantile of that level


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
    """A number with its interval, of 95% unless something else is said.

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
    """Variances over patients, as either end of an interval sees them.

    Attributes:
        below: What sets the lower end.
        above: What sets the upper end.
        freedom: Degrees of freedom that they are known with.
    """

    below: float
    above: float
    freedom: float = np.inf

    @classmethod
    def even(cls, variance: float, freedom: float = np.inf) -> Self:
        """The same variance for both ends."""
        return cls(variance, variance, freedom)

    def minus(self, other: Spread) -> Spread:
        """Of the difference of two that move apart: its lower end meets the other's upper one (MOVER).

        >>> Spread(1.0, 2.0).minus(Spread(10.0, 20.0))
        Spread(below=21.0, above=12.0, freedom=inf)
        """
        freedom = min(self.freedom, other.freedom)
        return Spread(self.below + other.above, self.above + other.below, freedom)


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
    >>> distance_spread([run]).below, distance_spread([run], [run]).below, distance_spread([run] * 2).below
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
    return Spread.even(variance, blocks - 1)


def own_spread(intervals: Sequence[Estimate]) -> Spread:
    """What the runs' own 95% intervals over patients say: the same patients in all runs, so their mean.

    Args:
        intervals: One for each run.

    >>> found = own_spread([Estimate(0.5, 0.5 - 1.959964, 0.5 + 2 * 1.959964)])
    >>> round(found.below, 6), round(found.above, 6)
    (1.0, 4.0)
    """
    below, above = (
        float(np.mean([((end - one.value) / NORMAL) ** 2 for one, end in zip(intervals, ends, strict=True)]))
        for ends in ([one.low for one in intervals], [one.high for one in intervals])
    )
    return Spread(below, above)


def share_spread(drawn: Sequence[Floats], own: Sequence[Spread]) -> Spread:
    """The spread over patients of an arm's mean train share, or of the difference of two, first minus second.

    What two arms have in common drops out of their draws. Draws of patients keep what each sample matches, so they miss
    what the runs' own intervals know: where nearly every sample lies nearer to train hardly any draw differs from
    another, and where all lie near a few patients no draw holds other such patients. What is missed is added, for
    either end.

    Args:
        drawn: One or two of (B,), each arm's share in draws of other patients, the same for both.
        own: Of each arm, by the intervals of its runs.

    >>> share_spread([np.ones(10)], [Spread(0.01, 0.0)])
    Spread(below=0.01, above=0.0, freedom=inf)
    >>> share_spread([np.array([0.0, 1.0])] * 2, [Spread(0.01, 0.01)] * 2)
    Spread(below=0.0, above=0.0, freedom=inf)
    """
    moved = drawn[0] if len(drawn) == 1 else drawn[0] - drawn[1]
    seen = [float(np.var(draws)) for draws in drawn]
    unseen = [
        Spread(max(0.0, one.below - variance), max(0.0, one.above - variance))
        for one, variance in zip(own, seen, strict=True)
    ]
    missed, variance = unseen[0] if len(unseen) == 1 else unseen[0].minus(unseen[1]), float(np.var(moved))
    return Spread(variance + missed.below, variance + missed.above)


def estimate(values: Sequence[float], patients: Spread) -> Estimate:
    """The mean over seeds, with its 95% interval.

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

    >>> found = difference([0.9, 0.8, 0.85], [0.5, 0.6, 0.55], Spread.even(0.0))
    >>> round(found.value, 3), found.low > 0
    (0.3, True)
    """
    value = float(np.mean(first) - np.mean(second))
    return _interval(value, [patients, _between_seeds(first), _between_seeds(second)], level)


def level_of_each(scores: int) -> float:
    """The level of each score's interval, so that all together hold with 95% (Bonferroni).

    >>> level_of_each(1), level_of_each(2)
    (0.95, 0.975)
    """
    return 1 - (1 - LEVEL) / scores


def _between_seeds(values: Sequence[float]) -> Spread:
    """Variance of a mean over seeds, and its degrees of freedom; nothing is known of it with one seed."""
    count = len(values)
    return Spread.even(float(np.var(values, ddof=1)) / count, count - 1) if count > 1 else Spread.even(0.0)


def _interval(value: float, parts: Sequence[Spread], level: float) -> Estimate:
    """An interval whose ends lie as far away as the parts say of either side."""
    below = _reach([(part.below, part.freedom) for part in parts], level)
    return Estimate(value, value - below, value + _reach([(part.above, part.freedom) for part in parts], level))


def _reach(variances: Sequence[tuple[float, float]], level: float) -> float:
    """Half of Student's interval, with Welch and Satterthwaite's degrees of freedom."""
    variance = sum(one for one, _ in variances)
    spent = sum(one**2 / freedom for one, freedom in variances)
    freedom = variance**2 / spent if spent > 0 else np.inf
    return float(stats.t.ppf(0.5 + level / 2, freedom)) * float(np.sqrt(variance))


def verdict(comparisons: Sequence[Sequence[Estimate]]) -> str:
    """What the data say of a claim.

    A comparison holds where one of its scores lies surely above zero and none surely below, and fails the other way
    round. Two scores of one thing see different ranges of it: the train share ends at 100%, and the copy rate stays at
    zero until whole images are copied.

    Args:
        comparisons: For each comparison, the differences that should be positive, one for each score; their intervals
            hold together with 95% (:func:`level_of_each`).

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
