from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from memobench.base.errors import DataError, UsageError
from memobench.challenge.perturb import perturb, perturbations_for
from memobench.challenge.planted import (
    Condition,
    Plan,
    Planted,
    answer,
    auc_interval,
    challenge,
    judge,
    one_per_patient_first,
    other_scans,
    plan_challenge,
    threshold_at,
)
from memobench.detection.contract import Matches
from memobench.detection.detectors.correlation import Correlation
from memobench.images import Images
from memobench.task import Splits

CONDITIONS = (Condition("unchanged", None), Condition("noise", "medium"), Condition("flip", "medium"))


def random_images(patients: int, scans: int, name: str, shape: tuple[int, ...] = (16, 16), seed: int = 0) -> Images:
    rng = np.random.default_rng(seed)
    pixels = 0.2 + 0.6 * rng.random((patients * scans, *shape)).astype(np.float32)
    owners = np.repeat([f"{name}{number:04d}" for number in range(patients)], scans)
    return Images(pixels, owners, np.array([f"{name}{number}" for number in range(len(pixels))]))


@pytest.fixture(scope="module")
def splits() -> Splits:
    sides = {
        name: random_images(30, 2, name, seed=number)
        for number, name in enumerate(["train", "holdout", "test", "fresh"])
    }
    return Splits(**sides, dev=None, digest="")  # type: ignore[arg-type]


def simulated(patients: int, seed: int, gap: float = 2.0, images: int = 1) -> tuple[Planted, Plan]:
    """Normal scores: strangers at 0, copies at ``gap``; a patient's images share most of their score."""
    rng = np.random.default_rng(seed)
    pool = random_images(patients, images, "train", shape=(2, 2))
    strangers = random_images(patients, images, "other", shape=(2, 2))
    n = len(pool)
    none = np.empty((0, 2, 2), np.float32)
    empty = np.empty(0, dtype=np.int64)
    plan = Plan(pool, np.arange(n), strangers, none, none, CONDITIONS, empty, np.arange(n), 0)

    def scores() -> np.ndarray:
        shared = np.repeat(rng.normal(size=(1, patients)), images, axis=1)
        return np.sqrt(0.9) * shared + np.sqrt(0.1) * rng.normal(size=(len(CONDITIONS), n))

    index = np.tile(np.arange(n), (len(CONDITIONS), 1))
    return Planted(gap + scores(), index, scores(), np.empty(0), empty), plan


def test_one_threshold_for_all_non_copies() -> None:
    planted, plan = simulated(200, seed=0)
    # the non-copies of one condition score far above those of the others
    shifted = planted.stranger_score + np.array([[0.0], [0.0], [10.0]])
    scores = judge(replace(planted, stranger_score=shifted), plan)
    assert scores.thresholds["at_1"] > 8
    assert all(row.metrics["tpr_at_1"].value < 0.02 for row in scores.rows)  # none has a threshold of its own


def test_rates_of_normal_scores_are_those_of_the_law() -> None:
    from scipy.stats import norm

    planted, plan = simulated(20_000, seed=1)
    scores = judge(planted, plan, tau=2.5)
    for row in scores.rows:
        value = {name: metric.value for name, metric in row.metrics.items()}
        assert value["auc"] == pytest.approx(norm.cdf(2 / np.sqrt(2)), abs=0.01)
        assert value["tpr_at_1"] == pytest.approx(norm.sf(norm.isf(0.01) - 2), abs=0.03)
        assert value["tpr_at_5"] == pytest.approx(norm.sf(norm.isf(0.05) - 2), abs=0.03)
        assert value["sensitivity"] == pytest.approx(norm.sf(0.5), abs=0.01)
        assert value["false_positive_rate"] == pytest.approx(norm.sf(2.5), abs=0.003)
        assert value["right_source"] == 1
    assert scores.summary["tpr_at_1"].value == pytest.approx(
        np.mean([row.metrics["tpr_at_1"].value for row in scores.rows[1:]])
    )


def test_a_blind_detector_reaches_the_nulls() -> None:
    planted, plan = simulated(20_000, seed=2, gap=0.0)
    for row in judge(planted, plan).rows:
        for name in ("auc", "tpr_at_1", "tpr_at_5"):
            null = row.metrics[name].null
            assert null is not None
            assert row.metrics[name].value == pytest.approx(null, abs=0.01)


@pytest.mark.parametrize("images", [1, 4])
def test_intervals_cover_the_truth(images: int) -> None:
    from scipy.stats import norm

    covered = {"auc": 0, "sensitivity": 0}
    truth = {"auc": norm.cdf(2 / np.sqrt(2)), "sensitivity": norm.sf(0.5)}
    draws = 200
    for seed in range(draws):
        planted, plan = simulated(40, seed, images=images)
        row = judge(planted, plan, tau=2.5).rows[0]
        for name in covered:
            metric = row.metrics[name]
            assert metric.low is not None
            assert metric.high is not None
            covered[name] += metric.low <= truth[name] <= metric.high
    assert all(count >= 0.92 * draws for count in covered.values()), covered


