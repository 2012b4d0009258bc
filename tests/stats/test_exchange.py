from __future__ import annotations

import numpy as np
import pytest
from memobench.stats.exchange import ExactTest, keep_null, labellings, per_patient, permutation_tests
from scipy import stats


def _one(contributions: np.ndarray, in_train: np.ndarray, **options: int) -> ExactTest:
    (test,) = permutation_tests(contributions[:, None], in_train, **options)
    return test


@pytest.mark.parametrize("pools", [([7, 3], [2, 8]), ([6, 9], [1, 4])], ids=["equal", "unequal"])
def test_permutation_equals_fishers_exact_test_where_patients_carry_0_or_1(pools: tuple[list[int], list[int]]) -> None:
    (hits, misses), (other_hits, other_misses) = pools
    hit = np.repeat([1.0, 0, 1, 0], [hits, misses, other_hits, other_misses])
    in_train = np.arange(len(hit)) < hits + misses
    test = _one(hit, in_train, draws=40_000)
    for found, side in ((test.more, "greater"), (test.less, "less")):
        exact = stats.fisher_exact([[hits, misses], [other_hits, other_misses]], alternative=side).pvalue
        assert found == pytest.approx(exact, abs=0.006)


@pytest.mark.parametrize("train", [20, 30], ids=["equal", "unequal"])
def test_fuzzy_p_values_are_uniform_and_reported_ones_valid_although_ties_are_many(train: int) -> None:
    rng = np.random.default_rng(1)
    tests = [
        _one(rng.poisson(0.2, size=40).astype(float), rng.permutation(np.arange(40) < train), draws=199, seed=seed)
        for seed in range(400)
    ]
    assert stats.kstest([test.fuzzy for test in tests], "uniform").pvalue > 0.01
    assert np.mean([test.more <= 0.05 for test in tests]) < 0.05 + 2 * (0.05 * 0.95 / 400) ** 0.5
    assert np.mean([test.less <= 0.05 for test in tests]) < 0.05 + 2 * (0.05 * 0.95 / 400) ** 0.5


def test_columns_share_labellings_and_do_not_disturb_each_other() -> None:
    rng = np.random.default_rng(0)
    both, in_train = rng.random((30, 2)), np.arange(30) < 15
    together = permutation_tests(both, in_train, draws=500, seed=3)
    assert [test.more for test in together] == [_one(both[:, k], in_train, draws=500, seed=3).more for k in range(2)]


def test_nothing_to_test_gives_one() -> None:
    test = _one(np.zeros(10), np.arange(10) < 5)
    assert (test.more, test.less) == (1.0, 1.0)


def test_labellings_keep_the_size_of_a_pool_even_when_it_is_empty_or_one() -> None:
    for train in (0, 1, 6):
        dealt = np.concatenate(list(labellings(np.arange(6) < train, 1500, np.random.default_rng(0))))
        assert dealt.shape == (1500, 6)
        assert (dealt.sum(axis=1) == train).all()


def test_keep_null_changes_an_interval_only_where_the_test_allows() -> None:
    assert keep_null((0.2, 0.1, 0.3), 0.0, ExactTest(0.01, 1.0, 0.01)) == (0.2, 0.1, 0.3)
    assert keep_null((-0.2, -0.3, -0.1), 0.0, ExactTest(0.9, 0.1, 0.9)) == (-0.2, -0.3, 0.0)


def test_per_patient_counts_by_name() -> None:
    names = np.array(["a", "b", "c"])
    assert per_patient(np.array([True, True, False]), np.array(["c", "a", "c"]), names).tolist() == [1.0, 0.0, 1.0]


def test_many_patients_are_dealt_in_smaller_batches_but_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    in_train = np.arange(40) < 17
    whole = list(labellings(in_train, 100, np.random.default_rng(3)))
    monkeypatch.setattr("memobench.stats.exchange.HELD", 300)
    parts = list(labellings(in_train, 100, np.random.default_rng(3)))
    assert {len(part) for part in parts} == {7, 2}
    assert np.array_equal(np.concatenate(whole), np.concatenate(parts))


def test_labels_are_exchanged_within_strata_alone() -> None:
    in_train = np.array([True] * 6 + [False] * 14)
    strata = np.array([0, 1] * 10)
    labels = np.concatenate(list(labellings(in_train, 3000, np.random.default_rng(0), strata=strata)))
    for stratum in (0, 1):
        own = strata == stratum
        assert (labels[:, own].sum(axis=1) == in_train[own].sum()).all()
        assert labels[:, own].mean(axis=0) == pytest.approx(np.full(10, in_train[own].mean()), abs=0.04)


def test_one_stratum_gives_the_labellings_of_none_to_the_last_digit() -> None:
    in_train = np.arange(30) < 11
    plain, one = (
        np.concatenate(list(labellings(in_train, 50, np.random.default_rng(4), strata=strata)))
        for strata in (None, np.zeros(30, dtype=np.int64))
    )
    assert (plain == one).all()


def test_what_strata_explain_is_no_finding() -> None:
    strata = np.repeat([0, 1], 20)
    in_train = np.concatenate([np.arange(20) < 15, np.arange(20) < 5])
    contributions = np.where(strata == 0, 5.0, 1.0)[:, None] + np.random.default_rng(1).random((40, 1))
    (plain,) = permutation_tests(contributions, in_train)
    (within,) = permutation_tests(contributions, in_train, strata=strata)
    assert plain.more < 0.01 < within.more
