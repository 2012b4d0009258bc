"""Which values a metric can take, by its name: a number outside was not measured, whatever is claimed."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from memobench.report.words import QUALITY, stem_of
from memobench.results import Metric

ROUNDING = 1e-9
WIDEST = 1e12  # of numbers that have no end of their own


@dataclass(frozen=True)
class Span:
    """The values of one metric.

    Attributes:
        low: The smallest; of value, interval and null.
        high: The largest.
        better: Which direction is better: "lower", "higher" or "null".
    """

    low: float
    high: float
    better: str


def _share(better: str) -> Span:
    return Span(0.0, 1.0, better)


_DIFFERENCE = Span(-1.0, 1.0, "lower")
_COUNT = Span(0.0, WIDEST, "lower")
_ANY, _ANY_NULL = Span(-WIDEST, WIDEST, "lower"), Span(-WIDEST, WIDEST, "null")
_DISTANCE = Span(0.0, WIDEST, "lower")

SPANS: Mapping[str, Span] = {
    # counted from matches
    "copy_rate": _DIFFERENCE,
    "copy_rate_corrected": _DIFFERENCE,
    "copy_rate_of_strangers": _DIFFERENCE,
    "memorized_rate": _DIFFERENCE,
    "memorized_patients": _ANY,
    "memorized_patients_corrected": _ANY,
    "memorized_ceiling": _COUNT,
    "leaked_patients": _COUNT,
    "copy_evidence": _ANY,
    "copies_of_train": _share("lower"),
    "copies_of_holdout": _share("lower"),
    "train_share": _share("lower"),
    "train_share_of_strangers": _share("lower"),
    "false_discovery_rate": _share("lower"),
    "reidentified": _share("lower"),
    "sensitivity": _share("higher"),
    "region_copy_rate": _DIFFERENCE,
    "region_patients": _ANY,
    "smallest_region": _share("lower"),
    # other scores
    "authenticity": _share("null"),
    "authenticity_of_holdout": _share("null"),
    "c_t": _ANY_NULL,
    "c_t_of_holdout": _ANY_NULL,
    "fld_gap": _ANY,
    "fld_gap_of_holdout": _ANY_NULL,
    "l2_ratio_copies": _share("lower"),
    "l2_ratio_copies_of_holdout": _share("null"),
    "published_n_copies": _COUNT,
    "published_n_mem": _COUNT,
    "published_n_copies_matched": _COUNT,
    "published_n_mem_matched": _COUNT,
    "membership_auc": _share("lower"),
    "membership_auc_members": _share("null"),
    "membership_tpr_at_1_fpr": _share("lower"),
    "membership_tpr_at_0_1_fpr": _share("lower"),
    "fd_ssl_of_train": Span(0.0, WIDEST, "null"),
    # quality, on the task's own features or on others
    "ms_ssim": Span(-1.0, 1.0, "null"),
    "fd": _DISTANCE,
    "fd_inf": _ANY,  # an extrapolation may end below 0
    "fid": _DISTANCE,
    "fid_inf": _ANY,
    "kid": _ANY,  # unbiased, so it may lie below 0
    "precision": _share("higher"),
    "recall": _share("higher"),
    "density": Span(0.0, WIDEST, "higher"),
    "coverage": _share("higher"),
}
# in the metrics of a challenge
PLANTED = ("auc", "sensitivity", "false_positive_rate", "right_source", "same_patient", "reidentified")
LESS = ("false_positive_rate", "same_patient", "other_scans")


def span_of(name: str) -> Span | None:
    """The values of a metric; None for a name that no measurement gives.

    >>> span_of("recall_ssl"), span_of("made_up")
    (Span(low=0.0, high=1.0, better='higher'), None)
    """
    if name in SPANS:
        return SPANS[name]
    stem = stem_of(name)
    return SPANS.get(stem) if stem in QUALITY and name != stem else None


def range_problems(metrics: Mapping[str, Metric], features: Collection[str] = ()) -> list[str]:
    """Metrics that no measurement gives, for their name, range, direction, interval or p-value.

    Args:
        metrics: As claimed.
        features: Further features that quality was measured on; all know "ssl".
    """
    problems = []
    for name, metric in metrics.items():
        span, shown = span_of(name), ascii(name[:64])
        if span is None or not _measured_on(name, features):
            problems.append(f"{shown} is no metric of memobench; a submission holds those alone")
        elif metric.better != span.better:
            problems.append(f'{shown} claims that "{metric.better}" is better; it is "{span.better}"')
        elif reason := _reason(metric, span):
            problems.append(f"{shown}: {reason}")
    return problems


def planted_problems(metrics: Mapping[str, Metric]) -> list[str]:
    """The same of planted copies: all their metrics are shares."""
    problems = []
    for name, metric in metrics.items():
        if not name.startswith((*PLANTED, "tpr_at_", "other_scans_at_")):
            problems.append(f"challenge: {name[:64]!a} is no metric of planted copies")
        elif reason := _reason(metric, _share("lower" if name.startswith(LESS) else "higher")):
            problems.append(f"challenge: {name[:64]}: {reason}")
    return problems


def _measured_on(name: str, features: Collection[str]) -> bool:
    if name in SPANS:
        return True
    return name.removeprefix(stem_of(name)).removeprefix("_") in {"ssl", *features}


def _reason(metric: Metric, span: Span) -> str:
    for part in ("value", "low", "high", "null"):
        number = getattr(metric, part)
        if number is not None and not span.low - ROUNDING <= number <= span.high + ROUNDING:
            return f"{part} is {number:.6g}, outside {span.low:g} to {span.high:g}"
    if metric.p_value is not None and not 0 < metric.p_value <= 1:
        return f"p_value is {metric.p_value:.6g}, outside (0, 1]"
    slack = ROUNDING * max(1.0, abs(metric.value))
    low, high = (end if end is not None else metric.value for end in (metric.low, metric.high))
    if not low - slack <= metric.value <= high + slack:
        return f"the value {metric.value:.6g} lies outside its own interval, {low:.6g} to {high:.6g}"
    return "" if math.isfinite(metric.value) else "the value is not finite"
