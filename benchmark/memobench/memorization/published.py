"""The published rule (Dar et al. 2024, arXiv 2402.01054), for comparison: counts above a threshold, without decoys.

The threshold is the 95th percentile, over training images, of the similarity to the nearest validation image; here the
holdout images are the validation images. It is set with one pool size and applied with another, so the share that it
flags when nothing was memorized is 5% at equal sizes only. Holdout images put in the place of training images show
that share for the samples at hand.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from memobench.base.errors import DataError
from memobench.base.seeds import generator_for
from memobench.results import Metric

PERCENTILE = 95.0

Similarities = NDArray[np.floating]


@dataclass(frozen=True)
class Published:
    """What the published rule counts.

    Attributes:
        tau: The threshold for training images.
        n_mem: Training images whose nearest sample is more similar than ``tau``.
        n_copies: Samples whose nearest training image is more similar than the threshold.
    """

    tau: float
    n_mem: int
    n_copies: int


def published_rule(train_validation: Similarities, samples_train: Similarities) -> Published:
    """The rule as published.

    Args:
        train_validation: (n, m) similarity of each training image to each validation image.
        samples_train: (N, n) similarity of each sample to each training image.

    Raises:
        DataError: A set is empty, or the two matrices tell of different numbers of training images.

    >>> rule = published_rule(np.array([[0.1], [0.2]]), np.array([[0.9, 0.0]]))
    >>> round(rule.tau, 3), rule.n_mem, rule.n_copies
    (0.195, 1, 1)
    """
    _check(train_validation, samples_train)
    tau = float(np.percentile(train_validation.max(axis=1), PERCENTILE))
    return Published(tau, int((samples_train.max(axis=0) > tau).sum()), int((samples_train.max(axis=1) > tau).sum()))


def published_rule_matched(train_validation: Similarities, samples_train: Similarities, *, seed: int = 0) -> Published:
    """The same rule with pools of matched size: a nearest neighbour is always sought among as many candidates.

    For ``n_mem``, training images look for their nearest in as many validation images as samples; for ``n_copies``,
    training images look for theirs in as many validation images as samples look through training images. The larger
    pool of each pair is thinned at random. It flags 5% when nothing was memorized, and finds less where it was
    thinned much.

    Args:
        train_validation: (n, m) similarity of each training image to each validation image.
        samples_train: (N, n) similarity of each sample to each training image.
        seed: Seed of the thinning.

    Raises:
        DataError: As :func:`published_rule`.
    """
    _check(train_validation, samples_train)
    rng = generator_for(seed, "published")
    training, validation = train_validation.shape
    samples = len(samples_train)
    columns, rows = rng.permutation(validation), rng.permutation(samples)
    size = min(validation, samples)
    tau = float(np.percentile(train_validation[:, columns[:size]].max(axis=1), PERCENTILE))
    n_mem = int((samples_train[rows[:size]].max(axis=0) > tau).sum())
    size = min(validation, training)
    other = float(np.percentile(train_validation[:, columns[:size]].max(axis=1), PERCENTILE))
    nearest = samples_train[:, rng.permutation(training)[:size]].max(axis=1)
    return Published(tau, n_mem, int((nearest > other).sum()))


def published_metrics(
    train_holdout: Similarities, samples_train: Similarities, samples_holdout: Similarities, *, seed: int = 0
) -> dict[str, Metric]:
    """The published counts, as published and with matched sizes, each with its measured null.

    The null is what the same rule counts when train and holdout change places: nothing of the holdout images was ever
    shown to the generator. Where the two differ in size it is scaled to the number of training images.

    Args:
        train_holdout: (n, m) similarity of each training image to each holdout image.
        samples_train: (N, n) similarity of each sample to each training image.
        samples_holdout: (N, m) the same to each holdout image.
        seed: Seed of the thinning.

    Returns:
        ``published_n_mem``, ``published_n_copies``, ``published_n_mem_matched``, ``published_n_copies_matched``.

    Raises:
        DataError: As :func:`published_rule`.
    """
    _check(train_holdout, samples_train)
    scale = train_holdout.shape[0] / train_holdout.shape[1]
    found: dict[str, tuple[float, float]] = {}
    for name, rule in (("", published_rule), ("_matched", lambda x, y: published_rule_matched(x, y, seed=seed))):
        of_train, of_holdout = rule(train_holdout, samples_train), rule(train_holdout.T, samples_holdout)
        found[f"published_n_mem{name}"] = (of_train.n_mem, of_holdout.n_mem * scale)
        found[f"published_n_copies{name}"] = (of_train.n_copies, of_holdout.n_copies)
    return {name: Metric(value=value, null=null, better="lower") for name, (value, null) in found.items()}


def _check(train_validation: Similarities, samples_train: Similarities) -> None:
    if 0 in train_validation.shape or 0 in samples_train.shape:
        raise DataError("the published rule needs training, validation and synthetic images, and one set is empty")
    if train_validation.shape[0] != samples_train.shape[1]:
        raise DataError(
            f"similarities of {train_validation.shape[0]} training images to validation, but of "
            f"{samples_train.shape[1]} to samples; give both for the same training images"
        )
