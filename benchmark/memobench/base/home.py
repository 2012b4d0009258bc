"""Where data and weights are kept for all runs of a user."""

from __future__ import annotations

import os
from pathlib import Path

from memobench.base.errors import MemobenchError


def home() -> Path:
    """``MEMOBENCH_HOME``, or ``memobench`` in the user's cache (XDG).

    Raises:
        MemobenchError: The user has no home folder, as in many containers, and none of these variables is set.
    """
    own, cache = os.environ.get("MEMOBENCH_HOME"), os.environ.get("XDG_CACHE_HOME")
    try:
        if own:
            return Path(own).expanduser()
        return (Path(cache) if cache and Path(cache).is_absolute() else Path.home() / ".cache") / "memobench"
    except RuntimeError as error:
        raise MemobenchError(
            "this user has no home folder; set MEMOBENCH_HOME to a folder where data and weights are to be kept"
        ) from error
