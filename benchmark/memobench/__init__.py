"""memobench: how good a generative model's medical images are, and how many of them are copies of patients."""

from pathlib import Path
from typing import Any

from memobench.base.version import VERSION as __version__

__all__ = ["__version__", "audit"]

# In a checkout the content folders (baselines/, tasks/, leaderboard/) stand at its root; in a wheel they lie inside
# this package. Mounting the root here makes both `memobench.baselines`.
_root = Path(__file__).resolve().parents[2]
if (_root / "benchmark" / "memobench").is_dir() and (_root / "pyproject.toml").is_file():
    __path__.append(str(_root))


def __getattr__(name: str) -> Any:
    """``memobench.audit``, imported when it is asked for: it brings torch with it."""
    if name == "audit":
        from memobench.audit.run import audit

        return audit
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
