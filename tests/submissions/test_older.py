from __future__ import annotations

import json
from pathlib import Path

import pytest
from memobench.base.errors import DataError
from memobench.submissions.older import read_result

FILE = Path(__file__).parents[1] / "fixtures" / "result_schema_2.json"


def test_a_result_of_schema_version_2_is_read() -> None:
    result = read_result(FILE.read_bytes())
    assert (result.schema_version, result.identity.model) == (2, "fresh")
    assert result.run_id == result.identity.run_id
    assert result.decision.word == "no copies found"
    assert result.decision.sentence.startswith(f"No copies were found among {result.identity.samples} samples.")


def test_a_result_of_schema_version_1_is_read() -> None:
    value = json.loads(FILE.read_text())
    del value["challenge"], value["identity"]["measure_version"]
    value["schema_version"] = 1
    result = read_result(json.dumps(value).encode())
    assert (result.schema_version, result.identity.measure_version, result.challenge.rows) == (1, "1", [])


def test_a_newer_version_is_refused() -> None:
    value = {**json.loads(FILE.read_text()), "schema_version": 99}
    with pytest.raises(DataError, match="99"):
        read_result(json.dumps(value).encode())


@pytest.mark.parametrize("broken", ["metrics", "challenge", "counts", "preset", "identity"])
def test_a_result_without_what_a_decision_rests_on_is_refused_in_one_line(broken: str) -> None:
    for value in (None, [], {}, {"copy_rate": {"value": "x"}}, {"samples": 10**500}):
        changed = {**json.loads(FILE.read_text()), broken: value}
        if broken == "preset" and value is not None:
            continue
        with pytest.raises(DataError) as refused:
            read_result(json.dumps(changed).encode())
        assert "\n" not in str(refused.value)
