"""The clock of a command's stages: it says each stage as it ends, and keeps its time."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping


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


def rounded(seconds: Mapping[str, float]) -> dict[str, float]:
    """A clock's seconds to two decimals.

    >>> rounded({"fit": 1.23456})
    {'fit': 1.23}
    """
    return {name: round(value, 2) for name, value in seconds.items()}