def test_the_mean_counts_patients_not_conditions() -> None:
    planted, plan = simulated(60, seed=3)
    planted = replace(planted, copy_score=np.tile(planted.copy_score[:1], (3, 1)))  # three times the same answers
    scores = judge(planted, plan, tau=2.5)
    single, mean = scores.rows[1].metrics["sensitivity"], scores.summary["sensitivity"]
    assert mean.value == pytest.approx(single.value)
    # three times the images would make it narrower by 0.05 a side
    assert (mean.low, mean.high) == pytest.approx((single.low, single.high), abs=0.01)


def test_thresholds_with_ties() -> None:
    tied = np.repeat([1.0, 0.0], [50, 950])
    assert threshold_at(tied, 0.01) == 1  # nothing can be called without calling all fifty
    assert threshold_at(tied, 0.05) == 0
    assert threshold_at(np.arange(30.0), 0.01) == 29


@pytest.mark.parametrize("area", [0.0, 1e-4, 0.3, 0.5, 0.97, 1 - 1e-12, 1.0])
def test_auc_intervals_hold_the_area_and_mirror(area: float) -> None:
    low, high = auc_interval(area, 30, 60)
    assert 0 <= low <= area <= high <= 1
    assert high - low > 0.02
    assert auc_interval(1 - area, 30, 60) == pytest.approx((1 - high, 1 - low), abs=1e-6)
    wide = auc_interval(area, 5, 5)
    assert wide[1] - wide[0] > high - low


def test_a_plan_takes_every_patient_before_any_twice(splits: Splits) -> None:
    plan = plan_challenge(splits, count=40)
    owners = plan.pool.patients[plan.sources]
    assert len(np.unique(owners[:30])) == 30
    assert len(plan.sources) == len(set(plan.sources.tolist())) == 40
    assert len(plan_challenge(splits, count=1000).sources) == 60
    rows = one_per_patient_first(np.array(["a"] * 5 + ["b"]), 2, np.random.default_rng(0))
    assert 5 in rows


def test_a_plan_is_fixed_by_its_seed(splits: Splits) -> None:
    first, again, other = (plan_challenge(splits, count=10, seed=seed) for seed in (0, 0, 1))
    assert np.array_equal(first.sources, again.sources)
    assert not np.array_equal(first.sources, other.sources)
    assert [condition.perturbation for condition in first.conditions[1:]] == list(perturbations_for(2))
    for condition in first.conditions:
        assert np.array_equal(first.copies(condition), again.copies(condition))
        assert np.array_equal(first.non_copies(condition), again.non_copies(condition))


def test_nobody_stands_on_two_sides_of_a_plan(splits: Splits) -> None:
    plan = plan_challenge(splits, count=25)
    assert plan.pool is splits.train
    assert {name[:4] for name in plan.strangers.patients} <= {"test", "fres"}
    held = {image.tobytes() for image in splits.holdout.pixels}
    assert all(image.tobytes() in held for image in (*plan.source_others, *plan.stranger_others))
    assert np.array_equal(plan.copies(plan.conditions[0]), splits.train.pixels[plan.sources])
    assert np.array_equal(plan.non_copies(plan.conditions[0]), plan.strangers.pixels)


def test_other_scans_leave_the_patient_but_not_the_scan(splits: Splits) -> None:
    pool = splits.train
    queried, kept = other_scans(pool, 1000, np.random.default_rng(0))
    assert len(queried) == 30
    assert not set(queried) & set(kept)
    assert set(pool.patients[queried]) == set(pool.patients[kept])
    assert not set(pool.scans[queried]) & set(pool.scans[kept])
    assert len(other_scans(pool, 7, np.random.default_rng(0))[0]) == 7
    single = pool.take(np.arange(0, 60, 2))
    queried, kept = other_scans(single, 1000, np.random.default_rng(0))
    assert len(queried) == 0
    assert len(kept) == 30


def test_a_detector_that_knows_everything_finds_everything(splits: Splits) -> None:
    plan = plan_challenge(splits, count=20)
    known = {
        image.tobytes(): row
        for condition in plan.conditions
        for image, row in zip(plan.copies(condition), plan.sources, strict=True)
    }

    def oracle(queries: np.ndarray, pool: Images) -> Matches:
        if pool is not plan.pool:  # other scans
            return Matches(np.zeros((len(queries), 1), np.float32), np.zeros((len(queries), 1), np.int64))
        rows = [known.get(image.tobytes()) for image in queries]
        score = np.array([row is not None for row in rows], np.float32)
        return Matches(score[:, None], np.array([row or 0 for row in rows])[:, None])

    scores = judge(answer(oracle, plan), plan, tau=0.5)
    wanted = {"auc": 1, "tpr_at_1": 1, "tpr_at_5": 1, "right_source": 1, "same_patient": 0, "sensitivity": 1}
    for row in scores.rows:
        assert {name: row.metrics[name].value for name in wanted} == wanted
        assert row.metrics["false_positive_rate"].value == 0
    assert scores.summary["other_scans_at_1"].value == 0
    assert scores.other_scans == 20


