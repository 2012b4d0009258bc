"""From a run's folder to a submission: everything is checked first, and written at once or not at all."""

from __future__ import annotations

import datetime
import hashlib
import io
import json
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from pydantic import ValidationError

from memobench.base.errors import DataError, MemobenchError, UsageError
from memobench.base.store import write_json, writing_into
from memobench.data.samples import eight_bit, samples_digest
from memobench.memorization.rates import Pools
from memobench.results import Result, was_changed
from memobench.submissions.check import check_submission
from memobench.submissions.real import why_not_carried, withheld, without_names
from memobench.submissions.records import Disclosures, SamplesRecord, Submission, Submitter
from memobench.submissions.rules import code_problems, command_of, result_problems, source_of
from memobench.submissions.samples import NAME as CARRIED
from memobench.submissions.samples import packed_samples
from memobench.submissions.scores import OF_SAMPLES, pool_arrays
from memobench.submissions.settings import SubmitSettings
from memobench.submissions.track import PHANTOM, images_of, track_of
from memobench.submissions.untrusted import DAMAGED, check_values
from memobench.task import TASKS, Splits


def submit(asked: SubmitSettings, *, practice: bool = False) -> tuple[Submission, Path]:
    """Write a run's submission.

    Args:
        asked: What to do.
        practice: Accept the preset "smoke" and fewer samples, as tests and tutorials do; the board does not.

    Returns:
        The submission and its folder, ``<into>/<task>/<run_id>``.

    Raises:
        UsageError: A word is too long, or no address.
        MemobenchError: The run cannot stand on the board; every reason is named with its fix.
    """
    result = _finished(asked.run)
    source = source_of(result)
    problems = result_problems(result, practice=practice)
    if not problems:
        problems = code_problems(result, source, asked.plugin if source == "file" else None)
    if problems:
        raise MemobenchError(f"{asked.run} cannot be submitted: " + "; ".join(problems))
    splits = images_of(result.identity, asked.data, out=asked.run.parent)
    track = track_of(TASKS.get(result.identity.task), result.identity.data)
    samples, scores = _arrays(asked.run, result, splits)
    packed = io.BytesIO()
    np.savez_compressed(packed, **scores)  # type: ignore[arg-type]  # no key is allow_pickle
    drawn = asked.run / "gallery.png"
    gallery = drawn.read_bytes() if drawn.is_file() and not track.real else b""  # which shows the real images too
    kept_back = withheld(result, samples, splits, track) if track.real else ""
    carried = b"" if kept_back else packed_samples(samples)
    own, rounded = samples_digest(samples), samples_digest(eight_bit(samples))
    result = without_names(result, splits) if track.real else result
    source_file = asked.plugin.name if source == "file" and asked.plugin is not None else ""
    try:
        submission = Submission(
            submitted=datetime.datetime.now(datetime.UTC).date().isoformat(),
            submitter=Submitter(name=asked.name, contact=asked.contact, link=asked.link),
            disclosures=Disclosures(
                other_training_data=asked.other_training_data,
                tuned_on_test=asked.tuned_on_test,
                comment=asked.comment,
            ),
            command=command_of(result, source_file),
            source=source,
            source_file=source_file,
            result=result,
            samples=SamplesRecord(
                sha256=own,
                count=len(samples),
                location=asked.samples_at,
                carried_sha256=hashlib.sha256(carried).hexdigest() if carried else "",
                rounded_sha256=rounded if carried and rounded != own else "",
            ),
            scores_sha256=hashlib.sha256(packed.getvalue()).hexdigest(),
            gallery_sha256=hashlib.sha256(gallery).hexdigest() if gallery else "",
        )
    except ValidationError as error:
        first = error.errors()[0]
        raise UsageError(f"{'.'.join(map(str, first['loc']))}: {first['msg']}; change that word") from error
    check_values(submission.model_dump(mode="json"))
    files = {"scores.npz": packed.getvalue(), "gallery.png": gallery, CARRIED: carried}
    return submission, _write(asked, submission, files, practice)


def next_steps(folder: Path, submission: Submission) -> str:
    """What a submitter does after ``bench submit``."""
    keep = "" if (folder / CARRIED).is_file() else ", and keep samples.npz: it makes the row rescored"
    if keep and submission.result.identity.data != PHANTOM:
        keep += f".\n      It carries no samples: {why_not_carried(submission)}."
        keep += "\n      They may show patients: give them to those alone who may have the images"
    return (
        f"Written: {folder}/\n"
        f"Next: bench verify {folder}            checks it as the board will\n"
        f"      bench leaderboard                shows it among the others\n"
        f"      then add that folder alone in a pull request{keep}"
    )


def _finished(folder: Path) -> Result:
    file = folder / "result.json"
    if not file.is_file():
        raise MemobenchError(f"{folder} holds no result.json: the run failed or goes on; run the same command again")
    try:
        if was_changed(json.loads(file.read_bytes())):
            raise MemobenchError(f"{file} was changed after the run had written it; run the same command again")
        return Result.model_validate_json(file.read_bytes())
    except (ValueError, RecursionError) as error:
        reason = str(error).splitlines()[0]
        raise MemobenchError(f"{file} is no result of this version ({reason}); run the same command again") from error


def _arrays(folder: Path, result: Result, splits: Splits) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """The samples, and the scores with the pools beside them."""
    try:
        with np.load(folder / "samples.npz", allow_pickle=False) as archive:
            samples = archive["samples"]
        with np.load(folder / "scores.npz", allow_pickle=False) as archive:
            scores = {name: archive[name] for name in ("null", *OF_SAMPLES)}
    except (KeyError, ValueError, *DAMAGED) as error:
        raise DataError(f"{folder}: samples.npz or scores.npz cannot be read ({error}); run it again") from error
    if samples.shape != (result.identity.samples, *result.identity.shape) or samples.dtype != np.float32:
        raise DataError(f"{folder}/samples.npz holds {samples.dtype} {samples.shape}: it was changed; run it again")
    return samples, {**scores, **pool_arrays(Pools.of(splits.train, splits.holdout))}


def _write(asked: SubmitSettings, submission: Submission, files: Mapping[str, bytes], practice: bool) -> Path:
    """Write beside the place, check there as the board will, then move: what stands under its name is whole."""
    result = submission.result
    final = asked.into / result.identity.task / result.run_id
    if final.exists():
        raise MemobenchError(f"{final} stands already; a run is submitted once. Delete that folder to replace your own")
    with writing_into(asked.into):
        asked.into.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".submit.", dir=asked.into) as scratch:
            partial = Path(scratch) / "submissions" / result.identity.task / result.run_id
            partial.mkdir(parents=True)
            for name, content in files.items():
                if content:
                    (partial / name).write_bytes(content)
            if asked.plugin is not None and submission.source_file:
                shutil.copyfile(asked.plugin, partial / submission.source_file)
            write_json(partial / "submission.json", submission.model_dump(mode="json"))
            checked = check_submission(partial, practice=practice)
            if not checked.passed:
                wrong = [
                    f"{row.metric} is {row.claimed}, its scores give {row.found}"
                    for row in checked.differences
                    if not row.agrees
                ]
                raise MemobenchError(
                    f"{asked.run} was changed since it ran; run it again: " + "; ".join([*checked.problems, *wrong])
                )
            final.parent.mkdir(exist_ok=True)
            partial.replace(final)
    return final
