"""How sure the single matches of a set are, and how sure it is that there are any: beside the permutation tests.

The permutation tests count patients, so k copied patients cannot give a p-value below 2^-k, however strong the
matches are. Here each match is held against what images of new patients reach (:mod:`memobench.stats.tails`), with the
number of samples taken into account; and the number of calls against the number that chance gives. Both sides are
judged in the same way: a generator that reproduces held-out patients has seen them.

A score tells a copy from another patient only where samples look like real images. Blurred or odd samples may match
everybody strongly. So what a sample scores against its strongest rival, an image of another patient, is taken off its
score as far as it lies above what is usual (:func:`specific`): a match is certain where it is strong *and* stands out.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from memobench.base.errors import DataError
from memobench.memorization.decide import Decisions
from memobench.memorization.leading import leading
from memobench.memorization.rates import Pools
from memobench.memorization.shift import Shift
from memobench.stats.tails import TailFit, fit_tail

Floats = NDArray[np.float64]
Clusters = NDArray[np.int64]

LEVEL = 0.01  # of the family of all matches of a set


@dataclass(frozen=True)
class NullScores:
    """What images of new patients score.

    Attributes:
        scores: (M,) best score of real images against images of other patients.
        patients: (M,) their patients; None where they are not known, and each then stands alone.
        pool_fraction: Share of both pools together that each was compared with, in (0, 1].
    """

    scores: NDArray[np.floating]
    patients: NDArray[np.str_] | None
    pool_fraction: float

    @cached_property
    def tail(self) -> TailFit:
        """Their upper tail; fitted once, however often samples are weighed against it."""
        return fit_tail(self.scores, self.patients)


@dataclass(frozen=True)
class SideEvidence:
    """What speaks for copies of one side, train or holdout.

    Attributes:
        called: Samples whose best match of both sides lies on this side, at tau or above.
        clusters: Of these, the ones that reach tau by their specific score too (:func:`specific`), near-identical
            samples and samples of one real patient counted once. Blurred samples that match everybody are called but
            not counted here.
        expected: How many of those chance gives on average.
        p_count: P(chance gives as many), the tail beyond tau being estimated.
        certain: (N,) the samples whose match on this side is certain: adjusted p-value below 0.01.
        p_set: The smallest adjusted p-value of this side; 1 where no sample matches it best.
        patients: Different patients among those of ``certain``.
        p_least: The smallest p-value of a match of this side, not adjusted; 1 where no sample matches it best.
    """

    called: int
    clusters: int
    expected: float
    p_count: float
    certain: NDArray[np.bool_]
    p_set: float
    patients: int
    p_least: float


@dataclass(frozen=True)
class Evidence:
    """What speaks for copies, match by match and as a whole.

    Attributes:
        p_match: (N,) P(an image of a new patient matches anybody of that side so strongly and so specifically).
        adjusted: (N,) the same for the whole set: P(any of so many images does), Holm's method over the clusters.
        cluster: (N,) number of the cluster of each sample: near-identical samples, and called ones of one patient.
        train: Evidence for copies of train.
        holdout: Evidence for copies of holdout: a leak.
        tail: The tail of the null scores.
        shift: Whether train and holdout are exchangeable.
        leading: (N,) the samples that lead the list where it is certain that there are copies.
        others: Evidence for copies of still other patients whom the generator must not have seen, as those of test and
            dev; None where there are none, or it was not tested (:func:`leak_of`).
    """

    p_match: Floats
    adjusted: Floats
    cluster: Clusters
    train: SideEvidence
    holdout: SideEvidence
    tail: TailFit
    shift: Shift
    leading: NDArray[np.bool_]
    others: SideEvidence | None = None


@dataclass(frozen=True)
class Further:
    """The best match of each sample among still other real images.

    Attributes:
        score: (N,) its score; -inf for a sample that was not compared with them.
        index: (N,) the image of that score; 0 where there is none.
        patients: (m,) the patients of the images.
    """

    score: NDArray[np.floating]
    index: NDArray[np.int64]
    patients: NDArray[np.str_]


def evidence_of(
    decisions: Decisions,
    pools: Pools,
    null: NullScores,
    tau: float,
    *,
    near: Clusters | None = None,
    shift: Shift,
) -> Evidence:
    """Weigh the matches of a set.

    Args:
        decisions: What each of the N samples matches.
        pools: The patients of the pools' images.
        null: What images of new patients score.
        tau: The threshold of a call.
        near: (N,) clusters of near-identical samples (:mod:`memobench.memorization.repeats`); None where the pixels
            are not at hand, and every sample then counts as a draw of its own.
        shift: Whether train and holdout are exchangeable. Where they are not, new patients are taken to be like those
            of the side on which strong matches are likelier.

    Raises:
        DataError: Too few null scores, or lengths differ.
    """
    n = len(decisions.side)
    if near is not None and len(near) != n:
        raise DataError(f"{n} samples but {len(near)} cluster numbers; give one for each")
    near = np.arange(n) if near is None else np.unique(near, return_inverse=True)[1].reshape(-1)
    tail = null.tail
    tails = [tail] if shift.exchangeable else [tail, *_tails_of_sides(null, pools)]
    score = specific(decisions, tail)
    on_train = decisions.side >= 0
    sizes = np.array([len(pools.train), len(pools.holdout)])
    # a side is so many times as large as what each real image was compared with (Boole's bound)
    times = sizes / (null.pool_fraction * sizes.sum())
    larger = np.where(on_train, *times)
    p_match = np.max([np.minimum(one.survival(score) * larger, 1.0) for one in tails], axis=0)
    patient = np.where(on_train, pools.train[decisions.train_index], pools.holdout[decisions.holdout_index])
    cluster = _joined(near, patient, decisions.called)
    adjusted = holm_over_clusters(p_match, cluster)
    trials = int(near.max()) + 1 if n else 0
    sides = {}
    for name, on_side, factor in zip(("train", "holdout"), (on_train, ~on_train), times.tolist(), strict=True):
        called = decisions.called & on_side
        stands_out = called & (score >= tau)
        clusters = len(np.unique(cluster[stands_out & _mostly(stands_out, near)]))
        certain = (adjusted < LEVEL) & on_side
        sides[name] = SideEvidence(
            called=int(called.sum()),
            clusters=clusters,
            expected=max(trials * min(1.0, factor * float(one.survival(tau))) for one in tails),
            p_count=max(one.reached_by(clusters, trials, tau, times=factor) for one in tails),
            certain=certain,
            p_set=float(adjusted[on_side].min()) if on_side.any() else 1.0,
            patients=len(np.unique(patient[certain])),
            p_least=float(p_match[on_side].min()) if on_side.any() else 1.0,
        )
    ratio = len(pools.train) / len(pools.holdout) if len(pools.holdout) else np.inf
    ahead = leading(score, on_train, cluster, ratio=ratio if shift.exchangeable else np.inf)
    return Evidence(p_match, adjusted, cluster, sides["train"], sides["holdout"], tail, shift, ahead)


def leak_of(
    found: Further, decisions: Decisions, tail: TailFit, tau: float, *, times: float, near: Clusters | None = None
) -> SideEvidence:
    """Weigh the matches with patients of neither side: a generator that reproduces them has seen them.

    A match counts where it is stronger than those with train and with holdout, less by how far these lie above the
    usual. Samples that were not compared count in the number of samples, so that choosing the likeliest ones to be
    compared makes nothing certain that is not.

    Args:
        found: What each of the N samples matches among them.
        decisions: What it matches in train and in holdout.
        tail: The tail of the null scores.
        tau: The threshold of a call.
        times: How many times as many images these are as each null score was compared with.
        near: (N,) clusters of near-identical samples; None where the pixels are not at hand.
    """
    n = len(found.score)
    near = np.arange(n) if near is None else np.unique(near, return_inverse=True)[1].reshape(-1)
    rival = np.maximum(decisions.train_score, decisions.holdout_score).astype(np.float64)
    on_side = found.score > rival
    score = found.score - np.maximum(rival - float(np.median(tail.ordered)), 0.0)
    p_match = np.where(on_side, np.minimum(tail.survival(score) * times, 1.0), 1.0)
    patient = found.patients[found.index]
    called = on_side & (found.score >= tau)
    cluster = _joined(near, patient, called)
    adjusted = holm_over_clusters(p_match, cluster)
    certain = (adjusted < LEVEL) & on_side
    trials = int(near.max()) + 1 if n else 0
    stands_out = called & (score >= tau)
    clusters = len(np.unique(cluster[stands_out & _mostly(stands_out, near)]))
    return SideEvidence(
        called=int(called.sum()),
        clusters=clusters,
        expected=trials * min(1.0, times * float(tail.survival(tau))),
        p_count=tail.reached_by(clusters, trials, tau, times=times),
        certain=certain,
        p_set=float(adjusted[on_side].min()) if on_side.any() else 1.0,
        patients=len(np.unique(patient[certain])),
        p_least=float(p_match[on_side].min()) if on_side.any() else 1.0,
    )


def specific(decisions: Decisions, tail: TailFit) -> Floats:
    """(N,) the better score of each sample, less by how far its score on the other side lies above the usual.

    The usual is the median of the null scores. A sample that holds equally strong matches on both sides keeps no more
    than that; a copy loses as much as an image of a new patient has beyond the median, mostly nothing.
    """
    scores = np.stack([decisions.train_score, decisions.holdout_score]).astype(np.float64)
    better, other = scores.max(axis=0), scores.min(axis=0)
    usual = float(np.median(tail.ordered))
    return np.asarray(better - np.maximum(other - usual, 0.0), dtype=np.float64)


def holm_over_clusters(p_values: Floats, cluster: Clusters) -> Floats:
    """P-values adjusted for the number of clusters, and within each cluster for its size.

    Members of a cluster depend on each other positively, as repeats of one image do, so Simes' (1986) test of each
    cluster holds: the r-th smallest of m p-values times m / r, the smallest of these. A cluster of repeats then counts
    like one sample, while one strong match among many weak ones counts m times. Over clusters comes Holm's (1979)
    method.

    Args:
        p_values: (N,) p-values.
        cluster: (N,) which cluster each belongs to.

    Returns:
        (N,) adjusted p-values, at most 1.

    >>> holm_over_clusters(np.array([0.001, 0.001, 0.2, 0.03]), np.array([0, 0, 1, 2])).round(3).tolist()
    [0.003, 0.003, 0.2, 0.06]
    """
    if not len(p_values):
        return p_values.astype(np.float64)
    _, which, sizes = np.unique(cluster, return_inverse=True, return_counts=True)
    which = which.reshape(-1)
    order = np.lexsort((p_values, which))
    first = np.cumsum(sizes) - sizes
    rank = np.arange(len(p_values)) - first[which[order]] + 1
    within = np.empty(len(p_values))
    # each p-value times m / r, and the smallest of that of all from its rank on, cluster by cluster
    scaled = p_values[order] * sizes[which[order]] / rank
    for start, size in zip(first[sizes > 1], sizes[sizes > 1], strict=True):
        part = slice(start, start + size)
        scaled[part] = np.minimum.accumulate(scaled[part][::-1])[::-1]
    within[order] = scaled
    smallest = np.full(len(sizes), np.inf)
    np.minimum.at(smallest, which, within)
    ascending = np.argsort(smallest, kind="stable")
    left = np.empty(len(sizes))
    left[ascending] = np.arange(len(sizes), 0, -1)
    floor = np.empty(len(sizes))  # a cluster is never adjusted below those before it
    floor[ascending] = np.maximum.accumulate((smallest * left)[ascending])
    return np.asarray(np.minimum(np.maximum(within * left[which], floor[which]), 1.0), dtype=np.float64)


def _tails_of_sides(null: NullScores, pools: Pools) -> list[TailFit]:
    """The tails of train patients' and of holdout patients' own null scores, where there are enough of a side."""
    if null.patients is None:
        return []
    tails = []
    for names in (pools.train, pools.holdout):
        own = np.isin(null.patients, names)
        try:
            tails.append(fit_tail(null.scores[own], null.patients[own]))
        except DataError:  # too few of this side, or all equal: the common tail stands alone
            continue
    return tails


def _joined(near: Clusters, patient: NDArray[np.str_], called: NDArray[np.bool_]) -> Clusters:
    """Clusters in which near-identical samples, and called samples of one patient, stand together."""
    n = len(near)
    if not n:
        return near.astype(np.int64)
    _, owner = np.unique(patient, return_inverse=True)
    rows = np.flatnonzero(called)
    # samples, then clusters of near-identical ones, then patients, are the nodes
    first = np.concatenate([np.arange(n), rows])
    second = np.concatenate([n + near, n + int(near.max()) + 1 + owner.reshape(-1)[rows]])
    size = n + int(near.max()) + 1 + int(owner.max()) + 1
    links = coo_array((np.ones(len(first), dtype=np.int8), (first, second)), shape=(size, size))
    _, number = connected_components(links, directed=False)
    return np.unique(number[:n], return_inverse=True)[1].reshape(-1).astype(np.int64)


def _mostly(called: NDArray[np.bool_], near: Clusters) -> NDArray[np.bool_]:
    """(N,) whether more than half of each sample's near-identical ones are called.

    So repeats of one image have one chance to be called, as the image itself has, and not one for each repeat.
    """
    if not len(near):
        return called
    share = np.bincount(near, weights=called) / np.bincount(near)
    return np.asarray(share[near] > 0.5, dtype=np.bool_)
