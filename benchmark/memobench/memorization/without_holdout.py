"""Copies where there are no held-out patients: weaker, and said so.

Without decoys nothing shows what chance alone would match, so the threshold must carry the whole weight: it is the
score that a training patient's image reaches against the images of the other training patients once in a thousand
times. That stands for a new patient only where new patients are like those of train, and no permutation can test it.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from memobench.memorization.decide import TAIL, Threshold, threshold
from memobench.results import Metric
from memobench.stats.exchange import per_patient
from memobench.stats.intervals import clustered_share

WEAKER = (
    "no held-out patients: what chance alone matches is taken from the training patients among themselves, so the "
    "result holds only as far as new patients are like them"
)


def threshold_without_holdout(
    null_scores: NDArray[np.floating], pool_fraction: float, tail: float = TAIL, highest: float = np.inf
) -> Threshold:
    """The score that an image of a new patient reaches against train with probability ``tail``.

    Args:
        null_scores: (n,) the best score of each training image against those of other training patients.
        pool_fraction: Share of train that each was compared with.
        tail: Probability to aim at.
        highest: The score of exact copies, above which tau never lies.

    Raises:
        DataError: Fewer than 8 scores, or all are equal.
    """
    return threshold(null_scores, pool_fraction / 2, tail, highest)  # that one counts shares of two pools


def rates_without_holdout(
    score: NDArray[np.floating], index: NDArray[np.integer], patients: NDArray[np.str_], limit: Threshold, tail: float
) -> dict[str, Metric]:
    """Copy rate and memorized patients, with what the threshold alone lets through taken away.

    Args:
        score: (N,) best score of each sample against train.
        index: (N,) the training image of that score.
        patients: (n,) the patient of each training image.
        limit: The threshold.
        tail: Share of new patients' images that reach it.

    Returns:
        ``copy_rate`` with a 95% interval over the patients that the samples match; ``memorized_patients``, how many
        are matched at tau, less what chance would add at most.

    >>> limit = Threshold(0.5, 0.001, "empirical", 100)
    >>> found = rates_without_holdout(np.array([1.0, 0.0]), np.array([0, 1]), np.array(["a", "b"]), limit, 0.001)
    >>> round(found["copy_rate"].value, 3), found["memorized_patients"].value
    (0.499, 0.998)
    """
    called = score >= limit.tau
    matched = patients[index]
    names = np.unique(matched)
    share, low, high = clustered_share(
        per_patient(called, matched, names), per_patient(np.ones(len(score)), matched, names)
    )
    hit = float(len(np.unique(matched[called])))
    by_chance = min(hit, tail * len(score))
    return {
        "copy_rate": Metric(
            value=share - tail, low=low - tail, high=high - tail, null=0.0, better="lower", note=WEAKER
        ),
        "memorized_patients": Metric(value=hit - by_chance, null=0.0, better="lower", note=WEAKER),
    }
