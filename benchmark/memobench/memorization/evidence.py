"""Evidence that anything was copied at all, at no fixed threshold: do training patients lead the strongest matches?

A threshold set by held-out patients must be strict, and then a handful of copies leaves few calls to test. But when the
ten patients with the strongest matches all stand in train, chance does that once in 1024, wherever a threshold lies.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp

from memobench.base.seeds import generator_for
from memobench.memorization.decide import Decisions
from memobench.memorization.rates import Pools
from memobench.results import Metric
from memobench.stats.exchange import ExactTest, Floats, exact_test, labellings

ODDS = (1.5, 2.5, 4.0, 10.0, 30.0)  # of train among the strongest matches, relative to chance


def strongest_matches(decisions: Decisions, pools: Pools) -> Floats:
    """(P,) the best score that any sample reaches on each patient as its own best match; minus infinity for none.

    A sample that two patients match equally well counts for both.
    """
    names = pools.names
    best = np.full(len(names), -np.inf)
    for chosen, index, patients, score in (
        (decisions.side >= 0, decisions.train_index, pools.train, decisions.train_score),
        (decisions.side <= 0, decisions.holdout_index, pools.holdout, decisions.holdout_score),
    ):
        np.maximum.at(best, np.searchsorted(names, patients[index[chosen]]), score[chosen].astype(np.float64))
    return best


def copy_evidence(decisions: Decisions, pools: Pools, *, seed: int = 0, draws: int = 9999) -> Metric:
    """How much likelier the order of the strongest matches is if copies lead it than if chance does.

    Every patient has one vote, the best score that a sample reaches with that patient, so a repeated image is one
    observation. The votes are sorted, and the labels of the first k are compared with chance by a likelihood ratio, in
    which train has odds of omega times T / H among them. The statistic is the average over k (weights 1 / k, since few
    copies are as likely as many) and over omega; its null is that of the labels permuted over the same votes, which
    makes the p-value exact.

    The maximum over k of the standardized excess would be more usual. It sees about as much where many weak matches
    lean to train, but less where few strong ones do, which is the case that matters; ``bench calibrate`` shows the
    power.

    Args:
        decisions: What each sample matches.
        pools: The patients.
        seed: Seed of the labellings.
        draws: Number of labellings.

    Returns:
        The decimal logarithm of the average ratio (null 0) with its permutation p-value.
    """
    votes = strongest_matches(decisions, pools)
    value, test = evidence_test(votes, pools.in_train, seed=seed, draws=draws, strata=pools.stratum)
    return Metric(
        value=value,
        null=0.0,
        better="lower",
        p_value=test.more,
        note="log10 of how much likelier copies make the order of the strongest matches than chance does",
    )


def evidence_test(
    votes: Floats,
    in_train: NDArray[np.bool_],
    *,
    seed: int = 0,
    draws: int = 9999,
    strata: NDArray[np.integer] | None = None,
) -> tuple[float, ExactTest]:
    """The statistic of :func:`copy_evidence` and its exact test, from (P,) votes, labels and strata.

    >>> lead, test = evidence_test(np.arange(20.0), np.arange(20) >= 10)
    >>> lead > 1, test.more < 0.01
    (True, True)
    """
    order = np.argsort(-votes, kind="stable")
    order = order[np.isfinite(votes[order])]
    # tied votes have no order among them: look only where a tie ends
    ends = np.flatnonzero(np.append(votes[order][1:] != votes[order][:-1], True))
    chance = float(in_train.mean())
    value = float(_statistic(in_train[None, order], ends, chance)[0])
    rng = generator_for(seed, "evidence")
    above = below = 0
    for labels in labellings(in_train, draws, rng, strata=strata):
        drawn = _statistic(labels[:, order], ends, chance)
        above += int((drawn > value + 1e-9).sum())
        below += int((drawn < value - 1e-9).sum())
    return value, exact_test(above, below, draws, float(rng.random()))


def _statistic(labels: NDArray[np.bool_], ends: NDArray[np.int64], chance: float) -> Floats:
    """(n,) log10 of the average likelihood ratio of n orders of labels, (n, K)."""
    train = np.cumsum(labels, axis=1, dtype=np.float64)[:, ends]
    voters = ends + 1.0
    weight = -np.log(voters) - np.log((1 / voters).sum() * len(ODDS))
    of_odds = []
    for odds in ODDS:
        lead = odds * chance / (odds * chance + 1 - chance)
        gain, loss = np.log(lead / chance), np.log((1 - lead) / (1 - chance))
        # train * gain + (voters - train) * loss, with one product of the large array
        of_odds.append(logsumexp(train * (gain - loss) + (voters * loss + weight), axis=1))
    statistic: Floats = logsumexp(np.stack(of_odds, axis=1), axis=1) / np.log(10)
    return statistic
