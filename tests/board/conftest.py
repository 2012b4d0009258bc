from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from memobench.board.read import Frame, Listed
from memobench.results import ChallengeRow, Decided, DetectorScores, Identity, Metric, Result
from memobench.submissions.attack_rules import attack_id
from memobench.submissions.records import (
    Attack,
    Difference,
    Disclosures,
    Leak,
    SamplesRecord,
    Submission,
    Submitter,
    Verification,
)

FRAME = Frame("xray", "1", "chest radiograph", (64, 64), "0" * 64, 256, "4", "3")


def metric(value: float, reach: float, null: float | None = 0.0, p_value: float | None = None) -> Metric:
    return Metric(value=value, low=value - reach, high=value + reach, null=null, better="lower", p_value=p_value)


def figures(
    rate: float = 0.0, quality: float = 10.0, p_value: float | None = None, reach: float = 0.01
) -> dict[str, Metric]:
    """The metrics of a run; a p-value is that of copies where the rate lies above its reach, else that of none."""
    p_value = (0.0001 if rate > reach else 0.6) if p_value is None else p_value
    return {
        "copy_rate": metric(rate, reach, 0.0, p_value),
        "copy_evidence": Metric(value=0.0, null=0.0, better="lower", p_value=p_value),
        "memorized_patients": metric(96 * rate, 3.0, 0.0, p_value),
        "train_share": metric(0.5 + rate / 2, 0.05, 0.5, p_value),
        "sensitivity": metric(0.95, 0.02, None),
        "fd_ssl": metric(quality, 1.0, 8.0),
        "recall": metric(0.9, 0.05, 0.97),
        "authenticity": Metric(value=0.6, null=0.75, better="null", note="null of 150 fresh images"),
        "authenticity_of_holdout": Metric(value=0.58, better="null"),
    }


class Shelf:
    """Writes submissions into a folder as they would lie in the leaderboard's."""

    def __init__(self, root: Path) -> None:
        self.submissions = root / "submissions"
        self.verified = root / "verified"

    def put(
        self,
        model: str = "ldm",
        seed: int = 0,
        *,
        metrics: dict[str, Metric] | None = None,
        submitter: Submitter | None = None,
        control: bool = False,
        level: str | None = "rescored",
        passed: bool = True,
        attack: Attack | None = None,
        identity: dict[str, Any] | None = None,
        changes: dict[str, Any] | None = None,
        disclosures: Disclosures | None = None,
        command: str = "bench run --model ldm --task xray --seed 0",
        texts: str = "",
        account: str = "github:a-group",
        leaks: list[Leak] | None = None,
    ) -> Listed:
        fields: dict[str, Any] = {
            "version": 1,
            "task": "xray",
            "task_version": "1",
            "data": "phantom",
            "shape": (64, 64),
            "split_digest": FRAME.split_digest,
            "model": model,
            "parameters": {"steps": 2000},
            "generator_code": "0" * 64,
            "seed": seed,
            "samples": 256,
            "detector_version": "4",
            "measure_version": "3",
            "detector": {"steps": 220},
        }
        who = Identity(**{**fields, **(identity or {})})
        planted = {"sensitivity": metric(0.9, 0.1, None), "false_positive_rate": metric(0.0, 0.1, None)}
        result = Result(
            run_id=who.run_id,
            identity=who,
            preset=texts or "quick",
            settings={},
            control=control,
            counts={"samples": 256},
            threshold={"tau": 3.8},
            challenge=DetectorScores(
                rows=[
                    ChallengeRow(
                        perturbation=texts or "blur", strength="weak", copies=20, non_copies=20, metrics=planted
                    )
                ],
                thresholds={"tau": 3.8},
                summary={},
                other_scans=0,
            ),
            metrics=figures() if metrics is None else metrics,
            decision=Decided(
                word="review", sentence=texts or "No copies were found.", reasons=[texts] if texts else []
            ),
            notes=[texts] if texts else [],
            environment={"device": texts or "cpu"},
            seconds={},
        )
        submission = Submission(
            kind="run" if attack is None else "attack",
            submitted="2026-01-31",
            submitter=submitter or Submitter(name="A group"),
            disclosures=disclosures or Disclosures(),
            command=command,
            source="entry",
            result=result,
            samples=SamplesRecord(
                sha256=hashlib.sha256(who.run_id.encode()).hexdigest(), count=256, location=texts[:400]
            ),
            scores_sha256="0" * 64,
            attack=attack,
        ).model_copy(update=changes or {})
        name = who.run_id if attack is None else attack_id(attack, submission.samples.sha256)
        folder = self.submissions / "xray" / name
        folder.mkdir(parents=True, exist_ok=True)
        content = submission.model_dump_json(indent=1).encode()
        (folder / "submission.json").write_bytes(content)
        digest = hashlib.sha256(content).hexdigest()
        verification = None
        if level is not None:
            verification = Verification(
                run_id=name,
                level=level,
                submission_sha256=digest,
                passed=passed,
                verified="2026-02-01",
                memobench=texts[:200] or "0.1.0",
                differences=[
                    Difference(metric=texts[:200] or "fd_ssl", claimed=10.0, found=10.0, tolerance=0.1, agrees=True)
                ],
                problems=[texts] if texts else [],
                submitted_by=account,
                leaks=leaks,
            )
            self.verified.mkdir(parents=True, exist_ok=True)
            (self.verified / f"{name}.json").write_text(verification.model_dump_json(), encoding="utf-8")
        return Listed(name, submission, digest, verification, None)


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    return Shelf(tmp_path / "leaderboard")


@pytest.fixture
def filled(shelf: Shelf) -> Shelf:
    """A board with everything on it: entries at zero, copiers, controls, an incomplete and an unverified row."""
    for seed in range(3):
        shelf.put("vae", seed, metrics=figures(0.0, 30.0 + seed))
        shelf.put("gan", seed, metrics=figures(0.002, 14.0 + 0.1 * seed))
        shelf.put(
            "ldm",
            seed,
            metrics=figures(0.2, 11.0 + 0.1 * seed),
            submitter=Submitter(name="B", link="https://b.example/"),
        )
        shelf.put("flow", seed, metrics=figures(0.35, 9.5))
        shelf.put("replay", seed, metrics=figures(0.3, 9.0), control=True)
        shelf.put("fresh", seed, metrics=figures(0.0, 8.0), control=True)
        shelf.put("mean", seed, metrics=figures(0.0, 60.0), control=True)
        shelf.put("noise", seed, metrics=figures(0.0, 200.0), control=True)
    shelf.put("ddpm", 0, metrics={k: v for k, v in figures().items() if k != "fd_ssl"})
    shelf.put("vqgan", 0, metrics=figures(0.0, 25.0), level=None)
    return shelf


@pytest.fixture
def frame() -> Callable[[str], Frame]:
    return lambda task: FRAME
