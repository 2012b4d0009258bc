"""The board brought up to date: submissions of older detectors or measures, measured again from their samples.

A submission is replaced by one of the same generator, seed and submitter with the present versions in its identity, and
so with another run_id. What the samples cannot give is left out: metrics of the generator's loss (``membership_*``).
Anyone who measured it here has measured the very samples, so the new one is verified as rescored; the account that an
earlier verification attests stays.

Samples come from the submission itself, or from the address that it names, or are drawn again with the present code:
those of controls, which learn nothing, always, those of other generators where it is asked for. Drawn samples count
only where their digest is the one that was submitted.

Each submission is measured into a stage of its own, written beside the old one, checked as the board will check it, and
only then takes its place: an interruption loses the measurement that it interrupts and nothing else.
"""

from __future__ import annotations

import datetime
import hashlib
import io
import json
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from memobench.base.errors import DataError, MemobenchError, UsageError
from memobench.base.place import Place, nobody
from memobench.base.progress import Track, silent
from memobench.base.store import Store, write_json, writing_into
from memobench.base.version import VERSION
from memobench.data.samples import BITS, eight_bit, samples_digest
from memobench.detection.parameters import DETECTOR_VERSION, MEASURE_VERSION, REGION_VERSION, EmbeddingParameters
from memobench.detection.stage import fit_detector, load_detector
from memobench.execution.job import Job
from memobench.execution.perform import Workplace, perform
from memobench.execution.settings import HERE, Execution
from memobench.features import FEATURES
from memobench.memorization.rates import Pools
from memobench.provenance import environment
from memobench.results import Identity, Result, sealed
from memobench.run import Head, result_of, write_measured
from memobench.submissions.check import check_submission, parse_submission
from memobench.submissions.leaks import leak_test
from memobench.submissions.real import withheld, without_names
from memobench.submissions.records import Leak, SamplesRecord, Submission, Verification
from memobench.submissions.redraw import drawn_again
from memobench.submissions.rules import as_json, command_of
from memobench.submissions.samples import NAME as CARRIED
from memobench.submissions.samples import OTHER_SAMPLES, are_of, packed_samples, read_samples
from memobench.submissions.scores import OF_SAMPLES, pool_arrays
from memobench.submissions.settings import RemeasureSettings
from memobench.submissions.track import images_of, track_of
from memobench.submissions.untrusted import JSON_BYTES, parse_json, read_bytes
from memobench.submissions.verify import write_verification
from memobench.task import TASKS, Splits
from memobench.training.acceleration import device_of


@dataclass(frozen=True)
class Remeasured:
    """What became of one submission.

    Attributes:
        name: Its folder, ``<task>/<run_id>``.
        now: The folder that stands in its place; "" where it could not be measured.
        words: What was done or why not, and what changed.
    """

    name: str
    now: str
    words: str


def outdated(result: Result) -> str:
    """What of a result is of an older version, in words; "" where it is up to date."""
    identity = result.identity
    if identity.detector_version != DETECTOR_VERSION:
        return f"detector {identity.detector_version}, and now {DETECTOR_VERSION}"
    if identity.measure_version != MEASURE_VERSION:
        return f"measure {identity.measure_version}, and now {MEASURE_VERSION}"
    found = result.regions.version if result.regions is not None else "none"
    return "" if found == REGION_VERSION else f"search for copied regions {found}, and now {REGION_VERSION}"


