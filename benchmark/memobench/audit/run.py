"""``bench audit``: folders in, a decision, a report and a cleaned set out; and the same from Python, on arrays.

``out`` holds what is confidential (``report.html``, ``audit.json``, ``audit.csv``, ``left_out.csv``, the stored stages)
and, in ``out/public``, what may be handed on.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import permutations
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray

from memobench.audit.agreement import (
    balance_notes,
    check_apart,
    check_enough,
    contrast_notes,
    identity_notes,
    in_pose_of,
    window_notes,
    with_content,
)
from memobench.audit.carriers import RealNames, carriers, people_of
from memobench.audit.clean import LIST as LEFT_OUT
from memobench.audit.clean import Cleaned, Sorted, check_target, left_out_csv, sort_files, write_clean
from memobench.audit.drawn import check_source, draw_images
from memobench.audit.measure import Audited, measure_audit
from memobench.audit.persons import apart
from memobench.audit.plots import boxed_picture, pair_picture, score_plot
from memobench.audit.policy import Policy, read_policy, refusals, unmet
from memobench.audit.public import Public, public_files, sha256_of
from memobench.audit.report import Pair, Shown, html_report, images_csv
from memobench.audit.results import (
    AffectedPatient,
    AuditedImage,
    AuditedRegion,
    AuditResult,
    PolicyOutcome,
    guarantee_words,
)
from memobench.audit.settings import AuditSettings
from memobench.audit.strata import strata_of
from memobench.base.clock import Clock, rounded
from memobench.base.errors import DataError, UsageError
from memobench.base.place import Place, nobody
from memobench.base.progress import Track, silent
from memobench.base.seeds import derive_seed
from memobench.base.store import Store, digest_of, load_arrays, save_arrays, writing_into
from memobench.data.arrays import Range, Reading, images_of, same_shape
from memobench.data.files.archives import folder_of
from memobench.data.files.inspect import Inspection, inspect_folder
from memobench.data.files.picture import SCALING_VERSION
from memobench.data.files.prepare import common_shape, prepare
from memobench.data.files.walk import shown
from memobench.detection.content import content_notes
from memobench.detection.crossfit import Detector
from memobench.detection.overlay import overlay
from memobench.detection.parameters import DETECTOR_VERSION, MEASURE_VERSION, EmbeddingParameters
from memobench.detection.recall import Recall
from memobench.detection.remember import RememberingDetector
from memobench.detection.shards import Elsewhere
from memobench.detection.sheets import sheet_notes, sheets_by_size
from memobench.execution.perform import HERE_ALONE, Workplace, opened
from memobench.execution.settings import HERE, Execution
from memobench.generator import Context
from memobench.images import Images, content_digests
from memobench.measure.decision import Findings, decide_set
from memobench.measure.findings import measured_findings, recorded
from memobench.measure.measurement import Ask
from memobench.measure.region_words import region_findings, region_rows
from memobench.provenance import environment
from memobench.report.gallery import strongest
from memobench.stats.strata import Strata
from memobench.training.acceleration import device_of

PAIRS = 12  # in the gallery


@dataclass(frozen=True)
class AuditReport:
    """An audit as Python and notebooks see it.

    Attributes:
        result: What was found.
        html: The report, one self-contained page.
        findings: What the decision rests on.
        audited: All that was measured, image by image.
        cleaned: What was copied by ``clean``; None where it was not asked for.
    """

    result: AuditResult
    html: str
    findings: Findings
    audited: Audited
    cleaned: Cleaned | None = None

    def _repr_html_(self) -> str:
        """The report within a notebook, in a frame of its own so that its style stays there."""
        page = self.html.replace("&", "&amp;").replace('"', "&quot;")
        return f'<iframe srcdoc="{page}" style="width:100%;height:40rem;border:0" title="Audit report"></iframe>'


@dataclass(frozen=True)
class _Sides:
    """What is compared, with the names that people know the images by."""

    synthetic: Images
    train: Images
    holdout: Images | None
    names: Sequence[str]
    train_names: Sequence[str]
    patients_known: bool
    unreadable: Sequence[tuple[str, str]]
    notes: Sequence[str]
    carriers: Mapping[str, str] = field(default_factory=dict)
    files: Sequence[tuple[str, ...]] = ()
    shapes: Sequence[tuple[int, ...]] = ()
    holdout_turned: bool = False  # whether the held-out images lay in another pose than the training images
    strata: Strata | None = None


@dataclass(frozen=True)
class _Asked:
    """How to look, beside what to look at.

    Attributes:
        preset: The detector's.
        device: "auto", or a torch device.
        policy: Limits; None for none.
        kept: Where stages stay; None where they are deleted at the end.
        place: Where queries are matched.
        recall: Where what was found of single images is remembered, for many sets that share images; None for nowhere.
    """

    preset: str
    device: str
    policy: Policy | None = None
    kept: Path | None = None
    place: Workplace = HERE_ALONE
    recall: Recall | None = None


def audit_folders(
    settings: AuditSettings,
    *,
    execution: Execution = HERE,
    track: Track = silent,
    say: Callable[[str], None] = lambda text: None,
) -> AuditReport:
    """Read, compare, report, and copy the safe files if asked to.

    Args:
        settings: What to do.
        execution: Where the images are matched, block by block.
        track: Shows progress.
        say: Is told one line per stage.

    Returns:
        The report; ``report.html``, ``audit.json`` and ``audit.csv`` stand in ``settings.out``.

    Raises:
        DataError: A folder or file cannot be used; the message names it, the reason and the fix.
    """
    check_source(settings)
    if execution.executor != "local" and not settings.store:
        raise UsageError("--no-store keeps stages on this machine alone; leave it or --executor out")
    settings = _unpacked(settings)
    folders = {"train": settings.train}
    if settings.synthetic is not None:
        folders["synthetic"] = settings.synthetic
    if settings.holdout is not None:
        folders["holdout"] = settings.holdout
        if settings.holdout.resolve() == settings.train.resolve():
            raise DataError(
                f"--holdout {shown(str(settings.holdout))} is the folder of --train; give images of patients whom the "
                "generator never saw, or leave --holdout out"
            )
    _check_nested(folders)
    if settings.clean is not None:
        check_target(settings.clean, list(folders.values()))
    policy = None if settings.policy is None else read_policy(settings.policy)
    work = Workplace(execution, settings.out, track, say)
    with _stages(settings.out, settings.store) as (store, kept), opened(work) as place:
        asked = _Asked(settings.preset, settings.device, policy, kept, place)
        return _audit_folders(settings, folders, store, asked, track, say)


def _check_nested(folders: Mapping[str, Path]) -> None:
    """Refuse a folder that lies within another one, whose images would count on both sides.

    Raises:
        DataError: One does.
    """
    for outer, inner in permutations(folders, 2):
        around, inside = folders[outer].resolve(), folders[inner].resolve()
        if around != inside and around in inside.parents:
            raise DataError(
                f"--{inner} {shown(str(folders[inner]))} lies within --{outer} {shown(str(folders[outer]))}, so its "
                "images would count for both; put the folders side by side"
            )


def _audit_folders(
    settings: AuditSettings,
    folders: Mapping[str, Path],
    store: Store,
    asked: _Asked,
    track: Track,
    say: Callable[[str], None],
) -> AuditReport:
    clock = Clock(say)
    found: dict[str, Inspection] = {}
    drawn: list[str] = []
    with clock("inspect"):
        for side in folders:  # the training images come first: they say whether all are images or volumes
            found[side] = _inspect(folders[side], side, settings, found["train"].dim if found else settings.dim, track)
        shape = common_shape(list(found.values()), settings.size)
    if settings.generator:
        with clock("draw"):
            train, _ = _prepared(found["train"], shape, store, track)
            synthetic, words = draw_images(settings, train, Place(store, device_of(asked.device), track, say))
            settings = dataclasses.replace(settings, synthetic=synthetic)
            drawn.append(f"synthetic: {words}")
            found["synthetic"] = _inspect(synthetic, "synthetic", settings, found["train"].dim, track)
    made = settings.made
    with clock("read"):
        images, stored = {}, []
        for side, inspection in found.items():
            read, done = _prepared(inspection, shape, store, track)
            if not inspection.patients_known:  # names of files, which may be the same in two folders
                read = dataclasses.replace(read, patients=np.char.add(f"{side}/", read.patients))
            images[side] = read
            stored.append(done)
        clock.stored = all(stored)
    real = _real_names(found)
    synthetic_files = sorted({file for item in found["synthetic"].items for file in item.files})
    sides = _Sides(
        images["synthetic"],
        images["train"],
        images.get("holdout"),
        _item_names(found["synthetic"]),
        _item_names(found["train"]),
        all(inspection.patients_known for side, inspection in found.items() if side != "synthetic"),
        [(f"{side}/{file}", reason) for side, inspection in found.items() for file, reason in inspection.unreadable],
        [
            *drawn,
            *(f"{side}: {note}" for side, inspection in found.items() for note in inspection.notes),
            *window_notes(found),
        ],
        carriers(made, synthetic_files, real),
        [item.files for item in found["synthetic"].items],
        [item.shape for item in found["synthetic"].items],
        strata=strata_of(found, images, settings.strata),
    )
    if sides.unreadable:
        count = len(sides.unreadable)
        say(f"{count} file{'s' * (count > 1)} cannot be used and were passed over; the report names them")
    report = _audit(sides, asked, store, clock, track)
    for note in report.result.notes:
        # names of real files and patients stay in the report
        say("Note: one on real files; the report holds it" if real.within(note) else f"Note: {note}")
    chosen = sort_files(report.result.images, sides.files)
    with writing_into(settings.out):
        _write(settings, report, chosen)
    if settings.clean is None:
        return report
    return dataclasses.replace(report, cleaned=write_clean(settings.clean, made, chosen))


def _write(settings: AuditSettings, report: AuditReport, chosen: Sorted) -> None:
    """Write the confidential files, and beside them what may be handed on."""
    settings.out.mkdir(parents=True, exist_ok=True)
    (settings.out / "report.html").write_text(report.html, encoding="utf-8")
    (settings.out / "audit.csv").write_text(images_csv(report.result), encoding="utf-8")
    (settings.out / LEFT_OUT).write_text(left_out_csv(chosen), encoding="utf-8")
    # the warning comes first in the file, so keys are not sorted
    (settings.out / "audit.json").write_text(report.result.model_dump_json(indent=1) + "\n", encoding="utf-8")
    digests = [sha256_of(settings.made / file) for file in chosen.kept]
    public = Public(report.result, report.findings, chosen.kept, digests, settings.clean is not None)
    folder = settings.out / "public"
    folder.mkdir(exist_ok=True)
    for name, text in public_files(public).items():
        (folder / name).write_text(text, encoding="utf-8")


@contextmanager
def _stages(out: Path, keep: bool) -> Iterator[tuple[Store, Path | None]]:
    """Where stages are stored, and where they stay; they hold the real images, so without ``keep`` they are deleted."""
    if keep:
        yield Store(out / ".stages"), out / ".stages"
        return
    with TemporaryDirectory(prefix="memobench-audit-") as folder:
        yield Store(Path(folder)), None


def _real_names(found: Mapping[str, Inspection]) -> RealNames:
    """Patients and files of the real sides."""
    real = [inspection for side, inspection in found.items() if side != "synthetic"]
    patients = {item.patient for one in real if one.patients_known for item in one.items}
    files = {file for one in real for item in one.items for file in item.files}
    people = {name for one in real for name in people_of(one.root, {file for item in one.items for file in item.files})}
    return RealNames(patients | people, files)


def audit(  # noqa: PLR0913  the words of a call from Python, each with its default
    synthetic: Any,
    train: Any,
    holdout: Any = None,
    *,
    train_patients: Sequence[str] | None = None,
    holdout_patients: Sequence[str] | None = None,
    value_range: Range | Mapping[str, Range] | None = None,
    axes: str | None = None,
    preset: str = "quick",
    device: str = "auto",
    out: Path | str = "audit",
    clean: Path | str | None = None,
    policy: Path | str | None = None,
    store: bool = True,
    track: Track = silent,
) -> AuditReport:
    """Audit synthetic images from Python: arrays, or folders as ``bench audit`` takes them.

    Args:
        synthetic: Images as :func:`memobench.data.arrays.pixels_of` reads them (an array, a tensor, a list of arrays or
            of PIL images), scaled as :mod:`memobench.data.files.picture` says; or a folder.
        train: The images that the generator learned from, likewise.
        holdout: Images of other patients, likewise; None where there are none.
        train_patients: (n,) the patient of each training image; None if each is of another patient.
        holdout_patients: (m,) likewise.
        value_range: For arrays: the values of black and white, for example (-1, 1); or a pair for each of "synthetic",
            "train" and "holdout". None: of unsigned integers that of the type, of floating point 0 to 1.
        axes: For arrays: one letter per axis, for example "NCHW"; None: by the shape, where it is clear.
        preset: How much the detector is trained: smoke, quick, standard or paper.
        device: "auto", or a torch device.
        out: Where stages and, for folders, the report are written.
        clean: For folders: where to write the cleaned set.
        policy: TOML file of limits; None for none.
        store: Whether stages, which hold the real images, stay in ``out/.stages``.
        track: Shows progress.

    Raises:
        DataError: The images cannot be used, or arrays and folders are mixed.
    """
    given = [one for one in (synthetic, train, holdout) if one is not None]
    if all(isinstance(one, str | Path) for one in given):
        settings = AuditSettings(
            Path(str(synthetic)),
            Path(str(train)),
            None if holdout is None else Path(str(holdout)),
            preset=preset,
            device=device,
            out=Path(out),
            clean=None if clean is None else Path(clean),
            policy=None if policy is None else Path(policy),
            store=store,
        )
        return audit_folders(settings, track=track)
    if any(isinstance(one, str | Path) for one in given):
        raise DataError("arrays and folders are mixed; give all as arrays, or all as folders")
    if clean is not None:
        raise DataError("clean copies files, and arrays are none; take result.images[k].left_out")
    reading = Reading(value_range, axes)
    made = images_of(synthetic, "synthetic", None, reading)
    real = images_of(train, "train", train_patients, reading)
    decoys = None if holdout is None else images_of(holdout, "holdout", holdout_patients, reading)
    same_shape({"train": real, "synthetic": made} | ({} if decoys is None else {"holdout": decoys}))
    known = train_patients is not None and (holdout is None or holdout_patients is not None)
    sides = _Sides(made, real, decoys, made.scans.tolist(), real.scans.tolist(), known, (), ())
    limits = None if policy is None else read_policy(Path(policy))
    with _stages(Path(out), store) as (stages, kept):
        return _audit(sides, _Asked(preset, device, limits, kept), stages, Clock(lambda text: None), track)


def audit_set(
    synthetic: Images, train: Images, holdout: Images | None, *, preset: str, out: Path, recall: Recall | None = None
) -> AuditResult:
    """Audit one of many sets whose images are in memory, and whose patients are known, without a report.

    Args:
        synthetic: What may hold copies.
        train: What the generator learned from.
        holdout: Images of other patients; None where there are none.
        preset: How much the detector is trained.
        out: Where stages are stored.
        recall: Where what is found of single images is remembered for the next sets; None for nowhere.

    Raises:
        DataError: The images cannot be used.
    """
    same_shape({"train": train, "synthetic": synthetic} | ({} if holdout is None else {"holdout": holdout}))
    names = (synthetic.scans.tolist(), train.scans.tolist())
    sides = _Sides(synthetic, train, holdout, *names, patients_known=True, unreadable=(), notes=())
    asked, clock = _Asked(preset, device_of("auto"), recall=recall), Clock(nobody)
    compared = _compared(sides, asked, Store(out / ".stages"), clock, silent)
    result, _ = _result(compared, asked, clock.seconds)
    return result


def _audit(sides: _Sides, asked: _Asked, store: Store, clock: Clock, track: Track) -> AuditReport:
    asked = replace(asked, device=device_of(asked.device))
    compared = _compared(sides, asked, store, clock, track)
    sides, audited = compared.sides, compared.audited
    with clock("report"):
        result, findings = _result(compared, asked, clock.seconds)
        pairs = _pairs(sides, audited, result, compared.detector)
        shown_parts = Shown(score_plot(audited), pairs, _region_pairs(sides, audited, result))
        html = html_report(result, shown_parts, stages=asked.kept)
    return AuditReport(result, html, findings, audited)


@dataclass(frozen=True)
class _Compared:
    """What was compared, and what was found.

    Attributes:
        sides: On common ground.
        audited: What was measured.
        detector: By which.
        name: Of the detector.
    """

    sides: _Sides
    audited: Audited
    detector: Detector
    name: str


def _compared(sides: _Sides, asked: _Asked, store: Store, clock: Clock, track: Track) -> _Compared:
    train, holdout = sides.train, sides.holdout
    if not len(sides.synthetic):
        raise DataError("there are no synthetic images to audit; give at least one")
    if holdout is not None:
        check_apart(train, holdout)
    sides = _on_common_ground(sides)
    train, holdout = sides.train, sides.holdout
    check_enough(train, holdout)
    sides = replace(sides, notes=[*sides.notes, *identity_notes(train, holdout), *balance_notes(train, holdout)])
    device, parameters = asked.device, EmbeddingParameters.preset(asked.preset)
    with clock("detector"):
        path, clock.stored, name = _fitted(sides, parameters, device, store, track)
    with clock("compare"):
        detector = Detector.restore(load_arrays(path / "detector.safetensors"), parameters, device=device)
        elsewhere = None
        if not asked.place.execution.here:
            elsewhere = Elsewhere(asked.place, path / "detector.safetensors", parameters, device)
        remembering = RememberingDetector(detector, store, path.name, elsewhere, asked.recall)
        audited = measure_audit(
            sides.synthetic.pixels,
            train,
            holdout,
            remembering,
            Ask(parameters.null_images, strata=sides.strata),
            track=track,
        )
    return _Compared(sides, audited, detector, name)


def _on_common_ground(sides: _Sides) -> _Sides:
    """Real images without content left out, the held-out ones in the pose of the training images, one id a person."""
    train, train_names, notes = with_content(sides.train, sides.train_names, "training")
    more: list[str] = []
    holdout, turned = sides.holdout, False
    if holdout is not None:
        holdout, _, more = with_content(holdout, holdout.scans.tolist(), "held-out")
        holdout, in_words = in_pose_of(holdout, train)
        turned, more = bool(in_words), [*more, *in_words]
    train, holdout, doubled = apart(train, holdout)
    return replace(
        sides,
        train=train,
        holdout=holdout,
        train_names=train_names,
        holdout_turned=turned,
        notes=[*sides.notes, *notes, *more, *doubled],
    )


def _fitted(
    sides: _Sides, parameters: EmbeddingParameters, device: str, store: Store, track: Track
) -> tuple[Path, bool, str]:
    """Where the detector of both sides is kept, whether it was there, and its name."""
    pool = sides.train if sides.holdout is None else sides.train.joined(sides.holdout)
    key = {"pool": pool.digest, "version": DETECTOR_VERSION, "detector": dataclasses.asdict(parameters)}
    key = json.loads(json.dumps(key))

    def write(into: Path, scratch: Path) -> None:
        context = Context(derive_seed(0, "detector"), device, track, checkpoints=scratch)
        save_arrays(into / "detector.safetensors", Detector.fit(pool, None, parameters, context=context).state())

    path, stored = store.get("detector", key, write)
    return path, stored, digest_of(key)


@dataclass(frozen=True)
class _Called:
    """Which synthetic images are held back, (N,) each.

    Attributes:
        exact: Those that are pixel for pixel a training image.
        copied: Those called a copy of a training patient, by score, certainty or content.
        held_out: Those that match a held-out patient so.
    """

    exact: NDArray[np.bool_]
    copied: NDArray[np.bool_]
    held_out: NDArray[np.bool_]


def _result(compared: _Compared, asked: _Asked, seconds: dict[str, float]) -> tuple[AuditResult, Findings]:
    """What an audit writes: the decision, what it rests on, and the list of images."""
    sides, audited = compared.sides, compared.audited
    contents, real = (content_digests(pixels).tolist() for pixels in (audited.upright.pixels, sides.train.pixels))
    exact = np.isin(contents, real)
    called = _Called(
        exact,
        audited.called | (exact & _found(audited)) | audited.evidence.train.certain,
        audited.held_out_called | audited.evidence.holdout.certain,
    )
    held, counts, affected = _held_back(audited, called), _counts(sides), _affected(sides, audited, called)
    findings, policy = _judged(_findings(sides, audited, asked, called, held), asked.policy, len(affected))
    decision = decide_set(findings)
    result = AuditResult(
        audit_id=digest_of(
            {"detector": compared.name, "synthetic": sides.synthetic.digest, "measure": MEASURE_VERSION}
        ),
        decision=recorded(decision),
        hold_back=[sides.names[int(k)] for k in held] if decision.hold_back else [],
        policy=policy,
        guarantee=guarantee_words(findings, sides.patients_known),
        counts=counts,
        shape=sides.train.shape,
        detector_version=DETECTOR_VERSION,
        measure_version=MEASURE_VERSION,
        threshold=dataclasses.asdict(audited.threshold),
        clean_limit=audited.clean_limit,
        metrics=audited.metrics,
        challenge=audited.challenge,
        cleaned=audited.cleaned,
        images=_images(sides, audited, called),
        regions=audited.regions,
        affected=affected,
        duplicates=len(contents) - len(set(contents)),
        carriers=dict(sides.carriers),
        unreadable=list(sides.unreadable),
        notes=[
            *sides.notes,
            *_nothing_made(sides, contents),
            *_contrast(sides, audited),
            *audited.notes,
            *_content(sides, audited),
        ],
        environment=environment(asked.device),
        seconds=rounded(seconds),
    )
    return result, findings


def _nothing_made(sides: _Sides, contents: Sequence[str]) -> list[str]:
    """A note where every synthetic image is a real one, as when a wrong folder was given.

    Args:
        sides: What is compared.
        contents: Digest of each synthetic image.
    """
    every = {"train": sides.train, "holdout": sides.holdout}
    known = {side: set(content_digests(one.pixels).tolist()) for side, one in every.items() if one is not None}
    counts = {side: sum(one in held for one in contents) for side, held in known.items()}
    if sum(counts.values()) < len(contents):
        return []
    said = " and ".join(f"{count} of {side}" for side, count in counts.items() if count)
    return [
        f"EVERY SYNTHETIC IMAGE IS A REAL ONE, pixel for pixel apart from brightness and contrast ({said}). If "
        "--synthetic names the wrong folder, give the right one"
    ]


def _found(audited: Audited) -> NDArray[np.bool_]:
    """(N,) which synthetic images were matched with a training image at all."""
    return np.isfinite(audited.train_score) & ~audited.blank


def _held_back(audited: Audited, called: _Called) -> NDArray[np.int64]:
    """The rows of the images to hold back, the strongest match first."""
    held = np.flatnonzero(called.copied | called.held_out | audited.led)
    strength = audited.train_score
    if audited.holdout_score is not None:
        strength = np.maximum(strength, audited.holdout_score)
    ordered = held[np.argsort(-strength[held], kind="stable")].tolist()
    return np.array(list(dict.fromkeys([*ordered, *region_rows(audited.regions)])), dtype=np.int64)


def _images(sides: _Sides, audited: Audited, called: _Called) -> list[AuditedImage]:
    """The list: a row for each synthetic image."""
    matched, found = sides.train.patients[audited.train_index], _found(audited)
    reasons = _reasons(sides, audited, called.copied, called.held_out)
    regions = _audited_regions(sides, audited)
    return [
        AuditedImage(
            name=sides.names[k],
            score=float(audited.train_score[k]) if found[k] else None,
            p_value=None if audited.p_value is None else float(audited.p_value[k]),
            copy_of=str(matched[k]) if called.copied[k] else None,
            match=sides.train_names[int(audited.train_index[k])] if found[k] else None,
            held_out=bool(called.held_out[k]),
            left_out=reasons[k],
            blank=bool(audited.blank[k]),
            pose=change.words if (change := audited.upright.changed[k]) is not None else "",
            region=regions.get(k),
        )
        for k in range(len(sides.synthetic))
    ]


def _affected(sides: _Sides, audited: Audited, called: _Called) -> list[AffectedPatient]:
    """The training patients with a copy, those with most copies first."""
    matched = sides.train.patients[audited.train_index[called.copied]]
    names, place, images = np.unique(matched, return_inverse=True, return_counts=True)
    best = np.full(len(names), -np.inf)
    np.maximum.at(best, place.reshape(-1), audited.train_score[called.copied])
    affected = [
        AffectedPatient(patient=str(name), images=int(count), strongest=float(score))
        for name, count, score in zip(names, images, best, strict=True)
    ]
    return sorted(affected, key=lambda one: (-one.images, -one.strongest))


def _counts(sides: _Sides) -> dict[str, int]:
    train, holdout = sides.train, sides.holdout
    return {
        "synthetic_images": len(sides.synthetic),
        "train_images": len(train),
        "train_patients": train.patient_count,
        "holdout_images": 0 if holdout is None else len(holdout),
        "holdout_patients": 0 if holdout is None else holdout.patient_count,
    }


def _findings(sides: _Sides, audited: Audited, asked: _Asked, called: _Called, held: NDArray[np.int64]) -> Findings:
    """What is known of the set, before a policy is asked."""
    return replace(
        measured_findings(audited.metrics, audited.challenge, _counts(sides), evidence=audited.evidence),
        called=int(called.copied.sum()),
        held_out_called=int(called.held_out.sum()),
        exact=int(called.exact.sum()),
        names=tuple(_nameable(sides, int(k)) for k in held),
        where="audit.csv",
        led=int((audited.led & ~called.copied & ~called.held_out).sum()),
        preset=asked.preset,
        unread=sum(file.startswith("synthetic/") for file, _ in sides.unreadable),
        carriers=len(sides.carriers),
        pose=_pose_words(sides, audited),
        empty=int(audited.blank.sum()),
        sheets=int((_sheets(sides, audited).max(axis=1) > 1).sum()),
        regions=region_findings(audited.regions, set(np.flatnonzero(called.copied | called.held_out).tolist())),
    )


def _judged(findings: Findings, policy: Policy | None, patients: int) -> tuple[Findings, PolicyOutcome | None]:
    """The findings with what the policy says to them, and its outcome."""
    if policy is None:
        return findings, None
    findings = replace(findings, unmet=unmet(policy, findings, patients))
    reasons = refusals(findings.unmet, decide_set(findings).word, findings.preset)
    limits = {name: float(value) for name, value in dataclasses.asdict(policy).items() if value is not None}
    return findings, PolicyOutcome(passed=not reasons, reasons=reasons, limits=limits)


def _audited_regions(sides: _Sides, audited: Audited) -> dict[int, AuditedRegion]:
    """By number of the synthetic image, the region that it repeats."""
    return {
        call.sample: AuditedRegion(
            copy_of=call.patient if call.image >= 0 else None,
            match=sides.train_names[call.image] if call.image >= 0 else None,
            **call.model_dump(include={"score", "p_value", "certain", "box", "source", "share"}),
        )
        for call in audited.regions.calls
    }


def _reasons(
    sides: _Sides, audited: Audited, copied: NDArray[np.bool_], held_out: NDArray[np.bool_]
) -> list[str | None]:
    """Why each image is left out of the cleaned set; None where it is kept."""
    reasons: list[str | None] = []
    regions, sheet = _audited_regions(sides, audited), _sheets(sides, audited).max(axis=1) > 1
    for k in range(len(sides.synthetic)):
        carried = [sides.carriers[file] for file in (sides.files[k] if sides.files else ()) if file in sides.carriers]
        region = regions.get(k)
        if copied[k]:
            reasons.append(f"copy of patient {sides.train.patients[audited.train_index[k]]}")
        elif region is not None and region.copy_of is not None:
            reasons.append(f"a region repeats patient {region.copy_of}")
        elif held_out[k] or region is not None:
            reasons.append("matches a held-out patient as a copy does")
        elif audited.left_out[k]:
            reasons.append("too similar to a real image")
        elif sheet[k]:
            reasons.append("seems to be a sheet of several images, whose parts were not compared")
        elif carried:
            reasons.append(f"its {carried[0]} carries the id of a real patient or the name of a real file")
        else:
            reasons.append(None)
    return reasons


def _sheets(sides: _Sides, audited: Audited) -> NDArray[np.int64]:
    """(N, 2) rows and columns of images that each synthetic image shows, by its content or its size."""
    by_size = sheets_by_size(sides.shapes)
    if not len(by_size):
        return audited.sheets
    return np.where(audited.sheets.max(axis=1, keepdims=True) > 1, audited.sheets, by_size)


def _content(sides: _Sides, audited: Audited) -> list[str]:
    """Notes on images with nothing to compare, and on sheets."""
    return [*content_notes(audited.blank, sides.names), *sheet_notes(_sheets(sides, audited), sides.names)]


def _nameable(sides: _Sides, k: int) -> str:
    """An image's name for the sentence, which is printed too; a name that gives a real one away is replaced."""
    if any(sides.carriers.get(file) == "name" for file in (sides.files[k] if sides.files else ())):
        return f"image {k + 1} of the set (its name is a real one)"
    return sides.names[k]


