"""One run, its stages in order: data, fit, sample, detector, measure, report.

Each stage is a function of the stages before it and is stored under a hash of what it depends on, so a run that was
interrupted goes on where it stopped, and two runs share what they have in common.
"""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from memobench.base.clock import Clock, rounded
from memobench.base.cost import LOSSES
from memobench.base.errors import MemobenchError, UsageError
from memobench.base.place import Place
from memobench.base.progress import Track, silent
from memobench.base.store import Store, copy_file, load_arrays, write_json, writing_into
from memobench.checkpoints.named import EXAMPLES, find_checkpoint, is_checkpoint
from memobench.data.public._source import data_kind, named_source
from memobench.data.samples import BITS
from memobench.data.splits import load_splits
from memobench.detection.stage import fit_detector, load_detector
from memobench.features import FEATURES, Features
from memobench.generator import GENERATORS, Generator, build
from memobench.provenance import code_digest, environment
from memobench.results import (
    DetectorScores,
    Identity,
    Metric,
    Origin,
    RegionsFound,
    Result,
    TrainingCost,
    finished,
    sealed,
)
from memobench.settings import RunSettings
from memobench.task import TASKS, Splits, TaskInfo
from memobench.training.acceleration import Acceleration, accelerated, device_of
from memobench.training.fitting import draw_samples, fit_generator, join_fit, join_samples
from memobench.training.processes import broadcast, device_of_process, launched, process_group
from memobench.training.rehearsal import comparison, foreseen_peak

if TYPE_CHECKING:
    from memobench.measure.measurement import Measured

IDENTITY_VERSION = 1
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")  # of a generator that was trained elsewhere
LONGEST = 200  # characters of what is declared of its training


def run(
    settings: RunSettings,
    *,
    rehearse: bool = False,
    track: Track = silent,
    say: Callable[[str], None] = lambda text: None,
) -> tuple[Result, Path]:
    """Train, sample, measure and report one generator on one task.

    Args:
        settings: What to do.
        rehearse: Say first how much memory the fit will hold, and at the end how much it held.
        track: Shows progress within a stage.
        say: Is told one line per stage.

    Returns:
        The result and its folder, ``<out>/<run_id>``.

    Raises:
        UsageError: An unknown name, field or value.
        DataError: The data cannot be used.
        MemobenchError: A stage failed; what was finished is kept.
    """
    asked = _entries(settings)
    extra = features_of(settings, asked.task)
    store = Store(settings.out / ".stages", settings.again, say)
    clock = Clock(say)
    with clock("data"):
        whole, clock.stored = _loaded(settings, asked.task, store, track)
    foreseen = _foreseen(settings, asked, whole, say) if rehearse else 0
    result, folder = carry_out(settings, asked, whole, extra, Place(store, "", track, say), clock)
    if rehearse and result.training is not None:
        say(comparison(foreseen, result.training.peak_memory))
    return result, folder


def _foreseen(settings: RunSettings, asked: Asked, whole: Splits, say: Callable[[str], None]) -> int:
    """The bytes that the fit will hold at most, which are said."""
    if asked.origin is not None or asked.generator.CONTROL:
        raise UsageError(f"{asked.name} is not trained here, so there is nothing to rehearse; leave out --rehearse")
    with accelerated(Acceleration(settings.precision, settings.compiled)):
        peak = foreseen_peak(asked.generator, _limited(settings, whole), device_of(settings.device))
    say(f"the fit will hold about {peak / 1e9:.2f} GB at most")
    return peak


