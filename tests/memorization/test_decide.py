from __future__ import annotations

import numpy as np
import pytest
from memobench.base.errors import DataError
from memobench.memorization.decide import threshold
from scipy import stats

LAWS = [stats.norm(), stats.expon(), stats.beta(8, 3), stats.gumbel_r(), stats.uniform()]


@pytest.mark.parametrize("images", [200, 300, 3000])
@pytest.mark.parametrize("law", LAWS, ids=lambda d: d.dist.name)
def test_few_scores_reach_the_tail_on_average(law, images: int) -> None:  # type: ignore[no-untyped-def]
    rng = np.random.default_rng(0)
    found = [threshold(law.rvs(images, random_state=rng), 0.5) for _ in range(300)]
    beyond = np.mean([law.sf(one.tau) for one in found])
    assert beyond < 0.0015  # aimed at: 0.001
    if np.isinf(law.support()[1]):  # a law that ends is met with a threshold beyond its end: no end is believed
        assert beyond > 0.0002


def test_the_predictive_limit_is_exact_for_exponential_excesses() -> None:
    rng = np.random.default_rng(0)
    excess, new = rng.exponential(size=(40_000, 20)), rng.exponential(size=40_000)
    limit = excess.sum(axis=1) * np.expm1(-np.log(0.01) / 20)
    plain = excess.mean(axis=1) * -np.log(0.01)
    assert (new > limit).mean() == pytest.approx(0.01, abs=0.001)
    assert (new > plain).mean() > 0.014
    widened = threshold(rng.exponential(size=200), 0.5).widened  # 20 excesses, of which 1% are beyond tau
    assert widened == pytest.approx(float(np.mean(limit / plain)))


def test_many_scores_need_no_fit() -> None:
    scores = np.random.default_rng(0).normal(size=40_000)
    found = threshold(scores, 0.5)
    assert found.method == "empirical"
    assert (scores >= found.tau).mean() == pytest.approx(0.001, abs=1e-4)


def test_larger_pools_raise_more_scores_and_so_the_quantile_sought_is_less_extreme() -> None:
    scores = np.random.default_rng(0).normal(size=300)
    assert threshold(scores, 1.0).tau < threshold(scores, 0.5).tau


def test_the_fit_is_reported() -> None:
    found = threshold(np.random.default_rng(0).normal(size=300), 1.0)
    assert found.method == "generalized Pareto"
    assert found.misfit is not None
    assert 0 < found.misfit < 0.3


def test_too_few_or_equal_scores_are_refused() -> None:
    with pytest.raises(DataError, match="at least 8"):
        threshold(np.arange(5.0), 1.0)
    with pytest.raises(DataError, match="no difference"):
        threshold(np.ones(50), 1.0)


def test_tau_is_never_above_the_score_of_exact_copies() -> None:
    scores = np.random.default_rng(0).standard_t(2, size=40)
    free, capped = threshold(scores, 1.0), threshold(scores, 1.0, highest=3.0)
    assert free.tau > 3.0
    assert not free.capped
    assert capped.tau == 3.0
    assert capped.capped
