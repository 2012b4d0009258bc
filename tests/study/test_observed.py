from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from memobench.results import Metric
from memobench.study.grid import Finished
from memobench.study.observed import Observed, spread
from memobench.submissions.older import read_result

KEPT = Path(__file__).parents[2] / "leaderboard" / "studies" / "xray" / "kept"


def _arm(value: float, low: float | None = None, high: float | None = None) -> Observed:
    """An arm of one run, with this copy rate."""
    result = read_result(min(KEPT.glob("*/result.json")).read_bytes())
    metrics = {**result.metrics, "copy_rate": Metric(value=value, low=low, high=high, better="lower")}
    run = Finished(result.model_copy(update={"metrics": metrics}), KEPT)
    return Observed([run], {"copy_rate": [value]}, np.zeros(2), ())


def test_each_end_lies_where_the_run_says() -> None:
    found = _arm(0.3, 0.0, 0.4).estimates()["copy_rate"]  # an end at zero is an end
    assert (found.low, found.high) == pytest.approx((0.0, 0.4), abs=1e-6)


def test_a_metric_without_interval_moves_with_its_seeds_alone() -> None:
    found = spread("copy_rate", _arm(0.3))
    assert (found.below, found.above) == (0.0, 0.0)


def test_the_lower_end_of_a_difference_meets_the_upper_end_of_what_is_subtracted() -> None:
    found = _arm(0.5, 0.4, 0.6).above(_arm(0.0, 0.0, 0.1), "copy_rate", 0.95)
    assert (found.value, found.low, found.high) == pytest.approx((0.5, 0.5 - 0.02**0.5, 0.6), abs=1e-6)
