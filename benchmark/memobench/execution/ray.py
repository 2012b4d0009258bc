"""Jobs on a Ray cluster: the one at ``RAY_ADDRESS``, else one on this machine for as long as the command runs."""

from __future__ import annotations

import math
import os
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from memobench.base.errors import MemobenchError, UsageError
from memobench.base.processors import processors
from memobench.execution.job import Answer, Job, carry_out

OPTIONS = {"num-cpus": "num_cpus", "num-gpus": "num_gpus"}
CARRIED = ("PYTHONPATH", "OMP_NUM_THREADS", "TMPDIR")  # what of the environment workers are given, where it is set


@dataclass
class Ray:
    """A Ray cluster.

    Attributes:
        count: Jobs at once; None for as many as the cluster has room for.
        options: What each job takes of a machine.
    """

    count: int | None
    options: Mapping[str, str]
    _ours: bool = False  # whether the connection was made here

    def answers(self, jobs: Sequence[tuple[int, Job]]) -> Iterator[tuple[int, Answer]]:
        """See ``Executor.answers``."""
        import ray

        if not ray.is_initialized():
            self._ours = True
            _connect(ray, self.count, self.options)
        remote = ray.remote(carry_out).options(max_retries=0, **_taken(self.options))
        waiting, running = deque(jobs), dict[Any, int]()
        most = self.count or max(1, len(jobs))
        try:
            while waiting or running:
                while waiting and len(running) < most:
                    number, job = waiting.popleft()
                    running[remote.remote(job)] = number
                (ready,), _ = ray.wait(list(running), num_returns=1)
                number = running.pop(ready)
                yield number, _answer(ray, ready)
        finally:
            for left in running:
                ray.cancel(left, force=True)

    def close(self) -> None:
        """Leave the cluster, and end it where it was started here."""
        import ray

        if self._ours:
            ray.shutdown()
            self._ours = False


def _connect(ray: Any, count: int | None, options: Mapping[str, str]) -> None:
    address = os.environ.get("RAY_ADDRESS")
    words: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR"}
    if address:
        words["address"] = address
    else:
        words |= {"num_cpus": _processors(count, options), "include_dashboard": False}
    words["runtime_env"] = {"env_vars": {name: os.environ[name] for name in CARRIED if name in os.environ}}
    try:
        ray.init(**words)
    except (ConnectionError, ValueError, RuntimeError) as error:
        where = f"no Ray cluster at RAY_ADDRESS={address}" if address else "no Ray cluster can be started here"
        raise MemobenchError(f"{where}: {str(error).strip().splitlines()[0]}") from error

    wanted, there = float(options.get("num-gpus", 0)), ray.cluster_resources().get("GPU", 0.0)
    if not address and wanted > there:  # nobody would ever take the job
        ray.shutdown()
        raise UsageError(f"--executor-set num-gpus={wanted:g}: this machine has {there:g} GPUs")


def _processors(count: int | None, options: Mapping[str, str], present: int | None = None) -> int:
    """Of a cluster on this machine: all, or as many as the jobs that were asked for take.

    >>> _processors(2, {}, 4), _processors(2, {"num-cpus": "4"}, 4), _processors(None, {"num-cpus": "8"}, 4)
    (4, 8, 8)
    """
    return max(present or processors(), math.ceil((count or 1) * float(options.get("num-cpus", 1))))


def _answer(ray: Any, ready: Any) -> Answer:
    try:
        answer: Answer = ray.get(ready)
    except ray.exceptions.RayTaskError as error:
        return Answer(error=str(error).strip().splitlines()[-1])
    except ray.exceptions.RayError as error:  # the process or its machine is gone
        return Answer(error=f"{type(error).__name__}", lost=True)
    return answer


def _taken(options: Mapping[str, str]) -> dict[str, float]:
    return {OPTIONS[name]: float(value) for name, value in options.items()}


def checked(options: Mapping[str, str]) -> None:
    """Look at options.

    Raises:
        UsageError: One is unknown or no number.
    """
    for name, value in options.items():
        if name not in OPTIONS:
            raise UsageError(f"--executor-set {name}: jobs on Ray have {' and '.join(OPTIONS)} alone")
        try:
            right = float(value) >= 0
        except ValueError:
            right = False
        if not right:
            raise UsageError(f"--executor-set {name}={value}: give a number")
