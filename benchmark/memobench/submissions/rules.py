"""What a run must be to stand on the board: the present task, the present measure, the whole of both, and known code.

Pure functions from a result to the reasons against it, each with its fix; an empty list means that it may stand.
"""

from __future__ import annotations

import dataclasses
import json
import re
import shlex
from pathlib import Path
from typing import Any, Literal

from memobench.base.errors import DataError, MemobenchError
from memobench.detection.parameters import DETECTOR_VERSION, MEASURE_VERSION, EmbeddingParameters
from memobench.generator import GENERATORS, Generator, build
from memobench.provenance import code_digest, source_digest
from memobench.provenance.fields import defaults_of, same_fields
from memobench.results import SCHEMA_VERSION, Origin, Result
from memobench.run import IDENTITY_VERSION
from memobench.submissions.track import track_of
from memobench.submissions.untrusted import hidden
from memobench.task import TASKS, TaskInfo

Source = Literal["entry", "package", "file", "samples"]
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
SCHEMAS = (2, SCHEMA_VERSION)  # version 2 lacks the decision alone, which its metrics give
AGAIN = "run it again with this version of memobench"


def result_problems(result: Result, *, practice: bool = False) -> list[str]:
    """Why a result cannot stand on the board, as far as its own words tell.

    Args:
        result: Of a run.
        practice: Accept the preset "smoke" and fewer samples, as tests and tutorials do.
    """
    identity, problems = result.identity, []
    if result.schema_version not in SCHEMAS:
        known = " or ".join(map(str, SCHEMAS))
        problems.append(f"the result is of schema version {result.schema_version}, not {known}; {AGAIN}")
    if identity.origin is not None and result.schema_version < 3:
        problems.append("results of that schema version have no origin; measure the samples again")
    if not NAME.fullmatch(identity.model):
        problems.append("the model's name is no name; use letters, digits, _, . and -, 64 at most")
    if result.run_id != identity.run_id:
        problems.append(
            f"run_id is {result.run_id}, but the identity's hash makes it {identity.run_id}: it was changed"
        )
    if identity.task not in TASKS.files():
        return [*problems, f'"{identity.task[:64]}" is no task of memobench ({", ".join(sorted(TASKS.files()))})']
    task = TASKS.get(identity.task)
    versions = {
        "version": (identity.version, IDENTITY_VERSION),
        "task_version": (identity.task_version, task.version),
        "detector_version": (identity.detector_version, DETECTOR_VERSION),
        "measure_version": (identity.measure_version, MEASURE_VERSION),
    }
    for name, (given, present) in versions.items():
        if given != present:
            problems.append(f"{name} is {str(given)[:20]!r}, and the present one {present!r}; {AGAIN}")
    problems += _data_problems(result, task, practice)
    problems += _parameter_problems(result, practice)
    return problems


def _data_problems(result: Result, task: TaskInfo, practice: bool) -> list[str]:
    identity, problems = result.identity, []
    try:
        track = track_of(task, identity.data)
    except DataError as error:
        return [str(error)]
    if identity.shape != task.shape:
        problems.append(f"its images are {identity.shape}, the task's {task.shape}; run without --size")
    elif identity.split_ids != track.split_ids:
        problems.append(
            f"its split_ids {identity.split_ids[:12]!r} are not those of {track.data} ({track.split_ids[:12]!r}): "
            "other patients stand in it, or not all; run without --train-patients and --skip-unreadable"
        )
    elif not track.real and identity.split_digest != task.digest:
        problems.append(
            f"its split_digest {identity.split_digest[:12]} is not the task's {task.digest[:12]}: other images, or "
            "fewer patients; run without --train-patients"
        )
    if identity.samples != task.samples and not (practice and 1 <= identity.samples < task.samples):
        fix = "run without --samples" if identity.origin is None else f"draw {task.samples}, or measure --count of them"
        problems.append(f"there are {identity.samples} samples, the task asks for {task.samples}; {fix}")
    for name, count in {**track.counts, "samples": identity.samples}.items():
        if result.counts.get(name) != count:
            problems.append(f"counts: {name} is {result.counts.get(name)}, and the task has {count}")
    return problems


def _parameter_problems(result: Result, practice: bool) -> list[str]:
    if result.preset == "smoke" and not practice:
        return ['preset "smoke" only tests the path; run with --preset quick or above']
    try:
        detector = EmbeddingParameters.preset(result.preset)
    except MemobenchError as error:
        return [str(error)[:300]]
    if result.identity.detector != as_json(detector):
        return [f"the detector's parameters are not those of preset {result.preset}; {AGAIN}"]
    if odd := sorted({*result.settings} - {*result.identity.parameters}):
        return [f"settings name {odd[0][:64]!r}, which is no field of the generator"]
    return []


