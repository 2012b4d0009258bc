"""What shows the progress of long work, and the silent one of tests and libraries."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

T = TypeVar("T")
Track = Callable[..., Iterator[Any]]  # track(iterable, description, total) yields the items and shows progress


def silent(iterable: Iterable[T], description: str, total: int | None = None) -> Iterator[T]:
    """Pass the items on and show nothing: the progress of tests and libraries."""
    return iter(iterable)
