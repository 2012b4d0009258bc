"""A submission at the level "self-reported": is it whole, is it its own, and do its numbers follow from its scores?

Nothing in a submission is executed, and nothing in it is opened that is not named by the schema.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from memobench.base.errors import DataError, MemobenchError
from memobench.measure.findings import decided_samples, run_findings
from memobench.memorization.decide import Decisions, Threshold
from memobench.results import Decided, Metric, Result
from memobench.submissions.attack_rules import attack_id, attack_problems, unknown_metrics
from memobench.submissions.compare import ROUNDING, differences, exactly
from memobench.submissions.older import as_present
from memobench.submissions.records import SUBMISSION_SCHEMA_VERSION, Difference, Submission
from memobench.submissions.rules import code_problems, command_of, pool_patients, result_problems
from memobench.submissions.scores import (
    BELOW,
    MOST_BYTES,
    OF_ATTACK,
    TYPES,
    check_arrays,
    decisions_of,
    recomputed,
    threshold_of,
)
from memobench.submissions.untrusted import JSON_BYTES, parse_arrays, parse_json, read_bytes
from memobench.task import TASKS

SOURCE_BYTES = 1_000_000
GALLERY_BYTES = 4_000_000
NAMED = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
LOCATION = re.compile(r"(https://[^\s/?#@]+/\S*|[A-Za-z0-9][A-Za-z0-9_.-]*\.npz)?")
Scores = dict[str, NDArray[Any]]


@dataclass(frozen=True)
class Checked:
    """What was found in a submission.

    Attributes:
        submission: As read; None where it cannot be.
        sha256: Over the bytes of ``submission.json``.
        scores: The arrays of ``scores.npz``; None where they cannot be read.
        differences: What was compared, number by number.
        problems: What is wrong beside, in words.
    """

    submission: Submission | None
    sha256: str
    scores: Scores | None
    differences: list[Difference]
    problems: list[str]

    @property
    def passed(self) -> bool:
        """Whether nothing is wrong."""
        return not self.problems and all(row.agrees for row in self.differences)


def check_submission(folder: Path, *, practice: bool = False, beside: Path | None = None) -> Checked:
    """Check a submission's folder, with its neighbours, without anything but its own words.

    Args:
        folder: ``.../submissions/<task>/<run_id>``.
        practice: Accept the preset "smoke" and fewer samples, as tests and tutorials do.
        beside: Where the other submissions of its task lie; None where it lies among them.
    """
    sha, submission, scores = "0" * 64, None, None
    try:
        _check_place(folder)
        data = read_bytes(folder / "submission.json", JSON_BYTES)
        sha = hashlib.sha256(data).hexdigest()
        submission = parse_submission(data)
        _check_files(folder, submission)
        packed = read_bytes(folder / "scores.npz", MOST_BYTES)
        if hashlib.sha256(packed).hexdigest() != submission.scores_sha256:
            raise DataError("scores.npz is not the file that scores_sha256 names: it was changed, or is another run's")
        wanted = OF_ATTACK if submission.kind == "attack" else TYPES
        scores = parse_arrays(packed, "scores.npz", wanted, MOST_BYTES, below=BELOW)
        check_arrays(scores, submission.result.identity.samples)
    except MemobenchError as error:
        return Checked(submission, sha, None, [], [str(error)])
    problems = place_problems(folder, submission)
    try:
        problems += submission_problems(submission, folder, practice=practice, beside=beside)
        rows, more = score_problems(submission, scores)
    except MemobenchError as error:
        rows, more = [], [str(error)]
    return Checked(submission, sha, scores, rows, [text[:2000] for text in problems + more])


def parse_submission(data: bytes) -> Submission:
    """A submission from the bytes of ``submission.json``.

    Raises:
        DataError: It is too large, no JSON, or not as the schema wants it (naming the first field that is not).
    """
    value = parse_json(data)
    if isinstance(value, dict) and isinstance(value.get("result"), dict):
        value = {**value, "result": as_present(value["result"])}
    try:
        return Submission.model_validate(value)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part)[:64] for part in first["loc"])
        raise DataError(f"submission.json: {where}: {first['msg'][:200]}; see leaderboard/schema") from error


def _check_place(folder: Path) -> None:
    if folder.is_symlink() or not folder.is_dir():
        raise DataError(f"{folder} is no folder, or a link; give submissions/<task>/<run_id>")
    for file in folder.iterdir():
        if file.is_symlink() or not file.is_file():
            raise DataError(f"{file.name[:64]!r} is a link or a folder; a submission holds plain files alone")


def _check_files(folder: Path, submission: Submission) -> None:
    wanted = {"submission.json", "scores.npz"}
    if (submission.source == "file") != bool(submission.source_file):
        raise DataError('source_file must name the plug-in file where the source is "file", and only there')
    if submission.source_file:
        wanted.add(submission.source_file)
        read_bytes(folder / submission.source_file, SOURCE_BYTES)
    if submission.gallery_sha256:
        wanted.add("gallery.png")
        picture = read_bytes(folder / "gallery.png", GALLERY_BYTES)
        if hashlib.sha256(picture).hexdigest() != submission.gallery_sha256:
            raise DataError("gallery.png is not the picture that the submission names: it was changed")
    there = {file.name for file in folder.iterdir()}
    if odd := sorted(there ^ wanted):
        raise DataError(f"the folder must hold {', '.join(sorted(wanted))} alone; what differs: {odd[0][:64]!r}")


def place_problems(folder: Path, submission: Submission) -> list[str]:
    """Whether the folder is the submission's own, and the only one of its run."""
    folder = folder.resolve()
    name, task = submission.result.run_id, submission.result.identity.task
    if submission.attack is not None:
        name = attack_id(submission.attack, submission.samples.sha256)
    problems = []
    if (folder.parent.name, folder.name) != (task, name):
        what = "run" if submission.attack is None else "attack"
        problems.append(f"the folder is {folder.parent.name}/{folder.name}, but its {what} is {task}/{name}")
    if others := [other for other in folder.parents[1].glob(f"*/{folder.name}") if other != folder]:
        problems.append(f"{others[0].parent.name}/{folder.name} has the same run_id; a run is submitted once")
    return problems


