"""Are train and holdout exchangeable: two draws of patients from one population?

The permutation tests are exact if nothing but copying tells train from holdout. A run draws the sides at random; in an
audit the holdout was chosen by others, perhaps from another hospital, and then samples lean towards train without any
copy. So it is tested: four statistics of real images alone, with the labels exchanged by patient, within strata where
strata are given, and Bonferroni's correction over the four.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from memobench.base.seeds import generator_for
from memobench.neighbours.nearest import nearest
from memobench.stats.exchange import labellings
from memobench.stats.strata import Strata

Floats = NDArray[np.float64]
Labels = NDArray[np.bool_]

LEVEL = 0.01  # of all tests together: one ordinary audit in a hundred is wrongly called shifted
DRAWS = 1999
COMPONENTS = 16
RIDGE = 0.1  # of the number of patients
NEIGHBOURS = 3
AT_ONCE = 1 << 21  # numbers of permuted labels held at once


@dataclass(frozen=True)
class Shift:
    """Whether train and holdout are exchangeable, as far as a test can tell.

    Attributes:
        exchangeable: No test tells them apart at the 1% level, or they were drawn at random by design.
        p_value: The smallest p-value of the tests, Bonferroni-corrected.
        auc: How well a linear classifier tells train and holdout patients apart that it has not seen, in [0.5, 1].
        strata: The columns within whose values labels were exchanged.
        train_nearest: Share of train patients whose nearest other patient stands in train: what a sample that copies
            nobody, but comes from train's source, is to be compared with where the sides are shifted.
    """

    exchangeable: bool
    p_value: float
    auc: float
    strata: tuple[str, ...] = ()
    train_nearest: float = 0.5


BY_DESIGN = Shift(exchangeable=True, p_value=1.0, auc=0.5)  # of sides drawn at random, or where there is one only


@dataclass(frozen=True)
class Side:
    """Real images of one side.

    Attributes:
        features: (n, D) features of its images, from something that does not know the sides; None where there are none.
        patients: (n,) their patients.
    """

    features: NDArray[np.floating] | None
    patients: NDArray[np.str_]


def exchangeability(
    train: Side,
    holdout: Side,
    *,
    null_scores: NDArray[np.floating] | None = None,
    null_patients: NDArray[np.str_] | None = None,
    strata: Strata | None = None,
    seed: int = 0,
) -> Shift:
    """Test whether train and holdout patients can be told apart.

    1. A ridge classifier on the first principal components of the patients' mean features and their squares; its AUC
       on patients left out one at a time.
    2. The largest difference of means in any one of these numbers, which sees a difference that lies in one direction,
       such as another mixture of sources.
    3. The share of the patients' nearest other patients that stand on their own side (Schilling 1986).
    4. The mean rank of the patients' best scores against other patients, two-sided.

    Args:
        train: Its images.
        holdout: Its images.
        null_scores: (M,) best score of real images against other patients; None where they are not known.
        null_patients: (M,) their patients.
        strata: Within what labels are exchanged; None for everywhere.
        seed: Seed of the labellings.

    Returns:
        What was found; ``exchangeable`` where nothing could be tested, with a p-value of 1.

    Raises:
        DataError: A patient has no stratum, or lengths differ.
    """
    names = np.unique(np.concatenate([train.patients, holdout.patients]))
    in_train = np.isin(names, train.patients)
    groups = None if strata is None else strata.numbers(names)
    columns = () if strata is None else strata.columns
    p_values: list[float] = []
    auc, near = 0.5, 0.5
    if train.features is not None and holdout.features is not None and len(names) >= 4:
        points = _components(
            _patient_means(
                np.concatenate([train.features, holdout.features]).astype(np.float64),
                np.concatenate([train.patients, holdout.patients]),
                names,
            )
        )
        numbers = np.concatenate([points, points**2 - 1], axis=1)
        fitted = _LeftOut.of(numbers)
        p_values.append(_permuted(fitted.aucs, in_train, groups, seed, "features"))
        auc = max(0.5, float(fitted.aucs(in_train[None])[0]))
        ranks = rankdata(numbers, axis=0)
        p_values.append(_permuted(lambda labels: _farthest(labels, ranks, groups), in_train, groups, seed, "means"))
        index = nearest(points, points, k=min(NEIGHBOURS, len(names) - 1), exclude_self=True)[1]
        p_values.append(_permuted(lambda labels: _same_side(labels, index), in_train, groups, seed, "neighbours"))
        near = float(in_train[index[in_train, 0]].mean())
    if null_scores is not None and null_patients is not None:
        asked = np.isin(names, null_patients)
        if in_train[asked].any() and (~in_train[asked]).any():
            placed = rankdata(np.asarray(null_scores, dtype=np.float64))
            means = _patient_means(placed[:, None], null_patients, names[asked])
            some = None if groups is None else groups[asked]
            p_values.append(
                _permuted(lambda labels: _farthest(labels, means, some), in_train[asked], some, seed, "scores")
            )
    p_value = min(1.0, len(p_values) * min(p_values)) if p_values else 1.0
    return Shift(p_value >= LEVEL, p_value, auc, columns, near)


def _permuted(
    statistic: Callable[[Labels], Floats],
    in_train: Labels,
    strata: NDArray[np.int64] | None,
    seed: int,
    name: str,
) -> float:
    """P-value of a statistic of (n, P) labels that is large where the sides differ (Phipson & Smyth 2010, eq. 2)."""
    observed = float(statistic(in_train[None])[0])
    rng = generator_for(seed, "exchangeability", name)
    as_large = sum(
        int((statistic(labels) >= observed - 1e-12).sum()) for labels in labellings(in_train, DRAWS, rng, strata=strata)
    )
    return (1 + as_large) / (1 + DRAWS)


def _patient_means(values: Floats, patients: NDArray[np.str_], names: NDArray[np.str_]) -> Floats:
    """(P, D) means of (N, D) values over the images of each patient."""
    place = np.searchsorted(names, patients)
    total = np.zeros((len(names), values.shape[1]))
    np.add.at(total, place, values)
    return np.asarray(total / np.bincount(place, minlength=len(names))[:, None], dtype=np.float64)


def _components(points: Floats) -> Floats:
    """(P, C) the first principal components of (P, D) standardized points, each of variance 1."""
    centred = points - points.mean(axis=0)
    spread = centred.std(axis=0)
    kept = spread > 1e-9 * max(float(spread.max()), 1e-300)
    if not kept.any():
        return np.zeros((len(points), 1))
    left, size, _ = np.linalg.svd(centred[:, kept] / spread[kept], full_matrices=False)
    most = max(1, min(COMPONENTS, len(points) // 8, int((size > 1e-9 * size[0]).sum())))
    return np.asarray(left[:, :most] * np.sqrt(len(points)), dtype=np.float64)


@dataclass(frozen=True)
class _LeftOut:
    """Ridge regression of labels on points, every point predicted by the fit to the others, in closed form.

    With the hat matrix H of a linear smoother the prediction of a point left out is (H y - h y) / (1 - h), h being its
    diagonal (Allen 1974).
    """

    points: Floats
    solved: Floats
    leverage: Floats

    @classmethod
    def of(cls, points: Floats) -> _LeftOut:
        n = len(points)
        design = np.concatenate([np.ones((n, 1)), points - points.mean(axis=0)], axis=1)
        penalty = np.diag(np.append(0.0, np.full(points.shape[1], RIDGE * n)))
        solved = np.linalg.solve(design.T @ design + penalty, design.T)
        return cls(design, solved, np.einsum("ij,ji->i", design, solved))

    def aucs(self, labels: Labels) -> Floats:
        """(n,) AUC of the predictions of (n, P) labels."""
        step = max(1, AT_ONCE // labels.shape[1])
        parts = [self._aucs(labels[start : start + step]) for start in range(0, len(labels), step)]
        return np.concatenate(parts)

    def _aucs(self, labels: Labels) -> Floats:
        y = labels.astype(np.float64)
        # predicted relative to the mean of the other labels: else a point's own label shows in the intercept
        others = (y.sum(axis=1, keepdims=True) - y) / (y.shape[1] - 1)
        left = (y @ self.solved.T @ self.points.T - self.leverage * y) / np.maximum(1 - self.leverage, 1e-9) - others
        ranks = rankdata(left, axis=1)
        ones = y.sum(axis=1)
        zeros = y.shape[1] - ones
        return np.asarray(((ranks * y).sum(axis=1) - ones * (ones + 1) / 2) / (ones * zeros), dtype=np.float64)


def _same_side(labels: Labels, index: NDArray[np.int64]) -> Floats:
    """(n,) share of (P, k) neighbours that have the label of their patient, under (n, P) labels."""
    return np.array([(one[index] == one[:, None]).mean() for one in labels])


def _farthest(labels: Labels, values: Floats, strata: NDArray[np.int64] | None) -> Floats:
    """(n,) how far the train patients' sums of (P, K) values lie from what their strata give, at most over the columns.

    Every column counts in units of its spread within the strata.
    """
    group = np.zeros(len(values), dtype=np.int64) if strata is None else strata
    means = np.stack([values[group == one].mean(axis=0) for one in range(int(group.max()) + 1)])
    centred = values - means[group]
    spread = centred.std(axis=0)
    scaled = centred / np.where(spread > 0, spread, 1.0)
    return np.asarray(np.abs(labels.astype(np.float64) @ scaled).max(axis=1), dtype=np.float64)
