"""A measurement in Python: ``memobench.measure`` and ``memobench.load``."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from memobench.audit.persons import apart
from memobench.base.clock import Clock
from memobench.base.errors import DataError, UsageError
from memobench.base.place import nobody
from memobench.base.progress import Track, silent
from memobench.base.store import Store
from memobench.base.words import Size
from memobench.data.arrays import Reading, images_of, same_shape
from memobench.data.files.ids import spelling
from memobench.data.samples import Samples, ValueRange, samples_from, samples_of
from memobench.data.splits import load_splits
from memobench.images import Images, content_digests
from memobench.outside import SAMPLES, measure_arrays
from memobench.results import TASK_IMAGES, Metric, Result
from memobench.settings import RunSettings
from memobench.submissions.older import read_result
from memobench.task import TASKS, Splits, SplitSizes, TaskInfo

OWN = "own"  # the task of images that were given as arrays


@dataclass(frozen=True)
class Run:
    """A finished run or measurement.

    Attributes:
        result: What was measured, as in ``result.json``.
        folder: Where its files lie: the result, the gallery, the list of calls, samples and scores.
    """

    result: Result
    folder: Path

    @property
    def decision(self) -> str:
        """One of "no copies found", "review" and "do not release"."""
        return self.result.decision.word

    @property
    def metrics(self) -> Mapping[str, Metric]:
        """Each metric by its name: ``value``, ``low`` and ``high`` of the 95% interval, ``null``, ``p_value``."""
        return self.result.metrics

    @cached_property
    def samples(self) -> NDArray[np.float32]:
        """(N, *S) the samples as they were measured, in [0, 1]."""
        return self._arrays("samples.npz")["samples"]

    @cached_property
    def scores(self) -> dict[str, NDArray[Any]]:
        """Of each sample its strongest match in train and in holdout, whether it is called a copy, and its p-value."""
        return self._arrays("scores.npz")

    def __str__(self) -> str:
        """The table and the decision, as the command line prints them."""
        from memobench.report.tables import summary

        return summary(self.result)

    def __repr__(self) -> str:
        """What was measured, and the decision."""
        return f"Run({self.result.run_id!r}: {self.decision}; {self.folder})"

    def _repr_html_(self) -> str:
        """The table within a notebook."""
        from html import escape

        return f"<pre>{escape(str(self))}</pre>"

    def _arrays(self, name: str) -> dict[str, NDArray[Any]]:
        file = self.folder / name
        if not file.is_file():
            raise DataError(f"{self.folder} holds no {name}; give the folder of a run, not of a submission")
        with np.load(file, allow_pickle=False) as archive:
            return dict(archive)


def load(run: str | Path) -> Run:
    """A run that is finished.

    Args:
        run: Its folder, which ``bench run`` and ``bench measure`` print, or its ``result.json``.

    Raises:
        DataError: There is none, or it was changed by hand.

    >>> load("runs/nothing")
    Traceback (most recent call last):
    memobench.base.errors.DataError: there is no finished run in runs/nothing; give the folder that bench run prints
    """
    folder = Path(run)
    folder = folder.parent if folder.name == "result.json" else folder
    file = folder / "result.json"
    if not file.is_file():
        raise DataError(f"there is no finished run in {folder}; give the folder that bench run prints")
    try:
        return Run(read_result(file.read_bytes()), folder)
    except DataError as error:
        raise DataError(f"{file}: {error}") from error


def measure(  # noqa: PLR0913  the words of a call from Python, each with its default
    samples: Any,
    *,
    task: str | None = None,
    train: Any = None,
    holdout: Any = None,
    test: Any = None,
    data: str = "phantom",
    size: Size | None = None,
    patients: Mapping[str, Sequence[str]] | None = None,
    name: str = SAMPLES,
    trained_on: str = "",
    value_range: ValueRange = None,
    axes: str | None = None,
    preset: str = "quick",
    seed: int = 0,
    features: Sequence[str] = (),
    device: str = "auto",
    out: str | Path = "runs",
    track: Track = silent,
) -> Run:
    """Measure images that you drew from a model of your own, as ``bench run`` measures its models.

    Against a task, ``measure(samples, task="xray")``, or against your own images, ``measure(samples, train=a,
    holdout=b, test=c)``. Samples of another shape are resampled, and all count as 8-bit images
    (:mod:`memobench.data.samples`).

    Args:
        samples: (N, H, W) or (N, D, H, W) images as :mod:`memobench.data.arrays` reads them: arrays, tensors, lists of
            arrays or PIL images, 8 bit or floating point, with or without an axis of channels; or the path of a folder,
            an archive or an NPZ file.
        task: A task of ``bench list tasks``.
        train: In its place: the images that the generator learned from.
        holdout: As many images of other patients, drawn in the same way, which it never saw.
        test: Images of further patients: the reference for quality.
        data: With a task: where its images come from (:func:`memobench.load_task`).
        size: With a task: side length in pixels, or a shape (H, W) or (D, H, W).
        patients: Whose each of "train", "holdout" and "test" is; those that are not named count as one patient each.
        name: What the generator is called.
        trained_on: With a task: what it learned from: "task" for the task's own training images, else a description.
            Undeclared, no decision is better than "review".
        value_range: Black and white of arrays, for example (-1, 1); or a pair for each of "samples", "train",
            "holdout" and "test".
        axes: One letter per axis, for example "NCHW", where the shape leaves doubt.
        preset: How much the detector is trained: "smoke", "quick", "standard" or "paper".
        seed: Which of several trainings of the generator these samples are of.
        features: Names of further features for quality (``bench list features``).
        device: "auto", or a torch device.
        out: Folder of all runs.
        track: Shows progress.

    Returns:
        The result with its folder. ``print(run)`` shows the table, ``run.decision`` is a word.

    Raises:
        UsageError: Neither a task nor images are given, or both.
        DataError: Images cannot be used, or have to be explained; the message says how.

    >>> measure(np.zeros((4, 8, 8)))
    Traceback (most recent call last):
    memobench.base.errors.UsageError: give a task, for example task="xray", or train, holdout and test
    """
    real = {"train": train, "holdout": holdout, "test": test}
    given = [side for side, images in real.items() if images is not None]
    if (task is None) == (not given):
        raise UsageError('give a task, for example task="xray", or train, holdout and test')
    if task is None and len(given) < len(real):
        lacking = next(side for side in real if side not in given)
        raise UsageError(f"{lacking} is not given; give train, holdout and test, each of other patients")
    settings = RunSettings(
        SAMPLES,
        task or OWN,
        data if task else "arrays",
        size,
        preset,
        seed=seed,
        device=device,
        features=tuple(features),
        out=Path(out),
        name=name,
        trained_on=trained_on if task else TASK_IMAGES,
    )
    if task is not None:
        info = TASKS.get(task)
        read = _samples(samples, info.shape_at(size), value_range, axes)
        splits, _, _ = load_splits(info, data, size, store=Store(settings.out / ".stages"), track=track)
    else:
        splits = _own(real, patients or {}, value_range, axes)
        info = _own_task(splits)
        read = _samples(samples, splits.train.shape, value_range, axes)
    return Run(*measure_arrays(read, info, splits, settings, Clock(nobody), track=track))


def _samples(given: Any, shape: tuple[int, ...], value_range: ValueRange, axes: str | None) -> Samples:
    if isinstance(given, str | Path):
        return samples_from(given, shape, value_range)
    return samples_of(given, shape, value_range, axes)


def _own(
    real: Mapping[str, Any], patients: Mapping[str, Sequence[str]], value_range: ValueRange, axes: str | None
) -> Splits:
    """Real images from Python, side by side."""
    if isinstance(value_range, str):
        raise UsageError('value_range "each" is for files; give arrays in one range')
    reading = Reading(value_range, axes)
    sides = {side: images_of(given, side, patients.get(side), reading, stretch=False) for side, given in real.items()}
    same_shape(sides)
    owners = {side: {spelling(one): one for one in images.patients.tolist()} for side, images in sides.items()}
    contents = {side: {*content_digests(images.pixels).tolist()} for side, images in sides.items()}
    for one, other in (("train", "holdout"), ("train", "test"), ("holdout", "test")):
        if both := {*owners[one]} & {*owners[other]}:
            whose = sorted(owners[one][name] for name in both)[0]
            raise DataError(f"patient {whose!r} is in {one} and in {other}; put each on one side")
        if same := contents[one] & contents[other]:
            images = "1 image stands" if len(same) == 1 else f"{len(same)} images stand"
            raise DataError(f"{images} in {one} and in {other}; take what is shared out of one of the two")
    train, holdout, notes = apart(sides["train"], sides["holdout"])
    sides["train"] = train
    if holdout is not None:
        sides["holdout"] = holdout
    nobody_else = sides["test"].take(np.zeros(0, dtype=np.int64))
    digests = json.dumps({side: images.digest for side, images in sides.items()}, sort_keys=True)
    digest = hashlib.sha256(digests.encode()).hexdigest()
    return Splits(
        sides["train"], sides["holdout"], sides["test"], None, nobody_else, digest, notes=tuple(notes), drawn=False
    )


def _own_task(splits: Splits) -> TaskInfo:
    def people(images: Images) -> int:
        return images.patient_count

    return TaskInfo(
        name=OWN,
        version="1",
        modality="own images",
        family="",
        shape=splits.train.shape,
        split=SplitSizes(people(splits.train), people(splits.test), 0, 0),
        samples=0,
        digest="",
    )
