"""The policy of an institution: limits in a TOML file that decide whether a set passes."""

from __future__ import annotations

import dataclasses
import math
import tomllib
from dataclasses import dataclass
from pathlib import Path

from memobench.base.errors import DataError, suggest
from memobench.measure.decision import Findings, Word, percent

MOST_BYTES = 100_000


@dataclass(frozen=True)
class Policy:
    """Limits; None where the policy sets none.

    Attributes:
        largest_copy_rate: In [0, 1]; the upper end of the copy rate's 95% interval must not lie above it.
        largest_patients: Training patients of whom images may be called copies, at most.
        least_sensitivity: In [0, 1]; share of planted copies that the detector must find here.
        least_holdout_patients: Patients that must have been held out.
    """

    largest_copy_rate: float | None = None
    largest_patients: int | None = None
    least_sensitivity: float | None = None
    least_holdout_patients: int | None = None


SHARES = ("largest_copy_rate", "least_sensitivity")


def read_policy(path: Path) -> Policy:
    """A policy from a TOML file such as ``largest_copy_rate = 0.01``.

    Raises:
        DataError: The file cannot be read, is no TOML, sets nothing, or sets an unknown key or an impossible value.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        reason = error.strerror or "unreadable"
        raise DataError(f"--policy {path} cannot be read ({reason}); give a TOML file") from error
    if len(data) > MOST_BYTES:
        raise DataError(f"--policy {path} has {len(data)} bytes; a policy is a few lines of TOML")
    try:
        values = tomllib.loads(data.decode("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        reason = str(error).splitlines()[0][:120]
        raise DataError(f"--policy {path} is no TOML ({reason}); write for example largest_copy_rate = 0.01") from error
    known = [field.name for field in dataclasses.fields(Policy)]
    for name, value in values.items():
        if name not in known:
            raise DataError(f'--policy {path}: "{name[:64]}" is no limit of a policy; {suggest(name[:64], known)}')
        _check(path, name, value)
    if not values:
        raise DataError(f"--policy {path} sets no limit; {suggest('', known)}")
    return Policy(**values)


def _check(path: Path, name: str, value: object) -> None:
    """Refuse a limit that no set can be compared with."""
    if name in SHARES:
        good = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
        if not (good and 0 <= float(str(value)) <= 1):
            raise DataError(f"--policy {path}: {name} is {str(value)[:40]!r}; give a share from 0 to 1")
    elif not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise DataError(f"--policy {path}: {name} is {str(value)[:40]!r}; give a whole number from 0 on")


def unmet(policy: Policy, findings: Findings, patients: int) -> tuple[str, ...]:
    """Which limits a set does not keep, each with its figure; none where it keeps all.

    Args:
        policy: The limits.
        findings: What is known of the set.
        patients: Training patients of whom images are called copies.
    """
    found = []
    if policy.largest_copy_rate is not None and findings.most > policy.largest_copy_rate:
        found.append(
            f"up to {percent(findings.most)} of the images may be copies (95% interval), and "
            f"{percent(policy.largest_copy_rate)} is the most allowed"
        )
    if policy.largest_patients is not None and patients > policy.largest_patients:
        are = "1 training patient has" if patients == 1 else f"{patients} training patients have"
        found.append(f"{are} images called copies, and {policy.largest_patients} is the most allowed")
    if policy.least_sensitivity is not None:
        seen = findings.sensitivity
        if seen is None:
            found.append("the share of planted copies that is found was not measured")
        elif seen < policy.least_sensitivity:
            found.append(
                f"the detector finds {percent(seen)} of planted copies, and {percent(policy.least_sensitivity)} is the "
                "least allowed"
            )
    if policy.least_holdout_patients is not None and findings.holdout_patients < policy.least_holdout_patients:
        are = "1 patient was" if findings.holdout_patients == 1 else f"{findings.holdout_patients} patients were"
        found.append(f"{are} held out, and {policy.least_holdout_patients} is the least allowed")
    return tuple(found)


def refusals(missed: tuple[str, ...], word: Word, preset: str) -> list[str]:
    """Why a set does not pass; an empty list where it does.

    No limit lets a set pass that must not be released, nor one that a hardly trained detector has looked at.

    >>> refusals((), "review", "quick"), refusals((), "do not release", "quick")
    ([], ['the decision is "do not release"'])
    """
    stopped = ['the decision is "do not release"'] if word == "do not release" else []
    untrained = ["preset smoke only tests the path"] if preset == "smoke" else []
    return [*missed, *stopped, *untrained]
