"""Progress on the terminal: what is being done, how far it is, how long it will still take. All on stderr."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from typing import TypeVar

from tqdm import tqdm

T = TypeVar("T")


def track(iterable: Iterable[T], description: str, total: int | None = None) -> Iterator[T]:
    """Yield the items and show a bar with the time left, once it has taken a second.

    Where stderr is not a terminal, the bar is renewed every ten seconds only, so that logs stay short.
    """
    interval = 0.2 if sys.stderr.isatty() else 10.0
    yield from tqdm(
        iterable, description, total, file=sys.stderr, delay=1, mininterval=interval, dynamic_ncols=True, leave=False
    )


def say(text: str) -> None:
    """One line on stderr."""
    sys.stderr.write(text + "\n")
    sys.stderr.flush()
