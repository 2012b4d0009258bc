"""Verifying a submission: its own words, then its samples, then its generator."""

from __future__ import annotations

import datetime
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from memobench.base.errors import DataError, UsageError
from memobench.base.place import Place, nobody
from memobench.base.progress import Track, silent
from memobench.base.registry import load_plugin
from memobench.base.store import Store, write_json
from memobench.base.version import VERSION
from memobench.detection.parameters import REGION_VERSION
from memobench.detection.stage import fit_detector, load_detector
from memobench.features import FEATURES
from memobench.measure.attack import knowing
from memobench.measure.regions import METRICS as REGIONS
from memobench.memorization.rates import Pools
from memobench.provenance.versions import environment
from memobench.results import Metric, RegionsFound, Result
from memobench.run import run
from memobench.settings import RunSettings
from memobench.submissions.check import Checked, attacked, check_submission
from memobench.submissions.compare import OF_FEATURES, OF_INTERVAL, differences, overlaps, remeasured
from memobench.submissions.leaks import leak_test
from memobench.submissions.records import Difference, Submission, Verification
from memobench.submissions.redraw import drawn_again, is_control, lie_nowhere
from memobench.submissions.reference import Reference, null_problems
from memobench.submissions.samples import OTHER_SAMPLES, are_of, read_samples
from memobench.submissions.scores import pool_arrays
from memobench.submissions.settings import VerifySettings
from memobench.submissions.track import given_data, images_of
from memobench.submissions.untrusted import JSON_BYTES, parse_json, read_bytes
from memobench.task import Splits
from memobench.training.acceleration import device_of

ACCOUNT = re.compile(r"[a-z][a-z0-9.-]{0,40}:[A-Za-z0-9][A-Za-z0-9_.-]{0,100}")
CALLS = 0.05  # share of samples that a detector trained again may call otherwise


BY_ITS_OWN_WORDS = VerifySettings()


def verify(
    folder: Path,
    asked: VerifySettings = BY_ITS_OWN_WORDS,
    *,
    practice: bool = False,
    track: Track = silent,
    say: Callable[[str], None] = nobody,
) -> Verification:
    """Verify a submission: as self-reported first, then at the level that is asked for.

    Args:
        folder: ``.../submissions/<task>/<run_id>``.
        asked: How far to go, and with what.
        practice: Accept the preset "smoke" and fewer samples, as tests and tutorials do.
        track: Shows progress within a stage.
        say: Is told one line per stage.

    Raises:
        MemobenchError: It cannot be verified at that level here (samples or device missing); nothing is said about
            the submission.
    """
    checked = check_submission(folder, practice=practice)
    submission = checked.submission
    if asked.level != "self-reported" and checked.passed and submission is not None:
        if submission.attack is not None:
            checked = _attacked_again(checked, submission, folder, asked, track)
        elif asked.level == "rescored":
            checked = _rescored(checked, submission, folder, asked, track)
        else:
            checked = _reproduced(checked, submission, folder, asked, track, say)
    return Verification(
        run_id=folder.name[:200],
        level=asked.level,
        submission_sha256=checked.sha256,
        passed=checked.passed,
        verified=datetime.datetime.now(datetime.UTC).date().isoformat(),
        memobench=VERSION,
        differences=checked.differences,
        problems=checked.problems,
        leaks=checked.leaks,
    )


def write_verification(verification: Verification, folder: Path, submitted_by: str = "") -> Path:
    """Write ``verified/<run_id>.json`` beside all submissions, and give its path.

    Args:
        verification: What was found.
        folder: The submission's.
        submitted_by: The account that handed it in, as the verifier attests; empty to keep what an earlier
            verification of the very same submission attests.

    Raises:
        DataError: The account is no name, or the earlier verification cannot be read.
    """
    into = folder.resolve().parents[2] / "verified"
    into.mkdir(exist_ok=True)
    file = into / f"{folder.resolve().name}.json"
    if not submitted_by and file.is_file():
        earlier = parse_json(read_bytes(file, JSON_BYTES))
        if isinstance(earlier, dict) and earlier.get("submission_sha256") == verification.submission_sha256:
            submitted_by = str(earlier.get("submitted_by", ""))
    if submitted_by and not ACCOUNT.fullmatch(submitted_by):
        raise DataError(f"{submitted_by[:60]!a} is no account; give it as github:name")
    attested = verification.model_copy(update={"submitted_by": submitted_by})
    write_json(file, attested.model_dump(mode="json"))
    return file


