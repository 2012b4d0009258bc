"""Several threads side by side, for what is many small operations."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import torch

Job = TypeVar("Job")
Done = TypeVar("Done")


def side_by_side(function: Callable[[Job], Done], jobs: Sequence[Job]) -> Iterator[Done]:
    """What a function gives for each job, in their order, computed in as many threads as torch has.

    Each of many small operations gains little from several threads; several jobs, each in one thread, keep all cores
    busy. After an error no further job is begun.

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
        pool.shutdown(cancel_futures=True)
        torch.set_num_threads(before)
