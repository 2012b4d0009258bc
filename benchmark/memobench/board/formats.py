"""The board for the terminal, GitHub, LaTeX and spreadsheets."""

from __future__ import annotations

import csv
import io
import re

from tabulate import tabulate

from memobench.board.build import TaskBoard
from memobench.board.combine import Number
from memobench.board.detectors import COLUMNS
from memobench.board.rank import Ranked
from memobench.report.travel import harmless
from memobench.report.words import MEMORIZATION, OTHER, QUALITY, Entry, entry_of, shown, stem_of

METRICS = ("fd_ssl", "copy_rate", "memorized_patients", "train_share", "recall", "sensitivity")
CSV_COLUMNS = (
    *("task", "data", "rank", "decision", "standing", "front", "model", "submitter", "preset", "control", "level"),
    *("seeds", "remarks", "key"),
)
CSV_ENDS = ("value", "low", "high", "null")
RULE = (
    "Rank: 1 + the number of entries that clearly dominate an entry: not clearly worse in images or in copying, and "
    "clearly better in one of them. Clearly better images: the intervals of the Fréchet distance to test patients do "
    "not meet (lower is better). Clearly less copying: the intervals of the copy rate do not meet, or the decision on "
    "one entry is 'do not release' and the other shows no sign of copying. Ranks are shared where nothing is clear. "
    "Rank 1 does not say that nothing was copied: the decision, of the worst seed, says what to do with the samples. "
    "Only entries that somebody measured again have a rank. All intervals are 95%, over patients and seeds. Null: the "
    "value if nothing was copied; for quality, what real images of other patients get. Controls have a known answer "
    "and no rank."
)
EXPLAINED = f"{RULE} Brackets: intervals. * lies on the Pareto front of Fréchet distance and copy rate."


def known(name: str) -> Entry:
    """How a metric is shown, whatever a submission calls it.

    >>> known("copy_rate").label, known("made_up").label
    ('copy rate', 'made up')
    """
    if name in MEMORIZATION or name in OTHER or stem_of(name) in QUALITY:
        return entry_of(name)
    return Entry(name.replace("_", " "), "", "number")


def interval(number: Number, style: str) -> str:
    """The interval in words; empty where there is none."""
    if number.low is None or number.high is None:
        return ""
    return f"{shown(number.low, style).removesuffix('%')} to {shown(number.high, style)}"


def rank_words(entry: Ranked) -> str:
    """The rank; a hyphen where there is none."""
    return "-" if entry.rank is None else f"{entry.rank}"


def remarks(entry: Ranked) -> list[str]:
    """What a reader must know of an entry, the reason for having no rank first."""
    row = entry.row
    words = [row.unranked] if row.unranked and row.unranked != "control" else []
    if row.source != "own detector":
        words.append(f"copy rate by attack: {row.source}")
    if row.standing:
        words.append(row.standing)
    return words + list(row.marks)


def text_board(boards: list[TaskBoard], style: str = "simple") -> str:
    """The board as text: per task a table of entries and one of detectors.

    Args:
        boards: The board.
        style: A table format of tabulate: "simple", "github" or "latex".
    """
    blocks = []
    for board in boards:
        frame = board.frame
        size = "x".join(map(str, frame.shape))
        on = f"{frame.title}, " if frame.title else ""
        title = f"{frame.name}: {on}{frame.modality}, {size}, version {frame.task_version}"
        blocks.append({"github": f"## {title}", "latex": f"% {title}"}.get(style, title))
        headers, rows = _entries(board, style)
        blocks.append(_table(headers, rows, style))
        if board.detectors:
            title = f"Detectors on {frame.name}, on planted copies"
            blocks.append({"github": f"### {title}", "latex": f"% {title}"}.get(style, title))
            blocks.append(_table(*_detectors(board), style))
    if not boards:
        blocks.append("No submissions yet.")
    if style == "github":
        blocks = ["# Leaderboard", EXPLAINED, *blocks]
    elif style == "simple":
        blocks.append(EXPLAINED)
    return "\n\n".join(blocks)


def csv_board(boards: list[TaskBoard]) -> str:
    """All entries as comma-separated values, every metric with its interval and null in columns of their own.

    A text that a spreadsheet would take for a formula is led by an apostrophe.
    """
    names = sorted({name for board in boards for entry in board.entries for name in entry.row.numbers})
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([*CSV_COLUMNS, *(f"{name}_{end}" for name in names for end in CSV_ENDS)])
    for board in boards:
        for entry in board.entries:
            row = entry.row
            numbers = [row.numbers.get(name) for name in names]
            cells = [board.frame.task, board.frame.data, entry.rank, row.decision, row.standing, entry.front]
            cells += [row.model, row.submitter]
            cells += [row.preset, row.control, row.level, len(row.seeds), "; ".join(remarks(entry)), row.key]
            figures = [getattr(n, end) if n is not None else None for n in numbers for end in CSV_ENDS]
            writer.writerow([harmless(cell) for cell in cells] + ["" if f is None else f for f in figures])
    return out.getvalue()


def _entries(board: TaskBoard, style: str) -> tuple[list[str], list[list[str]]]:
    headers = [
        "rank",
        "model",
        "submitter",
        "level",
        "seeds",
        "decision",
        *(known(name).label for name in METRICS),
        "remarks",
    ]
    rows = []
    for entry in board.entries:
        row = entry.row
        model = row.model[:60] + (" (control)" if row.control else "") + (" *" if entry.front else "")
        cells = [rank_words(entry), model, row.submitter, row.level, str(len(row.seeds)), row.decision]
        cells += [_cell(row.numbers.get(name), name) for name in METRICS]
        rows.append([*cells, "; ".join(remarks(entry))])
    return headers, rows


def _detectors(board: TaskBoard) -> tuple[list[str], list[list[str]]]:
    headers = ["rank", "detector", "version", "conditions", "seeds", *COLUMNS.values()]
    rows = []
    for row in board.detectors:
        cells = [str(row.rank), row.detector, row.version, row.conditions, str(len(row.seeds))]
        rows.append([*cells, *(_percent(row.numbers.get(name)) for name in COLUMNS)])
    return headers, rows


def _percent(number: Number | None) -> str:
    return "" if number is None else f"{shown(number.value, 'percent')} [{interval(number, 'percent')}]"


def _cell(number: Number | None, name: str) -> str:
    if number is None:
        return "missing"
    style = known(name).style
    text = shown(number.value, style)
    if ends := interval(number, style):
        text += f" [{ends}]"
    return text + (f", null {shown(number.null, style)}" if number.null is not None else "")


def _table(headers: list[str], rows: list[list[str]], style: str) -> str:
    clean = {"github": _markdown, "latex": _one_line}.get(style, _one_line)
    cells = [[clean(cell) for cell in row] for row in rows]
    return tabulate(cells, headers, tablefmt=style, disable_numparse=True, stralign="left")


def _one_line(text: str) -> str:
    """Without control characters: a name must not move the cursor or colour the terminal."""
    return "".join(letter if letter.isprintable() else " " for letter in text)


def _markdown(text: str) -> str:
    r"""Literal in a GitHub table: no HTML, no link, no mention, no further column.

    >>> _markdown("<b>|x|[a](b)")
    '&lt;b&gt;\\|x\\|\\[a\\](b)'
    """
    text = _one_line(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    text = re.sub(r"([\\|\[\]*_`~])", r"\\\1", text)
    return text.replace("@", "&#64;").replace("://", ":&#47;&#47;")
