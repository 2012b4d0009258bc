"""Jobs, performed: handed to an executor, done again where a worker was lost, gathered in order."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

from memobench.base.errors import MemobenchError, UsageError
from memobench.base.place import nobody
from memobench.base.progress import Track, silent
from memobench.execution.job import Answer, Job
from memobench.execution.settings import HERE, Execution

TIMES = 3  # that a job is begun, at most, where its worker is lost


class Executor(Protocol):
    """What carries out jobs."""

    def answers(self, jobs: Sequence[tuple[int, Job]]) -> Iterator[tuple[int, Answer]]:
        """The number and the answer of each job, as they end."""
        ...

    def close(self) -> None:
        """End what it has started."""
        ...


@dataclass(frozen=True)
class Workplace:
    """Where jobs are carried out, and who is told.

    Attributes:
        execution: By which executor.
        folder: That all workers share; a scheduler's files lie in its subfolder ``.jobs`` meanwhile.
        track: Shows progress.
        say: Is told of workers that were lost.
        executor: Made ready by :func:`opened`; None for one that is made and closed again each time.
    """

    execution: Execution = HERE
    folder: Path = Path("runs")
    track: Track = silent
    say: Callable[[str], None] = nobody
    executor: Executor | None = None


HERE_ALONE = Workplace()


def perform(
    jobs: Sequence[Job],
    place: Workplace,
    what: str = "jobs",
    *,
    ended: Callable[[int, Answer], None] = lambda number, answer: None,
) -> list[Answer]:
    """Carry out jobs; those whose worker was lost are done again.

    Args:
        jobs: What to do.
        place: Where.
        what: What the jobs are, for the progress.
        ended: Is given each job's number and answer when it has ended for good.

    Returns:
        One answer for each of ``jobs``, in order.
    """
    answers: dict[int, Answer] = {}

    def final(executor: Executor) -> Iterator[int]:
        pending, left = list(enumerate(jobs)), TIMES
        while pending:
            lost, left = [], left - 1
            for number, answer in executor.answers(pending):
                if answer.lost and left:
                    place.say(f"{jobs[number].name}: its worker was lost ({answer.error}); it is done again")
                    lost.append((number, jobs[number]))
                    continue
                answers[number] = answer
                ended(number, answer)
                yield number
            pending = lost

    with _ready(place) as executor:
        for _ in place.track(final(executor), what, len(jobs)):
            pass
    return [answers[number] for number in range(len(jobs))]


@contextmanager
def opened(place: Workplace) -> Iterator[Workplace]:
    """A workplace whose workers stay between several calls of :func:`perform`, and keep what they have loaded.

    Raises:
        MemobenchError: The executor cannot be used.
    """
    with _ready(place) as executor:
        yield replace(place, executor=executor)


@contextmanager
def _ready(place: Workplace) -> Iterator[Executor]:
    if place.executor is not None:
        yield place.executor
        return
    place.execution.check()
    executor = _executor(place.execution, place.folder)
    try:
        yield executor
    finally:
        executor.close()


def performed(jobs: Sequence[Job], place: Workplace, what: str = "jobs") -> list[Any]:
    """What the calls of jobs gave, in order.

    Raises:
        UsageError: A job said so of its words.
        MemobenchError: Some failed; the first is named.
    """
    answers = perform(jobs, place, what)
    failed = [(job, answer) for job, answer in zip(jobs, answers, strict=True) if answer.error]
    if failed:
        job, answer = failed[0]
        if answer.usage:
            raise UsageError(answer.error)
        raise MemobenchError(
            f"{len(failed)} of {len(jobs)} jobs failed; the same command goes on. {job.name}: {answer.error}"
        )
    return [answer.value for answer in answers]


def _executor(execution: Execution, folder: Path) -> Executor:
    if execution.here:
        from memobench.execution.local import Here

        return Here()
    if execution.executor == "local":
        from memobench.execution.local import Local

        return Local(execution.jobs or 1)
    if execution.executor == "slurm":
        from memobench.execution.slurm import Slurm

        return Slurm(folder / ".jobs", execution.jobs, execution.options)
    from memobench.execution.ray import Ray

    return Ray(execution.jobs, execution.options)
