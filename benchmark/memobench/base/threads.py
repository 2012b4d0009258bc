"""Several threads side by side, for work that consists of many small operations."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import CancelledError, ThreadPoolExecutor
from threading import Event
from typing import Any, TypeVar

import torch

Job = TypeVar("Job")
Done = TypeVar("Done")


def side_by_side(function: Callable[[Job], Done], jobs: Sequence[Job], stop: Event | None = None) -> Iterator[Done]:
    """What a function gives for each job, in their order, computed in as many threads as torch has.

    Each of many small operations gains little from several threads; several jobs, each in one thread, keep all cores
    busy. After an error or an interruption no further job is begun.

    Args:
        function: What to do.
        jobs: With what.
        stop: Is set at the end, however it comes, for jobs that look at it (:func:`until`): an interruption waits for
            those under way.

    >>> list(side_by_side(lambda job: 2 * job, [1, 2, 3]))
    [2, 4, 6]
    """
    threads = min(torch.get_num_threads(), len(jobs))
    if threads < 2:
        yield from map(function, jobs)
        return
    before = torch.get_num_threads()
    pool = ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,))
    try:
        yield from pool.map(function, jobs)
    finally:
        if stop is not None:
            stop.set()
        pool.shutdown(cancel_futures=True)
        torch.set_num_threads(before)


def until(stop: Event) -> Callable[..., Iterator[Any]]:
    """Progress that is not shown, but ends the work where it stands once an event is set.

    Raises:
        CancelledError: The event is set.
    """

    def track(steps: Iterable[Any], *_: Any, **__: Any) -> Iterator[Any]:
        for step in steps:
            if stop.is_set():
                raise CancelledError
            yield step

    return track
