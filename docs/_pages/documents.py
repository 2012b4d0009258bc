"""Documents of the repository as pages of the manual: rules, board, studies, guide, changelog.

Links between documents become links between pages. What is no page of the manual stands as the name of its file.
"""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath

SHOWN = {
    "leaderboard/rules.md": "leaderboard/README.md",
    "leaderboard/board.md": "leaderboard/BOARD.md",
    "studies/index.md": "leaderboard/studies/README.md",
    "contribute/guide.md": "CONTRIBUTING.md",
}
PAGES = {document: page for page, document in SHOWN.items()}
PAGES |= {"README.md": "index.md", "tasks/README.md": "data/index.md"}
ITEM = re.compile(r"(-|\d+\.) ")
LINK = re.compile(r"(!?)\[([^\]]*)\]\(([^)\s]+)\)")


def pages(root: Path) -> dict[str, str]:
    """The text of each page."""
    return {
        page: _page((root / document).read_text(encoding="utf-8"), document, page) for page, document in SHOWN.items()
    }


def pictures(root: Path) -> dict[str, Path]:
    """The pictures of the studies, by their place in the manual."""
    folder = root / "leaderboard" / "studies"
    return {f"studies/{file.relative_to(folder).as_posix()}": file for file in sorted(folder.glob("*/*.svg"))}


def _page(text: str, document: str, page: str) -> str:
    def link(found: re.Match[str]) -> str:
        picture, words, target = found.groups()
        if picture or "://" in target or target.startswith("#"):
            return found[0]
        path, hash_, anchor = target.partition("#")
        place = _normal(PurePosixPath(document).parent / path)
        if place in PAGES:
            return f"[{words}]({_relative(PAGES[place], page)}{hash_}{anchor})"
        return f"{words} (`{place}`)" if place not in words else f"`{words.strip('`')}`"

    return _labelled(LINK.sub(link, text))


def _labelled(text: str) -> str:
    """Every block of code with a language, and an empty line before every list, which this Markdown asks for."""
    lines: list[str] = []
    inside = False
    rows = text.splitlines()
    for row, line in enumerate(rows):
        if line.strip().startswith("```") and not inside:
            inside = True
            if line.strip() == "```":
                line += "bash" if re.match(r"\s*(bench|pip|pytest|python|ruff|torchrun) ", rows[row + 1]) else "text"
        elif line.strip() == "```":
            inside = False
        elif (
            not inside
            and ITEM.match(line)
            and lines
            and lines[-1].strip()
            and not lines[-1].startswith((" ", "-", "1"))
        ):
            lines.append("")
        if not inside and line.startswith("  - "):
            line = f"  {line}"
        lines.append(line)
    return "\n".join(lines) + "\n"


def _normal(path: PurePosixPath) -> str:
    parts: list[str] = []
    for part in path.parts:
        if part == ".." and parts:
            parts.pop()
        elif part != ".":
            parts.append(part)
    return "/".join(parts)


def _relative(page: str, origin: str) -> str:
    up = len(PurePosixPath(origin).parent.parts)
    return "/".join([*[".."] * up, page])
