"""Which samples lead the list because they are copies, where tau names only some of them.

Tau is set for a set without copies: a score that one in a thousand images of new patients reaches. Where few real
images are known, or some of them resemble each other, it lies far out. Once it is certain that a set holds copies,
another question is the better one: how far down the list do training patients lead? Held-out patients are decoys, as
in the target-decoy search of proteomics (Elias & Gygi 2007) and in knockoffs (Barber & Candes 2015, eq. 1.9): above a
score t the share of chance matches is at most about (1 + decoys) / targets.

Without held-out patients, or with some who differ from the training patients, there are no decoys. Then the p-values of
the single matches, from real images of new patients, take their place (Benjamini & Hochberg 1995).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.stats import false_discovery_control

SHARE = 0.1  # of the samples named, that chance may name


def leading(
    score: NDArray[np.floating], on_train: NDArray[np.bool_], cluster: NDArray[np.int64], *, ratio: float
) -> NDArray[np.bool_]:
    """(N,) the samples at the head of the list of which at most SHARE match a training patient by chance.

    Clusters of near-identical samples count once, by their strongest member, so that repeats of one image do not lead.
    With fewer than 1 / SHARE clusters on train's side nothing is named.

    Args:
        score: (N,) how strongly each sample matches.
        on_train: (N,) whether its better match is a training image.
        cluster: (N,) number of its cluster.
        ratio: Images of train over images of holdout.

    >>> score, on_train = np.arange(30.0), np.arange(30) >= 10
    >>> leading(score, on_train, np.arange(30), ratio=1.0).sum()
    np.int64(20)
    >>> leading(score, on_train, np.zeros(30, dtype=np.int64), ratio=1.0).sum()
    np.int64(0)
    """
    if not len(score):
        return np.zeros(0, dtype=np.bool_)
    heads = _heads(score, cluster)
    targets = np.cumsum(on_train[heads])
    decoys = np.cumsum(~on_train[heads])
    good = np.flatnonzero(ratio * (1 + decoys) <= SHARE * targets)
    if not len(good):
        return np.zeros(len(score), dtype=np.bool_)
    return np.asarray(on_train & (score >= score[heads[good[-1]]]), dtype=np.bool_)


def discovered(
    p_match: NDArray[np.floating], on_train: NDArray[np.bool_], cluster: NDArray[np.int64]
) -> NDArray[np.bool_]:
    """(N,) the samples whose match with a training patient is so rare that at most SHARE of them are there by chance.

    Clusters of near-identical samples count once, by their rarest match.

    Args:
        p_match: (N,) how often an image of a new patient matches anybody as strongly.
        on_train: (N,) whether the better match is a training image.
        cluster: (N,) number of its cluster.

    >>> discovered(np.array([0.001, 0.002, 0.4, 0.9]), np.array([True, True, True, False]), np.arange(4))
    array([ True,  True, False, False])
    """
    if not len(p_match):
        return np.zeros(0, dtype=np.bool_)
    heads = _heads(-np.asarray(p_match), cluster)
    p_value = np.clip(p_match[heads], 0, 1)
    found = p_value[false_discovery_control(p_value) <= SHARE]
    return np.asarray(on_train & (p_match <= found.max(initial=-1.0)), dtype=np.bool_)


def _heads(score: NDArray[np.floating], cluster: NDArray[np.int64]) -> NDArray[np.int64]:
    """The strongest member of each cluster, strongest first."""
    order = np.argsort(-score, kind="stable")
    _, first = np.unique(cluster[order], return_index=True)
    return np.asarray(order[np.sort(first)], dtype=np.int64)
