"""A task's images in Python."""

from __future__ import annotations

from pathlib import Path

from memobench.base.progress import Track, silent
from memobench.base.store import Store
from memobench.base.words import Size
from memobench.data.splits import load_splits
from memobench.task import TASKS, Splits


def load_task(
    name: str, data: str = "phantom", *, size: Size | None = None, out: str | Path = "runs", track: Track = silent
) -> Splits:
    """The images of a task, drawn or read now unless they are stored.

    Train a generator on ``.train.pixels``, (N, *S) float32 in [0, 1], alone; ``.train.patients`` says whose each is.
    ``.holdout`` shows what chance alone matches, and ``.test`` is the reference for quality.

    Args:
        name: A task of ``bench list tasks``, for example "xray".
        data: "phantom", NAME or NAME=DIR of a public data set, or a folder with a manifest.csv.
        size: Side length in pixels, or a shape (H, W) or (D, H, W); None for the task's own.
        out: Folder of all runs, in which the images are kept.
        track: Shows progress.

    Raises:
        UsageError: There is no such task or size.
        DataError: The data cannot be used; the message says why and what to do.

    >>> load_task("xry")
    Traceback (most recent call last):
    memobench.base.errors.UsageError: unknown task "xry"; did you mean "xray"? Known: ct, ct2d, mr, mr2d, xray
    """
    return load_splits(TASKS.get(name), data, size, store=Store(Path(out) / ".stages"), track=track)[0]
