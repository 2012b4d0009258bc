"""``bench calibrate --task``: the measure against known truth, on a task's own images."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Sequence
from typing import Any

from memobench.base.clock import Clock
from memobench.base.errors import UsageError, suggest
from memobench.base.place import nobody
from memobench.base.progress import Track, silent
from memobench.base.store import Store
from memobench.calibration.groups import GroupOutcome, Plot, run_groups
from memobench.calibration.known_sets import situations
from memobench.calibration.own_images import OwnImagesCalibration, calibrate_stock, take_stock
from memobench.calibration.scene import Scene, Situation
from memobench.calibration.settings import CalibrationSettings
from memobench.calibration.situations import DRAWS_PER_SIDES, Outcome, Plan, run_situations
from memobench.challenge.groups import groups
from memobench.challenge.perturb import STRENGTHS
from memobench.data.splits import load_splits
from memobench.detection.parameters import EmbeddingParameters
from memobench.detection.stage import fit_detector, load_detector
from memobench.execution.job import Job
from memobench.execution.perform import Workplace, performed
from memobench.execution.settings import HERE, Execution
from memobench.task import TASKS, Splits, TaskInfo
from memobench.training.acceleration import device_of


def calibrate_task(
    settings: CalibrationSettings,
    *,
    execution: Execution = HERE,
    track: Track = silent,
    say: Callable[[str], None] = lambda text: None,
) -> OwnImagesCalibration:
    """Plant copies in a task's own images at known shares and measure them; the detector is the one of its runs.

    Args:
        settings: What to do; the task must be named.
        execution: Where; the images and the detector are made here.
        track: Shows progress.
        say: Is told one line per stage.

    Raises:
        UsageError: No task, or an unknown name or value.
        DataError: The data cannot be used.
    """
    task, parameters = _task(settings), EmbeddingParameters.preset(settings.preset)
    if settings.strength not in STRENGTHS:
        raise UsageError(f'unknown strength "{settings.strength}"; {suggest(settings.strength, STRENGTHS)}')
    store, clock, device = Store(settings.out / ".stages"), Clock(say), device_of(settings.device)
    splits = _images(settings, task, store, clock, track)
    with clock("detector"):
        words = json.loads(json.dumps(dataclasses.asdict(parameters)))
        path, clock.stored = fit_detector(splits, words, store=store, device=device, track=track)
    with clock("stock"):
        detector = load_detector(path, words, store=store, device=device)
        stock = take_stock(detector, splits, strength=settings.strength, seed=settings.seed, track=track)
    with clock("draws"):
        place = Workplace(execution, settings.out, track, say)
        return calibrate_stock(stock, draws=settings.repeats, seed=settings.seed, place=place)


def judge_situations(
    settings: CalibrationSettings,
    *,
    execution: Execution = HERE,
    track: Track = silent,
    say: Callable[[str], None] = lambda text: None,
) -> list[Outcome]:
    """Audit sets with known truth, made of a task's own images (:mod:`memobench.calibration.situations`).

    Args:
        settings: What to do; the task must be named.
        execution: Where; the images and the detector are made here.
        track: Shows progress.
        say: Is told one line per stage.

    Raises:
        UsageError: No task, or an unknown name or value.
        DataError: The data cannot be used.
    """
    task, clock = _task(settings), Clock(say)
    chosen = _chosen(settings, situations(task.dim))
    splits = _limited(settings, _images(settings, task, Store(settings.out / ".stages"), clock, track))
    with clock("audits"):
        if execution.here:
            return run_situations(Scene.of(splits), chosen, _drawn(settings, range(settings.repeats)), track=track)
        # the draws of one assignment of the patients share a job, and so what is found of single images
        starts = range(0, settings.repeats, DRAWS_PER_SIDES)
        asked = [
            (one, range(start, min(start + DRAWS_PER_SIDES, settings.repeats))) for one in chosen for start in starts
        ]
        jobs = [Job(one.name, _judged, (settings, one.name, draws)) for one, draws in asked]
        given = performed(jobs, Workplace(execution, settings.out, track, say), "situations")
        return [Outcome(one, **words) for (one, _), several in zip(asked, given, strict=True) for words in several]


def _judged(settings: CalibrationSettings, name: str, draws: Sequence[int]) -> list[dict[str, Any]]:
    """What audits say of some draws of one situation, whose images are stored."""
    task = _task(settings)
    splits = _limited(settings, _images(settings, task, Store(settings.out / ".stages"), Clock(nobody), silent))
    chosen = [one for one in situations(task.dim) if one.name == name]
    found = run_situations(Scene.of(splits), chosen, _drawn(settings, draws))
    return [{name: value for name, value in vars(one).items() if name != "situation"} for one in found]


def _drawn(settings: CalibrationSettings, draws: Sequence[int]) -> Plan:
    return Plan(settings.out / "situations", settings.preset, draws, settings.seed)


def _chosen(settings: CalibrationSettings, every: list[Situation]) -> list[Situation]:
    listed = [one for one in every if one.fast or settings.situations == "all"]
    chosen = [one for one in listed if settings.only is None or settings.only in one.name]
    if not chosen:
        raise UsageError(
            f'--only "{settings.only}" is in none of the {len(listed)} names, such as "{listed[0].name}" and '
            f'"{listed[-1].name}"'
        )
    return chosen


def judge_groups(
    settings: CalibrationSettings,
    *,
    execution: Execution = HERE,
    track: Track = silent,
    say: Callable[[str], None] = nobody,
) -> list[GroupOutcome]:
    """Plant groups of copies in a task's own images, and audit them (:mod:`memobench.calibration.groups`).

    Args:
        settings: What to do; the task must be named.
        execution: Where the groups are judged.
        track: Shows progress.
        say: Is told one line per stage.

    Raises:
        UsageError: No task, or an unknown name or value.
        DataError: The data cannot be used.
    """
    task, clock = _task(settings), Clock(say)
    chosen = groups(task.dim, () if settings.groups == ("all",) else settings.groups)
    splits = _limited(settings, _images(settings, task, Store(settings.out / ".stages"), clock, track))
    with clock("audits"):
        if execution.here:
            return run_groups(Scene.of(splits), chosen, _plot(settings), track=track, say=say)
        jobs = [Job(one.name, _judged_group, (settings, one.name)) for one in chosen]
        return performed(jobs, Workplace(execution, settings.out, track, say), "groups")


def _judged_group(settings: CalibrationSettings, name: str) -> GroupOutcome:
    """What an audit says of one group, in a task's images that are stored."""
    task = _task(settings)
    splits = _limited(settings, _images(settings, task, Store(settings.out / ".stages"), Clock(nobody), silent))
    (found,) = run_groups(Scene.of(splits), groups(task.dim, [name]), _plot(settings))
    return found


def _limited(settings: CalibrationSettings, splits: Splits) -> Splits:
    return splits if settings.train_patients is None else splits.limited(settings.train_patients)


def _plot(settings: CalibrationSettings) -> Plot:
    return Plot(settings.copies, settings.sets, settings.preset, settings.seed, settings.out / "groups")


def _task(settings: CalibrationSettings) -> TaskInfo:
    """The task whose own images are used."""
    if settings.task is None:
        raise UsageError("no task was named whose images are to be used; give --task NAME")
    return TASKS.get(settings.task)


def _images(settings: CalibrationSettings, task: TaskInfo, store: Store, clock: Clock, track: Track) -> Splits:
    with clock("data"):
        splits, _, clock.stored = load_splits(task, settings.data, settings.size, store=store, track=track)
    return splits
