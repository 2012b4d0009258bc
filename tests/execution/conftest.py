from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

JOBS = '''
import os, signal, time
from pathlib import Path

import numpy as np
from memobench.base.errors import MemobenchError, UsageError


def numbers(seed, count):
    return np.random.default_rng(seed).normal(size=count)


def refuse(word):
    raise UsageError(f"no such word: {word}")


def fail(name):
    raise MemobenchError(f"{name} cannot be done; give another")


def crash():
    return {}["absent"]


def died_once(folder, seed):
    """Dies hard the first time, and says each time that it was begun."""
    folder = Path(folder)
    first = not list(folder.glob(f"begun-{seed}-*"))
    (folder / f"begun-{seed}-{os.getpid()}-{time.monotonic_ns()}").touch()
    if first and seed == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    return seed


def die():
    os.kill(os.getpid(), signal.SIGKILL)


def twice_begun(folder):
    """Takes long the first time."""
    first = not list(Path(folder).glob("begun-*"))
    (Path(folder) / f"begun-{os.getpid()}").touch()
    if first:
        time.sleep(60)
    return "went on"


def where():
    return os.getcwd()


def most_at_once(folder, name):
    """How many ran when this one did, itself among them."""
    mine = Path(folder) / f"running-{name}"
    mine.touch()
    time.sleep(0.3)
    seen = len(list(Path(folder).glob("running-*")))
    mine.unlink()
    return seen
'''


@pytest.fixture(scope="module")
def jobs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ModuleType]:
    """A module of calls that workers find too."""
    folder = tmp_path_factory.mktemp("jobs")
    (folder / "calls_of_tests.py").write_text(JOBS)
    before = os.environ.get("PYTHONPATH")
    source = str(Path(importlib.import_module("memobench").__file__ or "").parents[1])
    os.environ["PYTHONPATH"] = os.pathsep.join([str(folder), source, *([before] if before else [])])
    sys.path.insert(0, str(folder))
    yield importlib.import_module("calls_of_tests")
    sys.path.remove(str(folder))
    del sys.modules["calls_of_tests"]
    if before is None:
        del os.environ["PYTHONPATH"]
    else:
        os.environ["PYTHONPATH"] = before
