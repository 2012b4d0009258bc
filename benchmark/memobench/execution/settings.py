"""Which executor, and how much of it: the words that several commands share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec

from memobench.base.errors import MemobenchError, UsageError
from memobench.base.words import word

EXECUTORS = ("local", "slurm", "ray")
LIBRARIES = {"slurm": "submitit", "ray": "ray"}


@dataclass(frozen=True)
class Execution:
    """Where the jobs of a command run.

    Attributes:
        executor: Where jobs run: on this machine, on a Slurm cluster (needs memobench[slurm]), or on the Ray cluster at
            RAY_ADDRESS, else a local one (needs memobench[ray]).
        jobs: Jobs at once; by default one on this machine, and on a cluster as many as it takes.
        options: With slurm: an option of sbatch for each job; time=4:00:00 (needed), partition=gpu, gpus-per-node=1,
            cpus-per-task=4, mem=32G, ... With ray: num-cpus=4, num-gpus=1 of each job. May be repeated.
    """

    executor: str = word("local", choices=EXECUTORS)
    jobs: int | None = word(None, least=1)
    options: Mapping[str, str] = word({}, flag="executor-set", metavar="KEY=VALUE", example="time=4:00:00")

    @property
    def here(self) -> bool:
        """Whether jobs run one after the other in this process."""
        return self.executor == "local" and self.jobs in (None, 1)

    def check(self) -> None:
        """Look at what can be known before anything is done.

        Raises:
            UsageError: An option that the executor does not have, or one that is missing.
            MemobenchError: The executor's library is not installed.
        """
        if self.executor == "local":
            if self.options:
                raise UsageError("--executor-set is for --executor slurm and ray; local jobs have --jobs alone")
            return
        library = LIBRARIES[self.executor]
        if find_spec(library) is None:
            raise MemobenchError(
                f"--executor {self.executor} needs {library}, which is not installed; "
                f"install it with: pip install 'memobench[{self.executor}]'"
            )
        if self.executor == "slurm":
            from memobench.execution.slurm import checked
        else:
            from memobench.execution.ray import checked
        checked(self.options)


HERE = Execution()
