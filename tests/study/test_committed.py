"""The studies of this repository are what their kept results give."""

from __future__ import annotations

from pathlib import Path

import pytest
from memobench.detection.parameters import DETECTOR_VERSION, MEASURE_VERSION
from memobench.study.results import StudyResult, study_text
from memobench.study.run import run_study
from memobench.study.settings import StudySettings
from memobench.submissions.older import read_result

STUDIES = Path(__file__).parents[2] / "leaderboard" / "studies"
SCALED_BEFORE = "3433c0e2ea68e24aaef9c1728dafe64643090809f0c9363ee04051eb788ed484"  # the radiographs by scaling 2


def _made_again(
    name: str, data: str, out: Path, monkeypatch: pytest.MonkeyPatch, *, model: str = "ldm", kept: str
) -> None:
    """The study in a folder is what its kept results give, to the last word of README's table; nothing is trained."""
    folder, kept_in = STUDIES / name, STUDIES / kept / "kept"
    committed = StudyResult.model_validate_json((folder / "study.json").read_text())
    if committed.split_digest == SCALED_BEFORE:
        pytest.skip("made before scaling 3, which reads these radiographs with more contrast: to be run again")
    results = [read_result(one.read_bytes()) for one in kept_in.glob("*/result.json")]
    versions = {(one.identity.detector_version, one.identity.measure_version) for one in results}
    if versions != {(DETECTOR_VERSION, MEASURE_VERSION)}:
        pytest.skip(f"made with detector and measure {sorted(versions)}: to be run again")
    monkeypatch.setattr("memobench.study.grid.run", lambda settings: pytest.fail(f"{settings} is not kept"))
    again, _ = run_study(
        StudySettings(
            committed.task,
            data,
            model,
            only=tuple(dict.fromkeys(finding.factor for finding in committed.findings)),
            brief=committed.brief,
            preset=committed.preset,
            settings=committed.settings,
            seeds=tuple(committed.seeds),
            train_patients=committed.train_patients,
            out=out,
            kept=kept_in,
        )
    )
    assert again.study_id == committed.study_id
    assert [arm.runs for arm in again.arms] == [arm.runs for arm in committed.arms]
    for one, other in zip(again.findings, committed.findings, strict=True):
        assert one.verdict == other.verdict
        for new, old in zip(one.differences, other.differences, strict=True):
            assert (new.value, new.low, new.high) == pytest.approx((old.value, old.low, old.high), abs=1e-6)
    assert study_text(again) in (STUDIES / "README.md").read_text(), "README's table is another"


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One folder of runs, so that the studies of a task draw its patients once."""
    return tmp_path_factory.mktemp("runs")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "model", "kept"),
    [
        ("xray", "ldm", "xray"),
        ("xray-mitigations", "ldm", "xray"),
        ("xray-mitigations-vae", "vae", "xray"),
        ("ct", "ldm", "ct"),
        ("ct-autoencoder", "ldm", "ct"),
        ("mr", "ldm", "mr"),
    ],
)
def test_the_studies_of_phantoms(out: Path, monkeypatch: pytest.MonkeyPatch, name: str, model: str, kept: str) -> None:
    _made_again(name, "phantom", out, monkeypatch, model=model, kept=kept)


@pytest.mark.kits
@pytest.mark.parametrize("name", ["xray-radiographs", "xray-radiographs-47", "xray-mitigations-radiographs-47"])
def test_the_studies_of_real_radiographs(kits: Path, out: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    _made_again(name, str(kits / "xray"), out, monkeypatch, kept="xray-radiographs")
