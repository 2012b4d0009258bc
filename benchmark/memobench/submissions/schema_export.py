"""The JSON Schemas of all records, for readers in other languages: ``leaderboard/schema/*.json``.

``python -m memobench.submissions.schema_export`` writes them again; a test compares them with the models.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from memobench.base.store import write_json
from memobench.challenge.results import ChallengeResult
from memobench.results import Result, Strict
from memobench.submissions.records import Submission, Verification

RECORDS: dict[str, type[Strict]] = {
    "submission": Submission,
    "result": Result,
    "challenge_result": ChallengeResult,
    "verification": Verification,
}


def schemas() -> dict[str, dict[str, Any]]:
    """File name to JSON Schema."""
    return {f"{name}.json": model.model_json_schema() for name, model in RECORDS.items()}


def write_schemas(folder: Path) -> None:
    """Write every schema into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, schema in schemas().items():
        write_json(folder / name, schema)


if __name__ == "__main__":
    write_schemas(Path("leaderboard/schema"))
