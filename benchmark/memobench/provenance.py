"""Whose code made a result: digests of what can change its numbers, and the versions of the libraries."""

from __future__ import annotations

import hashlib
import importlib
import inspect
import platform
import re
from pathlib import Path

import numpy as np

from memobench.base.version import VERSION


def code_digest(kind: type) -> str:
    """SHA-256 over an entry's source file, what it imports beside it, ``_*.py`` there, and the training loop."""
    return source_digest(Path(inspect.getfile(kind)))


def source_digest(file: Path) -> str:
    """:func:`code_digest` of the entry that a file holds, which is read and not imported."""
    sha = hashlib.sha256()
    for source in [*_sources(file), Path(__file__).parent / "training" / "loop.py"]:
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


def environment(device: str) -> dict[str, str]:
    """Versions and device, for the record."""
    return {
        "memobench": VERSION,
        "python": platform.python_version(),
        "numpy": np.__version__,
        "torch": importlib.import_module("torch").__version__,
        "device": device,
        "machine": platform.machine(),
    }
