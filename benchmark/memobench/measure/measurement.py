"""All that is measured of one generator's samples: what was copied, how sure that is, and how good the images are.

Data flows one way: samples are matched with both pools, searched as one, the matches are decided, and the rates, the
evidence and the list of calls follow; planted copies show what the detector is blind to; other scores and quality are
measured too.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from memobench.base.errors import DataError
from memobench.base.progress import Track, silent
from memobench.base.seeds import derive_seed, generator_for
from memobench.challenge.planted import challenge, planted_count
from memobench.data.samples import eight_bit
from memobench.detection.content import content_notes, has_content
from memobench.detection.contract import Matches
from memobench.detection.pool import MatchingPool
from memobench.detection.poses import Upright, upright
from memobench.detection.sheets import sheet_notes, sheets
from memobench.features import Features
from memobench.generator import Generator
from memobench.images import Images
from memobench.measure.alone import match_alone
from memobench.measure.counts import Answers, Counts, count_copies, limit_of
from memobench.measure.detector import OwnDetector
from memobench.measure.findings import EMPTY, POSED, SHEETS, STRANGE
from memobench.measure.kept import kept_beside
from memobench.measure.planted_groups import Limits, groups_found, marked, plant_groups
from memobench.measure.regions import NOT_SEARCHED, UNSEARCHED, Known, measure_regions, recorded_regions
from memobench.memorization.certainty import Further, NullScores, SideEvidence, leak_of
from memobench.memorization.counted import with_sensitivity
from memobench.memorization.membership import membership
from memobench.memorization.other_scores import other_scores
from memobench.memorization.published import published_metrics
from memobench.memorization.rates import Pools
from memobench.memorization.reidentification import matches_needed, reidentification
from memobench.memorization.repeats import repeats
from memobench.memorization.shift import BY_DESIGN, Shift, Side, exchangeability
from memobench.neighbours.nearest import nearest
from memobench.quality.measure import measure_distances, measure_quality
from memobench.results import DetectorScores, GroupFound, Metric, RegionsFound
from memobench.stats.strata import Strata
from memobench.task import Splits

LEAKS = 64  # samples, at most, that are compared with test and dev
NEAR = 8  # images of each that every one of them is compared with, by the features
TESTED = 2048  # images of each side, at most, on which exchangeability is tested
INVALID = "p-value not valid: train and holdout patients differ"
SHIFTED = (
    "train and holdout are not exchangeable: real images alone tell their patients apart (AUC {auc:.2f}, p = {p:.2g}). "
    "The permutation tests are not used; single matches and their number are still judged. Give held-out patients of "
    "the same source, or name the columns that explain the difference as strata"
)
ROUNDING = 1e-2  # log odds: registration may leave an exact copy a hair off


@dataclass(frozen=True)
class Ask:
    """What :func:`measure_copies` is asked.

    Attributes:
        null_images: Real images that are matched as if they were new patients', at most; None for all.
        by_design: Whether train and holdout were drawn at random from one set of patients, as a run draws them; what
            tells them apart is then chance. Else it is tested.
        strata: Within what values of a column train and holdout are exchangeable; None for everywhere.
    """

    null_images: int | None = None
    by_design: bool = False
    strata: Strata | None = None


ORDINARY = Ask()


@dataclass(frozen=True)
class Copies(Counts):
    """What was copied: the part of a measurement that needs nothing but samples, two pools and a detector.

    Besides what is counted:

    Attributes:
        searched: The real images, train before holdout, ready to be searched again.
        upright: The samples as they were matched, and which of them were turned, inverted or cropped for it.
        blank: (N,) samples with nothing to compare, which are matched with nobody.
        sheets: (N, 2) rows and columns of images that each sample shows; 1, 1 for a single image.
        notes: What a reader must know.
    """

    searched: MatchingPool
    upright: Upright
    blank: NDArray[np.bool_]
    sheets: NDArray[np.int64]
    notes: list[str]


@dataclass(frozen=True)
class Measured:
    """What a measurement gives.

    Attributes:
        metrics: By name.
        copies: What was copied, and how that was found.
        challenge: Planted copies through the same detector with the same tau.
        deviations: Of ``fd_ssl``, to compare it with other runs'; nothing where it was not measured.
        notes: What a reader must know.
        regions: What was copied of regions.
    """

    metrics: dict[str, Metric]
    copies: Copies
    challenge: DetectorScores
    deviations: dict[str, NDArray[np.float64]]
    notes: list[str]
    regions: RegionsFound

    @property
    def odd(self) -> dict[str, int]:
        """How many samples should be looked at before any are released; nothing for ordinary ones."""
        seen = self.copies.upright
        found = {
            POSED: seen.count,
            EMPTY: int(self.copies.blank.sum()),
            STRANGE: len(seen.changed) if seen.strange else 0,
            SHEETS: int((self.copies.sheets.max(axis=1) > 1).sum()),
        }
        return {name: count for name, count in found.items() if count}

    def arrays(self) -> dict[str, NDArray[Any]]:
        """What ``scores.npz`` holds."""
        copies = self.copies
        apart = {f"fd_ssl_{name}": array for name, array in self.deviations.items()}
        return {"null": copies.null_scores, **asdict(copies.decisions), "p_value": copies.calls.p_value, **apart}


def measure(  # noqa: PLR0913  what is measured, with what
    samples: NDArray[np.float32],
    splits: Splits,
    detector: OwnDetector,
    generator: Generator | None,
    features: Mapping[str, Features],
    *,
    null_images: int | None = None,
    track: Track = silent,
) -> Measured:
    """Measure samples against a task's splits, as 8-bit images: so they are published, and so anyone can measure them.

    Args:
        samples: (N, *S) float32 in [0, 1]; finer values are rounded.
        splits: The task's images.
        detector: Trained without knowing who is a member.
        generator: The fitted generator; its losses, where it has any, are used for membership inference. None where
            only samples are there.
        features: Further features to measure quality on, by name.
        null_images: Real images that are matched as if they were new patients', at most; None for all.
        track: Shows progress.
    """
    samples = eight_bit(samples)
    seed = derive_seed(0, "inference")
    train, holdout = splits.train, splits.holdout
    ask = Ask(null_images, by_design=splits.drawn)
    copies = measure_copies(samples, train, holdout, detector, ask, track=track)
    metrics, notes = dict(copies.metrics), [*copies.notes, *content_notes(copies.blank), *sheet_notes(copies.sheets)]
    planted, more = measure_sensitivity(
        copies, splits, detector, planted_count(len(train.shape), null_images), track=track
    )
    metrics |= more

    searched = search_regions(copies, train, holdout, detector, ask, track=track)
    metrics = marked(metrics | searched.metrics, searched.found.groups)
    notes += searched.notes

    # other scores
    try:
        metrics |= _published(samples, splits, detector, seed)
    except DataError as error:  # of few patients, one fold may hold all of train and the other all of holdout
        notes.append(f"the published rule was not measured: {error}")
    pixels = {"samples": samples, "train": train.pixels, "holdout": holdout.pixels, "test": splits.test.pixels}
    vectors = {name: detector.features(one) for name, one in pixels.items()}
    others = _leak(samples, splits, detector, copies, vectors)
    copies = replace(copies, evidence=replace(copies.evidence, others=others))
    metrics |= _leaked(others)
    try:
        metrics |= _other_scores(vectors, splits, seed)
    except DataError as error:
        notes.append(f"authenticity, C_T, FLD gap and l2 ratio were not measured: {error}")
    metrics |= _membership(generator, splits, seed)

    # quality, against test
    deviations: dict[str, NDArray[np.float64]] = {}
    try:
        quality, deviations = _quality(samples, splits, vectors, features, seed)
        metrics |= quality
    except DataError as error:  # what is known of copies holds for a single sample too
        notes.append(f"quality was not measured: {error}")
    return Measured(metrics, copies, planted, deviations, notes, searched.found)


def measure_copies(
    samples: NDArray[np.float32],
    train: Images,
    holdout: Images | None,
    detector: OwnDetector,
    ask: Ask = ORDINARY,
    *,
    track: Track = silent,
) -> Copies:
    """One threshold from real images, blind to the labels, then train against holdout.

    Args:
        samples: (N, *S) float32 in [0, 1].
        train: The images that may have been copied.
        holdout: Images of other patients, drawn in the same way: the decoys. None where there are none, and then the
            guarantee is weaker.
        detector: Trained without knowing which is which.
        ask: What else is to be known.
        track: Shows progress.
    """
    both = train if holdout is None else train.joined(holdout)
    pool = detector.matching_pool(both)
    null = NullScores(*detector.null_scores(pool, most=ask.null_images, track=track))
    whole = ask.null_images is None or holdout is None
    some = both if whole else both.some_patients(ask.null_images or 0, generator_for(0, "exact scores"))
    highest = float(detector.exact_scores(some).min()) - ROUNDING
    seen, blank = upright(samples, both), ~has_content(samples)
    if holdout is None:
        pools, shift, near = Pools.without_holdout(train), BY_DESIGN, repeats(seen.pixels)
        tau = limit_of(null, pools, highest=highest).tau
        matched = match_alone(detector, seen.pixels, blank, pool, tau, track=track)
    else:
        pools, near = Pools.of(train, holdout, ask.strata), repeats(samples)
        shift = _shift(train, holdout, detector, null, ask)
        least = float(np.asarray(null.scores).min())
        matched = match_content(detector, seen.pixels, blank, pool, len(train), least, track)
    counts = count_copies(Answers(null, highest, matched), pools, shift, near=near)
    metrics = dict(counts.metrics)
    notes = [*([counts.calls.words] if counts.calls.patients or holdout is None else []), *seen.notes]
    if pools.decoys:
        metrics |= _found_again(seen.pixels[counts.calls.called], train, detector, track)
    if not shift.exchangeable:
        metrics = {name: _not_exchangeable(metric) for name, metric in metrics.items()}
        notes.append(SHIFTED.format(auc=shift.auc, p=shift.p_value))
    several = sheets(samples, both)
    counted = {**vars(counts), "metrics": metrics}
    return Copies(**counted, searched=pool, upright=seen, blank=blank, sheets=several, notes=notes)


@dataclass(frozen=True)
class Searched:
    """What the search of regions gives.

    Attributes:
        found: What was found, as results keep it.
        metrics: By name; none where nothing was searched.
        notes: What a reader must know.
        score: (N,) the strongest match of each sample with a region of either side; empty where nothing was searched.
        image: (N,) its row, train before holdout.
        p_value: (N,) how often a new patient's image matches so strongly.
    """

    found: RegionsFound
    metrics: dict[str, Metric]
    notes: list[str]
    score: NDArray[np.float32]
    image: NDArray[np.int64]
    p_value: NDArray[np.float64]


def search_regions(
    copies: Copies,
    train: Images,
    holdout: Images | None,
    detector: OwnDetector,
    ask: Ask = ORDINARY,
    *,
    track: Track = silent,
) -> Searched:
    """The regions that samples repeat, beside what was found of whole images, and what would be found of many kinds.

    Args:
        copies: What was found of whole images.
        train: The images that may have been copied.
        holdout: The decoys; None where there are none.
        detector: Which found that.
        ask: What is known of the sides, and how many real images are searched for the null.
        track: Shows progress.

    Returns:
        What was found; nothing but a note where there is too little to search.
    """
    known = Known(copies.evidence.shift, ask.strata, copies.blank, ask.null_images)
    kept = kept_beside(detector, train, holdout, ask.null_images)
    try:
        regions = measure_regions(copies.upright.pixels, train, holdout, known, kept=kept, track=track)
    except DataError as error:
        nothing = np.zeros(0)
        note = NOT_SEARCHED.format(reason=error)
        return Searched(UNSEARCHED, {}, [note], nothing.astype(np.float32), nothing.astype(np.int64), nothing)
    groups: list[GroupFound] = []
    if (planted := plant_groups(train, holdout, ask.null_images)) is not None:
        limits = Limits(copies.threshold.tau, regions.threshold.tau)
        groups = groups_found(planted, regions.ground, _whole(copies, train, holdout, detector, track), limits)
    decisions = regions.decisions
    on_train = decisions.side >= 0
    return Searched(
        recorded_regions(regions, train, groups),
        regions.metrics,
        regions.notes,
        np.maximum(decisions.train_score, decisions.holdout_score),
        np.where(on_train, decisions.train_index, len(train) + decisions.holdout_index),
        regions.evidence.p_match,
    )


def _whole(
    copies: Copies, train: Images, holdout: Images | None, detector: OwnDetector, track: Track
) -> Callable[[NDArray[np.float32]], tuple[NDArray[np.float32], NDArray[np.int64]]]:
    """Matches images as wholes with train, among the images that samples are matched with."""

    def match(queries: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        if holdout is None:
            found = detector.match(queries, train, track=track)
        else:
            second = np.arange(len(copies.searched.images)) >= len(train)
            found = detector.match(queries, copies.searched, second=second, track=track)
        return found.score[:, 0], found.index[:, 0]

    return match


def _leak(
    samples: NDArray[np.float32],
    splits: Splits,
    detector: OwnDetector,
    copies: Copies,
    vectors: Mapping[str, NDArray[np.float32]],
) -> SideEvidence | None:
    """Whether samples reproduce patients of test or dev, whom no generator is shown.

    Compared are the samples that lie nearest to one of their images by the features, for their distance to the nearest
    image of train and holdout; so that the search costs little however large the sides are. ``fresh`` is left out: a
    control returns its images.

    Returns:
        The evidence; None where there are no such patients.
    """
    dev = splits.dev
    sides = [(splits.test, vectors["test"])]
    if dev is not None and len(dev):
        sides.append((dev, detector.features(dev.pixels)))
    sides = [(images, rows) for images, rows in sides if len(images)]
    if not sides:
        return None
    to_others = np.min([nearest(vectors["samples"], rows)[0][:, 0] for _, rows in sides], axis=0)
    of_pools = np.concatenate([vectors["train"], vectors["holdout"]])
    ratio = to_others / np.maximum(nearest(vectors["samples"], of_pools)[0][:, 0], 1e-12)
    ratio[copies.blank] = np.inf
    asked = np.sort(np.argsort(ratio, kind="stable")[: min(LEAKS, int((~copies.blank).sum()))])
    if not len(asked):
        return None
    score = np.full(len(samples), -np.inf)
    index = np.zeros(len(samples), dtype=np.int64)
    owners: list[NDArray[np.str_]] = []
    for images, rows in sides:
        chosen = np.unique(nearest(vectors["samples"][asked], rows, k=min(NEAR, len(rows)))[1])
        found = detector.match(copies.upright.pixels[asked], images.take(chosen))
        better = found.score[:, 0] > score[asked]
        score[asked[better]] = found.score[better, 0]
        index[asked[better]] = sum(map(len, owners)) + chosen[found.index[better, 0]]
        owners.append(images.patients)
    patients = np.concatenate(owners)
    # images of no fold are judged by every verifier, and the strongest opinion counts
    pools = len(splits.train) + len(splits.holdout)
    times = len(patients) * len(detector.verifiers) * len(detector.embeddings) / pools
    return leak_of(
        Further(score, index, patients),
        copies.decisions,
        copies.evidence.tail,
        copies.threshold.tau,
        times=times,
        near=repeats(samples),
    )


def _leaked(others: SideEvidence | None) -> dict[str, Metric]:
    """``leaked_patients``; nothing where there are no such patients."""
    if others is None:
        return {}
    note = "patients of test and dev whom a sample reproduces with certainty; no generator is shown them"
    found = Metric(value=others.patients, null=0.0, better="lower", p_value=others.p_set, note=note)
    return {"leaked_patients": found}


def _other_scores(vectors: Mapping[str, NDArray[np.float32]], splits: Splits, seed: int) -> dict[str, Metric]:
    """The other scores of the field, on the detector's features."""
    return other_scores(
        vectors["samples"],
        vectors["train"],
        vectors["holdout"],
        vectors["test"],
        train_patients=splits.train.patients,
        holdout_patients=splits.holdout.patients,
        test_patients=splits.test.patients,
        seed=seed,
    )


