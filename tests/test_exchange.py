from __future__ import annotations

import numpy as np
import pytest
from memobench.exchange import (
    clopper_pearson,
    clustered_share,
    difference,
    effective_size,
    keep_null,
    per_patient,
    permutation_test,
)
from scipy import stats


def test_permutation_equals_the_exact_test_where_all_labellings_can_be_counted() -> None:
    # Fisher's exact test is the same permutation test when every patient carries 0 or 1.
    hit = np.array([1] * 7 + [0] * 3 + [1] * 2 + [0] * 8, dtype=float)
    in_train = np.arange(20) < 10
    more, less = permutation_test(hit, in_train, draws=40_000)
    exact = stats.fisher_exact([[7, 3], [2, 8]], alternative="greater").pvalue
    assert more == pytest.approx(exact, abs=0.004)
    assert less > 0.95


def test_permutation_p_values_are_uniform_when_labels_are_random() -> None:
    rng = np.random.default_rng(1)
    values = []
    for seed in range(300):
        contributions = rng.gamma(0.5, size=40)
        in_train = rng.permutation(np.arange(40) < 20)
        values.append(permutation_test(contributions, in_train, draws=999, seed=seed)[0])
    assert stats.kstest(values, "uniform").pvalue > 0.01


def test_nothing_to_test_gives_one() -> None:
    assert permutation_test(np.zeros(10), np.arange(10) < 5) == (1.0, 1.0)


@pytest.mark.parametrize(("x", "n"), [(0, 10), (3, 10), (10, 10), (1, 1)])
def test_clopper_pearson_equals_scipy(x: int, n: int) -> None:
    expected = stats.binomtest(x, n).proportion_ci(method="exact")
    assert clopper_pearson(x, n) == pytest.approx((expected.low, expected.high))


def test_clustered_share_is_the_exact_interval_for_clusters_of_one() -> None:
    hits = np.array([1.0] * 30 + [0.0] * 70)
    share, low, high = clustered_share(hits, np.ones(100))
    assert share == 0.3
    assert (low, high) == pytest.approx(clopper_pearson(30, 100), abs=0.005)


def test_clustered_share_covers_a_clustered_truth() -> None:
    rng = np.random.default_rng(0)
    covered = 0
    for _ in range(300):
        chance = rng.beta(2, 6, size=40)  # truth 0.25, strongly clustered
        sizes = rng.integers(1, 12, size=40).astype(float)
        hits = rng.binomial(sizes.astype(int), chance).astype(float)
        _, low, high = clustered_share(hits, sizes)
        covered += low <= 0.25 <= high
    assert covered / 300 >= 0.93


def test_five_clusters_on_one_side_do_not_exclude_a_half() -> None:
    _, low, _ = clustered_share(np.full(5, 100.0), np.full(5, 100.0))
    assert low < 0.5


def test_no_samples_tell_nothing() -> None:
    assert clustered_share(np.zeros(3), np.zeros(3)) == (0.0, 0.0, 1.0)
    assert effective_size(np.zeros(3)) == 0.0


def test_difference_of_independent_shares_is_newcombes() -> None:
    d, low, high = difference((0.56 / 0.7, 0.7, 0.88), (0.5, 0.4, 0.6))
    assert low == pytest.approx(d - (0.1**2 + 0.1**2) ** 0.5)
    assert high == pytest.approx(d + (0.08**2 + 0.1**2) ** 0.5)


def test_keep_null_changes_an_interval_only_where_the_test_allows() -> None:
    assert keep_null((0.2, 0.1, 0.3), 0.0, (0.01, 1.0)) == (0.2, 0.1, 0.3)
    assert keep_null((-0.2, -0.3, -0.1), 0.0, (0.9, 0.1)) == (-0.2, -0.3, 0.0)


def test_per_patient_counts_by_name() -> None:
    names = np.array(["a", "b", "c"])
    assert per_patient(np.array([True, True, False]), np.array(["c", "a", "c"]), names).tolist() == [1.0, 0.0, 1.0]
