"""Who stands where: an entry's rank is one plus the number of entries that clearly dominate it.

One entry clearly dominates another where it is not clearly worse in image quality or in copying, and clearly better in
one of them (:func:`dominates`):

- *quality*: the intervals of the Fréchet distance to test patients do not meet;
- *copying*: the intervals of the copy rate do not meet, or the decision on one entry is "do not release" and the other
  shows no sign of copying.

So neither copying nor bad images win over an entry that is good at both, and where nothing is clear a rank is shared.
An entry that is clearly better than another in both always has the better rank: what dominates it dominates the
other too. Rank 1 says that no entry is clearly better all in all; it does not say that nothing was copied, which the
entry's standing says ("copies", "leans towards the training patients").

Not ranked: what nobody has measured again, what gives away patients outside of train, and what is no better than noise.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from memobench.board.combine import Number
from memobench.board.rows import QUALITY, RATE, Row

NOISE = "images no better than the control noise"


@dataclass(frozen=True)
class Ranked:
    """A row with its place.

    Attributes:
        rank: One plus the number of entries in ``above``; None where the row is not ranked.
        above: Keys of the ranked entries that clearly dominate it.
        front: Whether it lies on the Pareto front of quality and the upper end of the copy rate.
    """

    row: Row
    rank: int | None
    above: tuple[str, ...]
    front: bool


def clearly_below(one: Number, other: Number) -> bool:
    """Whether the whole interval of one number lies below that of another; a number without one is its own interval."""
    high = one.value if one.high is None else one.high
    return high < (other.value if other.low is None else other.low)


def better_images(one: Row, other: Row) -> bool:
    """Whether a complete row has clearly better images than another."""
    return clearly_below(one.numbers[QUALITY], other.numbers[QUALITY])


def copies_less(one: Row, other: Row) -> bool:
    """Whether a complete row copies clearly less than another."""
    if not one.convicted and not one.standing and other.convicted:
        return True
    return clearly_below(one.numbers[RATE], other.numbers[RATE]) and not (one.convicted and not other.convicted)


def dominates(one: Row, other: Row) -> bool:
    """Whether one complete row is not clearly worse than another in quality or copying, and clearly better in one."""
    worse = better_images(other, one) or copies_less(other, one)
    return not worse and (better_images(one, other) or copies_less(one, other))


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
    """The rows of one task in the order of the board: ranked, then unranked ones, then controls.

    Entries of one rank stand in the order of what they copy, then of their quality.
    """
    controls = {name: control for name in ("noise", "mean", "linear") if (control := _control(rows, name))}
    marked = [_marked(row, controls) for row in rows]
    ranked = [row for row in marked if not row.unranked]
    front = pareto_front([point_of(row) for row in ranked])
    board = []
    for row, held in zip(ranked, front, strict=True):
        above = tuple(sorted(other.key for other in ranked if dominates(other, row)))
        board.append(Ranked(row, 1 + len(above), above, held))
    board.sort(key=lambda one: (len(one.above), one.row.convicted, one.row.numbers[QUALITY].value, one.row.key))
    others = sorted((row for row in marked if row.unranked), key=lambda row: (row.control, row.model, row.key))
    return board + [Ranked(row, None, (), False) for row in others]


def point_of(row: Row) -> tuple[float, float]:
    """Where a complete row stands: its quality, and the upper end of its copy rate, at least 0."""
    high = row.numbers[RATE].high
    return row.numbers[QUALITY].value, max(0.0, row.numbers[RATE].value if high is None else high)


def _control(rows: Sequence[Row], model: str) -> Row | None:
    """A complete control of memobench itself that was measured again, the best where there are several.

    A stranger's generator that calls itself a control frames nothing.
    """
    found = [
        row
        for row in rows
        if row.control and row.model == model and not row.missing and row.unranked == "control" and row.measured
        if all(one.submission.source == "entry" for one in row.seeds)
    ]
    return min(found, key=lambda row: row.numbers[QUALITY].value) if found else None


def _marked(row: Row, controls: dict[str, Row]) -> Row:
    """With what the comparison with the controls says; without a rank where its images are no better than noise."""
    if row.control or row.missing:
        return row
    quality, marks = row.numbers[QUALITY].value, list[str]()
    for name in ("noise", "mean"):
        if name in controls and quality >= controls[name].numbers[QUALITY].value:
            marks.append(f"images no better than the control {name}")
    if (linear := controls.get("linear")) is not None:
        if dominates(linear, row):
            marks.append("clearly worse than the linear control")
        elif not better_images(row, linear):
            marks.append("does not clearly beat the linear control")
    unranked = row.unranked or (NOISE if NOISE in marks else "")
    return replace(row, unranked=unranked, marks=(*(mark for mark in marks if mark != unranked), *row.marks))
