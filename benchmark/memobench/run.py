"""One run, its stages in order: data, detector, fit, sample, measure, report.

Each stage is a function of the stages before it and is stored under a hash of what it depends on, so a run that was
interrupted goes on where it stopped, and two runs share what they have in common.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from memobench.base.clock import Clock, rounded
from memobench.base.errors import MemobenchError, UsageError
from memobench.base.place import Place
from memobench.base.progress import Track, silent
from memobench.base.store import Store, copy_file, load_arrays, write_json, writing_into
from memobench.data.public._source import data_kind, named_source
from memobench.data.splits import load_splits
from memobench.detection.stage import fit_detector, load_detector
from memobench.features import FEATURES, Features
from memobench.generator import GENERATORS, Generator, build
from memobench.provenance import code_digest, environment
from memobench.results import DetectorScores, Identity, Metric, Result, TrainingCost, finished, sealed
from memobench.settings import RunSettings
from memobench.task import TASKS, Splits, TaskInfo
from memobench.training.acceleration import Acceleration, accelerated, device_of
from memobench.training.fitting import draw_samples, fit_generator, join_fit, join_samples
from memobench.training.processes import device_of_process, launched, together, told

if TYPE_CHECKING:
    pass

IDENTITY_VERSION = 1


def run(
    settings: RunSettings, *, track: Track = silent, say: Callable[[str], None] = lambda text: None
) -> tuple[Result, Path]:
    """Train, sample, measure and report one generator on one task.

    Args:
        settings: What to do.
        track: Shows progress within a stage.
        say: Is told one line per stage.

    Returns:
        The result and its folder, ``<out>/<run_id>``.

    Raises:
        UsageError: An unknown name, field or value.
        DataError: The data cannot be used.
        MemobenchError: A stage failed; what was finished is kept.
    """
    task, kind, generator = _entries(settings)
    device = device_of(settings.device) if settings.features else ""
    extra = {name: _features(name, task, device) for name in settings.features}
    store = Store(settings.out / ".stages", settings.again, say)
    clock = Clock(say)

    with clock("data"):
        whole, _, clock.stored = load_splits(
            task, settings.data, settings.size, store=store, skip_unreadable=settings.skip_unreadable, track=track
        )
        splits = _limited(settings, whole)
    identity = _identity(settings, task, generator, splits)
    folder = settings.out / identity.run_id
    if not settings.again and (done := finished(folder, identity, Result, say)):
        say("all stages are stored: nothing to do (--fresh does them again)")
        _meet(settings, False)
        return done, folder

    device = device_of_process(device or device_of(settings.device))
    place = Place(store, device, track, say)
    _meet(settings, True)
    with clock("detector"):
        # of all patients, so that runs with fewer are measured by the same one
        detector_path, clock.stored = fit_detector(whole, identity.detector, store=store, device=device, track=track)
    with accelerated(Acceleration(settings.precision, settings.compiled)):
        with clock("fit"):
            fit_path, clock.stored = fit_generator(identity, generator, splits, place)
        with clock("sample"):
            sample_path, clock.stored = draw_samples(identity, generator, fit_path, place)
    stages = Stages(identity, detector_path, fit_path, sample_path)
    with clock("measure"):
        measure_path, clock.stored = measure(stages, generator, splits, extra, place)
    with clock("report"):
        spent = {"environment": environment(device), "seconds": rounded(clock.seconds)}
        result = sealed(_result(settings, stages, kind.CONTROL, splits, measure_path, spent))
        with writing_into(settings.out):
            _report(folder, result, splits, sample_path, measure_path)
    return result, folder


def follow(settings: RunSettings) -> None:
    """What a process that is not the main one does while that one is in :func:`run`: help to fit and to sample."""
    task, _, generator = _entries(settings)
    if not _meet(settings, False):  # the main process says whether there is anything to do; its data are stored now
        return
    device = device_of_process(device_of(settings.device))
    store = Store(settings.out / ".stages")
    whole, _, _ = load_splits(
        task, settings.data, settings.size, store=store, skip_unreadable=settings.skip_unreadable, track=silent
    )
    splits = _limited(settings, whole)
    identity = _identity(settings, task, generator, splits)
    with accelerated(Acceleration(settings.precision, settings.compiled)):
        join_fit(identity, generator, splits, device=device)
        join_samples(identity, generator, device=device)


def _meet(settings: RunSettings, value: bool) -> bool:
    """Where several processes were launched, the main one's value, once all are here."""
    if launched().count == 1:
        return value
    with together(device_of_process(device_of(settings.device))):
        return told(value)


