"""memobench: how good a generative model's medical images are, and how many of them are copies of patients."""

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from memobench.base.startup import settle
from memobench.base.version import VERSION as __version__

if TYPE_CHECKING:
    from memobench.audit.run import audit

__all__ = ["__version__", "audit"]

settle()  # before torch is imported, which reads these settings once

# In a checkout the content folders (baselines/, tasks/, leaderboard/) stand at its root; in a wheel they lie inside
# this package. Mounting the root here makes both `memobench.baselines`.
_root = Path(__file__).resolve().parents[2]
if (_root / "benchmark" / "memobench").is_dir() and (_root / "pyproject.toml").is_file():
    __path__.append(str(_root))


def __getattr__(name: str) -> Any:
    """``memobench.audit``, a package that can be called, imported when it is asked for."""
    if name == "audit":
        return import_module("memobench.audit")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
