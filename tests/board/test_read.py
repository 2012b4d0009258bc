from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from memobench.base.errors import DataError, MemobenchError, UsageError
from memobench.board.read import frame_of, read_submissions, tasks_of
from memobench.submissions.untrusted import JSON_BYTES

from .conftest import Shelf


def test_a_submission_is_read_with_its_verification(shelf: Shelf) -> None:
    put = shelf.put("ldm", 0)
    assert read_submissions(shelf.submissions, ["xray"]) == [put]
    assert (tasks_of(shelf.submissions), put.level) == (["xray"], "rescored")


def test_an_edited_submission_loses_its_verification(shelf: Shelf) -> None:
    put = shelf.put("ldm", 0)
    file = shelf.submissions / "xray" / put.name / "submission.json"
    file.write_text(file.read_text().replace("No copies", "NO copies"))
    assert read_submissions(shelf.submissions, ["xray"])[0].level == "unverified"


def test_a_verification_of_another_run_does_not_count(shelf: Shelf) -> None:
    put = shelf.put("ldm", 0)
    file = shelf.verified / f"{put.name}.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "run_id": "another"}))
    assert read_submissions(shelf.submissions, ["xray"])[0].level == "unverified"


def _nan(text: str) -> str:
    return text.replace('"value": 10.0', '"value": NaN')


def _parameter(text: str) -> str:
    return text.replace('"steps": 2000', '"steps": 2001')


def _endless(text: str) -> str:
    return text.replace('"steps": 2000', '"steps": Infinity')


def _huge(text: str) -> str:
    return text.replace('"steps": 2000', '"steps": 1e999')


def _unknown(text: str) -> str:
    return text.replace('"kind"', '"surprise": 1, "kind"', 1)


def _large(text: str) -> str:
    return text + " " * JSON_BYTES


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (_nan, "is no number; a submission holds finite numbers"),
        (_parameter, "folder named by its identity"),
        (_endless, "is no number; a submission holds finite numbers"),
        (_huge, "a number is too large"),
        (_unknown, "surprise"),
        (_large, "bytes, more than the"),
        (lambda text: text[:-40], "cannot be read"),
        (lambda text: text.replace('"task": "xray"', '"task": "ct"'), "another task than its folder"),
    ],
)
def test_a_changed_record_is_named_with_its_reason(shelf: Shelf, edit: Callable[[str], str], message: str) -> None:
    put = shelf.put("ldm", 0)
    file = shelf.submissions / "xray" / put.name / "submission.json"
    changed = edit(file.read_text())
    assert changed != file.read_text()
    file.write_text(changed)
    with pytest.raises(DataError, match=message) as error:
        read_submissions(shelf.submissions, ["xray"])
    assert str(file) in str(error.value)


def test_a_link_is_refused(shelf: Shelf) -> None:
    put = shelf.put("ldm", 0)
    folder = shelf.submissions / "xray" / put.name
    folder.rename(folder.parent.parent / "elsewhere")
    folder.symlink_to(folder.parent.parent / "elsewhere")
    with pytest.raises(DataError, match="behind a link"):
        read_submissions(shelf.submissions, ["xray"])


def test_no_folder_and_no_task_are_said(shelf: Shelf) -> None:
    with pytest.raises(MemobenchError, match="bench submit"):
        read_submissions(shelf.submissions, ["xray"])
    with pytest.raises(UsageError, match="unknown task"):
        frame_of("xrya")


def test_the_frame_of_a_task_is_its_own_data_and_the_present_measure() -> None:
    from memobench.detection.parameters import DETECTOR_VERSION
    from memobench.task import TASKS

    frame = frame_of("ct")
    assert (frame.split_digest, frame.detector_version) == (TASKS.get("ct").digest, DETECTOR_VERSION)
