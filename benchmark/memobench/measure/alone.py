"""The matches of samples where no patients are held out: the best, and the strongest with another patient."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from memobench.base.progress import Track, silent
from memobench.detection.pool import MatchingPool
from memobench.measure.detector import OwnDetector

RIVALS = 8  # matches of a called image, among which the strongest with another patient is sought


def match_alone(
    detector: OwnDetector,
    samples: NDArray[np.float32],
    blank: NDArray[np.bool_],
    pool: MatchingPool,
    tau: float,
    *,
    track: Track = silent,
) -> tuple[NDArray[np.float32], NDArray[np.int64], NDArray[np.float32], NDArray[np.int64]]:
    """Each sample's best match in train and, where that reaches tau, its strongest match with another patient.

    A match must stand out from those with other training patients, so the latter takes the place of the best match
    among held-out patients.

    Args:
        detector: Fitted.
        samples: (N, *S) images.
        blank: (N,) those with nothing to compare, which are matched with nobody.
        pool: The training images.
        tau: The threshold.
        track: Shows progress.

    Returns:
        (N,) score and row of the best match; (N,) score of the strongest with another patient, -inf where none was
        sought, and zeros.
    """
    train = pool.images
    score = np.full(len(samples), np.finfo(np.float32).min, dtype=np.float32)
    index = np.zeros(len(samples), dtype=np.int64)
    if not blank.all():
        found = detector.match(samples[~blank] if blank.any() else samples, pool, track=track)
        score[~blank], index[~blank] = found.score[:, 0], found.index[:, 0]
    rival = np.full(len(samples), -np.inf, dtype=np.float32)
    called = np.flatnonzero(score >= tau)
    if len(called):
        found = detector.match(np.asarray(samples[called]), pool, k=min(RIVALS, len(train)))
        other = train.patients[np.maximum(found.index, 0)] != train.patients[index[called]][:, None]
        rival[called] = np.where(other & (found.index >= 0), found.score, -np.inf).max(axis=1)
        rival[called] = np.minimum(rival[called], score[called])  # a deeper search never makes the best the second
    return score, index, rival, np.zeros(len(samples), dtype=np.int64)
