"""How many processors this process may use, and how many threads or processes work side by side on them."""

from __future__ import annotations

import os
from pathlib import Path

_QUOTA = Path("/sys/fs/cgroup/cpu.max")


def processors() -> int:
    """How many processors this process may use: those it is bound to, or fewer where its container has a quota.

    >>> processors() >= 1
    True
    """
    bound = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(bound, quota() or bound))


def workers() -> int:
    """How many threads or processes work side by side: ``OMP_NUM_THREADS`` where it is set, else :func:`processors`.

    >>> workers() >= 1
    True
    """
    asked = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0].strip()
    return int(asked) if asked.isdecimal() and int(asked) else processors()


def quota(file: Path = _QUOTA) -> int | None:
    """The processors that a Linux container may use at once, rounded up; None without a limit."""
    try:
        limit, period = file.read_text(encoding="ascii").split()
        return None if limit == "max" else max(1, -(-int(limit) // int(period)))
    except (OSError, ValueError, ZeroDivisionError):
        return None