def identity_of(settings: RunSettings, whole: Splits) -> Identity:
    """The identity of a run on a task's images, all of them; nothing is run.

    A run that this machine cannot do has one too: its result may come from another machine.

    Raises:
        UsageError: An unknown name, field or value.
    """
    task, _, generator = _named(settings)
    return _identity(settings, task, generator, _limited(settings, whole))


def plan(settings: RunSettings) -> str:
    """What a run would do, after checking its words; nothing is drawn, read or trained."""
    task, _, generator = _entries(settings)
    shape = task.shape_at(settings.size)
    if named := named_source(settings.data):
        from memobench.data.public._prepare import list_all

        source, root = named
        records = list_all(source, root, skip_unreadable=settings.skip_unreadable).records
        data = f"{len(records)} images of {len({one.patient for one in records})} patients of {source.title} in {root}"
    elif settings.data != "phantom":
        from memobench.data.files.archives import folder_of
        from memobench.data.manifest import read_manifest

        manifest = read_manifest(folder_of(Path(settings.data)))
        data = f"{len(manifest.files)} images of {len(set(manifest.patients))} patients in {settings.data}"
    else:
        data = f"phantom, {settings.train_patients or task.split.train} training patients"
    lines = [
        f"task      {task.name} (version {task.version}), images of {'x'.join(map(str, shape))}",
        f"data      {data}",
        f"model     {settings.model}, preset {settings.preset}, seed {settings.seed}",
        *(f"            {name} = {value}" for name, value in dataclasses.asdict(generator).items()),
        f"samples   {settings.samples or task.samples}",
        f"out       {settings.out}",
    ]
    return "\n".join(lines)


def _entries(settings: RunSettings) -> tuple[TaskInfo, type[Generator], Generator]:
    """The task, the generator's class and the generator that the settings name, which can run here."""
    task, kind, generator = _named(settings)
    if reason := kind.skip(task.shape_at(settings.size)):
        raise MemobenchError(f'model "{settings.model}" cannot model task {task.name}: {reason}')
    return task, kind, generator


def _named(settings: RunSettings) -> tuple[TaskInfo, type[Generator], Generator]:
    kind = GENERATORS.get(settings.model)
    return TASKS.get(settings.task), kind, build(kind, settings.model, settings.preset, settings.settings)


def _features(name: str, task: TaskInfo, device: str) -> Features:
    maker = FEATURES.get(name)
    if task.dim not in maker.dims:
        raise UsageError(f'features "{name}" are for {maker.dims[0]}D images, and task {task.name} is {task.dim}D')
    return maker(device=device)


def _limited(settings: RunSettings, whole: Splits) -> Splits:
    return whole if settings.train_patients is None else whole.limited(settings.train_patients)


def _identity(settings: RunSettings, task: TaskInfo, generator: Generator, splits: Splits) -> Identity:
    from memobench.detection.parameters import DETECTOR_VERSION, MEASURE_VERSION, EmbeddingParameters

    detector = EmbeddingParameters.preset(settings.preset)
    return Identity(
        version=IDENTITY_VERSION,
        task=task.name,
        task_version=task.version,
        data=data_kind(settings.data),
        shape=splits.train.shape,
        split_digest=splits.digest,
        model=settings.model,
        parameters=json.loads(json.dumps(dataclasses.asdict(generator))),
        generator_code=code_digest(type(generator)),
        seed=settings.seed,
        samples=settings.samples or task.samples,
        detector_version=DETECTOR_VERSION,
        measure_version=MEASURE_VERSION,
        features=settings.features,
        detector=json.loads(json.dumps(dataclasses.asdict(detector))),
    )


@dataclass(frozen=True)
class Stages:
    """What stands before a run is measured.

    Attributes:
        identity: What the run depends on.
        detector: Folder of the detector.
        fit: Folder of the fitted generator.
        samples: Folder of the samples.
    """

    identity: Identity
    detector: Path
    fit: Path
    samples: Path


