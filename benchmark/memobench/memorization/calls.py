"""Single calls: which samples are copies, how surprising each is, and how many of the list are false."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from memobench.base.errors import DataError
from memobench.memorization.decide import Decisions
from memobench.memorization.rates import Pools, Tally, false_discovery_rate
from memobench.stats.exchange import Floats

SMALL = 0.05  # a false discovery rate that a reader would call small


@dataclass(frozen=True)
class Calls:
    """The list of calls, one row per sample, and what it is worth as a whole.

    Attributes:
        called: (N,) True where the sample is called a copy of a training image: the match reaches tau, and no holdout
            image matches better.
        image: (N,) the training image that matches best.
        patient: (N,) its patient.
        score: (N,) its score.
        p_value: (N,) how often an image of a new patient matches train as well (:func:`sample_p_values`).
        patients: Training patients on the list.
        decoys: Holdout patients that samples match at tau and better than train.
        false_discovery_rate: Share of false ones among ``patients``, an upper bound on average.
        words: The same for a reader.
    """

    called: NDArray[np.bool_]
    image: NDArray[np.int64]
    patient: NDArray[np.str_]
    score: NDArray[np.float32]
    p_value: Floats
    patients: int
    decoys: int
    false_discovery_rate: float
    words: str


def single_calls(
    decisions: Decisions,
    count: Tally,
    null_scores: NDArray[np.floating],
    null_patients: NDArray[np.str_],
    pool_fraction: float,
) -> Calls:
    """Call single samples, with the false discovery rate that the decoys give.

    False calls fall on train and holdout patients equally, so patients are counted, not samples: a generator that
    repeats one image is one call, right or wrong.

    Args:
        decisions: What each sample matches.
        count: What each patient received.
        null_scores: (M,) best score of real images against other patients, from which the threshold comes.
        null_patients: (M,) their patients.
        pool_fraction: Share of both pools together that each was compared with, in (0, 1].

    Raises:
        DataError: There is not one patient for each score.
    """
    pools = count.pools
    times = len(pools.train) / (pool_fraction * (len(pools.train) + len(pools.holdout)))
    hit, in_train = count.hit, count.in_train
    patients, decoys = int(hit[in_train].sum()), int(hit[~in_train].sum())
    rate = false_discovery_rate(patients, decoys, pools.ratio)
    return Calls(
        called=decisions.called & (decisions.side >= 0),
        image=decisions.train_index,
        patient=pools.train[decisions.train_index],
        score=decisions.train_score,
        p_value=sample_p_values(decisions.train_score, null_scores, null_patients, times),
        patients=patients,
        decoys=decoys,
        false_discovery_rate=rate,
        words=discovery_words(patients, decoys, pools.ratio),
    )


def calls_without_holdout(decisions: Decisions, pools: Pools, p_value: Floats, *, tail: float, words: str) -> Calls:
    """Call single samples where no patients are held out: what chance adds is taken from the tail of the threshold.

    Args:
        decisions: What each sample matches; on the holdout side its strongest match with another training patient.
        pools: The patients.
        p_value: (N,) of each sample (:func:`sample_p_values`).
        tail: Share of new patients' images that reach tau.
        words: What a reader must know.
    """
    patient = pools.train[decisions.train_index]
    found = len(np.unique(patient[decisions.called]))
    false = min(float(found), tail * len(patient))
    return Calls(
        called=decisions.called,
        image=decisions.train_index,
        patient=patient,
        score=decisions.train_score,
        p_value=p_value,
        patients=found,
        decoys=0,
        false_discovery_rate=false / found if found else 1.0,
        words=words,
    )


def calls_csv(calls: Calls) -> str:
    """The list as comma-separated values, the strongest match first.

    Columns: ``sample``, its row in ``samples.npz``; ``called``, "copy" or nothing; ``score`` and ``p_value`` of its
    best match in train; ``patient`` and ``training_image``, who that is and its row in train. Score, patient and image
    are empty where no training image was a candidate.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["sample", "called", "score", "p_value", "patient", "training_image"])
    for row in np.argsort(-calls.score, kind="stable").tolist():
        word, p_value = "copy" if calls.called[row] else "", f"{calls.p_value[row]:.4f}"
        if np.isneginf(calls.score[row]):
            writer.writerow([row, word, "", p_value, "", ""])
        else:
            writer.writerow([row, word, f"{calls.score[row]:.4f}", p_value, calls.patient[row], calls.image[row]])
    return text.getvalue()


