"""The schema of a challenge's result: how well each detector finds planted copies, and what it flags wrongly."""

from __future__ import annotations

from typing import Any

from memobench.base.store import digest_of
from memobench.results import DetectorScores, Finite, Strict

CHALLENGE_SCHEMA_VERSION = 1


class ChallengeIdentity(Strict):
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


class ChallengeResult(Strict):
    """One challenge: ``result.json``.

    Attributes:
        counts: Images and patients of the pool, the planted copies and the non-copies.
        detectors: What each detector reached, by name.
        notes: What a reader should know about the data.
        environment: Versions and device.
        seconds: Time per stage, where it was not stored.
        checksum: Of all the rest; None in results of versions that wrote none.
    """

    schema_version: int = CHALLENGE_SCHEMA_VERSION
    run_id: str
    identity: ChallengeIdentity
    counts: dict[str, int]
    detectors: dict[str, DetectorScores]
    notes: list[str]
    environment: dict[str, Any]
    seconds: dict[str, Finite]
    checksum: str | None = None
