"""A change that strangers propose: it may add submissions of one submitter, and nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from memobench.submissions.check import change_problems, check_submission


def verify_changes(name_status: str, root: Path) -> list[str]:
    """What is wrong with a proposed change; only data are read.

    Args:
        name_status: Output of ``git diff --name-status --no-renames BASE...HEAD``.
        root: A checkout with the change in it.
    """
    changes = parse_changes(name_status)
    if not changes:
        return ["nothing is changed"]
    base = root / "leaderboard" / "submissions"
    present = [path.relative_to(root).as_posix() for path in base.glob("*/*/*")]
    if problems := change_problems(changes, present):
        return problems
    names = set()
    for folder in sorted({PurePosixPath(path).parent for _, path in changes}):
        checked = check_submission(root / folder)
        if checked.submission is not None:
            names.add(checked.submission.submitter.name)
        problems += [f"{folder}: {problem}" for problem in checked.problems]
        wrong = [row for row in checked.differences if not row.agrees]
        problems += [f"{folder}: {row.metric} is {row.claimed}, its scores give {row.found}" for row in wrong]
    if len(names) > 1:
        problems.append(f"{len(names)} submitters are named; one change is of one submitter")
    return problems


def parse_changes(name_status: str) -> Sequence[tuple[str, str]]:
    r"""Status and path of each line.

    >>> parse_changes("A\tleaderboard/submissions/xray/a/scores.npz\n")
    [('A', 'leaderboard/submissions/xray/a/scores.npz')]
    """
    lines = [line.partition("\t") for line in name_status.splitlines() if line.strip()]
    return [(status, path) for status, _, path in lines]
