"""Rows are brought up to date from what the repository holds."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from memobench.base.errors import UsageError
from memobench.base.place import Place
from memobench.base.store import Store
from memobench.board.build import build_board
from memobench.data.splits import load_splits
from memobench.detection.parameters import DETECTOR_VERSION, REGION_VERSION
from memobench.execution.settings import Execution
from memobench.results import Result
from memobench.submissions.check import check_submission, parse_submission
from memobench.submissions.older import as_present
from memobench.submissions.remeasure import Remeasured, _samples, outdated, remeasure, summary
from memobench.submissions.samples import are_of
from memobench.submissions.settings import RemeasureSettings, VerifySettings
from memobench.submissions.verify import verify, write_verification
from memobench.task import TASKS

BOARD = Path(__file__).parents[2] / "leaderboard" / "submissions"


def test_what_is_out_of_date_is_said(forgery: Any) -> None:
    result = Result.model_validate(as_present(forgery.json["result"]))
    assert result.regions is not None
    present = result.regions.model_copy(update={"version": REGION_VERSION})
    result = result.model_copy(update={"regions": present})
    assert outdated(result) == ""
    older = result.model_copy(update={"identity": result.identity.model_copy(update={"detector_version": "4"})})
    assert outdated(older) == f"detector 4, and now {DETECTOR_VERSION}"
    older = result.model_copy(update={"identity": result.identity.model_copy(update={"measure_version": "3"})})
    assert outdated(older).startswith("measure 3, and now ")
    assert outdated(result.model_copy(update={"regions": None})).startswith("search for copied regions none")


@pytest.mark.smoke
def test_what_cannot_be_measured_again_is_left_as_it_is_and_said(tmp_path: Path) -> None:
    root = tmp_path / "submissions"
    (trained,) = BOARD.glob("ct/ct-vae-*")  # volumes are too large to be carried
    shutil.copytree(trained, root / "ct" / trained.name)
    before = {file.name: file.read_bytes() for file in (root / "ct" / trained.name).iterdir()}
    with pytest.raises(UsageError, match="no such submission stands"):
        remeasure(RemeasureSettings(root, only=("nobody",)))
    asked = RemeasureSettings(root, out=tmp_path / "runs", device="cpu")
    (found,) = remeasure(asked, practice=True)
    assert found.now == ""
    assert "carries no samples; train its generator again with --train" in found.words
    assert {file.name: file.read_bytes() for file in (root / "ct" / trained.name).iterdir()} == before
    assert summary([found]).endswith("0 measured again, 1 left as they are")
    assert summary([]) == "all submissions are up to date"
    assert summary([Remeasured("a/b", "a/c", "measured")]).startswith("+ a/c: measured")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["xray/xray-replay-*", "ct/ct-replay-*"])
def test_a_committed_row_of_two_and_of_three_dimensions_can_be_had_again(name: str, tmp_path: Path) -> None:
    (folder,) = BOARD.glob(name)
    submission = parse_submission((folder / "submission.json").read_bytes())
    store = Store(tmp_path / ".stages")
    splits, _, _ = load_splits(TASKS.get(submission.result.identity.task), store=store)
    pixels, words = _samples(folder, submission, splits, RemeasureSettings(), Place(store))
    assert are_of(pixels, submission)
    assert ("carries" if submission.samples.carried_sha256 else "drew again") in words


@pytest.mark.slow
def test_an_older_row_is_measured_again_and_keeps_its_account(forgery: Any, tmp_path: Path) -> None:
    verified = verify(forgery.folder, VerifySettings(), practice=True)
    old = forgery.stamp(lambda value: value["result"]["identity"].update(detector_version="4"))
    write_verification(verified.model_copy(update={"run_id": old.name}), old, "github:someone")
    root = old.parents[1]
    kept = shutil.copytree(old, tmp_path / "kept")
    asked = RemeasureSettings(root, out=tmp_path / "runs", device="cpu")
    (found,) = remeasure(asked, practice=True)
    assert found.now, found.words
    new = root / found.now
    assert not old.exists()
    assert [folder.name for folder in root.glob("xray/*")] == [new.name]
    assert check_submission(new, practice=True).passed
    submission = parse_submission((new / "submission.json").read_bytes())
    assert submission.result.identity.detector_version == DETECTOR_VERSION
    with np.load(new / "samples.npz") as archive:
        assert archive["samples"].dtype == np.uint8
    assert submission.samples.rounded_sha256
    ((entry,),) = [board.entries for board in build_board(root)]
    (listed,) = entry.row.seeds
    assert listed.level == "rescored"
    assert listed.verification is not None
    assert listed.verification.submitted_by == "github:someone"
    assert listed.verification.leaks is not None
    # interrupted before the old one went: the same command goes on
    shutil.copytree(kept, old)
    assert remeasure(asked, practice=True)[0].now == found.now
    assert not old.exists()
    # a forged one that waits where the new one is to stand is neither verified nor does it drive the honest one out
    honest, word = (new / "submission.json").read_text(), '"word": "do not release"'
    assert word in honest
    shutil.copytree(kept, old)
    (new / "submission.json").write_text(honest.replace(word, '"word": "no copies found"'))
    attested = (root.parent / "verified" / f"{new.name}.json").read_bytes()
    refused = remeasure(RemeasureSettings(root, only=(old.name,), out=tmp_path / "runs", device="cpu"), practice=True)
    assert [one.now for one in refused] == [""]
    assert "stands there already" in refused[0].words
    assert old.is_dir()
    assert (root.parent / "verified" / f"{new.name}.json").read_bytes() == attested
    shutil.rmtree(old)
    (new / "submission.json").write_text(honest)
    # from the samples that it carries now, as a clone of the repository can
    last = RemeasureSettings(root, only=(new.name,), out=tmp_path / "runs", device="cpu")
    (again,) = remeasure(last, practice=True, execution=Execution(jobs=2))
    assert "the samples that it carries" in again.words
    held = parse_submission((root / again.now / "submission.json").read_bytes()).result
    assert held.metrics == submission.result.metrics, "what was drawn is measured as the 8-bit images that are carried"
    assert held.decision == submission.result.decision
