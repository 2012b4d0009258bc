from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from memobench.base.errors import UsageError
from memobench.board.build import board_json, build_board, check_committed, differences
from memobench.board.formats import text_board
from memobench.board.read import Frame
from memobench.board.show import show_board
from memobench.cli.main import main
from memobench.submissions.verify import verify

from .conftest import Shelf, figures

MakeFrame = Callable[[str], Frame]


def test_the_board_is_the_same_bytes_for_the_same_submissions(filled: Shelf, frame: MakeFrame) -> None:
    first = board_json(build_board(filled.submissions, frame=frame))
    assert first == board_json(build_board(filled.submissions, frame=frame))
    entries = json.loads(first)["tasks"][0]["entries"]
    assert [entry["rank"] for entry in entries[:4]] == [1, 1, 2, 2]


def test_the_check_names_what_differs(filled: Shelf, frame: MakeFrame) -> None:
    committed = filled.submissions.parent

    def lines() -> list[str]:
        boards = build_board(filled.submissions, frame=frame)
        return check_committed(boards, committed, text_board(boards, "github"))

    assert lines() == ["board.json: there is no committed board", "BOARD.md: there is no committed board"]
    boards = build_board(filled.submissions, frame=frame)
    (committed / "board.json").write_text(board_json(boards) + "\n")
    (committed / "BOARD.md").write_text(text_board(boards, "github") + "\n")
    assert lines() == []

    filled.put("newcomer", 0)
    filled.put("vae", 0, metrics=figures(0.0, 31.0))
    found = lines()
    assert any(line.startswith("board.json: + xray-newcomer-") for line in found)
    assert any(line.startswith("board.json: ~ xray-vae-") for line in found)
    assert found[-1].startswith("BOARD.md: differs")


def test_an_edited_figure_in_the_committed_board_is_found(filled: Shelf, frame: MakeFrame) -> None:
    fresh = board_json(build_board(filled.submissions, frame=frame))
    edited = json.loads(fresh)
    edited["tasks"][0]["entries"][1]["metrics"]["copy_rate"]["value"] = 0.001
    (line,) = differences(json.dumps(edited), fresh)
    assert line == f"~ {edited['tasks'][0]['entries'][1]['key']}"
    assert differences("[1]", fresh) == ["the committed board is no board of this version"]


def test_the_command_checks_and_says_how_to_renew(
    filled: Shelf, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("memobench.board.show.failures", lambda *all: {})  # these submissions have no scores
    words = ["leaderboard", "--submissions", str(filled.submissions)]
    with pytest.raises(SystemExit) as end:
        main([*words, "--check"])
    assert end.value.code == 1
    assert "renew it: bench leaderboard" in capsys.readouterr().out
    for style, name in (("github", "BOARD.md"), ("json", "board.json")):
        with pytest.raises(SystemExit) as end:
            main([*words, "--format", style])
        assert end.value.code == 0
        (filled.submissions.parent / name).write_text(capsys.readouterr().out)
    with pytest.raises(SystemExit) as end:
        main([*words, "--check"])
    assert end.value.code == 0


def test_a_submission_that_fails_verification_fails_the_check(
    filled: Shelf, capsys: pytest.CaptureFixture[str]
) -> None:
    """``bench verify`` and the board judge by the same function; here every submission lacks its scores."""
    for style, name in (("github", "BOARD.md"), ("json", "board.json")):
        (filled.submissions.parent / name).write_text(show_board(filled.submissions, None, style))
    with pytest.raises(SystemExit) as end:
        main(["leaderboard", "--submissions", str(filled.submissions), "--check"])
    assert end.value.code == 1
    lines = capsys.readouterr().out.splitlines()
    folders = sorted(file.parent for file in filled.submissions.glob("*/*/submission.json"))
    assert lines == [f"{folder.parent.name}/{folder.name}: {verify(folder).problems[0]}" for folder in folders]


def test_an_unknown_task_is_wrong_usage(filled: Shelf) -> None:
    with pytest.raises(UsageError, match="unknown task"):
        build_board(filled.submissions, "xrya")
