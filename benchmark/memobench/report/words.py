"""The words of a result: how each metric is called and shown."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from memobench.results import Metric


@dataclass(frozen=True)
class Entry:
    """How a metric is shown: its label, its meaning for a newcomer, and its number format."""

    label: str
    meaning: str
    style: str


MEMORIZATION = {
    "copy_rate": Entry("copy rate", "share of samples that are copies of a training patient", "percent"),
    "train_share": Entry("train share", "share of samples nearer to training than to held-out patients", "percent"),
    "copy_evidence": Entry("copy evidence", "log10 odds that copies, not chance, lead the strongest matches", "number"),
    "memorized_patients": Entry("memorized patients", "training patients with at least one copy", "count"),
    "memorized_rate": Entry("memorized rate", "share of training images with at least one copy", "percent"),
    "memorized_ceiling": Entry("memorized ceiling", "patients that ten times as many samples would show", "count"),
    "leaked_patients": Entry("leaked patients", "test and dev patients whom samples certainly reproduce", "count"),
    "false_discovery_rate": Entry("false discoveries", "of the patients called copied, share by chance", "percent"),
    "sensitivity": Entry("sensitivity", "share of planted, changed copies that this detector finds here", "percent"),
    "copy_rate_corrected": Entry("copy rate, corrected", "copy rate over sensitivity: missed copies added", "percent"),
    "memorized_patients_corrected": Entry("patients, corrected", "memorized patients, missed copies added", "count"),
    "region_copy_rate": Entry(
        "region copy rate", "share of samples that repeat a region of a training patient's image, or all", "percent"
    ),
    "region_patients": Entry("patients by region", "training patients of whom a region is repeated", "count"),
    "smallest_region": Entry("smallest region", "share of the image that is found in 80% of planted cases", "percent"),
    "reidentified": Entry("re-identified", "of the copies, share that finds the patient's other scan too", "percent"),
}
OTHER = {
    "fd_ssl_of_train": Entry("Fréchet to train", "a copier is nearer to train than to holdout (null)", "number"),
    "published_n_copies": Entry("published N_copies", "samples that the published rule calls copies", "count"),
    "published_n_mem": Entry("published N_mem", "training images that it calls memorized", "count"),
    "published_n_copies_matched": Entry("N_copies, matched", "the same with pools of matched size", "count"),
    "published_n_mem_matched": Entry("N_mem, matched", "the same with pools of matched size", "count"),
    "authenticity": Entry("authenticity", "share of samples farther from train than train from itself", "percent"),
    "c_t": Entry("C_T", "below the null: samples nearer to train than test is", "number"),
    "fld_gap": Entry("FLD gap", "likelihood of train above test, per dimension", "number"),
    "l2_ratio_copies": Entry("l2 ratio", "share of samples with an unusually near training image", "percent"),
    "membership_auc": Entry("membership AUC", "how well the model's loss tells members from others", "small"),
    "membership_tpr_at_1_fpr": Entry("members at 1% FPR", "share of members that the loss gives away", "percent"),
    "membership_tpr_at_0_1_fpr": Entry("members at 0.1% FPR", "the same, more strictly", "percent"),
    "membership_auc_members": Entry("member-only control", "the same between halves of the members: bias", "small"),
}
QUALITY = {
    "fd": Entry("Fréchet distance", "distance of sample features from test patients'", "number"),
    "fd_inf": Entry("Fréchet distance, endless", "the same extrapolated to endlessly many images", "number"),
    "fid_inf": Entry("FID, endless", "the same extrapolated to endlessly many images", "number"),
    "fid": Entry("FID", "the Fréchet distance on Inception features, as published elsewhere", "number"),
    "kid": Entry("kernel distance", "the same by a polynomial kernel", "small"),
    "precision": Entry("precision", "share of samples that look real", "percent"),
    "recall": Entry("recall", "share of real variety that is covered", "percent"),
    "density": Entry("density", "how deep samples lie among real images", "number"),
    "coverage": Entry("coverage", "share of real images with a sample close by", "percent"),
    "ms_ssim": Entry("MS-SSIM", "likeness between samples: above the null means too little variety", "number"),
}
COUNTS = (
    "copy_rate",
    "copy_rate_corrected",
    "memorized_patients",
    "memorized_patients_corrected",
    "memorized_rate",
    "region_copy_rate",
    "region_patients",
)
SURE = 0.05  # p-values below it count as evidence


def shown_value(name: str, metric: Metric) -> str:
    """The value of a metric for people; a count of copies that chance exceeds is "none", never a number below zero.

    >>> shown_value("copy_rate", Metric(value=-0.7, low=-0.9, high=0.1, null=0.0, better="lower"))
    'none'
    """
    if name in COUNTS and metric.value <= 0 and metric.null == 0:
        return "none" if metric.value < 0 else shown(0.0, entry_of(name).style)
    return f"{'at least ' if _at_least(metric) else ''}{shown(metric.value, entry_of(name).style)}"


def _at_least(metric: Metric) -> bool:
    """Whether a value is a lower bound (:func:`memobench.measure.planted_groups.marked`)."""
    return (metric.note or "").startswith("at least")


def shown_interval(name: str, metric: Metric) -> str:
    """The 95% interval of a metric for people, of a count of copies from zero on; empty where there is none.

    Of a value that is an "at least" the upper end is not known.

    >>> shown_interval("copy_rate", Metric(value=-0.7, low=-0.9, high=0.1, better="lower"))
    '0.0 to 10.0%'
    """
    if metric.low is None or metric.high is None:
        return ""
    least = 0.0 if name in COUNTS else -np.inf
    style = entry_of(name).style
    low, high = (shown(max(end, least), style) for end in (metric.low, metric.high))
    if _at_least(metric):
        return f"{low} or more"
    return f"{low.removesuffix('%')} to {high}"


def shown(value: float | None, style: str) -> str:
    """A number for people; an empty string for None.

    >>> shown(0.1234, "percent"), shown(12.0, "count"), shown(None, "number")
    ('12.3%', '12', '')
    """
    if value is None:
        return ""
    if style == "percent":
        return f"{100 * value:.1f}%"
    return {"count": f"{value:.0f}", "small": f"{value:.4f}", "number": f"{value:.3g}"}[style]


def entry_of(name: str) -> Entry:
    """How a metric is shown; feature-based metrics carry their features in the label.

    >>> entry_of("fd_ssl").label
    'Fréchet distance (ssl)'
    """
    if (own := MEMORIZATION.get(name) or OTHER.get(name)) is not None:
        return own
    stem = stem_of(name)
    features = name.removeprefix(stem).removeprefix("_")
    entry = QUALITY[stem]
    if features:
        return Entry(f"{entry.label} ({features})", entry.meaning, entry.style)
    return entry


def stem_of(name: str) -> str:
    """A metric's name without its features.

    >>> stem_of("fd_inf_ssl"), stem_of("kid_ssl"), stem_of("ms_ssim")
    ('fd_inf', 'kid', 'ms_ssim')
    """
    if name in QUALITY:
        return name
    return "fd_inf" if name.startswith("fd_inf_") else name.partition("_")[0]