def measure(
    stages: Stages, generator: Generator, splits: Splits, extra: Mapping[str, Features], place: Place
) -> tuple[Path, bool]:
    """All metrics (``metrics.json``), per-sample scores (``scores.npz``) and the list of calls (``calls.csv``)."""
    identity, device = stages.identity, place.device

    def write(into: Path, scratch: Path) -> None:
        from memobench.measure import measurement
        from memobench.memorization.calls import calls_csv

        detector = load_detector(stages.detector, identity.detector, device=device)
        generator.restore(load_arrays(stages.fit / "state.safetensors"), device=device)
        samples = _load_samples(stages.samples)
        measured = measurement.measure(
            samples, splits, detector, generator, extra, null_images=identity.detector["null_images"], track=place.track
        )
        write_json(
            into / "metrics.json",
            {
                "metrics": {name: metric.model_dump() for name, metric in measured.metrics.items()},
                "threshold": dataclasses.asdict(measured.copies.threshold),
                "challenge": measured.challenge.model_dump(),
                "notes": measured.notes,
                "odd": measured.odd,
            },
        )
        np.savez_compressed(into / "scores.npz", **measured.arrays())  # type: ignore[arg-type]  # no key is allow_pickle
        (into / "calls.csv").write_text(calls_csv(measured.copies.calls), encoding="utf-8", newline="")

    return place.store.get("measure", identity.model_dump(mode="json"), write)


def _result(
    settings: RunSettings,
    stages: Stages,
    control: bool,
    splits: Splits,
    measure_path: Path,
    spent: Mapping[str, Any],
) -> Result:
    from memobench.measure.findings import decided_samples, evidence_of_scores, run_findings
    from memobench.memorization.decide import Decisions, Threshold
    from memobench.memorization.rates import Pools

    identity = stages.identity
    measured = json.loads((measure_path / "metrics.json").read_text())
    training = json.loads((stages.fit / "training.json").read_text())
    metrics = {name: Metric.model_validate(values) for name, values in measured["metrics"].items()}
    sides = {"train": splits.train, "holdout": splits.holdout, "test": splits.test, "fresh": splits.fresh}
    if splits.dev is not None:
        sides["dev"] = splits.dev
    counts = {f"{name}_images": len(images) for name, images in sides.items()}
    counts |= {f"{name}_patients": images.patient_count for name, images in sides.items()}
    counts |= {"samples": identity.samples} | measured.get("odd", {})
    challenge = DetectorScores.model_validate(measured["challenge"])
    with np.load(measure_path / "scores.npz", allow_pickle=False) as archive:
        decisions = Decisions(**{name: archive[name] for name in Decisions.__dataclass_fields__})
        null = archive["null"]
    pools, limit = Pools.of(splits.train, splits.holdout), Threshold(**measured["threshold"])
    evidence = evidence_of_scores(decisions, pools, null, limit)
    findings = run_findings(metrics, challenge, counts, preset=settings.preset, data=identity.data, evidence=evidence)
    return Result(
        run_id=identity.run_id,
        identity=identity,
        preset=settings.preset,
        settings=dict(settings.settings),
        control=control,
        counts=counts,
        threshold=measured["threshold"],
        metrics=metrics,
        challenge=challenge,
        decision=decided_samples(findings, decisions, evidence),
        notes=[*splits.notes, *training["notes"], *measured["notes"]],
        **spent,
        training=TrainingCost.model_validate(training["cost"]),
    )


def _report(folder: Path, result: Result, splits: Splits, sample_path: Path, measure_path: Path) -> None:
    """Write the run's folder; ``result.json`` comes last, so that where it is, all is."""
    from memobench.report.gallery import draw_gallery
    from memobench.report.sheet import draw_sheet

    folder.mkdir(parents=True, exist_ok=True)
    with np.load(measure_path / "scores.npz", allow_pickle=False) as archive:
        scores = dict(archive)
    for name, source in [("samples.npz", sample_path), ("scores.npz", measure_path), ("calls.csv", measure_path)]:
        copy_file(source / name, folder)
    samples = _load_samples(sample_path)
    draw_gallery(folder / "gallery.png", samples, splits, scores, result)
    draw_sheet(folder / "samples.png", samples, splits.test.pixels, result)
    write_json(folder / "result.json", result.model_dump(mode="json"))


def _load_samples(path: Path) -> NDArray[np.float32]:
    with np.load(path / "samples.npz", allow_pickle=False) as archive:
        samples: NDArray[np.float32] = archive["samples"]
    return samples
