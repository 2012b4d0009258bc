"""What an attack must be to count against a listed run: its very samples, a known detector, and nothing but counts.

Pure functions from the words of an attack to the reasons against it; an empty list means that it may stand.
"""

from __future__ import annotations

import re
import shlex
from importlib.metadata import entry_points
from pathlib import Path

from memobench.base.errors import UsageError
from memobench.base.store import digest_of
from memobench.detection.detectors import DETECTORS
from memobench.measure.attack import STRANGERS, knowing
from memobench.provenance import source_digest
from memobench.results import Result
from memobench.submissions.records import Attack, Submission
from memobench.submissions.rules import NAME, Source

OWN = "verified"  # the detector by which every run is measured
FILE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_]{0,59}\.py")
SAME = ("run_id", "identity", "preset", "settings", "control", "counts")


def attack_name(against: str, detector: str, version: str, code: str, samples_sha256: str) -> str:
    """The name of an attack and of its folder; the same detector on the same samples is one attack, by anybody.

    Args:
        against: The attacked run.
        detector: Name of the detector.
        version: Its version.
        code: Digest of its source.
        samples_sha256: Digest of the samples.
    """
    key = {"against": against, "detector": detector, "version": version, "code": code, "samples": samples_sha256}
    return f"{against}-{detector}-{digest_of(key)}"


def attack_id(attack: Attack, samples_sha256: str) -> str:
    """:func:`attack_name` of a record."""
    return attack_name(attack.against, attack.detector, attack.version, attack.code, samples_sha256)


def detector_source(name: str) -> Source:
    """Where a detector of this name comes from; "file" where neither memobench nor a package has one."""
    if name in DETECTORS.files():
        return "entry"
    # not names(): a plug-in file that is loaded has entered its name there
    return "package" if name in {point.name for point in entry_points(group=DETECTORS.group)} else "file"


def file_problem(file: Path) -> str | None:
    """Why a plug-in file cannot be submitted alone; None where it can."""
    if not FILE.fullmatch(file.name):
        return f"{file.name[:80]} is no name for a plug-in file; use letters, digits and _, 60 at most, and .py"
    if any(file.parent.glob("_*.py")):
        return f"{file.name} has private neighbours (_*.py), which no attack carries; put all into one file"
    return None


def attack_command(submission: Submission) -> str:
    """What does an attack again, to be typed in the repository's root."""
    attack, task = submission.attack, submission.result.identity.task
    if attack is None:
        raise UsageError("a run is no attack; its command is that of bench run")
    folder = f"leaderboard/submissions/{task}"
    words = ["bench", "attack", f"{folder}/{attack.against}", "--detector", attack.detector]
    if submission.source_file:
        own = attack_id(attack, submission.samples.sha256)
        words += ["--plugin", f"{folder}/{own}/{submission.source_file}"]
    return shlex.join([*words, "--name", submission.submitter.name])


def attack_problems(submission: Submission, attacked: Submission | None, file: Path | None) -> list[str]:
    """Why an attack cannot count, as far as its own words and the attacked submission tell.

    Args:
        submission: The attack.
        attacked: The submission that it names; None where none lies beside it.
        file: The detector's plug-in file, where it is one.
    """
    attack, result = submission.attack, submission.result
    if attack is None:
        return ["an attack must say what attacks whom; make it with bench attack"]
    problems = []
    if attacked is None or attacked.kind != "run" or attacked.result.run_id != attack.against:
        problems.append(f'"{attack.against[:120]}" is no listed run of this task; attack one that stands on the board')
    else:
        names = [name for name in SAME if getattr(result, name) != getattr(attacked.result, name)]
        problems += [f"{name} is not that of the attacked run" for name in names]
        if submission.samples.sha256 != attacked.samples.sha256:
            problems.append("the samples are not those of the attacked run: their digest differs")
    problems += _detector_problems(submission, attack, file)
    if submission.command != (command := attack_command(submission)):
        problems.append(f"the command is not the one that the attack gives: {command}")
    if attack.tau != result.threshold.get("tau"):
        problems.append("the attack's tau is not that of its threshold")
    if submission.gallery_sha256 or result.training is not None:
        problems.append("an attack holds scores alone, no gallery and no training")
    if reason := knowing(result.metrics):
        problems.append(reason)
    return problems


def unknown_metrics(result: Result, counted: set[str]) -> list[str]:
    """Metrics that an attack claims and that nobody can compute from its scores.

    Args:
        result: Of an attack.
        counted: Names of what was computed again.
    """
    odd = sorted({*result.metrics} - counted - {*STRANGERS})
    return [f"{name[:64]!r} is no metric of an attack" for name in odd]


def _detector_problems(submission: Submission, attack: Attack, file: Path | None) -> list[str]:
    if not NAME.fullmatch(attack.detector):
        return ["the detector's name is no name; use letters, digits, _, . and -, 64 at most"]
    if attack.detector == OWN:
        return [f'"{OWN}" is the detector by which the board measures every run; attack with another one']
    if submission.source == "samples":
        return ["an attack's detector is code, never samples alone; attack again"]
    if (submission.source == "entry") != (attack.detector in DETECTORS.files()):
        return [
            f'the detector "{attack.detector}" and the source "{submission.source}" disagree; entries of memobench '
            'alone are "entry"'
        ]
    again = "attack again with this version of memobench"
    if submission.source == "file":
        if file is None:
            return [f'the code of "{attack.detector}" is missing; give the file that registers it with --plugin FILE']
        if reason := file_problem(file):
            return [reason]
        same = source_digest(file) == attack.code
        return [] if same else [f"{file.name} is not the code that ran (its digest differs); {again} and this file"]
    if submission.source == "package":
        return [] if attack.code else ["the digest of the detector's code is missing"]
    if source_digest(DETECTORS.files()[attack.detector]) != attack.code:
        return [f"the code is not that of the present {attack.detector}; {again}"]
    version = DETECTORS.get(attack.detector).VERSION
    return [] if version == attack.version else [f"the version is {attack.version[:20]!r}, not {version!r}; {again}"]
