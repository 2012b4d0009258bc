"""From a listed submission and a detector to a submission of an attack: measured, checked and written at once."""

from __future__ import annotations

import dataclasses
import datetime
import hashlib
import io
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pydantic import ValidationError

from memobench.base.clock import Clock, rounded
from memobench.base.errors import MemobenchError, UsageError
from memobench.base.progress import Track, silent
from memobench.base.registry import load_plugin
from memobench.base.store import write_json, writing_into
from memobench.detection.detectors import DETECTORS
from memobench.measure.attack import Attacked, knowing, measure_again
from memobench.measure.findings import decided_samples, evidence_of_scores, run_findings
from memobench.provenance import code_digest, environment
from memobench.report.words import shown
from memobench.results import SCHEMA_VERSION, Metric, Result
from memobench.submissions.attack_rules import OWN, attack_command, attack_name, detector_source, file_problem
from memobench.submissions.check import check_submission
from memobench.submissions.records import Attack, Disclosures, SamplesRecord, Submission, Submitter
from memobench.submissions.samples import OTHER_SAMPLES, are_of, read_samples
from memobench.submissions.scores import pool_arrays
from memobench.submissions.settings import AttackSettings
from memobench.submissions.track import images_of
from memobench.submissions.untrusted import check_values
from memobench.training.acceleration import device_of

DESCRIPTION, VERSION = 2000, 200  # characters, as records allow


@dataclass(frozen=True)
class Made:
    """An attack that was written.

    Attributes:
        submission: The attack.
        attacked: The submission that it is against.
        folder: Where the attack lies, ``<against>-<detector>-<hash>`` beside the attacked one.
    """

    submission: Submission
    attacked: Submission
    folder: Path


def attack(
    asked: AttackSettings,
    *,
    practice: bool = False,
    track: Track = silent,
    say: Callable[[str], None] = lambda text: None,
) -> Made:
    """Measure a listed submission's samples with another detector, and write that beside the submission.

    Args:
        asked: What to do.
        practice: Accept the preset "smoke" and fewer samples, as tests and tutorials do; the board does not.
        track: Shows progress within a stage.
        say: Is told one line per stage.

    Raises:
        UsageError: The detector is unknown, or a word is too long.
        DataError: The detector does not answer as a detector must.
        MemobenchError: The submission is no run that stands, its samples cannot be had, the detector tells members from
            others on images of new patients, or the attack stands already.
    """
    submitter = _submitter(asked)
    if asked.plugin is not None:
        if lonely := file_problem(asked.plugin):
            raise UsageError(lonely)
        load_plugin(asked.plugin)
    kind = DETECTORS.get(asked.detector)
    if not isinstance(kind.VERSION, str) or len(kind.VERSION) > VERSION:
        raise UsageError(f'the VERSION of "{asked.detector}" is no text of at most {VERSION} characters; make it one')
    if asked.detector == OWN:
        raise UsageError(f'"{OWN}" measures every run already; choose another one of bench list detectors')
    against = asked.against.resolve()
    checked = check_submission(against, practice=practice)
    target = checked.submission
    if target is None or target.kind != "run" or not checked.passed:
        reason = "; ".join(checked.problems) or "it is an attack, or its numbers do not follow from its scores"
        raise MemobenchError(f"{asked.against} cannot be attacked: {reason}")
    source = detector_source(asked.detector)
    if source == "file" and asked.plugin is None:
        raise UsageError(f'the code of "{asked.detector}" is missing; give the file that registers it with --plugin')
    run_id, code = target.result.run_id, code_digest(kind)
    final = against.parent / attack_name(run_id, asked.detector, kind.VERSION, code, target.samples.sha256)
    if final.exists():
        raise MemobenchError(f"{final} stands already; the same detector on the same samples is one attack")
    pixels = read_samples(target, asked.samples, against)
    if not are_of(pixels, target):
        raise MemobenchError(OTHER_SAMPLES)
    clock = Clock(say)
    with clock("data"):
        splits = images_of(target.result.identity, asked.data, out=asked.out, track=track)
    measured = measure_again(
        pixels,
        splits,
        asked.detector,
        target.result.preset,
        out=asked.out,
        device=asked.device,
        track=track,
        clock=clock,
    )
    if labels_known := knowing(measured.metrics):
        raise MemobenchError(f'"{asked.detector}" is no attack: {labels_known}')
    packed = io.BytesIO()
    np.savez_compressed(packed, **measured.arrays(), **pool_arrays(measured.pools))  # type: ignore[arg-type]  # no key is allow_pickle
    submission = Submission(
        kind="attack",
        submitted=datetime.datetime.now(datetime.UTC).date().isoformat(),
        submitter=submitter,
        disclosures=Disclosures(),
        command="",
        source=source,
        source_file=asked.plugin.name if source == "file" and asked.plugin is not None else "",
        result=_result(target.result, measured, asked.device, clock.seconds),
        samples=SamplesRecord(sha256=target.samples.sha256, count=len(pixels), location=target.samples.location),
        scores_sha256=hashlib.sha256(packed.getvalue()).hexdigest(),
        attack=Attack(
            against=run_id,
            detector=asked.detector,
            version=kind.VERSION,
            code=code,
            tau=measured.threshold.tau,
            description=asked.description,
        ),
    )
    submission = submission.model_copy(update={"command": attack_command(submission)})
    return Made(submission, target, _write(asked, submission, packed.getvalue(), final, practice))


