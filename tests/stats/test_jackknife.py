from __future__ import annotations

import numpy as np
import pytest
from memobench.base.errors import DataError
from memobench.quality.fd import frechet_distance
from memobench.stats.jackknife import block_jackknife, wilson


def test_jackknife_of_a_mean_with_single_blocks_is_the_textbook_standard_error():
    x = np.random.default_rng(0).normal(size=40)
    result = block_jackknife(lambda index: float(x[index[0]].mean()), [np.arange(40)], blocks=40, seed=0)
    assert result.values["value"] == pytest.approx(x.mean())
    assert result.standard_error["value"] == pytest.approx(x.std(ddof=1) / np.sqrt(40))
    assert result.degrees["value"] == pytest.approx(39)
    low, high = result.interval()
    assert (low + high) / 2 == pytest.approx(x.mean())
    assert (high - low) / 2 == pytest.approx(2.0227 * result.standard_error["value"], rel=1e-4)  # t of 39 degrees


def test_variances_of_independent_sets_add():
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=60), rng.normal(size=30) * 3

    def difference(index):
        return {"difference": float(x[index[0]].mean() - y[index[1]].mean()), "nothing": 1.0}

    result = block_jackknife(difference, [np.arange(60), np.arange(30)], blocks=60, seed=0)
    expected = np.sqrt(x.var(ddof=1) / 60 + y.var(ddof=1) / 30)
    assert result.standard_error["difference"] == pytest.approx(expected)
    assert 29 <= result.degrees["difference"] < 45
    assert result.interval("nothing") == pytest.approx((1.0, 1.0), abs=1e-12)


def test_groups_stay_together():
    labels = np.array(["b", "a", "b", "c", "a", "d", "e", "e", "e"])
    seen = []

    def watch(index):
        seen.append(index[0])
        return 0.0

    block_jackknife(watch, [labels], blocks=3, seed=3)
    assert len(seen) == 1 + 3
    left_out = [set(range(9)) - set(index.tolist()) for index in seen[1:]]
    assert sorted(i for block in left_out for i in block) == list(range(9))
    for name in "abcde":
        rows = set(np.flatnonzero(labels == name).tolist())
        assert sum(rows <= block for block in left_out) == 1
    assert max(map(len, left_out)) <= 4  # dealt about evenly: a mean of 3 and patients of up to 3


def test_the_seed_deals_the_blocks():
    x = np.random.default_rng(2).normal(size=100)

    def error(seed):
        return block_jackknife(lambda i: float(x[i[0]].mean()), [np.arange(100)], seed=seed).standard_error["value"]

    assert error(0) == error(0) != error(1)


def test_one_group_has_no_interval():
    with pytest.raises(DataError, match="set 2 of the jackknife has 1 group"):
        block_jackknife(lambda index: 0.0, [np.arange(5), np.zeros(5)], seed=0)


def test_interval_of_a_clustered_mean_covers():
    rng = np.random.default_rng(3)
    hits = 0
    for trial in range(400):
        sizes = rng.integers(1, 6, size=50)
        labels = np.repeat(np.arange(50), sizes)
        x = rng.normal(size=50)[labels] + rng.normal(size=len(labels))
        low, high = block_jackknife(lambda i, x=x: float(x[i[0]].mean()), [labels], seed=trial).interval()
        hits += low <= 0 <= high
    assert 0.92 <= hits / 400 <= 0.98  # 3 standard errors about 0.95


@pytest.mark.parametrize("shift", [0.0, 0.5])
def test_interval_of_a_frechet_distance_covers_its_expectation(shift):
    rng = np.random.default_rng(4)
    trials = 200
    draws = [(rng.normal(size=(80, 5)), rng.normal(size=(60, 5)) + shift) for _ in range(trials)]
    expectation = np.mean([frechet_distance(x, y) for x, y in draws])
    hits = 0
    for trial, (x, y) in enumerate(draws):
        groups = [np.arange(80), np.arange(60)]
        result = block_jackknife(lambda i, x=x, y=y: frechet_distance(x[i[0]], y[i[1]]), groups, seed=trial, blocks=10)
        low, high = result.interval()
        hits += low <= expectation <= high
    assert 0.90 <= hits / trials <= 1.0


def test_wilson_against_published_and_scipy():
    stats = pytest.importorskip("scipy.stats")
    for successes, trials in [(0, 10), (1, 10), (5, 10), (10, 10), (81, 263), (15, 148)]:
        theirs = stats.binomtest(successes, trials).proportion_ci(method="wilson")
        assert wilson(successes, trials) == pytest.approx((theirs.low, theirs.high), abs=1e-12)
    assert [round(end, 4) for end in wilson(81, 263)] == [0.2553, 0.3662]  # Newcombe 1998, table I
    with pytest.raises(ValueError, match="not a proportion"):
        wilson(0, 0)
    with pytest.raises(ValueError, match="not a proportion"):
        wilson(3, 2)
