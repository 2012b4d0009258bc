from __future__ import annotations

import numpy as np
import pytest
from memobench.base.errors import DataError
from memobench.memorization.decide import decide
from memobench.memorization.rates import Pools, rates, tally
from memobench.quality.fd import frechet_distance
from memobench.stats.jackknife import block_jackknife
from memobench.study.compare import (
    Deviations,
    Estimate,
    Hits,
    Spread,
    difference,
    distance_spread,
    estimate,
    level_of_each,
    own_spread,
    patient_draws,
    share_spread,
    train_share,
    verdict,
)

PATIENTS = 60  # on either side


def hits(excess: np.ndarray, rng: np.random.Generator, samples: int = 200) -> Hits:
    """A run whose samples fall on training patients with weights 1 + excess, and on holdout patients with 1."""
    names = np.array([f"{side}{k:03d}" for side in "th" for k in range(PATIENTS)])
    order = np.argsort(names)
    in_train = np.char.startswith(names, "t")
    weight = np.where(in_train, 1.0, 1.0)
    weight[in_train] += excess
    counts = rng.multinomial(samples, weight / weight.sum()).astype(np.float64)
    return Hits(names[order], in_train[order], counts[order])


def test_the_share_is_that_of_the_rates() -> None:
    rng = np.random.default_rng(0)
    pools = Pools(np.array([f"a{k}" for k in range(30)]), np.array([f"b{k}" for k in range(15)]))
    scores = rng.random((2, 100)).astype(np.float32)
    decisions = decide(scores[0], rng.integers(30, size=100), scores[1], rng.integers(15, size=100), 0.9)
    found = Hits.of(decisions, pools)
    share = train_share(found, np.ones((1, len(found.names))))[0]
    assert share == pytest.approx(rates(tally(decisions, pools))["train_share"].value, rel=1e-6)


def test_intervals_of_a_difference_cover_the_truth() -> None:
    """Other patients and other seeds in every draw: the arms differ in truth by what their excess makes."""
    rng = np.random.default_rng(0)
    covered, shares = [], []
    for _ in range(120):
        # what a patient attracts is his own in every arm and seed; half of it remains in the weaker arm
        pull = rng.gamma(0.5, 4.0, size=PATIENTS)
        arms = [[hits(pull * scale * rng.uniform(0.8, 1.2), rng) for _ in range(3)] for scale in (1.0, 0.5)]
        values = [[float(train_share(run, np.ones((1, 2 * PATIENTS)))[0]) for run in arm] for arm in arms]
        draws = patient_draws(arms, seed=int(rng.integers(1 << 30)))
        found = difference(values[0], values[1], Spread.even(float((draws[0] - draws[1]).var())))
        shares.append(np.mean(values, axis=1))
        covered.append((found.low, found.high))
    truth = np.mean([first - second for first, second in shares])
    inside = np.mean([low <= truth <= high for low, high in covered])
    assert inside >= 0.9  # three seeds and a percentile of patients: near 95%


def test_equal_arms_seldom_differ() -> None:
    rng = np.random.default_rng(1)
    apart = 0
    for _ in range(100):
        pull = rng.gamma(0.5, 4.0, size=PATIENTS)
        arms = [[hits(pull, rng) for _ in range(3)] for _ in range(2)]
        values = [[float(train_share(run, np.ones((1, 2 * PATIENTS)))[0]) for run in arm] for arm in arms]
        draws = patient_draws(arms, seed=0)
        found = difference(values[0], values[1], Spread.even(float((draws[0] - draws[1]).var())))
        apart += not found.low <= 0 <= found.high
    assert apart <= 9


def _run_on(weight: np.ndarray, rng: np.random.Generator) -> tuple[Hits, Estimate]:
    """A run of 128 samples that fall on patients with these weights, (2, PATIENTS), and its own interval."""
    who = np.repeat(np.arange(2 * PATIENTS), rng.multinomial(128, weight.reshape(-1) / weight.sum()))
    of_train = who < PATIENTS
    decisions = decide(
        np.where(of_train, 0.6, 0.4).astype(np.float32), np.where(of_train, who, 0),
        np.where(of_train, 0.4, 0.6).astype(np.float32), np.where(of_train, 0, who - PATIENTS), 0.9,
    )  # fmt: skip
    pools = Pools(*(np.array([f"{side}{k:03d}" for k in range(PATIENTS)]) for side in "th"))
    own = rates(tally(decisions, pools), draws=999)["train_share"]
    assert own.low is not None
    assert own.high is not None
    return Hits.of(decisions, pools), Estimate(own.value, own.low, own.high)


