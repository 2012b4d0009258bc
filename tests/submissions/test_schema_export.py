from __future__ import annotations

import json
from pathlib import Path

from memobench.submissions.schema_export import schemas

FOLDER = Path(__file__).parents[2] / "leaderboard" / "schema"


def test_the_committed_schemas_are_those_of_the_models() -> None:
    committed = {file.name: json.loads(file.read_text()) for file in FOLDER.glob("*.json")}
    assert committed == schemas(), "write them again: python -m memobench.submissions.schema_export"
