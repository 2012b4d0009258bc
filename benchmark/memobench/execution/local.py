"""Jobs on this machine: in this process, or in worker processes that each carry out one after the other."""

from __future__ import annotations

import os
import signal
import sys
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from types import FrameType

from memobench.base.errors import MemobenchError, UsageError
from memobench.base.spawned import without_main
from memobench.execution.job import Answer, Job, carry_out

ENDING = 5.0  # seconds that a worker has to end


class Here:
    """One after the other in this process; an error of the program is raised as it is."""

    def answers(self, jobs: Sequence[tuple[int, Job]]) -> Iterator[tuple[int, Answer]]:
        """See ``Executor.answers``."""
        for number, job in jobs:
            try:
                answer = Answer(job.function(*job.arguments))
            except MemobenchError as error:
                answer = Answer(error=str(error), usage=isinstance(error, UsageError))
            yield number, answer

    def close(self) -> None:
        """Nothing was started."""


@dataclass(frozen=True)
class _Worker:
    number: int
    process: SpawnProcess
    connection: Connection

    def stop(self) -> None:
        """Ask it to end, and what it has started."""
        self.connection.close()
        if self.process.is_alive():
            self.process.terminate()

    def end(self) -> None:
        """End it, and what it has started."""
        self.stop()
        self.process.join(ENDING)
        if self.process.is_alive():
            self.process.kill()
        self.process.join()


class Local:
    """Worker processes; several GPUs are used in turn.

    Args:
        count: How many.
    """

    def __init__(self, count: int) -> None:
        self.count = count
        self._idle: list[_Worker] = []

    def answers(self, jobs: Sequence[tuple[int, Job]]) -> Iterator[tuple[int, Answer]]:
        """See ``Executor.answers``."""
        waiting = deque(jobs)
        busy: dict[Connection, tuple[_Worker, int]] = {}
        gpus = _gpus()

        def give(worker: _Worker) -> None:
            number, job = waiting.popleft()
            busy[worker.connection] = worker, number
            worker.connection.send(job)

        try:
            while len(self._idle) < min(self.count, len(jobs)):
                self._idle.append(_started(len(self._idle), gpus))
            while waiting and self._idle:
                give(self._idle.pop())
            while busy:
                for ready in wait(list(busy)):
                    if not isinstance(ready, Connection):
                        continue
                    worker, number = busy.pop(ready)
                    try:
                        answer: Answer = ready.recv()
                    except (EOFError, OSError):
                        worker.end()
                        answer = Answer(error=f"process ended with status {worker.process.exitcode}", lost=True)
                        worker = _started(worker.number, gpus)
                    if waiting:
                        give(worker)
                    else:
                        self._idle.append(worker)
                    yield number, answer
        finally:
            for worker, _ in busy.values():
                worker.end()

    def close(self) -> None:
        """End the workers."""
        for worker in self._idle:
            worker.stop()
        while self._idle:
            self._idle.pop().end()


def _started(number: int, gpus: Sequence[str]) -> _Worker:
    context = get_context("spawn")  # forking a process in which torch has started threads can hang
    ours, theirs = context.Pipe()
    gpu = gpus[number % len(gpus)] if len(gpus) > 1 else None
    process = context.Process(target=_work, args=(theirs, gpu), daemon=False)
    with without_main():
        process.start()
    theirs.close()  # so that the end of the process ends the connection
    return _Worker(number, process, ours)


def _work(connection: Connection, gpu: str | None) -> None:
    """Carry out what comes until the connection ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent is interrupted, and ends this process
    signal.signal(signal.SIGTERM, _leave)
    if gpu is not None:
        os.environ["CUDA_VISIBLE_DEVICES"] = gpu
    while True:
        try:
            job = connection.recv()
        except (EOFError, OSError):
            return
        answer = carry_out(job)
        try:
            connection.send(answer)
        except OSError:  # nobody waits for it
            return


def _leave(number: int, frame: FrameType | None) -> None:
    sys.exit(1)  # raised where the process is, so that it ends what it has started


def _gpus() -> list[str]:
    """The GPUs that processes take in turn."""
    import torch

    named = [word.strip() for word in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if word.strip()]
    return named or [str(number) for number in range(torch.cuda.device_count())]
