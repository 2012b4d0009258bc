"""The schema of a submission and of its verification.

A submission is one folder, ``leaderboard/submissions/<task>/<run_id>/``, or of an attack on a run
``leaderboard/submissions/<task>/<run_id>-<detector>-<hash>/``:

| file | what is in it |
|---|---|
| ``submission.json`` | a :class:`Submission` |
| ``scores.npz`` | per sample: what it matches, and how strongly; and who stands in the pools, as numbers |
| ``samples.npz`` | the samples as 8-bit images, where they take few bytes and may be published |
| ``gallery.png`` | the strongest matches as the run drew them, where there is one |
| ``<name>.py`` | the plug-in file of generator or detector under its own name, which its digest holds; if any |

A verification is one file beside all submissions, ``leaderboard/verified/<run_id>.json``, written by the verifier,
never by the submitter; it names by digest the submission that it is about, so that an edited submission loses it.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from memobench.results import Finite, Result, Strict
from memobench.submissions.settings import Level

SUBMISSION_SCHEMA_VERSION = 1

LeakPool = Literal["test", "dev", "fresh"]
Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Line = Annotated[str, Field(max_length=200)]
Paragraph = Annotated[str, Field(max_length=2000)]


class Submitter(Strict):
    """Who submits.

    Attributes:
        name: A person or a group.
        contact: Where questions go; may be empty.
        link: A page about the method; may be empty, else https.
    """

    name: Annotated[str, Field(min_length=1, max_length=100)]
    contact: Line = ""
    link: Annotated[str, Field(max_length=500, pattern=r"^(https://\S+)?$")] = ""


class Disclosures(Strict):
    """What a reader must know to compare fairly.

    Attributes:
        other_training_data: What else the generator learned from (pretrained weights too); empty for nothing.
        tuned_on_test: True where any choice was made by looking at numbers measured on test.
        comment: Anything else.
    """

    other_training_data: Paragraph = ""
    tuned_on_test: bool = False
    comment: Paragraph = ""


class SamplesRecord(Strict):
    """The samples; where they take few bytes, ``samples.npz`` in the submission holds them as 8-bit images.

    Attributes:
        sha256: Over the shape, and the values as little-endian float32 in C order.
        count: How many.
        location: Where ``samples.npz`` can be had: an https URL, or a file name; empty where nowhere.
        carried_sha256: Over the bytes of the ``samples.npz`` in the submission; empty where it carries none.
        rounded_sha256: Where the run drew finer values than those of 8-bit images: as ``sha256``, of the carried ones.
            Measured again they give the same numbers to what a detector that is trained again changes.
    """

    sha256: Digest
    count: Annotated[int, Field(ge=1)]
    location: Annotated[str, Field(max_length=500)] = ""
    carried_sha256: Annotated[str, Field(pattern=r"^([0-9a-f]{64})?$")] = ""
    rounded_sha256: Annotated[str, Field(pattern=r"^([0-9a-f]{64})?$")] = ""

    @property
    def digests(self) -> set[str]:
        """The digests by which samples are the submission's: as they were drawn, or as it carries them."""
        return {self.sha256} | ({self.rounded_sha256} if self.carried_sha256 and self.rounded_sha256 else set())


class Attack(Strict):
    """A stronger attack: another detector's result on the samples of a submission that is listed.

    Attributes:
        against: The run_id of that submission.
        detector: Name of the detector.
        version: Its version.
        code: SHA-256 of the detector's source.
        tau: Its threshold, found as the task's own is: from real images alone.
        description: How it works, and where its code is.
    """

    against: Line
    detector: Line
    version: Line
    code: Annotated[str, Field(pattern=r"^([0-9a-f]{64})?$")] = ""
    tau: Finite
    description: Paragraph = ""


