"""The static site: one folder of pages that need no server, no other file and no network.

Every page carries its style and its script, and a Content-Security-Policy that allows these two alone, by their hash.
Every text from outside is escaped by jinja2.
"""

from __future__ import annotations

import base64
import hashlib
import io
import re
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from jinja2 import Environment, FunctionLoader, StrictUndefined
from markupsafe import Markup
from PIL import Image

from memobench.base.errors import DataError, MemobenchError
from memobench.base.store import writing_into
from memobench.board.build import TaskBoard
from memobench.board.combine import Number, combine
from memobench.board.detectors import COLUMNS
from memobench.board.formats import METRICS, RULE, interval, known, rank_words, remarks
from memobench.board.plots import pareto_svg, points_of
from memobench.board.rank import Ranked
from memobench.board.read import Frame, Listed
from memobench.board.rows import LEVELS, RATE, Row
from memobench.data.public._published import SIDES, published
from memobench.data.public._source import named_source
from memobench.report.words import MEMORIZATION, OTHER, QUALITY, shown, stem_of
from memobench.submissions.check import GALLERY_BYTES
from memobench.submissions.compare import leak_words
from memobench.submissions.track import PHANTOM
from memobench.submissions.untrusted import DAMAGED, read_bytes

OWN_PAGES = re.compile(r"^(index|[a-z0-9_-]+)\.html$")
MOST_PIXELS = 20_000_000  # of a gallery
MARKER = "memobench-site.txt"


def write_site(boards: Sequence[TaskBoard], folder: Path, track: Callable[..., Iterator[Any]] | None = None) -> int:
    """Write the site, replacing an earlier one, and return the number of pages.

    Args:
        boards: The board.
        folder: Where to write; made if missing. A folder that holds anything but an earlier site is refused.
        track: Shows progress over the entries.

    Raises:
        MemobenchError: The folder holds something else, or cannot be written.
    """
    _emptied(folder)
    pages = 1 + len(boards)
    with writing_into(folder):
        (folder / "entry").mkdir(parents=True, exist_ok=True)
        (folder / MARKER).write_text("Made by: bench leaderboard --site. Safe to delete.\n", encoding="utf-8")
        (folder / "index.html").write_text(index_page(boards), encoding="utf-8")
        for board in boards:
            (folder / f"{board.frame.slug}.html").write_text(task_page(board), encoding="utf-8")
            entries: Any = board.entries if track is None else track(board.entries, f"pages of {board.frame.name}")
            for entry in entries:
                page = entry_page(entry, board.frame)
                (folder / "entry" / f"{entry.row.key}.html").write_text(page, encoding="utf-8")
                pages += 1
    return pages


def index_page(boards: Sequence[TaskBoard]) -> str:
    """The first page: what the board is, and the head of each task's table."""
    tasks = []
    for board in boards:
        leaders = [
            {
                "rank": rank_words(entry),
                "model": entry.row.model,
                "link": f"entry/{entry.row.key}.html",
                "submitter": entry.row.submitter,
                "cells": [_figure(entry.row.numbers[name], name) for name in METRICS[:2]],
            }
            for entry in board.ranked[:5]
        ]
        detector = board.detectors[0].detector if board.detectors else None
        tasks.append({"frame": board.frame, "count": len(board.entries), "leaders": leaders, "detector": detector})
    return _page("index.html.j2", title="memobench leaderboard", home="", tasks=tasks, explained=RULE)


def task_page(board: TaskBoard, *, links: bool = True) -> str:
    """The table, plot and detectors of one task.

    Args:
        board: The board of the task.
        links: Whether the entries' pages exist beside this one.
    """
    points = points_of(board.entries, "entry/") if links else points_of(board.entries, "#")
    return _page(
        "task.html.j2",
        title=f"{board.frame.name}: memobench leaderboard",
        home="",
        frame=board.frame,
        links=links,
        rows=[_line(entry) for entry in board.entries],
        columns=[{"label": known(name).label, "meaning": known(name).meaning} for name in METRICS],
        levels=[level for level in reversed(LEVELS) if any(e.row.level == level for e in board.entries)],
        plot=pareto_svg(points, f"Pareto plot of {board.frame.name}") if points else None,
        detectors=[
            {"row": row, "cells": [_figure(row.numbers.get(name), name, "percent") for name in COLUMNS]}
            for row in board.detectors
        ],
        detector_columns=list(COLUMNS.values()),
        explained=RULE,
        facts=real_facts(board.frame),
    )


