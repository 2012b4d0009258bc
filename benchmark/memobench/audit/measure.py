"""What an audit measures: the benchmark's measure, unchanged, on images that somebody else made."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from memobench.base.errors import DataError
from memobench.base.progress import Track, silent
from memobench.base.seeds import derive_seed, generator_for
from memobench.base.store import write_json
from memobench.challenge.planted import planted_count
from memobench.detection.parameters import REGION_VERSION
from memobench.detection.poses import Upright
from memobench.detection.remember import RememberingDetector
from memobench.images import Images
from memobench.measure.counts import limit_of
from memobench.measure.detector import OwnDetector
from memobench.measure.findings import led, permuted
from memobench.measure.measurement import (
    ORDINARY,
    Ask,
    Copies,
    Searched,
    measure_copies,
    measure_sensitivity,
    search_regions,
)
from memobench.measure.planted_groups import marked
from memobench.memorization.certainty import Evidence
from memobench.memorization.decide import Threshold
from memobench.memorization.rates import rates, tally
from memobench.quality.measure import measure_quality
from memobench.results import DetectorScores, Metric, RegionsFound
from memobench.task import Splits

QUALITY = 2048  # images of each set on which quality is measured, at most: its intervals compare all pairs many times
# Share of new patients' images that cleaning leaves out without need, about: twice that of tau. Tails beyond a few
# hundred null scores are extrapolated, and of real data up to five times as many were left out; 2% would be a loss.
CLEAN_TAIL = 0.002


@dataclass(frozen=True)
class Audited:
    """What an audit finds.

    Attributes:
        metrics: By name.
        threshold: How tau was found.
        clean_limit: The score from which on an image is left out of the cleaned set.
        challenge: What the detector finds of copies planted in these very images.
        train_score: (N,) best score of each synthetic image against train; -inf where there was no candidate.
        train_index: (N,) the training image of that score; 0 where there is none.
        holdout_score: (N,) best score against holdout, likewise; None without one.
        called: (N,) whether each is called a copy of a training image.
        held_out_called: (N,) whether each matches a held-out patient as a copy does, and no training patient better.
        left_out: (N,) whether each is left out of the cleaned set, as matching a patient of either side too well.
        led: (N,) whether each leads the list of a set that is certain to hold copies, though tau is too strict to call
            it.
        p_value: (N,) how often a new patient's image matches train as well; None without a holdout.
        null_scores: Real images' best scores against other patients.
        cleaned: ``copy_rate``, ``train_share`` and their like of the cleaned set; empty without a holdout.
        evidence: How sure single matches are, and whether the sides are exchangeable.
        upright: The images as they were matched, and which of them were turned, inverted or cropped for it.
        blank: (N,) images with nothing to compare, which are matched with nobody.
        sheets: (N, 2) rows and columns of images that each synthetic image shows; 1, 1 for a single image.
        searched: What was found of copied regions.
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
    led: NDArray[np.bool_]
    p_value: NDArray[np.float64] | None
    null_scores: NDArray[np.float32]
    cleaned: dict[str, Metric]
    evidence: Evidence
    upright: Upright
    blank: NDArray[np.bool_]
    sheets: NDArray[np.int64]
    searched: Searched
    notes: list[str]

    @property
    def regions(self) -> RegionsFound:
        """What was found of copied regions, as results keep it."""
        return self.searched.found


