"""What a generator is: hyper-parameters as dataclass fields, ``fit``, ``sample``, and nothing hidden.

The rules are scikit-learn's: constructing only stores; :meth:`Generator.fit` learns and returns self; a second fit
forgets the first. ``bench check NAME`` proves an entry against all of them.
"""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self, TypeVar, cast

import numpy as np
from numpy.typing import NDArray

from memobench.base.cost import Report, unreported
from memobench.base.errors import UsageError, suggest
from memobench.base.progress import Track, silent
from memobench.base.registry import Registry
from memobench.images import Images

Made = TypeVar("Made")


@dataclass(frozen=True)
class Context:
    """What a fit is given beside its images.

    Attributes:
        seed: The only source of randomness that ``fit`` may use.
        device: A torch device name, for example "cpu" or "cuda".
        track: ``track(iterable, description, total)`` yields the items and shows progress with time left.
        checkpoints: A folder of this very fit, for checkpoints; what an interrupted fit left there is found again.
            None: keep nothing.
        fresh: Images of patients who are in no other split. Given to controls alone (``NEEDS_FRESH``).
        log: A folder for a log of the losses that TensorBoard reads. None: write none.
        report: Is told what the training of each network cost.
    """

    seed: int
    device: str = "cpu"
    track: Track = silent
    checkpoints: Path | None = None
    fresh: Images | None = None
    log: Path | None = None
    report: Report = unreported


@dataclass
class Generator(ABC):
    """A model that is fitted to images and then sampled.

    Subclasses are dataclasses whose fields are the hyper-parameters and nothing else.

    Attributes:
        PRESETS: Named sets of field values. "smoke" (seconds, for tests) and "quick" must be there.
        CONTROL: True for entries whose true answer is known, which frame the board.
        NEEDS_FRESH: True for controls that are given images of new patients as ``context.fresh``.
    """

    PRESETS: ClassVar[Mapping[str, Mapping[str, Any]]] = {"smoke": {}, "quick": {}, "standard": {}, "paper": {}}
    CONTROL: ClassVar[bool] = False
    NEEDS_FRESH: ClassVar[bool] = False

    @abstractmethod
    def fit(self, images: Images, *, context: Context) -> Self:
        """Learn from the images, forgetting any earlier fit, and return self."""

    @abstractmethod
    def sample(self, n: int, *, seed: int) -> NDArray[np.float32]:
        """Draw n images, (n, *S) float32 in [0, 1]; the same seed gives the same bytes on the same machine."""

    @abstractmethod
    def state(self) -> dict[str, NDArray[Any]]:
        """What was learned, as named arrays; with the fields it is all that :meth:`restore` needs."""

    @abstractmethod
    def restore(self, state: Mapping[str, NDArray[Any]], *, device: str = "cpu") -> Self:
        """Take up the state that :meth:`state` gave, as if just fitted, and return self."""

    def notes(self) -> list[str]:
        """What a reader of the result must know of this fit or restored state, a sentence without full stop each."""
        return []

    @classmethod
    def skip(cls, shape: tuple[int, ...]) -> str | None:
        """Why this generator cannot model images of a shape, or None if it can."""
        return None


GENERATORS: Registry[type[Generator]] = Registry("model", "memobench.baselines", "memobench.baselines")


def build(kind: type[Generator], name: str, preset: str, settings: Mapping[str, str]) -> Generator:
    """An unfitted generator from a preset and ``--set`` words.

    Args:
        kind: The generator's class.
        name: Its registry name, for messages.
        preset: A name in ``kind.PRESETS``.
        settings: Field names with their values as text.

    Raises:
        UsageError: Unknown preset or field (naming those that exist), or a value of the wrong type.
    """
    if preset not in kind.PRESETS:
        raise UsageError(f'model "{name}" has no preset "{preset}"; {suggest(preset, kind.PRESETS)}')
    return made_of(kind, name, kind.PRESETS[preset], settings)


def made_of(kind: type[Made], name: str, given: Mapping[str, Any], settings: Mapping[str, str]) -> Made:
    """A dataclass from values and ``--set`` words, which come last.

    Args:
        kind: The dataclass.
        name: Of the model, for messages.
        given: Field names with their values.
        settings: Field names with their values as text.

    Raises:
        UsageError: Unknown field (naming those that exist), or a value of the wrong type.
    """
    fields = {f.name: f for f in dataclasses.fields(cast(Any, kind))}
    values = dict(given)
    for key, text in settings.items():
        if key not in fields:
            shown = ", ".join(f"{f.name} ({_type_name(f)})" for f in fields.values()) or "none"
            lead = suggest(key, fields).split("Known:")[0]
            raise UsageError(f'model "{name}" has no field "{key}"; {lead}its fields are: {shown}')
        values[key] = _parse(text, fields[key], name)
    try:
        return kind(**values)
    except ValueError as error:
        raise UsageError(f'model "{name}": {error}') from error


def _type_name(field: dataclasses.Field[Any]) -> str:
    return field.type if isinstance(field.type, str) else field.type.__name__


def _parse(text: str, field: dataclasses.Field[Any], name: str) -> Any:
    kind = _type_name(field)
    try:
        if kind == "bool":
            return {"true": True, "false": False}[text.lower()]
        if kind in ("int", "float"):
            number = {"int": int, "float": float}[kind](text)
            if not np.isfinite(number):
                raise ValueError(text)
            return number
        if kind.startswith("tuple[int"):
            return tuple(int(part) for part in text.split(","))
    except (ValueError, KeyError) as error:
        raise UsageError(f'field "{field.name}" of model "{name}" takes {kind}, not "{text}"') from error
    return text
