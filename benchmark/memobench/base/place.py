"""Where stages are computed and kept, and where progress is shown."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from memobench.base.progress import Track, silent
from memobench.base.store import Store


def nobody(text: str) -> None:
    """Say nothing: for tests and libraries."""


@dataclass(frozen=True)
class Place:
    """Where stages are computed and kept, and where progress is shown.

    Attributes:
        store: Where finished stages lie.
        device: A torch device, for example "cpu" or "cuda".
        track: Shows progress within a stage.
        say: Is told a line per stage.
    """

    store: Store
    device: str = "cpu"
    track: Track = silent
    say: Callable[[str], None] = nobody
