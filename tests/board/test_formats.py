from __future__ import annotations

import csv
import io
from collections.abc import Callable

import pytest
from memobench.base.errors import DataError
from memobench.board.build import TaskBoard, build_board
from memobench.board.formats import csv_board, text_board
from memobench.board.read import Frame
from memobench.submissions.records import Submitter

from .conftest import Shelf, figures

MakeFrame = Callable[[str], Frame]


def _boards(shelf: Shelf, frame: MakeFrame) -> list[TaskBoard]:
    return build_board(shelf.submissions, frame=frame)


@pytest.mark.parametrize("style", ["simple", "github", "latex"])
def test_every_entry_stands_in_every_table_with_interval_and_null(filled: Shelf, frame: MakeFrame, style: str) -> None:
    text = _boards(filled, frame)
    lines = text_board(text, style).splitlines()
    (gan,) = [line for line in lines if "gan" in line and "vqgan" not in line]
    for words in ("14.1", "13.1 to 15.1", "null 8", "rescored"):
        assert words in gan
    assert len([line for line in lines if "control)" in line]) == 4


def test_the_csv_holds_every_number(filled: Shelf, frame: MakeFrame) -> None:
    rows = list(csv.DictReader(io.StringIO(csv_board(_boards(filled, frame)))))
    assert rows[0]["model"] == "gan"
    assert float(rows[0]["fd_ssl_value"]) == pytest.approx(14.1)
    assert float(rows[0]["fd_ssl_low"]) < 14.1 < float(rows[0]["fd_ssl_high"])
    (incomplete,) = [row for row in rows if row["model"] == "ddpm"]
    assert (incomplete["rank"], incomplete["fd_ssl_value"]) == ("", "")


def test_names_from_outside_are_harmless_in_text(shelf: Shelf, frame: MakeFrame) -> None:
    name = "=cmd|'x'!A1 <img src=x onerror=alert(1)> @all [a](javascript:b)"
    shelf.put("ldm", 0, submitter=Submitter(name=name))
    boards = _boards(shelf, frame)
    markdown = text_board(boards, "github")
    assert "<img" not in markdown
    assert "[a](" not in markdown.replace("\\[a\\]", "")
    assert "@all" not in markdown
    (row,) = csv.DictReader(io.StringIO(csv_board(boards)))
    assert row["submitter"].startswith("'=")


def test_control_characters_do_not_get_as_far(shelf: Shelf) -> None:
    shelf.put("ldm", 0, submitter=Submitter(name="A group \x1b[31m"))
    with pytest.raises(DataError, match="control character"):
        build_board(shelf.submissions)


def test_a_metric_nobody_knows_is_shown_by_its_name(shelf: Shelf, frame: MakeFrame) -> None:
    metrics = figures()
    shelf.put("ldm", 0, metrics={**metrics, "made_up": metrics["recall"]})
    assert "made_up_value" in csv_board(_boards(shelf, frame))


def test_an_empty_board_says_so(shelf: Shelf) -> None:
    shelf.submissions.mkdir(parents=True)
    assert "No submissions yet" in text_board(build_board(shelf.submissions), "github")
