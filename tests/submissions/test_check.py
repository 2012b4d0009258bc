"""Forgeries, one test each: what a verifier without any image must catch."""

from __future__ import annotations

import hashlib
import io
import json
import pickle
import shutil
import stat
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from memobench.baselines.ldm import LDM
from memobench.board.read import read_submissions
from memobench.provenance.fields import same_fields
from memobench.submissions.changes import verify_changes
from memobench.submissions.check import Checked, change_problems, check_submission
from memobench.submissions.older import result_of_folder
from memobench.submissions.rules import as_json

SCRIPT = "<script>alert(1)</script><img src=x onerror=alert(1)>\"'&"


def check(folder: Path) -> Checked:
    return check_submission(folder, practice=True)


def refused(folder: Path, reason: str) -> None:
    found = check(folder)
    assert not found.passed
    assert reason in " ".join(found.problems), found.problems


def differing(folder: Path) -> set[str]:
    found = check(folder)
    assert not found.passed
    return {row.metric for row in found.differences if not row.agrees}


def test_an_honest_submission_passes_and_every_count_is_compared(forgery: Any) -> None:
    found = check(forgery.folder)
    assert found.passed, (found.problems, [row for row in found.differences if not row.agrees])
    compared = {row.metric for row in found.differences}
    assert {"tau", "copy_rate", "copy_rate.high", "copy_rate.null", "copy_evidence.p_value"} <= compared
    assert {"memorized_ceiling", "memorized_patients_corrected", "false_discovery_rate"} <= compared


def test_the_board_itself_takes_no_smoke_run(forgery: Any) -> None:
    assert any("only tests the path" in problem for problem in check_submission(forgery.folder).problems)


@pytest.mark.parametrize("part", ["value", "low", "high", "null", "p_value"])
def test_an_edited_metric_interval_or_null(forgery: Any, part: str) -> None:
    def change(value: dict[str, Any]) -> None:
        value["result"]["metrics"]["copy_rate"][part] += 0.01

    label = "copy_rate" if part == "value" else f"copy_rate.{part}"
    assert differing(forgery.edit(change)) == {label}


def test_an_edited_decision(forgery: Any) -> None:
    def soothe(value: dict[str, Any]) -> None:
        value["result"].pop("verdict", None)
        mild = {"word": "no copies found", "sentence": "All is well.", "reasons": []}
        value["result"].update(schema_version=3, decision=mild)

    refused(forgery.edit(soothe), "the decision is not")


def test_a_sentence_that_is_worded_otherwise_passes_and_is_never_shown(forgery: Any) -> None:
    def reword(value: dict[str, Any]) -> None:
        decision = value["result"]["decision"]
        decision.update(sentence="All is well.", reasons=["All is well." for _ in decision["reasons"]])
        value["result"]["checksum"] = None

    folder = forgery.edit(reword)
    found = check(folder)
    assert found.passed, found.problems
    shown = (result_of_folder(folder), read_submissions(folder.parents[1], ["xray"])[0])
    for one in shown:
        assert one.decision.word == "do not release"
        assert "All is well" not in one.decision.model_dump_json()
        assert one.decision.sentence.startswith("Do not release these samples.")


@pytest.mark.parametrize(
    "change", [{"word": "review"}, {"rows": ["called"]}, {"rows": None, "reasons": ["Chance."] * 9}]
)
def test_another_word_or_other_reasons_are_refused(forgery: Any, change: dict[str, Any]) -> None:
    refused(forgery.edit(lambda value: value["result"]["decision"].update(change)), "the decision is not")


def test_without_scores_no_word_of_the_submitter_is_shown(forgery: Any) -> None:
    def soothe(value: dict[str, Any]) -> None:
        value["result"]["decision"].update(word="no copies found", sentence="All is well.", reasons=[])
        value["result"]["checksum"] = None

    folder = forgery.edit(soothe)
    (folder / "scores.npz").unlink()
    for one in (result_of_folder(folder), read_submissions(folder.parents[1], ["xray"])[0]):
        assert one.decision.word != "no copies found"
        assert "All is well" not in one.decision.model_dump_json()


def test_an_older_result_cannot_claim_its_decision(forgery: Any) -> None:
    mild = {"word": "no copies found", "sentence": "All is well.", "reasons": []}
    folder = forgery.edit(lambda value: value["result"].update(schema_version=2, verdict="All is well.", decision=mild))
    submission = check_submission(folder, practice=True).submission
    assert submission is not None
    assert submission.result.schema_version == 2
    assert submission.result.decision.word == "do not release"
    assert "All is well" not in submission.result.model_dump_json()


def test_an_edited_hyper_parameter(forgery: Any) -> None:
    def change(value: dict[str, Any]) -> None:
        value["result"]["identity"]["parameters"]["share"] = 0.1

    refused(forgery.edit(change), "the identity's hash makes it")
    refused(forgery.stamp(change), "the parameters are not those of preset")


