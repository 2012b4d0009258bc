"""The runs of a study: ordinary ``bench run`` runs, one for each arm and seed, several at once where there is room.

A run that is finished is read, not repeated; a study that was interrupted goes on where it stopped.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from memobench.base.errors import MemobenchError, UsageError
from memobench.base.words import command_words
from memobench.execution.job import Answer, command_job
from memobench.execution.perform import Workplace, perform
from memobench.execution.settings import HERE, Execution
from memobench.generator import GENERATORS, build
from memobench.memorization.decide import Decisions
from memobench.memorization.rates import Pools
from memobench.results import Result
from memobench.run import run
from memobench.settings import RunSettings
from memobench.study.compare import Deviations, Hits
from memobench.study.findings import MITIGATED, Arm
from memobench.task import Splits


@dataclass(frozen=True)
class Finished:
    """A finished run: its result and its folder."""

    result: Result
    folder: Path


def settings_of(arm: Arm, asked: RunSettings, seed: int, train_patients: int) -> RunSettings:
    """The run of an arm and a seed.

    Args:
        arm: What is varied.
        asked: What all runs have in common; its fields are the model's own, and of that model with a mitigation.
        seed: Base seed.
        train_patients: Of the task; where ``asked`` limits them, so many are all of them.

    Raises:
        UsageError: The arm varies the length of a model that has no field ``steps``.
    """
    its_own = arm.model in (asked.model, *MITIGATED.get(asked.model, ()))
    fields = {**asked.settings, **arm.settings} if its_own else dict(arm.settings)
    if arm.length != 1:
        generator = build(GENERATORS.get(arm.model), arm.model, asked.preset, fields)
        steps = getattr(generator, "steps", None)
        if not isinstance(steps, int):
            raise UsageError(f'model "{arm.model}" has no field steps; its training length cannot be varied')
        fields["steps"] = str(max(1, round(arm.length * steps)))
    patients = asked.train_patients
    if arm.patients != 1:
        patients = max(2, round(arm.patients * (train_patients if patients is None else patients)))
    return replace(asked, model=arm.model, settings=fields, train_patients=patients, seed=seed)


def run_all(
    wanted: Sequence[RunSettings],
    *,
    execution: Execution = HERE,
    plugins: Sequence[Path] = (),
    done: Callable[[Finished], None] = lambda finished: None,
    say: Callable[[str], None],
) -> list[Finished]:
    """Do the runs that are not done yet.

    Args:
        wanted: The runs, all with the same ``out``.
        execution: Where; elsewhere than here each is a command of its own, and its result is found where it stored it.
        plugins: Files with further generators, for those commands.
        done: Is given each run as soon as it is finished.
        say: Is told one line per run.

    Returns:
        One for each of ``wanted``, in order.

    Raises:
        MemobenchError: Some runs failed; the others are done and stored.
    """
    failures: list[str] = []
    finished: dict[int, Finished] = {}

    def ended(number: int, answer: Answer) -> None:
        """Take up a run that is stored, or say why it is not."""
        error, settings = answer.error, wanted[number]
        if not error:
            asked = settings if execution.here else replace(settings, again=False)  # what was stored just now is read
            try:
                finished[number] = Finished(*run(asked))
            except UsageError:
                raise
            except MemobenchError as reason:
                error = str(reason)
        name = _name(settings)
        if error:
            failures.append(f"{name}: {error}")
        else:
            done(finished[number])
        say(f"{len(finished) + len(failures)} of {len(wanted)}: {name}: {error or 'done'}")

    if execution.here:
        for number in range(len(wanted)):
            ended(number, Answer())
    elif wanted:
        jobs = [command_job(_name(one), words_of(one, plugins)) for one in wanted]
        perform(jobs, Workplace(execution, wanted[0].out, say=say), "runs", ended=ended)
    if failures:
        raise MemobenchError(f"{len(failures)} of {len(wanted)} runs failed; the same command goes on. {failures[0]}")
    return [finished[number] for number in range(len(wanted))]


def words_of(settings: RunSettings, plugins: Sequence[Path] = ()) -> list[str]:
    """The words of ``bench run`` that ask for these settings.

    >>> words_of(RunSettings("ldm", "xray", seed=2))
    ['run', '--model', 'ldm', '--task', 'xray', '--seed', '2']
    """
    return ["run", *command_words(settings), *(word for file in plugins for word in ("--plugin", str(file)))]


def hits_of(finished: Finished, whole: Splits) -> Hits:
    """Which patients the samples of a run resemble most, from its stored scores."""
    counts = finished.result.counts
    splits = whole
    if finished.result.identity.split_digest != whole.digest:
        splits = whole.limited(counts["train_patients"])
    with np.load(finished.folder / "scores.npz", allow_pickle=False) as archive:
        decisions = Decisions(**{name: archive[name] for name in Decisions.__dataclass_fields__})
    return Hits.of(decisions, Pools(splits.train.patients, splits.holdout.patients))


def deviations_of(finished: Finished) -> Deviations | None:
    """What a run's Fréchet distance owes to its sets; None where a version stored the run that did not keep that."""
    with np.load(finished.folder / "scores.npz", allow_pickle=False) as archive:
        if "fd_ssl_by_patients" not in archive:
            return None
        return Deviations(archive["fd_ssl_by_patients"], archive["fd_ssl_by_samples"])


def _name(settings: RunSettings) -> str:
    parts = [settings.model, *(f"{name}={value}" for name, value in settings.settings.items())]
    if settings.train_patients is not None:
        parts.append(f"{settings.train_patients} patients")
    return f"{', '.join(parts)}, seed {settings.seed}"
