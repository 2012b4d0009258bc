"""``bench study``: each factor varied alone, over seeds, and what the published findings turn out to be."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np

from memobench.errors import UsageError, suggest
from memobench.generator import Track, silent
from memobench.run import RunSettings
from memobench.sources import load_splits
from memobench.sources.source import data_kind
from memobench.store import Store, digest_of, write_json, writing_into
from memobench.study.compare import (
    Estimate,
    difference,
    estimate,
    level_of_each,
    patient_draws,
    unseen_variance,
    verdict,
)
from memobench.study.figures import draw_factor, draw_pareto
from memobench.study.findings import RATE, SHARE, Arm, Comparison, Factor, factors
from memobench.study.grid import Finished, hits_of, run_all, settings_of
from memobench.study.kept import find, keep
from memobench.study.results import (
    METRICS,
    STUDY_VERSION,
    StudyArm,
    StudyDifference,
    StudyEstimate,
    StudyFinding,
    StudyResult,
)
from memobench.task import TASKS, Splits

BOUNDS = {SHARE: (0.0, 1.0), RATE: (-1.0, 1.0), "recall": (0.0, 1.0)}  # between which each can lie


@dataclass(frozen=True)
class StudySettings:
    """What a study is asked to do: the words of ``bench study``.

    Attributes:
        task: Name of the task.
        data: "phantom", NAME or NAME=DIR of a public data set, or a folder.
        model: The model that the findings are about.
        against: The models that it is compared with.
        size: Side length; None for the task's own.
        only: Names of factors; none for all.
        brief: Only the arms that findings compare; the levels between and beyond, which figures show, are left out.
        preset: Of all models.
        seeds: Base seeds; three at least make the intervals worth their name.
        samples: Number of samples; None for the task's own.
        train_patients: Training patients of all arms, of which some take a share; None for all.
        jobs: Runs at once.
        device: "auto", or a torch device.
        plugins: Files with further generators.
        out: Folder of all runs.
        kept: Folder of results kept from runs, which are read and not run again, and to which the others' are added.
    """

    task: str
    data: str = "phantom"
    model: str = "ldm"
    against: tuple[str, ...] = ("vae", "gan")
    size: int | None = None
    only: tuple[str, ...] = ()
    brief: bool = False
    preset: str = "quick"
    seeds: tuple[int, ...] = (0, 1, 2)
    samples: int | None = None
    train_patients: int | None = None
    jobs: int = 1
    device: str = "auto"
    plugins: tuple[Path, ...] = field(default=())
    out: Path = Path("runs")
    kept: Path | None = None


def run_study(
    settings: StudySettings, *, track: Track = silent, say: Callable[[str], None] = lambda text: None
) -> tuple[StudyResult, Path]:
    """Run every arm with every seed, compare, draw.

    Args:
        settings: What to do.
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
    asked = RunSettings(
        settings.model,
        settings.task,
        settings.data,
        size=settings.size,
        preset=settings.preset,
        samples=settings.samples,
        train_patients=settings.train_patients,
        device=settings.device,
        out=settings.out,
    )
    whole, _, _ = load_splits(task, settings.data, settings.size, store=Store(settings.out / ".stages"), track=track)
    patients = whole.train.patient_count
    wanted = [settings_of(arm, asked, seed, patients) for arm in arms.values() for seed in settings.seeds]
    times = "one seed" if len(settings.seeds) == 1 else f"{len(settings.seeds)} seeds"
    say(f"{len(arms)} arms with {times}: {len(wanted)} runs, those that are stored among them")
    done = _done(wanted, whole, settings, say)

    per_seed = len(settings.seeds)
    runs = {label: done[k * per_seed : (k + 1) * per_seed] for k, label in enumerate(arms)}
    values = {label: _values(found) for label, found in runs.items()}
    draws = dict(
        zip(runs, patient_draws([[hits_of(f, whole) for f in found] for found in runs.values()], 0), strict=True)
    )
    estimates = {
        label: _estimates(found, values[label], float(draws[label].var()) + _unseen(found, draws[label]))
        for label, found in runs.items()
    }
    findings = [_decided(factor, values, runs, draws) for factor in chosen]
    result = StudyResult(
        study_id=_study_id(settings, arms, whole.digest, done),
        task=settings.task,
        data=data_kind(settings.data),
        split_digest=whole.digest,
        preset=settings.preset,
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
        findings=[finding for several in findings for finding in several],
    )
    folder = settings.out / result.study_id
    with writing_into(settings.out):
        folder.mkdir(parents=True, exist_ok=True)
        title = f"{settings.task} ({result.data}), preset {settings.preset}, {times}"
        if settings.train_patients is not None:
            title += f", {settings.train_patients} training patients"
        for factor in chosen:
            draw_factor(folder / factor.name, factor, estimates, values, title)
        draw_pareto(folder / "pareto", estimates, title)
        write_json(folder / "study.json", result.model_dump(mode="json"))
    return result, folder


