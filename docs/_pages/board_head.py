"""The head of the xray board in README, from ``leaderboard/BOARD.md``; run as a script, it renews README."""

from __future__ import annotations

import re
from pathlib import Path

BEGIN, END = "<!-- board: begin (docs/_pages/board_head.py) -->", "<!-- board: end -->"
COLUMNS = ("rank", "model", "decision", "Fréchet distance (ssl)", "copy rate", "memorized patients")
ROWS, CONTROLS = 6, ("fresh (control)",)


def head(board: str) -> str:
    """The first rows of the task xray and the control that copies nothing, in a few columns."""
    section = board.partition("\n## xray:")[2].partition("\n## ")[0]
    table = [
        [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
        for line in section.splitlines()
        if line.startswith("|")
    ]
    places = [table[0].index(name) for name in COLUMNS]
    rows = [row for row in table[2:] if row[0] != "-"][:ROWS] + [row for row in table[2:] if row[1] in CONTROLS]
    lines = [COLUMNS, ("---",) * len(COLUMNS), *([_short(row[place]) for place in places] for row in rows)]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def renewed(readme: str, board: str) -> str:
    """README with the head of the board between its two marks."""
    before, _, rest = readme.partition(BEGIN)
    return f"{before}{BEGIN}\n{head(board)}\n{END}{rest.partition(END)[2]}"


def _short(cell: str) -> str:
    return cell.partition(", null")[0].replace("\\[", "(").replace("\\]", ")").replace(" \\*", "").replace(" *", "")


if __name__ == "__main__":
    root = Path(__file__).resolve().parents[2]
    readme, board = root / "README.md", root / "leaderboard" / "BOARD.md"
    readme.write_text(renewed(readme.read_text(encoding="utf-8"), board.read_text(encoding="utf-8")), encoding="utf-8")