def remeasure(
    asked: RemeasureSettings,
    *,
    practice: bool = False,
    execution: Execution = HERE,
    track: Track = silent,
    say: Callable[[str], None] = nobody,
) -> list[Remeasured]:
    """Bring submissions up to date.

    Args:
        asked: Which, and how.
        execution: Where; each submission is a job.
        practice: Accept the preset "smoke" and fewer samples, as tests do.
        track: Shows progress within a stage.
        say: Is told a line per submission.

    Returns:
        What became of each that is not up to date, or was asked for.

    Raises:
        UsageError: One that was asked for does not stand there.
    """
    found, waiting = [], []
    for folder in _chosen(asked):
        name = f"{folder.parent.name}/{folder.name}"
        try:
            submission = _readable(folder)
            if submission.kind == "attack":
                continue
            reason = outdated(submission.result)
            if not reason and not asked.only:
                continue
        except MemobenchError as error:
            found.append(_told(Remeasured(name, "", str(error)), say))
            continue
        if not execution.here:
            waiting.append(Job(name, _one, (folder, asked, practice)))
            continue
        say(f"{name}: {reason or 'up to date, measured again because it was asked for'}")
        found.append(_told(_one(folder, asked, practice, track), say))
    if waiting:
        answers = perform(waiting, Workplace(execution, asked.out, track, say), "submissions")
        for job, answer in zip(waiting, answers, strict=True):
            found.append(_told(answer.value or Remeasured(job.name, "", answer.error), say))
    return sorted(found, key=lambda one: one.name)


def _one(folder: Path, asked: RemeasureSettings, practice: bool, track: Track = silent) -> Remeasured:
    """Measure one submission again; why it cannot be, where it cannot."""
    try:
        return _again(folder, _readable(folder), asked, practice, track)
    except MemobenchError as error:
        return Remeasured(f"{folder.parent.name}/{folder.name}", "", str(error))


def _told(one: Remeasured, say: Callable[[str], None]) -> Remeasured:
    say(f"  {one.name}: {one.words}")
    return one


def _chosen(asked: RemeasureSettings) -> list[Path]:
    every = sorted(file.parent for file in asked.submissions.glob(f"{asked.task or '*'}/*/submission.json"))
    if odd := [name for name in asked.only if name not in {folder.name for folder in every}]:
        raise UsageError(f"--only {odd[0]}: no such submission stands in {asked.submissions}")
    return [folder for folder in every if not asked.only or folder.name in asked.only]


def _readable(folder: Path) -> Submission:
    return parse_submission(read_bytes(folder / "submission.json", JSON_BYTES))


def _again(folder: Path, submission: Submission, asked: RemeasureSettings, practice: bool, track: Track) -> Remeasured:
    """Measure one submission again and put the new one in its place."""
    identity = submission.result.identity
    splits = images_of(identity, asked.data, out=asked.out, track=track)
    place = Place(Store(asked.out / ".stages"), device_of(asked.device), track)
    pixels, source = _samples(folder, submission, splits, asked, place)
    new = _present(identity, submission.result.preset, pixels, submission)
    measured, leaks = _measured(new, submission.result, pixels, splits, place)
    result, scores = _result(new, submission, splits, measured, place.device)
    final = folder.parent / new.run_id
    made, files = _files(submission, result, pixels, scores, splits)
    if final == folder or not final.exists():
        final = _put(folder, made, files, practice)
    elif _readable(final) != made:  # else it was put there before an interruption
        raise MemobenchError(
            f"{final.name} stands there already, of the same run and with other content; verify that one (bench verify "
            "--level rescored), and keep one of the two"
        )
    _verified(final, folder, leaks)
    if final != folder:
        shutil.rmtree(folder)
        (folder.resolve().parents[2] / "verified" / f"{folder.name}.json").unlink(missing_ok=True)
    before, after = (one.metrics.get("copy_rate") for one in (submission.result, result))
    change = "" if before is None or after is None else f"; copy rate {before.value:.1%} before, {after.value:.1%} now"
    held = [one.name for one in sorted(folder.parent.glob(f"{folder.name}-*")) if one.is_dir()]
    stale = f"; attack again, for the older measurement is gone: {', '.join(held)}" if held else ""
    return Remeasured(
        f"{folder.parent.name}/{folder.name}",
        f"{final.parent.name}/{final.name}",
        f"measured from {source}{change}; {result.decision.word}{stale}",
    )


