"""Stage results on disk: named by what they depend on, written atomically, resumable.

A stage is one folder, ``<root>/<stage>/<hash>``, whose hash is that of its key: everything that its content depends
on. The folder appears under its name only when it is complete, so what is there can be trusted. Until then its work
lies in ``<hash>.scratch``, which a later attempt finds again (checkpoints), and a lock makes a second process wait
for the first instead of doing the work twice.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from memobench.base.errors import MemobenchError


def digest_of(key: Mapping[str, Any]) -> str:
    """The first 16 hex digits of the SHA-256 of a key's canonical JSON.

    >>> digest_of({"a": 1, "b": 2}) == digest_of({"b": 2, "a": 1})
    True
    """
    text = json.dumps(key, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


@dataclass(frozen=True)
class Store:
    """A folder of stage results.

    Args:
        root: Where the stages lie; made when the first one is written.
        again: Do every stage anew, replacing what is stored.
    """

    root: Path
    again: bool = False

    def holds(self, stage: str, key: Mapping[str, Any]) -> bool:
        """Whether a stage's result is stored and will be taken."""
        return not self.again and (self.root / stage / digest_of(key)).is_dir()

    def get(self, stage: str, key: Mapping[str, Any], build: Callable[[Path, Path], None]) -> tuple[Path, bool]:
        """The folder of a stage's result, built now unless it is stored.

        Args:
            stage: The stage's name.
            key: Everything that the result depends on, as JSON values.
            build: ``build(folder, scratch)`` writes the result into ``folder``; what it keeps in ``scratch`` is found
                again after an interruption.

        Returns:
            The folder, and whether it was there already.

        Raises:
            MemobenchError: The folder cannot be written (with the reason).
        """
        final = self.root / stage / digest_of(key)
        with writing_into(self.root):
            final.parent.mkdir(parents=True, exist_ok=True)
            with _lock(final.with_suffix(".lock")):
                if final.is_dir() and not self.again:
                    return final, True
                scratch = final.with_suffix(".scratch")
                if self.again and scratch.exists():
                    shutil.rmtree(scratch)
                scratch.mkdir(exist_ok=True)
                partial = Path(tempfile.mkdtemp(prefix=f"{final.name}.", suffix=".part", dir=final.parent))
                try:
                    build(partial, scratch)
                    write_json(partial / "key.json", key)
                    if final.exists():
                        shutil.rmtree(final)
                    partial.replace(final)
                finally:
                    shutil.rmtree(partial, ignore_errors=True)
                shutil.rmtree(scratch)
        return final, False


def write_json(path: Path, value: Any) -> None:
    """Write a JSON file atomically; NaN and infinity are refused."""
    partial = path.with_name(f".{path.name}.part")
    partial.write_text(json.dumps(value, indent=1, sort_keys=True, allow_nan=False) + "\n", encoding="utf-8")
    partial.replace(path)


def copy_file(source: Path, into: Path) -> None:
    """Copy a file into a folder, atomically: a file of that name is replaced, or stays as it was."""
    partial = into / f".{source.name}.part"
    partial.write_bytes(source.read_bytes())
    partial.replace(into / source.name)


@contextmanager
def writing_into(folder: Path, instead: str = "choose another --out") -> Iterator[None]:
    """Turn a full or read-only disk into one line that names the folder, the reason and the fix.

    Args:
        folder: What is written into.
        instead: How another folder is chosen.
    """
    try:
        yield
    except OSError as error:
        where = Path(str(error.filename)) if error.filename else folder
        if not (where.is_relative_to(folder) or folder.is_relative_to(where)):  # a file that was read, elsewhere
            raise
        reason = os.strerror(error.errno) if error.errno else str(error)  # NumPy gives no number for a short write
        raise MemobenchError(
            f"cannot write into {folder}: {reason}; free space there or {instead}. What was finished is kept"
        ) from error


@contextmanager
def _lock(path: Path) -> Iterator[None]:
    with path.open("a") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)  # released when the process ends, however it ends
        yield


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
