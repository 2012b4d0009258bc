from __future__ import annotations

from pathlib import Path

from memobench.data.public._source import SOURCES
from memobench.data.public._table import source_table, with_table

PAGE = Path(__file__).parents[3] / "tasks" / "README.md"


def test_the_page_holds_the_registrys_table() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert with_table(text) == text, "run python -m memobench.data.public._table"
    assert source_table() in text


def test_every_source_has_one_line_with_a_licence() -> None:
    lines = source_table().splitlines()[2:]
    assert [line.split("`")[1] for line in lines] == SOURCES.names()
    assert all(line.count("|") == 12 for line in lines)
    assert all(SOURCES.get(name).licence for name in SOURCES.names())
