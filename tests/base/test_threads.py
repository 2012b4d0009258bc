from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
import torch
from memobench.base.errors import DataError
from memobench.base.threads import side_by_side, until


@pytest.fixture(params=[1, 2])
def threads(request: pytest.FixtureRequest) -> Iterator[int]:
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(before)


def test_results_come_in_order_from_threads_of_one_thread_each(threads: int) -> None:
    both = threading.Barrier(threads, timeout=60)  # passes only if as many jobs run at once

    def job(number: int) -> tuple[int, int]:
        if number < threads:
            both.wait()
        return number, torch.get_num_threads()

    assert list(side_by_side(job, range(6))) == [(number, 1) for number in range(6)]
    assert torch.get_num_threads() == threads


def test_an_error_is_not_lost_and_ends_the_rest(threads: int) -> None:
    begun: list[int] = []

    def job(number: int) -> None:
        begun.append(number)
        raise DataError("job failed")

    with pytest.raises(DataError, match="job failed"):
        list(side_by_side(job, range(1000)))
    assert torch.get_num_threads() == threads
    assert len(begun) < 1000


def test_no_job_is_no_result() -> None:
    assert list(side_by_side(str, [])) == []


def test_an_interruption_ends_what_is_under_way(threads: int) -> None:
    if threads < 2:
        pytest.skip("in one thread the interruption meets the work itself")
    stop, both = threading.Event(), threading.Barrier(2, timeout=60)

    def job(number: int) -> None:
        both.wait()
        if number == 0:
            raise KeyboardInterrupt
        for _ in until(stop)(iter(int, 1)):  # endless
            pass

    with pytest.raises(KeyboardInterrupt):
        list(side_by_side(job, range(2), stop))
    assert stop.is_set()