def _pose_words(sides: _Sides, audited: Audited) -> str:
    """Which sets or images lie in another pose, for the decision; "" where none does."""
    seen, parts = audited.upright, []
    if seen.set_pose is not None:
        parts.append(f"the synthetic images were compared {seen.set_pose.words}, since the set lies so or looks so")
    elif seen.count:
        are = "1 synthetic image was" if seen.count == 1 else f"{seen.count} synthetic images were"
        parts.append(f"{are} compared in another pose or without a frame (the list says which)")
    if sides.holdout_turned:
        parts.append("the held-out images lie in another orientation than the training images, or are inverted")
    if seen.strange:
        parts.append("most synthetic images resemble the real ones in no orientation")
    return "; ".join(parts)


def _contrast(sides: _Sides, audited: Audited) -> list[str]:
    """Where a set is inverted against another one, and was not brought to common ground."""
    changes = [change for change in audited.upright.changed if change is not None]
    if any(change.inverted for change in changes):
        return []
    return contrast_notes(sides.synthetic, sides.train, sides.holdout)


def _pairs(sides: _Sides, audited: Audited, result: AuditResult, detector: Detector) -> list[Pair]:
    score = np.where(audited.blank, -np.inf, audited.train_score)
    rows = strongest(score, sides.train.patients[audited.train_index], PAIRS)
    pairs = []
    for row in rows:
        image, query = result.images[row], audited.upright.pixels[row]
        real = np.asarray(sides.train.pixels[audited.train_index[row]])
        word = f"called a copy of patient {image.copy_of}" if image.copy_of else "not called a copy"
        pose = f" (shown {image.pose})" if image.pose else ""
        text = f"{image.name}{pose} and {image.match}: score {image.strength:.2f}, {word}"
        pairs.append(Pair(pair_picture(np.asarray(query), overlay(detector, query, real)), text))
    return pairs


