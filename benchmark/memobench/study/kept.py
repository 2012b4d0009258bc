"""Results kept apart from their runs: what a study needs of each, small enough for a repository.

A study of many trainings can so be put together on several machines, and its table be made again without training.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from memobench.base.errors import DataError
from memobench.base.store import copy_file, writing_into
from memobench.generator import GENERATORS
from memobench.provenance.fields import defaults_of, same_fields
from memobench.results import Identity, Result
from memobench.run import identity_of
from memobench.settings import RunSettings
from memobench.study.grid import Finished
from memobench.submissions.older import read_result
from memobench.task import Splits

FILES = ("scores.npz", "result.json")  # of a run's folder; the result last: where it is, all is


def find(settings: RunSettings, whole: Splits, folder: Path) -> Finished | None:
    """The kept result of the run that these settings ask for; None where there is none of this identity.

    A result from before a field of its model existed is one of this identity too, while that field has its default.

    Args:
        settings: Of the run.
        whole: The task's images, all of them.
        folder: With a folder for each run, named by its id.

    Raises:
        UsageError: The settings name something unknown.
    """
    identity = identity_of(settings, whole)
    own = folder / identity.run_id
    older = (one for one in sorted(folder.glob(f"{identity.task}-{identity.model}-*")) if one != own)
    for place in (own, *older):
        result = _read(place)
        if result is not None and _is_of(result.identity, identity):
            return Finished(result, place)
    return None


def _read(own: Path) -> Result | None:
    """The result in a folder; None where it is not whole, damaged, or of a later version: the run is done again."""
    if not all((own / name).is_file() for name in FILES):
        return None
    file = own / FILES[-1]
    try:
        return _parsed(file, file.stat().st_mtime_ns)
    except DataError:
        return None


@lru_cache(maxsize=1024)  # the runs of a study look through the same results
def _parsed(file: Path, changed: int) -> Result:
    return read_result(file.read_bytes())


def _is_of(stored: Identity, wanted: Identity) -> bool:
    if stored.model_copy(update={"parameters": wanted.parameters}) != wanted:
        return False
    return same_fields(stored.parameters, wanted.parameters, defaults_of(GENERATORS.get(wanted.model)))


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
