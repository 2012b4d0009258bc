"""Planted copies and planted non-copies: what a detector finds, and what it calls a copy wrongly.

Copies are training images, perturbed. Non-copies are images of patients whom no detector has learned from and no
threshold has seen (the sides ``test`` and ``fresh``), clean and under the very same perturbations; images mixed in come
from ``holdout``. The pool is train in either case. A third kind of query are scans of training patients while that
scan, but not the patient's others, is taken out of the pool: what is flagged there is the patient, not a copy.

A detector has ONE threshold per rate of false positives, read off all non-copies together. A threshold per perturbation
would let it know what was done to an image; in use it does not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import ndtri

from memobench.base.errors import DataError
from memobench.base.progress import silent
from memobench.base.seeds import derive_seed, generator_for
from memobench.challenge.perturb import perturb, perturbations_for
from memobench.images import Images
from memobench.results import ChallengeRow, DetectorScores, Metric
from memobench.stats.auc import probability_above
from memobench.stats.exchange import per_patient
from memobench.stats.intervals import clustered_share
from memobench.task import Splits

if TYPE_CHECKING:
    from memobench.detection.contract import Matches

Scores = NDArray[np.float64]
Match = Callable[[NDArray[np.float32], Images], "Matches"]
UNCHANGED = "unchanged"
RATES = (0.01, 0.05)
PLANTED = {
    2: 20,
    3: 8,
}  # copies per perturbation in a run's own challenge, by dimension: a volume takes ten times longer
ASKED = 512  # queries at once, so that progress shows
HELD = 1 << 26  # numbers held at once, 256 MiB


@dataclass(frozen=True)
class Condition:
    """What is done to queries: a perturbation at a strength, or nothing (strength None)."""

    perturbation: str
    strength: str | None


@dataclass(frozen=True)
class Plan:
    """Who is queried under what.

    Attributes:
        pool: The training images.
        sources: (C,) rows of the pool that are copied.
        strangers: The S images that are not in the pool, nor their patients.
        source_others: (C, *S) the image mixed into each copy.
        stranger_others: (S, *S) the image mixed into each non-copy.
        conditions: What is done, beginning with nothing.
        scan_rows: (Q,) rows of the pool queried while their scan is out of the pool.
        scan_pool: (P,) rows of the pool that stay in it then.
        seed: Seed of the perturbations.
    """

    pool: Images
    sources: NDArray[np.int64]
    strangers: Images
    source_others: NDArray[np.float32]
    stranger_others: NDArray[np.float32]
    conditions: tuple[Condition, ...]
    scan_rows: NDArray[np.int64]
    scan_pool: NDArray[np.int64]
    seed: int

    def copies(self, condition: Condition) -> NDArray[np.float32]:
        """The planted copies (C, *S) under a condition."""
        return self._made(self.pool.pixels[self.sources], condition, "copies", self.source_others)

    def non_copies(self, condition: Condition) -> NDArray[np.float32]:
        """The planted non-copies (S, *S) under a condition."""
        return self._made(self.strangers.pixels, condition, "non-copies", self.stranger_others)

    def _made(
        self, images: NDArray[np.float32], condition: Condition, role: str, others: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        if condition.strength is None:
            return np.asarray(images)
        seed = derive_seed(self.seed, role)
        return perturb(images, condition.perturbation, condition.strength, seed=seed, others=others)


@dataclass(frozen=True)
class Planted:
    """What a detector answered: K conditions, C copies, S strangers, Q scans.

    Attributes:
        copy_score: (K, C) best score of each copy.
        copy_index: (K, C) row of the pool of that score; -1 where there was no candidate.
        stranger_score: (K, S) best score of each non-copy.
        scan_score: (Q,) best score of each scan that is not in the pool.
        scan_index: (Q,) row of the pool of that score, likewise.
    """

    copy_score: Scores
    copy_index: NDArray[np.int64]
    stranger_score: Scores
    scan_score: Scores
    scan_index: NDArray[np.int64]


def plan_challenge(
    splits: Splits,
    *,
    perturbations: Sequence[str] | None = None,
    strengths: Sequence[str] = ("medium",),
    count: int = 100,
    seed: int = 0,
) -> Plan:
    """Choose sources, strangers and scans, one image per patient before any patient's second.

    Args:
        splits: The task's images.
        perturbations: Names in ``PERTURBATIONS``; None for all that the dimension allows.
        strengths: Strengths of each.
        count: Copies, and as many non-copies, per condition, at most.
        seed: Seed of all choices.

    Raises:
        UsageError: No such perturbation or strength (when it is first made).
        DataError: A count below one.
    """
    if count < 1:
        raise DataError(f"{count} planted copies measure nothing; give a count of 1 at least")
    names = perturbations_for(len(splits.train.shape)) if perturbations is None else tuple(perturbations)
    conditions = [Condition(UNCHANGED, None)]
    conditions += [Condition(name, strength) for strength in strengths for name in names]
    pool, strangers = splits.train, splits.test.joined(splits.fresh)
    sources = one_per_patient_first(pool.patients, count, generator_for(seed, "sources"))
    chosen = strangers.take(one_per_patient_first(strangers.patients, count, generator_for(seed, "strangers")))
    random = generator_for(seed, "others")
    others = [splits.holdout.pixels[random.integers(len(splits.holdout), size=n)] for n in (len(sources), len(chosen))]
    scan_rows, scan_pool = other_scans(pool, count, generator_for(seed, "scans"))
    return Plan(pool, sources, chosen, others[0], others[1], tuple(conditions), scan_rows, scan_pool, seed)


def one_per_patient_first(patients: NDArray[np.str_], count: int, random: np.random.Generator) -> NDArray[np.int64]:
    """Up to ``count`` rows in random order, every patient once before any is taken twice.

    >>> rows = one_per_patient_first(np.array(["a", "a", "b"]), 2, np.random.default_rng(0))
    >>> sorted(np.array(["a", "a", "b"])[rows].tolist())
    ['a', 'b']
    """
    order = random.permutation(len(patients))
    turn = np.empty(len(patients), dtype=np.int64)  # which of its patient's images each is, in that order
    seen: dict[str, int] = {}
    for row in order:
        name = str(patients[row])
        turn[row] = seen.get(name, 0)
        seen[name] = int(turn[row]) + 1
    return order[np.argsort(turn[order], kind="stable")][:count]


def other_scans(pool: Images, count: int, random: np.random.Generator) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """One image of one scan of each patient with several scans, and the pool without all of these scans.

    Taking the scans out together, one per patient, leaves every patient's other scans in: one pool serves all queries.

    Returns:
        (Q,) rows to query, at most ``count``; (P,) rows that remain in the pool.
    """
    queried: list[int] = []
    removed = np.zeros(len(pool), dtype=bool)
    for patient in random.permutation(np.unique(pool.patients)):
        own = np.flatnonzero(pool.patients == patient)
        scans = np.unique(pool.scans[own])
        if len(scans) < 2 or len(queried) == count:
            continue
        out = own[pool.scans[own] == random.choice(scans)]
        removed[out] = True
        queried.append(int(random.choice(out)))
    return np.array(queried, dtype=np.int64), np.flatnonzero(~removed)


def answer(
    match: Match, plan: Plan, *, track: Callable[..., Iterator[Any]] = silent, name: str = "the detector"
) -> Planted:
    """Put all queries of a plan to a detector.

    Args:
        match: ``match(queries, pool)`` gives the best match of each query; see ``Detector.match``.
        plan: What to ask.
        track: Shows progress.
        name: The detector's, for the progress.
    """
    # Many conditions are asked at once, because a detector prepares the pool again in every call.
    size = len(plan.sources) + len(plan.strangers)
    step = max(1, min(ASKED // size, HELD // (size * plan.pool.pixels[0].size)))
    parts = [plan.conditions[start : start + step] for start in range(0, len(plan.conditions), step)]
    scores, indices = [], []
    for part in track(parts, f"asking {name}", len(parts)):
        asked = [pixels for condition in part for pixels in (plan.copies(condition), plan.non_copies(condition))]
        found = match(np.concatenate(asked), plan.pool)
        scores.append(found.score[:, 0].astype(np.float64).reshape(len(part), size))
        indices.append(found.index[:, 0].reshape(len(part), size))
    score, index = np.concatenate(scores), np.concatenate(indices)
    copies = len(plan.sources)
    scan_score, scan_index = np.empty(0), np.empty(0, dtype=np.int64)
    if len(plan.scan_rows):
        found = match(plan.pool.pixels[plan.scan_rows], plan.pool.take(plan.scan_pool))
        scan_score, scan_index = found.score[:, 0].astype(np.float64), found.index[:, 0]
        scan_index = np.where(scan_index < 0, -1, plan.scan_pool[scan_index])
    return Planted(score[:, :copies], index[:, :copies], score[:, copies:], scan_score, scan_index)


def planted_count(dim: int, null_images: int | None) -> int:
    """Copies per perturbation in the challenge that a run or audit carries.

    Where few real images are asked for null scores, few copies are planted: both cost the same, and preset smoke only
    tests the path.

    Args:
        dim: Of the images, 2 or 3.
        null_images: Real images that are matched as if they were new patients', at most; None for all.

    >>> planted_count(2, 1024), planted_count(3, None), planted_count(2, 64)
    (20, 8, 2)
    """
    return PLANTED[dim] if null_images is None else min(PLANTED[dim], max(2, null_images // 32))


def judge(planted: Planted, plan: Plan, tau: float | None = None) -> DetectorScores:
    """From answers to rates, with 95% intervals over patients.

    The thresholds at 1% and 5% are read off the non-copies of all conditions together and taken as given in the
    intervals. Below 100 (20) non-copies they are the highest score of a non-copy, which is stricter.

    Args:
        planted: A detector's answers to the plan.
        plan: What was asked.
        tau: The score from which on the detector calls a copy, where it is known.
    """
    everyone = planted.stranger_score.ravel()
    limits = {f"at_{100 * rate:.0f}": threshold_at(everyone, rate) for rate in RATES}
    patients, owners = plan.pool.patients[plan.sources], plan.strangers.patients
    clusters = len(np.unique(patients)), len(np.unique(owners))
    calls = {f"tpr_{name}": planted.copy_score > limit for name, limit in limits.items()}
    calls["right_source"] = planted.copy_index == plan.sources
    calls["same_patient"] = _of_patients(planted.copy_index, plan.pool, patients) & ~calls["right_source"]
    alarms: dict[str, NDArray[np.bool_]] = {}
    if tau is not None:
        calls["sensitivity"] = planted.copy_score >= tau
        alarms["false_positive_rate"] = planted.stranger_score >= tau
    rows = []
    for number, condition in enumerate(plan.conditions):
        area = probability_above(planted.copy_score[number], everyone)
        low, high = auc_interval(area, *clusters)
        metrics = {"auc": Metric(value=area, low=low, high=high, null=0.5, better="higher")}
        metrics |= {name: _share(called[number], patients, name) for name, called in calls.items()}
        metrics |= {name: _share(alarm[number], owners, name) for name, alarm in alarms.items()}
        rows.append(
            ChallengeRow(
                perturbation=condition.perturbation,
                strength=condition.strength,
                copies=len(patients),
                non_copies=len(owners),
                metrics=metrics,
            )
        )
    changed = np.array([condition.strength is not None for condition in plan.conditions])
    summary = {name: _share(called[changed], patients, name) for name, called in calls.items()} if changed.any() else {}
    summary |= {name: _share(alarm, owners, name) for name, alarm in alarms.items()}
    summary |= _scans(planted, plan, limits["at_1"], tau)
    # where no image of the pool was a candidate for nearly all strangers, there is no score to name
    thresholds = {name: limit for name, limit in limits.items() if np.isfinite(limit)}
    thresholds |= {} if tau is None else {"tau": tau}
    return DetectorScores(rows=rows, thresholds=thresholds, summary=summary, other_scans=len(plan.scan_rows))


def challenge(  # noqa: PLR0913  a small challenge in one call; each word has a default
    match: Match,
    splits: Splits,
    *,
    perturbations: Sequence[str] | None = None,
    strengths: Sequence[str] = ("medium",),
    count: int = 100,
    seed: int = 0,
    tau: float | None = None,
) -> DetectorScores:
    """Plan, ask and judge in one call: the small challenge that a run carries. See the three functions above."""
    plan = plan_challenge(splits, perturbations=perturbations, strengths=strengths, count=count, seed=seed)
    return judge(answer(match, plan), plan, tau)


def threshold_at(non_copies: Scores, rate: float) -> float:
    """The smallest score that at most ``rate`` of the non-copies exceed; a copy is called above it, not at it.

    >>> threshold_at(np.arange(200.0), 0.01)
    197.0
    """
    allowed = int(np.floor(rate * len(non_copies) + 1e-9))
    return float(np.sort(non_copies)[len(non_copies) - 1 - min(allowed, len(non_copies) - 1)])


def auc_interval(area: float, copies: int, non_copies: int, level: float = 0.95) -> tuple[float, float]:
    """A score interval of an AUC, sound at 0 and 1 too (Newcombe 2006, method 5).

    It holds the values theta with |area - theta| <= z sqrt(V(theta)), V being Hanley & McNeil's (1982) variance with
    both sizes in its terms replaced by their mean.

    Args:
        area: The AUC.
        copies: Independent copies (patients).
        non_copies: Independent non-copies (patients).
        level: Coverage.

    >>> low, high = auc_interval(1.0, 50, 50)
    >>> 0.9 < low < 0.97, high
    (True, 1.0)
    """
    z, mean = float(ndtri(0.5 + level / 2)), (copies + non_copies) / 2 - 1

    def excess(theta: float) -> float:
        terms = 1 + mean * (1 - theta) / (2 - theta) + mean * theta / (1 + theta)
        return float((area - theta) ** 2 - z * z * theta * (1 - theta) * terms / (copies * non_copies))

    # excess is negative at the area, and just inside of it where the area is 0 or 1; beyond both ends it is positive
    inside = min(max(area, 1e-9), 1 - 1e-9)
    low = 0.0 if area <= 0 else float(brentq(excess, 0.0, inside))
    high = 1.0 if area >= 1 else float(brentq(excess, inside, 1.0))
    return low, high


def _scans(planted: Planted, plan: Plan, limit: float, tau: float | None) -> dict[str, Metric]:
    if not len(plan.scan_rows):
        return {}
    patients = plan.pool.patients[plan.scan_rows]
    shares = {
        "other_scans_at_1": planted.scan_score > limit,
        "reidentified": _of_patients(planted.scan_index, plan.pool, patients),
    }
    if tau is not None:
        shares["other_scans_at_tau"] = planted.scan_score >= tau
    return {name: _share(values, patients, name) for name, values in shares.items()}


def _of_patients(index: NDArray[np.int64], pool: Images, patients: NDArray[np.str_]) -> NDArray[np.bool_]:
    """Whether the matches (..., N), of which -1 is none, are images of the patients (N,)."""
    same: NDArray[np.bool_] = (index >= 0) & (pool.patients[index] == patients)
    return same


BETTER_LOWER = ("false_positive_rate", "other_scans_at_1", "other_scans_at_tau", "same_patient", "reidentified")
NULLS = {"tpr_at_1": 0.01, "tpr_at_5": 0.05}  # what a detector that knows nothing reaches


def _share(called: NDArray[np.bool_], patients: NDArray[np.str_], name: str) -> Metric:
    """The share of True with its interval over patients; (N,) or (conditions, N) calls, (N,) patients."""
    names = np.unique(patients)
    rows = np.atleast_2d(called)
    hits = per_patient(rows.sum(axis=0), patients, names)
    sizes = per_patient(np.full(len(patients), len(rows)), patients, names)
    value, low, high = clustered_share(hits, sizes)
    lower = name in BETTER_LOWER
    return Metric(value=value, low=low, high=high, null=NULLS.get(name), better="lower" if lower else "higher")
