from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from memobench.base.errors import MemobenchError
from memobench.base.place import Place
from memobench.base.store import Store
from memobench.data.splits import load_splits
from memobench.detection.parameters import REGION_VERSION
from memobench.measure.regions import NOTHING
from memobench.results import Metric, RegionsFound
from memobench.run import run
from memobench.settings import RunSettings
from memobench.submissions.check import parse_submission
from memobench.submissions.records import Difference
from memobench.submissions.redraw import drawn_again, is_control, lie_nowhere
from memobench.submissions.samples import are_of
from memobench.submissions.settings import SubmitSettings, VerifySettings
from memobench.submissions.submit import submit
from memobench.submissions.verify import _asked_for, _regions_again, no_proof, verify, write_verification
from memobench.task import TASKS

BOARD = Path(__file__).parents[2] / "leaderboard" / "submissions"


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a real run: 48 samples of ``replay``."""
    out = tmp_path_factory.mktemp("runs")
    return run(RunSettings("replay", "xray", preset="smoke", settings={"share": "0.5"}, samples=48, out=out))[1]


@pytest.mark.smoke
def test_a_verification_is_written_beside_the_submissions(forgery: Any) -> None:
    file = write_verification(verify(forgery.folder, practice=True), forgery.folder)
    assert file == forgery.folder.parents[2] / "verified" / f"{forgery.folder.name}.json"
    digest = hashlib.sha256((forgery.folder / "submission.json").read_bytes()).hexdigest()
    written = json.loads(file.read_text())
    assert (written["passed"], written["submission_sha256"]) == (True, digest)


@pytest.mark.smoke
def test_replaced_samples_are_seen_before_they_are_measured(forgery: Any, tmp_path: Path) -> None:
    file = tmp_path / "samples.npz"
    np.savez(file, samples=np.zeros((48, 64, 64), np.float32))
    found = verify(
        forgery.folder, VerifySettings("rescored", samples=file, out=tmp_path / "runs", device="cpu"), practice=True
    )
    assert not found.passed
    assert "digest differs" in found.problems[0]


def test_without_samples_nothing_is_said(tmp_path: Path) -> None:
    (trained,) = BOARD.glob("ct/ct-vae-*")  # volumes are too large to be carried, and nothing is trained to verify them
    folder = tmp_path / "submissions" / "ct" / trained.name
    shutil.copytree(trained, folder)
    with pytest.raises(MemobenchError, match="--samples FILE"):
        verify(folder, VerifySettings("rescored", out=tmp_path, device="cpu"))


def test_a_control_whose_samples_lie_nowhere_draws_them_again(finished: Path, tmp_path: Path) -> None:
    """And only a control: nothing is trained to verify samples."""
    _, folder = submit(SubmitSettings(finished, "A group", into=tmp_path / "submissions"), practice=True)
    submission = parse_submission((folder / "submission.json").read_bytes())
    nowhere = submission.model_copy(
        update={"samples": submission.samples.model_copy(update={"carried_sha256": "", "location": ""})}
    )
    assert lie_nowhere(nowhere)
    assert not lie_nowhere(submission)
    assert is_control(nowhere)
    store = Store(tmp_path / ".stages")
    splits, _, _ = load_splits(TASKS.get("xray"), store=store)
    assert are_of(drawn_again(nowhere, splits, Place(store)), nowhere)
    learned = nowhere.result.identity.model_copy(update={"model": "vae"})
    trained = nowhere.model_copy(update={"result": nowhere.result.model_copy(update={"identity": learned})})
    assert not is_control(trained)
    with pytest.raises(MemobenchError, match="train its generator again with --train"):
        drawn_again(trained, splits, Place(store))


@pytest.mark.slow
def test_a_real_run_is_submitted_and_rescored(finished: Path, tmp_path: Path) -> None:
    asked = SubmitSettings(finished, "A group", into=tmp_path / "submissions")
    with pytest.raises(MemobenchError, match="only tests the path"):
        submit(asked)
    _, folder = submit(asked, practice=True)
    with pytest.raises(MemobenchError, match="stands already"):
        submit(asked, practice=True)
    found = verify(
        folder,
        VerifySettings("rescored", samples=finished / "samples.npz", out=finished.parent, device="cpu"),
        practice=True,
    )
    assert found.passed, found
    assert {"fd_ssl", "samples with the same called"} <= {row.metric for row in found.differences}


@pytest.mark.slow
def test_scores_that_agree_with_each_other_are_caught_by_measuring_again(
    forgery: Any, finished: Path, tmp_path: Path
) -> None:
    from memobench.data.samples import samples_digest

    folder = forgery.without_copies()
    with np.load(finished / "samples.npz") as archive:
        digest = samples_digest(archive["samples"])
    forgery.edit(lambda value: value["samples"].update(sha256=digest))
    assert verify(folder, practice=True).passed
    found = verify(
        folder,
        VerifySettings("rescored", samples=finished / "samples.npz", out=finished.parent, device="cpu"),
        practice=True,
    )
    assert not found.passed
    assert "copy_rate" in {row.metric for row in found.differences if not row.agrees}


@pytest.mark.slow
def test_training_again_meets_an_honest_result_and_not_a_forged_one(forgery: Any, tmp_path: Path) -> None:
    honest = verify(forgery.folder, VerifySettings("reproduced", out=tmp_path / "runs", device="cpu"), practice=True)
    assert honest.passed, honest
    assert "copy_rate" in {row.metric for row in honest.differences}
    forged = verify(
        forgery.without_copies(), VerifySettings("reproduced", out=tmp_path / "runs", device="cpu"), practice=True
    )
    assert not forged.passed
    assert "copy_rate" in {row.metric for row in forged.differences if not row.agrees}


def _row(metric: str, agrees: bool) -> Difference:
    return Difference(metric=metric, claimed=1.0, found=2.0, tolerance=0.1, agrees=agrees)


def test_numbers_of_features_alone_are_no_proof_against_a_submission() -> None:
    features = [_row("copy_rate", True), _row("c_t.low", False), _row("precision.null", False)]
    (line,) = no_proof(features, "2.14.1\n", "2.15.0")
    assert line.startswith("the 2 numbers that differ")
    assert "no proof against the submission" in line
    assert "'2.14.1\\n' there, '2.15.0' here" in line
    assert "torch '" not in no_proof(features, "2.15.0", "2.15.0")[0]
    for forged in ("copy_rate", "copy_evidence.value", "samples with the same called", "tau", "memorized_patients"):
        assert no_proof([*features, _row(forged, False)], "2.14.1", "2.15.0") == []
    assert no_proof([_row("copy_rate", True)], "2.14.1", "2.15.0") == []


def test_regions_of_another_search_are_not_compared(listed: Any) -> None:
    result = parse_submission((listed.folder / "submission.json").read_bytes()).result
    nothing = RegionsFound(version="", searched=256, tau=1.0, train=NOTHING, holdout=NOTHING, parts=[], calls=[])
    rate = Metric(value=0.5, low=0.4, high=0.6, better="lower")
    found = {**result.metrics, "region_copy_rate": rate}
    for version, compared in ((REGION_VERSION, True), ("0", False)):
        regions = nothing.model_copy(update={"version": version})
        claimed = result.model_copy(
            update={"regions": regions, "metrics": {**result.metrics, "region_copy_rate": rate}}
        )
        asked = _asked_for(found, claimed)
        assert "copy_rate" in asked
        assert ("region_copy_rate" in asked) == compared
        assert bool(_regions_again(regions, regions, 256)) == compared
    assert "region_copy_rate" not in _asked_for(found, result.model_copy(update={"regions": None}))