def _shift(train: Images, holdout: Images, detector: OwnDetector, null: NullScores, ask: Ask) -> Shift:
    """Whether the sides are exchangeable, on some patients of each where there are many images.

    A run knows that they are, so that only what is at hand, the null scores, is looked at.
    """
    sides = []
    for name, side in (("train", train), ("holdout", holdout)):
        some = side.some_patients(TESTED, generator_for(0, "exchangeability", name))
        sides.append(Side(None if ask.by_design else detector.features(some.pixels), some.patients))
    known, asked = np.concatenate([side.patients for side in sides]), np.asarray(null.patients)
    own = np.isin(asked, known)
    found = exchangeability(*sides, null_scores=null.scores[own], null_patients=asked[own], strata=ask.strata)
    return replace(found, exchangeable=True) if ask.by_design else found


def _not_exchangeable(metric: Metric) -> Metric:
    """A metric whose p-value is not valid, and says so."""
    if metric.p_value is None:
        return metric
    return metric.model_copy(update={"note": " ".join([metric.note or "", INVALID]).strip()})


def match_sides(
    detector: OwnDetector, queries: NDArray[np.float32], pool: MatchingPool, first: int, *, track: Track = silent
) -> tuple[NDArray[np.float32], NDArray[np.int64], NDArray[np.float32], NDArray[np.int64]]:
    """Each query's best match among the first images of a pool and among the others, searched as one.

    Args:
        detector: Fitted.
        queries: (N, *S) images.
        pool: Real images of both sides.
        first: How many stand on the first side.
        track: Shows progress.

    Returns:
        (N,) score and row on the first side, the same on the second; -inf and 0 where nothing was a candidate.
    """
    second = np.arange(len(pool.images)) >= first
    found = detector.match(queries, pool, second=second, track=track)
    index = np.where(found.index < 0, 0, found.index - [0, first])
    return found.score[:, 0], index[:, 0], found.score[:, 1], index[:, 1]


