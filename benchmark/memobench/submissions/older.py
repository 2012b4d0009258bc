"""Results of older schema versions, read as present ones, so that no board ever loses a row for its age alone."""

from __future__ import annotations

from typing import Any

from pydantic import ValidationError

from memobench.base.errors import DataError
from memobench.results import SCHEMA_VERSION, Result
from memobench.submissions.untrusted import parse_json


def read_result(data: bytes) -> Result:
    """A result of this schema version or an older one.

    Version 1 had no ``measure_version`` and no challenge; it becomes measure "1" with an empty one. ``schema_version``
    stays that of the file, and so does ``run_id``: an old result can be read and shown, and not submitted.

    Args:
        data: The bytes of ``result.json``.

    Raises:
        DataError: It is of a newer version, or no result.
    """
    value: dict[str, Any] = parse_json(data)
    version = value.get("schema_version") if isinstance(value, dict) else None
    if version not in range(1, SCHEMA_VERSION + 1):
        raise DataError(f"the schema version is {str(version)[:20]}, and this memobench reads 1 to {SCHEMA_VERSION}")
    if version == 1:
        value = {"challenge": {"rows": [], "thresholds": {}, "summary": {}, "other_scans": 0}, **value}
        value["identity"] = {"measure_version": "1", **value["identity"]}
    try:
        return Result.model_validate(value)
    except ValidationError as error:
        raise DataError(f"this is no result of schema version {version}: {str(error).splitlines()[1][:200]}") from error