def carry_out(
    settings: RunSettings,
    asked: Asked,
    whole: Splits,
    extra: Mapping[str, Features],
    place: Place,
    clock: Clock,
) -> tuple[Result, Path]:
    """All of a run behind its data: fit, sample, detector, measure, report.

    Args:
        settings: What to do.
        asked: The task and the generator.
        whole: All images of the task.
        extra: From :func:`features_of`.
        place: Store and progress; the device is found here.
        clock: Has timed how the data were had.
    """
    generator, store, say, track = asked.generator, place.store, place.say, place.track
    splits = _limited(settings, whole)
    identity = _identity(settings, asked, splits)
    folder = settings.out / identity.run_id
    done = finished(folder, identity, Result, say)
    if not settings.again and done is not None and searched_now(done):
        say("all stages are stored: nothing to do (--fresh does them again)")
        _meet(settings, False)
        return done, folder

    device = device_of_process(device_of(settings.device))
    place = dataclasses.replace(place, device=device)
    _meet(settings, True)
    with accelerated(Acceleration(settings.precision, settings.compiled)):
        with clock("fit"):
            fit_path, clock.stored = fit_generator(identity, generator, splits, place)
        with clock("sample"):
            sample_path, clock.stored = draw_samples(identity, generator, fit_path, place)
    with clock("detector"):
        # of all patients, so that runs with fewer are measured by the same one
        detector_path, clock.stored = fit_detector(whole, identity.detector, store=store, device=device, track=track)
    stages = Stages(identity, detector_path, fit_path, sample_path)
    with clock("measure"):
        measure_path, clock.stored = measure(stages, generator, splits, extra, place)
    with clock("report"):
        training = json.loads((stages.fit / "training.json").read_text())
        cost = None if identity.origin is not None else TrainingCost.model_validate(training["cost"])
        spent = {"environment": environment(device), "seconds": rounded(clock.seconds), "training": cost}
        head = Head(
            identity, settings.preset, settings.settings, generator.CONTROL, (*splits.notes, *training["notes"])
        )
        result = sealed(result_of(head, splits, measure_path, spent))
        with writing_into(settings.out):
            _report(folder, result, splits, stages, measure_path)
    return result, folder


def searched_now(result: Result) -> bool:
    """Whether a result's regions were searched by this version; of older ones the samples are measured again."""
    from memobench.detection.parameters import REGION_VERSION

    return result.regions is not None and result.regions.version == REGION_VERSION


def follow(settings: RunSettings) -> None:
    """What a process that is not the main one does while that one is in :func:`run`: help to fit and to sample."""
    asked = _entries(settings)
    if not _meet(settings, False):  # the main process says whether there is anything to do; its data are stored now
        return
    device = device_of_process(device_of(settings.device))
    store = Store(settings.out / ".stages")
    whole, _ = _loaded(settings, asked.task, store, silent)
    splits = _limited(settings, whole)
    identity, generator = _identity(settings, asked, splits), asked.generator
    with accelerated(Acceleration(settings.precision, settings.compiled)):
        join_fit(identity, generator, splits, device=device)
        join_samples(identity, generator, device=device)


def _meet(settings: RunSettings, value: bool) -> bool:
    """Where several processes were launched, the main one's value, once all are here."""
    if launched().count == 1:
        return value
    with process_group(device_of_process(device_of(settings.device))):
        return broadcast(value)


def identity_of(settings: RunSettings, whole: Splits) -> Identity:
    """The identity of a run on a task's images, all of them; nothing is run.

    A run that this machine cannot do has one too: its result may come from another machine.

    Raises:
        UsageError: An unknown name, field or value.
    """
    return _identity(settings, _named(settings), _limited(settings, whole))


def plan(settings: RunSettings) -> str:
    """What a run would do, after checking its words; nothing is drawn, read or trained."""
    asked = _entries(settings)
    task, generator = asked.task, asked.generator
    shape = task.shape_at(settings.size)
    if named := named_source(settings.data):
        from memobench.data.files.archives import folder_of
        from memobench.data.public._prepare import list_all
        from memobench.data.public._published import published

        source, root = named.source, folder_of(named.root)
        split = published(source.name, named.split) if named.split else None
        records = list_all(source, root, skip_unreadable=settings.skip_unreadable, split=split).records
        which = f"{source.title}{f', split {named.split},' if named.split else ''} in {root}"
        data = f"{len(records)} images of {len({one.patient for one in records})} patients of {which}"
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


@dataclass(frozen=True)
class Asked:
    """Which generator on which task.

    Attributes:
        task: The task.
        generator: Unfitted; or trained elsewhere, and then fitting does nothing.
        name: Of the generator, as results have it.
        origin: Where it comes from, where it was trained elsewhere.
    """

    task: TaskInfo
    generator: Generator
    name: str
    origin: Origin | None = None


def _entries(settings: RunSettings) -> Asked:
    """The task and the generator that the settings name, which can run here."""
    asked = _named(settings)
    if reason := asked.generator.skip(asked.task.shape_at(settings.size)):
        raise MemobenchError(f'model "{settings.model}" cannot model task {asked.task.name}: {reason}')
    return asked


def _named(settings: RunSettings) -> Asked:
    if is_checkpoint(settings.model):
        return _checkpoint(settings)
    if settings.weights or settings.name or settings.trained_on or settings.run_their_code:
        raise UsageError(
            f'"{settings.model}" is trained here; --weights, --name, --trained-on and --run-their-code are for '
            f"checkpoints: --model {EXAMPLES}"
        )
    kind = GENERATORS.get(settings.model)
    generator = build(kind, settings.model, settings.preset, settings.settings)
    return Asked(TASKS.get(settings.task), generator, settings.model)


