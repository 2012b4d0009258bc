"""Results kept apart from their runs: what a study needs of each, small enough for a repository.

A study of many trainings can so be put together on several machines, and its table be made again without training.
"""

from __future__ import annotations

from pathlib import Path

from memobench.base.errors import DataError
from memobench.base.store import copy_file, writing_into
from memobench.run import identity_of
from memobench.settings import RunSettings
from memobench.study.grid import Finished
from memobench.submissions.older import read_result
from memobench.task import Splits

FILES = ("scores.npz", "result.json")  # of a run's folder; the result last: where it is, all is


def find(settings: RunSettings, whole: Splits, folder: Path) -> Finished | None:
    """The kept result of the run that these settings ask for; None where there is none of this very identity.

    Args:
        settings: Of the run.
        whole: The task's images, all of them.
        folder: With a folder for each run, named by its id.

    Raises:
        UsageError: The settings name something unknown.
    """
    identity = identity_of(settings, whole)
    own = folder / identity.run_id
    if not all((own / name).is_file() for name in FILES):
        return None
    try:
        result = read_result((own / FILES[-1]).read_bytes())
    except DataError:  # damaged, or of a later version: the run is done again
        return None
    return Finished(result, own) if result.identity == identity else None


def keep(done: Finished, folder: Path) -> None:
    """Copy what a study needs of a finished run to ``folder/<run_id>``; what stands there already is replaced.

    Raises:
        MemobenchError: The folder cannot be written.
    """
    own = folder / done.result.run_id
    with writing_into(folder, "choose another --kept"):
        own.mkdir(parents=True, exist_ok=True)
        for name in FILES:
            copy_file(done.folder / name, own)
