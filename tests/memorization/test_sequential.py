"""Looking often raises no false alarm, and copies that set in are seen early: 200 simulated trainings."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from memobench.base.errors import DataError
from memobench.memorization.certainty import NullScores
from memobench.memorization.decide import Decisions, decide, threshold
from memobench.memorization.rates import Pools
from memobench.memorization.sequential import Against, Spending, look_at, weighed

PATIENTS, SAMPLES, WINDOW = 40, 32, 8
CLEAR = 9.0  # log odds of a copy


def _against(random: np.random.Generator) -> tuple[Against, np.ndarray]:
    """Two pools, and how typical each patient is: images of new patients match typical ones again and again."""
    names = np.array([f"p{k:02d}" for k in range(2 * PATIENTS)])
    dealt = random.permutation(names)
    pools = Pools(np.sort(dealt[:PATIENTS]), np.sort(dealt[PATIENTS:]))
    typical = random.normal(scale=0.7, size=2 * PATIENTS)
    pairs = random.normal(size=(2 * PATIENTS, 2 * PATIENTS)) + typical
    np.fill_diagonal(pairs, -np.inf)
    null = NullScores(pairs.max(axis=1), names, 1.0)
    return Against(pools, null, threshold(null.scores, 1.0).tau), typical


def _first_alarm(seed: int, looks: int, copied: float = 0.0) -> int | None:
    """The look at which a training raises the alarm; None for none."""
    spending = Spending(0.05, 50)
    for number, (decisions, against) in enumerate(_training(seed, looks, copied), 1):
        level = spending.level(number)
        if weighed(decisions, against, level, number=number)[0] <= level:
            return number
    return None


def _training(seed: int, looks: int, copied: float = 0.0) -> Iterator[tuple[Decisions, Against]]:
    """What is weighed at each look; of its samples a share of ``copied`` times its number are copies of train."""
    random = np.random.default_rng(seed)
    against, typical = _against(random)
    names = against.pools.names
    in_train = against.pools.in_train
    kept: list[np.ndarray] = []
    # what the generator likes to draw: its samples resemble each other, within a look and between looks
    habit = random.normal(scale=0.7, size=2 * PATIENTS)
    for number in range(1, looks + 1):
        scores = random.normal(size=(SAMPLES, 2 * PATIENTS)) * 0.8 + typical + 0.3 * habit
        copies = random.random(SAMPLES) < copied * number
        sources = random.choice(np.flatnonzero(in_train), SAMPLES)
        scores[copies, sources[copies]] = CLEAR + random.normal(size=int(copies.sum()))
        kept = [*kept, scores][-WINDOW:]
        every = np.concatenate(kept)
        sides = [every[:, in_train], every[:, ~in_train]]
        best = [part.max(axis=1).astype(np.float32) for part in sides]
        rows = [
            np.searchsorted(pool, names[side][part.argmax(axis=1)])
            for part, side, pool in zip(
                sides, (in_train, ~in_train), (against.pools.train, against.pools.holdout), strict=True
            )
        ]
        yield decide(best[0], rows[0], best[1], rows[1], against.tau), against


@pytest.mark.smoke
def test_few_trainings_without_copies_raise_no_alarm_and_one_with_copies_does() -> None:
    assert [_first_alarm(seed, looks=6) for seed in range(5)] == [None] * 5
    seen = _first_alarm(0, looks=10, copied=0.01)
    assert seen is not None
    assert 0.01 * seen < 0.1


@pytest.mark.slow
def test_over_200_trainings_of_50_looks_at_most_one_in_twenty_ever_alarms() -> None:
    alarms = [_first_alarm(seed, looks=50) for seed in range(200)]
    share = np.mean([one is not None for one in alarms])
    assert share <= 0.05, alarms


@pytest.mark.slow
def test_copies_that_set_in_are_seen_before_the_rate_reaches_a_tenth() -> None:
    rates = [0.01 * (_first_alarm(seed, looks=10, copied=0.01) or 99) for seed in range(40)]
    assert np.mean(np.array(rates) < 0.1) > 0.95, rates


def test_the_error_is_never_spent_twice() -> None:
    spending = Spending(0.05, 7)
    assert sum(spending.level(look) for look in range(1, 8)) == pytest.approx(0.025)
    assert sum(spending.level(look) for look in range(1, 100_000)) < 0.05
    for words in ({"alpha": 0.0}, {"alpha": 1.0}, {"looks": 0}):
        with pytest.raises(DataError, match="spend no error"):
            Spending(**words)  # type: ignore[arg-type]


def test_intervals_hold_at_all_looks_together() -> None:
    (seen,) = _training(3, looks=1)
    look = look_at(*seen, Spending(0.05, 50), number=1)
    assert not look.alarm
    share = look.train_share
    assert share.low is not None
    assert share.high is not None
    assert share.low <= 0.5 <= share.high
    assert share.low < share.value < share.high
    assert look.copy_rate.note == "valid at all looks together"
    assert look.samples == SAMPLES
