"""What lies in the leaderboard's folder, read and checked for where it lies: submissions, verifications, challenges."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from pydantic import ValidationError

from memobench.base.errors import DataError, MemobenchError
from memobench.challenge.results import ChallengeResult
from memobench.results import Decided, Identity, Strict
from memobench.submissions.attack_rules import attack_id
from memobench.submissions.older import as_present
from memobench.submissions.records import Submission, Verification
from memobench.submissions.track import PHANTOM, track_of
from memobench.submissions.untrusted import JSON_BYTES, parse_json, read_bytes
from memobench.submissions.weigh import Weighed, told_by, weighed_in
from memobench.task import TASKS

Record = TypeVar("Record", bound=Strict)


@dataclass(frozen=True)
class Frame:
    """What two entries must share to stand in one ranking.

    Attributes:
        modality: For people.
        shape: Of one image.
        split_digest: The prepared images: the task's own embedded data (also what a gallery is allowed for), or those
            of a real split.
        samples: As many samples are drawn, at least.
        data: "phantom", or a source and its published split.
        title: The data in words; "" for the embedded ones.
        split_ids: Digest of who stands where in real data; "" for the embedded ones.
    """

    task: str
    task_version: str
    modality: str
    shape: tuple[int, ...]
    split_digest: str
    samples: int
    detector_version: str
    measure_version: str
    data: str = PHANTOM
    title: str = ""
    split_ids: str = ""

    @property
    def name(self) -> str:
        """The track's name, for people."""
        return self.task if self.data == PHANTOM else f"{self.task} on {self.data}"

    @property
    def slug(self) -> str:
        """The track's name in files and links."""
        return self.task if self.data == PHANTOM else f"{self.task}-{self.data.replace(':', '-')}"

    def misfit(self, identity: Identity) -> str | None:
        """Why a result does not stand in this ranking; None where it does.

        Fewer samples hide copies, since a wide interval holds zero; so they are not ranked either.
        """
        prepared = "on other data than" if self.data == PHANTOM else "on images prepared from other files than"
        for words, asked, given in (
            ("of another task version than", self.task_version, identity.task_version),
            ("on other data than", (self.data, self.split_ids), (identity.data, identity.split_ids)),
            (prepared, self.split_digest, identity.split_digest),
            ("at another image size than", self.shape, identity.shape),
            ("with another detector version than", self.detector_version, identity.detector_version),
            ("with another measure version than", self.measure_version, identity.measure_version),
        ):
            if asked != given:
                return f"measured {words} the board's"
        if identity.samples < self.samples:
            return f"{identity.samples} samples where the board asks for {self.samples}"
        return None


@dataclass(frozen=True)
class Listed:
    """One submission as it lies there.

    Attributes:
        name: Name of its folder.
        sha256: Over the bytes of ``submission.json``.
        verification: What a verifier found of this very submission; None where there is none, or it is of another.
        gallery: The file ``gallery.png`` beside it, where there is one.
        weighed: What its scores are worth; None where they do not lie beside it as it names them.
    """

    name: str
    submission: Submission
    sha256: str
    verification: Verification | None
    gallery: Path | None
    weighed: Weighed | None = None

    @property
    def decision(self) -> Decided:
        """What to do with its samples: from its scores where they are there, else as its metrics tell."""
        return told_by(self.submission.result, self.weighed)

    @property
    def level(self) -> str:
        """The word on the board: the level that was passed, "unverified" or "failed"."""
        if self.verification is None:
            return "unverified"
        return self.verification.level if self.verification.passed else "failed"


def frame_of(task: str) -> Frame:
    """The board's frame for a task: the task's own embedded data and the present measure.

    Raises:
        UsageError: The task is unknown.
    """
    from memobench.detection.parameters import DETECTOR_VERSION, MEASURE_VERSION

    info = TASKS.get(task)
    return Frame(
        task, info.version, info.modality, info.shape, info.digest, info.samples, DETECTOR_VERSION, MEASURE_VERSION
    )


