"""``bench challenge``: the detectors on planted copies, stage by stage: data, each detector, its answers, the table.

Each detector's training and each detector's answers are stored under a hash of what they depend on, so a challenge
that was interrupted goes on where it stopped, and one with more detectors asks only the new ones.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from tabulate import tabulate

from memobench.base.clock import Clock, rounded
from memobench.base.errors import UsageError, suggest
from memobench.base.place import nobody
from memobench.base.progress import Track, silent
from memobench.base.registry import load_plugin
from memobench.base.seeds import derive_seed
from memobench.base.store import Store, load_arrays, save_arrays, write_json, writing_into
from memobench.challenge.perturb import STRENGTHS
from memobench.challenge.planted import UNCHANGED, Plan, Planted, answer, judge, plan_challenge
from memobench.challenge.results import ChallengeIdentity, ChallengeResult
from memobench.challenge.settings import ChallengeSettings
from memobench.data.public._source import data_kind
from memobench.data.splits import load_splits
from memobench.detection.contract import CopyDetector
from memobench.detection.detectors import DETECTORS
from memobench.execution.job import Job
from memobench.execution.perform import Workplace, performed
from memobench.execution.settings import HERE, Execution
from memobench.generator import Context
from memobench.memorization.decide import threshold
from memobench.provenance import code_digest, environment
from memobench.results import DetectorScores, Metric, finished, sealed
from memobench.task import TASKS, Splits, TaskInfo
from memobench.training.acceleration import device_of

CHALLENGE_VERSION = 1
PRESETS = ("smoke", "quick", "standard", "paper")


def run_challenge(
    settings: ChallengeSettings,
    *,
    plugins: Sequence[Path] = (),
    execution: Execution = HERE,
    track: Track = silent,
    say: Callable[[str], None] = lambda text: None,
) -> tuple[ChallengeResult, Path]:
    """Put planted copies and non-copies to each detector.

    Args:
        settings: What to do.
        plugins: Files with further detectors, for other processes.
        execution: Where the detectors are trained and asked, each as a job.
        track: Shows progress within a stage.
        say: Is told one line per stage.

    Returns:
        The result and its folder, ``<out>/<run_id>``.

    Raises:
        UsageError: An unknown name or value.
        DataError: The data cannot be used.
        MemobenchError: A stage failed; what was finished is kept.
    """
    ready = _ready(settings, track, say)
    identity = ready.identity
    folder = settings.out / identity.run_id
    if not settings.again and (done := finished(folder, identity, ChallengeResult, say)):
        say("all stages are stored: nothing to do (--fresh does them again)")
        return done, folder

    if not execution.here:
        _ask_elsewhere(settings, ready.kinds, plugins, Workplace(execution, settings.out, track, say))
        ready = dataclasses.replace(ready, again=False)  # what was answered just now is read
    judged = _ask_all(ready, track)
    result = sealed(_result(identity, ready.splits, ready.plan, judged, ready.device, ready.clock.seconds))
    with writing_into(settings.out):
        folder.mkdir(parents=True, exist_ok=True)
        write_json(folder / "result.json", result.model_dump(mode="json"))
    return result, folder


@dataclasses.dataclass(frozen=True)
class _Ready:
    """A challenge before its detectors are asked."""

    kinds: dict[str, type[CopyDetector]]
    identity: ChallengeIdentity
    splits: Splits
    plan: Plan
    store: Store
    device: str
    again: bool
    clock: Clock


def _ready(settings: ChallengeSettings, track: Track, say: Callable[[str], None]) -> _Ready:
    """Check the words, and load the images."""
    task = TASKS.get(settings.task)
    kinds = {name: DETECTORS.get(name) for name in settings.detectors or DETECTORS.names()}
    for word, known in ((settings.preset, PRESETS), (settings.strength, STRENGTHS)):
        if word not in known:
            raise UsageError(f'there is no "{word}"; {suggest(word, known)}')
    store, clock = Store(settings.out / ".stages", settings.again), Clock(say)
    with clock("data"):
        splits, _, clock.stored = load_splits(task, settings.data, settings.size, store=store, track=track)
    plan = plan_challenge(splits, strengths=(settings.strength,), count=settings.count, seed=settings.seed)
    identity = _identity(settings, task, kinds, splits, plan)
    return _Ready(kinds, identity, splits, plan, store, device_of(settings.device), settings.again, clock)


def _ask_all(ready: _Ready, track: Track) -> dict[str, DetectorScores]:
    """Train, ask and judge the detectors."""
    identity, splits, plan, clock = ready.identity, ready.splits, ready.plan, ready.clock
    store = dataclasses.replace(ready.store, again=ready.again)
    judged: dict[str, DetectorScores] = {}
    trained: set[str] = set()
    for name, kind in ready.kinds.items():
        if kind.TRAINED_AS is None:
            detector = _fit(kind, identity, splits, Context(0, ready.device, track))
        else:
            # with --fresh, what two detectors share is trained again once
            again = Store(store.root, ready.again and kind.TRAINED_AS not in trained)
            with clock(f"train {name}"):
                detector, clock.stored = _trained(kind, identity, splits, store=again, device=ready.device, track=track)
            trained.add(kind.TRAINED_AS)
        with clock(f"ask {name}"):
            path, clock.stored = ask(detector, name, identity, splits, plan, store=store, track=track)
        judged[name] = read_scores(path, plan)
    return judged


def _ask_elsewhere(
    settings: ChallengeSettings,
    kinds: dict[str, type[CopyDetector]],
    plugins: Sequence[Path],
    place: Workplace,
) -> None:
    """Train and ask the detectors by jobs, whose answers are stored; those that learn the same are one job."""
    together: dict[str, list[str]] = {}
    for name, kind in kinds.items():
        together.setdefault(kind.TRAINED_AS or f"alone: {name}", []).append(name)
    jobs = [
        Job(", ".join(names), _asked, (dataclasses.replace(settings, detectors=tuple(names)), tuple(plugins)))
        for names in together.values()
    ]
    performed(jobs, place, "detectors")


def _asked(settings: ChallengeSettings, plugins: Sequence[Path]) -> None:
    """Train and ask some detectors; what they learn and answer is stored."""
    for file in plugins:
        load_plugin(file)
    _ask_all(_ready(settings, silent, nobody), silent)


def ask(  # noqa: PLR0913  what is asked, of whom, and where the answer is kept
    detector: CopyDetector,
    name: str,
    identity: ChallengeIdentity,
    splits: Splits,
    plan: Plan,
    *,
    store: Store,
    track: Track,
) -> tuple[Path, bool]:
    """The answers of one detector to the plan (``answers.npz``), and how its tau was found (``threshold.json``)."""
    key = identity.model_dump(mode="json")
    key["detector"] = {"name": name, **key.pop("detectors")[name]}

    def write(into: Path, scratch: Path) -> None:
        planted = answer(lambda queries, pool: detector.match(queries, pool, 1), plan, track=track, name=name)
        null, share = detector.null_scores(splits.train.joined(splits.holdout))
        np.savez_compressed(into / "answers.npz", null=null, **dataclasses.asdict(planted))
        write_json(into / "threshold.json", dataclasses.asdict(threshold(null, share)))

    return store.get("challenge", key, write)


def read_scores(path: Path, plan: Plan) -> DetectorScores:
    """Judge the answers that :func:`ask` stored."""
    with np.load(path / "answers.npz", allow_pickle=False) as archive:
        planted = Planted(**{field.name: archive[field.name] for field in dataclasses.fields(Planted)})
    return judge(planted, plan, json.loads((path / "threshold.json").read_text())["tau"])


def table(result: ChallengeResult) -> str:
    """The result as the terminal shows it: a row per perturbation, a column per detector."""
    identity, counts = result.identity, result.counts
    head = (
        f"Challenge on {identity.task} ({identity.data}, {'x'.join(map(str, identity.shape))}), "
        f"{' and '.join(identity.strengths)} perturbations: {counts['copies']} copies and {counts['non_copies']} "
        f"non-copies of each kind, in a pool of {counts['pool_images']} images of {counts['pool_patients']} patients"
    )
    detectors = list(result.detectors.values())
    several = len(identity.strengths) > 1
    shown = []
    for number, row in enumerate(detectors[0].rows):
        label = f"{row.perturbation}, {row.strength}" if several and row.strength else row.perturbation
        shown.append([label, *(_percent(scores.rows[number].metrics["tpr_at_1"]) for scores in detectors)])
    for label, name in SUMMARY.items():
        if any(name in scores.summary for scores in detectors):
            shown.append([label, *(_percent(scores.summary.get(name)) for scores in detectors)])
    headers = ["% found at 1% false positives", *result.detectors]
    align = ("left", *["right"] * len(detectors))
    text = tabulate(shown, headers, disable_numparse=True, colalign=align)
    lines = [
        head,
        "",
        text,
        "",
        f'mean: over all rows but "{UNCHANGED}". right source: the best match is the very image that was copied.',
        "other scans: scans of a training patient that are flagged although that scan itself is not in the pool.",
        "One threshold per detector, over the non-copies of all rows.",
    ]
    return "\n".join(lines + [f"Note: {note}." for note in result.notes])


SUMMARY = {
    "mean": "tpr_at_1",
    "right source": "right_source",
    "found at tau": "sensitivity",
    "false positives at tau": "false_positive_rate",
    "other scans flagged": "other_scans_at_1",
    "other scans flagged at tau": "other_scans_at_tau",
}


def _percent(metric: Metric | None) -> str:
    return "" if metric is None else f"{100 * metric.value:.1f}"


def _fit(kind: type[CopyDetector], identity: ChallengeIdentity, splits: Splits, context: Context) -> CopyDetector:
    return kind().fit(splits.train, splits.holdout, splits.dev, context=context, preset=identity.preset)


def _trained(
    kind: type[CopyDetector],
    identity: ChallengeIdentity,
    splits: Splits,
    *,
    store: Store,
    device: str,
    track: Track,
) -> tuple[CopyDetector, bool]:
    """A detector, trained now unless what it learned is stored."""
    key = {
        "split": identity.split_digest,
        "trained_as": kind.TRAINED_AS,
        "version": kind.VERSION,
        "preset": identity.preset,
        "seed": identity.seed,
    }

    def write(into: Path, scratch: Path) -> None:
        seed = derive_seed(identity.seed, "detector", str(kind.TRAINED_AS))
        context = Context(seed, device, track, checkpoints=scratch)
        save_arrays(into / "detector.safetensors", _fit(kind, identity, splits, context).state())

    path, stored = store.get("challenge-detector", key, write)
    arrays = load_arrays(path / "detector.safetensors")
    return kind().restore(arrays, preset=identity.preset, device=device), stored


def _identity(
    settings: ChallengeSettings, task: TaskInfo, kinds: dict[str, type[CopyDetector]], splits: Splits, plan: Plan
) -> ChallengeIdentity:
    return ChallengeIdentity(
        version=CHALLENGE_VERSION,
        task=task.name,
        task_version=task.version,
        data=data_kind(settings.data),
        shape=splits.train.shape,
        split_digest=splits.digest,
        detectors={name: {"version": kind.VERSION, "code": code_digest(kind)} for name, kind in kinds.items()},
        perturbations=tuple(dict.fromkeys(c.perturbation for c in plan.conditions if c.strength is not None)),
        strengths=(settings.strength,),
        count=settings.count,
        preset=settings.preset,
        seed=settings.seed,
    )


def _result(
    identity: ChallengeIdentity,
    splits: Splits,
    plan: Plan,
    judged: dict[str, DetectorScores],
    device: str,
    seconds: dict[str, float],
) -> ChallengeResult:
    return ChallengeResult(
        run_id=identity.run_id,
        identity=identity,
        counts={
            "pool_images": len(plan.pool),
            "pool_patients": plan.pool.patient_count,
            "copies": len(plan.sources),
            "copied_patients": len(np.unique(plan.pool.patients[plan.sources])),
            "non_copies": len(plan.strangers),
            "other_patients": plan.strangers.patient_count,
            "other_scans": len(plan.scan_rows),
        },
        detectors=judged,
        notes=list(splits.notes),
        environment=environment(device),
        seconds=rounded(seconds),
    )