def _region_pairs(sides: _Sides, audited: Audited, result: AuditResult) -> list[Pair]:
    """The strongest copied regions, one for each patient, each with its box in both images."""
    pairs: list[Pair] = []
    seen: set[str] = set()
    for call in audited.regions.calls:
        if call.image < 0 or call.patient in seen or len(pairs) == PAIRS:
            continue
        seen.add(call.patient)
        image = result.images[call.sample]
        if image.region is None:
            continue
        text = (
            f"{image.name} ({image.region.place}; {100 * call.share:.0f}% of the image) and {image.region.match}: "
            f"score {call.score:.2f}, {'certain' if call.certain else 'not certain'}"
        )
        made, real = (
            np.asarray(audited.upright.pixels[call.sample]),
            np.asarray(sides.train.pixels[call.image]),
        )
        pairs.append(Pair(boxed_picture((made, real), (call.box, call.source)), text))
    return pairs


def _inspect(path: Path, side: str, settings: AuditSettings, dim: int | None, track: Track) -> Inspection:
    """A folder's images; whose the synthetic ones are is not asked."""
    return inspect_folder(
        path,
        dim=dim,
        patient_regex=None if side == "synthetic" else settings.patient_regex,
        skip_unreadable=settings.skip_unreadable,
        max_image_gib=settings.max_image_gib,
        track=track,
    )