def _samples(
    folder: Path, submission: Submission, splits: Splits, asked: RemeasureSettings, place: Place
) -> tuple[NDArray[np.float32], str]:
    """The samples, and where they come from in words."""
    held = submission.samples
    if held.carried_sha256:
        return read_samples(submission, None, folder), "the samples that it carries"
    if held.location.startswith("https://"):
        pixels = read_samples(submission, None, folder)
        if not are_of(pixels, submission):
            raise DataError(OTHER_SAMPLES)
        return pixels, f"the samples at {held.location}"
    pixels = drawn_again(submission, splits, place, train=asked.train)
    return pixels, "samples that its code drew again, to the bit those that were submitted"


def _present(identity: Identity, preset: str, pixels: NDArray[np.float32], submission: Submission) -> Identity:
    """The identity with the present versions, of the samples as they are measured."""
    origin = identity.origin
    if origin is not None and origin.kind == "samples" and samples_digest(pixels) != submission.samples.sha256:
        origin = origin.model_copy(update={"digest": samples_digest(pixels)})
    return identity.model_copy(
        update={
            "detector_version": DETECTOR_VERSION,
            "measure_version": MEASURE_VERSION,
            "detector": as_json(EmbeddingParameters.preset(preset)),
            "origin": origin,
        }
    )


def _measured(
    identity: Identity, old: Result, pixels: NDArray[np.float32], splits: Splits, place: Place
) -> tuple[Path, list[Leak]]:
    """The measurement's stage, and what the leak test found."""
    store = place.store
    path, _ = fit_detector(splits, identity.detector, store=store, device=place.device, track=place.track)

    def write(into: Path, scratch: Path) -> None:
        from memobench.measure import measurement

        detector = load_detector(path, identity.detector, store=store, device=place.device)
        extra = {name: FEATURES.get(name)(device=place.device) for name in identity.features}
        most = identity.detector["null_images"]
        measured = measurement.measure(pixels, splits, detector, None, extra, null_images=most, track=place.track)
        write_measured(measured, splits, into)
        leaks = leak_test(pixels, splits, detector, most=most, control=old.control, track=place.track)
        write_json(into / "leaks.json", [leak.model_dump(mode="json") for leak in leaks])

    key = {**identity.model_dump(mode="json"), "regions": REGION_VERSION, "bits": BITS}
    key["samples_sha256"] = samples_digest(pixels)
    made, _ = store.get("remeasure", key, write)
    return made, [Leak.model_validate(leak) for leak in json.loads((made / "leaks.json").read_text())]


def _result(
    identity: Identity, submission: Submission, splits: Splits, measured: Path, device: str
) -> tuple[Result, bytes]:
    """The new result, and its packed scores."""
    old = submission.result
    spent = {"environment": environment(device), "seconds": {}, "training": old.training}
    head = Head(identity, old.preset, old.settings, old.control, splits.notes)
    result = result_of(head, splits, measured, spent)
    if lost := sorted(name for name in old.metrics if name.startswith("membership_")):
        note = f"measured again from its samples, which do not give {', '.join(lost)}"
        result = result.model_copy(update={"notes": [*result.notes, note]})
    if old.identity.data != "phantom":
        result = without_names(result, splits)
    with np.load(measured / "scores.npz", allow_pickle=False) as archive:
        scores = {name: archive[name] for name in ("null", *OF_SAMPLES)}
    packed = io.BytesIO()
    np.savez_compressed(packed, **scores, **pool_arrays(Pools.of(splits.train, splits.holdout)))  # type: ignore[arg-type]  # no key is allow_pickle
    return sealed(result), packed.getvalue()


