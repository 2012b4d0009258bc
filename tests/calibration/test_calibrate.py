from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from memobench.base.errors import UsageError
from memobench.calibration.calibrate import calibrate, calibration_text
from memobench.calibration.scenarios import NULLS, PLANTED, Level, Scenario
from memobench.cli.main import main
from memobench.execution.perform import Workplace
from memobench.execution.settings import Execution


def _limit(share: float, draws: int) -> float:
    return share + 2 * float(np.sqrt(share * (1 - share) / draws))


@pytest.mark.smoke
@pytest.mark.parametrize("level", ["features", "images"])
def test_a_small_calibration(level: Level) -> None:
    draws = 10
    found = calibrate(draws=draws, level=level, null=NULLS[1:3], planted=PLANTED[3:4])
    for row in found.null:
        assert (row.excluded or 0.0) <= _limit(0.05, draws) + 0.1
        assert row.uniform > 1e-4
    for planted in found.planted:
        assert planted.covered >= 0.7
    assert "NO" not in calibration_text(found).split()
    assert json.loads(json.dumps(found.as_json()))["draws"] == draws


@pytest.mark.smoke
def test_draws_elsewhere_are_the_same(tmp_path: Path) -> None:
    asked = {"draws": 11, "null": NULLS[2:3], "planted": []}
    assert calibrate(**asked, place=Workplace(Execution(jobs=2), tmp_path)) == calibrate(**asked)


@pytest.mark.slow
@pytest.mark.parametrize("level", ["features", "images"])
@pytest.mark.parametrize("scenario", NULLS, ids=lambda scenario: scenario.name)
def test_the_null_is_excluded_in_at_most_five_percent(scenario: Scenario, level: Level) -> None:
    draws = 150
    for row in calibrate(draws=draws, level=level, null=[scenario], planted=[]).null:
        assert (row.excluded or 0.0) <= _limit(0.05, draws), row
        assert row.rejected <= _limit(0.05, draws), row
        assert row.uniform > 0.001, row  # of 30 such rows the least is below 0.01 more often than not in four


@pytest.mark.slow
@pytest.mark.parametrize("scenario", PLANTED, ids=lambda scenario: scenario.name)
def test_intervals_cover_the_truth(scenario: Scenario) -> None:
    draws = 150
    for row in calibrate(draws=draws, null=[], planted=[scenario]).planted:
        assert row.covered >= 0.95 - 2.5 * (0.05 * 0.95 / draws) ** 0.5, row


def test_one_draw_is_refused() -> None:
    with pytest.raises(UsageError, match="at least 2"):
        calibrate(draws=1)


def test_the_command_prints_the_table(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def small(**options: object) -> object:
        return calibrate(draws=2, null=NULLS[:1], planted=PLANTED[:1], seed=int(str(options["seed"])))

    monkeypatch.setattr("memobench.calibration.calibrate.calibrate", small)
    with pytest.raises(SystemExit) as ended:
        main(["calibrate", "--draws", "2"])
    assert ended.value.code == 0
    printed = capsys.readouterr().out
    assert "good model" in printed
    assert "planted 0.5%, images" in printed
    assert "n_mem matched" in printed