def match_content(  # noqa: PLR0913  what is matched, with what
    detector: OwnDetector,
    samples: NDArray[np.float32],
    blank: NDArray[np.bool_],
    pool: MatchingPool,
    first: int,
    lowest: float,
    track: Track,
) -> tuple[NDArray[np.float32], NDArray[np.int64], NDArray[np.float32], NDArray[np.int64]]:
    """:func:`match_sides`, where samples with nothing to compare match both sides equally and less than anything does.

    They favour neither side and reach no threshold. The images that they are put beside are taken in turn, so that no
    patient receives them all.
    """
    if not blank.any():
        return match_sides(detector, samples, pool, first, track=track)
    count, turn = len(samples), np.arange(len(samples))
    sizes = (first, len(pool.images) - first)
    score = [np.full(count, lowest - 1, dtype=np.float32) for _ in sizes]
    index = [turn % size for size in sizes]
    if not blank.all():
        found = match_sides(detector, samples[~blank], pool, first, track=track)
        beneath = min(lowest, *(float(part[np.isfinite(part)].min(initial=lowest)) for part in found[::2])) - 1
        for side in range(2):
            score[side][~blank], index[side][~blank] = found[2 * side], found[2 * side + 1]
            score[side][blank] = beneath
    return score[0], index[0], score[1], index[1]