def _files(
    submission: Submission, result: Result, pixels: NDArray[np.float32], scores: bytes, splits: Splits
) -> tuple[Submission, dict[str, bytes]]:
    """The new submission, and the files beside it."""
    track = track_of(TASKS.get(result.identity.task), result.identity.data)
    carried = b"" if track.real and withheld(result, pixels, splits, track) else packed_samples(pixels)
    own, rounded = samples_digest(pixels), samples_digest(eight_bit(pixels))
    picture = b"" if track.real else _gallery(result, pixels, splits, scores)
    made = submission.model_copy(
        update={
            "result": result,
            "command": command_of(result, submission.source_file),
            "samples": SamplesRecord(
                sha256=own,
                count=len(pixels),
                location=submission.samples.location,
                carried_sha256=hashlib.sha256(carried).hexdigest() if carried else "",
                rounded_sha256=rounded if carried and rounded != own else "",
            ),
            "scores_sha256": hashlib.sha256(scores).hexdigest(),
            "gallery_sha256": hashlib.sha256(picture).hexdigest() if picture else "",
        }
    )
    files = {"scores.npz": scores, "gallery.png": picture, CARRIED: carried}
    return made, {name: content for name, content in files.items() if content}


def _gallery(result: Result, pixels: NDArray[np.float32], splits: Splits, scores: bytes) -> bytes:
    """The strongest matches, as a run draws them."""
    from memobench.report.gallery import draw_gallery

    with np.load(io.BytesIO(scores), allow_pickle=False) as archive, tempfile.TemporaryDirectory() as scratch:
        file = Path(scratch) / "gallery.png"
        draw_gallery(file, pixels, splits, dict(archive), result)
        return file.read_bytes() if file.is_file() else b""


def _put(folder: Path, made: Submission, files: dict[str, bytes], practice: bool) -> Path:
    """Write beside the old one, check there as the board will, then move."""
    final = folder.parent / made.result.run_id
    root = folder.parents[1]
    with writing_into(root), tempfile.TemporaryDirectory(prefix=".remeasure.", dir=root) as scratch:
        partial = Path(scratch) / "submissions" / folder.parent.name / final.name
        partial.mkdir(parents=True)
        for name, content in files.items():
            (partial / name).write_bytes(content)
        if made.source_file:
            shutil.copyfile(folder / made.source_file, partial / made.source_file)
        write_json(partial / "submission.json", made.model_dump(mode="json"))
        checked = check_submission(partial, practice=practice)
        if not checked.passed:
            wrong = [f"{row.metric} is {row.claimed}, not {row.found}" for row in checked.differences if not row.agrees]
            raise MemobenchError("it cannot stand as it is now: " + "; ".join([*checked.problems, *wrong]))
        aside = root / f".{final.name}.old"
        if final == folder:  # of the same versions: kept aside until the new one stands
            folder.replace(aside)
        partial.replace(final)
        if aside.exists():
            shutil.rmtree(aside)
    return final


def _verified(final: Path, old: Path, leaks: list[Leak]) -> None:
    """The new submission's verification, with the account that the old one's attests."""
    earlier = final.resolve().parents[2] / "verified" / f"{old.name}.json"
    account = ""
    if earlier.is_file():
        held = parse_json(read_bytes(earlier, JSON_BYTES))
        account = str(held.get("submitted_by", "")) if isinstance(held, dict) else ""
    verification = Verification(
        run_id=final.name,
        level="rescored",
        submission_sha256=hashlib.sha256((final / "submission.json").read_bytes()).hexdigest(),
        passed=True,
        verified=datetime.datetime.now(datetime.UTC).date().isoformat(),
        memobench=VERSION,
        differences=[],
        leaks=leaks,
    )
    write_verification(verification, final, account)


def summary(found: list[Remeasured]) -> str:
    """What was done, in lines."""
    done = [one for one in found if one.now]
    left = [f"- {one.name}: {one.words}" for one in found if not one.now]
    lines = [f"+ {one.now}: {one.words}" for one in done]
    counted = f"{len(done)} measured again, {len(left)} left as they are" if found else "all submissions are up to date"
    return "\n".join([*lines, *left, counted])
