from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import memobench
import numpy as np
import pytest
from memobench.audit_run import AuditReport, AuditSettings, audit, audit_folders
from memobench.auditing.results import AuditResult
from memobench.cli import main
from memobench.copies.perturb import perturb
from memobench.errors import DataError
from PIL import Image

Write = Callable[[str, np.ndarray], Path]


@pytest.fixture(autouse=True)
def few_planted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("memobench.auditing.measure.PLANTED", {2: 2, 3: 2})


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
    report = audit(np.concatenate([OTHER, COPIES]), TRAIN, HOLDOUT, preset="smoke", out=tmp_path)
    result = report.result
    assert isinstance(report, AuditReport)
    assert result.decision == "do not release"
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
    assert memobench.audit is audit


def test_arrays_without_copies_may_leave(tmp_path: Path) -> None:
    names = [f"t{k}" for k in range(24)]
    report = audit(
        OTHER, TRAIN, HOLDOUT, train_patients=names, holdout_patients=[f"h{k}" for k in range(24)], preset="smoke",
        out=tmp_path,
    )  # fmt: skip
    assert report.result.decision in ("release", "review")
    assert report.result.metrics["copy_rate"].value <= 0.05
    assert "every file counted" not in report.result.guarantee


def test_without_holdout_the_report_says_what_is_lost(tmp_path: Path) -> None:
    result = audit(np.concatenate([OTHER, COPIES]), TRAIN, preset="smoke", out=tmp_path).result
    assert result.decision == "do not release"
    assert "no exact test is possible" in result.guarantee
    assert result.counts["holdout_images"] == 0
    assert all(one.p_value is None for one in result.images)
    assert result.metrics["copy_rate"].p_value is None


def test_folders_are_audited_cleaned_and_fail_a_pipeline(
    write: Write, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    synthetic = write("syn <b>", np.concatenate([OTHER, COPIES]))
    words = ["audit", "--synthetic", str(synthetic), "--train", str(write("train", TRAIN))]
    words += ["--holdout", str(write("holdout", HOLDOUT)), "--preset", "smoke", "--out", str(tmp_path / "out")]
    words += ["--clean", str(tmp_path / "clean"), "--fail-above", "0.01", "--size", "32"]
    with pytest.raises(SystemExit) as ended:
        main(words)
    assert ended.value.code == 1
    shown = capsys.readouterr()
    assert "Do not release" in shown.out
    assert "above --fail-above 1 %" in shown.err
    result = AuditResult.model_validate(json.loads((tmp_path / "out" / "audit.json").read_text()))
    page = (tmp_path / "out" / "report.html").read_text()
    assert "http" not in page.replace("http-equiv", "")
    kept = {file.name for file in (tmp_path / "clean").iterdir()} - {"left_out.csv"}
    assert kept == {one.name for one in result.images if not one.left_out}
    assert len(kept & {f"{k:03d}.png" for k in range(30, 40)}) <= 2
    # again: everything is stored, and the answer is the same
    report = audit_folders(
        AuditSettings(
            synthetic, tmp_path / "train", tmp_path / "holdout", size=32, preset="smoke", out=tmp_path / "out"
        )
    )
    assert report.result.metrics == result.metrics
    assert set(report.result.seconds) <= {"inspect", "compare", "report"}


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


@pytest.mark.smoke
def test_inverted_images_are_noted(tmp_path: Path) -> None:
    body = np.linspace(0.2, 0.8, 32, dtype=np.float32)[None, :, None] * np.ones((1, 1, 32), dtype=np.float32)
    train, holdout, made = (0.7 * body + 0.2 * pixels for pixels in (TRAIN, HOLDOUT, OTHER))
    inverted = audit(1 - made, train, holdout, preset="smoke", out=tmp_path / "a").result.notes
    assert any("the synthetic images are inverted against the training images" in note for note in inverted)
    assert not any("held-out images are inverted" in note for note in inverted)
    upright = audit(made, train, holdout, preset="smoke", out=tmp_path / "a").result.notes
    assert not any("inverted" in note for note in upright)
