"""What must be settled before torch is imported: how idle threads wait, how many there are, where libraries keep files.

All of it is settled by environment variables, which the libraries read once, when they are loaded. Whatever the user
has set stays. Where torch was imported before memobench, nothing here has an effect on it.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import MutableMapping
from pathlib import Path

from memobench.base.processors import processors, quota

# OpenMP threads that have nothing to do spin for a while before they sleep, since waking up takes time. GNU's runtime,
# which torch's Linux wheels bring, spins 300,000 times, Intel's and LLVM's (Windows, macOS, conda) for 200 ms. Where a
# second job needs the same processor, every one of thousands of barriers per second then waits for a thread that
# cannot run. The values were measured (tests/benchmarks/side_by_side.py).
SPINS = 1000
BLOCK_MS = 1


def settle(environment: MutableMapping[str, str] = os.environ) -> None:
    """Set what the user has not set: waiting policy, number of threads, a name and folders for a user without them.

    Args:
        environment: Variables of this process and of those that it starts; changed.
    """
    if "OMP_WAIT_POLICY" not in environment:  # the user's word on all runtimes
        environment.setdefault("GOMP_SPINCOUNT", str(SPINS))
        environment.setdefault("KMP_BLOCKTIME", str(BLOCK_MS))
    if quota() is not None:  # OpenMP sees what a process is bound to, and not a container's quota
        environment.setdefault("OMP_NUM_THREADS", str(processors()))
    _settle_user(environment)


def _settle_user(environment: MutableMapping[str, str]) -> None:
    """In containers a user may have a number alone, or a home that is not there or read-only.

    torch asks for the user's name to name a folder of compiled code, and dies where there is none.
    """
    import getpass

    if not any(environment.get(name) for name in ("LOGNAME", "USER", "LNAME", "USERNAME")):
        try:
            getpass.getuser()
        except (KeyError, OSError, ImportError):
            environment["USER"] = f"uid{os.getuid()}" if hasattr(os, "getuid") else "user"
    if not _writable_home():
        own = f"memobench-{environment.get('USER') or environment.get('LOGNAME') or 'user'}"
        try:
            folder = Path(tempfile.gettempdir()) / own
        except OSError:  # nowhere to write: whatever needs to will say so
            return
        environment.setdefault("TORCHINDUCTOR_CACHE_DIR", str(folder / "torchinductor"))
        environment.setdefault("MPLCONFIGDIR", str(folder / "matplotlib"))


def _writable_home() -> bool:
    try:
        home = Path.home()
    except (RuntimeError, KeyError, OSError):  # it has no home
        return False
    return home.is_dir() and os.access(home, os.W_OK)
