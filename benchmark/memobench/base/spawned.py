"""Processes that are started without the program that starts them."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType


@contextmanager
def without_main() -> Iterator[None]:
    """Processes that are spawned meanwhile do not import the user's script.

    ``multiprocessing`` imports the main script in each spawned process, for functions that are defined there. Ours are
    not, and a script without ``if __name__ == "__main__"`` would run again in every process, and fail.
    """
    main = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main
