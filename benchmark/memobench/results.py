"""The schema of a result: what was run, what came out, and how it can be had again."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, SerializerFunctionWrapHandler, model_serializer

from memobench.base.store import digest_of
from memobench.base.terminal import say as say_on_stderr

SCHEMA_VERSION = 3

Finite = Annotated[float, Field(allow_inf_nan=False)]


class Strict(BaseModel):
    """A frozen model that refuses fields that it does not know."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Metric(Strict):
    """One number with its uncertainty and the value that it takes when there is nothing to find.

    Attributes:
        value: The estimate.
        low: Lower end of the 95% interval.
        high: Upper end.
        null: The value when nothing is memorized (memorization), or that real images of other patients get (quality).
        better: "lower" or "higher", or "null" where the best value is the null.
        p_value: One-sided permutation p-value over patients, where there is one.
        note: What a reader must know about this number.
    """

    value: Finite
    low: Finite | None = None
    high: Finite | None = None
    null: Finite | None = None
    better: Literal["lower", "higher", "null"]
    p_value: Finite | None = None
    note: str | None = None


class Decided(Strict):
    """What to do with the samples, from the one decision table (:mod:`memobench.measure.decision`).

    Attributes:
        word: The decision.
        sentence: Its first paragraph, for people who know no statistics.
        reasons: Every reason, the strongest first.
        rows: Names of the rows of the table that hold, in the order of ``reasons``; None in results of versions that
            did not name them.
    """

    word: Literal["no copies found", "review", "do not release"]
    sentence: str
    reasons: list[str]
    rows: list[str] | None = None

    def agrees(self, other: Decided) -> bool:
        """Whether two decisions say the same for the same reasons, in whatever words.

        Reasons are compared by the names of their rows, and where one of the two names none by their number.
        """
        if self.rows is None or other.rows is None:
            return self.word == other.word and len(self.reasons) == len(other.reasons)
        return self.word == other.word and self.rows == other.rows


TASK_IMAGES = "task"  # declared of a generator that learned from the task's training images


class Origin(Strict):
    """Where a generator comes from that was not trained here.

    Attributes:
        kind: "samples": they alone are known. "checkpoint": memobench drew the samples from trained weights.
        digest: SHA-256 of the samples, or of the checkpoint's files.
        trained_on: What was declared of its training images: "task" for those of the task (``bench data export``), a
            description of others, or "" where nothing was declared. Nobody can check it.
    """

    kind: Literal["samples", "checkpoint"]
    digest: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    trained_on: Annotated[str, Field(max_length=200)] = ""

    @property
    def elsewhere(self) -> str | None:
        """What it was declared to be trained on instead of the task's images, "" for nothing; None for the task's."""
        return None if self.trained_on == TASK_IMAGES else self.trained_on

    @property
    def words(self) -> str:
        """Where it comes from, in words."""
        what = "samples only" if self.kind == "samples" else "a checkpoint"
        if self.elsewhere is None:
            return f"{what}: trained elsewhere, as declared on the task's training images"
        declared = f"on {self.elsewhere!r}" if self.elsewhere else "on images that were not declared"
        return f"{what}: trained elsewhere, {declared}"