def test_a_field_that_came_later_voids_no_result_while_it_has_its_default() -> None:
    quick, standard = (as_json(LDM(**LDM.PRESETS[preset])) for preset in ("quick", "standard"))
    for parameters, stays in ((quick, True), (standard, False)):
        older = {name: value for name, value in parameters.items() if name != "adversarial_steps"}
        assert same_fields(older, parameters, as_json(LDM())) == stays
        assert not same_fields({**older, "unknown": 3}, parameters, as_json(LDM()))


def test_a_control_that_says_it_is_none(forgery: Any) -> None:
    refused(forgery.edit(lambda value: value["result"].update(control=False)), "control is False")


def test_swapped_scores(forgery: Any) -> None:
    def change(arrays: dict[str, np.ndarray]) -> None:
        found = np.flatnonzero(np.isfinite(arrays["train_score"]))
        arrays["train_score"][found] = arrays["train_score"][found[::-1]]

    forgery.rescore(change)
    refused(forgery.folder, "a stronger match has a larger p_value")


def test_samples_that_match_nothing(forgery: Any) -> None:
    def change(arrays: dict[str, np.ndarray]) -> None:
        arrays["train_score"][0] = arrays["holdout_score"][0] = -np.inf

    forgery.rescore(change)
    refused(forgery.folder, "a sample matches neither train nor holdout")


def test_edited_scores_with_the_old_digest(forgery: Any) -> None:
    digest = forgery.json["scores_sha256"]
    forgery.rescore(lambda arrays: arrays.update(called=np.zeros_like(arrays["called"])))
    refused(forgery.edit(lambda value: value.update(scores_sha256=digest)), "scores.npz is not the file")


def test_edited_scores_with_a_new_digest(forgery: Any) -> None:
    forgery.rescore(lambda arrays: arrays.update(called=np.zeros_like(arrays["called"])))
    refused(forgery.folder, "called does not follow")


def test_edited_null_scores_move_tau(forgery: Any) -> None:
    assert "tau" in differing(forgery.rescore(lambda arrays: arrays.update(null=arrays["null"] + np.float32(1))))


def test_scores_of_another_run(forgery: Any) -> None:
    def change(arrays: dict[str, np.ndarray]) -> None:
        order = np.random.default_rng(0).permutation(len(arrays["side"]))
        arrays["train_index"] = arrays["train_index"][order]

    assert "copy_evidence" in differing(forgery.rescore(change))


def test_patients_moved_between_the_pools(forgery: Any) -> None:
    forgery.rescore(lambda arrays: arrays.update(train_patient=arrays["train_patient"][::-1].copy()))
    refused(forgery.folder, "train_patient is not who stands")


def test_a_wrong_split_digest_and_an_older_task(forgery: Any) -> None:
    refused(forgery.stamp(lambda value: value["result"]["identity"].update(split_digest="0" * 64)), "split_digest")
    refused(forgery.stamp(lambda value: value["result"]["identity"].update(task_version="0")), "task_version")


def test_an_unknown_key(forgery: Any) -> None:
    refused(forgery.edit(lambda value: value["result"].update(rank=1)), "result.rank")


@pytest.mark.parametrize("word", ["NaN", "Infinity", "-Infinity", "1e999"])
def test_nan_and_infinity(forgery: Any, word: str) -> None:
    text = json.dumps(forgery.json).replace('"seed": 0', f'"seed": {word}')
    assert word in text
    (forgery.folder / "submission.json").write_text(text)
    refused(forgery.folder, "finite numbers alone")


def test_nan_among_the_scores(forgery: Any) -> None:
    def change(arrays: dict[str, np.ndarray]) -> None:
        arrays["train_score"][0] = np.nan

    refused(forgery.rescore(change), "NaN or infinity")


def test_a_duplicate_run(forgery: Any) -> None:
    shutil.copytree(forgery.folder, forgery.folder.parents[1] / "ct" / forgery.folder.name)
    refused(forgery.folder, "has the same run_id")


def test_a_folder_that_is_not_its_own(forgery: Any) -> None:
    refused(forgery.folder.rename(forgery.folder.with_name("xray-ldm-0")), "the folder is xray/xray-ldm-0")


def test_another_command(forgery: Any) -> None:
    refused(forgery.edit(lambda value: value.update(command="curl example.org | sh")), "the command is not")


@pytest.mark.parametrize("location", ["../../samples.npz", "/etc/passwd", "file:///etc/passwd", "http://a/b"])
def test_a_location_that_leaves_its_folder(forgery: Any, location: str) -> None:
    refused(forgery.edit(lambda value: value["samples"].update(location=location)), "location")


def test_a_link_and_a_further_file(forgery: Any) -> None:
    (forgery.folder / "notes.txt").write_text("more")
    refused(forgery.folder, "what differs: 'notes.txt'")
    (forgery.folder / "notes.txt").unlink()
    (forgery.folder / "notes.txt").symlink_to("/etc/passwd")
    refused(forgery.folder, "is a link or a folder")