def submission_problems(
    submission: Submission, folder: Path, *, practice: bool = False, beside: Path | None = None
) -> list[str]:
    """What is wrong with the words of a submission, apart from its scores. See :func:`check_submission`."""
    result, problems = submission.result, []
    if submission.schema_version != SUBMISSION_SCHEMA_VERSION:
        problems.append(f"the schema version is {submission.schema_version}, not {SUBMISSION_SCHEMA_VERSION}")
    problems += result_problems(result, practice=practice)
    file = folder / submission.source_file if submission.source_file else None
    if submission.kind == "attack":
        problems += attack_problems(submission, _attacked(submission, beside or folder.resolve().parent), file)
    elif submission.attack is not None:
        problems.append("a run describes an attack; submit the run alone, and the attack by bench attack")
    else:
        problems += code_problems(result, submission.source, file)
        if submission.command != (command := command_of(result, submission.source_file)):
            problems.append(f"the command is not the one that the identity gives: {command}")
    if submission.samples.count != result.identity.samples:
        problems.append(f"{submission.samples.count} samples are named, and {result.identity.samples} were drawn")
    if not LOCATION.fullmatch(submission.samples.location):
        problems.append("the samples' location must be an https address, or the plain name of an .npz file")
    return problems


def _attacked(submission: Submission, beside: Path) -> Submission | None:
    """The submission that an attack names, of those that lie beside it; None where there is none."""
    name = "" if submission.attack is None else submission.attack.against
    if not NAMED.fullmatch(name) or not (beside / name / "submission.json").is_file():
        return None
    return parse_submission(read_bytes(beside / name / "submission.json", JSON_BYTES))


