"""The manual builds without a warning, offline, and its generated pages leave nothing out."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import memobench
import pytest
from memobench.data.public._source import SOURCES
from memobench.measure.decision import TABLE
from memobench.report.words import MEMORIZATION, OTHER, QUALITY

from .conftest import ROOT, blocks_of


def test_readme_is_short_and_starts_with_what_matters() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert len(text.split()) <= 900
    order = ["Are your synthetic medical images copies", "docs/pictures/copy.png", "bench audit", "bench measure"]
    order += ["## The board", "## What it proves", "import memobench", "## More"]
    places = [text.index(words) for words in order]
    assert places == sorted(places)
    assert "pip install -e . && bench run --model ldm --task xray" in text
    assert "pip install -e '.[test]' && pytest -n logical" in text


def test_links_of_readme_lead_somewhere() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    targets = re.findall(r"\]\(([^)\s]+)\)", text)
    assert targets
    for target in targets:
        assert "://" in target or (ROOT / target.partition("#")[0]).exists(), target


def test_the_board_in_readme_is_the_committed_one() -> None:
    import board_head

    text = (ROOT / "README.md").read_text(encoding="utf-8")
    board = (ROOT / "leaderboard" / "BOARD.md").read_text(encoding="utf-8")
    assert board_head.renewed(text, board) == text, "run: python docs/_pages/board_head.py"


def test_no_sentence_is_long() -> None:
    import sentences

    for words, page, sentence in sentences.longest(20):
        assert words <= 30, f"{page}: {sentence}"


def test_pictures_are_small() -> None:
    for file in (ROOT / "docs").rglob("*.png"):
        assert file.stat().st_size < 150_000, file


def test_the_api_page_holds_every_name() -> None:
    import api

    page = api.page(ROOT)
    for name in memobench.__all__:
        assert f"memobench.{name}" in page, name


def test_the_commands_page_holds_every_command_and_option() -> None:
    import commands
    from memobench.cli.main import bench

    page = commands.page()
    for name, command in commands.commands(bench):
        section = page.partition(f"\n## {name}\n")[2].partition("\n## ")[0]
        assert section, name
        for option in command.params:
            assert option.opts[0] in section or option.param_type_name == "argument", f"{name} {option.opts}"
        for block in blocks_of(section, "commands.md"):
            assert all(words[: len(name.split())] == name.split() for words in block.commands), block.text


def test_the_sources_page_holds_every_source() -> None:
    import registries

    page = registries.sources()
    for name in SOURCES.names():
        assert f"{{ #{name} }}" in page, name


def test_the_decision_page_holds_every_row() -> None:
    import registries

    page = registries.filled((ROOT / "docs" / "how" / "decision.md").read_text(encoding="utf-8"))
    for row in TABLE:
        assert f"| {row.name} | {row.word} | {row.says(registries.EXAMPLE)} |" in page


def test_models_have_no_name_that_a_page_made_up() -> None:
    import registries
    from memobench.generator import GENERATORS

    for name in GENERATORS.names():
        assert f"| `{name}` |" in registries.tables()["models"]


def test_every_metric_has_an_entry_with_null_and_trap() -> None:
    text = (ROOT / "docs" / "how" / "metrics.md").read_text(encoding="utf-8")
    entries = dict(re.findall(r"^### (\w+)\n(.*?)(?=^##|\Z)", text, flags=re.DOTALL | re.MULTILINE))
    assert set(entries) == {*MEMORIZATION, *OTHER, *QUALITY}


@pytest.mark.slow
def test_it_builds_without_a_warning_and_asks_nobody(tmp_path: Path) -> None:
    pytest.importorskip("mkdocs")
    pytest.importorskip("mkdocstrings_handlers.python")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path / "manual")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    for page in (tmp_path / "manual").rglob("*.html"):
        text = page.read_text(encoding="utf-8")
        asked = re.findall(r'<(?:script|link|img|iframe)[^>]+(?:src|href)="(https?:[^"]+)"', text)
        assert not asked, f"{page}: {asked}"
    api = (tmp_path / "manual" / "api.html").read_text(encoding="utf-8")
    for name in memobench.__all__:
        assert f"memobench.{name}" in api, name