def _archive(forgery: Any, name: str, data: bytes, mode: int = 0) -> Path:
    with zipfile.ZipFile(forgery.folder / "scores.npz", "a") as archive:
        info = zipfile.ZipInfo(name)
        info.external_attr = mode << 16
        archive.writestr(info, data)
    return Path(forgery.seal())


def test_an_archive_that_leaves_its_folder_or_holds_a_link(forgery: Any) -> None:
    refused(_archive(forgery, "../../evil.npy", b""), "a path that leaves its folder")


def test_an_archive_with_a_link(forgery: Any) -> None:
    refused(_archive(forgery, "link.npy", b"/etc/passwd", stat.S_IFLNK | 0o777), "holds a link")


class _Bomb:
    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return exec, ("raise SystemExit('a pickle was opened')",)


def test_a_pickle_among_the_scores(forgery: Any) -> None:
    refused(forgery.rescore(lambda arrays: arrays.update(null=np.array([_Bomb()], dtype=object))), "objects (pickles)")
    with zipfile.ZipFile(forgery.folder / "scores.npz") as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    members["null.npy"] = pickle.dumps(_Bomb())
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    (forgery.folder / "scores.npz").write_bytes(stream.getvalue())
    refused(forgery.seal(), "a pickle?")


def test_script_in_every_free_text_stays_text(forgery: Any) -> None:
    def change(value: dict[str, Any]) -> None:
        value["submitter"].update(name=SCRIPT, contact=SCRIPT)
        value["disclosures"].update(other_training_data=SCRIPT, comment=SCRIPT)
        value["result"]["notes"].append(SCRIPT)
        value["result"]["environment"]["device"] = SCRIPT

    found = check(forgery.edit(change))
    assert found.passed, found.problems
    assert found.submission is not None
    assert found.submission.submitter.name == SCRIPT


@pytest.mark.parametrize("where", ["model", "task", "run_id", "preset"])
def test_script_where_a_name_is_wanted(forgery: Any, where: str) -> None:
    def change(value: dict[str, Any]) -> None:
        result = value["result"]
        (result if where in ("run_id", "preset") else result["identity"])[where] = SCRIPT

    assert not check(forgery.edit(change)).passed


def test_ten_megabytes_in_a_name(forgery: Any) -> None:
    refused(forgery.edit(lambda value: value["submitter"].update(name="x" * 10_000_000)), "more than the 1000000")
    forgery.edit(lambda value: value["submitter"].update(name="x" * 5000))
    refused(forgery.folder, "a text has 5000 characters")


def test_json_nested_without_end(forgery: Any) -> None:
    (forgery.folder / "submission.json").write_text("[" * 200_000)
    refused(forgery.folder, "nested deeper")


def test_scores_that_agree_with_each_other_pass_without_images(forgery: Any) -> None:
    """What no check without the samples can see; test_verify shows that measuring again does."""
    assert check(forgery.without_copies()).passed


HERE = "leaderboard/submissions/xray/run-1"


def test_a_change_touches_new_folders_alone() -> None:
    new = [("A", f"{HERE}/submission.json"), ("A", f"{HERE}/scores.npz")]
    assert change_problems(new, [path for _, path in new]) == []
    assert "stands already" in change_problems([("M", f"{HERE}/scores.npz")], [])[0]
    assert "stands already" in change_problems([("D", f"{HERE}/scores.npz")], [])[0]
    assert "a folder that stands already" in change_problems(new[1:], [path for _, path in new])[0]
    for path in ("README.md", "leaderboard/verified/run-1.json", f"{HERE}/../../../x", f"/{HERE}/a", f'"{HERE}/a'):
        assert "alone" in change_problems([("A", path)], [])[0]


def test_a_change_is_verified_too(forgery: Any, tmp_path: Path) -> None:
    root = tmp_path / "checkout"
    shutil.copytree(forgery.folder.parents[1], root / "leaderboard" / "submissions")
    folder = f"leaderboard/submissions/xray/{forgery.folder.name}"
    listed = f"A\t{folder}/submission.json\nA\t{folder}/scores.npz\n"
    assert any("only tests the path" in problem for problem in verify_changes(listed, root))
    assert verify_changes("", root) == ["nothing is changed"]


def test_a_gallery_is_the_one_that_the_submission_names(forgery: Any) -> None:
    picture = forgery.folder / "gallery.png"
    picture.write_bytes(b"drawn")
    (problem,) = check_submission(forgery.folder, practice=True).problems
    assert "gallery.png" in problem  # not named, so not allowed
    forgery.edit(lambda value: value.update(gallery_sha256=hashlib.sha256(b"drawn").hexdigest()))
    assert check_submission(forgery.folder, practice=True).passed
    picture.write_bytes(b"another")
    (problem,) = check_submission(forgery.folder, practice=True).problems
    assert "it was changed" in problem
