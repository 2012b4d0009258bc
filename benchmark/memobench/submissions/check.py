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
from memobench.base.progress import Track as Progress
from memobench.base.progress import silent
from memobench.measure.findings import decided_samples, evidence_of_scores, run_findings
from memobench.memorization.decide import Threshold
from memobench.results import Decided, Metric, Result
from memobench.submissions.attack_rules import attack_id, attack_problems, unknown_metrics
from memobench.submissions.compare import ROUNDING, differences, exactly
from memobench.submissions.older import as_present
from memobench.submissions.ranges import planted_problems, range_problems
from memobench.submissions.real import real_problems
from memobench.submissions.records import SUBMISSION_SCHEMA_VERSION, Difference, Leak, Submission
from memobench.submissions.reference import (
    null_problems,
    planted_differences,
    reference_of,
    tail_of,
    threshold_problems,
)
from memobench.submissions.rules import code_problems, command_of, result_problems
from memobench.submissions.samples import NAME as CARRIED
from memobench.submissions.samples import carried_samples
from memobench.submissions.scores import (
    BELOW,
    MOST_BYTES,
    OF_ATTACK,
    TYPES,
    check_arrays,
    claimed_threshold,
    decisions_of,
    p_values_of,
    pools_of,
    recomputed,
    threshold_of,
)
from memobench.submissions.track import PHANTOM, Track, track_of
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
        leaks: What was found of patients outside of train and holdout; None where nobody looked.
    """

    submission: Submission | None
    sha256: str
    scores: Scores | None
    differences: list[Difference]
    problems: list[str]
    leaks: list[Leak] | None = None

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
        # what the words tell is told first: counting again takes ten thousand permutations
        rows, more = ([], []) if problems else score_problems(submission, scores)
    except MemobenchError as error:
        rows, more = [], [str(error)]
    return Checked(submission, sha, scores, rows, [text[:2000] for text in problems + more])


def failures(submissions: Path, track: Progress = silent) -> dict[str, list[str]]:
    """The submissions that do not pass the first level of verification, each with the reasons.

    Args:
        submissions: ``<submissions>/<task>/<run_id>/submission.json``.
        track: Shows progress.
    """
    found = {}
    for file in track(sorted(submissions.glob("*/*/submission.json")), "verifying the submissions"):
        checked = check_submission(file.parent)
        if not checked.passed:
            odd = [
                f"{row.metric} is {row.claimed:g}, and {row.found:g}" for row in checked.differences if not row.agrees
            ]
            reasons = [*checked.problems, *(f"{words} follows from the scores" for words in odd)]
            found[f"{file.parent.parent.name}/{file.parent.name}"] = reasons
    return found


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
    if submission.samples.carried_sha256:
        wanted.add(CARRIED)
        carried_samples(submission, folder)
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
    if submission.kind == "run":
        problems += copied_problems(folder, submission)
    return problems


def copied_problems(folder: Path, submission: Submission) -> list[str]:
    """Whether the samples or the scores are those of another submission of the task, under another seed or name.

    The same generator under another preset of the detector has the same samples, by the same submitter and seed.

    Args:
        folder: The submission's.
        submission: Of a run.
    """
    problems = []
    for other in sorted(folder.parent.glob("*/submission.json")):
        if other.parent == folder:
            continue
        try:
            held = parse_submission(read_bytes(other, JSON_BYTES))
        except DataError:
            continue  # it has its own check
        same = held.samples.sha256 == submission.samples.sha256 or held.scores_sha256 == submission.scores_sha256
        theirs, own = held.result.identity, submission.result.identity
        related = (held.submitter.name, theirs.seed, theirs.model, theirs.generator_code)
        if (
            held.kind == "run"
            and same
            and related != (submission.submitter.name, own.seed, own.model, own.generator_code)
        ):
            problems.append(f"{other.parent.name} has the same samples or scores; a seed is sampled by itself")
    return problems


def submission_problems(
    submission: Submission, folder: Path, *, practice: bool = False, beside: Path | None = None
) -> list[str]:
    """What is wrong with the words of a submission, apart from its scores. See :func:`check_submission`."""
    result, problems = submission.result, []
    if submission.schema_version != SUBMISSION_SCHEMA_VERSION:
        problems.append(f"the schema version is {submission.schema_version}, not {SUBMISSION_SCHEMA_VERSION}")
    problems += result_problems(result, practice=practice)
    if not problems:
        problems += real_problems(submission, track_of(TASKS.get(result.identity.task), result.identity.data))
    file = folder / submission.source_file if submission.source_file else None
    if submission.kind == "attack":
        problems += attack_problems(submission, attacked(submission, beside or folder.resolve().parent), file)
    elif submission.attack is not None:
        problems.append("a run describes an attack; submit the run alone, and the attack by bench attack")
    else:
        problems += code_problems(result, submission.source, file)
        if submission.command != (command := command_of(result, submission.source_file)):
            problems.append(f"the command is not the one that the identity gives: {command}")
    origin = result.identity.origin
    if origin is not None and origin.kind == "samples" and origin.digest != submission.samples.sha256:
        problems.append("the samples are not those that the identity names: their digest differs")
    if submission.samples.count != result.identity.samples:
        problems.append(f"{submission.samples.count} samples are named, and {result.identity.samples} were drawn")
    if submission.samples.rounded_sha256 and not submission.samples.carried_sha256:
        problems.append("rounded_sha256 is of samples that the submission does not carry; submit it again")
    if not LOCATION.fullmatch(submission.samples.location):
        problems.append("the samples' location must be an https address, or the plain name of an .npz file")
    return problems


def attacked(submission: Submission, beside: Path) -> Submission | None:
    """The submission that an attack names, of those that lie beside it; None where there is none."""
    name = "" if submission.attack is None else submission.attack.against
    if not NAMED.fullmatch(name) or not (beside / name / "submission.json").is_file():
        return None
    return parse_submission(read_bytes(beside / name / "submission.json", JSON_BYTES))


def score_problems(submission: Submission, scores: Scores) -> tuple[list[Difference], list[str]]:  # noqa: C901  one rule after the other
    """What of the result does not follow from the scores, or is not what the task fixes.

    Tail, pools, null scores, threshold and the sensitivity to planted copies belong to the task: they are compared with
    it, and never taken from the submission.

    Returns:
        The numbers compared, and what is wrong beside.

    Raises:
        DataError: The result's own threshold or sensitivity is none.
    """
    result = submission.result
    if result.identity.task not in TASKS.files():
        raise DataError("the task is none of memobench's own, so nothing can be compared with what it fixes")
    track = track_of(TASKS.get(result.identity.task), result.identity.data)
    run = submission.kind == "run"
    tail = tail_of(track) if run else None
    claimed = claimed_threshold(result.threshold)
    problems = range_problems(result.metrics, result.identity.features)
    for planted in (result.challenge.summary, *(row.metrics for row in result.challenge.rows)):
        problems += planted_problems(planted)
    found = threshold_of(scores["null"], claimed, tail, scores.get("exact"))
    problems += pool_problems(track, scores)
    problems += fixed_problems(result, scores, claimed) if run else []
    expected = p_values_of(scores, tail) if tail is not None else None
    if expected is not None and np.abs(expected - scores["p_value"]).max() > ROUNDING:
        problems.append("scores.npz: p_value does not follow from the scores and the null scores")
    if (claimed.images, claimed.method, claimed.capped) != (found.images, found.method, found.capped):
        problems.append("threshold: the number of null scores, the method or the cap is not that of scores.npz")
    rows = differences(numbers_of(claimed), numbers_of(found), exactly)
    if problems or not all(row.agrees for row in rows):  # what follows takes ten thousand permutations
        return rows, problems
    decisions = decisions_of(scores, found.tau)
    for name in ("side", "called"):
        if not np.array_equal(scores[name], getattr(decisions, name)):
            problems.append(f"scores.npz: {name} does not follow from the scores and tau")
    sensitivity = result.challenge.summary.get("sensitivity")
    if sensitivity is None:
        raise DataError("the challenge's summary holds no sensitivity; without it no result is complete")
    metrics, calls = recomputed(scores, found.tau, sensitivity)
    rows += differences(result.metrics, metrics, exactly)
    if not run:
        problems += unknown_metrics(result, {*metrics})
    if calls.patients and numbers_in(calls.words) not in map(numbers_in, result.notes):
        problems.append(f"the notes lack what the list of calls is worth: {calls.words}")
    if result.schema_version >= 3 and not result.decision.agrees(
        decided := decided_of(result, metrics, scores, claimed)
    ):
        problems.append(f"the decision is not the one that the scores give, which is: {decided.word}")
    if abs(result.challenge.thresholds.get("tau", claimed.tau) - claimed.tau) > ROUNDING:
        problems.append("the challenge was judged with another tau")
    return rows, problems


def numbers_in(words: str) -> list[str]:
    """The numbers in a sentence, by which it is known again however it is worded.

    >>> numbers_in("4 are listed, at most 1.0 expected (25 %)") == numbers_in("Of 4 listed, 1.0 expected, 25%.")
    True
    """
    return re.findall(r"[0-9]+(?:[.,][0-9]+)*", words)


def decided_of(result: Result, metrics: Mapping[str, Metric], scores: Scores, claimed: Threshold) -> Decided:
    """The decision that a result must carry, from its scores."""
    decisions = decisions_of(scores, claimed.tau)
    evidence = evidence_of_scores(decisions, pools_of(scores), scores["null"], claimed, blind="exact" in scores)
    found = run_findings(
        {**result.metrics, **metrics},
        result.challenge,
        result.counts,
        preset=result.preset,
        data=result.identity.data,
        origin=result.identity.origin,
        evidence=evidence,
    )
    return decided_samples(found, decisions, evidence, regions=result.regions)


def fixed_problems(result: Result, scores: Scores, claimed: Threshold) -> list[str]:
    """Where a run is not what its task fixes, as far as that has been measured for its preset.

    Args:
        result: The run's.
        scores: Its scores.
        claimed: Its threshold.
    """
    embedded = result.identity.data == PHANTOM
    reference = reference_of(result.identity.task, result.preset) if embedded else None
    if reference is None:
        return []
    return [
        *null_problems(scores["null"], reference),
        *threshold_problems(claimed, reference),
        *planted_differences(result, reference),
    ]


def pool_problems(track: Track, scores: Scores) -> list[str]:
    """Where the pools are not the track's own: who stands where, and of embedded data that no two images are the same.

    Which real images are the same to the pixel only those know who hold them.

    Args:
        track: The task and its data.
        scores: With the pools.
    """
    problems = []
    for name, patients in track.pools.items():
        if scores[name].tolist() != patients:
            problems.append(f"scores.npz: {name} is not who stands in this task's pool")
        contents = scores[name.replace("_patient", "_content")]
        if not track.real and np.unique(contents).tolist() != list(range(len(contents))):
            problems.append(f"scores.npz: {name.replace('_patient', '_content')} joins images that are not the same")
    return problems


def numbers_of(threshold: Threshold) -> dict[str, Metric]:
    """The numbers of a threshold, to be compared as metrics are."""
    names = ("tau", "tail", "start", "shape", "scale", "widened", "misfit")
    found = {name: getattr(threshold, name) for name in names}
    label = {"tau": "tau"} | {name: f"threshold.{name}" for name in names[1:]}
    return {label[name]: Metric(value=v, better="lower") for name, v in found.items() if v is not None}


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