def _rescored(checked: Checked, submission: Submission, folder: Path, asked: VerifySettings, track: Track) -> Checked:
    """Measure the samples again, with the task's own detector."""
    from memobench.measure import measurement

    identity = submission.result.identity
    device, store = device_of(asked.device), Store(asked.out / ".stages")
    splits: Splits | None = None
    if asked.samples is None and lie_nowhere(submission) and is_control(submission):
        splits = images_of(identity, asked.data, out=asked.out, track=track)
        pixels = drawn_again(submission, splits, Place(store, device, track, nobody))
    else:
        pixels = read_samples(submission, asked.samples, folder)
    if not are_of(pixels, submission):
        return replace(checked, problems=[OTHER_SAMPLES])
    splits = splits or images_of(identity, asked.data, out=asked.out, track=track)
    path, _ = fit_detector(splits, identity.detector, store=store, device=device, track=track)
    detector = load_detector(path, identity.detector, store=store, device=device)
    extra = {name: FEATURES.get(name)(device=device) for name in identity.features}
    measured = measurement.measure(
        pixels, splits, detector, None, extra, null_images=identity.detector["null_images"], track=track
    )
    result = submission.result
    found = _asked_for(measured.metrics, result)
    rows = differences(submission.result.metrics, found, remeasured)
    scores = checked.scores or {}
    rows += _tau_again(submission.result.threshold["tau"], measured.copies.threshold.tau, measured.copies.null_scores)
    for name in ("side", "called"):
        rows.append(_share(f"samples with the same {name}", scores[name], measured.arrays()[name]))
    rows += _regions_again(result.regions, measured.regions, len(pixels))
    # what was claimed beyond what samples can show needs the fitted generator
    loose = {*result.metrics} - {*measured.metrics} - ({*REGIONS} if _other_search(result.regions) else set())
    problems = [
        f"{name[:64]!r} is no metric that these samples give"
        for name in sorted(loose)
        if not name.startswith("membership_")
    ]
    copies = measured.copies
    own = Reference(copies.null_scores, copies.threshold.tau, copies.threshold.capped, 0.0, {})
    problems += null_problems(scores["null"], own)
    pools = pool_arrays(Pools.of(splits.train, splits.holdout))
    problems += [
        f"scores.npz: {name} is not that of the images" for name, row in pools.items() if differ(row, scores[name])
    ]
    most, control = identity.detector["null_images"], submission.result.control
    leaks = leak_test(pixels, splits, detector, most=most, control=control, track=track)
    problems += no_proof(rows, submission.result.environment.get("torch", "unknown"), environment(device)["torch"])
    return replace(checked, differences=[*checked.differences, *rows], problems=problems, leaks=leaks)


def no_proof(rows: Sequence[Difference], claimed: str, here: str) -> list[str]:
    """What a reader must know of numbers that differ because the detector was trained again: one line, or none.

    Another version of torch, or another processor, trains a detector with somewhat other features. Where nothing but
    numbers that rest on these features differs, that is the likelier reason than a forgery.

    Args:
        rows: What was compared.
        claimed: The version of torch that the submission states.
        here: That of this process.

    >>> no_proof([], "2.14.1", "2.15.0")
    []
    """
    differ = [row.metric for row in rows if not row.agrees]
    if not differ or not all(name.startswith(OF_FEATURES) for name in differ):
        return []
    versions = f" (torch {claimed[:40]!a} there, {here!a} here)" if claimed != here else ""
    return [
        f"the {len(differ)} numbers that differ rest on features of the detector, which another processor or version "
        f"of torch trains somewhat differently{versions}; no copy count differs, so this is no proof against the "
        "submission: rescore it where it was measured, or give --level reproduced, which compares intervals"
    ]


def differ(one: NDArray[np.generic], other: NDArray[np.generic]) -> bool:
    """Whether two arrays are not the same."""
    return not np.array_equal(one, other)


def _tau_again(claimed: float, found: float, null: NDArray[np.float32]) -> list[Difference]:
    """The threshold beside that of a detector that was trained again, to a part of the spread of its null scores."""
    far = OF_INTERVAL * float(np.std(null))
    one, two = ({"tau": Metric(value=tau, better="lower")} for tau in (claimed, found))
    return differences(one, two, lambda _: far)


