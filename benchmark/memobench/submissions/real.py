"""What of real patients may enter a submission: numbers, and never an image of a patient or the name of one.

Samples may be copies of patients. They are published where the source's licence lets derived images be shared, the
decision on them is not "do not release", and none is pixel for pixel an image of the source. Else their digest stands
for them, and anyone who holds the data asks the submitter for the file.
"""

from __future__ import annotations

import re

import numpy as np
from numpy.typing import NDArray

from memobench.data.samples import eight_bit
from memobench.images import content_digests
from memobench.memorization.rates import Pools
from memobench.results import Result, sealed
from memobench.submissions.records import Submission
from memobench.submissions.track import Track, track_of
from memobench.task import TASKS, Splits

NUMBER = re.compile(r"[0-9]*")


def without_names(result: Result, splits: Splits) -> Result:
    """A result whose list of copied regions names patients by their numbers in the pools, as ``scores.npz`` does.

    Args:
        result: Of a run on real data.
        splits: Its images.
    """
    if result.regions is None or not result.regions.calls:
        return result
    names = Pools.of(splits.train, splits.holdout).names.tolist()
    number = {name: str(row) for row, name in enumerate(names)}
    calls = [call.model_copy(update={"patient": number.get(call.patient, "")}) for call in result.regions.calls]
    regions = result.regions.model_copy(update={"calls": calls})
    return sealed(result.model_copy(update={"regions": regions}))


def withheld(result: Result, samples: NDArray[np.float32], splits: Splits, track: Track) -> str:
    """Why a submission of real data does not carry its samples; "" where it may.

    Args:
        result: Of the run.
        samples: (N, *S) float32 in [0, 1].
        splits: The real images.
        track: What they are samples of.
    """
    if not track.shares:
        return "the source's licence does not let derived images be published"
    if result.decision.word == "do not release":
        return "the decision on them is: do not release"
    known: set[str] = set()
    for images in (splits.train, splits.holdout, splits.test, splits.dev, splits.fresh):
        if images is not None:
            known |= {*content_digests(eight_bit(images.pixels)).tolist()}
    if same := sum(one in known for one in content_digests(eight_bit(samples)).tolist()):
        return f"{same} of them are images of the source, pixel for pixel"
    return ""


def why_not_carried(submission: Submission) -> str:
    """Why a submission of real data carries no samples, as far as its own words tell.

    Args:
        submission: One that carries none.
    """
    identity = submission.result.identity
    if not track_of(TASKS.get(identity.task), identity.data).shares:
        return "the source's licence does not let derived images be published"
    if submission.result.decision.word == "do not release":
        return "the decision on them is: do not release"
    return "some are images of the source, or they take too much"


def real_problems(submission: Submission, track: Track) -> list[str]:
    """What a submission of real data holds that may not be published; empty for embedded data.

    Args:
        submission: Of a run or of an attack.
        track: What it is of.
    """
    if not track.real:
        return []
    problems, result = [], submission.result
    if submission.gallery_sha256:
        problems.append("a gallery shows patients, so none belongs to a submission of real data; submit it again")
    carried = submission.samples.carried_sha256 or submission.samples.location.startswith("https://")
    if carried and not track.shares:
        problems.append("the source's licence does not let samples be published; name their digest alone")
    if submission.samples.carried_sha256 and result.decision.word == "do not release":
        problems.append("samples that must not be released are not carried; name their digest alone")
    if any(not NUMBER.fullmatch(call.patient) for call in (result.regions.calls if result.regions else [])):
        problems.append("the list of copied regions names patients; submit it again with this version of memobench")
    return problems
