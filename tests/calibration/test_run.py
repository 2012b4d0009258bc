from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from memobench.base.errors import UsageError
from memobench.calibration import run as module
from memobench.calibration.run import calibrate_task, judge_situations
from memobench.calibration.settings import CalibrationSettings
from memobench.calibration.situations import Plan
from memobench.cli.main import main
from memobench.execution.settings import Execution

Write = Callable[..., Path]


@pytest.fixture(autouse=True)
def small_stock(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("COPIES", "STRANGERS"):
        monkeypatch.setattr(f"memobench.calibration.own_images.{name}", {2: 36, 3: 18})
    monkeypatch.setattr("memobench.calibration.own_images.PERMUTATIONS", 49)


@pytest.mark.smoke
def test_the_measure_is_calibrated_on_a_folder(write_folder: Write, tmp_path: Path) -> None:
    said: list[str] = []
    data, out = str(write_folder(patients=24, shape=(32, 32))), tmp_path / "runs"
    asked = CalibrationSettings("xray", data=data, draws=2, preset="smoke", out=out)
    found = calibrate_task(asked, say=said.append)
    assert [line.split()[0] for line in said] == ["data", "detector", "stock", "draws"]
    assert found.draws == 2
    assert found.sensitivity > 0.3
    assert [row.share for row in found.discoveries] == [0.0, 0.005, 0.01, 0.05, 0.2, 0.5]
    half = next(row for row in found.rows if row.share == 0.5 and row.metric == "copy_rate")
    assert half.mean > 0.1
    again = calibrate_task(asked, say=said.append)
    assert again == found
    assert "stored" in said[5]  # the detector


def test_the_command_refuses_unknown_words(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(UsageError, match='unknown strength "huge"'):
        calibrate_task(CalibrationSettings("xray", strength="huge", out=tmp_path))
    with pytest.raises(SystemExit) as ended:
        main(["calibrate", "--task", "xrya"])
    assert ended.value.code == 2
    assert "xray" in capsys.readouterr().err


@pytest.mark.slow  # its smoke twin is the next one
def test_situations_judged_elsewhere_are_judged_as_here(write_folder: Write, tmp_path: Path) -> None:
    data = str(write_folder(patients=24, shape=(32, 32)))
    asked = CalibrationSettings(
        "xray", "fast", data=data, only="1 near-exact copies among 60", preset="smoke", out=tmp_path
    )
    there = judge_situations(replace(asked, draws=2), execution=Execution(jobs=2))
    here = judge_situations(replace(asked, draws=2, out=tmp_path / "here"))
    assert [one.as_json() for one in there] == [one.as_json() for one in here]
    assert len(here) == 2


def test_situations_are_chosen_by_name_and_drawn_as_often_as_asked(
    write_folder: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[list[str], Plan]] = []
    monkeypatch.setattr(
        module,
        "run_situations",
        lambda scene, chosen, plan, *, track: asked.append(([one.name for one in chosen], plan)) or [],
    )
    data = str(write_folder(patients=24, shape=(32, 32)))
    settings = CalibrationSettings("xray", "all", data=data, only="copies among 300", preset="smoke", out=tmp_path)
    judge_situations(settings)
    judge_situations(replace(settings, draws=3))
    (names, once), (_, thrice) = asked
    assert len(names) == 5
    assert all("copies among 300" in name for name in names)
    assert list(once.draws) == [0]
    assert list(thrice.draws) == [0, 1, 2]
    with pytest.raises(UsageError, match='--only "copise" is in none of the'):
        judge_situations(replace(settings, only="copise"))
