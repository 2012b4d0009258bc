from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from memobench.results import Identity
from memobench.study.kept import _is_of
from memobench.submissions.older import read_result

KEPT = Path(__file__).parents[2] / "leaderboard" / "studies" / "xray" / "kept"


@pytest.mark.parametrize(
    ("change", "is_of"),
    [
        ({}, True),
        ({"adversarial_steps": 0}, True),  # a field that came later, with its default
        ({"adversarial_steps": 5}, False),
        ({"steps": 3}, False),
    ],
)
def test_a_kept_result_is_found_whatever_fields_its_model_got_since(change: dict[str, Any], is_of: bool) -> None:
    stored: Identity = read_result(next(KEPT.glob("xray-ldm-*/result.json")).read_bytes()).identity
    assert "adversarial_steps" not in stored.parameters
    wanted = stored.model_copy(update={"parameters": {**stored.parameters, **change}})
    assert _is_of(stored, wanted) is is_of
    assert not _is_of(stored, wanted.model_copy(update={"seed": stored.seed + 1}))