class Submission(Strict):
    """``submission.json``.

    Attributes:
        kind: "run", or "attack" against the samples of a listed run.
        submitted: The day, as YYYY-MM-DD.
        command: What reproduces the result, to be typed as it stands.
        source: Where the generator, or an attack's detector, comes from: "entry" of memobench, "package" (an entry
            point; ``command`` needs it installed), "file" (a plug-in file beside), or "samples" (it was trained
            elsewhere, as the result's ``identity.origin`` says; ``command`` measures its samples again).
        source_file: The name of that file, where it is one.
        result: The run's result, unchanged. Of an attack: whose samples they are, as in the attacked run's result, and
            what the attack's detector found on them.
        scores_sha256: Over the bytes of ``scores.npz``.
        gallery_sha256: Over the bytes of ``gallery.png``; empty where there is none.
        attack: The attack, where this is one.
    """

    schema_version: int = SUBMISSION_SCHEMA_VERSION
    kind: Literal["run", "attack"] = "run"
    submitted: Annotated[str, Field(pattern=r"^\d{4}-\d{2}-\d{2}$")]
    submitter: Submitter
    disclosures: Disclosures
    command: Paragraph
    source: Literal["entry", "package", "file", "samples"]
    source_file: Annotated[str, Field(max_length=63, pattern=r"^([A-Za-z0-9][A-Za-z0-9_]*\.py)?$")] = ""
    result: Result
    samples: SamplesRecord
    scores_sha256: Digest
    gallery_sha256: Annotated[str, Field(pattern=r"^([0-9a-f]{64})?$")] = ""
    attack: Attack | None = None


class Difference(Strict):
    """One number that was claimed, and what the verifier found.

    Attributes:
        metric: Its name.
        claimed: As submitted.
        found: As verified.
        tolerance: How far apart they may lie.
        agrees: Whether they do.
    """

    metric: Line
    claimed: Finite | None
    found: Finite | None
    tolerance: Finite
    agrees: bool


class Leak(Strict):
    """What a verifier found of real patients who are neither in train nor in holdout.

    Attributes:
        pool: "test", "dev" or "fresh".
        images: How many images of how many patients were compared with each sample.
        matched: Samples that match one of them, more strongly than an image of a new patient does once in a thousand
            times.
        patients: Different patients that they match.
        expected: How many such samples chance gives.
        p_value: P(chance gives matches of so many patients).
        found: Whether that is a leak: chance gives it three times in a thousand tasks, over all pools.
    """

    pool: LeakPool
    images: Annotated[int, Field(ge=0)]
    matched: Annotated[int, Field(ge=0)]
    patients: Annotated[int, Field(ge=0)]
    expected: Annotated[float, Field(ge=0, allow_inf_nan=False)]
    p_value: Annotated[float, Field(ge=0, le=1)]
    found: bool


class Verification(Strict):
    """``verified/<run_id>.json``: how far a submission was verified, and by which software.

    Attributes:
        level: "self-reported": schema, identity, digests, and the metrics that follow from the per-sample scores.
            "rescored": the samples were measured again. "reproduced": the generator was trained and sampled again.
        submission_sha256: Over the bytes of ``submission.json``.
        passed: Whether everything agreed at that level.
        differences: What was compared, number by number.
        problems: What was wrong, in words.
        submitted_by: The account that handed the submission in, as the verifier attests ("github:name" of the pull
            request); empty where nobody attests it. Seeds join one row of the board by it, never by a name alone.
        leaks: What of real patients outside of train and holdout was found among the samples; None where nobody looked.
    """

    schema_version: int = SUBMISSION_SCHEMA_VERSION
    run_id: Line
    level: Level
    submission_sha256: Digest
    passed: bool
    verified: Annotated[str, Field(pattern=r"^\d{4}-\d{2}-\d{2}$")]
    memobench: Line
    differences: list[Difference]
    problems: list[Paragraph] = Field(default_factory=list)
    submitted_by: Line = ""
    leaks: list[Leak] | None = None
