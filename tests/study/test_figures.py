from __future__ import annotations

from pathlib import Path

from memobench.study.compare import Estimate
from memobench.study.figures import draw_pareto
from memobench.study.findings import DISTANCE, SHARE


def test_the_same_figure_is_the_same_file(tmp_path: Path) -> None:
    arms = {
        name: {SHARE: Estimate(share, 0.4, 1.0), DISTANCE: Estimate(distance, 5.0, 90.0)}
        for name, share, distance in (("ldm", 0.9, 26.8), ("gan", 0.55, 57.0))
    }
    first, second = (draw_pareto(tmp_path / name, arms, "xray") for name in ("one", "two"))
    assert [file.suffix for file in first] == [".png", ".svg"]
    assert [file.read_bytes() for file in first] == [file.read_bytes() for file in second]
