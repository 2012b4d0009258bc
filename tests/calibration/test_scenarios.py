from __future__ import annotations

import numpy as np
import pytest
from memobench.calibration.scenarios import NULLS, Scenario, draw, expected_hits, owners, plant


@pytest.mark.parametrize("level", ["features", "images"])
@pytest.mark.parametrize("scenario", NULLS, ids=lambda scenario: scenario.name)
def test_a_draw_is_whole_and_repeats(scenario: Scenario, level: str) -> None:
    drawn, again = (draw(scenario, 3, level=level) for _ in range(2))  # type: ignore[arg-type]
    assert len(np.unique(drawn.pools.train)) == scenario.train
    assert len(np.unique(drawn.pools.holdout)) == scenario.holdout
    assert drawn.samples_train.shape == (scenario.samples, len(drawn.pools.train))
    assert (drawn.source == -1).all()
    assert np.array_equal(drawn.decisions.train_score, again.decisions.train_score)
    assert not np.array_equal(drawn.samples_train, draw(scenario, 4, level=level).samples_train[: scenario.samples, :1])  # type: ignore[arg-type]


@pytest.mark.parametrize("level", ["features", "images"])
def test_copies_score_far_above_other_patients_and_find_their_source(level: str) -> None:
    drawn = draw(Scenario("planted", planted=0.3), 0, level=level)  # type: ignore[arg-type]
    copies = drawn.source >= 0
    score = drawn.decisions.train_score
    assert np.median(score[copies]) > 0.95
    assert np.median(score[copies]) > np.quantile(drawn.null_scores, 0.99) > np.median(drawn.null_scores)
    assert (score[copies] >= drawn.tau).mean() > 0.95
    same = drawn.pools.train[drawn.decisions.train_index[copies]] == drawn.pools.train[drawn.source[copies]]
    assert same.mean() > 0.95


def test_the_blurry_model_reaches_tau_often_and_the_collapsed_one_repeats() -> None:
    called = [np.mean([draw(scenario, seed).decisions.called.mean() for seed in range(10)]) for scenario in NULLS[:2]]
    assert called[1] > 3 * called[0]
    repeated = draw(NULLS[2], 0).decisions
    assert len(np.unique(repeated.train_index)) <= 10


@pytest.mark.parametrize("planting", ["images", "patients"])
def test_planting_has_the_share_it_says(planting: str) -> None:
    scenario = Scenario("planted", planted=0.2, planting=planting)  # type: ignore[arg-type]
    rng = np.random.default_rng(0)
    found = []
    for _ in range(300):
        owner = owners(scenario, rng)
        found.append((plant(scenario, owner[owner < scenario.train], rng) >= 0).mean())
    assert np.mean(found) == pytest.approx(0.2, abs=0.01)


def test_expected_hits_are_those_of_drawing_evenly() -> None:
    scenario = Scenario("planted", planted=0.2)
    patients, images = expected_hits(scenario, draws=400)
    total = 100 * 2  # images of train, about
    for n in (1, 2, 3):
        assert patients[n] == pytest.approx(1 - (1 - 0.2 * n / total) ** 256, abs=0.02)
        assert images[n] == pytest.approx(n * (1 - (1 - 0.2 / total) ** 256), abs=0.03)