def measure_sensitivity(
    copies: Copies, splits: Splits, detector: OwnDetector, count: int, *, track: Track = silent
) -> tuple[DetectorScores, dict[str, Metric]]:
    """Planted copies: what the same detector, with the same tau, does not see.

    Args:
        copies: What was measured.
        splits: Where copies (train) and non-copies (test and fresh) are made of.
        detector: The detector of that measurement.
        count: Copies per perturbation.
        track: Shows progress.

    Returns:
        The challenge, and ``sensitivity`` with the counts corrected for it.
    """

    def match(queries: NDArray[np.float32], among: Images) -> Matches:
        """Among images of train, with all of holdout beside them, as a sample is matched."""
        if not copies.pools.decoys:
            return detector.match(queries, among, track=track)
        pool = copies.searched
        if among is not splits.train:
            pool = detector.matching_pool(among.joined(splits.holdout))
        second = np.arange(len(pool.images)) >= len(among)
        found = detector.match(queries, pool, second=second, track=track)
        return Matches(found.score[:, :1], found.index[:, :1])

    planted = challenge(
        match,
        splits,
        count=count,
        seed=derive_seed(0, "inference"),
        tau=copies.threshold.tau,
    )
    sensitivity = planted.summary["sensitivity"]
    return planted, with_sensitivity(copies.metrics, sensitivity, copies.tally)


