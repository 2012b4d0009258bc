"""What there is to choose from, as ``bench list`` shows it, without importing what is listed."""

from __future__ import annotations

import ast
from collections.abc import Callable, Sequence
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from tabulate import tabulate

from memobench.base.errors import UsageError
from memobench.data.public._source import SOURCES
from memobench.detection.detectors import DETECTORS
from memobench.features import FEATURES
from memobench.generator import GENERATORS
from memobench.task import TASKS

Row = dict[str, Any]

# Where a column of a table breaks its lines, so that the table fits 80 columns; others are as wide as they need.
WIDTHS: dict[str, dict[str, int]] = {
    "models": {"about": 62},
    "tasks": {"images": 17, "train = holdout patients": 15, "licence": 18},
    "data": {"images": 17, "dim": 3, "licence": 16, "access": 12},
    "detectors": {"about": 66},
    "features": {"about": 66},
}
HIDDEN = ("size",)


def listing(kinds: Sequence[str]) -> dict[str, list[Row]]:
    """The entries of each kind: models, tasks, data, detectors, features; each with its name and one line about it."""
    return {kind: _LISTS[kind]() for kind in kinds}


def listing_text(entries: dict[str, list[Row]]) -> str:
    """The entries as one table per kind, at most 80 columns wide; the sizes of data sets stand in the JSON alone."""
    return "\n\n".join(f"{kind}\n{_table(kind, rows)}" for kind, rows in entries.items())


def _table(kind: str, rows: list[Row]) -> str:
    columns = [name for name in rows[0] if name not in HIDDEN]
    widths: Any = [WIDTHS[kind].get(name) for name in columns]  # None: as wide as it is, which the stubs forbid
    cells = [[row.get(name, "") for name in columns] for row in rows]
    return tabulate(cells, columns, tablefmt="simple", maxcolwidths=widths, maxheadercolwidths=widths)


def first_line(file: Path) -> str:
    """The first line of a Python file's docstring, read without running the file."""
    text = ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or ""
    return text.splitlines()[0] if text else ""


def _models() -> list[Row]:
    return _content(GENERATORS)


def _content(registry: Any) -> list[Row]:
    files = registry.files()
    points = {point.name: point for point in entry_points(group=registry.group)}
    return [
        {"name": name, "about": first_line(files[name]) if name in files else f"from {points[name].value}"}
        if name in files or name in points
        else {"name": name, "about": "from a plug-in"}
        for name in registry.names()
    ]


def _tasks() -> list[Row]:
    return _rows(
        TASKS,
        lambda task: {
            "images": task.modality,
            "shape": "x".join(map(str, task.shape)),
            "train = holdout patients": task.split.train,
            "version": task.version,
            "licence": task.licence,
        },
    )


def _rows(registry: Any, about: Callable[[Any], Row]) -> list[Row]:
    """A row for each entry of a registry."""
    rows: list[Row] = []
    for name in registry.names():
        try:
            rows.append({"name": name, **about(registry.get(name))})
        except UsageError as error:  # a broken plug-in is listed, and harms nobody
            rows.append({"name": name, "images": f"unavailable: {error}"})
    return rows


def _data() -> list[Row]:
    own = [
        ("phantom", "patients drawn by a parametric anatomy engine; the default", "2D, 3D", "Apache-2.0", "embedded"),
        ("DIR", "image files with a manifest.csv (file, patient_id, scan_id)", "2D, 3D", "yours", "yours"),
    ]
    rows = [
        {"name": name, "images": images, "dim": dim, "size": "", "licence": licence, "access": access}
        for name, images, dim, licence, access in own
    ]
    return rows + _rows(
        SOURCES,
        lambda source: {
            "images": source.modality,
            "dim": f"{source.dim}D",
            "size": source.size,
            "licence": source.licence,
            "access": source.access,
        },
    )


def _detectors() -> list[Row]:
    return _content(DETECTORS)


def _features() -> list[Row]:
    own = {"name": "ssl", "about": "Early activations of the detector's embedding, measured in every run (2D and 3D)."}
    return [own, *_content(FEATURES)]


_LISTS: dict[str, Callable[[], list[Row]]] = {
    "models": _models,
    "tasks": _tasks,
    "data": _data,
    "detectors": _detectors,
    "features": _features,
}