def attack_words(made: Made) -> str:
    """What was found beside what the task's own detector found, and what to do next."""
    found, own = (one.result.metrics["copy_rate"] for one in (made.submission, made.attacked))
    more = found.low is not None and own.low is not None and found.low > own.low
    folder = made.folder.relative_to(Path.cwd()) if made.folder.is_relative_to(Path.cwd()) else made.folder
    code = " --run-their-code" if made.submission.source_file else ""
    lines = [
        made.submission.result.decision.sentence,
        f"Copy rate by this detector {_rate(found)}, by the task's own {_rate(own)}. "
        + ("Once it is verified as rescored, this one ranks." if more else "The rate on the board stays as it is."),
        f"Written: {folder}/",
        f"Next: bench verify {folder} --level rescored --samples samples.npz --write{code}",
        "      bench leaderboard",
        "      then add that folder alone in a pull request; a maintainer verifies it",
    ]
    return "\n".join(lines)


def _submitter(asked: AttackSettings) -> Submitter:
    """Who attacks, with all words looked at before anything is computed."""
    check_values([asked.name, asked.contact, asked.link, asked.description])
    if len(asked.description) > DESCRIPTION:
        raise UsageError(f"the description has {len(asked.description)} characters; shorten it to {DESCRIPTION}")
    try:
        return Submitter(name=asked.name, contact=asked.contact, link=asked.link)
    except ValidationError as error:
        first = error.errors()[0]
        raise UsageError(f"{'.'.join(map(str, first['loc']))}: {first['msg']}; change that word") from error


def _rate(metric: Metric) -> str:
    low, high = (shown(end, "percent") for end in (metric.low, metric.high))
    return f"{shown(metric.value, 'percent')} ({low} to {high})"


def _result(target: Result, measured: Attacked, device: str, seconds: dict[str, float]) -> Result:
    """The attacked run's result with what the attack found in place of what was found by the task's own detector."""
    evidence = evidence_of_scores(
        measured.decisions, measured.pools, measured.null_scores, measured.threshold, blind=True
    )
    findings = run_findings(
        measured.metrics,
        measured.challenge,
        target.counts,
        preset=target.preset,
        data=target.identity.data,
        origin=target.identity.origin,
        evidence=evidence,
    )
    return target.model_copy(
        update={
            "schema_version": SCHEMA_VERSION,
            "threshold": dataclasses.asdict(measured.threshold),
            "challenge": measured.challenge,
            "metrics": measured.metrics,
            "decision": decided_samples(findings, measured.decisions, evidence),
            "notes": [measured.calls.words] if measured.calls.patients else [],
            "environment": environment(device_of(device)),
            "seconds": rounded(seconds),
            "training": None,
            "regions": None,  # parts are searched by the task's own detector alone
        }
    )


def _write(asked: AttackSettings, submission: Submission, scores: bytes, final: Path, practice: bool) -> Path:
    """Write beside the place, check there as the board will, then move: what stands under its name is whole."""
    task = submission.result.identity.task
    with writing_into(final.parent), tempfile.TemporaryDirectory(prefix=".attack.", dir=final.parents[1]) as scratch:
        partial = Path(scratch) / "submissions" / task / final.name
        partial.mkdir(parents=True)
        (partial / "scores.npz").write_bytes(scores)
        if asked.plugin is not None and submission.source_file:
            shutil.copyfile(asked.plugin, partial / submission.source_file)
        write_json(partial / "submission.json", submission.model_dump(mode="json"))
        checked = check_submission(partial, practice=practice, beside=final.parent)
        if not checked.passed:
            wrong = [f"{row.metric} is {row.claimed}, not {row.found}" for row in checked.differences if not row.agrees]
            raise MemobenchError("the attack cannot be submitted: " + "; ".join([*checked.problems, *wrong]))
        partial.replace(final)
    return final