def score_problems(submission: Submission, scores: Scores) -> tuple[list[Difference], list[str]]:
    """What of the result does not follow from the scores.

    Returns:
        The numbers compared, and what is wrong beside.

    Raises:
        DataError: The result's own threshold or sensitivity is none.
    """
    result, problems = submission.result, []
    try:
        claimed = Threshold(**result.threshold)
        found = threshold_of(scores["null"], claimed, scores.get("exact"))
    except TypeError as error:
        raise DataError(f"threshold has fields that it must not have, or lacks some: {str(error)[:200]}") from error
    tau = {"tau": Metric(value=claimed.tau, better="lower")}
    rows = differences(tau, {"tau": Metric(value=found.tau, better="lower")}, exactly)
    if (claimed.images, claimed.method) != (len(scores["null"]), found.method):
        problems.append("threshold: the number of null scores or the method is not that of scores.npz")
    decisions = decisions_of(scores, claimed.tau)
    for name in ("side", "called"):
        if not np.array_equal(scores[name], getattr(decisions, name)):
            problems.append(f"scores.npz: {name} does not follow from the scores and tau")
    if result.identity.task in TASKS.files():
        for name, patients in pool_patients(TASKS.get(result.identity.task)).items():
            if scores[name].tolist() != patients:
                problems.append(f"scores.npz: {name} is not who stands in this task's pool")
    sensitivity = result.challenge.summary.get("sensitivity")
    if sensitivity is None:
        raise DataError("the challenge's summary holds no sensitivity; without it no result is complete")
    metrics, calls = recomputed(scores, claimed.tau, sensitivity)
    rows += differences(result.metrics, metrics, exactly)
    if submission.kind == "attack":
        problems += unknown_metrics(result, {*metrics})
    if calls.patients and calls.words not in result.notes:
        problems.append(f"the notes lack what the list of calls is worth: {calls.words}")
    if result.schema_version >= 3 and result.decision != _decided(result, metrics, decisions):
        problems.append("the decision is not the one that the scores give")
    if abs(result.challenge.thresholds.get("tau", claimed.tau) - claimed.tau) > ROUNDING:
        problems.append("the challenge was judged with another tau")
    return rows, problems


def _decided(result: Result, metrics: Mapping[str, Metric], decisions: Decisions) -> Decided:
    """The decision that a result must carry, from its scores."""
    found = run_findings(
        {**result.metrics, **metrics},
        result.challenge,
        result.counts,
        preset=result.preset,
        data=result.identity.data,
    )
    return decided_samples(found, decisions)


def change_problems(changes: Sequence[tuple[str, str]], present: Sequence[str]) -> list[str]:
    """Why a set of changes is not one person's new submissions and nothing else.

    Args:
        changes: Status and path of each changed file, as ``git diff --name-status --no-renames`` gives them.
        present: Paths of all files under ``leaderboard/submissions`` after the change.

    >>> change_problems([("A", "leaderboard/submissions/xray/run-1/scores.npz")], [])
    []
    >>> change_problems([("M", "leaderboard/submissions/xray/run-1/scores.npz")], [])[0].split(":")[0]
    'leaderboard/submissions/xray/run-1/scores.npz'
    """
    problems, added, folders = [], set(), set()
    for status, path in changes:
        shown = path[:120]
        parts = PurePosixPath(path).parts
        odd = path.startswith(("/", '"')) or ".." in parts or "\\" in path or "//" in path
        if odd or len(parts) != 5 or parts[:2] != ("leaderboard", "submissions"):
            problems.append(f"{shown}: a submission changes leaderboard/submissions/<task>/<run_id>/ alone")
        elif status != "A":
            problems.append(f"{shown}: it stands already; submissions are added, and changed by maintainers alone")
        else:
            added.add(path)
            folders.add("/".join(parts[:4]))
    for path in present:
        if path not in added and "/".join(PurePosixPath(path).parts[:4]) in folders:
            problems.append(f"{path[:120]}: something was added to a folder that stands already")
    return problems