def _unpacked(settings: AuditSettings) -> AuditSettings:
    """The settings with folders in the place of archives and single files."""
    limit = settings.max_image_gib
    return dataclasses.replace(
        settings,
        train=folder_of(settings.train, limit),
        synthetic=None if settings.synthetic is None else folder_of(settings.synthetic, limit),
        holdout=None if settings.holdout is None else folder_of(settings.holdout, limit),
    )


def _prepared(inspection: Inspection, shape: tuple[int, ...], store: Store, track: Track) -> tuple[Images, bool]:
    """The images of a folder, kept by the content of their files."""
    sha = hashlib.sha256()
    for item in inspection.items:
        sha.update(
            "\x1f".join([*item.files, str(item.frame), item.patient, item.scan, ""]).encode(errors="surrogateescape")
        )
        for file in item.files if not item.frame else ():  # the frames of one file have one content
            sha.update(hashlib.sha256((inspection.root / file).read_bytes()).digest())

    def write(into: Path, scratch: Path) -> None:
        prepare(inspection, shape, track=track).save(into)

    key = {"content": sha.hexdigest(), "shape": list(shape), "scaling": SCALING_VERSION}
    path, stored = store.get("images", key, write)
    return Images.load(path), stored


def _item_names(inspection: Inspection) -> list[str]:
    return [item.file if item.frame is None else f"{item.file}#{item.frame}" for item in inspection.items]
