"""Regions: parts of training images that samples repeat, beside the measure of whole images and without any part in it.

The search, the null and the counts are those of :mod:`memobench.detection.regions`; what follows from the scores is
counted as for whole images: train against holdout, a threshold from real images of new patients, p-values of single
samples from the tail of these. A copy of a whole image is a copy of a region too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from memobench.base.errors import DataError
from memobench.base.progress import Track, silent
from memobench.base.seeds import generator_for
from memobench.challenge.planted_parts import Part, parts_planted, planted_parts, smallest_found
from memobench.detection.parameters import REGION_VERSION
from memobench.detection.regions import Found
from memobench.images import Images
from memobench.measure.counts import Answers, count_copies
from memobench.measure.kept import NOTHING_KEPT, Kept
from memobench.measure.region_search import NULL, Arrays, Ground, search_samples
from memobench.memorization.certainty import Evidence, NullScores, SideEvidence
from memobench.memorization.decide import Decisions, Threshold
from memobench.memorization.rates import Pools
from memobench.memorization.repeats import repeats
from memobench.memorization.shift import Shift
from memobench.results import GroupFound, Metric, PartFound, RegionCall, RegionsFound, SideFound
from memobench.stats.strata import Strata

# Of all matches of regions of a set together. Anatomy repeats itself and the tail of the null scores is extrapolated,
# so a single region has to be this sure; two of them are judged by their number too.
LEVEL = 0.001
PAIRS = 3_000_000  # of queries and real images that are compared, at most: beyond, samples are drawn at random
LEAST = 8  # real images, below which there is no null
WHOLE = "samples that repeat a region of a training patient's image, or all of it, less those of held-out patients"
NOTHING = SideFound(called=0, certain=0, patients=0, groups=0, expected=0.0, p_count=1.0, p_single=1.0)
UNSEARCHED = RegionsFound(
    version=REGION_VERSION, searched=0, tau=0.0, train=NOTHING, holdout=NOTHING, parts=[], calls=[]
)
METRICS = ("region_copy_rate", "region_patients", "smallest_region")
NOT_SEARCHED = "regions were not searched: {reason}"


@dataclass(frozen=True)
class Known:
    """What is known before regions are searched.

    Attributes:
        shift: Whether train and holdout are exchangeable.
        strata: Within what they are; None for everywhere.
        blank: (N,) samples with nothing to compare.
        null_images: Real images that are searched as if they were new patients', at most; None for as many as serve.
    """

    shift: Shift
    strata: Strata | None
    blank: NDArray[np.bool_]
    null_images: int | None = None


@dataclass(frozen=True)
class Regions:
    """What was copied of regions.

    Attributes:
        metrics: ``region_copy_rate``, ``region_patients`` and, where any is found, ``smallest_region``.
        threshold: How the threshold was found.
        decisions: What each of the N samples matches; those that were not searched match nothing.
        evidence: How sure single matches are.
        null: What real images of new patients score.
        box: (N, 2, dim, 2) the region in the sample: of its best match in train, and in holdout.
        source: (N, 2, dim, 2) likewise in the real image.
        searched: How many samples were searched.
        parts: Planted parts, the largest first.
        notes: What a reader must know.
        ground: Where the samples were searched.
    """

    metrics: dict[str, Metric]
    threshold: Threshold
    decisions: Decisions
    evidence: Evidence
    null: NullScores
    box: NDArray[np.int64]
    source: NDArray[np.int64]
    searched: int
    parts: list[Part]
    notes: list[str]
    ground: Ground

    def certain(self) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """(N,) certain matches with train and with holdout."""
        sure = self.evidence.adjusted < LEVEL
        on_train = self.decisions.side >= 0
        return sure & on_train, sure & ~on_train


def measure_regions(
    samples: NDArray[np.float32],
    train: Images,
    holdout: Images | None,
    known: Known,
    *,
    kept: Kept = NOTHING_KEPT,
    track: Track = silent,
) -> Regions:
    """Search samples for regions of real images.

    Args:
        samples: (N, *S) float32 in [0, 1].
        train: The images that may have been copied.
        holdout: Images of other patients, drawn in the same way; None where there are none.
        known: What is known of them already.
        kept: Where it finds what was found before, of real images and of samples.
        track: Shows progress.

    Raises:
        DataError: Too few real images, or they all match each other equally well.
    """
    both = train if holdout is None else train.joined(holdout)
    if len(both) < LEAST or both.patient_count < 3:
        raise DataError(f"{len(both)} real images of {both.patient_count} patients are too few to tell regions by")
    asked = np.flatnonzero(~known.blank)
    if not len(asked):
        raise DataError("no sample has anything to compare")
    ground = Ground(both, _owners(both), min(NULL, known.null_images or NULL), kept.arrays, track)
    null = ground.null()
    most = max(LEAST, PAIRS // len(both))
    if len(asked) > most:
        asked = np.sort(generator_for(0, "regions").permutation(asked)[:most])
    found = Found(**kept.rows("regions", samples[asked], lambda some: vars(search_samples(some, ground))))
    second = np.arange(len(both)) >= len(train)
    sided = _sided(found, asked, second, len(samples), float(np.min(null.scores)))
    near = repeats(samples)
    parts = _parts(ground, len(train), parts_planted(len(both.shape), known.null_images))
    notes = []
    if len(asked) < len(samples) - int(known.blank.sum()):
        notes.append(f"regions were searched in {len(asked)} of the {len(samples)} images, drawn at random")
    matches = (sided.score[0], sided.index[0], sided.score[1], np.maximum(sided.index[1] - len(train), 0))
    if holdout is None:
        pools = Pools.without_holdout(train)
        matches = (*matches[:2], np.full(len(samples), -np.inf, dtype=np.float32), np.zeros(len(samples), np.int64))
    else:
        pools = Pools.of(train, holdout, known.strata)
    counts = count_copies(Answers(null, np.inf, matches), pools, known.shift, near=near)
    metrics = {
        "region_copy_rate": counts.metrics["copy_rate"].model_copy(update={"note": WHOLE}),
        "region_patients": counts.metrics["memorized_patients"],
    }
    if not known.shift.exchangeable:
        metrics = {name: metric.model_copy(update={"p_value": None}) for name, metric in metrics.items()}
    metrics |= _smallest(parts)
    return Regions(
        metrics,
        counts.threshold,
        counts.decisions,
        counts.evidence,
        null,
        np.stack(sided.box, axis=1),
        np.stack(sided.source, axis=1),
        len(asked),
        parts,
        notes,
        ground,
    )


def _parts(ground: Ground, first: int, count: int) -> list[Part]:
    """How planted parts of the real images fare."""

    def make() -> Arrays:
        sides = _planted_sides(first, len(ground.real))
        made = planted_parts(ground.real.pixels, ground.pool(), sides, ground.null().scores, count, track=ground.track)
        return {"parts": np.array([(one.share, one.found, one.count) for one in made]).reshape(-1, 3)}

    rows = ground.keep(f"{count} planted parts", make)["parts"].tolist()
    return [Part(share, found, int(planted)) for share, found, planted in rows]


def recorded_regions(regions: Regions, train: Images, groups: Sequence[GroupFound] = ()) -> RegionsFound:
    """What was found, as results keep it.

    Args:
        regions: Of :func:`measure_regions`.
        train: The training images of the same.
        groups: How groups of planted copies fared.
    """
    decisions, evidence = regions.decisions, regions.evidence
    sides = [
        _side_found(side, sure, owners[index][sure])
        for side, sure, owners, index in zip(
            (evidence.train, evidence.holdout),
            regions.certain(),
            (train.patients, np.arange(1 + int(decisions.holdout_index.max(initial=0)))),
            (decisions.train_index, decisions.holdout_index),
            strict=True,
        )
    ]
    certain = np.logical_or(*regions.certain())
    strength = np.maximum(decisions.train_score, decisions.holdout_score)
    order = np.argsort(-strength, kind="stable")
    pixels = float(np.prod(train.shape))
    calls = []
    for row in order[(decisions.called | certain)[order]].tolist():
        held_out = int(decisions.side[row] < 0)
        box, image = regions.box[row, held_out], int(decisions.train_index[row])
        calls.append(
            RegionCall(
                sample=row,
                patient="" if held_out else str(train.patients[image]),
                image=-1 if held_out else image,
                score=float(strength[row]),
                p_value=float(evidence.p_match[row]),
                certain=bool(certain[row]),
                box=[(int(first), int(last)) for first, last in box],
                source=[] if held_out else [(int(first), int(last)) for first, last in regions.source[row, 0]],
                share=float(np.prod(box[:, 1] - box[:, 0])) / pixels,
            )
        )
    return RegionsFound(
        version=REGION_VERSION,
        searched=regions.searched,
        tau=regions.threshold.tau,
        train=sides[0],
        holdout=sides[1],
        parts=[PartFound(share=part.share, found=part.found, count=part.count) for part in regions.parts],
        calls=calls,
        groups=list(groups),
    )


def _side_found(side: SideEvidence, certain: NDArray[np.bool_], patients: NDArray[np.generic]) -> SideFound:
    return SideFound(
        called=side.called,
        certain=int(certain.sum()),
        patients=len(np.unique(patients)),
        groups=side.clusters,
        expected=side.expected,
        p_count=side.p_count,
        p_single=side.p_set,
    )


def _owners(images: Images) -> NDArray[np.int64]:
    """(M,) patients as numbers; patients with a near-identical image share one, or neither would stand out."""
    _, patient = np.unique(images.patients, return_inverse=True)
    patient = patient.reshape(-1)
    group = repeats(np.asarray(images.pixels), least=0.95)
    nodes = int(patient.max()) + 1
    size = nodes + int(group.max()) + 1
    links = coo_array((np.ones(len(patient), dtype=np.int8), (patient, nodes + group)), shape=(size, size))
    _, number = connected_components(links, directed=False)
    return np.asarray(number[patient], dtype=np.int64)


@dataclass(frozen=True)
class _Sided:
    score: list[NDArray[np.float32]]
    index: list[NDArray[np.int64]]
    box: list[NDArray[np.int64]]
    source: list[NDArray[np.int64]]


def _sided(found: Found, asked: NDArray[np.int64], second: NDArray[np.bool_], count: int, lowest: float) -> _Sided:
    """The best match of each sample on either side; who was not asked matches both less than anything does."""
    dim = found.box.shape[2]
    sided = _Sided([], [], [], [])
    turn = np.arange(count)
    for side in (~second, second):
        rows = np.flatnonzero(side)
        score = np.full(count, lowest - 1, dtype=np.float32)
        index = rows[turn % len(rows)] if len(rows) else np.zeros(count, dtype=np.int64)
        box, source = (np.zeros((count, dim, 2), dtype=np.int64) for _ in range(2))
        best, column = found.of_side(side) if len(rows) else (np.full(len(asked), -np.inf), np.zeros(len(asked), int))
        score[asked] = best
        here = np.arange(len(asked))
        known = np.isfinite(best)
        index[asked[known]] = found.index[here, column][known]
        box[asked[known]], source[asked[known]] = found.box[here, column][known], found.source[here, column][known]
        sided.score.append(score)
        sided.index.append(index)
        sided.box.append(box)
        sided.source.append(source)
    return sided


def _planted_sides(first: int, count: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Rows that planted parts are taken from, and rows of the bodies: the other side, or all where there is none."""
    rows = np.arange(count)
    return rows[:first], rows[first:] if first < count else rows


def _smallest(parts: list[Part]) -> dict[str, Metric]:
    share = smallest_found(parts)
    if share is None:
        return {}
    tried = ", ".join(f"{100 * part.found:.0f}% of parts of {100 * part.share:.3g}% of the image" for part in parts)
    return {
        "smallest_region": Metric(
            value=share,
            better="lower",
            note=f"share of the image that is found in 80% of planted cases at 1% false positives; found: {tried}",
        )
    }
