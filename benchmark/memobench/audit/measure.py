"""What an audit measures: the benchmark's measure, unchanged, on images that somebody else made."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from memobench.base.errors import DataError
from memobench.base.progress import Track, silent
from memobench.base.seeds import derive_seed, generator_for
from memobench.challenge.planted import challenge
from memobench.detection.content import has_content
from memobench.detection.crossfit import Detector
from memobench.detection.poses import Upright, upright
from memobench.images import Images
from memobench.measure.measurement import ORDINARY, ROUNDING, Ask, Copies, measure_copies, measure_sensitivity
from memobench.memorization.certainty import Evidence, NullScores, evidence_of
from memobench.memorization.decide import TAIL, Threshold, decide, threshold
from memobench.memorization.rates import Pools, rates
from memobench.memorization.repeats import repeats
from memobench.memorization.sensitivity import corrected
from memobench.memorization.shift import Shift
from memobench.memorization.without_holdout import WEAKER, rates_without_holdout, threshold_without_holdout
from memobench.quality.measure import measure_quality
from memobench.results import DetectorScores, Metric
from memobench.task import Splits

PLANTED = {2: 20, 3: 8}  # copies per perturbation
RIVALS = 8  # matches of a called image, among which the strongest with another patient is sought
QUALITY = 2048  # images of each set on which quality is measured, at most: its intervals compare all pairs many times
# Share of new patients' images that cleaning leaves out without need, about: twice that of tau. Tails beyond a few
# hundred null scores are extrapolated, and of real data up to five times as many were left out; 2 % would be a loss.
CLEAN_TAIL = 0.002


@dataclass(frozen=True)
class Audited:
    """What an audit finds.

    Attributes:
        metrics: By name.
        threshold: How tau was found.
        clean_limit: The score from which on an image is left out of the cleaned set.
        challenge: What the detector finds of copies planted in these very images.
        train_score: (N,) best score of each synthetic image against train; -inf where none came into question.
        train_index: (N,) the training image of that score; 0 where there is none.
        holdout_score: (N,) best score against holdout, likewise; None without one.
        called: (N,) whether each is called a copy of a training image.
        held_out_called: (N,) whether each matches a held-out patient as a copy does, and no training patient better.
        left_out: (N,) whether each is left out of the cleaned set, as matching a patient of either side too well.
        p_value: (N,) how often a new patient's image matches train as well; None without a holdout.
        null_scores: Real images' best scores against other patients.
        cleaned: ``copy_rate``, ``train_share`` and their like of the cleaned set; empty without a holdout.
        evidence: How sure single matches are, and whether the sides are exchangeable.
        upright: The images as they were matched, and which of them were turned, inverted or cropped for it.
        blank: (N,) images with nothing to compare, which are matched with nobody.
        notes: What a reader must know.
    """

    metrics: dict[str, Metric]
    threshold: Threshold
    clean_limit: float
    challenge: DetectorScores
    train_score: NDArray[np.float32]
    train_index: NDArray[np.int64]
    holdout_score: NDArray[np.float32] | None
    called: NDArray[np.bool_]
    held_out_called: NDArray[np.bool_]
    left_out: NDArray[np.bool_]
    p_value: NDArray[np.float64] | None
    null_scores: NDArray[np.float32]
    cleaned: dict[str, Metric]
    evidence: Evidence
    upright: Upright
    blank: NDArray[np.bool_]
    notes: list[str]


def measure_audit(
    samples: NDArray[np.float32],
    train: Images,
    holdout: Images | None,
    detector: Detector,
    ask: Ask = ORDINARY,
    *,
    track: Track = silent,
) -> Audited:
    """Measure synthetic images against the images that they may have been made from.

    Args:
        samples: (N, *S) float32 in [0, 1], N at least 1.
        train: What the generator learned from.
        holdout: Other patients, drawn alike; None where there are none, and then the guarantee is weaker.
        detector: Fitted to train and holdout together, without knowing which is which.
        ask: What else is to be known.
        track: Shows progress.

    Raises:
        DataError: There are no samples, or too few real images.
    """
    if not len(samples):
        raise DataError("there are no synthetic images to audit; give at least one")
    if holdout is None:
        return _without_holdout(samples, train, detector, ask.null_images, track)
    copies = measure_copies(samples, train, holdout, detector, ask, track=track)
    splits = Splits(train, holdout, holdout, None, holdout.take(np.zeros(0, dtype=np.int64)), digest="")
    planted, more = measure_sensitivity(copies, splits, detector, PLANTED[len(train.shape)], track=track)
    notes = list(copies.notes)
    metrics = copies.metrics | more
    try:
        metrics |= _quality(copies.upright.pixels, train, holdout, detector)
        if max(len(samples), len(train), len(holdout)) > QUALITY:
            notes.append(f"quality is measured on at most {QUALITY} images of each set, drawn at random")
    except DataError as error:
        notes.append(f"quality was not measured: {error}")
    pool_fraction = 1 / len(detector.embeddings)
    limit = min(threshold(copies.null_scores, pool_fraction, CLEAN_TAIL).tau, copies.threshold.tau)
    decisions = copies.decisions
    # of both sides alike: who matches a held-out patient so is as much a risk, and what is kept is judged fairly
    left_out = np.maximum(decisions.train_score, decisions.holdout_score) >= limit
    return Audited(
        metrics,
        copies.threshold,
        limit,
        planted,
        decisions.train_score,
        decisions.train_index,
        decisions.holdout_score,
        copies.calls.called,
        decisions.called & (decisions.side < 0),
        left_out,
        copies.calls.p_value,
        copies.null_scores,
        _cleaned(copies, ~left_out),
        copies.evidence,
        copies.upright,
        copies.blank,
        notes,
    )


def _cleaned(copies: Copies, kept: NDArray[np.bool_]) -> dict[str, Metric]:
    """The rates of the images that are kept; nothing is matched again."""
    if not kept.any():
        return {}
    decisions = copies.decisions
    rest = replace(decisions, **{name: getattr(decisions, name)[kept] for name in type(decisions).__dataclass_fields__})
    return rates(rest, copies.pools, seed=derive_seed(0, "inference"))


def _without_holdout(
    samples: NDArray[np.float32], train: Images, detector: Detector, null_images: int | None, track: Track
) -> Audited:
    null_scores, null_patients, fraction = detector.null_scores(train, most=null_images, track=track)
    exact = float(detector.exact_scores(train).min()) - ROUNDING
    limit = threshold_without_holdout(null_scores, fraction, highest=exact)
    seen, blank = upright(samples, train), ~has_content(samples)
    score = np.full(len(samples), -np.inf, dtype=np.float32)
    index = np.zeros(len(samples), dtype=np.int64)
    if not blank.all():
        found = detector.match(seen.pixels if not blank.any() else seen.pixels[~blank], train, track=track)
        score[~blank], index[~blank] = found.score[:, 0], found.index[:, 0]
    metrics = rates_without_holdout(score, index, train.patients, limit, TAIL)
    # planted copies need a pool and strangers: one half of the patients each
    names = generator_for(0, "challenge halves").permutation(np.unique(train.patients))
    halves = [train.take(np.isin(train.patients, part)) for part in np.array_split(names, 2)]
    splits = Splits(halves[0], halves[1], halves[1], None, halves[1].take(np.zeros(0, dtype=np.int64)), digest="")
    planted = challenge(
        lambda queries, pool: detector.match(queries, pool, track=track),
        splits,
        count=PLANTED[len(train.shape)],
        seed=derive_seed(0, "inference"),
        tau=limit.tau,
    )
    sensitivity = planted.summary["sensitivity"]
    metrics["sensitivity"] = sensitivity
    if sensitivity.value > 0 and sensitivity.low is not None and sensitivity.high is not None:
        known = (sensitivity.value, sensitivity.low, sensitivity.high)
        metrics["copy_rate_corrected"] = corrected(metrics["copy_rate"], known)
    clean = min(threshold(null_scores, fraction / 2, CLEAN_TAIL).tau, limit.tau)
    called, null = score >= limit.tau, NullScores(null_scores, null_patients, fraction)
    return Audited(
        metrics,
        limit,
        clean,
        planted,
        score,
        index,
        None,
        called,
        np.zeros(len(score), dtype=bool),
        score >= clean,
        None,
        null_scores,
        {},
        _alone(detector, seen.pixels, train, (score, index), null, limit.tau),
        seen,
        blank,
        [WEAKER, *seen.notes],
    )


def _alone(
    detector: Detector,
    samples: NDArray[np.float32],
    train: Images,
    best: tuple[NDArray[np.float32], NDArray[np.int64]],
    null: NullScores,
    tau: float,
) -> Evidence:
    """The evidence without held-out patients: a match must stand out from those with other training patients.

    Of the images that are called, the strongest match with another patient stands for the other side.

    Args:
        detector: Fitted.
        samples: (N, *S) images.
        train: What they may have been copied from.
        best: (N,) score and row of the best match.
        null: What training patients score against each other.
        tau: The threshold.
    """
    score, index = best
    score = np.where(np.isfinite(score), score, np.finfo(np.float32).min)  # of images that were matched with nobody
    rival = np.full(len(score), -np.inf, dtype=np.float32)
    called = np.flatnonzero(score >= tau)
    if len(called):
        found = detector.match(np.asarray(samples[called]), train, k=min(RIVALS, len(train)))
        other = train.patients[np.maximum(found.index, 0)] != train.patients[index[called]][:, None]
        rival[called] = np.where(other & (found.index >= 0), found.score, -np.inf).max(axis=1)
        rival[called] = np.minimum(rival[called], score[called])  # a deeper search never makes the best the second
    decisions = decide(score, index, rival, np.zeros(len(score), dtype=np.int64), tau)
    pools = Pools(train.patients, np.array(["nobody is held out"]))
    alone = Shift(exchangeable=True, p_value=1.0, auc=0.5)
    return evidence_of(decisions, pools, null, tau, near=repeats(samples), shift=alone)


def _quality(samples: NDArray[np.float32], train: Images, holdout: Images, detector: Detector) -> dict[str, Metric]:
    """Quality of at most QUALITY images against holdout; the floor is what train gets, other patients' images."""
    seed = derive_seed(0, "inference")
    drawn = np.sort(generator_for(seed, "quality", "samples").permutation(len(samples))[:QUALITY])
    floor, real = (
        side.some_patients(QUALITY, generator_for(seed, "quality", name))
        for name, side in (("train", train), ("holdout", holdout))
    )
    made = np.asarray(samples[drawn])
    fake, reference, lowest = (detector.features(pixels) for pixels in (made, real.pixels, floor.pixels))
    found = measure_quality(fake, reference, real.patients, lowest, made, real.pixels, feature_name="ssl", seed=seed)
    return {name: Metric.model_validate(values) for name, values in found.metrics.items()}