def _found_again(copies: NDArray[np.float32], train: Images, detector: OwnDetector, track: Track) -> dict[str, Metric]:
    """Whether copies find their patients' other scans, ``reidentified``; nothing where there are none.

    A search of its own, since more matches than one are found among more candidates: had the samples been searched so
    deep, their best matches would have been the stronger for it.
    """
    scans = set(zip(train.patients.tolist(), train.scans.tolist(), strict=True))
    if not len(copies) or len(scans) == train.patient_count:
        return {}
    wanted = min(matches_needed(train.patients, train.scans), len(train))
    index = detector.match(copies, train, k=wanted, track=track).index
    found = reidentification(index, np.ones(len(copies), dtype=bool), train.patients, train.scans)
    return {} if found is None else {"reidentified": found}


def _published(samples: NDArray[np.float32], splits: Splits, detector: OwnDetector, seed: int) -> dict[str, Metric]:
    """The published rule on the correlation of our embeddings, on the images that the first embedding may judge."""
    train, holdout = (detector.judged_first(images) for images in (splits.train, splits.holdout))
    made, real, decoys = (_centred(detector.embed(pixels)) for pixels in (samples, train.pixels, holdout.pixels))
    return published_metrics(real @ decoys.T, made @ real.T, made @ decoys.T, seed=seed)


