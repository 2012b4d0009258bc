"""The Pareto plot as SVG within the page: seen without JavaScript, its points links to the entries."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

from memobench.board.rank import Ranked, point_of
from memobench.board.rows import QUALITY, RATE
from memobench.report.words import shown

WIDTH, HEIGHT = 480, 330
LEFT, RIGHT, TOP, BOTTOM = 62, 14, 16, 46
FEW = 40  # points; more are drawn smaller, without names and out of the order of the tab key (the table has them)
NAME_LENGTH = 18


@dataclass(frozen=True)
class Point:
    """One entry in the plot.

    Attributes:
        x: Fréchet distance, above 0.
        y: Upper end of the copy rate, in [0, 1].
        kind: "front", "entry" or "control".
    """

    x: float
    y: float
    name: str
    words: str
    link: str
    kind: str


def points_of(entries: Sequence[Ranked], link: str) -> list[Point]:
    """The ranked entries and the controls that have both coordinates.

    Args:
        entries: The board of one task.
        link: What stands before the entry's key in its address.
    """
    points = []
    for entry in entries:
        row = entry.row
        if not (entry.rank is not None or row.unranked == "control") or not {QUALITY, RATE} <= row.numbers.keys():
            continue
        x, y = point_of(row)
        kind = "control" if row.control else "front" if entry.front else "entry"
        words = (
            f"{row.model} by {row.submitter}: Fréchet distance {shown(x, 'number')}, "
            f"copy rate at most {shown(y, 'percent')}" + (", on the Pareto front" if entry.front else "")
        )
        points.append(Point(max(x, 1e-9), y, row.model, words, f"{link}{row.key}.html", kind))
    return points


def pareto_svg(points: Sequence[Point], title: str) -> Markup:
    """Quality against memorization, both better toward the lower left, on a logarithmic and a linear axis.

    Args:
        points: What to draw; at least one.
        title: The plot's name for those who do not see it.
    """
    low, high = min(p.x for p in points), max(p.x for p in points)
    left, right = math.log(low) - 0.08, math.log(high) + 0.08
    margin = 0.06 * (right - left)
    left, right = left - margin, right + margin
    top = max(0.02, max(p.y for p in points)) * 1.08

    def across(x: float) -> float:
        return LEFT + (math.log(x) - left) / (right - left) * (WIDTH - LEFT - RIGHT)

    def up(y: float) -> float:
        return HEIGHT - BOTTOM - y / top * (HEIGHT - TOP - BOTTOM)

    parts = [
        f'<svg class="pareto" viewBox="0 0 {WIDTH} {HEIGHT}" role="group" aria-label="{escape(title)}">',
        f'<path class="axis" d="M{LEFT} {TOP}V{HEIGHT - BOTTOM}H{WIDTH - RIGHT}"/>',
    ]
    for tick in log_ticks(math.exp(left), math.exp(right)):
        at = f"{across(tick):.1f}"
        parts.append(f'<path class="grid" d="M{at} {TOP}V{HEIGHT - BOTTOM}"/>')
        parts.append(f'<text x="{at}" y="{HEIGHT - BOTTOM + 17}" text-anchor="middle">{tick:g}</text>')
    for tick in ticks(top):
        at = f"{up(tick):.1f}"
        parts.append(f'<path class="grid" d="M{LEFT} {at}H{WIDTH - RIGHT}"/>')
        digits = 0 if top > 0.05 else 1
        parts.append(f'<text x="{LEFT - 7}" y="{up(tick) + 4:.1f}" text-anchor="end">{100 * tick:.{digits}f}%</text>')
    middle = (LEFT + WIDTH - RIGHT) / 2
    parts.append(
        f'<text class="name" x="{middle:.0f}" y="{HEIGHT - 8}" text-anchor="middle">Fréchet distance to test patients '
        "(log; lower is better)</text>"
    )
    parts.append(
        f'<text class="name" x="14" y="{(TOP + HEIGHT - BOTTOM) / 2:.0f}" text-anchor="middle" '
        f'transform="rotate(-90 14 {(TOP + HEIGHT - BOTTOM) / 2:.0f})">copy rate, upper end</text>'
    )
    front = sorted((p.x, p.y) for p in points if p.kind == "front")
    if len(front) > 1:
        steps = [f"M{across(front[0][0]):.1f} {up(front[0][1]):.1f}"]
        steps += [f"H{across(x):.1f}V{up(y):.1f}" for x, y in front[1:]]
        parts.append(f'<path class="frontier" d="{"".join(steps)}"/>')
    few = len(points) <= FEW
    named: list[tuple[float, float, float]] = []
    for point in sorted(points, key=lambda p: (p.kind == "front", p.kind == "control")):
        x, y = across(point.x), up(point.y)
        reachable = few or point.kind != "entry"
        parts.append(
            f'<a href="{escape(point.link)}" class="{point.kind}"{"" if reachable else " tabindex=-1"} '
            f'aria-label="{escape(point.words)}"><title>{escape(point.words)}</title>{_mark(point.kind, x, y, few)}</a>'
        )
    for point in sorted(points, key=lambda p: ("front", "control", "entry").index(p.kind)):
        if not few and point.kind == "entry":
            continue
        name = point.name if len(point.name) <= NAME_LENGTH else point.name[: NAME_LENGTH - 1] + "…"
        place = _free(across(point.x), up(point.y), 6.6 * len(name), named)
        if place is not None:
            named.append(place)
            parts.append(f'<text class="label" x="{place[0]:.1f}" y="{place[1]:.1f}">{escape(name)}</text>')
    return Markup("".join([*parts, "</svg>"]))  # noqa: S704 (every text in it is escaped above)


def ticks(top: float) -> list[float]:
    """Four to seven round values, 0 the first, none above a largest one.

    >>> ticks(0.45)
    [0.0, 0.1, 0.2, 0.3, 0.4]
    """
    size = 10 ** math.floor(math.log10(top))
    step = next(size * part for part in (0.1, 0.2, 0.5, 1.0, 2.0) if top / (size * part) <= 6)
    return [round(number * step, 10) for number in range(int(top / step + 1e-9) + 1)]


def log_ticks(low: float, high: float) -> list[float]:
    """Values 1, 2, 5 (times powers of ten) between two; the powers alone where those are many.

    >>> log_ticks(3, 60)
    [5.0, 10.0, 20.0, 50.0]
    """
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for parts in ((1, 1.5, 2, 3, 4, 5, 6, 8), (1, 2, 5), (1,)):
        found = [part * 10.0**power for power in powers for part in parts if low <= part * 10.0**power <= high]
        if len(found) <= 6:
            return found
    return found[:: math.ceil(len(found) / 6)]


def _mark(kind: str, x: float, y: float, few: bool) -> str:
    size = 5.5 if few else 3.0
    if kind == "control":
        size = 5.0
        return f'<path d="M{x:.1f} {y - size:.1f}l{size} {size}l-{size} {size}l-{size} -{size}z"/>'
    return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{size if kind == "entry" else max(size, 4.5)}"/>'


def _free(
    x: float, y: float, width: float, taken: Sequence[tuple[float, float, float]]
) -> tuple[float, float, float] | None:
    """Where a name can stand beside its point without crossing another or leaving the plot: (x, y, width)."""
    for left, base in ((x + 9, y + 4), (x - 9 - width, y + 4), (x - width / 2, y - 10), (x - width / 2, y + 19)):
        inside = left >= LEFT and left + width <= WIDTH and TOP <= base <= HEIGHT - BOTTOM
        clear = all(
            abs(base - other_y) > 13 or left > other_x + other_width or left + width < other_x
            for other_x, other_y, other_width in taken
        )
        if inside and clear:
            return left, base, width
    return None