def test_a_collapsed_generator_memorizes_neither_more_nor_less() -> None:
    """Its samples lie near a few patients, the same ones in every training; whose patients they are is luck."""
    rng = np.random.default_rng(6)
    missed, by_one_variance = [], []
    for _ in range(100):
        hubs, even = np.exp(rng.normal(0, 2.5, size=(2, PATIENTS))), np.ones((2, PATIENTS))
        arms = [[_run_on(weight, rng) for _ in range(3)] for weight in (hubs, even)]
        drawn = patient_draws([[run for run, _ in arm] for arm in arms], seed=0)
        own = [own_spread([interval for _, interval in arm]) for arm in arms]
        values = [[interval.value for _, interval in arm] for arm in arms]
        found = difference(values[0], values[1], share_spread(drawn, own))
        missed.append((found.low > 0, found.high < 0))
        # half of each run's interval for both ends, as it was before
        halves = [
            [Estimate(0.0, -(one.high - one.low) / 2, (one.high - one.low) / 2) for _, one in arm] for arm in arms
        ]
        equal = difference(values[0], values[1], share_spread(drawn, [own_spread(half) for half in halves]))
        by_one_variance.append(not equal.low <= 0 <= equal.high)
    above, below = np.mean(missed, axis=0)
    assert above <= 0.05
    assert below <= 0.05
    print(f"called apart: {above + below:.0%}, with one variance {np.mean(by_one_variance):.0%}")  # noqa: T201  # read with -s
    assert np.mean(by_one_variance) > above + below


def test_shared_patients_drop_out_of_a_difference() -> None:
    rng = np.random.default_rng(2)
    pull = rng.gamma(0.5, 4.0, size=PATIENTS)
    arms = [[hits(pull, rng, samples=5000)] for _ in range(2)]
    first, second = patient_draws(arms, seed=0)
    assert (first - second).var() < 0.2 * (first.var() + second.var())


def test_more_seeds_do_not_make_more_patients() -> None:
    rng = np.random.default_rng(3)
    pull = rng.gamma(0.5, 4.0, size=PATIENTS)
    few, many = ([hits(pull, rng) for _ in range(count)] for count in (3, 40))
    spread = [float(patient_draws([arm], seed=0)[0].std()) for arm in (few, many)]
    assert spread[1] > 0.5 * spread[0]


def test_one_seed_has_an_interval_of_patients_alone() -> None:
    found = estimate([0.8], Spread.even(0.01))
    assert (found.value, found.high - found.value) == (0.8, pytest.approx(0.196, abs=1e-3))
    assert difference([0.8], [0.7], Spread.even(0.0)) == Estimate(
        pytest.approx(0.1), pytest.approx(0.1), pytest.approx(0.1)
    )


def test_few_seeds_make_wide_intervals() -> None:
    two = estimate([0.7, 0.9], Spread.even(0.0))
    assert two.high - two.value == pytest.approx(12.706 * 0.1, rel=1e-3)  # Student's t with one degree of freedom


def test_a_patient_on_two_sides_is_refused() -> None:
    one = Hits(np.array(["a", "b"]), np.array([True, False]), np.ones(2))
    other = Hits(np.array(["a", "b"]), np.array([False, True]), np.ones(2))
    with pytest.raises(DataError, match='patient "a" stands on two sides'):
        patient_draws([[one], [other]], seed=0)


ABOVE, ACROSS, BELOW = Estimate(1, 0.5, 1.5), Estimate(1, -0.5, 1.5), Estimate(-1, -1.5, -0.5)