def _centred(vectors: NDArray[np.float32]) -> NDArray[np.float64]:
    """Rows whose products are Pearson's correlation."""
    rows = vectors.astype(np.float64)
    rows -= rows.mean(axis=1, keepdims=True)
    rows /= np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)
    return rows


def _membership(generator: Generator | None, splits: Splits, seed: int) -> dict[str, Metric]:
    """Membership inference from the generator's loss, where it has one."""
    if (loss := getattr(generator, "loss", None)) is None:
        return {}
    losses = [loss(images, seed=seed) for images in (splits.train, splits.holdout, splits.test)]
    return membership(
        *losses,
        train_patients=splits.train.patients,
        holdout_patients=splits.holdout.patients,
        test_patients=splits.test.patients,
        seed=seed,
    )


def _quality(
    samples: NDArray[np.float32],
    splits: Splits,
    vectors: Mapping[str, NDArray[np.float32]],
    features: Mapping[str, Features],
    seed: int,
) -> tuple[dict[str, Metric], dict[str, NDArray[np.float64]]]:
    """Quality on the detector's features and on further ones, and the deviations of ``fd_ssl``.

    Train and holdout are the floor, other patients' images.

    Raises:
        DataError: Too few samples or test images.
    """
    test, others = splits.test, np.concatenate([splits.holdout.pixels, splits.train.pixels])
    floor = np.concatenate([vectors["holdout"], vectors["train"]])
    made, real, owners = vectors["samples"], vectors["test"], test.patients
    quality = measure_quality(made, real, owners, floor, samples, test.pixels, feature_name="ssl", seed=seed)
    found = dict(quality.metrics)
    for name, maker in features.items():
        fake, reference, lowest = (maker.features(pixels) for pixels in (samples, test.pixels, others))
        found |= measure_distances(fake, reference, lowest, owners, feature_name=name, seed=seed)
    metrics = {name: Metric.model_validate(values) for name, values in found.items()}
    return {**metrics, "fd_ssl_of_train": _against_train(vectors)}, quality.deviations


def _against_train(vectors: Mapping[str, NDArray[np.float32]]) -> Metric:
    """The Fréchet distance to train instead of test, which flatters a copier; its null is the one to holdout."""
    from memobench.quality.fd import frechet_distance

    return Metric(
        value=frechet_distance(vectors["samples"], vectors["train"]),
        null=frechet_distance(vectors["samples"], vectors["holdout"]),
        better="null",
        note="distance to the training images; a copier looks better here than against others",
    )
