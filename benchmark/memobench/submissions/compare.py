"""Numbers that were claimed beside numbers that were found."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from tabulate import tabulate

from memobench.results import Metric
from memobench.submissions.records import Difference, Leak

# Metrics that rest on features of a detector that is trained again, and on no count of copies: how their names begin.
OF_FEATURES = (
    "fd_",
    "kid_",
    "precision",
    "recall",
    "density",
    "coverage",
    "authenticity",
    "c_t",
    "fld_gap",
    "l2_ratio",
)
PARTS = ("value", "low", "high", "null", "p_value")
ROUNDING = 1e-9  # relative: what another platform's sums differ by
# Of a detector that was trained again, on another machine perhaps: a quarter of the interval, or where there is none a
# tenth of the number, and never less than this much of it.
OF_INTERVAL = 0.25
OF_NUMBER = 0.1
LEAST = 0.02


def exactly(metric: Metric) -> float:
    """The tolerance of what follows from the per-sample scores: rounding.

    >>> exactly(Metric(value=2.0, better="lower"))
    2e-09
    """
    return ROUNDING * max(1.0, abs(metric.value))


def remeasured(metric: Metric) -> float:
    """The tolerance of a metric that is measured again from the samples, the same for its value and its interval.

    >>> round(remeasured(Metric(value=0.5, low=0.4, high=0.6, better="lower")), 3)
    0.05
    """
    floor = max(LEAST, OF_NUMBER * max(abs(metric.value), abs(metric.null or 0.0)))
    if metric.low is None or metric.high is None:
        return floor
    return max(OF_INTERVAL * (metric.high - metric.low), min(floor, LEAST))


def differences(
    claimed: Mapping[str, Metric], found: Mapping[str, Metric], tolerance: Callable[[Metric], float]
) -> list[Difference]:
    """Every part of every metric that was found, beside what was claimed; a metric not claimed differs.

    Args:
        claimed: By name.
        found: By name; what is claimed beyond them is not compared.
        tolerance: Of a claimed metric.
    """
    rows = []
    for name, right in found.items():
        given = claimed.get(name)
        limit = tolerance(right)
        for part in PARTS:
            ours = getattr(right, part)
            theirs = None if given is None else getattr(given, part)
            if ours is None and theirs is None:
                continue
            agrees = ours is not None and theirs is not None and abs(ours - theirs) <= limit
            label = name if part == "value" else f"{name}.{part}"
            rows.append(Difference(metric=label, claimed=theirs, found=ours, tolerance=limit, agrees=agrees))
    return rows


def overlaps(claimed: Mapping[str, Metric], found: Mapping[str, Metric]) -> list[Difference]:
    """Whether the intervals of a second training meet the claimed ones; metrics without interval are left out.

    The distance between two intervals is compared with 0, so ``tolerance`` is the sum of the reaches toward each other.
    """
    rows = []
    for name, right in found.items():
        given = claimed.get(name)
        if given is None:
            rows.append(Difference(metric=name, claimed=None, found=right.value, tolerance=0.0, agrees=False))
            continue
        ends = (given.low, given.high, right.low, right.high)
        if None in ends:
            continue
        lower, upper = (given, right) if given.value <= right.value else (right, given)
        reach = max(0.0, (lower.high or 0.0) - lower.value) + max(0.0, upper.value - (upper.low or 0.0))
        agrees = abs(given.value - right.value) <= reach + ROUNDING
        rows.append(Difference(metric=name, claimed=given.value, found=right.value, tolerance=reach, agrees=agrees))
    return rows


def differences_text(rows: Sequence[Difference]) -> str:
    """What differs as a table, and how much agrees; the count alone where all does."""
    wrong = [row for row in rows if not row.agrees]
    summary = f"{len(rows) - len(wrong)} of {len(rows)} numbers agree"
    if not wrong:
        return summary
    shown = [(row.metric, _number(row.claimed), _number(row.found), f"{row.tolerance:.3g}") for row in wrong]
    table = tabulate(shown, headers=["metric", "claimed", "found", "tolerance"], disable_numparse=True)
    return f"{table}\n{summary}"


def _number(value: float | None) -> str:
    return "none" if value is None else f"{value:.6g}"


def leak_words(leak: Leak) -> str:
    """What the leak test found in one pool, in a line."""
    what = f"{leak.matched} samples match {leak.patients} of the {leak.images} images' patients of {leak.pool}"
    chance = f"{leak.expected:.1f} expected by chance, p = {leak.p_value:.2g}"
    return f"{'LEAK: ' if leak.found else 'leak test: '}{what} ({chance})"
