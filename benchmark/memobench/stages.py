"""What the stages of ``bench run`` and ``bench challenge`` have in common: their clock, device, arrays and records."""

from __future__ import annotations

import hashlib
import importlib
import inspect
import platform
import re
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

import memobench
from memobench.challenge_results import ChallengeIdentity, ChallengeResult
from memobench.errors import MemobenchError
from memobench.results import Identity, Result

AnyResult = TypeVar("AnyResult", Result, ChallengeResult)


class Clock:
    """Says each stage as it ends, and keeps its time.

    Args:
        say: Is told one line per stage.

    Attributes:
        seconds: Stage to seconds, without the stages that were stored.
        stored: To be set within a stage: True where its result was there already.

    >>> clock = Clock(print)
    >>> with clock("data"):
    ...     clock.stored = True
         data  stored
    >>> clock.seconds
    {}
    """

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self.seconds: dict[str, float] = {}
        self.stored = False

    def __call__(self, stage: str) -> Clock:
        """Name the stage that begins."""
        self._stage = stage
        self.stored = False
        return self

    def __enter__(self) -> None:
        """Start the clock."""
        self._start = time.perf_counter()

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        """Stop it; a stage that failed is not said."""
        taken = time.perf_counter() - self._start
        if error is None:
            self._say(f"{self._stage:>9}  {'stored' if self.stored else f'{taken:.1f} s'}")
            if not self.stored:
                self.seconds[self._stage] = taken


def device_of(name: str) -> str:
    """The torch device that a word of ``--device`` means: "auto" is cuda where there is one, else cpu.

    Raises:
        MemobenchError: There is no such device, or it cannot be used.
    """
    import torch

    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        torch.empty(1, device=name)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise MemobenchError(f'device "{name}" cannot be used: {reason}; choose --device cpu or auto') from error
    return name


def save_arrays(file: Path, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Write named arrays as safetensors."""
    from safetensors.numpy import save

    # save_file would report a full disk as an error of its own kind
    file.write_bytes(save({name: np.ascontiguousarray(array) for name, array in arrays.items()}))


def load_arrays(file: Path) -> dict[str, NDArray[Any]]:
    """Read what :func:`save_arrays` wrote."""
    from safetensors.numpy import load_file

    arrays: dict[str, NDArray[Any]] = load_file(file)
    return arrays


def code_digest(kind: type) -> str:
    """SHA-256 over an entry's source file, what it imports beside it, ``_*.py`` there, and the training loop."""
    return source_digest(Path(inspect.getfile(kind)))


def source_digest(file: Path) -> str:
    """:func:`code_digest` of the entry that a file holds, which is read and not imported."""
    sha = hashlib.sha256()
    for source in [*_sources(file), Path(__file__).parent / "training.py"]:
        sha.update(source.name.encode() + b"\x1f" + source.read_bytes())
    return sha.hexdigest()


def _sources(file: Path) -> list[Path]:
    """An entry's file, then, by name, its private neighbours and the entries that it is built on."""
    found = [file]
    for source in found:  # which grows on the way
        for name in re.findall(r"^from \.(\w+) import", source.read_text(encoding="utf-8"), re.MULTILINE):
            beside = file.parent / f"{name}.py"
            if beside.is_file() and beside not in found:
                found.append(beside)
    return [file, *sorted({*file.parent.glob("_*.py"), *found} - {file})]


def finished(folder: Path, identity: Identity | ChallengeIdentity, kind: type[AnyResult]) -> AnyResult | None:
    """The result that stands in a folder; None where there is none of this identity that this version can read."""
    file = folder / "result.json"
    if not file.is_file():
        return None
    try:
        result = kind.model_validate_json(file.read_text(encoding="utf-8"))
    except (ValidationError, UnicodeDecodeError):  # of another version, or cut short: the stages still stand
        return None
    return result if result.identity == identity else None


def environment(device: str) -> dict[str, str]:
    """Versions and device, for the record."""
    return {
        "memobench": memobench.__version__,
        "python": platform.python_version(),
        "numpy": np.__version__,
        "torch": importlib.import_module("torch").__version__,
        "device": device,
        "machine": platform.machine(),
    }


def rounded(seconds: Mapping[str, float]) -> dict[str, float]:
    """A clock's seconds to two decimals.

    >>> rounded({"fit": 1.23456})
    {'fit': 1.23}
    """
    return {name: round(value, 2) for name, value in seconds.items()}