@pytest.mark.parametrize(("asked", "held"), [(1, 1 << 26), (130, 1 << 26), (10_000, 1), (10_000, 30_000)])
def test_asking_in_parts_changes_nothing(
    splits: Splits, asked: int, held: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = plan_challenge(splits, count=20)
    whole = answer(Correlation().match, plan)
    monkeypatch.setattr("memobench.challenge.planted.ASKED", asked)
    monkeypatch.setattr("memobench.challenge.planted.HELD", held)
    parts = answer(Correlation().match, plan)
    assert whole.copy_score.shape == (13, 20)
    assert whole.stranger_score == pytest.approx(parts.stranger_score, abs=1e-6)
    assert whole.copy_score == pytest.approx(parts.copy_score, abs=1e-6)
    assert np.array_equal(whole.copy_index, parts.copy_index)


def test_a_patient_detector_is_told_from_a_copy_detector(splits: Splits) -> None:
    """One that answers with another scan of the right patient has no right source, and flags other scans."""
    plan = plan_challenge(splits, perturbations=["noise"], count=20)
    owner = {image.tobytes(): name for image, name in zip(splits.train.pixels, splits.train.patients, strict=True)}
    for condition in plan.conditions:
        made = plan.copies(condition)
        owner |= {image.tobytes(): splits.train.patients[row] for image, row in zip(made, plan.sources, strict=True)}
    sources = {splits.train.pixels[row].tobytes() for row in plan.sources}

    def match(queries: np.ndarray, pool: Images) -> Matches:
        score, index = [], []
        for image in queries:
            name = owner.get(image.tobytes())
            own = [row for row in np.flatnonzero(pool.patients == name) if pool.pixels[row].tobytes() not in sources]
            score.append(float(name is not None))
            index.append(own[0] if own else 0)
        return Matches(np.array(score, np.float32)[:, None], np.array(index)[:, None])

    scores = judge(answer(match, plan), plan, tau=0.5)
    for row in scores.rows:
        assert row.metrics["right_source"].value == 0
        assert row.metrics["same_patient"].value == 1
    assert scores.summary["other_scans_at_1"].value == scores.summary["other_scans_at_tau"].value == 1


def test_the_small_challenge_of_a_run(splits: Splits) -> None:
    detector = Correlation()
    scores = challenge(detector.match, splits, perturbations=["gamma", "flip"], strengths=["weak", "strong"], count=12)
    found = {(row.perturbation, row.strength): row.metrics["tpr_at_1"].value for row in scores.rows}
    assert list(found) == [
        ("unchanged", None),
        ("gamma", "weak"),
        ("flip", "weak"),
        ("gamma", "strong"),
        ("flip", "strong"),
    ]
    assert found["gamma", "weak"] == 1
    assert found["flip", "strong"] < 0.5
    assert "sensitivity" not in scores.summary  # tau was not given
    assert challenge(detector.match, splits, perturbations=[], count=5).summary.keys() == {
        "other_scans_at_1",
        "reidentified",
    }


def test_three_dimensions() -> None:
    sides = {
        name: random_images(8, 1, name, (8, 10, 12), seed=n)
        for n, name in enumerate(["train", "holdout", "test", "fresh"])
    }
    volumes = Splits(**sides, dev=None, digest="")  # type: ignore[arg-type]
    scores = challenge(Correlation().match, volumes, count=6)
    assert [row.perturbation for row in scores.rows[1:]] == list(perturbations_for(3))
    assert scores.rows[0].metrics["right_source"].value == 1
    assert scores.other_scans == 0
    assert "other_scans_at_1" not in scores.summary


def test_copies_and_non_copies_are_perturbed_alike_but_not_by_the_same_noise(splits: Splits) -> None:
    plan = plan_challenge(splits, perturbations=["noise"], count=10)
    condition = plan.conditions[1]
    copied = plan.copies(condition) - splits.train.pixels[plan.sources]
    other = plan.non_copies(condition) - plan.strangers.pixels
    assert copied.std() == pytest.approx(other.std(), rel=0.1)
    assert abs(np.corrcoef(copied.ravel(), other.ravel())[0, 1]) < 0.1
    assert not np.array_equal(copied, perturb(splits.train.pixels[plan.sources], "noise", seed=0))


def test_what_cannot_be_asked_is_refused(splits: Splits) -> None:
    with pytest.raises(DataError, match="count of 1"):
        plan_challenge(splits, count=0)
    with pytest.raises(UsageError, match='did you mean "blur"'):
        challenge(Correlation().match, splits, perturbations=["blurr"], count=2)
