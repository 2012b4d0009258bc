"""The versions and the machine that a result was made with."""

from __future__ import annotations

import importlib
import platform

import numpy as np

from memobench.base.version import VERSION


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
