from __future__ import annotations

import numpy as np
import pytest
from memobench.base.errors import DataError
from memobench.memorization.published import published_metrics, published_rule, published_rule_matched


def _similarities(train: int, validation: int, samples: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    # the spectrum of learned features decays
    spectrum = np.arange(1, 21) ** -0.5
    sets = [(spectrum * rng.normal(size=(n, 20))).astype(np.float32) for n in (train, validation, samples)]
    a, b, c = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in sets)
    return a @ b.T, c @ a.T, c @ b.T


def _flagged(train: int, validation: int, samples: int, draws: int) -> np.ndarray:
    """Mean shares flagged when nothing is memorized: n_mem, n_copies, and both with matched sizes."""
    shares = []
    for seed in range(draws):
        to_validation, from_samples, _ = _similarities(train, validation, samples, seed)
        rule = published_rule(to_validation, from_samples)
        matched = published_rule_matched(to_validation, from_samples, seed=seed)
        shares.append([rule.n_mem / train, rule.n_copies / samples, matched.n_mem / train, matched.n_copies / samples])
    return np.mean(shares, axis=0)


@pytest.mark.smoke
def test_without_memorization_the_rule_flags_more_than_it_says_at_the_sizes_in_use() -> None:
    n_mem, n_copies, n_mem_matched, n_copies_matched = _flagged(904, 226, 904, 6)
    assert n_mem == pytest.approx(0.136, abs=0.02)
    assert n_copies == pytest.approx(0.140, abs=0.02)
    assert n_mem_matched == pytest.approx(0.05, abs=0.02)
    assert n_copies_matched == pytest.approx(0.05, abs=0.02)


@pytest.mark.slow
def test_the_excess_grows_with_the_ratio_of_the_pools() -> None:
    n_mem, n_copies, n_mem_matched, n_copies_matched = _flagged(5000, 100, 5000, 8)
    assert n_mem > 0.25
    assert n_copies > 0.25
    assert n_mem_matched == pytest.approx(0.05, abs=0.015)
    assert n_copies_matched == pytest.approx(0.05, abs=0.015)


def test_at_equal_sizes_matching_changes_nothing() -> None:
    to_validation, from_samples, _ = _similarities(300, 300, 300, 0)
    assert published_rule(to_validation, from_samples) == published_rule_matched(to_validation, from_samples)


def test_copies_are_counted() -> None:
    to_validation = np.full((4, 5), 0.5)
    from_samples = np.full((6, 4), 0.2)
    from_samples[[0, 1], [2, 2]] = 0.9  # two copies of one image
    rule = published_rule(to_validation, from_samples)
    assert (rule.tau, rule.n_mem, rule.n_copies) == (0.5, 1, 2)


def test_the_measured_null_is_what_the_rule_gives_when_nothing_is_memorized() -> None:
    found = [published_metrics(*_similarities(300, 300, 300, seed), seed=seed) for seed in range(10)]
    for name in found[0]:
        values = np.mean([metrics[name].value for metrics in found])
        nulls = np.mean([metrics[name].null for metrics in found])  # type: ignore[misc]
        assert values == pytest.approx(nulls, abs=0.35 * nulls)


def test_bad_input_is_refused() -> None:
    with pytest.raises(DataError, match="one set is empty"):
        published_rule(np.zeros((3, 0)), np.zeros((2, 3)))
    with pytest.raises(DataError, match="same training images"):
        published_rule(np.zeros((3, 2)), np.zeros((2, 4)))
    with pytest.raises(DataError, match="one set is empty"):
        published_metrics(np.zeros((3, 0)), np.zeros((2, 3)), np.zeros((2, 0)))
