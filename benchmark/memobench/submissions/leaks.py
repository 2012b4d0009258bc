"""The leak test: do samples reproduce real patients who stand neither in train nor in holdout?

Scores tell what samples match in train and holdout, and nothing else. A file that returns the images of test, of dev or
of fresh patients has perfect quality and copies nobody of train; only its pixels give it away. So the verifier, who has
the samples, searches them among all other real images of the task, together with train and holdout.

Real images of train and holdout, searched in the same pool without their own patient, tell what images of new patients
reach there. A sample counts where it reaches what they reach once in a thousand times, by its score less what it scores
against its best rival in train and holdout beyond the usual: blurred images match everybody, and a copy stands out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binom

from memobench.base.progress import Track, silent
from memobench.images import Images
from memobench.measure.detector import OwnDetector
from memobench.measure.measurement import match_sides
from memobench.memorization.decide import TAIL, threshold
from memobench.submissions.records import Leak, LeakPool
from memobench.task import Splits

LEVEL = 0.003  # of a task, over all pools; blurred samples, which match many a little, get there more often


@dataclass(frozen=True)
class Found:
    """What samples score in the pool of all real images.

    Attributes:
        score: (N,) best score of each sample among the other patients.
        owner: (N,) whose image that is: a number in the order of the other patients' images.
        rival: (N,) best score among train and holdout.
        null: (M,) best score of real images of train and holdout against anybody else's.
    """

    score: NDArray[np.float32]
    owner: NDArray[np.int64]
    rival: NDArray[np.float32]
    null: NDArray[np.float32]


def leak_test(
    samples: NDArray[np.float32],
    splits: Splits,
    detector: OwnDetector,
    *,
    most: int,
    control: bool = False,
    track: Track = silent,
) -> list[Leak]:
    """Look for images of test, dev and fresh patients among samples.

    Args:
        samples: (N, *S) float32 in [0, 1].
        splits: The task's images.
        detector: The task's own.
        most: Real images, at most, that tell what new patients reach.
        control: Whether a control of memobench made the samples: some are given the fresh patients, who are then left
            out.
        track: Shows progress.
    """
    pools: dict[LeakPool, Images] = {"test": splits.test}
    if not control:
        pools["fresh"] = splits.fresh
    if splits.dev is not None:
        pools["dev"] = splits.dev
    pools = {name: images for name, images in pools.items() if len(images)}
    if not pools:
        return []
    others = list(pools.values())
    joined = others[0]
    for images in [*others[1:], splits.train, splits.holdout]:
        joined = joined.joined(images)
    count = sum(map(len, others))
    whole = detector.matching_pool(joined)
    score, index, rival, _ = match_sides(detector, samples, whole, count, track=track)
    known = splits.train.joined(splits.holdout)
    asked = known.some_patients(most, np.random.default_rng(0))
    null = detector.match(asked.pixels, whole, query_patients=asked.patients, track=track).score[:, 0]
    return judged(Found(score, index, rival, null), pools, len(known))


def judged(found: Found, pools: Mapping[LeakPool, Images], known: int) -> list[Leak]:
    """Count the matches in each pool, and hold them against what chance gives.

    Different patients are counted, so that a generator that repeats one image counts once.

    Args:
        found: The scores.
        pools: The other patients' images, in the order in which they were joined.
        known: Images of train and holdout in the same pool.
    """
    sizes = {name: len(images) for name, images in pools.items()}
    count = sum(sizes.values())
    # of one search in the whole pool, so that a new patient reaches the others' part with probability TAIL
    tau = threshold(found.null, (count + known) / (2 * count)).tau
    usual = float(np.median(found.null))
    finite = np.isfinite(found.score)
    excess = np.where(np.isfinite(found.rival), np.maximum(found.rival - usual, 0.0), 0.0)
    reached = finite & (np.where(finite, found.score, 0.0) - excess >= tau) & (found.score > found.rival)
    rows, start = [], 0
    for name, images in pools.items():
        here = reached & (found.owner >= start) & (found.owner < start + sizes[name])
        patients = len(np.unique(images.patients[found.owner[here] - start]))
        share = TAIL * sizes[name] / count
        p_value = float(binom.sf(patients - 1, len(found.score), share))
        rows.append(
            Leak(
                pool=name,
                images=sizes[name],
                matched=int(here.sum()),
                patients=patients,
                expected=share * len(found.score),
                p_value=p_value,
                found=p_value < LEVEL / len(pools),
            )
        )
        start += sizes[name]
    return rows
