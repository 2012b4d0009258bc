from __future__ import annotations

from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from memobench.study.compare import Estimate
from memobench.study.figures import draw_pareto, name_points
from memobench.study.findings import DISTANCE, SHARE


def test_the_same_figure_is_the_same_file(tmp_path: Path) -> None:
    arms = {
        name: {SHARE: Estimate(share, 0.4, 1.0), DISTANCE: Estimate(distance, 5.0, 90.0)}
        for name, share, distance in (("ldm", 0.9, 26.8), ("gan", 0.55, 57.0))
    }
    first, second = (draw_pareto(tmp_path / name, arms, "xray") for name in ("one", "two"))
    assert [file.suffix for file in first] == [".png", ".svg"]
    assert [file.read_bytes() for file in first] == [file.read_bytes() for file in second]


def test_names_of_near_points_do_not_overlap() -> None:
    figure = Figure(figsize=(7, 5))
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    points = {"quarter of the steps": (58.0, 0.62), "strong augmentation": (71.0, 0.62), "small networks": (70.0, 0.63)}
    axes.plot(*zip(*points.values(), (0.0, 0.0), (120.0, 1.0), strict=True), "o")
    name_points(figure, axes, points)
    assert [text.get_text() for text in axes.texts] == list(points)
    places = [text.get_window_extent() for text in axes.texts]
    assert not any(one.overlaps(other) for k, one in enumerate(places) for other in places[:k])
