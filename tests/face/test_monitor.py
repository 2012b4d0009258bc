from __future__ import annotations

from typing import Any

import memobench
import numpy as np
import pytest
from memobench.base.errors import DataError

from .conftest import HOLDOUT, TRAIN, patients


def test_a_loop_stops_once_the_samples_are_copies(detector: Any) -> None:
    monitor = memobench.MemorizationMonitor(every=5, samples=12, detector=detector).fit(TRAIN, HOLDOUT)
    asked: list[int] = []

    def draw(n: int) -> np.ndarray:
        asked.append(n)
        return TRAIN[:n] if len(asked) > 3 else patients(n, 10 + len(asked))

    stopped = next(step for step in range(100) if monitor.look(step, draw))
    assert not any(look.alarm for look in monitor.history_[:3])
    assert stopped + 1 == 5 * len(asked)
    assert 4 <= len(asked) <= 5
    assert asked[0] == 12
    last = monitor.compute()
    assert last is monitor.history_[-1]
    assert last.alarm
    assert last.p_value <= last.level
    assert last.copied_patients > 0
    assert last.copy_rate.low < last.copy_rate.value < last.copy_rate.high
    monitor.reset()
    assert not monitor.alarm
    assert monitor.history_ == []


def test_a_look_can_be_made_of_several_updates(detector: Any) -> None:
    monitor = memobench.MemorizationMonitor(detector=detector, window=2).fit(TRAIN, HOLDOUT)
    with pytest.raises(DataError, match="has seen no samples"):
        monitor.compute()
    for look in range(3):
        monitor.update(patients(8, 20 + look))
        monitor.update(patients(8, 30 + look).astype(np.float32) / np.float32(255))
        found = monitor.compute()
    assert found.number == 3
    assert found.samples == 32
    assert not monitor.alarm


def test_what_is_missing_is_said() -> None:
    with pytest.raises(DataError, match=r"call fit\(train, holdout\) first"):
        memobench.MemorizationMonitor().update(TRAIN)
    with pytest.raises(DataError, match="spend no error"):
        memobench.MemorizationMonitor(alpha=2).reset()
