from __future__ import annotations

import warnings

import numpy as np
import pytest
from memobench.stats.auc import probability_above


def test_it_is_the_area_of_scikit_learn() -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    rng = np.random.default_rng(0)
    for decimals in (1, 6):
        higher, lower = np.round(rng.normal(1, 1, 83), decimals), np.round(rng.normal(0, 1, 211), decimals)
        labels = np.repeat([1, 0], [len(higher), len(lower)])
        expected = metrics.roc_auc_score(labels, np.concatenate([higher, lower]))
        assert probability_above(higher, lower) == pytest.approx(expected, rel=1e-12)


def test_equal_values_count_half_without_a_warning() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert probability_above(np.zeros(4), np.zeros(7)) == 0.5
        assert probability_above(np.array([1.0]), np.array([0.0])) == 1.0
        assert probability_above(np.array([-np.inf, 1.0]), np.array([-np.inf, 0.0])) == 0.625
