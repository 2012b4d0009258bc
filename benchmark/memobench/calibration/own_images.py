"""Copies planted in a task's own images, at known shares: does the measure read what was planted?

The detector of the task scores a stock of perturbed copies and of other patients' images once. Each draw then assigns
the patients to train and holdout again, takes samples from the stock, copies of train only, and measures them as a run
does. So hundreds of draws of real images cost one search, and every draw has another truth. As in a run both pools are
searched as one; here each sample has its best match alone, on one side: nothing that is measured looks at the other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tabulate import tabulate

from memobench.base.errors import UsageError
from memobench.base.progress import Track, silent
from memobench.base.seeds import derive_seed, generator_for
from memobench.challenge.perturb import perturb, perturbations_for
from memobench.challenge.planted import one_per_patient_first
from memobench.execution.job import Job, batches
from memobench.execution.perform import HERE_ALONE, Workplace, performed
from memobench.measure.detector import OwnDetector
from memobench.memorization.calls import expected_false
from memobench.memorization.decide import Decisions, threshold
from memobench.memorization.evidence import evidence_test, strongest_matches
from memobench.memorization.rates import Pools, false_discovery_rate, rates_and_tests, tally
from memobench.memorization.sensitivity import corrected, corrected_patients
from memobench.results import Metric
from memobench.stats.exchange import Floats, per_patient
from memobench.stats.intervals import Interval, clustered_share
from memobench.task import Splits

SHARES = (0.0, 0.005, 0.01, 0.05, 0.2, 0.5)
SAMPLES = 1000
COPIES = {2: 1200, 3: 240}  # in the stock, by dimension; half of them to plant, half to measure the sensitivity with
STRANGERS = {2: 600, 3: 150}
SENSITIVITY = {2: 240, 3: 96}  # copies by which a run of this dimension measures its sensitivity, about
PERMUTATIONS = 499
ALPHA = 0.05


@dataclass(frozen=True)
class Stock:
    """Queries with their best match among all images of train and holdout.

    Attributes:
        patients: (P,) the patient of each image of train and holdout.
        in_train: (P,) where it really stands; draws assign the patients again.
        tau: The threshold, found without the labels.
        dim: 2 or 3.
        kinds: Kinds of perturbation; copy k is under the kind k modulo this.
        source: (C,) the image that each copy was made of.
        copy_score: (C,) best score of each copy.
        copy_match: (C,) the image of that score.
        other_score: (S,) best score of each image of a patient of neither pool.
        other_match: (S,) the image of that score.
    """

    patients: NDArray[np.str_]
    in_train: NDArray[np.bool_]
    tau: float
    dim: int
    kinds: int
    source: NDArray[np.int64]
    copy_score: NDArray[np.float32]
    copy_match: NDArray[np.int64]
    other_score: NDArray[np.float32]
    other_match: NDArray[np.int64]


@dataclass(frozen=True)
class PlantedShare:
    """What the measure says at one planted share, over all draws.

    Attributes:
        share: Share of samples that are copies.
        metric: The metric.
        truth: Its true value, averaged over the draws.
        mean: Its mean estimate.
        covered: Share of draws whose 95% interval holds the truth.
        corrected_mean: Its mean estimate, corrected for the sensitivity that each draw measures; None where the metric
            is not corrected.
        corrected_covered: Share of draws whose corrected interval holds the truth.
        seen: Share of draws with p < 0.05.
    """

    share: float
    metric: str
    truth: float
    mean: float
    covered: float
    corrected_mean: float | None
    corrected_covered: float | None
    seen: float


@dataclass(frozen=True)
class Discoveries:
    """The list of training patients called copied, at one planted share, averaged over all draws.

    Attributes:
        share: Share of samples that are copies.
        listed: Patients on the list.
        false: Those of them of which no sample is a copy.
        expected: What the draws' estimates of that number are.
        bound: What the false discovery rate, an upper bound on average, allows.
        seen: Share of draws in which ``copy_evidence`` has p < 0.05.
    """

    share: float
    listed: float
    false: float
    expected: float
    bound: float
    seen: float


@dataclass(frozen=True)
class OwnImagesCalibration:
    """The whole table.

    Attributes:
        draws: Draws of each share.
        samples: Samples of each draw.
        sensitivity: Share of the stock's copies that reach tau.
        tau: The threshold.
        rows: One for each share and metric.
        discoveries: One for each share.
    """

    draws: int
    samples: int
    sensitivity: float
    tau: float
    rows: tuple[PlantedShare, ...]
    discoveries: tuple[Discoveries, ...]

    def as_json(self) -> dict[str, Any]:
        """As JSON holds it."""
        return asdict(self)


def take_stock(
    detector: OwnDetector, splits: Splits, *, strength: str = "medium", seed: int = 0, track: Track = silent
) -> Stock:
    """Perturb and score the stock: copies of train and holdout, and images of the sides ``test`` and ``fresh``.

    Every kind of perturbation stands behind as many copies, and as many others.

    Args:
        detector: The task's.
        splits: The task's images.
        strength: Of the perturbations.
        seed: Seed of sources and perturbations.
        track: Shows progress.
    """
    pool, strangers = splits.train.joined(splits.holdout), splits.test.joined(splits.fresh)
    dim, random = len(pool.shape), generator_for(seed, "stock")
    source = random.integers(len(pool), size=COPIES[dim])
    rows = one_per_patient_first(strangers.patients, STRANGERS[dim], random)
    made = [
        _perturbed(images, strangers.pixels[random.integers(len(strangers), size=len(images))], strength, seed, role)
        for images, role in ((pool.pixels[source], "copies"), (strangers.pixels[rows], "strangers"))
    ]
    null_scores, _, pool_fraction = detector.null_scores(pool, track=track)
    tau = threshold(null_scores, pool_fraction, highest=float(detector.exact_scores(pool).min())).tau
    copies, others = (detector.match(queries, pool, track=track) for queries in made)
    in_train = np.arange(len(pool)) < len(splits.train)
    scores = (copies.score[:, 0], copies.index[:, 0], others.score[:, 0], others.index[:, 0])
    return Stock(pool.patients, in_train, tau, dim, len(perturbations_for(dim)), source, *scores)


def _perturbed(
    images: NDArray[np.float32], others: NDArray[np.float32], strength: str, seed: int, role: str
) -> NDArray[np.float32]:
    """(N, *S) images, each under the next kind of perturbation."""
    out = np.empty_like(images)
    names = perturbations_for(images.ndim - 1)
    for number, name in enumerate(names):
        part = slice(number, None, len(names))
        out[part] = perturb(images[part], name, strength, seed=derive_seed(seed, role), others=others[part])
    return out


@dataclass(frozen=True)
class _Outcome:
    metrics: dict[str, Metric]
    p_values: dict[str, float]
    truth: dict[str, float]
    listed: int
    false: int
    expected: float
    bound: float


def calibrate_stock(
    stock: Stock,
    *,
    draws: int = 100,
    shares: Sequence[float] = SHARES,
    seed: int = 0,
    place: Workplace = HERE_ALONE,
) -> OwnImagesCalibration:
    """Draw samples from a stock and count how often the measure is right.

    Args:
        stock: From :func:`take_stock`.
        draws: Draws of each share.
        shares: Shares of samples that are copies.
        seed: Base seed.
        place: Where the draws are done.

    Raises:
        UsageError: Fewer than two draws.
    """
    if draws < 2:
        raise UsageError(f"{draws} draws calibrate nothing; give at least 2")
    jobs = [
        Job(f"share {share}, draws from {some.start}", _outcomes, (stock, share, some, seed))
        for share in shares
        for some in batches(draws)
    ]
    drawn: dict[float, list[_Outcome]] = {share: [] for share in shares}
    for job, made in zip(jobs, performed(jobs, place, "calibrate"), strict=True):
        drawn[job.arguments[1]] += made
    rows: list[PlantedShare] = []
    discoveries: list[Discoveries] = []
    for share, outcomes in drawn.items():
        rows += [_row(share, name, outcomes) for name in ("copy_rate", "memorized_patients")]
        listed, false, expected, bound = np.mean([(o.listed, o.false, o.expected, o.bound) for o in outcomes], axis=0)
        seen = np.mean([outcome.p_values["copy_evidence"] < ALPHA for outcome in outcomes])
        discoveries.append(Discoveries(share, float(listed), float(false), float(expected), float(bound), float(seen)))
    found = float((stock.copy_score >= stock.tau).mean())
    return OwnImagesCalibration(draws, SAMPLES, found, stock.tau, tuple(rows), tuple(discoveries))


def _outcomes(stock: Stock, share: float, numbers: Sequence[int], seed: int) -> list[_Outcome]:
    """Some draws of a share."""
    return [_outcome(stock, share, derive_seed(seed, "own images", f"{share}", number)) for number in numbers]


def _outcome(stock: Stock, share: float, seed: int) -> _Outcome:
    """Assign the patients, draw samples, measure."""
    rng = generator_for(seed, "draw")
    names = np.unique(stock.patients)
    trained = rng.permutation(names)[: len(np.unique(stock.patients[stock.in_train]))]
    in_train = np.isin(stock.patients, trained)
    place = np.where(in_train, np.cumsum(in_train), np.cumsum(~in_train)) - 1  # of each image in its pool

    of_train = in_train[stock.source]
    half = np.arange(len(stock.source)) // stock.kinds % 2 == 0  # either half has every kind of perturbation
    planted, measured = np.flatnonzero(of_train & half), np.flatnonzero(of_train & ~half)
    copied = rng.random(SAMPLES) < share
    rows = rng.choice(planted, size=SAMPLES)
    others = rng.integers(len(stock.other_score), size=SAMPLES)
    score = np.where(copied, stock.copy_score[rows], stock.other_score[others])
    match = np.where(copied, stock.copy_match[rows], stock.other_match[others])

    nearer = in_train[match]
    worst = np.full(SAMPLES, -np.inf, dtype=np.float32)
    decisions = Decisions(
        np.where(nearer, score, worst),
        np.where(nearer, place[match], 0),
        np.where(nearer, worst, score),
        np.where(nearer, 0, place[match]),
        np.where(nearer, 1, -1).astype(np.int8),
        score >= stock.tau,
    )
    pools = Pools(stock.patients[in_train], stock.patients[~in_train])
    received = tally(decisions, pools)
    metrics, tests = rates_and_tests(received, seed=seed, draws=PERMUTATIONS)
    _, evidence = evidence_test(strongest_matches(decisions, pools), pools.in_train, seed=seed, draws=PERMUTATIONS)
    found = _sensitivity(stock, rng.choice(measured, size=min(len(measured), SENSITIVITY[stock.dim]), replace=False))
    if found[0] > 0:
        metrics["copy_rate_corrected"] = corrected(metrics["copy_rate"], found)
        metrics["memorized_patients_corrected"] = corrected_patients(metrics["memorized_patients"], received, found)

    weight = per_patient(np.ones(len(planted)), stock.patients[stock.source[planted]], names) / len(planted)
    truth = {"copy_rate": share, "memorized_patients": float((1 - (1 - share * weight) ** SAMPLES).sum())}
    hit = received.hit
    listed, decoys = hit[pools.in_train].astype(bool), int(hit[~pools.in_train].sum())
    really = np.isin(pools.names[pools.in_train], stock.patients[stock.source[rows[copied]]])
    count = int(listed.sum())
    return _Outcome(
        metrics,
        {**{name: test.more for name, test in tests.items()}, "copy_evidence": evidence.more},
        truth,
        count,
        int((listed & ~really).sum()),
        expected_false(count, decoys, len(listed), len(hit) - len(listed)),
        count * false_discovery_rate(count, decoys, pools.ratio),
    )


def _sensitivity(stock: Stock, rows: NDArray[np.int64]) -> Interval:
    """The share of some copies that reach tau, with its interval over patients."""
    patients = stock.patients[stock.source[rows]]
    names = np.unique(patients)
    hits: Floats = per_patient(stock.copy_score[rows] >= stock.tau, patients, names)
    return clustered_share(hits, per_patient(np.ones(len(rows)), patients, names))


def _row(share: float, name: str, outcomes: list[_Outcome]) -> PlantedShare:
    truth = [outcome.truth[name] for outcome in outcomes]
    plain = [outcome.metrics[name] for outcome in outcomes]
    fixed = [outcome.metrics.get(f"{name}_corrected") for outcome in outcomes]
    known = [metric for metric in fixed if metric is not None]
    return PlantedShare(
        share,
        name,
        float(np.mean(truth)),
        float(np.mean([metric.value for metric in plain])),
        float(np.mean([_holds(metric, value) for metric, value in zip(plain, truth, strict=True)])),
        float(np.mean([metric.value for metric in known])) if known else None,
        float(np.mean([_holds(m, value) for m, value in zip(fixed, truth, strict=True)])) if known else None,
        float(np.mean([outcome.p_values[name] < ALPHA for outcome in outcomes])),
    )


def _holds(metric: Metric | None, value: float) -> bool:
    """Whether an interval holds a value; without an interval it does not."""
    if metric is None or metric.low is None or metric.high is None:
        return False
    return metric.low - 1e-12 <= value <= metric.high + 1e-12


def own_images_text(found: OwnImagesCalibration) -> str:
    """The tables for the terminal."""
    percent = "{:.1%}".format
    rows = [
        [
            f"{100 * row.share:g}%",
            row.metric,
            f"{row.truth:.4g}",
            f"{row.mean:.4g}",
            percent(row.covered),
            "" if row.corrected_mean is None else f"{row.corrected_mean:.4g}",
            "" if row.corrected_covered is None else percent(row.corrected_covered),
            percent(row.seen),
        ]
        for row in found.rows
    ]
    listed = [
        [
            f"{100 * row.share:g}%",
            *(f"{value:.2f}" for value in (row.listed, row.false, row.expected, row.bound)),
            percent(row.seen),
        ]
        for row in found.discoveries
    ]
    parts = [
        (
            f"Copies planted in the task's own images, {found.draws} draws of {found.samples} samples each; the "
            f"detector finds {100 * found.sensitivity:.1f}% of the planted copies. How often the 95% interval holds "
            "the truth, as found and corrected for the sensitivity that the draw measures",
            tabulate(
                rows,
                ["planted", "metric", "truth", "mean", "covered", "corrected", "covered", "p < 0.05"],
                disable_numparse=True,
            ),
        ),
        (
            "Training patients on the list of copies, and how many of them were not copied: counted, as each draw "
            "estimates it, and as its false discovery rate allows; beside it how often copy_evidence has p < 0.05",
            tabulate(listed, ["planted", "listed", "false", "estimated", "bound", "evidence"], disable_numparse=True),
        ),
    ]
    return "\n\n".join(f"{title}\n\n{table}" for title, table in parts)