def test_the_verdict_needs_every_comparison() -> None:
    assert verdict([[ABOVE], [ABOVE]]) == "reproduced"
    assert verdict([[ABOVE], [ACROSS]]) == "undecided"
    assert verdict([[ABOVE], [BELOW]]) == "not reproduced"
    assert verdict([[ACROSS], [BELOW]]) == "not reproduced"


def test_one_score_of_two_decides_unless_the_other_says_the_opposite() -> None:
    assert verdict([[ACROSS, ABOVE], [ABOVE, ACROSS]]) == "reproduced"
    assert verdict([[ACROSS, BELOW]]) == "not reproduced"
    assert verdict([[BELOW, ABOVE]]) == "undecided"
    assert verdict([[ACROSS, ACROSS]]) == "undecided"


def _verdicts(means: tuple[float, float]) -> list[str]:
    """What is said of two arms with three seeds each that differ by these means in two scores."""
    rng = np.random.default_rng(4)
    said = []
    for _ in range(800):
        scores = []
        for mean in means:
            first, second = rng.normal(mean, 1.0, size=3), rng.normal(0.0, 1.0, size=3)
            patients = rng.normal(0.0, 0.5)  # dealing other patients moves the difference too
            scores.append(difference(first + patients, second, Spread.even(0.25), level_of_each(2)))
        said.append(verdict([scores]))
    return said


def test_two_scores_decide_no_more_often_by_chance_than_one() -> None:
    by_chance = np.mean([one != "undecided" for one in _verdicts((0.0, 0.0))])
    assert by_chance <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / 800)


def test_a_score_that_cannot_see_a_difference_does_not_hide_it() -> None:
    said = _verdicts((0.0, 4.0))
    assert np.mean([one == "reproduced" for one in said]) > 0.6
    assert np.mean([one == "not reproduced" for one in said]) <= 0.025


DIMENSIONS, TEST_PATIENTS = 12, 80


def _distances(
    rng: np.random.Generator, shifts: tuple[float, float], seeds: int
) -> list[list[tuple[float, Deviations]]]:
    """Two arms' distances, and what they owe to the test patients, who are drawn anew and shared by all runs."""
    test = rng.normal(size=(TEST_PATIENTS, DIMENSIONS)) * np.linspace(0.5, 2, DIMENSIONS)
    arms = []
    for shift in shifts:
        runs = []
        for _ in range(seeds):
            made = rng.normal(rng.normal(shift, 0.02), 1, size=(100, DIMENSIONS))
            jackknife = block_jackknife(
                lambda index, made=made: frechet_distance(made[index[0]], test[index[1]]),
                [np.arange(len(made)), np.arange(TEST_PATIENTS)],
                seed=0,
            )
            by_samples, by_patients = (deviations["value"] for deviations in jackknife.deviations)
            runs.append((jackknife.values["value"], Deviations(by_patients, by_samples)))
        arms.append(runs)
    return arms


@pytest.mark.parametrize("seeds", [1, 3])
def test_distances_to_the_same_patients_are_compared_on_them(seeds: int) -> None:
    """The interval covers the truth, other patients, samples and trainings in every draw, and is the shorter one."""
    rng = np.random.default_rng(5)
    found, alone, distances = [], [], []
    for _ in range(120):
        first, second = _distances(rng, (0.5, 0.3), seeds)
        values = [[value for value, _ in arm] for arm in (first, second)]
        deviations = [[one for _, one in arm] for arm in (first, second)]
        found.append(difference(*values, distance_spread(*deviations)))
        unpaired = sum(distance_spread(arm).below for arm in deviations)
        alone.append(difference(*values, Spread.even(unpaired, TEST_PATIENTS)))
        distances.append(np.mean(values, axis=1))
    truth = np.mean([first - second for first, second in distances])
    inside = np.mean([one.low <= truth <= one.high for one in found])
    assert inside >= 0.9
    assert np.median([one.high - one.low for one in found]) < 0.85 * np.median([one.high - one.low for one in alone])


def test_distances_to_other_patients_are_not_compared() -> None:
    runs = [Deviations(np.zeros(blocks), np.zeros(5)) for blocks in (5, 6)]
    with pytest.raises(DataError, match="different test patients"):
        distance_spread(runs[:1], runs[1:])
