"""Policies: what they decide, and how wrong ones are refused."""

from __future__ import annotations

from pathlib import Path

import pytest
from memobench.audit.policy import Policy, read_policy, refusals, unmet
from memobench.base.errors import DataError
from memobench.measure.decision import Findings

FOUND = Findings(images=300, rate=(0.0, 0.0, 0.02), sensitivity=0.9, holdout_patients=40)


def test_limits_are_read_and_compared(tmp_path: Path) -> None:
    file = tmp_path / "policy.toml"
    file.write_text(
        "largest_copy_rate = 0.01\nlargest_patients = 0\nleast_sensitivity = 0.95\nleast_holdout_patients = 50\n"
    )
    policy = read_policy(file)
    assert policy == Policy(0.01, 0, 0.95, 50)
    missed = unmet(policy, FOUND, patients=2)
    assert [text.split(",")[0] for text in missed] == [
        "up to 2% of the images may be copies (95% interval)",
        "2 training patients have images called copies",
        "the detector finds 90% of planted copies",
        "40 patients were held out",
    ]
    assert unmet(Policy(0.02, 2, 0.9, 40), FOUND, patients=2) == ()
    assert unmet(Policy(), FOUND, patients=99) == ()


def test_no_limit_lets_a_set_pass_that_must_not_be_released() -> None:
    assert refusals((), "no copies found", "quick") == []
    assert refusals((), "do not release", "quick") == ['the decision is "do not release"']
    assert refusals((), "review", "smoke") == ["preset smoke only tests the path"]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("largest_copyrate = 0.1", r'"largest_copyrate" is no limit of a policy; did you mean "largest_copy_rate"'),
        ("largest_copy_rate = 2", "give a share from 0 to 1"),
        ("largest_copy_rate = nan", "give a share from 0 to 1"),
        ("least_sensitivity = true", "give a share from 0 to 1"),
        ('largest_patients = "3"', "give a whole number from 0 on"),
        ("largest_patients = -1", "give a whole number from 0 on"),
        ("least_holdout_patients = 2.5", "give a whole number from 0 on"),
        ("[limits]\nlargest_patients = 1", '"limits" is no limit'),
        ("largest_patients", "is no TOML"),
        ("", "sets no limit"),
    ],
)
def test_a_wrong_policy_is_refused_in_one_line(tmp_path: Path, text: str, reason: str) -> None:
    file = tmp_path / "policy.toml"
    file.write_text(text)
    with pytest.raises(DataError, match=reason) as refused:
        read_policy(file)
    assert "\n" not in str(refused.value)


def test_a_policy_that_cannot_be_read_is_refused_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "damaged.toml").write_bytes(b"\xff\xfe\x00")
    for file in (tmp_path / "none.toml", tmp_path, tmp_path / "damaged.toml"):
        with pytest.raises(DataError, match="--policy") as refused:
            read_policy(file)
        assert "\n" not in str(refused.value)
