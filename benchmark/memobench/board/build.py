"""The board as a pure function of a folder: read, joined, ranked; as JSON; and compared with what is committed."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from memobench.base.errors import DataError, UsageError
from memobench.board.detectors import DetectorRow, detector_rows
from memobench.board.rank import Ranked, rank_rows
from memobench.board.read import (
    Frame,
    Listed,
    frame_of,
    read_challenges,
    read_submissions,
    tasks_of,
    track_frame,
)
from memobench.board.rows import make_rows
from memobench.data.public._published import names_of
from memobench.data.public._source import named_source
from memobench.submissions.track import PHANTOM, track_of
from memobench.task import TASKS

BOARD_VERSION = 2


@dataclass(frozen=True)
class TaskBoard:
    """The board of one task: its entries in their order, and its detectors."""

    frame: Frame
    entries: tuple[Ranked, ...]
    detectors: tuple[DetectorRow, ...]

    @property
    def ranked(self) -> list[Ranked]:
        """The entries that have a rank."""
        return [entry for entry in self.entries if entry.rank is not None]


def build_board(
    submissions: Path,
    task: str | None = None,
    *,
    data: str | None = None,
    frame: Callable[[str], Frame] = frame_of,
) -> list[TaskBoard]:
    """The board of all tracks that submissions lie for, or of some: a task's embedded data first, then real data.

    A submission on data that are no track's stands with the embedded ones, without a rank.

    Challenges are read from ``challenges`` beside the folder, verifications from ``verified``.

    Args:
        submissions: ``<submissions>/<task>/<run_id>/submission.json``.
        task: Only this task.
        data: Only these data: "phantom", or a source and its published split.
        frame: What a task's board ranks.

    Raises:
        UsageError: A task is unknown, or the data are no track's.
        MemobenchError: There is no such folder.
        DataError: A record cannot be read.
    """
    if task is not None:
        TASKS.get(task)
    names = [task] if task is not None else tasks_of(submissions)
    listed = read_submissions(submissions, names)
    challenges = read_challenges(submissions.parent / "challenges", names)
    boards = []
    for name in names:
        of_task = [item for item in listed if item.submission.result.identity.task == name]
        for track, items in _tracks(name, of_task).items():
            one = frame(name) if track == PHANTOM else track_frame(frame(name), track, items)
            rows = make_rows(items, one)
            found = [result for result in challenges if (result.identity.task, result.identity.data) == (name, track)]
            boards.append(TaskBoard(one, tuple(rank_rows(rows)), tuple(detector_rows(found))))
    if data is None:
        return boards
    if known := [board for board in boards if board.frame.data == data]:
        return known
    if _is_track(data):
        return []  # nobody has submitted to it yet
    there = ", ".join(dict.fromkeys(board.frame.data for board in boards))
    raise UsageError(f'--data "{data}" is no track{f"; there are submissions on {there}" if there else ""}')


def _is_track(data: str) -> bool:
    """Whether a word names the embedded data, or a published split of a source."""
    named = named_source(data)
    return data == PHANTOM or (named is not None and "=" not in data and named.split in names_of(named.source.name))


def _tracks(task: str, listed: list[Listed]) -> dict[str, list[Listed]]:
    """The submissions to a task by their data: the embedded ones first, then the published splits in their order."""
    found: dict[str, list[Listed]] = {PHANTOM: []}
    for data in sorted({one.submission.result.identity.data for one in listed} - {PHANTOM}):
        try:
            track_of(TASKS.get(task), data)
        except DataError:
            continue
        found[data] = []
    for one in listed:
        found.get(one.submission.result.identity.data, found[PHANTOM]).append(one)
    return found if found[PHANTOM] or len(found) == 1 else {name: held for name, held in found.items() if held}


def board_json(boards: list[TaskBoard]) -> str:
    """The board as JSON, the same bytes for the same submissions."""
    content = {"board_version": BOARD_VERSION, "tasks": [_task(board) for board in boards]}
    return json.dumps(content, indent=1, sort_keys=True, allow_nan=False, ensure_ascii=False)


def differences(committed: str | None, fresh: str) -> list[str]:
    """What sets a committed board (JSON) apart from a fresh one, by the names of entries; empty where nothing does.

    >>> differences(None, "{}")
    ['there is no committed board']
    """
    if committed is None:
        return ["there is no committed board"]
    if committed.strip() == fresh.strip():
        return []
    try:
        old = _by_name(json.loads(committed))
    except (ValueError, KeyError, TypeError, AttributeError):
        return ["the committed board is no board of this version"]
    new = _by_name(json.loads(fresh))
    lines = [f"+ {name}" for name in sorted(new.keys() - old.keys())]
    lines += [f"- {name}" for name in sorted(old.keys() - new.keys())]
    lines += [f"~ {name}" for name in sorted(old.keys() & new.keys()) if old[name] != new[name]]
    return lines or ["~ the order or the frame of the entries"]


def check_committed(boards: list[TaskBoard], folder: Path, markdown: str) -> list[str]:
    """What is not as the submissions give it in ``BOARD.md`` and ``board.json`` of a folder; empty where all is.

    Args:
        boards: The fresh board.
        folder: Where the committed files lie.
        markdown: The fresh board as GitHub markdown.
    """
    json_file, text_file = folder / "board.json", folder / "BOARD.md"
    committed = json_file.read_text(encoding="utf-8") if json_file.is_file() else None
    lines = [f"board.json: {line}" for line in differences(committed, board_json(boards))]
    shown = text_file.read_text(encoding="utf-8") if text_file.is_file() else None
    if shown is None:
        lines.append("BOARD.md: there is no committed board")
    elif shown.strip() != markdown.strip():
        lines.append("BOARD.md: differs from what the submissions give")
    return lines


def entry_json(entry: Ranked) -> dict[str, Any]:
    """One entry as JSON values."""
    row = entry.row
    return {
        "key": row.key,
        "rank": entry.rank,
        "dominated_by": list(entry.above),
        "decision": row.decision,
        "standing": row.standing,
        "front": entry.front,
        "model": row.model,
        "submitter": row.submitter,
        "preset": row.preset,
        "control": row.control,
        "level": row.level,
        "copy_rate_by": row.source,
        "p_value": row.p_value,
        "unranked": row.unranked,
        "missing": list(row.missing),
        "marks": list(row.marks),
        "runs": {one.name: one.sha256 for one in row.seeds},
        "attacks": {name: [one.name for one in attacks] for name, attacks in row.attacks.items() if attacks},
        "metrics": {name: asdict(number) for name, number in row.numbers.items()},
    }


def _task(board: TaskBoard) -> dict[str, Any]:
    frame = {**asdict(board.frame), "shape": list(board.frame.shape)}
    if board.frame.data == PHANTOM:  # as it always was
        frame = {name: value for name, value in frame.items() if name not in ("data", "title", "split_ids")}
    return {
        "frame": frame,
        "entries": [entry_json(entry) for entry in board.entries],
        "detectors": [{**asdict(row), "seeds": list(row.seeds)} for row in board.detectors],
    }


def _by_name(content: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for task in content["tasks"]:
        found |= {entry["key"]: entry for entry in task["entries"]}
        for row in task["detectors"]:
            found[f"detector {row['detector']} {row['version']} on {row['task']} ({row['conditions']})"] = row
    return found
