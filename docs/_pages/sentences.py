"""The longest sentences of README and of the written pages: ``python docs/_pages/sentences.py 20``."""

from __future__ import annotations

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LEFT_OUT = (r"```.*?```", r"<!--.*?-->", r'<p class="formula">.*?</p>', r"^#.*?$")


def sentences(text: str) -> list[str]:
    """The sentences of a page; headings, code, formulas and comments are left out, cells of tables stand alone."""
    for pattern in LEFT_OUT:
        text = re.sub(pattern, "\n\n", text, flags=re.DOTALL | re.MULTILINE)
    text = re.sub(r"!?\[([^\]]*)\]\([^)]*\)", r"\1", re.sub(r"<[^>]+>", " ", text))
    found: list[str] = []
    for paragraph in re.split(r"\n\s*\n|\n(?=\s*(?:[-*|]|\d+\.) ?)", text):
        for cell in paragraph.split("|") if paragraph.strip().startswith("|") else [paragraph]:
            found += re.split(r"(?<=[.!?:])\*{0,2}\s+(?=[A-Z`\"*])", " ".join(cell.split()))
    return found


def longest(count: int) -> list[tuple[int, str, str]]:
    """Words, page and sentence of so many."""
    pages = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
    every = [
        (len(sentence.split()), page.relative_to(ROOT).as_posix(), sentence)
        for page in pages
        for sentence in sentences(page.read_text(encoding="utf-8"))
    ]
    return sorted(every, reverse=True)[:count]


if __name__ == "__main__":
    for words, page, sentence in longest(int(sys.argv[1])):
        sys.stdout.write(f"{words} {page}: {sentence}\n")
