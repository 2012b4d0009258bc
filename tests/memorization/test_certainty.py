"""Certainty of single matches: convicts what is a copy, and nothing else, in sets of known truth."""

from __future__ import annotations

import numpy as np
import pytest
from memobench.base.errors import DataError
from memobench.calibration.matches import SITUATIONS, Convictions, Situation, convictions, draw_matches
from memobench.memorization.certainty import NullScores, evidence_of, holm_over_clusters, specific
from memobench.memorization.decide import decide
from memobench.memorization.rates import Pools
from memobench.memorization.shift import Shift
from memobench.stats.tails import fit_tail

SAME = Shift(True, 1.0, 0.5)


@pytest.fixture(autouse=True)
def few_simulations(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("memobench.stats.tails.SIMULATIONS", 19)


def of(name: str, draws: int = 10) -> Convictions:
    return convictions(next(one for one in SITUATIONS if one.name == name), draws=draws)


@pytest.mark.parametrize("name", [one.name for one in SITUATIONS if not one.copies and not one.leaked])
def test_new_patients_are_not_convicted(name: str) -> None:
    found = of(name)
    assert found.either <= 0.05
    assert found.leak <= 0.05
    assert found.wrong == 0


@pytest.mark.parametrize("name", ["1 copies of 300", "1 copies of 60", "5 copies of 300"])
def test_single_copies_are_certain_and_named(name: str) -> None:
    found = of(name)
    assert found.either >= 0.85
    assert found.named >= 0.8
    assert found.leak <= 0.1
    assert found.wrong <= 1


def test_one_image_repeated_three_hundred_times_is_convicted_as_one() -> None:
    found = of("1 training image, 300 times")
    assert found.certain == 1.0
    assert found.named == 1.0
    drawn = draw_matches(found.situation, 0).evidence
    assert drawn.train.called == 300
    assert drawn.train.clusters == 1
    assert drawn.train.patients == 1


def test_a_leak_is_named_and_is_no_copy_of_train() -> None:
    alone, mixed = of("10 copies of holdout"), of("10 copies, 5 of holdout")
    assert alone.leak >= 0.9
    assert alone.either <= 0.05
    assert mixed.leak >= 0.9
    assert mixed.either >= 0.9


def test_copies_are_found_though_holdout_is_of_another_source() -> None:
    assert of("15 copies of 300, another holdout").either >= 0.9


@pytest.mark.slow
@pytest.mark.parametrize("situation", SITUATIONS, ids=lambda one: one.name)
def test_calibration_of_every_situation(situation: Situation, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("memobench.stats.tails.SIMULATIONS", 199)
    found = convictions(situation, draws=200)
    if situation.copies or situation.leaked:
        assert max(found.either, found.leak) >= 0.95 - 2 * np.sqrt(0.05 * 0.95 / 200)
    else:
        assert found.either <= 0.05 + 2 * np.sqrt(0.05 * 0.95 / 200)
        assert found.leak <= 0.05


def test_p_values_of_new_patients_are_valid_on_either_side() -> None:
    situation = Situation("uniform", samples=400, patients=60, pool_fraction=1.0)
    drawn = [draw_matches(situation, seed) for seed in range(25)]
    p_match = np.concatenate([one.evidence.p_match for one in drawn])
    on_train = np.concatenate([one.on_train for one in drawn])
    for level in (0.2, 0.1, 0.01, 0.001):
        for side in (on_train, ~on_train):
            assert (side & (p_match <= level)).mean() <= 1.4 * level + 1e-4
    assert (on_train & (p_match <= 0.1)).mean() > 0.02  # and not empty


def test_a_sample_that_matches_both_sides_as_strongly_is_no_specific_match() -> None:
    tail = fit_tail(np.random.default_rng(0).normal(-2, 1, size=200))
    zero = np.zeros(3, dtype=np.int64)
    decisions = decide(np.array([10, 10, 10], np.float32), zero, np.array([9.5, -3, -np.inf], np.float32), zero, 3.0)
    assert specific(decisions, tail) == pytest.approx([10 - 11.5, 10, 10], abs=0.3)


def test_holm_is_holms_where_all_samples_differ() -> None:
    p_values = np.array([0.01, 0.04, 0.03, 0.005])
    assert holm_over_clusters(p_values, np.arange(4)) == pytest.approx([0.03, 0.06, 0.06, 0.02])


def test_one_strong_match_in_a_large_cluster_counts_as_often_as_the_cluster_is_large() -> None:
    p_values = np.append(1e-4, np.full(99, 0.5))
    assert holm_over_clusters(p_values, np.zeros(100, dtype=np.int64))[0] == pytest.approx(1e-2)
    assert len(holm_over_clusters(np.empty(0), np.empty(0, dtype=np.int64))) == 0


def matched(train: float, holdout: float, patients: int = 30, repeats: int = 1) -> tuple:
    """One sample, repeated, that scores so on both sides, among 20 new patients' samples."""
    rng = np.random.default_rng(1)
    names = np.array([f"p{k:03}" for k in range(2 * patients)])
    pools = Pools(names[:patients], names[patients:])
    null = rng.gumbel(-2.4, 0.7, size=2 * patients).astype(np.float32)
    low = rng.gumbel(-3.2, 0.5, size=(2, 20))
    scores = np.concatenate([low, np.tile([[train], [holdout]], repeats)], axis=1).astype(np.float32)
    index = rng.integers(patients, size=scores.shape)
    index[:, 20:] = 3
    return decide(scores[0], index[0], scores[1], index[1], 2.0), pools, NullScores(null, names, 1.0)


def test_sides_are_told_apart() -> None:
    decisions, pools, null = matched(-3.0, 13.0)
    found = evidence_of(decisions, pools, null, 2.0, shift=SAME)
    assert found.holdout.certain.tolist() == [False] * 20 + [True]
    assert found.holdout.patients == 1
    assert found.train.called == 0
    assert found.train.p_count == 1.0
    assert found.train.p_set > 0.01 > found.holdout.p_set


def test_repeats_of_a_called_new_image_are_one_call() -> None:
    decisions, pools, null = matched(2.5, -3.0, repeats=18)
    near = np.append(np.arange(20), np.full(18, 20))
    one = evidence_of(decisions, pools, null, 2.0, near=near, shift=SAME)
    assert one.train.called == 18
    assert one.train.clusters == 1
    assert one.train.p_count > 0.01
    assert not one.train.certain.any()
    # without pixels samples of one patient are one call too
    assert evidence_of(decisions, pools, null, 2.0, shift=SAME).train.clusters == 1


def test_a_shift_makes_no_match_more_certain() -> None:
    decisions, pools, null = matched(9.0, -3.0)
    shifted = Shift(False, 0.001, 0.9)
    same, apart = (evidence_of(decisions, pools, null, 2.0, shift=shift) for shift in (SAME, shifted))
    assert (apart.p_match >= same.p_match).all()
    assert apart.train.expected >= same.train.expected


def test_unequal_sides_are_weighed_by_their_size() -> None:
    decisions, pools, null = matched(9.0, -3.0)
    large = Pools(np.repeat(pools.train, 3), pools.holdout)
    same, more = (evidence_of(decisions, side, null, 2.0, shift=SAME) for side in (pools, large))
    assert more.p_match[20] == pytest.approx(1.5 * same.p_match[20])


def test_cluster_numbers_of_another_set_are_refused() -> None:
    decisions, pools, null = matched(9.0, -3.0)
    with pytest.raises(DataError, match="21 samples but 3"):
        evidence_of(decisions, pools, null, 2.0, near=np.zeros(3, dtype=np.int64), shift=SAME)
