"""Samples that lie nowhere, drawn again by their own code; they count where their digest is the submitted one."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from memobench.base.errors import MemobenchError
from memobench.base.place import Place
from memobench.data.samples import samples_digest
from memobench.generator import GENERATORS, build
from memobench.provenance import code_digest
from memobench.submissions.records import Submission
from memobench.task import Splits
from memobench.training.fitting import draw_samples, fit_generator


def lie_nowhere(submission: Submission) -> bool:
    """Whether a submission neither carries its samples nor says where they are."""
    return not submission.samples.carried_sha256 and not submission.samples.location.startswith("https://")


def is_control(submission: Submission) -> bool:
    """Whether it is of a control of memobench, which learns nothing that would have to be trained."""
    name = submission.result.identity.model
    return submission.source == "entry" and name in GENERATORS.files() and GENERATORS.get(name).CONTROL


def drawn_again(submission: Submission, splits: Splits, place: Place, *, train: bool = False) -> NDArray[np.float32]:
    """Draw the samples again, (N, *S) float32 in [0, 1].

    Args:
        submission: What drew them.
        splits: The task's images.
        place: Where the fit and the samples are stored.
        train: Whether a generator that is no control may be trained for it.

    Raises:
        MemobenchError: The code is not memobench's or another now, training was not asked for, or other samples came.
    """
    result = submission.result
    name = result.identity.model
    if submission.source != "entry" or name not in GENERATORS.files():
        raise MemobenchError("its samples lie nowhere and its code is not memobench's; ask the submitter for them")
    kind = GENERATORS.get(name)
    if not kind.CONTROL and not train:
        raise MemobenchError("it carries no samples; train its generator again with --train")
    if code_digest(kind) != result.identity.generator_code:
        raise MemobenchError(f"it carries no samples, and the code of {name} is another now; run it again")
    generator = build(kind, name, result.preset, result.settings)
    fitted, _ = fit_generator(result.identity, generator, splits, place)
    drawn, _ = draw_samples(result.identity, generator, fitted, place)
    with np.load(drawn / "samples.npz", allow_pickle=False) as archive:
        pixels: NDArray[np.float32] = archive["samples"]
    if samples_digest(pixels) != submission.samples.sha256:
        raise MemobenchError(
            "it carries no samples, and those that its code draws here are others (their digest differs, as on another "
            "processor); run it again and submit it"
        )
    return pixels