def track_frame(frame: Frame, data: str, listed: Sequence[Listed]) -> Frame:
    """The frame of a task on a published real split.

    Nobody publishes real images, so those count that most verified entries were measured on: the digest which most of
    them share, and of several the first in order.

    Args:
        frame: Of the task on its embedded data.
        data: The source and its split.
        listed: Submissions on that split.

    Raises:
        DataError: There is no such track.
    """
    held = track_of(TASKS.get(frame.task), data)
    known = [one for one in listed if one.level in ("rescored", "reproduced")] or listed
    digests = Counter(one.submission.result.identity.split_digest for one in known)
    commonest = min(digests, key=lambda digest: (-digests[digest], digest), default="")
    return replace(
        frame,
        modality=frame.modality if held.source is None else held.source.modality,
        data=data,
        title=held.title,
        split_ids=held.split_ids,
        split_digest=commonest,
    )


def read_submissions(folder: Path, tasks: Sequence[str]) -> list[Listed]:
    """All submissions to some tasks, sorted by task and name.

    Verifications are looked for in ``verified`` beside the folder, and count only where they name the very bytes of
    the submission.

    Args:
        folder: ``<folder>/<task>/<name>/submission.json``.
        tasks: Names of the tasks.

    Raises:
        MemobenchError: There is no such folder.
        DataError: A record cannot be read, or does not lie where its content says (named, with the reason).
    """
    if not folder.is_dir():
        raise MemobenchError(
            f"no submissions in {folder}; make one with bench submit RUN, or see local runs: "
            "bench leaderboard --runs runs"
        )
    return [_listed(file, folder) for task in tasks for file in sorted(folder.glob(f"{task}/*/submission.json"))]


def tasks_of(folder: Path) -> list[str]:
    """The tasks that submissions lie for, sorted."""
    return sorted({file.parent.parent.name for file in folder.glob("*/*/submission.json")})


def read_challenges(folder: Path, tasks: Sequence[str]) -> list[ChallengeResult]:
    """All results of ``bench challenge`` on some tasks: ``<folder>/<task>/*.json``.

    Raises:
        DataError: One cannot be read, or lies under another task.
    """
    found = []
    for task in tasks:
        for file in sorted(folder.glob(f"{task}/*.json")):
            result = _record(file, ChallengeResult)[0]
            if result.identity.task != task or result.run_id != result.identity.run_id:
                raise DataError(f"{file} is no challenge on {task}, or was changed; run bench challenge again")
            found.append(result)
    return found


def _listed(file: Path, root: Path) -> Listed:
    submission, sha256 = _record(file, Submission)
    name, task = file.parent.name, file.parent.parent.name
    identity = submission.result.identity
    if identity.task != task:
        raise DataError(f"{file} is of another task than its folder says; put it under that task")
    run_id = identity.run_id
    if submission.kind == "run" and not name == run_id == submission.result.run_id:
        raise DataError(f"{file} does not lie in a folder named by its identity ({run_id}); submit the run again")
    if submission.kind == "attack" and submission.attack is None:
        raise DataError(f"{file} is an attack without its description; fill in the field attack")
    if submission.attack is not None and name != (own := attack_id(submission.attack, submission.samples.sha256)):
        raise DataError(f"{file} does not lie in a folder named by its attack ({own}); attack again")
    verified = root.parent / "verified" / f"{name}.json"
    verification = _record(verified, Verification)[0] if verified.is_file() else None
    if verification is not None and (verification.run_id != name or verification.submission_sha256 != sha256):
        verification = None  # of another submission, or of this one before it was edited
    picture = file.parent / "gallery.png"
    gallery = picture if picture.is_file() else None
    return Listed(name, submission, sha256, verification, gallery, weighed_in(file.parent, submission))


def _record(file: Path, kind: type[Record]) -> tuple[Record, str]:
    if file.parent.is_symlink():
        raise DataError(f"{file} lies behind a link; put the folder itself there")
    try:
        content = read_bytes(file, JSON_BYTES)
        value = parse_json(content)
        if kind is Submission and isinstance(value, dict) and isinstance(value.get("result"), dict):
            value = {**value, "result": as_present(value["result"])}
        return kind.model_validate(value), hashlib.sha256(content).hexdigest()
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"]))[:100]
        raise DataError(f"{file} cannot be read: {where}: {first['msg']}; write it with bench") from error
    except DataError as error:
        raise DataError(f"{file} cannot be read: {error}; write it with bench") from error
    except OSError as error:
        raise DataError(f"{file} cannot be read: {error.strerror}") from error
