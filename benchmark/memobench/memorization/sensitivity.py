"""What was copied, and not only what was found: counts divided by a measured sensitivity."""

from __future__ import annotations

import numpy as np

from memobench.base.errors import DataError
from memobench.memorization.rates import Tally
from memobench.results import Metric
from memobench.stats.exchange import Floats
from memobench.stats.intervals import Interval, ratio


def corrected(metric: Metric, sensitivity: Interval, *, most: float = 1.0) -> Metric:
    """A metric divided by the share of copies that the detector finds, with both uncertainties.

    The interval is recovered from both (MOVER-R; Donner & Zou 2012) and clipped to what is possible; it reaches
    ``most`` where the sensitivity may be 0. The null stays the null, and so does the p-value.

    Args:
        metric: ``copy_rate``, or another share of which a perfect detector would find 1 / sensitivity times as much.
            For ``memorized_patients`` use :func:`corrected_patients`.
        sensitivity: Share of planted copies that was found, in (0, 1], with its 95% interval.
        most: The largest possible value.

    Raises:
        DataError: The metric has no interval, or the sensitivity is not a share above 0.

    >>> rate = Metric(value=0.2, low=0.1, high=0.3, null=0.0, better="lower")
    >>> round(corrected(rate, (0.8, 0.7, 0.9)).value, 3)
    0.25
    """
    found, low, high = sensitivity
    if metric.low is None or metric.high is None:
        raise DataError("only a metric with an interval can be corrected for the sensitivity; this one has none")
    if not 0 <= low <= found <= high <= 1 or found == 0:
        raise DataError(
            f"a sensitivity of {found} ({low} to {high}) is not a share above 0; nothing can be divided by it"
        )

    def divided(value: float, low: float, high: float) -> Interval:
        return ratio((value, max(low, 0.0), max(high, 0.0)), sensitivity)

    # MOVER-R takes numerators at or above 0, so the two signs are divided apart
    above = divided(max(metric.value, 0.0), metric.low, metric.high)
    below = divided(max(-metric.value, 0.0), -metric.high, -metric.low)
    value = metric.value / found
    ends = (above[1] if metric.low > 0 else -below[2], above[2] if metric.high > 0 else -below[1])
    return Metric(
        value=float(np.clip(value, -most, most)),
        low=float(np.clip(ends[0], -most, most)),
        high=float(np.clip(ends[1], -most, most)),
        null=metric.null,
        better=metric.better,
        p_value=metric.p_value,
        note=f"corrected for a sensitivity of {found:.3f} ({low:.3f} to {high:.3f})",
    )


def corrected_patients(metric: Metric, count: Tally, sensitivity: Interval) -> Metric:
    """``memorized_patients`` as a detector that misses nothing would count them.

    A patient with many copies is found though some are missed, so the count is not divided by the sensitivity s: that
    every copy was found would show what 1 / s times as many samples show. That extrapolation is Good & Toulmin's (1956,
    eq. 24): sum over k of (-1)^(k+1) (1 / s - 1)^k f_k patients more, f_k those with k copies, holdout subtracted. It
    converges for s above a half; below, the count is divided as if every patient had one copy.

    Args:
        metric: ``memorized_patients``.
        count: What each patient received.
        sensitivity: Share of planted copies that was found, with its 95% interval.
    """
    in_train = count.in_train
    found = float(count.hit[in_train].sum())
    weight = np.where(in_train, 1.0, -count.pools.ratio)
    share = [patient_sensitivity(np.ceil(count.copies), weight, s) if found else s for s in sensitivity]
    return corrected(metric, (share[0], min(share[:2]), max(share[0], share[2])), most=float(in_train.sum()))


def patient_sensitivity(copies: Floats, weight: Floats, sensitivity: float) -> float:
    """The share of copied patients that is found when copies are found with probability ``sensitivity``.

    >>> round(patient_sensitivity(np.array([1.0, 1.0, 0.0]), np.ones(3), 0.8), 2)  # all with one copy
    0.8
    >>> patient_sensitivity(np.array([9.0, 9.0, 0.0]), np.ones(3), 0.8) > 0.99
    True
    """
    found = float(weight[copies > 0].sum())
    if sensitivity <= 0.5 or found <= 0:
        return sensitivity
    growth = 1 / sensitivity - 1
    terms = np.where(copies > 0, -((-growth) ** np.maximum(copies, 1)), 0.0)
    more = float((weight * terms).sum())
    return float(np.clip(found / max(found + more, found), sensitivity, 1.0))
