"""The tail of null scores: against scipy, against laws that are known, and honest where there are few."""

from __future__ import annotations

import numpy as np
import pytest
from memobench.base.errors import DataError
from memobench.stats.tails import TailFit, by_l_moments, fit_tail
from scipy import stats


def drawn(law: stats.rv_continuous, n: int, seed: int) -> np.ndarray:
    return np.asarray(law.rvs(n, random_state=np.random.default_rng(seed)))


@pytest.fixture(autouse=True)
def few_simulations(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("memobench.stats.tails.SIMULATIONS", 19)


def test_l_moments_agree_with_the_likelihood_fit_of_scipy() -> None:
    excess = drawn(stats.genpareto(0.3, scale=2.0), 4000, 0)
    shape, scale = by_l_moments(excess)
    by_likelihood, _, other_scale = stats.genpareto.fit(excess, floc=0)
    assert shape == pytest.approx(by_likelihood, abs=0.06)
    assert scale == pytest.approx(other_scale, rel=0.06)


def test_misfit_is_the_statistic_of_scipys_kstest() -> None:
    values = drawn(stats.norm(), 400, 1)
    fit = fit_tail(values)
    excess = np.sort(values)[-fit.excesses :] - fit.start
    law = stats.genpareto(fit.shape, scale=fit.scale)
    assert not fit.poor
    assert fit.misfit == pytest.approx(stats.kstest(excess, law.cdf).statistic, abs=1e-9)


def test_survival_is_that_of_scipys_law_where_there_are_many_excesses() -> None:
    values = drawn(stats.expon(), 40_000, 2)
    fit = fit_tail(values)
    law = stats.genpareto(fit.shape, scale=fit.scale)
    points = fit.start + np.array([0.5, 2.0, 4.0])
    assert fit.survival(points) == pytest.approx(0.25 * law.sf(points - fit.start), rel=0.03)


@pytest.mark.parametrize("n", [8, 40, 200])
@pytest.mark.parametrize("law", [stats.expon(), stats.gumbel_r(), stats.norm()])
def test_claims_no_more_than_is_true_on_average(law: stats.rv_continuous, n: int) -> None:
    ratios = []
    for seed in range(25):
        fit = fit_tail(drawn(law, n, seed))
        points = fit.start + fit.scale * np.logspace(-6, 4, 2000)
        claimed = fit.survival(points)
        ratios.append([law.sf(points[min(np.searchsorted(-claimed, -p), 1999)]) / p for p in (1e-3, 1e-5)])
    assert (np.mean(ratios, axis=0) < 1.7).all()


def test_eight_scores_claim_little_however_far_out_a_match_lies() -> None:
    fit = fit_tail(drawn(stats.gumbel_r(), 8, 0))
    assert fit.survival(fit.start + 20 * fit.scale) > 3e-4


def test_survival_falls_and_is_continuous_in_order() -> None:
    fit = fit_tail(drawn(stats.norm(), 100, 3))
    claimed = fit.survival(np.linspace(-10, 40, 2000))
    assert (np.diff(claimed) <= 0).all()
    assert claimed[0] == 1.0
    assert 0 < claimed[-1] < 1e-6


def test_a_tail_heavier_than_fitted_is_called_poor_and_claims_less(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("memobench.stats.tails.SIMULATIONS", 199)
    values = drawn(stats.expon(), 400, 4)
    good = fit_tail(values)
    values[np.argsort(values)[-4:]] = [15.0, 15.2, 15.4, 15.6]
    poor = fit_tail(values)
    assert not good.poor
    assert poor.poor
    assert poor.count < good.count
    assert poor.survival(12.0) > 10 * good.survival(12.0)


def test_images_of_one_patient_count_as_fewer() -> None:
    values = np.repeat(drawn(stats.norm(), 60, 5), 6)
    alone, together = fit_tail(values), fit_tail(values, np.repeat(np.arange(60), 6))
    assert together.count == pytest.approx(alone.count / 6, rel=0.15)
    assert together.survival(8.0) > alone.survival(8.0)


def test_number_of_calls_is_that_of_a_simulation() -> None:
    n, trials, seen = 200, 300, []
    rng = np.random.default_rng(6)
    p_values = []
    for _ in range(150):
        fit = fit_tail(rng.exponential(size=n))
        tau = fit.start + fit.scale * 5
        seen.append(int((rng.exponential(size=trials) >= tau).sum()))
        p_values.append(fit.reached_by(seen[-1], trials, tau))
    found = np.array(p_values)
    for level in (0.01, 0.05, 0.2):  # valid, though discrete
        assert (found <= level).mean() <= level + 2.5 * np.sqrt(level / len(found))
    assert np.mean(found < 0.2) > 0.03  # and not empty


@pytest.mark.parametrize(
    ("values", "groups", "words"),
    [
        (np.arange(7.0), None, "too few"),
        (np.ones(20), None, "equally well"),
        (np.append(np.arange(20.0), np.nan), None, "not finite"),
        (np.arange(20.0), np.arange(3), "one score for each"),
    ],
)
def test_what_cannot_be_fitted_is_refused(values: np.ndarray, groups: np.ndarray | None, words: str) -> None:
    with pytest.raises(DataError, match=words):
        fit_tail(values, groups)


def test_a_score_that_is_no_number_is_refused() -> None:
    fit: TailFit = fit_tail(drawn(stats.norm(), 50, 7))
    with pytest.raises(DataError, match="not a number"):
        fit.survival([0.0, np.nan])
    assert fit.survival(-np.inf) == 1.0
    assert fit.survival(np.inf) < 1e-9
