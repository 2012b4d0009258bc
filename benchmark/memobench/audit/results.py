"""The result of an audit: what was found, in numbers and in a sentence, and each image's own line."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field

from memobench.report.words import SURE, shown
from memobench.results import DetectorScores, Finite, Metric, Strict

AUDIT_VERSION = 1
TOO_LITTLE = 0.25  # where a greater share of copies than this is not excluded, nothing is said for release
Decision = Literal["release", "review", "do not release"]


class AuditedImage(Strict):
    """One synthetic image.

    Attributes:
        name: Its file, or its number.
        score: Log odds of a copy, of its best match in train; None where no training image came into question.
        p_value: How often an image of a new patient matches train as well; None without held-out patients.
        copy_of: The patient whom it is called a copy of; None where it is not called.
        match: The training image that it matches best, likewise.
        left_out: Whether it is left out of the cleaned set.
    """

    name: str
    score: Finite | None
    p_value: Finite | None
    copy_of: str | None
    match: str | None
    left_out: bool

    @property
    def strength(self) -> float:
        """The score, minus infinity for none: what images are sorted by."""
        return -math.inf if self.score is None else self.score


class AffectedPatient(Strict):
    """A training patient of whom synthetic images are called copies."""

    patient: str
    images: int
    strongest: Finite


class AuditResult(Strict):
    """One audit: ``audit.json``.

    Attributes:
        decision: May the set leave the house?
        verdict: The same in a sentence, with its interval.
        guarantee: What the numbers rest on.
        counts: Images and patients on each side.
        shape: What all images were brought to.
        threshold: How tau was found.
        clean_limit: Score from which on an image is left out of the cleaned set.
        challenge: What the detector finds of copies planted in these very images.
        cleaned: The rates of the images that are not left out.
        images: One line for each synthetic image, in their order.
        affected: Training patients copied, the most often copied first.
        duplicates: Synthetic images that are pixel for pixel equal to another one.
        unreadable: Files that were passed over, with the reason.
        notes: What a reader must know.
        seconds: Time per stage, where it was not stored.
    """

    audit_version: int = AUDIT_VERSION
    audit_id: str
    decision: Decision
    verdict: str
    guarantee: str
    counts: dict[str, int]
    shape: tuple[int, ...]
    detector_version: str
    measure_version: str
    threshold: dict[str, Any]
    clean_limit: Finite
    metrics: dict[str, Metric]
    challenge: DetectorScores
    cleaned: dict[str, Metric]
    images: list[AuditedImage] = Field(min_length=1)
    affected: list[AffectedPatient]
    duplicates: int = Field(ge=0)
    unreadable: list[tuple[str, str]]
    notes: list[str]
    environment: dict[str, str]
    seconds: dict[str, Finite]


def decide_release(
    metrics: Mapping[str, Metric], images: int, *, exact: int = 0, called: int = 0
) -> tuple[Decision, str]:
    """The decision, and its sentence for people who know no statistics.

    Args:
        metrics: ``copy_rate`` with its interval; with held-out patients also ``copy_evidence`` and ``train_share``.
        images: Number of synthetic images.
        exact: How many of them are pixel for pixel a training image, once every image is scaled to its own range; one
            is enough, since chance makes none.
        called: How many reach the threshold of a copy.
    """
    rate, patients = metrics["copy_rate"], max(metrics["memorized_patients"].value, 0)
    # n images without a copy exclude no smaller share than this, about 3 / n (Hanley & Lippman-Hand 1983)
    most = max(rate.high or 0.0, 1 - 0.05 ** (1 / images))
    low, high = shown(max(rate.low or 0.0, 0.0), "percent"), shown(most, "percent")
    made = "1 image" if images == 1 else f"{images} images"
    copies = (
        f"{shown(rate.value, 'percent')} of its {made} are copies of training patients (95 % interval "
        f"{low} to {high}), of about {patients:.0f} patients"
    )
    are = "1 is" if exact == 1 else f"{exact} are"
    if exact:
        copies += f"; {are} pixel for pixel a training image, but for brightness and contrast"
    evidence, share = metrics.get("copy_evidence"), metrics.get("train_share")
    if evidence is None or share is None:
        if (rate.low or 0.0) > 0:
            return "do not release", f"Do not release this set as it is: {copies}."
        if exact:
            return "do not release", _exact_words(made, are, high)
        return "review", (
            f"No copies beyond chance were found among {made} (at most {high}), but without held-out patients "
            "chance itself was not measured: let somebody look at the strongest matches before release."
        )
    # two looks at the same images: the smaller p-value counts double (Bonferroni)
    tested = [metric.p_value for metric in (rate, evidence) if metric.p_value is not None]
    surest = min(1.0, len(tested) * min(tested))
    if surest < SURE and rate.value > 0:
        return "do not release", f"Do not release this set as it is: {copies}."
    if exact:
        return "do not release", _exact_words(made, are, high)
    if surest < SURE:
        return "do not release", (
            f"Do not release this set as it is: its strongest matches are training patients more often than chance "
            f"explains (p = {surest:.4f}); up to {high} of its {made} are copies."
        )
    if share.p_value is not None and share.p_value < SURE and share.value > 0.5:
        return "review", (
            f"No copies beyond chance were found among {made} (at most {high}), but they lean toward the "
            f"training patients ({shown(share.value, 'percent')} are nearer to them, 50 % expected): look at the "
            "strongest matches before release."
        )
    if most > TOO_LITTLE:
        return "review", (
            f"No copies beyond chance were found among {made}, but that is too little to tell: even {high} of them "
            "could be copies (95 % interval). Audit more images, against more held-out patients, before release."
        )
    alike = "1 reaches" if called == 1 else f"{called} reach"
    listed = f" {alike} the threshold of a copy, which chance explains: look at what is listed." if called else ""
    return "release", (
        f"Nothing found here speaks against release: no copies beyond chance among {made}, at most {high} of "
        f"them (95 % interval).{listed}"
    )


def _exact_words(made: str, are: str, high: str) -> str:
    return (
        f"Do not release this set as it is: of its {made}, {are} pixel for pixel a training image, but for brightness "
        f"and contrast; of all, up to {high} may be copies (95 % interval)."
    )


def guarantee_words(result_metrics: Mapping[str, Metric], holdout_patients: int, patients_known: bool) -> str:
    """What the numbers rest on, for the report.

    Args:
        result_metrics: With ``sensitivity``.
        holdout_patients: Patients held out; 0 for none.
        patients_known: False where every file counted as a patient of its own.
    """
    found = result_metrics["sensitivity"]
    parts = []
    if holdout_patients:
        parts.append(
            f"Every synthetic image was compared with the training images and, in the same way, with images of "
            f"{holdout_patients} patients whom the generator never saw. What chance alone matches hits both alike and "
            "was taken away."
        )
    else:
        parts.append(
            "There were no held-out patients. The threshold was set by the training patients among themselves, so the "
            "result holds only as far as new patients are like them; no exact test is possible. Hold patients out for "
            "the next generator."
        )
    if not patients_known:
        parts.append(
            "No patient ids were known, so every file counted as a patient of its own. If patients have several "
            "images, intervals are too narrow and other scans of one patient may pass as chance matches."
        )
    parts.append(
        f"Of copies planted in these very images and changed in many ways, the detector finds "
        f"{shown(found.value, 'percent')}; copies that are changed beyond that it does not see."
    )
    return " ".join(parts)
