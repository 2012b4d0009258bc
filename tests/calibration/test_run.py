from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from memobench.base.errors import UsageError
from memobench.calibration.run import calibrate_task
from memobench.calibration.settings import CalibrationSettings
from memobench.cli.main import main

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
    asked = CalibrationSettings("xray", data, draws=2, preset="smoke", out=out)
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
