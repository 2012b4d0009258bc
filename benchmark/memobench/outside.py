"""Samples that somebody drew elsewhere, measured as a run: the same stages, the same files, the same decision.

The generator of such a run is :class:`memobench.checkpoints.given.Given`, which gives the samples that it was given, so
nothing is measured in a second way.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

from memobench.base.clock import Clock
from memobench.base.errors import DataError, UsageError
from memobench.base.place import Place
from memobench.base.progress import Track, silent
from memobench.base.seeds import generator_for
from memobench.base.store import Store
from memobench.checkpoints.given import Given
from memobench.checkpoints.named import EXAMPLES, is_checkpoint
from memobench.data.samples import Samples, ValueRange, samples_from
from memobench.data.splits import load_splits
from memobench.results import Result
from memobench.run import Asked, carry_out, checked_name, features_of, origin_of, run
from memobench.settings import MeasureSettings, RunSettings
from memobench.task import TASKS, Splits, TaskInfo

SAMPLES = "samples"  # their name where none is given


def measure_samples(
    settings: MeasureSettings, *, track: Track = silent, say: Callable[[str], None] = lambda text: None
) -> tuple[Result, Path]:
    """Measure samples against a task's train, holdout and test.

    Args:
        settings: What to do.
        track: Shows progress within a stage.
        say: Is told one line per stage.

    Returns:
        The result and its folder, ``<out>/<run_id>``, as :func:`memobench.run.run` gives them.

    Raises:
        UsageError: An unknown name or a wrong value.
        DataError: The samples or the data cannot be used; the message says why and what to do.
    """
    task, wanted = TASKS.get(settings.task), run_settings(settings)
    if settings.model:
        return run(wanted, track=track, say=say)
    shape, extra = task.shape_at(settings.size), features_of(wanted, task)
    clock = Clock(say)
    with clock("samples"):
        samples = samples_from(
            settings.samples,
            shape,
            cast(ValueRange, settings.value_range),
            skip_unreadable=settings.skip_unreadable,
            track=track,
        ).some(settings.count, generator_for(settings.seed, "some samples"))
    for note in samples.notes:
        say(f"  {note}")
    store = Store(settings.out / ".stages", settings.again, say)
    with clock("data"):
        whole, _, clock.stored = load_splits(
            task, settings.data, settings.size, store=store, skip_unreadable=settings.skip_unreadable, track=track
        )
    wanted = dataclasses.replace(wanted, samples=len(samples.pixels))
    asked = asked_of(samples, task, wanted)
    return carry_out(wanted, asked, whole, extra, Place(store, "", track, say), clock)


def measure_arrays(
    samples: Samples,
    task: TaskInfo,
    splits: Splits,
    settings: RunSettings,
    clock: Clock,
    *,
    track: Track = silent,
) -> tuple[Result, Path]:
    """Measure samples against real images that are in memory.

    Args:
        samples: As they are measured.
        task: Names the images.
        splits: The real images.
        settings: What to do.
        clock: Times the stages.
        track: Shows progress.
    """
    if not len(splits.train) or not len(splits.holdout):
        raise DataError("train and holdout must hold images; give both")
    extra = features_of(settings, task)
    wanted = dataclasses.replace(settings, samples=len(samples.pixels))
    place = Place(Store(settings.out / ".stages", settings.again), "", track)
    return carry_out(wanted, asked_of(samples, task, wanted), splits, extra, place, clock)


def run_settings(settings: MeasureSettings) -> RunSettings:
    """The words of a measurement as those of a run.

    Raises:
        UsageError: Neither samples nor a checkpoint are given, or both, or what belongs to the other.
    """
    if bool(settings.samples) == bool(settings.model):
        raise UsageError("give --samples WHERE, or --model KIND:WHERE for a checkpoint that draws them")
    shared = {field.name for field in dataclasses.fields(RunSettings)} - {"samples"}
    words: dict[str, Any] = {
        field.name: getattr(settings, field.name) for field in dataclasses.fields(settings) if field.name in shared
    }
    if settings.model:
        if settings.value_range is not None:
            raise UsageError("--value-range is for --samples; of a checkpoint say --set black=-1 --set white=1")
        if not is_checkpoint(settings.model):
            raise UsageError(f'"{settings.model}" is no checkpoint; give {EXAMPLES}, or train a model with bench run')
        return RunSettings(**words, samples=settings.count)
    if settings.weights or settings.settings or settings.run_their_code:
        raise UsageError("--weights, --set and --run-their-code are for --model; samples alone have none")
    return RunSettings(**{**words, "model": SAMPLES, "name": settings.name or SAMPLES})


def asked_of(samples: Samples, task: TaskInfo, settings: RunSettings) -> Asked:
    """The generator that these samples are of.

    Raises:
        UsageError: The name is none, or is that of a model of memobench; or what is declared is too long.
    """
    origin = origin_of("samples", samples.digest, settings.trained_on)
    return Asked(task, Given.of(samples), checked_name(settings.name), origin)