def as_json(parameters: Any) -> dict[str, Any]:
    """A dataclass as JSON gives it back: tuples become lists."""
    found: dict[str, Any] = json.loads(json.dumps(dataclasses.asdict(parameters)))
    return found


def source_of(result: Result) -> Source:
    """Where a result's generator comes from when no plug-in is loaded; "file" where memobench has none of its name."""
    model = result.identity.model
    if result.identity.origin is not None:
        return "samples"
    if model in GENERATORS.files():
        return "entry"
    return "package" if model in GENERATORS.names() else "file"


def code_problems(result: Result, source: Source, file: Path | None) -> list[str]:
    """Whether the generator's code and parameters are those that the result names.

    A plug-in file is read and never imported. A package that is not installed here cannot be compared.

    Args:
        result: Of a run.
        source: Where the generator comes from.
        file: The plug-in file, where it is one.
    """
    identity = result.identity
    if (source == "samples") != (identity.origin is not None):
        return ['the source is "samples" where the identity has an origin, and there alone; submit it again']
    if identity.origin is not None:
        return _origin_problems(result, identity.origin)
    if (source == "entry") != (identity.model in GENERATORS.files()):
        return [
            f'the model "{identity.model}" and the source "{source}" disagree; entries of memobench alone are "entry"'
        ]
    if source != "entry" and result.control:
        return ["control is true, but controls are memobench's own; submit it as a generator"]
    if source == "file":
        if file is None:
            return [f'the code of "{identity.model}" is missing; give the file that registers it with --plugin FILE']
        if sorted(file.parent.glob("_*.py")):
            return [f"{file.name} has private neighbours (_*.py), which no submission carries; put all into one file"]
        same = source_digest(file) == identity.generator_code
        return [] if same else [f"{file.name} is not the code that ran (its digest differs); {AGAIN} and this file"]
    if source == "package" and identity.model not in GENERATORS.names():
        return []
    kind = GENERATORS.get(identity.model)
    if code_digest(kind) != identity.generator_code:
        return [f"generator_code is not that of the present {identity.model}; {AGAIN}"]
    return _kind_problems(result, kind)


def _origin_problems(result: Result, origin: Origin) -> list[str]:
    """What is wrong with a generator that was trained elsewhere."""
    identity, problems = result.identity, []
    if identity.model in GENERATORS.files():
        problems.append(f"{identity.model} is a model of memobench, which drew none of these; name it otherwise")
    if result.control:
        problems.append("control is true, but controls are memobench's own; submit it as a generator")
    if origin.kind == "samples" and (identity.generator_code or identity.parameters or result.settings):
        problems.append("of samples alone neither code nor parameters are known; measure them again")
    if origin.trained_on and hidden(origin.trained_on):
        problems.append("what it was trained on holds characters that nobody sees; say it again")
    return problems


def _kind_problems(result: Result, kind: type[Generator]) -> list[str]:
    problems, identity = [], result.identity
    if result.control != kind.CONTROL:
        problems.append(f"control is {result.control}, and that of {identity.model} is {kind.CONTROL}")
    try:
        generator = build(kind, identity.model, result.preset, result.settings)
    except MemobenchError as error:
        return [*problems, str(error)[:300]]
    if not same_fields(identity.parameters, as_json(generator), defaults_of(kind)):
        problems.append(f"the parameters are not those of preset {result.preset} with these settings; {AGAIN}")
    return problems


def command_of(result: Result, source_file: str = "") -> str:
    """What reproduces a result, to be typed in the repository's root.

    Args:
        result: Of a run.
        source_file: Name of the plug-in file beside the submission, where there is one.
    """
    identity = result.identity
    if identity.origin is not None:  # trained elsewhere: what can be had again are the numbers
        place = f"leaderboard/submissions/{identity.task}/{result.run_id}"
        return shlex.join(["bench", "verify", place, "--level", "rescored"])
    words = ["bench", "run", "--model", identity.model, "--task", identity.task, "--preset", result.preset]
    for name, value in sorted(result.settings.items()):
        words += ["--set", f"{name}={value}"]
    if identity.data != "phantom":
        words += ["--data", identity.data]
    if identity.task in TASKS.files() and identity.samples != TASKS.get(identity.task).samples:
        words += ["--samples", str(identity.samples)]
    words += ["--seed", str(identity.seed)]
    for name in identity.features:
        words += ["--features", name]
    if source_file:
        words += ["--plugin", f"leaderboard/submissions/{identity.task}/{result.run_id}/{source_file}"]
    return shlex.join(words)
