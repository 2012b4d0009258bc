"""Groups of copies through whole audits, small: the table's figures follow from them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from memobench.base.errors import UsageError
from memobench.calibration.groups import GroupOutcome, Plot, groups_json, groups_text, run_groups
from memobench.calibration.run import judge_groups
from memobench.calibration.scene import Scene
from memobench.calibration.settings import CalibrationSettings
from memobench.challenge.groups import groups
from memobench.images import Images
from memobench.task import Splits


def test_a_group_goes_through_audits(make_images: Callable[..., Images], tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr("memobench.calibration.groups.STRANGERS", 12)
    sides = [make_images(24, (32, 32), seed=seed) for seed in range(5)]
    scene = Scene.of(Splits(sides[0], sides[1], sides[2], sides[3], sides[4], digest=""))
    said: list[str] = []
    (found,) = run_groups(scene, groups(2, ["JPEG 10"]), Plot(2, 1, "smoke", 0, tmp_path), say=said.append)
    assert (found.copies, found.truth, found.sets) == (2, 0.1, 1)
    assert found.strangers == 9 + 12
    assert found.found == 1
    assert found.right == 1
    assert not found.reassured
    assert found.accused == 0
    assert said[0].startswith("JPEG 10: 100% found")


OUTCOME = GroupOutcome("half", 20, 150, 0.9, 0.2, 0.9, 1.0, "do not release", 0.1, (0.02, 0.01, 0.05), False, 0, 2)


def test_the_table_marks_all_clears_and_intervals_that_exclude_the_truth() -> None:
    assert not OUTCOME.covered
    least = replace(OUTCOME, least=True)
    assert least.covered
    clear = replace(least, word="no copies found", right=np.nan)
    text = groups_text([OUTCOME, least, clear])
    assert "1 of 3 sets with copies get an all-clear; 0 of 6 sets of strangers" in text
    rows = [line for line in text.splitlines() if " half " in line]
    assert [row.startswith("WRONG") for row in rows] == [True, False, True]
    assert "at least 2.0% (1.0% or more)" in rows[1]
    assert groups_json([clear])[0]["reassured"]


def test_unknown_groups_and_a_missing_task_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="halff"):
        judge_groups(CalibrationSettings("xray", groups=("halff",), out=tmp_path))
    with pytest.raises(UsageError, match="--task"):
        judge_groups(CalibrationSettings(groups=("half",), out=tmp_path))