def real_facts(frame: Frame) -> list[tuple[str, str]]:
    """What a reader must know of real data: whose they are, under which licence, and how to have the same ones."""
    named = named_source(frame.data)
    if frame.data == PHANTOM or named is None:
        return []
    source, split = named.source, published(named.source.name, named.split)
    sides = "; ".join(
        f"{side}: {images} of {patients} patients"
        for side in SIDES
        for patients, images in [split.counts.get(side, (0, 0))]
        if images
    )
    samples = "published where the licence and the decision allow it" if source.shares else "never published"
    return [
        ("data set", f"{source.title}. {source.citation}"),
        ("licence", f"{source.licence}; access: {source.access}"),
        ("split", f"{split.data}: {split.rule}"),
        ("images", sides),
        ("digest of the ids", split.ids),
        ("digest of the prepared images", frame.split_digest or "none yet"),
        ("samples", f"{samples}; no image of a patient is shown here"),
        ("run it", f"bench run --task {frame.task} --data {split.data}=DIR --model ldm; {source.how_to_get}"),
    ]


def entry_page(entry: Ranked, frame: Frame) -> str:
    """All that is known of one entry."""
    row = entry.row
    first = row.seeds[0].submission
    return _page(
        "entry.html.j2",
        title=f"{row.model[:80]} on {frame.name}: memobench leaderboard",
        home="../",
        entry=entry,
        rank=rank_words(entry),
        remarks=[row.decision, *remarks(entry)],
        first=first,
        frame=frame,
        groups=_groups(row),
        challenge=_challenge(row.seeds),
        identity=_identity(first.result.identity.model_dump(mode="json", exclude={"seed"})),
        differences=[
            {
                "seed": one.submission.result.identity.seed,
                "verification": one.verification,
                "leaks": [leak_words(leak) for leak in (one.verification.leaks or [])] if one.verification else [],
            }
            for one in row.seeds
        ],
        attacks=[line for one in row.seeds for line in _attacks(one, row.attacks[one.name])],
        galleries=[
            {"seed": one.submission.result.identity.seed, "png": png}
            for one in row.seeds
            if (png := gallery(one, frame))
        ],
    )


def _groups(row: Row) -> list[dict[str, Any]]:
    """All numbers of a row under the headings of the terminal, what those do not know last."""
    quality = [name for stem in QUALITY for name in sorted(row.numbers) if stem_of(name) == stem]
    headed = {
        "Memorization": list(MEMORIZATION),
        "Quality, against test patients": [name for name in quality if name not in OTHER],
        "Other scores of the field, not ranked": list(OTHER),
    }
    headed["Further numbers"] = sorted(set(row.numbers).difference(*headed.values()))
    return [
        {
            "title": title,
            "rows": [_figure_row(row.numbers[name], name, row.seeds) for name in names if name in row.numbers],
        }
        for title, names in headed.items()
    ]


def gallery(one: Listed, frame: Frame) -> str | None:
    """The gallery beside a submission as base64 PNG, or None.

    Only the very picture that the submission names, of phantom data with the board's own digest, and only where a
    verifier passed the submission: no picture of a real patient belongs here. The picture is decoded and encoded again,
    so that nothing but pixels comes through.
    """
    identity = one.submission.result.identity
    embedded = identity.data == "phantom" and bool(frame.split_digest) and identity.split_digest == frame.split_digest
    if one.gallery is None or not embedded or one.level in ("failed", "unverified") or one.gallery.is_symlink():
        return None
    try:
        content = read_bytes(one.gallery, GALLERY_BYTES)
        if hashlib.sha256(content).hexdigest() != one.submission.gallery_sha256:
            return None
        with Image.open(io.BytesIO(content), formats=["PNG"]) as picture:
            if picture.width * picture.height > MOST_PIXELS:
                return None
            pixels = picture.convert("RGB")
    except (DataError, ValueError, SyntaxError, *DAMAGED, Image.DecompressionBombError):
        return None
    out = io.BytesIO()
    pixels.save(out, format="PNG", optimize=True)
    return base64.b64encode(out.getvalue()).decode()


def _line(entry: Ranked) -> dict[str, Any]:
    row = entry.row
    return {
        "entry": entry,
        "rank": rank_words(entry),
        "remarks": [row.decision, *remarks(entry)],
        "model": row.model if len(row.model) <= 60 else row.model[:59] + "…",
        "cells": [_figure(row.numbers.get(name), name) for name in METRICS],
        "trust": LEVELS.index(row.level),
    }