def _checkpoint(settings: RunSettings) -> Asked:
    task = TASKS.get(settings.task)
    found = find_checkpoint(
        settings.model,
        settings.settings,
        task.shape_at(settings.size),
        weights=settings.weights,
        run_their_code=settings.run_their_code,
    )
    name = checked_name(settings.name or found.name)
    return Asked(task, found.generator, name, origin_of("checkpoint", found.digest, settings.trained_on))


def checked_name(name: str) -> str:
    """The name of a generator that was trained elsewhere.

    Raises:
        UsageError: It is no name, or is that of a model of memobench, which drew none of its samples.
    """
    if not NAME.fullmatch(name):
        raise UsageError(f'--name "{name}" is no name; use letters, digits, _, . and -, 64 at most')
    if name in GENERATORS.files():
        raise UsageError(f'--name {name} is a model of memobench; choose another name, for example "my-{name}"')
    return name


def origin_of(kind: Literal["samples", "checkpoint"], digest: str, trained_on: str) -> Origin:
    """Where a generator comes from.

    Raises:
        UsageError: What was declared of its training images is too long, or holds characters that nobody sees.
    """
    declared = " ".join(trained_on.split())
    if len(declared) > LONGEST or not declared.isprintable():
        raise UsageError(
            f"--trained-on takes {LONGEST} characters at most that can be printed, not {declared[:40]!a}..."
        )
    return Origin(kind=kind, digest=digest, trained_on=declared)


def features_of(settings: RunSettings, task: TaskInfo) -> dict[str, Features]:
    """The further features on which quality is measured, by name, made before any work is done."""
    device = device_of(settings.device) if settings.features else ""
    return {name: _features(name, task, device) for name in settings.features}


def _features(name: str, task: TaskInfo, device: str) -> Features:
    maker = FEATURES.get(name)
    if task.dim not in maker.dims:
        raise UsageError(f'features "{name}" are for {maker.dims[0]}D images, and task {task.name} is {task.dim}D')
    return maker(device=device)


def _loaded(settings: RunSettings, task: TaskInfo, store: Store, track: Track) -> tuple[Splits, bool]:
    """The images that the settings name, of all patients, and whether they were stored."""
    splits, _, stored = load_splits(
        task, settings.data, settings.size, store=store, skip_unreadable=settings.skip_unreadable, track=track
    )
    return splits, stored


def _limited(settings: RunSettings, whole: Splits) -> Splits:
    return whole if settings.train_patients is None else whole.limited(settings.train_patients)


