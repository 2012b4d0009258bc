from __future__ import annotations

from xml.etree import ElementTree

import pytest
from memobench.board.plots import FEW, HEIGHT, LEFT, WIDTH, Point, log_ticks, pareto_svg, ticks

SVG = "{http://www.w3.org/2000/svg}"


def _points(count: int) -> list[Point]:
    kinds = ["front", "entry", "control"]
    return [Point(1 + n, n / count, f"m{n}", f"m{n} in words", f"entry/{n}.html", kinds[n % 3]) for n in range(count)]


def _parsed(points: list[Point]) -> ElementTree.Element:
    text = str(pareto_svg(points, "A plot")).replace("<svg ", f'<svg xmlns="{SVG[1:-1]}" ', 1)
    return ElementTree.fromstring(text.replace(" tabindex=-1", ""))  # noqa: S314 (our own text)


@pytest.mark.parametrize("count", [1, 2, 30, 300])
def test_every_point_is_a_link_with_words_inside_the_plot(count: int) -> None:
    plot = _parsed(_points(count))
    links = plot.findall("a") or plot.findall(f"{SVG}a")
    assert sorted(link.get("href") for link in links) == sorted(p.link for p in _points(count))
    assert all(link.get("aria-label") for link in links)
    for circle in plot.iter(f"{SVG}circle"):
        assert LEFT <= float(circle.get("cx", "")) <= WIDTH
        assert 0 <= float(circle.get("cy", "")) <= HEIGHT


def test_lower_left_is_better() -> None:
    good, bad = Point(1.0, 0.0, "g", "g", "g", "entry"), Point(9.0, 0.5, "b", "b", "b", "entry")
    circles = list(_parsed([good, bad]).iter(f"{SVG}circle"))
    assert float(circles[0].get("cx", "")) < float(circles[1].get("cx", ""))
    assert float(circles[0].get("cy", "")) > float(circles[1].get("cy", ""))


def test_names_are_escaped_and_dropped_where_points_are_many() -> None:
    assert "<script>" not in str(pareto_svg([Point(1, 0, "<script>", "<script>", '"><script>', "front")], "<script>"))
    many = [Point(1 + n, 0.1, f"name{n}", "words", "link", "entry") for n in range(FEW + 1)]
    assert ">name" not in str(pareto_svg(many, "many"))


@pytest.mark.parametrize("top", [0.02, 0.0216, 0.05, 0.09, 0.11, 0.3, 0.599, 0.601, 0.62, 0.99, 1.0, 1.08])
def test_ticks_are_few_round_and_in_range(top: float) -> None:
    found = ticks(top)
    assert 4 <= len(found) <= 7
    assert found[0] == 0
    assert found[-1] <= top


@pytest.mark.parametrize(("low", "high"), [(9.0, 10.0), (3, 60), (0.001, 1e6), (1, 1000)])
def test_logarithmic_ticks_are_few_and_in_range(low: float, high: float) -> None:
    found = log_ticks(low, high)
    assert 1 <= len(found) <= 6
    assert all(low <= tick <= high for tick in found)
