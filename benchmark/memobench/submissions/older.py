"""Results of older schema versions, read as present ones, so that no board ever loses a row for its age alone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from memobench.base.errors import DataError
from memobench.measure.decision import decide_set
from memobench.measure.findings import recorded, run_findings
from memobench.results import SCHEMA_VERSION, Decided, DetectorScores, Metric, Result, was_changed
from memobench.submissions.records import Submission
from memobench.submissions.untrusted import JSON_BYTES, parse_json, read_bytes
from memobench.submissions.weigh import told_by, weighed_in

METRICS = TypeAdapter(dict[str, Metric])


def read_result(data: bytes) -> Result:
    """A result of this schema version or an older one.

    ``schema_version`` stays that of the file, and so does ``run_id``.

    Args:
        data: The bytes of ``result.json``.

    Raises:
        DataError: It is of a newer version, was changed by hand, or is no result.
    """
    parsed = parse_json(data)
    if was_changed(parsed):
        raise DataError("it was changed after it was written; run the same command again, which writes it again")
    value = as_present(parsed)
    try:
        return Result.model_validate(value)
    except ValidationError as error:
        version = value["schema_version"]
        raise DataError(f"this is no result of schema version {version}: {str(error).splitlines()[1][:200]}") from error


def result_of_folder(folder: Path) -> Result:
    """The result of a run's folder, or of a submission's, whose decision is then this version's and not its own.

    Raises:
        DataError: The folder holds neither, or it cannot be read.
    """
    for name in ("result.json", "submission.json"):
        if (file := folder / name).is_file():
            data = read_bytes(file, JSON_BYTES)
            try:
                if name == "result.json":
                    return read_result(data)
                held = parse_json(data)
                value = held if isinstance(held, dict) else {}
                result = read_result(json.dumps(value.get("result")).encode())
                submission = Submission.model_validate({**value, "result": result})
                decided = told_by(result, weighed_in(folder, submission))
                return result.model_copy(update={"decision": decided})
            except ValidationError as error:
                first = error.errors()[0]
                where = ".".join(str(part)[:64] for part in first["loc"])
                raise DataError(f"{file} is no submission: {where}: {first['msg'][:200]}") from error
            except DataError as error:
                raise DataError(f"{file} cannot be read: {error}") from error
    raise DataError(f"{folder} holds no result.json; give the folder of a finished run, which bench run prints")


def as_present(value: Any) -> dict[str, Any]:
    """The fields of a result as the present schema names them, with what can be derived.

    Version 1 had no ``measure_version`` and no challenge; it becomes measure "1" with an empty one. Version 2 had a
    ``verdict`` of words in place of ``decision``; the decision is derived from its metrics, without the certainty of
    single matches, which it did not hold.

    Raises:
        DataError: It is of a newer version, or its metrics are none.
    """
    version = value.get("schema_version") if isinstance(value, dict) else None
    if version not in range(1, SCHEMA_VERSION + 1):
        raise DataError(f"the schema version is {str(version)[:20]}, and this memobench reads 1 to {SCHEMA_VERSION}")
    found: dict[str, Any] = dict(value)
    if version == 1:
        found = {"challenge": {"rows": [], "thresholds": {}, "summary": {}, "other_scans": 0}, **found}
        if isinstance(found.get("identity"), dict):
            found["identity"] = {"measure_version": "1", **found["identity"]}
    if version in (1, 2):  # whatever such a file says for a decision was never checked
        found.pop("verdict", None)
        found["decision"] = _derived(found).model_dump()
    return found


def _derived(value: dict[str, Any]) -> Decided:
    try:
        metrics = METRICS.validate_python(value["metrics"])
        challenge = DetectorScores.model_validate(value["challenge"])
        counts = TypeAdapter(dict[str, int]).validate_python(value["counts"])
        data = str(value["identity"]["data"])
        findings = run_findings(metrics, challenge, counts, preset=str(value["preset"]), data=data)
        return recorded(decide_set(findings))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part)[:64] for part in first["loc"])
        raise DataError(f"the result cannot be read: {where}: {first['msg'][:200]}") from error
    except (KeyError, TypeError, OverflowError) as error:
        raise DataError(f"the result lacks what a decision rests on: {str(error)[:100]}") from error
