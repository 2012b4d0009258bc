"""A job: a call that can be pickled, carried out by whichever worker has it."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from memobench.base.errors import MemobenchError, UsageError

SAID = "bench: "  # how the line of an expected error begins
LAST_LINES = 3  # of another failed command's messages that are shown


@dataclass(frozen=True)
class Job:
    """A call.

    Attributes:
        name: What it is, for people.
        function: Of a module, so that workers find it too.
        arguments: Values that can be pickled; large ones lie in files.
        folder: Where it is carried out: relative paths mean the same for all workers.
    """

    name: str
    function: Callable[..., Any]
    arguments: tuple[Any, ...] = ()
    folder: str = field(default_factory=os.getcwd)


@dataclass(frozen=True)
class Answer:
    """What became of a job.

    Attributes:
        value: What the call gave.
        error: Why it failed, in one line; "" where it did not.
        usage: Whether that was wrong usage.
        lost: Whether the worker was lost before the call ended; then it may be done again.
    """

    value: Any = None
    error: str = ""
    usage: bool = False
    lost: bool = False


class Lost(MemobenchError):
    """What a job had started was ended from outside."""


def carry_out(job: Job) -> Answer:
    """Carry out a job; a failure becomes a line."""
    try:
        os.chdir(job.folder)
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else str(error)
        where = f"folder {job.folder} on {platform.node()}: {reason}"
        return Answer(error=f"{where}; start from a folder that all machines share")
    try:
        return Answer(job.function(*job.arguments))
    except Lost as error:
        return Answer(error=str(error), lost=True)
    except MemobenchError as error:
        return Answer(error=str(error), usage=isinstance(error, UsageError))
    except Exception as error:  # of a worker, whose caller must go on
        traceback.print_exc()
        return Answer(error=f"{type(error).__name__}: {error}".splitlines()[0])


def batches(count: int, size: int = 10) -> list[range]:
    """Numbers from 0 up to a count, so many to a job.

    >>> batches(25)
    [range(0, 10), range(10, 20), range(20, 25)]
    """
    return [range(start, min(start + size, count)) for start in range(0, count, size)]


def command_job(name: str, words: Sequence[str]) -> Job:
    """A command of ``bench`` as a job."""
    return Job(name, command, (tuple(words),))


def command(words: Sequence[str]) -> None:
    """Carry out a command of ``bench`` in a process of its own.

    Args:
        words: Those after ``bench``.

    Raises:
        MemobenchError: It failed, with the last lines of its messages.
    """
    # the command is this program itself, with words made of checked settings
    asked = [sys.executable, "-c", "from memobench.cli.main import main; main()", *words]
    done = subprocess.run(asked, capture_output=True, text=True, check=False)  # noqa: S603
    if done.returncode < 0:
        raise Lost(f"ended by signal {-done.returncode}")
    if done.returncode:
        lines = done.stderr.strip().splitlines()[-LAST_LINES:]
        said = lines[-1].removeprefix(SAID) if lines and lines[-1].startswith(SAID) else " ".join(lines)
        raise MemobenchError(said or f"ended with status {done.returncode}")
