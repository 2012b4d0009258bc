from __future__ import annotations

import csv
import dataclasses
import hashlib
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import memobench
import nibabel
import numpy as np
import pytest
from memobench.audit.results import AuditResult
from memobench.audit.run import AuditReport, audit, audit_folders, audit_set
from memobench.audit.settings import AuditSettings
from memobench.base.errors import DataError, UsageError
from memobench.challenge.perturb import perturb
from memobench.cli.main import main
from memobench.data.arrays import images_of
from memobench.detection.recall import Recall
from memobench.execution.settings import HERE, Execution
from memobench.images import Images
from PIL import Image
from PIL.PngImagePlugin import PngInfo

Write = Callable[[str, np.ndarray], Path]


def pictures(count: int, seed: int) -> np.ndarray:
    """Images of made-up patients, (count, 32, 32)."""
    coarse = np.random.default_rng(seed).random((count, 8, 8)).astype(np.float32)
    return coarse.repeat(4, axis=1).repeat(4, axis=2)


TRAIN, HOLDOUT, OTHER = pictures(24, 1), pictures(24, 2), pictures(30, 3)
COPIES = np.concatenate([perturb(TRAIN[k : k + 1], "gamma", "weak", seed=k) for k in range(10)])


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def folder(name: str, pixels: np.ndarray) -> Path:
        (tmp_path / name).mkdir()
        for number, image in enumerate(pixels):
            Image.fromarray(np.rint(image * 255).astype(np.uint8)).save(tmp_path / name / f"{number:03d}.png")
        return tmp_path / name

    return folder


@pytest.mark.smoke
def test_arrays_with_copies_must_not_leave(tmp_path: Path) -> None:
    report = memobench.audit(np.concatenate([OTHER, COPIES]), TRAIN, HOLDOUT, preset="smoke", out=tmp_path)
    result = report.result
    assert isinstance(report, AuditReport)
    assert result.decision.word == "do not release"
    rate = result.metrics["copy_rate"]
    assert rate.low is not None
    assert rate.high is not None
    assert rate.low <= 0.25 <= rate.high
    assert {k for k, one in enumerate(result.images) if one.copy_of} >= set(range(32, 40))
    assert {one.patient for one in result.affected} <= {f"train {k}" for k in range(24)}
    assert "Do not release" in report.html
    assert "<iframe" in report._repr_html_()
    assert "every file counted as a patient" in result.guarantee
    assert result.cleaned["copy_rate"].value == 0


def test_arrays_without_copies_may_leave(tmp_path: Path) -> None:
    names = [f"t{k}" for k in range(24)]
    report = audit(
        OTHER, TRAIN, HOLDOUT, train_patients=names, holdout_patients=[f"h{k}" for k in range(24)], preset="smoke",
        out=tmp_path,
    )  # fmt: skip
    assert report.result.decision.word == "review"  # preset smoke
    assert report.result.metrics["copy_rate"].value <= 0.05
    assert "every file counted" not in report.result.guarantee


def test_a_sheet_of_copies_among_single_images_gets_no_all_clear(write: Write, tmp_path: Path) -> None:
    synthetic, out, clean = write("synthetic", OTHER[:20]), tmp_path / "out", tmp_path / "clean"
    sheet = np.zeros((4 * 34 + 2, 4 * 34 + 2), dtype=np.uint8)  # as torchvision's make_grid lays them
    for k, image in enumerate(TRAIN[:16]):
        y, x = (2 + 34 * place for place in divmod(k, 4))
        sheet[y : y + 32, x : x + 32] = np.rint(image * 255)
    Image.fromarray(sheet).save(synthetic / "epoch_100.png")
    sides = write("train", TRAIN), write("holdout", HOLDOUT)
    settings = AuditSettings(synthetic, *sides, out=out, clean=clean, size=32, preset="smoke")
    result = audit_folders(settings).result
    assert result.decision.rows is not None
    assert "sheets of images" in result.decision.rows
    assert any("epoch_100.png (4 x 4)" in note for note in result.notes)
    assert not (clean / "epoch_100.png").exists()
    assert "sheet of several images" in (out / "left_out.csv").read_text()


def test_a_copy_of_a_real_folder_is_told_from_a_leak(tmp_path: Path) -> None:
    result = audit(HOLDOUT, TRAIN, HOLDOUT, preset="smoke", out=tmp_path).result
    assert result.decision.word == "do not release"
    assert any("EVERY SYNTHETIC IMAGE IS A REAL ONE" in note and "(24 of holdout)" in note for note in result.notes)