def expected_false(patients: int, decoys: int, train: int, holdout: int) -> float:
    """The number of listed training patients whom chance alone put there.

    Chance hits a patient of either pool with probability b = decoys / holdout. A training patient who was copied is no
    false discovery, though chance may hit that patient too. So of the training patients only the share that was not
    copied, (1 - a) / (1 - b) with a = patients / train, counts. Unlike the false discovery rate it is no bound: with
    few decoys it is uncertain.

    >>> expected_false(patients=80, decoys=10, train=100, holdout=100) < 10 * 0.2 / 0.9 + 1e-9
    True
    """
    if decoys >= holdout:
        return float(patients)
    found, chance = patients / train, decoys / holdout
    return min(train * chance * (1 - found) / (1 - chance), float(patients))


def sample_p_values(
    scores: NDArray[np.floating],
    null_scores: NDArray[np.floating],
    null_patients: NDArray[np.str_],
    times: float = 1.0,
) -> Floats:
    """How often an image of a patient whom the generator never saw matches train at least as well as each sample.

    p = (1 + W) / (1 + H), where W sums over the H patients of the null scores the share of the patient's images that
    score as much against other patients' images, searched as for a sample. Every patient has weight one, whatever the
    number of images. Where train holds more images than each was compared with, p is multiplied by how many times as
    many (Boole's bound). So p is valid (at most u with probability at most u) for a sample that is no more similar to
    the training patients than a new patient's image is. It cannot fall below 1 / (1 + H), and the p-values of one list
    depend on each other, so the list's false discovery rate is taken from the decoys and not from them.

    Args:
        scores: (N,) best score of each sample against train, -inf for none.
        null_scores: (M,) the best score of real images against other patients.
        null_patients: (M,) their patients.
        times: Images of train for each image that these were compared with.

    Returns:
        (N,) p-values in (0, 1].

    Raises:
        DataError: There is not one patient for each null score, or none at all.

    >>> sample_p_values(np.array([0.9, 0.5]), np.array([0.6, 0.4, 0.3]), np.array(["a", "a", "b"])).round(2).tolist()
    [0.33, 0.5]
    """
    if len(null_scores) != len(null_patients) or not len(null_patients):
        raise DataError(f"{len(null_scores)} null scores of {len(null_patients)} images; give one score for each image")
    _, which, counts = np.unique(null_patients, return_inverse=True, return_counts=True)
    order = np.argsort(null_scores, kind="stable")
    weight = (1 / counts)[which.reshape(-1)][order]
    # weight of all scores from a place on, in ascending order
    beyond = np.append(np.cumsum(weight[::-1])[::-1], 0.0)
    place = np.searchsorted(null_scores[order], scores, side="left")
    p_values: Floats = np.minimum(max(times, 1.0) * (1 + beyond[place]) / (1 + len(counts)), 1.0)
    return p_values


def discovery_words(patients: int, decoys: int, ratio: float = 1.0) -> str:
    """The list's false discovery rate in a sentence; says so where the list is too short for a small one.

    >>> discovery_words(40, 1)
    '40 training patients are on the list, at most 2.0 expected by chance (5%)'
    """
    if not patients:
        return "no training patient is on the list"
    rate = false_discovery_rate(patients, decoys, ratio)
    plural = "patient is" if patients == 1 else "patients are"
    text = f"{patients} training {plural} on the list, at most {rate * patients:.1f} expected by chance ({rate:.0%})"
    needed = int(np.ceil(ratio / SMALL))
    if patients < needed:
        text += f"; with fewer than {needed} the estimate cannot fall below {100 * SMALL:.0f}%, so look at the pairs"
    return text
