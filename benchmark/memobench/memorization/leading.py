"""Which samples lead the list because they are copies, where tau names only some of them.

Tau is set for a set without copies: a score that one in a thousand images of new patients reaches. Where few real
images are known, or some of them resemble each other, it lies far out. Once it is certain that a set holds copies,
another question is the better one: how far down the list do training patients lead? Held-out patients are decoys, as
in the target-decoy search of proteomics (Elias & Gygi 2007) and in knockoffs (Barber & Candes 2015, eq. 1.9): above a
score t the share of chance matches is at most about (1 + decoys) / targets.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

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
    order = np.argsort(-score, kind="stable")
    _, first = np.unique(cluster[order], return_index=True)  # the strongest member of each cluster
    heads = order[np.sort(first)]
    targets = np.cumsum(on_train[heads])
    decoys = np.cumsum(~on_train[heads])
    good = np.flatnonzero(ratio * (1 + decoys) <= SHARE * targets)
    if not len(good):
        return np.zeros(len(score), dtype=np.bool_)
    return np.asarray(on_train & (score >= score[heads[good[-1]]]), dtype=np.bool_)