class Identity(Strict):
    """Everything that the numbers depend on, and nothing else: not the device, not the path.

    Attributes:
        version: Version of this identity; a change of the harness that changes numbers raises it.
        split_digest: SHA-256 over all images and ids, side by side.
        parameters: Every field of the generator, resolved.
        generator_code: SHA-256 of the generator's source; empty where samples alone are known.
        origin: Where the generator comes from, where it was not trained here; left out of the JSON where it was.
        split_ids: Of images of a public source, SHA-256 over who stands where without any pixel; left out of the JSON
            of others. Equal ``split_ids`` name one split; equal ``split_digest`` tell that its images were prepared
            from the same files in the same way.
    """

    version: int
    task: str
    task_version: str
    data: str
    shape: tuple[int, ...]
    split_digest: str
    model: str
    parameters: dict[str, Any]
    generator_code: str
    seed: int
    samples: int
    detector_version: str
    measure_version: str
    detector: dict[str, Any]
    features: tuple[str, ...] = ()
    origin: Origin | None = None
    split_ids: Annotated[str, Field(pattern=r"^([0-9a-f]{64})?$")] = ""

    @model_serializer(mode="wrap")
    def _without_what_is_not(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """As JSON: results of generators that were trained here, and of embedded data, stay what they were."""
        found: dict[str, Any] = write(self)
        for name, nothing in (("origin", None), ("split_ids", "")):
            if found.get(name, self) == nothing:
                del found[name]
        return found

    @property
    def run_id(self) -> str:
        """A readable name that ends in the identity's hash."""
        return f"{self.task}-{self.model}-{digest_of(self.model_dump(mode='json'))}"


class ChallengeRow(Strict):
    """One detector under one perturbation at one strength.

    Attributes:
        perturbation: A name in ``copies.perturb.PERTURBATIONS``, or "unchanged".
        strength: Its strength; None for unchanged images.
        copies: Number of planted copies.
        non_copies: Number of images of other patients under the same perturbation.
        metrics: ``auc``; ``tpr_at_1`` and ``tpr_at_5``, the share of copies found at 1% and 5% false positives;
            ``right_source`` and ``same_patient``, the share whose best match is the very source image and another
            image of its patient; and, where tau is known, ``sensitivity`` and ``false_positive_rate`` at tau.
    """

    perturbation: str
    strength: str | None
    copies: int
    non_copies: int
    metrics: dict[str, Metric]


class DetectorScores(Strict):
    """One detector in a challenge.

    Attributes:
        rows: One per perturbation and strength.
        thresholds: The score above which an image is called a copy: ``at_1`` and ``at_5`` percent false positives
            among all non-copies of the challenge, each missing where so few of them match anything that no score is
            left, and ``tau`` where it is known.
        summary: Over all perturbations: ``tpr_at_1``, ``tpr_at_5``, ``right_source``, and where tau is known
            ``sensitivity`` and ``false_positive_rate``; where patients have several scans, ``other_scans_at_1``,
            ``other_scans_at_tau`` (share of scans of a training patient flagged although that scan is not in the
            pool) and ``reidentified`` (share whose best match is that patient).
        other_scans: How many scans of training patients were queried without themselves in the pool.
    """

    rows: list[ChallengeRow]
    thresholds: dict[str, Finite]
    summary: dict[str, Metric]
    other_scans: int = Field(ge=0)


class RegionCall(Strict):
    """A synthetic image that repeats a region of a real one, as a copy does.

    Attributes:
        sample: Its number.
        patient: Whose image it repeats; "" for a held-out patient.
        image: The row of that image in train; -1 for a held-out one.
        score: Votes for that image (:mod:`memobench.detection.regions`).
        p_value: How often an image of a new patient reaches it.
        certain: Whether chance is excluded.
        box: First and one past the last pixel of the region along each axis, in the synthetic image as it was compared.
        source: The same in the real image; empty for a held-out one.
        share: Share of the image that the region covers.
    """

    sample: int = Field(ge=0)
    patient: str
    image: int = Field(ge=-1)
    score: Finite
    p_value: Finite
    certain: bool
    box: list[tuple[int, int]]
    source: list[tuple[int, int]]
    share: Finite


class PartFound(Strict):
    """How planted parts of one size fared: share of the image, share found, number planted."""

    share: Finite
    found: Finite
    count: int = Field(ge=1)


class GroupFound(Strict):
    """How planted copies of one group fared: its name and kind, share found, number planted."""

    name: str
    kind: str
    found: Finite
    count: int = Field(ge=1)


class SideFound(Strict):
    """What speaks for copied regions of one side's patients.

    Attributes:
        called: Samples that match one at the threshold of a copy.
        certain: Samples that match one with certainty.
        patients: Patients among these.
        groups: ``called`` with near-identical samples and those of one patient counted once.
        expected: How many of ``groups`` chance gives.
        p_count: How often chance gives as many.
        p_single: The smallest adjusted p-value of a match.
    """

    called: int = Field(ge=0)
    certain: int = Field(ge=0)
    patients: int = Field(ge=0)
    groups: int = Field(ge=0)
    expected: Finite
    p_count: Finite
    p_single: Finite


class RegionsFound(Strict):
    """What was found of copied regions (:mod:`memobench.measure.regions`).

    Attributes:
        version: Of the search.
        searched: How many samples were searched.
        tau: Score from which on a region is called a copy.
        train: Of training patients.
        holdout: Of held-out patients.
        parts: Planted parts, the largest first: what would have been found.
        calls: The samples that repeat a region, the strongest first.
        groups: Planted copies of whole images and parts, in groups, called as a whole or by a region; none in results
            of older versions.
    """

    version: str
    searched: int = Field(ge=0)
    tau: Finite
    train: SideFound
    holdout: SideFound
    parts: list[PartFound]
    calls: list[RegionCall]
    groups: list[GroupFound] = []


class NetworkCost(Strict):
    """What the training of one network cost, interruptions left out.

    Attributes:
        steps: Optimizer steps.
        images: Training images that went through it, each as often as it did; over all processes.
        seconds: Time.
        images_per_second: The throughput.
    """

    steps: int = Field(ge=0)
    images: int = Field(ge=0)
    seconds: Finite
    images_per_second: Finite


class TrainingCost(Strict):
    """What a fit cost, however often it was used since.

    Attributes:
        networks: Per trained network; empty for a model that trains none with the harness's loop.
        peak_memory: Bytes at the worst moment of the fit, in the main process.
        peak_memory_of: "GPU": what tensors held there; "process": the whole process since it began, data included.
        processes: How many processes fitted together.
        precision: In which networks computed, where the model asks for it.
        compiled: Whether torch.compile was asked for.
    """

    networks: dict[str, NetworkCost]
    peak_memory: int = Field(ge=0)
    peak_memory_of: Literal["GPU", "process"]
    processes: int = Field(ge=1)
    precision: str
    compiled: bool


class Result(Strict):
    """One run: ``result.json``.

    Attributes:
        preset: The preset that was asked for (its values are in the identity).
        settings: What was set by ``--set``.
        control: True for generators whose true answer is known.
        counts: Images and patients on each side, and samples.
        threshold: How tau was found.
        challenge: What the detector finds of copies planted in this task's own images, with this very tau.
        decision: What to do with the samples, and why.
        notes: What a reader should know about the data.
        environment: Versions and device.
        seconds: Time per stage, where it was not stored.
        training: Throughput and memory of the fit; None in results of versions that did not measure them.
        regions: What was found of copied regions; None where they were not searched, as in results of older versions.
        checksum: Of all the rest (:func:`checksum_of`), so that a file edited by hand is noticed; None in results of
            versions that wrote none.
    """

    schema_version: int = SCHEMA_VERSION
    run_id: str
    identity: Identity
    preset: str
    settings: dict[str, str]
    control: bool
    counts: dict[str, int]
    threshold: dict[str, Any]
    challenge: DetectorScores
    metrics: dict[str, Metric]
    decision: Decided
    notes: list[str]
    environment: dict[str, str]
    seconds: dict[str, Finite]
    training: TrainingCost | None = None
    regions: RegionsFound | None = None
    checksum: str | None = None


AnyResult = TypeVar("AnyResult", bound=Strict)


def checksum_of(value: Mapping[str, Any]) -> str:
    """SHA-256 of a result's JSON values, without the field ``checksum``, whatever the order and the white space.

    It tells damage and edits by hand. It is no signature: who wants to forge a result can write a new one.
    """
    rest = {name: one for name, one in value.items() if name != "checksum"}
    return hashlib.sha256(json.dumps(rest, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def sealed(result: AnyResult) -> AnyResult:
    """The result with its checksum, ready to be written."""
    return result.model_copy(update={"checksum": checksum_of(result.model_dump(mode="json"))})


def was_changed(value: Any) -> bool:
    """Whether the JSON values of a result have another checksum than they were written with."""
    stored = value.get("checksum") if isinstance(value, Mapping) else None
    return stored is not None and stored != checksum_of(value)


def finished(
    folder: Path, identity: Strict, kind: type[AnyResult], say: Callable[[str], None] = say_on_stderr
) -> AnyResult | None:
    """The result in a folder; None where there is none of this identity that this version can read.

    Args:
        folder: Where ``result.json`` stands.
        identity: What was run.
        kind: The schema of the result, with a field ``identity``.
        say: Is told, in one line, that the file was changed after it was written; then there is no result either.
    """
    file = folder / "result.json"
    if not file.is_file():
        return None
    try:
        value = json.loads(file.read_bytes())
        if was_changed(value):
            say(f"{file} was changed after the run had written it; it is written again from the stored stages")
            return None
        result = kind.model_validate_json(file.read_bytes())
    except (ValueError, RecursionError):  # of another version, or cut short: the stages still stand
        return None
    return result if getattr(result, "identity", None) == identity else None