def test_without_holdout_the_report_says_what_is_lost(tmp_path: Path) -> None:
    result = audit(np.concatenate([OTHER, COPIES]), TRAIN, preset="smoke", out=tmp_path).result
    assert result.decision.word == "do not release"
    assert "no exact test is possible" in result.guarantee
    assert result.counts["holdout_images"] == 0
    assert all(one.p_value is None for one in result.images)
    assert result.metrics["copy_rate"].p_value is None


def test_what_is_handed_on_holds_no_real_name_and_no_real_pixel(
    write: Write, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    synthetic, train = write("syn <b>", np.concatenate([OTHER, COPIES, TRAIN[20:21]])), write("train", TRAIN)
    for file in sorted(train.iterdir()):
        file.rename(train / f"MRN-{4700 + int(file.stem)}_ap.png")
    (synthetic / "002.png").rename(synthetic / "made_MRN-4715_ap.png")  # no copy, but a real file's name
    (synthetic / "035.png").rename(synthetic / "MRN-4705_ap.png")  # a copy under its source's name
    told = PngInfo()
    told.add_text("Source", "MRN-4716_ap")
    with Image.open(synthetic / "001.png") as image:
        image.save(synthetic / "001.png", pnginfo=told)
    shutil.copyfile(train / "MRN-4703_ap.png", train / "MRN-4799_ap.png")  # an inspection names duplicates
    policy = tmp_path / "policy.toml"
    policy.write_text("largest_patients = 0")
    out, clean, public = tmp_path / "out", tmp_path / "clean", tmp_path / "out" / "public"
    words = ["audit", "--synthetic", str(synthetic), "--train", str(train), "--holdout", str(write("holdout", HOLDOUT))]
    words += ["--preset", "smoke", "--out", str(out), "--clean", str(clean), "--size", "32", "--no-store"]
    with pytest.raises(SystemExit) as ended:
        main([*words, "--policy", str(policy), "--patient-regex", r"(MRN-\d+|\d+)"])
    assert ended.value.code == 1
    shown = capsys.readouterr()
    result = AuditResult.model_validate(json.loads((out / "audit.json").read_text()))
    assert result.decision.word == "do not release"
    assert shown.out.startswith("Do not release this set. 1 of the 41 images is pixel for pixel a training image")
    assert "bench: the policy is not met" in shown.err
    assert result.policy is not None
    assert not result.policy.passed
    assert result.carriers == {"001.png": "header", "made_MRN-4715_ap.png": "name", "MRN-4705_ap.png": "name"}
    assert any("3 synthetic files carry the id of a real patient" in reason for reason in result.decision.reasons)

    # inside: each file says so on its first line, and no stage is left
    for name in ("report.html", "audit.csv", "left_out.csv"):
        assert "confidential" in (out / name).read_text().splitlines()[0].lower()
    assert next(iter(json.loads((out / "audit.json").read_text()))) == "confidential"
    assert not (out / ".stages").exists()
    assert "MRN-47" in (out / "report.html").read_text()

    # outside: images alone, none of them real; no real name anywhere
    kept = sorted(file.name for file in clean.iterdir())
    assert set(kept) == {one.name for one in result.images if one.left_out is None}
    assert len(kept) >= 20
    real = {Image.open(file).tobytes() for file in train.iterdir()}
    assert all(Image.open(clean / name).tobytes() not in real for name in kept)
    outside = {file.name: file.read_bytes() for file in [*public.iterdir(), *clean.iterdir()]}
    outside |= {"out": shown.out.encode(), "err": shown.err.encode()}
    for name, data in outside.items():
        assert b"MRN" not in data, name
        assert "MRN" not in name
    assert sorted(file.name for file in public.iterdir()) == sorted(
        ["README.md", "croissant.json", "files.sha256", "report.html", "report.json"]
    )
    assert "<img" not in (public / "report.html").read_text()

    # the figures of the cards can be checked
    report = hashlib.sha256((public / "report.json").read_bytes()).hexdigest()
    listing = hashlib.sha256((public / "files.sha256").read_bytes()).hexdigest()
    card, croissant = (public / "README.md").read_text(), json.loads((public / "croissant.json").read_text())
    assert {one["sha256"] for one in croissant["distribution"]} == {report, listing}
    assert report in card
    assert listing in card
    for line in (public / "files.sha256").read_text().splitlines():
        digest, name = line.split("  ", 1)
        assert hashlib.sha256((clean / name).read_bytes()).hexdigest() == digest
        assert name in kept


def test_a_repeated_audit_is_stored_and_fail_above_uses_the_decision(
    write: Write, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    words = ["audit", "--synthetic", str(write("syn", np.concatenate([OTHER, COPIES]))), "--size", "32x40"]
    words += ["--train", str(write("train", TRAIN)), "--holdout", str(write("holdout", HOLDOUT)), "--preset", "smoke"]
    with pytest.raises(SystemExit) as ended:
        main([*words, "--out", str(out), "--fail-above", "1"])
    assert ended.value.code == 1
    shown = capsys.readouterr()
    assert "Do not release" in shown.out
    assert 'the decision is "do not release", so --fail-above fails' in shown.err
    assert f"delete {out}/.stages" in shown.err
    result = AuditResult.model_validate(json.loads((out / "audit.json").read_text()))
    page = (out / "report.html").read_text()
    assert "http" not in page.replace("http-equiv", "")
    # what to do stands before what it rests on; the numbers are folded, and open on paper
    heads = re.findall(r"<h2>(.*?)</h2>", page)
    first = [f"Images to hold back: {len(result.hold_back)}", f"Training patients concerned: {len(result.affected)}"]
    assert heads[:2] == first
    assert heads.index("What to do next") < heads.index("What this rests on") < heads.index("In numbers")
    assert page.count("<details>") == page.count("</details>") == page.count("<summary>") >= 3
    assert "beforeprint" in page
    assert "size: A4" in page
    assert re.search(r"Made on \d{4}-\d\d-\d\d at \d\d:\d\d, with memobench", page)
    folders = tmp_path / "syn", tmp_path / "train", tmp_path / "holdout"
    report = audit_folders(AuditSettings(*folders, size=(32, 40), preset="smoke", out=out))
    assert report.result.metrics == result.metrics
    assert report.result.decision == result.decision
    assert set(report.result.seconds) <= {"inspect", "compare", "report"}


@pytest.mark.slow  # its smoke twin: tests/detection/test_shards.py
def test_an_audit_by_jobs_writes_the_same_files(write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("memobench.detection.remember.LEAST", 4)
    folders = write("syn", np.concatenate([OTHER, COPIES])), write("train", TRAIN), write("holdout", HOLDOUT)
    results = []
    for name, execution in (("here", HERE), ("there", Execution(jobs=2))):
        asked = AuditSettings(*folders, size=32, preset="smoke", device="cpu", out=tmp_path / name)
        result = audit_folders(asked, execution=execution).result
        results.append(result.model_dump(exclude={"seconds", "environment"}))
    assert results[0] == results[1]
    for name in ("audit.csv", "left_out.csv"):
        assert (tmp_path / "here" / name).read_bytes() == (tmp_path / "there" / name).read_bytes()
    assert (tmp_path / "there" / ".stages" / "question").is_dir()
    with pytest.raises(UsageError, match="--no-store keeps stages on this machine alone"):
        audit_folders(AuditSettings(*folders, store=False), execution=Execution("ray"))


def test_a_holdout_that_is_none_is_refused(write: Write, tmp_path: Path) -> None:
    train, both = write("train", TRAIN), write("both", np.concatenate([HOLDOUT, TRAIN[:2]]))
    with pytest.raises(DataError, match="2 images stand in train and in holdout"):
        audit_folders(AuditSettings(write("syn", OTHER), train, both, preset="smoke", out=tmp_path / "out"))
    with pytest.raises(DataError, match=r'1 patient stands in train and in holdout \("x" for one'):
        audit(
            OTHER, TRAIN, HOLDOUT, train_patients=["x"] * 24, holdout_patients=["x"] * 24, preset="smoke", out=tmp_path
        )


def test_wrong_arguments_are_refused(write: Write, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="arrays and folders are mixed"):
        audit(OTHER, str(tmp_path), preset="smoke", out=tmp_path)
    with pytest.raises(DataError, match="no synthetic images"):
        audit(OTHER[:0], TRAIN, HOLDOUT, preset="smoke", out=tmp_path)
    full = write("full", OTHER[:1])
    with pytest.raises(DataError, match="not an empty folder"):
        audit_folders(AuditSettings(full, full, clean=full, out=tmp_path / "out"))


def test_the_package_imports_no_torch_for_the_name() -> None:
    code = "import sys, memobench; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


@pytest.mark.slow
def test_a_synthetic_set_that_is_the_training_set_is_nothing_but_copies(write: Write, tmp_path: Path) -> None:
    train, holdout = write("train", TRAIN), write("holdout", HOLDOUT)
    settings = AuditSettings(train, train, holdout, patient_regex=r"(\d+)\.png", preset="smoke", out=tmp_path / "out")
    with pytest.raises(DataError, match=r'24 patients stand in train and in holdout \("000" for one'):
        audit_folders(settings)  # the pattern names the same patients in both folders
    result = audit_folders(dataclasses.replace(settings, patient_regex=None)).result
    assert result.decision.word == "do not release"
    assert any(note.startswith("EVERY SYNTHETIC IMAGE IS A REAL ONE") for note in result.notes)
    assert result.metrics["copy_rate"].value == 1
    assert sorted(one.patient for one in result.affected) == [f"train/{k:03d}.png" for k in range(24)]
    assert all(one.left_out is not None and one.match == one.name for one in result.images)
    assert result.cleaned == {}


@pytest.mark.slow
def test_one_synthetic_image_is_too_little_to_tell(tmp_path: Path) -> None:
    result = audit(OTHER[:1], TRAIN, HOLDOUT, preset="smoke", out=tmp_path).result
    assert result.decision.word == "review"
    assert any("Too little is known" in reason for reason in result.decision.reasons)


def test_too_few_patients_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"the training images are of 1 patient, too few to learn from.*at least 8"):
        audit(OTHER, TRAIN[:1], preset="smoke", out=tmp_path)
    with pytest.raises(DataError, match=r"the held-out images are of 1 patient, too few.*leave --holdout out"):
        audit(OTHER, TRAIN, HOLDOUT[:1], preset="smoke", out=tmp_path)


def test_folders_that_cannot_be_compared_are_refused(write: Write, tmp_path: Path) -> None:
    train, holdout, empty = write("train", TRAIN[:3]), write("holdout", HOLDOUT[:3]), write("none", TRAIN[:0])
    volumes = tmp_path / "volumes"
    volumes.mkdir()
    volume = nibabel.Nifti1Image(np.random.default_rng(0).random((16, 16, 16)), np.eye(4))
    nibabel.save(volume, volumes / "a.nii.gz")
    out = tmp_path / "out"
    with pytest.raises(DataError, match="none holds no file that could be an image"):
        audit_folders(AuditSettings(empty, train, holdout, out=out))
    with pytest.raises(DataError, match=r"volumes holds only 3D volumes .* and 2D images are asked for"):
        audit_folders(AuditSettings(volumes, train, holdout, out=out))
    with pytest.raises(DataError, match=r"--holdout .*train is the folder of --train; give images of patients whom"):
        audit_folders(AuditSettings(holdout, train, train, out=out))
    inner = write("train/inner", HOLDOUT[:3])
    for settings in (AuditSettings(train, inner, holdout, out=out), AuditSettings(holdout, train, inner, out=out)):
        with pytest.raises(DataError, match=r"inner lies within --.*train, so its images would count for both"):
            audit_folders(settings)
    nibabel.save(volume, train / "b.nii.gz")
    with pytest.raises(
        DataError, match=r"1 file of .*train cannot be used: b\.nii\.gz is a 3D volume \(16x16x16\) among"
    ):
        audit_folders(AuditSettings(holdout, train, None, out=out))


def test_folders_of_one_name_are_not_taken_for_one(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "site").mkdir()
    train, holdout, synthetic = write("images", TRAIN), write("site/images", HOLDOUT), write("syn", OTHER[:4])
    owners: list[str] = []

    class Reached(Exception):
        pass

    def fit(pool: Images, *given: Any, **more: Any) -> None:
        owners.extend(pool.patients.tolist())
        raise Reached

    monkeypatch.setattr("memobench.audit.run.Detector.fit", fit)
    with pytest.raises(Reached):
        audit_folders(AuditSettings(synthetic, train, holdout, preset="smoke", out=tmp_path / "out"))
    assert {"train/000.png", "holdout/000.png"} <= set(owners)
    assert len(set(owners)) == 48


def test_awkward_files_are_named_and_escaped(write: Write, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names = [
        "<img src=x onerror=alert(1)>.png",
        '=HYPERLINK(1),"a".png',
        "胸部 正面.png",
        'it\'s "quoted",  two.png',
        "colour.png",
        "program.png",
        "broken.png",
    ]
    synthetic = write("syn", np.concatenate([TRAIN[:5], OTHER[:2]]))
    for number, name in enumerate(names):
        (synthetic / f"{number:03d}.png").rename(synthetic / name)
    with Image.open(synthetic / "colour.png") as grey:
        Image.merge("RGB", [grey, grey.point(lambda value: value // 2), grey]).save(synthetic / "colour.png")
    (synthetic / "program.png").write_bytes(b"MZ" + bytes(500))
    (synthetic / "broken.png").write_bytes((synthetic / "broken.png").read_bytes()[:60])
    words = ["audit", "--synthetic", str(synthetic), "--train", str(write("train", TRAIN))]
    words += ["--holdout", str(write("holdout", HOLDOUT)), "--preset", "smoke", "--out", str(tmp_path / "out")]
    with pytest.raises(SystemExit) as ended:
        main(words)
    assert ended.value.code == 1
    refused = capsys.readouterr().err
    assert "2 files of" in refused
    assert "broken.png is damaged or cut short: a part is longer than the file; program.png is a program for" in refused
    with pytest.raises(SystemExit) as ended:
        main([*words, "--skip-unreadable", "--clean", str(tmp_path / "clean")])
    assert not ended.value.code
    assert "2 files cannot be used and were passed over; the report names them" in capsys.readouterr().err
    result = AuditResult.model_validate(json.loads((tmp_path / "out" / "audit.json").read_text(encoding="utf-8")))
    assert result.decision.word == "do not release"
    assert "4 of the 5 images are pixel for pixel a training image" in result.decision.sentence
    assert {one.name for one in result.images} == set(names[:5])
    assert [file for file, _ in result.unreadable] == ["synthetic/broken.png", "synthetic/program.png"]
    assert any(note.startswith("synthetic: 1 colour image was converted to grey") for note in result.notes)
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert "<img src=x" not in page
    assert "&lt;img src=x onerror=alert(1)&gt;.png" in page
    assert "胸部 正面.png" in page
    assert "synthetic/program.png: is a program for Windows, not an image" in page
    with (tmp_path / "out" / "audit.csv").open(newline="", encoding="utf-8") as handle:
        listed = {row["image"] for row in csv.DictReader(handle)}
    assert listed == {f"'{name}" if name.startswith("=") else name for name in names[:5]}
    assert {one.copy_of for one in result.images} <= {f"train/{k:03d}.png" for k in range(5)} | {None}
    with (tmp_path / "out" / "left_out.csv").open(newline="", encoding="utf-8") as handle:
        left_out = {row["file"].removeprefix("'") for row in csv.DictReader(handle)}
    assert left_out >= {names[0], names[1]}


@pytest.mark.smoke
def test_inverted_images_are_noted(tmp_path: Path) -> None:
    body = np.linspace(0.2, 0.8, 32, dtype=np.float32)[None, :, None] * np.ones((1, 1, 32), dtype=np.float32)
    train, holdout, made = (0.7 * body + 0.2 * pixels for pixels in (TRAIN, HOLDOUT, OTHER))
    inverted = audit(1 - made, train, holdout, preset="smoke", out=tmp_path / "a").result.notes
    assert any("the synthetic images are inverted against the training images" in note for note in inverted)
    assert not any("held-out images are inverted" in note for note in inverted)
    upright = audit(made, train, holdout, preset="smoke", out=tmp_path / "a").result.notes
    assert not any("inverted" in note for note in upright)


def test_what_is_remembered_of_single_images_changes_no_result(tmp_path: Path) -> None:
    """Sets that share images are audited one after the other, each as if it were alone."""
    real, decoys, recall = images_of(TRAIN, "train"), images_of(HOLDOUT, "holdout"), Recall()
    every = np.concatenate([OTHER, COPIES])
    sets = [every, every[::2], np.concatenate([every[3:9], np.flip(COPIES[:4], axis=1)])]
    for place, pixels in enumerate(sets):
        made = images_of(pixels, "synthetic")
        alone = audit_set(made, real, decoys, preset="smoke", out=tmp_path / f"alone {place}")
        again = audit_set(made, real, decoys, preset="smoke", out=tmp_path / "remembered", recall=recall)
        found, wanted = (one.model_dump(exclude={"seconds"}) for one in (again, alone))
        assert found == wanted
