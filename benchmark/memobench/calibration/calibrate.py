"""The calibration of the measure: what it says of generators with known truth, over many independent draws."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from scipy import stats
from tabulate import tabulate

from memobench.base.errors import UsageError
from memobench.base.seeds import derive_seed
from memobench.calibration.scenarios import NULLS, PLANTED, Draw, Level, Scenario, draw, expected_hits
from memobench.execution.job import Job, batches
from memobench.execution.perform import HERE_ALONE, Workplace, performed
from memobench.memorization.evidence import evidence_test, strongest_matches
from memobench.memorization.published import published_rule, published_rule_matched
from memobench.memorization.rates import NULLS as NULL_VALUES
from memobench.memorization.rates import rates_and_tests, tally
from memobench.results import Metric
from memobench.stats.exchange import ExactTest

PERMUTATIONS = 499  # of each draw; a run takes more, and is the less conservative for it
EXCLUDED = 0.05


@dataclass(frozen=True)
class NullRow:
    """A metric in a scenario without memorization.

    Attributes:
        scenario: The generator.
        metric: The metric.
        excluded: Share of draws whose 95% interval excludes the null; None for a metric without an interval.
        limit: 5% plus two standard errors at this number of draws.
        rejected: Share of draws with p < 0.05.
        uniform: Kolmogorov-Smirnov p-value of the p-values with ties broken at random against the uniform law.
    """

    scenario: str
    metric: str
    excluded: float | None
    limit: float
    rejected: float
    uniform: float


@dataclass(frozen=True)
class PlantedRow:
    """A metric in a scenario with planted copies.

    Attributes:
        scenario: The generator.
        metric: The metric.
        truth: Its true value, averaged over the draws' pools.
        mean: Its mean estimate.
        covered: Share of draws whose 95% interval holds the truth.
        below: Share of draws whose interval lies below the truth.
        above: Share of draws whose interval lies above the truth.
        seen: Share of draws with p < 0.05.
    """

    scenario: str
    metric: str
    truth: float
    mean: float
    covered: float
    below: float
    above: float
    seen: float


@dataclass(frozen=True)
class PublishedRow:
    """The published rule in a scenario, as mean shares.

    Attributes:
        scenario: The generator.
        planted: Share of samples that are copies.
        n_mem: Training images that it calls memorized, as a share of all.
        n_copies: Samples that it calls copies, as a share of all.
        n_mem_matched: The same with matched pool sizes.
        n_copies_matched: The same with matched pool sizes.
        seen: Share of draws in which ``copy_evidence`` has p < 0.05.
    """

    scenario: str
    planted: float
    n_mem: float
    n_copies: float
    n_mem_matched: float
    n_copies_matched: float
    seen: float


@dataclass(frozen=True)
class Calibration:
    """The whole table."""

    draws: int
    level: str
    seed: int
    null: tuple[NullRow, ...]
    planted: tuple[PlantedRow, ...]
    published: tuple[PublishedRow, ...]

    def as_json(self) -> dict[str, Any]:
        """As JSON holds it."""
        return asdict(self)


@dataclass(frozen=True)
class _Outcome:
    metrics: dict[str, Metric]
    tests: dict[str, ExactTest]
    truth: dict[str, float]
    published: tuple[float, float, float, float]


def calibrate(
    *,
    draws: int = 300,
    level: Level = "features",
    seed: int = 0,
    null: Sequence[Scenario] = NULLS,
    planted: Sequence[Scenario] = PLANTED,
    place: Workplace = HERE_ALONE,
) -> Calibration:
    """Simulate every scenario and count how often the measure is right.

    Args:
        draws: Independent draws of each scenario.
        level: "features" or "images" (:func:`memobench.calibration.scenarios.draw`).
        seed: Base seed.
        null: Scenarios without memorization.
        planted: Scenarios with planted copies.
        place: Where the draws are done.

    Raises:
        UsageError: Fewer than two draws.
    """
    if draws < 2:
        raise UsageError(f"{draws} draws calibrate nothing; give at least 2")
    outcomes: dict[Scenario, list[_Outcome]] = {scenario: [] for scenario in (*null, *planted)}
    jobs = [
        Job(f"{scenario.name}, draws from {some.start}", _outcomes, (scenario, some, level, seed))
        for scenario in outcomes
        for some in batches(draws)
    ]
    for job, found in zip(jobs, performed(jobs, place, "calibrate"), strict=True):
        outcomes[job.arguments[0]] += found
    return Calibration(
        draws,
        level,
        seed,
        tuple(row for scenario in null for row in _null_rows(scenario, outcomes[scenario])),
        tuple(row for scenario in planted for row in _planted_rows(scenario, outcomes[scenario])),
        tuple(_published_row(scenario, found) for scenario, found in outcomes.items()),
    )


def calibration_text(calibration: Calibration) -> str:
    """The tables for the terminal."""
    percent = "{:.1%}".format
    null = [
        [
            row.scenario,
            row.metric,
            "" if row.excluded is None else percent(row.excluded),
            percent(row.limit),
            percent(row.rejected),
            f"{row.uniform:.3f}",
            "yes" if max(row.excluded or 0.0, row.rejected) <= row.limit and row.uniform > 0.01 else "NO",
        ]
        for row in calibration.null
    ]
    planted = [
        [row.scenario, row.metric, f"{row.truth:.4g}", f"{row.mean:.4g}"]
        + [percent(value) for value in (row.covered, row.below, row.above, row.seen)]
        for row in calibration.planted
    ]
    published = [
        [row.scenario]
        + [
            percent(value)
            for value in (
                row.planted,
                row.n_mem,
                row.n_copies,
                row.n_mem_matched,
                row.n_copies_matched,
                row.seen,
            )
        ]
        for row in calibration.published
    ]
    parts = [
        (
            f"Nothing memorized, {calibration.draws} draws of {calibration.level} each: how often the 95% interval "
            "excludes the null, how often p < 0.05, and whether p-values (ties broken at random) are uniform",
            null,
            ["scenario", "metric", "excluded", "limit", "p < 0.05", "KS p", "right"],
        ),
        (
            "Copies planted: how often the 95% interval covers the truth, lies below or above it, and how often "
            "p < 0.05",
            planted,
            ["scenario", "metric", "truth", "mean", "covered", "below", "above", "p < 0.05"],
        ),
        (
            "The published rule on the same draws: what it calls memorized (of the training images) and copies (of the "
            "samples), as published and with matched pool sizes; beside it how often copy_evidence has p < 0.05",
            published,
            ["scenario", "planted", "n_mem", "n_copies", "n_mem matched", "n_copies matched", "evidence"],
        ),
    ]
    return "\n\n".join(
        f"{title}\n\n{tabulate(rows, headers, tablefmt='simple', disable_numparse=True)}"
        for title, rows, headers in parts
        if rows
    )


def _outcomes(scenario: Scenario, numbers: Sequence[int], level: Level, seed: int) -> list[_Outcome]:
    """Some draws of a scenario."""
    hits = expected_hits(scenario) if scenario.planted else None
    seeds = [derive_seed(seed, "calibrate", number) for number in numbers]
    return [_outcome(scenario, draw(scenario, one, level=level), hits, one) for one in seeds]


def _outcome(scenario: Scenario, drawn: Draw, hits: Any, seed: int) -> _Outcome:
    metrics, tests = rates_and_tests(tally(drawn.decisions, drawn.pools), seed=seed, draws=PERMUTATIONS)
    votes = strongest_matches(drawn.decisions, drawn.pools)
    _, tests["copy_evidence"] = evidence_test(votes, drawn.pools.in_train, seed=seed, draws=PERMUTATIONS)
    rule = published_rule(drawn.train_holdout, drawn.samples_train)
    matched = published_rule_matched(drawn.train_holdout, drawn.samples_train, seed=seed)
    n, training = drawn.samples_train.shape
    shares = (rule.n_mem / training, rule.n_copies / n, matched.n_mem / training, matched.n_copies / n)
    return _Outcome(metrics, tests, dict(NULL_VALUES) if hits is None else _truth(scenario, drawn, hits), shares)


def _truth(scenario: Scenario, drawn: Draw, hits: Any) -> dict[str, float]:
    patients, images = hits
    counts = np.unique(drawn.pools.train, return_counts=True)[1]
    return {
        "copy_rate": scenario.planted,
        "memorized_patients": float(patients[counts].sum()),
        "memorized_rate": float(images[counts].sum() / counts.sum()),
        "train_share": scenario.planted + (1 - scenario.planted) / 2,
    }


def _null_rows(scenario: Scenario, outcomes: list[_Outcome]) -> Iterator[NullRow]:
    limit = EXCLUDED + 2 * float(np.sqrt(EXCLUDED * (1 - EXCLUDED) / len(outcomes)))
    for name in outcomes[0].tests:
        tests = [outcome.tests[name] for outcome in outcomes]
        excluded = None
        if name in NULL_VALUES:
            intervals = [_ends(outcome.metrics[name]) for outcome in outcomes]
            excluded = float(np.mean([not low <= NULL_VALUES[name] <= high for low, high in intervals]))
        yield NullRow(
            scenario.name,
            name,
            excluded,
            limit,
            float(np.mean([test.more < 0.05 for test in tests])),
            float(stats.kstest([test.fuzzy for test in tests], "uniform").pvalue),
        )


def _planted_rows(scenario: Scenario, outcomes: list[_Outcome]) -> Iterator[PlantedRow]:
    for name in NULL_VALUES:
        truth = np.array([outcome.truth[name] for outcome in outcomes])
        ends = np.array([_ends(outcome.metrics[name]) for outcome in outcomes])
        below, above = float(np.mean(ends[:, 1] < truth)), float(np.mean(ends[:, 0] > truth))
        yield PlantedRow(
            scenario.name,
            name,
            float(truth.mean()),
            float(np.mean([outcome.metrics[name].value for outcome in outcomes])),
            1 - below - above,
            below,
            above,
            float(np.mean([outcome.tests[name].more < 0.05 for outcome in outcomes])),
        )


def _published_row(scenario: Scenario, outcomes: list[_Outcome]) -> PublishedRow:
    shares = np.mean([outcome.published for outcome in outcomes], axis=0)
    seen = float(np.mean([outcome.tests["copy_evidence"].more < 0.05 for outcome in outcomes]))
    n_mem, n_copies, n_mem_matched, n_copies_matched = (float(share) for share in shares)
    return PublishedRow(scenario.name, scenario.planted, n_mem, n_copies, n_mem_matched, n_copies_matched, seen)


def _ends(metric: Metric) -> tuple[float, float]:
    if metric.low is None or metric.high is None:
        raise ValueError("a calibrated metric carries an interval")
    return metric.low, metric.high
