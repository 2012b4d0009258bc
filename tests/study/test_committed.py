"""The studies of this repository are what their kept results give."""

from __future__ import annotations

from pathlib import Path

import pytest
from memobench.copies.parameters import DETECTOR_VERSION, MEASURE_VERSION
from memobench.results import Result
from memobench.study.results import StudyResult, study_text
from memobench.study_run import StudySettings, run_study

STUDIES = Path(__file__).parents[2] / "leaderboard" / "studies"


@pytest.mark.slow
@pytest.mark.parametrize("file", sorted(STUDIES.glob("*/study.json")), ids=lambda file: file.parent.name)
def test_a_committed_study_is_what_its_kept_results_give(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    committed, kept = StudyResult.model_validate_json(file.read_text()), file.parent / "kept"
    if committed.data != "phantom":
        pytest.skip("a study of images that are not in this repository")
    results = [Result.model_validate_json(one.read_text()) for one in kept.glob("*/result.json")]
    versions = {(one.identity.detector_version, one.identity.measure_version) for one in results}
    if versions != {(DETECTOR_VERSION, MEASURE_VERSION)}:
        pytest.skip(f"made with detector and measure {sorted(versions)}: to be run anew")
    monkeypatch.setattr("memobench.study.grid.run", lambda settings: pytest.fail(f"{settings} is not kept"))
    again, _ = run_study(
        StudySettings(
            committed.task,
            only=tuple(dict.fromkeys(finding.factor for finding in committed.findings)),
            brief=committed.brief,
            preset=committed.preset,
            seeds=tuple(committed.seeds),
            train_patients=committed.train_patients,
            out=tmp_path / "runs",
            kept=kept,
        )
    )
    assert again.study_id == committed.study_id
    assert [arm.runs for arm in again.arms] == [arm.runs for arm in committed.arms]
    assert [finding.verdict for finding in again.findings] == [finding.verdict for finding in committed.findings]
    for one, other in zip(again.findings, committed.findings, strict=True):
        for new, old in zip(one.differences, other.differences, strict=True):
            assert (new.value, new.low, new.high) == pytest.approx((old.value, old.low, old.high), abs=1e-6)
    assert study_text(again) in (STUDIES / "README.md").read_text(), "README's table is another"
