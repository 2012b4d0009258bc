"""Jobs on a Slurm cluster, by submitit: arrays with a cap; a preempted job is queued again and goes on.

What a job has stored, it finds again: stages, and the checkpoints of a training.
"""

from __future__ import annotations

import logging
import re
import secrets
import shutil
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from memobench.base.errors import MemobenchError, UsageError
from memobench.base.store import writing_into
from memobench.execution.job import Answer, Job, carry_out

CLUSTERS = ("slurm", "local")
ARRAY = 1000  # jobs of an array, at most: Slurm's own limit where nobody has changed it
REQUEUED = 100  # times that a job may meet its time limit and go on
WAIT = {"slurm": 2.0, "local": 0.05}  # seconds between looks
LONG = 7 * 24 * 60  # minutes of a job without Slurm
_TIME = re.compile(r"(?:(?P<days>\d+)-)?(?P<first>\d+)(?::(?P<second>\d+))?(?::(?P<third>\d+))?")


class Resumed:
    """Carries out a job, and again after a preemption: it goes on from what is stored."""

    def __call__(self, job: Job) -> Answer:
        """Carry it out."""
        return carry_out(job)

    def checkpoint(self, job: Job) -> Any:
        """What is queued in its place."""
        from submitit.helpers import DelayedSubmission

        return DelayedSubmission(self, job)


@dataclass
class Slurm:
    """Arrays of jobs.

    Attributes:
        folder: That all machines share, where submitit keeps its files; those of jobs that failed stay.
        count: Jobs at once; None for as many as Slurm lets.
        options: Of sbatch. ``cluster=local`` runs the jobs on this machine instead, without Slurm.
    """

    folder: Path
    count: int | None
    options: Mapping[str, str]

    def answers(self, jobs: Sequence[tuple[int, Job]]) -> Iterator[tuple[int, Answer]]:
        """See ``Executor.answers``."""
        with writing_into(self.folder.parent):
            own = self.folder.resolve() / secrets.token_hex(4)
            own.mkdir(parents=True)
        failed = False
        executor = self._executor(own)
        local = self.options.get("cluster") == "local"
        for number, answer in (_one_by_one if local else _arrays)(executor, jobs, self.count or (1 if local else None)):
            if answer.error:
                failed = True
                answer = Answer(error=f"{answer.error} (log: {own})", usage=answer.usage, lost=answer.lost)
            yield number, answer
        if not failed:
            shutil.rmtree(own, ignore_errors=True)
            with suppress(OSError):  # not empty
                self.folder.rmdir()

    def close(self) -> None:
        """Nothing runs any more."""

    def _executor(self, folder: Path) -> Any:
        import submitit

        logging.getLogger("submitit").setLevel(logging.ERROR)
        cluster = self.options.get("cluster", "slurm")
        try:
            executor = submitit.AutoExecutor(folder=folder, cluster=cluster, slurm_max_num_timeout=REQUEUED)
        except RuntimeError as error:
            raise MemobenchError(
                "there is no Slurm here (no srun); give this command on a machine of the cluster"
            ) from error
        if cluster == "local":
            executor.update_parameters(timeout_min=LONG, gpus_per_node=int(self.options.get("gpus-per-node", 0)))
            return executor
        others = {name.replace("-", "_"): value for name, value in self.options.items()}
        minutes = minutes_of(others.pop("time"))
        others.pop("cluster", None)
        executor.update_parameters(
            timeout_min=minutes, slurm_array_parallelism=self.count or ARRAY, slurm_additional_parameters=others
        )
        return executor


def _arrays(executor: Any, jobs: Sequence[tuple[int, Job]], count: int | None) -> Iterator[tuple[int, Answer]]:
    """By arrays, one after the other, whose cap Slurm keeps."""
    for start in range(0, len(jobs), ARRAY):
        part = jobs[start : start + ARRAY]
        submitted = executor.map_array(Resumed(), [job for _, job in part])
        running = dict(zip((number for number, _ in part), submitted, strict=True))
        with _cancelled(running):
            while running:
                yield from _ended(running, "slurm")


def _one_by_one(executor: Any, jobs: Sequence[tuple[int, Job]], count: int | None) -> Iterator[tuple[int, Answer]]:
    """Without Slurm nobody else keeps the cap."""
    waiting, running = deque(jobs), dict[int, Any]()
    with _cancelled(running):
        while waiting or running:
            while waiting and len(running) < (count or 1):
                number, job = waiting.popleft()
                running[number] = executor.submit(Resumed(), job)
            yield from _ended(running, "local")


@contextmanager
def _cancelled(running: dict[int, Any]) -> Iterator[None]:
    """Jobs that still run when nobody waits for them any more are cancelled."""
    try:
        yield
    finally:
        for job in running.values():
            job.cancel(check=False)


def _ended(running: dict[int, Any], cluster: str) -> list[tuple[int, Answer]]:
    """Answers of submitted jobs that have ended, which are taken out; waits for one."""
    while not (numbers := [number for number, job in running.items() if job.done()]):
        time.sleep(WAIT[cluster])
    return [(number, _answer(running.pop(number), cluster)) for number in numbers]


def _answer(job: Any, cluster: str) -> Answer:
    """What became of a submitted job that has ended."""
    from submitit.core.utils import UncompletedJobError

    if cluster == "local" and not job.paths.result_pickle.exists():
        return Answer(error=f"job {job.job_id} ended without a result", lost=True)
    try:
        answer: Answer = job.result()
    except UncompletedJobError:
        return Answer(error=f"job {job.job_id} ended without a result, {job.state}", lost=True)
    except Exception as error:  # what submitit makes of whatever the job raised
        return Answer(error=f"job {job.job_id}: {str(error).strip().splitlines()[-1]}")
    return answer


def checked(options: Mapping[str, str]) -> None:
    """Look at options.

    Raises:
        UsageError: One is wrong, or the time is missing.
    """
    cluster = options.get("cluster", "slurm")
    if cluster not in CLUSTERS:
        raise UsageError(f'--executor-set cluster={cluster}: it is "slurm", or "local" to try it without Slurm')
    if cluster == "slurm":
        if "time" not in options:
            raise UsageError("--executor slurm needs the time of a job: --executor-set time=4:00:00")
        minutes_of(options["time"])


def minutes_of(words: str) -> int:
    """The minutes of a time as sbatch takes it.

    Raises:
        UsageError: It is none.

    >>> [minutes_of(words) for words in ("90", "90:30", "4:00:00", "2-12", "1-0:30")]
    [90, 91, 240, 3600, 1470]
    """
    found = _TIME.fullmatch(words.strip())
    if found is None:
        raise UsageError(f"--executor-set time={words}: no time; for example time=4:00:00 or time=1-12")
    days, *parts = (int(part) if part is not None else None for part in found.groups())
    first, second, third = parts[0] or 0, parts[1], parts[2]
    if days is not None:
        seconds = 86400 * days + 3600 * first + 60 * (second or 0) + (third or 0)
    elif third is not None:
        seconds = 3600 * first + 60 * (second or 0) + third
    else:
        seconds = 60 * first + (second or 0)
    return max(1, -(-seconds // 60))