def measure_audit(
    samples: NDArray[np.float32],
    train: Images,
    holdout: Images | None,
    detector: OwnDetector,
    ask: Ask = ORDINARY,
    *,
    track: Track = silent,
) -> Audited:
    """Measure synthetic images against the images that they may have been made from.

    Args:
        samples: (N, *S) float32 in [0, 1], N at least 1.
        train: What the generator learned from.
        holdout: Other patients, drawn in the same way; None where there are none, and then the guarantee is weaker.
        detector: Fitted to train and holdout together, without knowing which is which.
        ask: What else is to be known.
        track: Shows progress.

    Raises:
        DataError: There are no samples, or too few real images.
    """
    if not len(samples):
        raise DataError("there are no synthetic images to audit; give at least one")
    copies = measure_copies(samples, train, holdout, detector, ask, track=track)
    splits = _planted_from(train, holdout)
    planted, more = measure_sensitivity(
        copies, splits, detector, planted_count(len(train.shape), ask.null_images), track=track
    )
    searched = _regions(copies, train, holdout, detector, ask, track)
    regions = searched.found
    metrics = marked(copies.metrics | more | searched.metrics, regions.groups)
    notes = [*copies.notes, *searched.notes]
    if holdout is not None:
        try:
            metrics |= _quality(copies.upright.pixels, train, holdout, detector)
            if max(len(samples), len(train), len(holdout)) > QUALITY:
                notes.append(f"quality is measured on at most {QUALITY} images of each set, drawn at random")
        except DataError as error:
            notes.append(f"quality was not measured: {error}")
    limit = min(limit_of(copies.null, copies.pools, tail=CLEAN_TAIL).tau, copies.threshold.tau)
    decisions, alone = copies.decisions, holdout is None
    # of both sides: who matches a held-out patient so is as much a risk, and what is kept is judged fairly
    valid = copies.evidence.shift.exchangeable
    ahead = led(permuted(metrics) if valid else None, decisions, copies.evidence)
    left_out = (np.maximum(decisions.train_score, decisions.holdout_score) >= limit) | ahead
    left_out[[call.sample for call in regions.calls]] = True
    return Audited(
        metrics=metrics,
        threshold=copies.threshold,
        clean_limit=limit,
        challenge=planted,
        train_score=np.where(copies.blank, -np.inf, decisions.train_score) if alone else decisions.train_score,
        train_index=decisions.train_index,
        holdout_score=None if alone else decisions.holdout_score,
        called=copies.calls.called,
        held_out_called=decisions.called & (decisions.side < 0),
        left_out=left_out,
        led=ahead,
        p_value=None if alone else copies.calls.p_value,
        null_scores=copies.null_scores,
        cleaned={} if alone else _cleaned(copies, ~left_out),
        evidence=copies.evidence,
        upright=copies.upright,
        blank=copies.blank,
        sheets=copies.sheets,
        searched=searched,
        notes=notes,
    )


def _cleaned(copies: Copies, kept: NDArray[np.bool_]) -> dict[str, Metric]:
    """The rates of the images that are kept; nothing is matched again."""
    if not kept.any():
        return {}
    decisions = copies.decisions
    rest = replace(decisions, **{name: getattr(decisions, name)[kept] for name in type(decisions).__dataclass_fields__})
    return rates(tally(rest, copies.pools), seed=derive_seed(0, "inference"))


def _regions(
    copies: Copies, train: Images, holdout: Images | None, detector: OwnDetector, ask: Ask, track: Track
) -> Searched:
    """The search of regions, stored beside the matches of a detector that remembers."""
    if not isinstance(detector, RememberingDetector):
        return search_regions(copies, train, holdout, detector, ask, track=track)
    store = detector.store
    key = {
        "version": REGION_VERSION,
        "train": train.digest,
        "holdout": None if holdout is None else holdout.digest,
        "null_images": ask.null_images,
        "samples": hashlib.sha256(np.ascontiguousarray(copies.upright.pixels).tobytes()).hexdigest(),
        "exchangeable": copies.evidence.shift.exchangeable,
        "strata": None if ask.strata is None else dict(sorted(ask.strata.of.items())),
    }

    def write(into: Path, scratch: Path) -> None:
        searched = search_regions(copies, train, holdout, detector, ask, track=track)
        values = {name: metric.model_dump(mode="json") for name, metric in searched.metrics.items()}
        said = {"found": searched.found.model_dump(mode="json"), "metrics": values, "notes": searched.notes}
        write_json(into / "regions.json", said)
        np.savez(into / "matches.npz", score=searched.score, image=searched.image, p_value=searched.p_value)

    path, _ = store.get("regions", key | {"matches": True}, write)
    stored = json.loads((path / "regions.json").read_text(encoding="utf-8"))
    metrics = {name: Metric.model_validate(values) for name, values in stored["metrics"].items()}
    with np.load(path / "matches.npz", allow_pickle=False) as archive:
        arrays = dict(archive)
    return Searched(RegionsFound.model_validate(stored["found"]), metrics, stored["notes"], **arrays)


def _planted_from(train: Images, holdout: Images | None) -> Splits:
    """Whom planted copies are made of, and whom not; without held-out patients one half of the patients each."""
    if holdout is None:
        names = generator_for(0, "challenge halves").permutation(np.unique(train.patients))
        train, holdout = (train.take(np.isin(train.patients, part)) for part in np.array_split(names, 2))
    return Splits(train, holdout, holdout, None, holdout.take(np.zeros(0, dtype=np.int64)), digest="")


def _quality(samples: NDArray[np.float32], train: Images, holdout: Images, detector: OwnDetector) -> dict[str, Metric]:
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
