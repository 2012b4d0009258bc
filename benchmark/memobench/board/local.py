"""The local runs that nobody has submitted: every ``result.json`` under a folder, as one table."""

from __future__ import annotations

import json
from pathlib import Path

from memobench.base.errors import DataError, MemobenchError
from memobench.report.tables import board
from memobench.results import Result
from memobench.submissions.older import read_result
from memobench.task import TASKS


def local_results(out: Path, task: str | None = None) -> list[Result]:
    """The results of all finished runs under a folder, those of older schema versions too.

    Raises:
        UsageError: The task is unknown.
        MemobenchError: There is no result, or one cannot be read (named, with the reason).
    """
    if task is not None:
        TASKS.get(task)
    results = []
    for file in sorted(out.glob("*/result.json")):
        if file.parent.name.startswith("challenge-"):  # of detectors, not of models
            continue
        try:
            result = read_result(file.read_bytes())
        except DataError as error:
            raise MemobenchError(f"{file} cannot be read: {error}; delete that folder") from error
        if task in (None, result.identity.task):
            results.append(result)
    if not results:
        raise MemobenchError(f"no results in {out}; make one with: bench run --model ldm --task {task or 'xray'}")
    return results


def local_board(out: Path, task: str | None = None, style: str = "table") -> str:
    """The local runs as a table ("table" or "github"), or as JSON ("json")."""
    results = local_results(out, task)
    if style == "json":
        return json.dumps([result.model_dump(mode="json") for result in results], indent=1)
    return board(results, {"table": "simple", "github": "github"}[style])
