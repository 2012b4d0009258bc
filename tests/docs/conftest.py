from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "docs" / "_pages"))
NOT_RUN = re.compile(r"<!-- not run: (.+?) -->\s*$")
FENCE = re.compile(r"^(\s*)```(\w*)\s*$")


@dataclass(frozen=True)
class Block:
    """A block of code of a page.

    Attributes:
        page: The page, relative to the root.
        line: Number of its first line.
        language: What stands behind the fence.
        text: What is in it, without the indentation of the fence.
        reason: Why it is not run; empty where it is.
    """

    page: str
    line: int
    language: str
    text: str
    reason: str = ""

    @property
    def commands(self) -> list[list[str]]:
        """The words of each command."""
        lines = self.text.replace("\\\n", " ").splitlines()
        return [words for line in lines if (words := shlex.split(line, comments=True))]


def blocks_of(text: str, page: str) -> Iterator[Block]:
    """The blocks of a page; a fence that is never closed fails."""
    lines, row = text.splitlines(), 0
    while row < len(lines):
        opened = FENCE.match(lines[row])
        if opened is None:
            row += 1
            continue
        end = next(k for k in range(row + 1, len(lines)) if lines[k].strip() == "```")
        inside = "\n".join(line.removeprefix(opened[1]) for line in lines[row + 1 : end])
        before = next((line for line in reversed(lines[:row]) if line.strip()), "")
        marked = NOT_RUN.search(before)
        yield Block(page, row + 2, opened[2], inside, marked[1] if marked else "")
        row = end + 1


def written() -> list[Path]:
    """README and the written pages of the manual."""
    return [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


@pytest.fixture(scope="session")
def blocks() -> Callable[[], list[Block]]:
    """All blocks of README and of the manual's written pages."""
    found = [
        block
        for file in written()
        for block in blocks_of(file.read_text(encoding="utf-8"), file.relative_to(ROOT).as_posix())
    ]
    return lambda: found
