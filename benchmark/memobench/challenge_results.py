"""The schema of a challenge's result: how well each detector finds planted copies, and what it flags wrongly."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from memobench.results import Finite, Metric, _Strict
from memobench.store import digest_of

CHALLENGE_SCHEMA_VERSION = 1


class ChallengeRow(_Strict):
    """One detector under one perturbation at one strength.

    Attributes:
        perturbation: A name in ``copies.perturb.PERTURBATIONS``, or "unchanged".
        strength: Its strength; None for unchanged images.
        copies: Number of planted copies.
        non_copies: Number of images of other patients under the same perturbation.
        metrics: ``auc``; ``tpr_at_1`` and ``tpr_at_5``, the share of copies found at 1 % and 5 % false positives;
            ``right_source`` and ``same_patient``, the share whose best match is the very source image and another
            image of its patient; and, where tau is known, ``sensitivity`` and ``false_positive_rate`` at tau.
    """

    perturbation: str
    strength: str | None
    copies: int
    non_copies: int
    metrics: dict[str, Metric]


class DetectorScores(_Strict):
    """One detector in a challenge.

    Attributes:
        rows: One per perturbation and strength.
        thresholds: The score above which an image is called a copy: ``at_1`` and ``at_5`` percent false positives
            among all non-copies of the challenge, and ``tau`` where it is known.
        summary: Over all perturbations: ``tpr_at_1``, ``tpr_at_5``, ``right_source``, and where tau is known
            ``sensitivity`` and ``false_positive_rate``; where patients have several scans, ``other_scans_at_1``,
            ``other_scans_at_tau`` (share of scans of a training patient flagged although that scan is not in the
            pool) and ``reidentified`` (share whose best match is that patient).
        other_scans: How many scans of training patients were queried without themselves in the pool.
    """

    rows: list[ChallengeRow]
    thresholds: dict[str, Finite]
    summary: dict[str, Metric]
    other_scans: int = Field(ge=0)


class ChallengeIdentity(_Strict):
    """Everything that the numbers of a challenge depend on, and nothing else.

    Attributes:
        version: Changes with anything in the challenge that changes a number.
        detectors: Name to version and code digest of each detector.
        preset: How the detectors are trained.
        count: Planted copies per perturbation, at most.
    """

    version: int
    task: str
    task_version: str
    data: str
    shape: tuple[int, ...]
    split_digest: str
    detectors: dict[str, dict[str, str]]
    perturbations: tuple[str, ...]
    strengths: tuple[str, ...]
    count: int
    preset: str
    seed: int

    @property
    def run_id(self) -> str:
        """A readable name that ends in the identity's hash."""
        return f"challenge-{self.task}-{digest_of(self.model_dump(mode='json'))}"


class ChallengeResult(_Strict):
    """One challenge: ``result.json``.

    Attributes:
        counts: Images and patients of the pool, the planted copies and the non-copies.
        detectors: What each detector reached, by name.
        notes: What a reader should know about the data.
        environment: Versions and device.
        seconds: Time per stage, where it was not stored.
    """

    schema_version: int = CHALLENGE_SCHEMA_VERSION
    run_id: str
    identity: ChallengeIdentity
    counts: dict[str, int]
    detectors: dict[str, DetectorScores]
    notes: list[str]
    environment: dict[str, Any]
    seconds: dict[str, Finite]
