"""The schema of a result: what was run, what came out, and how it can be had again."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from memobench.store import digest_of

SCHEMA_VERSION = 1

Finite = Annotated[float, Field(allow_inf_nan=False)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Metric(_Strict):
    """One number with its uncertainty and the value that it takes when there is nothing to find.

    Attributes:
        value: The estimate.
        low: Lower end of the 95 % interval.
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


class Identity(_Strict):
    """Everything that the numbers depend on, and nothing else: not the device, not the path.

    Attributes:
        version: Version of this identity; a change of the harness that changes numbers raises it.
        split_digest: SHA-256 over all images and ids, side by side.
        parameters: Every field of the generator, resolved.
        generator_code: SHA-256 of the generator's source.
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
    detector: dict[str, Any]
    features: tuple[str, ...] = ()

    @property
    def run_id(self) -> str:
        """A readable name that ends in the identity's hash."""
        return f"{self.task}-{self.model}-{digest_of(self.model_dump(mode='json'))}"


class Result(_Strict):
    """One run: ``result.json``.

    Attributes:
        preset: The preset that was asked for (its values are in the identity).
        settings: What was set by ``--set``.
        control: True for generators whose true answer is known.
        counts: Images and patients on each side, and samples.
        threshold: How tau was found.
        verdict: The result in words.
        notes: What a reader should know about the data.
        environment: Versions and device.
        seconds: Time per stage, where it was not stored.
    """

    schema_version: int = SCHEMA_VERSION
    run_id: str
    identity: Identity
    preset: str
    settings: dict[str, str]
    control: bool
    counts: dict[str, int]
    threshold: dict[str, Any]
    metrics: dict[str, Metric]
    verdict: str
    notes: list[str]
    environment: dict[str, str]
    seconds: dict[str, Finite]