def _done(
    wanted: Sequence[RunSettings], whole: Splits, settings: StudySettings, say: Callable[[str], None]
) -> list[Finished]:
    """All runs: those that are kept are read, the others are done and kept."""
    kept = settings.kept
    if kept is None:
        return run_all(wanted, jobs=settings.jobs, plugins=settings.plugins, say=say)
    with writing_into(kept, "choose another --kept"):  # before anything is trained
        kept.mkdir(parents=True, exist_ok=True)
    known = [find(one, whole, kept) for one in wanted]
    missing = [one for one, found in zip(wanted, known, strict=True) if found is None]
    say(f"{len(wanted) - len(missing)} of them are kept in {kept}")
    made = iter(
        run_all(missing, jobs=settings.jobs, plugins=settings.plugins, done=lambda one: keep(one, kept), say=say)
    )
    return [next(made) if found is None else found for found in known]


def _chosen(settings: StudySettings) -> list[Factor]:
    known = {factor.name: factor for factor in factors(settings.model, settings.against)}
    for name in settings.only:
        if name not in known:
            raise UsageError(f'unknown factor "{name}"; {suggest(name, known)}')
    chosen = [known[name] for name in settings.only or known]
    return [factor.brief() for factor in chosen] if settings.brief else chosen


def _values(found: Sequence[Finished]) -> dict[str, list[float]]:
    names = [name for name in METRICS if all(name in one.result.metrics for one in found)]
    return {name: [one.result.metrics[name].value for one in found] for name in names}


def _patient_variance(found: Sequence[Finished], name: str) -> float:
    """Of a metric that carries an interval over patients in each run: the same patients, so their mean."""
    metrics = [one.result.metrics[name] for one in found]
    reach = [((m.high or m.value) - (m.low or m.value)) / 2 / 1.959964 if m.high is not None else 0.0 for m in metrics]
    return float(np.mean(np.square(reach)))


def _unseen(found: Sequence[Finished], drawn: np.ndarray) -> float:
    return unseen_variance(drawn, _patient_variance(found, SHARE))


def _estimates(
    found: Sequence[Finished], values: Mapping[str, Sequence[float]], share_variance: float
) -> dict[str, Estimate]:
    estimates = {}
    for name, row in values.items():
        made = estimate(row, share_variance if name == SHARE else _patient_variance(found, name))
        least, most = BOUNDS.get(name, (-np.inf, np.inf))
        estimates[name] = Estimate(made.value, max(made.low, least), min(made.high, most))
    return estimates


def _decided(
    factor: Factor,
    values: Mapping[str, Mapping[str, Sequence[float]]],
    runs: Mapping[str, Sequence[Finished]],
    draws: Mapping[str, np.ndarray],
) -> list[StudyFinding]:
    def compared(pair: Comparison, metric: str, level: float) -> Estimate:
        if metric == SHARE:
            variance = float((draws[pair.more] - draws[pair.less]).var())
            variance += sum(_unseen(runs[label], draws[label]) for label in (pair.more, pair.less))
        else:
            variance = sum(_patient_variance(runs[label], metric) for label in (pair.more, pair.less))
        return difference(values[pair.more][metric], values[pair.less][metric], variance, level)

    decided = []
    for finding in factor.findings:
        level = level_of_each(len(finding.metrics))
        found = [[compared(pair, metric, level) for metric in finding.metrics] for pair in finding.comparisons]
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
