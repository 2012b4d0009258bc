"""Each way that was tried to fool the board is refused, though every number agrees with every other."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from memobench.base.errors import DataError
from memobench.board.build import build_board
from memobench.board.rows import LEAK_ASKED, Row
from memobench.memorization.decide import threshold
from memobench.submissions.check import check_submission, parse_submission
from memobench.submissions.records import Level, Verification
from memobench.submissions.reference import reference_of
from memobench.submissions.reference_export import make_references
from memobench.submissions.scores import MOST_BYTES, TYPES, p_values_of
from memobench.submissions.untrusted import parse_arrays
from memobench.task import TASKS

from .conftest import BOARD


def refused(folder: Path, *reasons: str) -> None:
    found = check_submission(folder)
    assert not found.passed
    words = " ".join(found.problems)
    for reason in reasons:
        assert reason in words, words
    assert all("\n" not in problem for problem in found.problems)


def nothing(arrays: dict[str, np.ndarray]) -> None:
    """Leave the scores as they are."""


def as_dict(null: np.ndarray, fraction: float) -> dict[str, Any]:
    return dict(vars(threshold(null, fraction)))


def test_the_listed_submission_passes(listed: Any) -> None:
    assert check_submission(listed.folder).passed


def test_a_tail_that_hides_every_copy_with_all_numbers_recounted(listed: Any) -> None:
    with np.load(listed.folder / "scores.npz") as arrays:
        own = as_dict(arrays["null"], 2e-9 / 0.002)
    folder = listed.recount(nothing, **own)
    assert listed.json["result"]["metrics"]["copy_rate"]["value"] == 0
    refused(folder, "the tail is 2e-09, and this task's is 0.002")


@pytest.mark.parametrize("tail", [2e-9, 0.001, 0.0020001])
def test_a_tail_of_ones_own(listed: Any, tail: float) -> None:
    with np.load(listed.folder / "scores.npz") as arrays:
        own = as_dict(arrays["null"], tail / 0.002)
    refused(
        listed.edit(lambda value: value["result"]["threshold"].update(own)), "the tail is", "0.002", "nobody chooses it"
    )


def test_a_threshold_above_that_of_the_null_scores(listed: Any) -> None:
    found = check_submission(listed.recount(nothing, tau=20.0))
    assert "tau" in {row.metric for row in found.differences if not row.agrees}


@pytest.mark.parametrize("name", ["start", "shape", "scale", "widened", "misfit"])
def test_a_fit_of_the_tail_that_is_not_that_of_the_null_scores(listed: Any, name: str) -> None:
    found = check_submission(listed.edit(lambda value: value["result"]["threshold"].update({name: 0.123})))
    assert f"threshold.{name}" in {row.metric for row in found.differences if not row.agrees}


@pytest.mark.parametrize("tau", [1.0, 3.6])
def test_a_cap_that_the_task_has_not(listed: Any, tau: float) -> None:
    change = {"tau": tau, "capped": True}
    refused(
        listed.edit(lambda value: value["result"]["threshold"].update(change)),
        "capped is True, and for this task False",
    )


@pytest.mark.parametrize(
    "values", [{"tau": "3.6"}, {"tau": [1]}, {"tail": None}, {"capped": 1}, {"images": 2.5}, {"more": 1}]
)
def test_a_threshold_of_other_types(listed: Any, values: dict[str, Any]) -> None:
    refused(listed.edit(lambda value: value["result"]["threshold"].update(values)), "threshold:")


@pytest.mark.parametrize("task", ["ct", "ct2d", "mr", "mr2d"])
def test_null_scores_of_another_task(listed: Any, task: str) -> None:
    (other,) = BOARD.glob(f"{task}/{task}-replay-*")
    packed = (other / "scores.npz").read_bytes()
    foreign = parse_arrays(packed, "scores.npz", TYPES, MOST_BYTES, below=("train_score", "holdout_score"))["null"]
    for null in (foreign, np.resize(foreign, 296)):  # as they are, and as many as the task has
        listed.rescore(lambda arrays, null=null: arrays.update(null=null))
        own = as_dict(null, 1.0)
        refused(listed.edit(lambda value, own=own: value["result"]["threshold"].update(own)), "scores.npz: null")


@pytest.mark.parametrize(
    "lift",
    [
        lambda null: null + 10,
        lambda null: np.where(null > np.quantile(null, 0.9), null + 12, null),  # the tail alone
        lambda null: np.where(null == null.max(), null + 40, null),  # one patient who resembles another
        lambda null: null[::-1].copy(),
    ],
)
def test_invented_null_scores(listed: Any, lift: Any) -> None:
    with np.load(listed.folder / "scores.npz") as arrays:
        null = lift(arrays["null"]).astype(np.float32)
    listed.rescore(lambda arrays: arrays.update(null=null))
    own = as_dict(null, 1.0)
    refused(
        listed.edit(lambda value: value["result"]["threshold"].update(own)),
        "null is not what this task's real images score",
    )


def test_p_values_that_do_not_follow(listed: Any) -> None:
    folder = listed.rescore(lambda arrays: arrays.update(p_value=np.minimum(2 * arrays["p_value"], 1)))
    refused(folder, "p_value does not follow")


def test_patients_of_ones_own(listed: Any) -> None:
    def one_patient(arrays: dict[str, np.ndarray]) -> None:
        arrays["train_patient"] = np.zeros_like(arrays["train_patient"])

    refused(listed.rescore(one_patient), "train_patient is not who stands in this task's pool")


@pytest.mark.parametrize("side", ["train", "holdout"])
def test_images_that_are_called_the_same(listed: Any, side: str) -> None:
    name = f"{side}_content"
    refused(listed.rescore(lambda arrays: arrays.update({name: np.zeros_like(arrays[name])})), f"{name} joins images")


@pytest.mark.parametrize(("claimed", "reason"), [(0.3, "the sensitivity is 0.3"), (1.5, "outside 0 to 1")])
def test_a_sensitivity_that_the_detector_has_not(listed: Any, claimed: float, reason: str) -> None:
    def change(value: dict[str, Any]) -> None:
        held = value["result"]["challenge"]["summary"]["sensitivity"]
        held.update(value=claimed, low=min(claimed, held["low"]), high=max(claimed, held["high"]))

    refused(listed.edit(change), reason)


def test_planted_copies_that_were_not_found(listed: Any) -> None:
    def change(value: dict[str, Any]) -> None:
        for row in value["result"]["challenge"]["rows"]:
            row["metrics"]["sensitivity"].update(value=0.5, low=0.3, high=0.7)

    refused(listed.edit(change), "50% are claimed to be found")
    refused(listed.edit(lambda value: value["result"]["challenge"].update(rows=[])), "kinds of planted copies")


@pytest.mark.parametrize(
    ("name", "change", "reason"),
    [
        ("recall", {"value": 1.7, "high": 1.8}, "outside 0 to 1"),
        ("recall", {"value": -0.1}, "outside 0 to 1"),
        ("recall", {"null": 3.0}, "outside 0 to 1"),
        ("fd_ssl", {"value": -5.0, "low": -6.0}, "outside 0"),
        ("fd_ssl", {"value": 500.0}, "outside its own interval"),
        ("fd_ssl", {"better": "higher"}, 'it is "lower"'),
        ("authenticity", {"low": 0.9, "high": 0.1}, "interval"),
        ("ms_ssim", {"value": 2.0, "high": 2.0}, "outside -1 to 1"),
        ("copy_rate", {"p_value": 0.0}, "outside (0, 1]"),
        ("copy_rate", {"p_value": 7.0}, "outside (0, 1]"),
        ("copy_rate", {"better": "higher"}, 'it is "lower"'),
        ("density", {"value": -0.1, "low": -0.2}, "outside 0"),
        ("kid_ssl", {"value": 1e300, "high": 1e300}, "outside"),
    ],
)
def test_metrics_out_of_range(listed: Any, name: str, change: dict[str, Any], reason: str) -> None:
    refused(listed.edit(lambda value: value["result"]["metrics"][name].update(change)), name, reason)


@pytest.mark.parametrize("name", ["recall_2", "better_fd", "fd_of_mine", "<b>", "precision_inception"])
def test_metrics_that_nobody_measured(listed: Any, name: str) -> None:
    made = {"value": 0.5, "better": "higher"}
    refused(listed.edit(lambda value: value["result"]["metrics"].update({name: made})), "is no metric of memobench")


@pytest.mark.parametrize("letter", ["\u202e", "\u2066", "\u2028", "\u2029", "\ud800", "\0", "\x07", "\u200b"])
@pytest.mark.parametrize(
    "place",
    [
        lambda value, text: value["submitter"].update(name=text),
        lambda value, text: value["disclosures"].update(comment=text),
        lambda value, text: value["result"]["notes"].append(text),
        lambda value, text: value["result"]["identity"]["parameters"].update({text: 1}),
        lambda value, text: value["result"]["metrics"].update({text: {"value": 0.0, "better": "lower"}}),
        lambda value, text: value["result"].update(environment={"device": text}),
    ],
)
def test_characters_that_nobody_sees(listed: Any, letter: str, place: Any) -> None:
    folder = listed.edit(lambda value: place(value, f"a{letter}b"))
    with pytest.raises(DataError, match=rf"U\+{ord(letter):04X}"):
        parse_submission((folder / "submission.json").read_bytes())


def test_the_same_samples_under_another_seed_or_name(listed: Any) -> None:
    """A seed that was copied has the samples of the one that it was copied from."""
    original = listed.folder
    kept = original.parent / "kept"
    shutil.copytree(original, kept)
    listed.stamp(lambda value: value["result"]["identity"].update(seed=1))
    kept.rename(original)
    refused(listed.folder, f"{original.name} has the same samples")


def test_every_task_has_its_reference_of_the_present_versions() -> None:
    for task in TASKS.files():
        found = reference_of(task, "quick")
        assert found is not None
        assert found.tau == pytest.approx(threshold(found.null, 1.0).tau, rel=1e-6)
        assert 0.9 < found.sensitivity <= 1
        assert len(found.planted) > 10
        assert reference_of(task, "paper") is None


def test_the_references_are_those_of_the_listed_controls(tmp_path: Path) -> None:
    written = make_references(BOARD, BOARD.parent / "verified", tmp_path)
    assert sorted(Path(file).stem for file in written) == sorted(TASKS.files())
    for file in written:
        assert Path(file).read_text() == (BOARD.parents[1] / "tasks" / "reference" / Path(file).name).read_text()


def on_the_board(folder: Path, level: Level) -> Row:
    """The row of a submission that passed at a level, on a board of its own; it is no control any more."""
    content = (folder / "submission.json").read_bytes()
    verification = Verification(
        run_id=folder.name,
        level=level,
        submission_sha256=hashlib.sha256(content).hexdigest(),
        passed=True,
        verified="2026-01-31",
        memobench="1",
        differences=[],
        submitted_by="github:mallory",
    )
    verified = folder.parents[2] / "verified"
    verified.mkdir(exist_ok=True)
    (verified / f"{folder.name}.json").write_text(verification.model_dump_json())
    (board,) = build_board(folder.parents[1], "xray")
    (entry,) = board.entries
    assert entry.rank is None
    return entry.row


def test_invented_scores_pass_as_self_reported_and_have_no_rank(listed: Any) -> None:
    folder = listed.without_copies()
    assert check_submission(folder).passed
    row = on_the_board(listed.edit(lambda value: value["result"].update(control=False)), "self-reported")
    assert row.unranked == "self-reported: nobody has measured it again"


def test_half_of_train_and_half_of_holdout_is_a_finding(listed: Any) -> None:
    """Train minus holdout is zero; that held-out patients are matched is not."""

    def change(arrays: dict[str, np.ndarray]) -> None:
        train, holdout = arrays["train_score"].copy(), arrays["holdout_score"].copy()
        arrays["train_score"][::2], arrays["holdout_score"][::2] = holdout[::2], train[::2]
        arrays["holdout_index"] = np.resize(np.arange(len(arrays["holdout_patient"])), len(train))
        arrays["p_value"] = p_values_of(arrays, 0.002)

    folder = listed.recount(change)
    assert check_submission(folder).passed  # its numbers are right
    assert abs(listed.json["result"]["metrics"]["copy_rate"]["value"]) < 0.05
    row = on_the_board(listed.edit(lambda value: value["result"].update(control=False)), "rescored")
    assert row.decision == "do not release"
    assert row.unranked.startswith("gives away patients that it was not to see: 68")
    assert row.unranked.endswith("patients of holdout")
    assert "held-out" in row.seeds[0].decision.sentence


def test_test_images_ask_for_the_leak_test_before_they_rank(listed: Any) -> None:
    def change(value: dict[str, Any]) -> None:
        value["result"].update(control=False)
        value["result"]["metrics"]["fd_ssl"].update(value=0.0, low=0.0, high=1.0)

    listed.without_copies()
    assert on_the_board(listed.edit(change), "rescored").unranked == LEAK_ASKED
