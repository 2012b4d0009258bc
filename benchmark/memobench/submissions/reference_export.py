"""What tasks fix, written from memobench's own runs that were measured again: ``tasks/reference/<task>.json``.

``python -m memobench.submissions.reference_export`` writes them again, after the detector or a task has a new version
and the controls were run, submitted and rescored.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from memobench.submissions.check import parse_submission
from memobench.submissions.reference import planted_of
from memobench.submissions.scores import BELOW, MOST_BYTES, TYPES
from memobench.submissions.untrusted import JSON_BYTES, parse_arrays, read_bytes


def make_references(submissions: Path, verified: Path, into: Path) -> list[str]:
    """Write ``<task>.json`` of every task from memobench's own controls that were measured again, and name the files.

    Args:
        submissions: ``<task>/<run_id>/``.
        verified: Their verifications.
        into: Where to write.
    """
    written = []
    for folder in sorted(submissions.glob("*/*-replay-*")):
        record = verified / f"{folder.name}.json"
        submission = parse_submission(read_bytes(folder / "submission.json", JSON_BYTES))
        result = submission.result
        if submission.kind != "run" or not record.is_file() or json.loads(record.read_text())["level"] != "rescored":
            continue
        scores = parse_arrays((folder / "scores.npz").read_bytes(), "scores.npz", TYPES, MOST_BYTES, below=BELOW)
        file = into / f"{result.identity.task}.json"
        held: dict[str, Any] = json.loads(file.read_text()) if file.is_file() else {"presets": {}}
        head = {name: getattr(result.identity, name) for name in ("task_version", "split_digest", "detector_version")}
        presets = held["presets"] if all(held.get(name) == value for name, value in head.items()) else {}
        presets[result.preset] = {
            "null": [float(f"{score:.9g}") for score in scores["null"].tolist()],
            "tau": result.threshold["tau"],
            "capped": result.threshold["capped"],
            "sensitivity": result.challenge.summary["sensitivity"].value,
            "planted": planted_of(result),
        }
        into.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps({**head, "presets": presets}, sort_keys=True) + "\n", encoding="utf-8")
        written.append(str(file))
    return written


if __name__ == "__main__":
    board = Path("leaderboard")
    print("\n".join(make_references(board / "submissions", board / "verified", Path("tasks/reference"))))  # noqa: T201
