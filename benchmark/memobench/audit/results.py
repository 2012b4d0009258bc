"""The result of an audit: what was found, in numbers and in a sentence, and each image's own line.

All of it names real patients and files, so it is confidential and says so; what may be handed on is
:mod:`memobench.audit.public`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from pydantic import Field

from memobench.measure.decision import Findings, planted_words
from memobench.measure.region_words import UNSEEN, groups_words, parts_words
from memobench.results import Decided, DetectorScores, Finite, Metric, RegionsFound, Strict

AUDIT_VERSION = 2
CONFIDENTIAL = "CONFIDENTIAL: names real patients and files; do not hand on (what may be handed on stands in public/)"


class AuditedRegion(Strict):
    """The region of a real image that a synthetic image repeats.

    Attributes:
        copy_of: The training patient; None for a held-out patient.
        match: That patient's image; None for a held-out one.
        score: Votes for it.
        p_value: How often an image of a new patient reaches it.
        certain: Whether chance is excluded.
        box: First and one past the last pixel along each axis, in the synthetic image as it was compared.
        source: The same in the training image; empty for a held-out one.
        share: Share of the image.
    """

    copy_of: str | None
    match: str | None
    score: Finite
    p_value: Finite
    certain: bool
    box: list[tuple[int, int]]
    source: list[tuple[int, int]]
    share: Finite

    @property
    def place(self) -> str:
        """Where it lies in the synthetic image, in words: "rows 0 to 31, columns 8 to 63"."""
        return place_words(self.box)


class AuditedImage(Strict):
    """One synthetic image.

    Attributes:
        name: Its file, or its number.
        score: Log odds of a copy, of its best match in train; None where no training image could be compared.
        p_value: How often an image of a new patient matches train as well; None without held-out patients.
        copy_of: The patient whom it is called a copy of; None where it is not called.
        match: The training image that it matches best, likewise.
        held_out: Whether it matches a held-out patient as a copy does, and no training patient better.
        left_out: Why it is left out of the cleaned set; None where it is kept.
        blank: Whether there is nothing to compare: it is even or nearly all border, and was matched with nobody.
        region: The region of a training patient's image that it repeats; None where it repeats none.
        pose: How it was changed before it was matched ("turned by 90 degrees"); "" where it was not.
    """

    name: str
    score: Finite | None
    p_value: Finite | None
    copy_of: str | None
    match: str | None
    held_out: bool = False
    left_out: str | None
    blank: bool = False
    pose: str = ""
    region: AuditedRegion | None = None

    @property
    def strength(self) -> float:
        """The score, minus infinity for none: what images are sorted by."""
        return -math.inf if self.score is None else self.score


class AffectedPatient(Strict):
    """A training patient of whom synthetic images are called copies."""

    patient: str
    images: int
    strongest: Finite


class PolicyOutcome(Strict):
    """Whether a set passes an institution's policy.

    Attributes:
        passed: The outcome.
        reasons: Why it does not pass; empty where it does.
        limits: What the policy sets.
    """

    passed: bool
    reasons: list[str]
    limits: dict[str, Finite]


class AuditResult(Strict):
    """One audit: ``audit.json``.

    Attributes:
        confidential: A warning, first in the file.
        decision: What to do with the set, from the one decision table.
        hold_back: The images that the decision names, the strongest match first.
        policy: The outcome of the policy; None where none was given.
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
        regions: What was found of copied regions; None in audits of versions that did not search them.
        carriers: Synthetic files that carry a real patient's id or a real file's name, and where: "name" or "header".
        unreadable: Files that were passed over, with the reason.
        notes: What a reader must know.
        seconds: Time per stage, where it was not stored.
    """

    confidential: str = CONFIDENTIAL
    audit_version: int = AUDIT_VERSION
    audit_id: str
    decision: Decided
    hold_back: list[str]
    policy: PolicyOutcome | None = None
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
    regions: RegionsFound | None = None
    carriers: dict[str, str]
    unreadable: list[tuple[str, str]]
    notes: list[str]
    environment: dict[str, str]
    seconds: dict[str, Finite]

    @property
    def verdict(self) -> str:
        """The decision's sentence, under the name that it had in version 1."""
        return self.decision.sentence


def place_words(box: Sequence[tuple[int, int]]) -> str:
    """A box in words.

    >>> place_words([(0, 32), (8, 64)])
    'rows 0 to 31, columns 8 to 63'
    """
    names = ("planes", "rows", "columns")[-len(box) :]
    return ", ".join(f"{name} {first} to {last - 1}" for name, (first, last) in zip(names, box, strict=True))


def guarantee_words(findings: Findings, patients_known: bool) -> str:
    """What the numbers rest on and what the detector cannot see, for the report.

    Args:
        findings: What is known of the set.
        patients_known: False where every file counted as a patient of its own.
    """
    parts = []
    if findings.holdout_patients:
        patients = "1 patient" if findings.holdout_patients == 1 else f"{findings.holdout_patients} patients"
        parts.append(
            "Every synthetic image was compared with the training images and, in the same way, with images of "
            f"{patients} held out, whom the generator should never have seen. What chance alone matches falls on both, "
            "and was subtracted."
        )
    else:
        parts.append(
            "There were no held-out patients. The threshold was set by the training patients among themselves, so the "
            "result holds only if new patients are like them; no exact test is possible. Hold patients out of the next "
            "training."
        )
    if not patients_known:
        parts.append(
            "No patient ids were known, so every file counted as a patient of its own. If patients have several "
            "images, intervals are too narrow and other scans of one patient may pass as chance matches."
        )
    parts.append(planted_words(findings))
    if findings.regions is not None and findings.regions.images:
        found = findings.regions
        said = ("Parts of the images were searched too.", parts_words(found.parts), groups_words(found.groups), UNSEEN)
        parts += [words for words in said if words]
    return " ".join(parts)
