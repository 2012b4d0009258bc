"""What the task fixes and no submission may choose: the null scores, the threshold and the detector's sensitivity.

They depend on the task's images, on the detector's version and on the preset, and not on the generator. memobench's own
runs, measured twice, give them; ``tasks/reference/<task>.json`` keeps them, made by
``python -m memobench.submissions.reference_export``. Where a preset has none yet, nothing is compared until a verifier
measures the samples again ("rescored"), which trains the task's detector itself; and only then does an entry rank.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files

import numpy as np
from numpy.typing import NDArray

from memobench.detection.parameters import DETECTOR_VERSION
from memobench.memorization.decide import TAIL, Threshold
from memobench.results import Result
from memobench.submissions.track import Track
from memobench.task import TASKS

# Of the spread of the null scores. Two machines' detectors differed by 0.005 of it at most, by 0.00005 in the middle.
FARTHEST = 0.25
MIDDLE = 0.02
PLANTED = 0.1  # share of planted copies of one kind that another machine's detector may find more or fewer of


@dataclass(frozen=True)
class Reference:
    """What the task's own detector gives on the task's own images.

    Attributes:
        null: (M,) the real images' best scores against other patients, in the pool's order.
        tau: The threshold that follows.
        capped: Whether tau was lowered to the score of exact copies.
        sensitivity: Share of planted copies that reach tau.
        planted: The same by perturbation and strength.
    """

    null: NDArray[np.float32]
    tau: float
    capped: bool
    sensitivity: float
    planted: Mapping[str, float]


def tail_of(track: Track) -> float:
    """The share of null scores beyond tau that the measure aims at: a matter of the task and its data alone.

    Every real image is compared with the whole pool where the detector learns from patients of dev, and with half of it
    where it must be cross-fitted; see :func:`memobench.memorization.decide.threshold`.
    """
    return TAIL * 2 * (1.0 if track.with_dev else 0.5)


def reference_of(task: str, preset: str) -> Reference | None:
    """What the task fixes under a preset; None where nobody has measured it, or for another version of the detector.

    Args:
        task: Name of an embedded task.
        preset: Of the run.
    """
    file = files("memobench.tasks") / "reference" / f"{task}.json"
    if task not in TASKS.files() or not file.is_file():
        return None
    held = json.loads(file.read_text(encoding="utf-8"))
    present = {"task_version": TASKS.get(task).version, "split_digest": TASKS.get(task).digest}
    present["detector_version"] = DETECTOR_VERSION
    if any(held[name] != value for name, value in present.items()) or preset not in held["presets"]:
        return None
    found = held["presets"][preset]
    null = np.array(found["null"], dtype=np.float32)
    return Reference(null, found["tau"], found["capped"], found["sensitivity"], found["planted"])


def null_problems(null: NDArray[np.float32], reference: Reference) -> list[str]:
    """Why null scores are not those of the task; empty where they are, to what another machine's arithmetic changes.

    Args:
        null: (M,) as submitted.
        reference: What the task fixes.

    >>> held = Reference(np.arange(100, dtype=np.float32), 99.0, False, 1.0, {})
    >>> null_problems(held.null, held), len(null_problems(held.null[::-1], held))
    ([], 1)
    """
    if null.shape != reference.null.shape:
        return [f"scores.npz: null has {len(null)} scores, and the task {len(reference.null)}"]
    spread = float(np.std(reference.null))
    apart = np.abs(null.astype(np.float64) - reference.null)
    if apart.max() <= FARTHEST * spread and np.median(apart) <= MIDDLE * spread:
        return []
    return [
        f"scores.npz: null is not what this task's real images score: {int((apart > MIDDLE * spread).sum())} of "
        f"{len(null)} differ, by up to {apart.max():.3g}; run it again with this version of memobench, on the CPU"
    ]


def threshold_problems(threshold: Threshold, reference: Reference) -> list[str]:
    """Why a threshold is not the task's.

    Args:
        threshold: As submitted.
        reference: What the task fixes.
    """
    problems, far = [], FARTHEST * float(np.std(reference.null))
    if threshold.capped != reference.capped:
        problems.append(f"threshold: capped is {threshold.capped}, and for this task {reference.capped}")
    if abs(threshold.tau - reference.tau) > far:
        problems.append(f"threshold: tau is {threshold.tau:.4g}, and for this task {reference.tau:.4g}")
    return problems


def planted_differences(result: Result, reference: Reference) -> list[str]:
    """Where a result claims another sensitivity to planted copies than the task's detector has.

    Args:
        result: Of a run.
        reference: What the task fixes.
    """
    problems = []
    claimed = planted_of(result)
    summary = result.challenge.summary.get("sensitivity")
    if summary is not None and abs(summary.value - reference.sensitivity) > PLANTED:
        found, own = f"{summary.value:.3g}", f"{reference.sensitivity:.3g}"
        problems.append(f"challenge: the sensitivity is {found}, and that of the task's own detector {own}")
    if claimed.keys() != reference.planted.keys():
        problems.append("challenge: the kinds of planted copies are not those of this task")
        return problems
    for kind, value in claimed.items():
        if abs(value - reference.planted[kind]) > PLANTED:
            problems.append(
                f"challenge: of copies changed by {kind} {value:.0%} are claimed to be found, and the task's detector "
                f"finds {reference.planted[kind]:.0%}"
            )
    return problems


def planted_of(result: Result) -> dict[str, float]:
    """The share of planted copies that reach tau, by perturbation and strength."""
    rows = [row for row in result.challenge.rows if "sensitivity" in row.metrics]
    return {f"{row.perturbation}, {row.strength}": row.metrics["sensitivity"].value for row in rows}