def _figure(number: Number | None, name: str, style: str | None = None) -> dict[str, Any] | None:
    if number is None:
        return None
    style = style or known(name).style
    return {
        "sort": f"{number.value:.6g}",
        "value": shown(number.value, style),
        "interval": interval(number, style),
        "null": shown(number.null, style),
    }


def _figure_row(number: Number, name: str, seeds: Sequence[Listed]) -> dict[str, Any]:
    entry = known(name)
    each = [
        f"seed {one.submission.result.identity.seed}: {shown(one.submission.result.metrics[name].value, entry.style)}"
        for one in seeds
    ]
    notes = dict.fromkeys(one.submission.result.metrics[name].note for one in seeds)
    p_value = "" if number.p_value is None else f"{number.p_value:.4f}"
    return {
        "name": name,
        "label": entry.label,
        "meaning": entry.meaning,
        "p": p_value,
        "each": "; ".join(each),
        "notes": [note for note in notes if note],
        **(_figure(number, name) or {}),
    }


def _attacks(attacked: Listed, attacks: Sequence[Listed]) -> list[dict[str, Any]]:
    """What each attack that counts found on one submission, beside what the task's own detector found."""

    def rate(one: Listed) -> dict[str, Any] | None:
        metric = one.submission.result.metrics.get(RATE)
        return None if metric is None else _figure(combine([metric], lowest=-1.0, highest=1.0), RATE)

    return [
        {
            "name": one.name,
            "attack": one.submission.attack,
            "submitter": one.submission.submitter,
            "command": one.submission.command,
            "level": one.level,
            "seed": attacked.submission.result.identity.seed,
            "rate": rate(one),
            "own": rate(attacked),
        }
        for one in attacks
    ]


def _challenge(seeds: Sequence[Listed]) -> list[dict[str, Any]]:
    """The sensitivities of the run's own challenge, the mean over seeds."""
    found: dict[tuple[str, str], list[Any]] = {}
    for one in seeds:
        for line in one.submission.result.challenge.rows:
            found.setdefault((line.perturbation, line.strength or ""), []).append(line)
    table = []
    for (perturbation, strength), lines in found.items():
        cells = []
        for name in ("sensitivity", "false_positive_rate", "right_source"):
            metrics = [line.metrics[name] for line in lines if name in line.metrics]
            number = combine(metrics, lowest=0.0, highest=1.0) if metrics else None
            cells.append(_figure(number, name, "percent"))
        table.append({"change": perturbation.replace("_", " "), "strength": strength, "cells": cells})
    return table


def _identity(content: dict[str, Any]) -> list[tuple[str, str]]:
    lines = []
    for name, value in content.items():
        if isinstance(value, dict):
            text = ", ".join(f"{key} = {item}" for key, item in value.items())
        else:
            text = " x ".join(map(str, value)) if isinstance(value, list) else str(value)
        lines.append((name.replace("_", " "), text or "none"))
    return lines


def _page(template: str, *, title: str, home: str, **values: Any) -> str:
    style, script = _asset("board.css"), _asset("board.js")
    policy = (
        "default-src 'none'; img-src data:; base-uri 'none'; form-action 'none'; "
        f"style-src '{_hash(style)}'; script-src '{_hash(script)}'"
    )
    return (
        _environment()
        .get_template(template)
        .render(
            title=title,
            home=home,
            policy=policy,
            style=Markup(style),  # noqa: S704 (our own file)
            script=Markup(script),  # noqa: S704 (our own file)
            **values,
        )
    )


@cache
def _environment() -> Environment:
    return Environment(
        loader=FunctionLoader(_asset), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )


@cache
def _asset(name: str) -> str:
    return files("memobench.board").joinpath("templates", name).read_text("utf-8")


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _emptied(folder: Path) -> None:
    """Remove the pages of an earlier site, and nothing else."""
    if folder.is_dir() and any(folder.iterdir()) and not (folder / MARKER).is_file():
        raise MemobenchError(f"{folder} holds something that is no site of the board; name another folder for --site")
    with writing_into(folder):
        for file in [*folder.glob("*.html"), *folder.glob("entry/*.html")]:
            if OWN_PAGES.match(file.name):
                file.unlink()
