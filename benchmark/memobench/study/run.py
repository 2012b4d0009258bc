"""``bench study``: each factor varied alone, over seeds, and what the published findings turn out to be."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, fields
from pathlib import Path

from memobench.base.errors import UsageError, suggest
from memobench.base.progress import Track, silent
from memobench.base.store import Store, digest_of, write_json, writing_into
from memobench.data.public._source import data_kind
from memobench.data.splits import load_splits
from memobench.execution.settings import HERE, Execution
from memobench.settings import RunSettings
from memobench.study.compare import level_of_each, verdict
from memobench.study.figures import draw_factor, draw_pareto
from memobench.study.findings import Arm, Factor, factors, mitigations
from memobench.study.grid import Finished, run_all, settings_of
from memobench.study.kept import find, keep
from memobench.study.observed import Observed, observe
from memobench.study.results import (
    STUDY_VERSION,
    StudyArm,
    StudyDifference,
    StudyEstimate,
    StudyFinding,
    StudyResult,
)
from memobench.study.settings import StudySettings
from memobench.task import TASKS, Splits


def run_study(
    settings: StudySettings,
    *,
    execution: Execution = HERE,
    track: Track = silent,
    say: Callable[[str], None] = lambda text: None,
) -> tuple[StudyResult, Path]:
    """Run every arm with every seed, compare, draw.

    Args:
        settings: What to do.
        execution: Where the runs are done.
        track: Shows progress.
        say: Is told one line per run.

    Returns:
        The result and its folder, ``<out>/study-...``, with ``study.json`` and a figure for each factor.

    Raises:
        UsageError: An unknown name, or a factor that a model does not have.
        MemobenchError: Some runs failed; those that did not are stored.
    """
    task, chosen = TASKS.get(settings.task), _chosen(settings)
    if not settings.seeds:
        raise UsageError("a study needs one seed at least; give --seeds 0-2")
    arms = {arm.label: arm for factor in chosen for arm in factor.arms}
    shared = {field.name for field in fields(RunSettings)} & {field.name for field in fields(StudySettings)}
    asked = RunSettings(**{name: getattr(settings, name) for name in shared})
    whole, _, _ = load_splits(task, settings.data, settings.size, store=Store(settings.out / ".stages"), track=track)
    patients = whole.train.patient_count
    wanted = [settings_of(arm, asked, seed, patients) for arm in arms.values() for seed in settings.seeds]
    times = "one seed" if len(settings.seeds) == 1 else f"{len(settings.seeds)} seeds"
    say(f"{len(arms)} arms with {times}: {len(wanted)} runs, those that are stored among them")
    done = _done(wanted, whole, settings, execution, say)

    per_seed = len(settings.seeds)
    runs = {label: done[k * per_seed : (k + 1) * per_seed] for k, label in enumerate(arms)}
    observed = observe(runs, whole)
    estimates = {label: arm.estimates() for label, arm in observed.items()}
    values = {label: arm.values for label, arm in observed.items()}
    if older := [label for label, arm in observed.items() if not arm.deviations]:
        say(
            f"{', '.join(older)}: runs of an older version, whose Fréchet distances are compared too cautiously, as if "
            "each arm had met other test patients; bench run --fresh does a run again"
        )
    result = StudyResult(
        study_id=_study_id(settings, arms, whole.digest, done),
        task=settings.task,
        data=data_kind(settings.data),
        split_digest=whole.digest,
        preset=settings.preset,
        settings=dict(settings.settings),
        seeds=list(settings.seeds),
        brief=settings.brief,
        train_patients=settings.train_patients,
        arms=[
            StudyArm(
                label=label,
                runs=[found.result.run_id for found in runs[label]],
                metrics={name: StudyEstimate(**asdict(found)) for name, found in estimates[label].items()},
                values=values[label],
            )
            for label in arms
        ],
        findings=[finding for factor in chosen for finding in _decided(factor, observed)],
    )
    folder = settings.out / result.study_id
    with writing_into(settings.out):
        folder.mkdir(parents=True, exist_ok=True)
        title = f"{settings.task} ({result.data}), preset {result.preset_words}, {times}"
        if settings.train_patients is not None:
            title += f", {settings.train_patients} training patients"
        for factor in chosen:
            draw_factor(folder / factor.name, factor, estimates, values, title)
        draw_pareto(folder / "pareto", estimates, title)
        write_json(folder / "study.json", result.model_dump(mode="json"))
    return result, folder


def _done(
    wanted: Sequence[RunSettings],
    whole: Splits,
    settings: StudySettings,
    execution: Execution,
    say: Callable[[str], None],
) -> list[Finished]:
    """All runs: those that are kept are read, the others are done and kept."""
    kept = settings.kept
    if kept is None:
        return run_all(wanted, execution=execution, plugins=settings.plugins, say=say)
    with writing_into(kept, "choose another --kept"):  # before anything is trained
        kept.mkdir(parents=True, exist_ok=True)
    known = [find(one, whole, kept) for one in wanted]
    missing = [one for one, found in zip(wanted, known, strict=True) if found is None]
    say(f"{len(wanted) - len(missing)} of them are kept in {kept}")
    made = iter(
        run_all(missing, execution=execution, plugins=settings.plugins, done=lambda one: keep(one, kept), say=say)
    )
    return [next(made) if found is None else found for found in known]


def _chosen(settings: StudySettings) -> list[Factor]:
    published = factors(settings.model, settings.against)
    known = {factor.name: factor for factor in (*published, mitigations(settings.model))}
    for name in settings.only:
        if name not in known:
            raise UsageError(f'unknown factor "{name}"; {suggest(name, known)}')
    chosen = [known[name] for name in settings.only] or list(published)
    return [factor.brief() for factor in chosen] if settings.brief else chosen


def _decided(factor: Factor, observed: Mapping[str, Observed]) -> list[StudyFinding]:
    decided = []
    for finding in factor.findings:
        level = level_of_each(len(finding.metrics))
        found = [
            [observed[pair.more].above(observed[pair.less], metric, level) for metric in finding.metrics]
            for pair in finding.comparisons
        ]
        decided.append(
            StudyFinding(
                factor=factor.name,
                claim=finding.claim,
                level=level,
                differences=[
                    StudyDifference(metric=metric, more=pair.more, less=pair.less, **asdict(one))
                    for pair, scores in zip(finding.comparisons, found, strict=True)
                    for metric, one in zip(finding.metrics, scores, strict=True)
                ],
                verdict=verdict(found),
            )
        )
    return decided


def _study_id(settings: StudySettings, arms: Mapping[str, Arm], digest: str, done: Sequence[Finished]) -> str:
    key = {"version": STUDY_VERSION, "split": digest, "arms": list(arms), "runs": [f.result.run_id for f in done]}
    return f"study-{settings.task}-{settings.model}-{digest_of(key)}"