def _identity(settings: RunSettings, asked: Asked, splits: Splits) -> Identity:
    from memobench.detection.parameters import DETECTOR_VERSION, MEASURE_VERSION, EmbeddingParameters

    detector = EmbeddingParameters.preset(settings.preset)
    task, origin = asked.task, asked.origin
    return Identity(
        version=IDENTITY_VERSION,
        task=task.name,
        task_version=task.version,
        data=data_kind(settings.data),
        shape=splits.train.shape,
        split_digest=splits.digest,
        model=asked.name,
        parameters=json.loads(json.dumps(dataclasses.asdict(asked.generator))),
        generator_code="" if origin is not None and origin.kind == "samples" else code_digest(type(asked.generator)),
        seed=settings.seed,
        samples=settings.samples or task.samples,
        detector_version=DETECTOR_VERSION,
        measure_version=MEASURE_VERSION,
        features=settings.features,
        detector=json.loads(json.dumps(dataclasses.asdict(detector))),
        origin=origin,
        split_ids=splits.ids,
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

        detector = load_detector(stages.detector, identity.detector, store=place.store, device=device)
        generator.restore(load_arrays(stages.fit / "state.safetensors"), device=device)
        samples = _load_samples(stages.samples)
        measured = measurement.measure(
            samples, splits, detector, generator, extra, null_images=identity.detector["null_images"], track=place.track
        )
        write_measured(measured, splits, into)

    from memobench.detection.parameters import REGION_VERSION

    key = {**identity.model_dump(mode="json"), "regions": REGION_VERSION, "bits": BITS}
    return place.store.get("measure", key, write)


def write_measured(measured: Measured, splits: Splits, into: Path) -> None:
    """Write a measurement as :func:`result_of` reads it: ``metrics.json``, ``scores.npz`` and ``calls.csv``."""
    from memobench.memorization.calls import calls_csv

    write_json(
        into / "metrics.json",
        {
            "metrics": {name: metric.model_dump() for name, metric in measured.metrics.items()},
            "threshold": dataclasses.asdict(measured.copies.threshold),
            "challenge": measured.challenge.model_dump(),
            "notes": measured.notes,
            "odd": measured.odd,
            "regions": measured.regions.model_dump(mode="json"),
            "shift": None if splits.drawn else dataclasses.asdict(measured.copies.evidence.shift),
        },
    )
    np.savez_compressed(into / "scores.npz", **measured.arrays())  # type: ignore[arg-type]  # no key is allow_pickle
    (into / "calls.csv").write_text(calls_csv(measured.copies.calls), encoding="utf-8", newline="")


@dataclass(frozen=True)
class Head:
    """What of a result is known before anything is measured.

    Attributes:
        identity: What the numbers depend on.
        preset: The preset that was asked for.
        settings: What was set by ``--set``.
        control: Whether the generator's true answer is known.
        notes: On the data and the fit.
    """

    identity: Identity
    preset: str
    settings: Mapping[str, str]
    control: bool
    notes: tuple[str, ...]


def result_of(head: Head, splits: Splits, measure_path: Path, spent: Mapping[str, Any]) -> Result:
    """The result of a measurement, without its checksum.

    Args:
        head: What was measured.
        splits: The task's images.
        measure_path: Where :func:`write_measured` wrote it.
        spent: The fields ``environment``, ``seconds`` and ``training``.
    """
    from memobench.measure.findings import decided_samples, evidence_of_scores, run_findings
    from memobench.memorization.decide import Decisions, Threshold
    from memobench.memorization.rates import Pools
    from memobench.memorization.shift import BY_DESIGN, Shift

    identity = head.identity
    measured = json.loads((measure_path / "metrics.json").read_text())
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
    shift = Shift(**measured["shift"]) if measured.get("shift") else BY_DESIGN
    evidence = evidence_of_scores(decisions, pools, null, limit, shift=shift)
    findings = run_findings(
        metrics,
        challenge,
        counts,
        preset=head.preset,
        data=identity.data,
        origin=identity.origin,
        evidence=evidence,
    )
    regions = RegionsFound.model_validate(measured["regions"])
    origin = [] if identity.origin is None else [identity.origin.words]
    return Result(
        run_id=identity.run_id,
        identity=identity,
        preset=head.preset,
        settings={} if identity.origin is not None else dict(head.settings),
        control=head.control,
        counts=counts,
        threshold=measured["threshold"],
        metrics=metrics,
        challenge=challenge,
        decision=decided_samples(findings, decisions, evidence, regions=regions),
        notes=[*origin, *head.notes, *measured["notes"]],
        **spent,
        regions=regions,
    )


def _report(folder: Path, result: Result, splits: Splits, stages: Stages, measure_path: Path) -> None:
    """Write the run's folder; ``result.json`` comes last, so that where it is, all is."""
    from memobench.report.gallery import draw_gallery
    from memobench.report.region_gallery import draw_regions, regions_csv
    from memobench.report.sheet import draw_sheet

    folder.mkdir(parents=True, exist_ok=True)
    with np.load(measure_path / "scores.npz", allow_pickle=False) as archive:
        scores = dict(archive)
    for name, source in [("samples.npz", stages.samples), ("scores.npz", measure_path), ("calls.csv", measure_path)]:
        copy_file(source / name, folder)
    losses = stages.fit / LOSSES
    if losses.is_file() and len(losses.read_text(encoding="utf-8").splitlines()) > 1:  # of a control a head alone
        copy_file(losses, folder)
    samples = _load_samples(stages.samples)
    draw_gallery(folder / "gallery.png", samples, splits, scores, result)
    if result.regions is not None:
        (folder / "regions.csv").write_text(regions_csv(result.regions), encoding="utf-8", newline="")
        draw_regions(folder / "regions.png", samples, splits.train, result.regions)
    draw_sheet(folder / "samples.png", samples, splits.test.pixels, result)
    write_json(folder / "result.json", result.model_dump(mode="json"))


def _load_samples(path: Path) -> NDArray[np.float32]:
    with np.load(path / "samples.npz", allow_pickle=False) as archive:
        samples: NDArray[np.float32] = archive["samples"]
    return samples