def _attacked_again(
    checked: Checked, submission: Submission, folder: Path, asked: VerifySettings, track: Track
) -> Checked:
    """Ask the attack's detector again, as blind as before."""
    from memobench.measure.attack import measure_again

    if asked.level == "reproduced":
        raise UsageError("an attack is about given samples, so rescored is its highest level; reproduce the run")
    attack, result = submission.attack, submission.result
    if submission.source_file:
        if not asked.run_their_code:
            raise UsageError("this would execute the attack's own detector; read it, then add --run-their-code")
        load_plugin(folder / submission.source_file)
    if attack is None:
        return replace(checked, problems=["it is no attack"])
    beside = folder.resolve().parent
    target = attacked(submission, beside) or submission
    pixels = read_samples(target, asked.samples, beside / attack.against)
    if not are_of(pixels, target):
        return replace(checked, problems=[OTHER_SAMPLES])
    splits = images_of(result.identity, asked.data, out=asked.out, track=track)
    measured = measure_again(
        pixels, splits, attack.detector, result.preset, out=asked.out, device=asked.device, track=track
    )
    rows = differences(result.metrics, measured.metrics, remeasured)
    rows += _tau_again(attack.tau, measured.threshold.tau, measured.null_scores)
    scores = checked.scores or {}
    for name in ("side", "called"):
        rows.append(_share(f"samples with the same {name}", scores[name], measured.arrays()[name]))
    problems = [reason] if (reason := knowing(measured.metrics)) else []
    return replace(checked, differences=[*checked.differences, *rows], problems=problems)


def _other_search(claimed: RegionsFound | None) -> bool:
    """Whether regions were searched by another version than this one, or not at all: they cannot be compared then."""
    return claimed is None or claimed.version != REGION_VERSION


def _asked_for(found: dict[str, Metric], result: Result) -> dict[str, Metric]:
    """Without what older results do not hold: leaked patients, whom the leak test looks for anyway, and regions.

    Regions that another version of the search found are left out too; the board says which rows those are.
    """
    newer = {"leaked_patients", *REGIONS}
    other: set[str] = {*REGIONS} if _other_search(result.regions) else set()
    return {
        name: metric
        for name, metric in found.items()
        if name not in other and (name not in newer or name in result.metrics)
    }


def _regions_again(claimed: RegionsFound | None, found: RegionsFound, count: int) -> list[Difference]:
    """Which samples repeat a region, as claimed and as found; nothing where this search did not claim any."""
    if claimed is None or _other_search(claimed):
        return []
    called = []
    for one in (claimed, found):
        held = np.zeros(count, dtype=np.int8)
        for call in one.calls:
            if call.sample < count:
                held[call.sample] = 1 if call.image >= 0 else -1
        called.append(held)
    return [_share("samples with the same region", *called)]


def _share(name: str, claimed: NDArray[np.generic], found: NDArray[np.generic]) -> Difference:
    same = float(np.mean(claimed == found))
    return Difference(metric=name, claimed=1.0, found=same, tolerance=CALLS, agrees=same >= 1 - CALLS)


def _reproduced(
    checked: Checked,
    submission: Submission,
    folder: Path,
    asked: VerifySettings,
    track: Track,
    say: Callable[[str], None],
) -> Checked:
    """Train and sample again with the same seed, and see whether the intervals meet."""
    result = submission.result
    if result.identity.origin is not None:
        raise UsageError("it was trained elsewhere, so rescored is its highest level; give --level rescored")
    if submission.source_file:
        if not asked.run_their_code:
            raise UsageError("this would execute the submission's own code; read it, then add --run-their-code")
        load_plugin(folder / submission.source_file)
    identity = result.identity
    images_of(identity, asked.data, out=asked.out / "reproduced", track=track)  # before hours of training
    settings = RunSettings(
        model=identity.model,
        task=identity.task,
        data=given_data(identity, asked.data),
        preset=result.preset,
        settings=result.settings,
        samples=identity.samples,
        seed=identity.seed,
        device=asked.device,
        features=identity.features,
        out=asked.out / "reproduced",
    )
    again, made = run(settings, track=track, say=say)
    claimed: dict[str, Metric] = result.metrics
    rows = overlaps(claimed, _asked_for(again.metrics, result))
    problems = [] if again.run_id == result.run_id else [f"the same command gives another run, {again.run_id}"]
    pixels = read_samples(submission, made / "samples.npz")
    store = Store(settings.out / ".stages")
    splits = images_of(identity, asked.data, out=settings.out, track=track)
    path, _ = fit_detector(splits, identity.detector, store=store, device=device_of(asked.device), track=track)
    detector = load_detector(path, identity.detector, store=store, device=device_of(asked.device))
    most, control = identity.detector["null_images"], submission.result.control
    leaks = leak_test(pixels, splits, detector, most=most, control=control, track=track)
    return replace(checked, differences=[*checked.differences, *rows], problems=problems, leaks=leaks)
