"""Who stands where: first those whose copy rate is statistically at zero, by quality, then the others by copy rate.

Neither copying nor noise wins:

- a generator that copies has the best quality, but stands behind every entry that does not;
- a generator of noise copies nothing, but entries at zero are ordered by quality, and one whose Fréchet distance is not
  below that of the control ``noise`` stands behind all others, copiers too. Worse than the control ``mean``, it is
  marked as such.

Within a group the entries stand in the order of the value that ranks (Fréchet distance; upper end of the copy rate).
Rank = 1 + the number of entries that are *clearly* better: of an earlier group, or of the same one with an interval
that lies wholly below. Clearly better is transitive (an interval order, Fishburn 1970) although overlapping is not, so
a clearly better entry never has a higher number. Beside the rank stands the worst one that the intervals leave open;
a wide interval gives a wide range, and never a better place in the order.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, replace

from memobench.board.rows import QUALITY, RATE, Row

GROUPS = ("at zero", "copies", "no better than noise")


@dataclass(frozen=True)
class Ranked:
    """A row with its place.

    Attributes:
        rank: Shared where intervals overlap; None where the row is not ranked.
        worst: The worst rank that the intervals leave open.
        group: One of :data:`GROUPS`; empty where the row is not ranked.
        front: Whether it lies on the Pareto front of quality and the upper end of the copy rate.
    """

    row: Row
    rank: int | None
    worst: int | None
    group: str
    front: bool


@dataclass(frozen=True)
class Placed:
    """What of an entry ranks: its group, the value that orders it, and the interval that decides ties."""

    group: int
    value: float
    low: float
    high: float


def ranks(placed: Sequence[Placed]) -> list[tuple[int, int]]:
    """Best and worst rank of each entry.

    >>> ranks([Placed(0, 1.0, 0.5, 1.5), Placed(0, 2.0, 1.2, 2.8), Placed(0, 4.0, 3.0, 5.0), Placed(1, 0.1, 0.0, 0.2)])
    [(1, 2), (1, 2), (3, 3), (4, 4)]
    """
    found = []
    for group in sorted({one.group for one in placed}):
        highs = sorted(one.high for one in placed if one.group == group)
        lows = sorted(one.low for one in placed if one.group == group)
        before = sum(one.group < group for one in placed)
        for position, one in enumerate(placed):
            if one.group == group:
                best = before + 1 + bisect_left(highs, one.low)
                found.append((position, best, before + bisect_right(lows, one.high)))
    return [(best, worst) for _, best, worst in sorted(found)]


def pareto_front(points: Sequence[tuple[float, float]]) -> list[bool]:
    """Which points no other point beats: both coordinates lower or equal, and one lower.

    >>> pareto_front([(1.0, 0.3), (2.0, 0.1), (2.0, 0.3), (1.0, 0.3)])
    [True, True, False, True]
    """
    best: list[tuple[float, float]] = []
    for point in sorted(set(points)):
        if not best or point[1] < best[-1][1]:
            best.append(point)
    return [point in set(best) for point in points]


def rank_rows(rows: Sequence[Row]) -> list[Ranked]:
    """The rows of one task in the order of the board: ranked, then unranked ones, then controls."""
    limits = {name: _control_quality(rows, name) for name in ("noise", "mean")}
    marked = [_marked(row, limits) for row in rows]
    ranked = [row for row in marked if not row.unranked]
    placed = [_placed(row, limits["noise"]) for row in ranked]
    order = sorted(range(len(ranked)), key=lambda i: (placed[i].group, placed[i].value, ranked[i].key))
    places = ranks(placed)
    kept = [i for i in range(len(ranked)) if placed[i].group < 2]
    front = dict(zip(kept, pareto_front([point_of(ranked[i]) for i in kept]), strict=True))
    board = [Ranked(ranked[i], *places[i], GROUPS[placed[i].group], front.get(i, False)) for i in order]
    others = sorted((row for row in marked if row.unranked), key=lambda row: (row.control, row.model, row.key))
    return board + [Ranked(row, None, None, "", False) for row in others]


def point_of(row: Row) -> tuple[float, float]:
    """Where a complete row stands: its quality, and the upper end of its copy rate, at least 0."""
    high = row.numbers[RATE].high
    return row.numbers[QUALITY].value, max(0.0, row.numbers[RATE].value if high is None else high)


def _placed(row: Row, noise: float | None) -> Placed:
    quality, rate = row.numbers[QUALITY], row.numbers[RATE]
    ends = [quality.low, quality.high, rate.low, rate.high]
    a, b, c, d = (end if end is not None else 0.0 for end in ends)  # complete rows have all four
    if noise is not None and quality.value >= noise:
        return Placed(2, quality.value, a, b)
    return Placed(0, quality.value, a, b) if row.at_zero else Placed(1, d, c, d)


def _control_quality(rows: Sequence[Row], model: str) -> float | None:
    """Fréchet distance of a verified control of memobench itself; the lowest where there are several; None without.

    A stranger's generator that calls itself a control frames nothing.
    """
    found = [
        row.numbers[QUALITY].value
        for row in rows
        if row.control and row.model == model and QUALITY in row.numbers and row.unranked == "control"
        if row.level not in ("failed", "unverified") and all(one.submission.source == "entry" for one in row.seeds)
    ]
    return min(found) if found else None


def _marked(row: Row, limits: dict[str, float | None]) -> Row:
    if row.control or QUALITY not in row.numbers:
        return row
    worse = [
        f"quality no better than the control {name}"
        for name, limit in limits.items()
        if limit is not None and row.numbers[QUALITY].value >= limit
    ]
    return replace(row, marks=(*worse, *row.marks))
