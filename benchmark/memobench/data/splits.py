"""Where a task's images come from: the embedded phantom, a public data set, or a folder with a manifest.

:func:`load_splits` is the one door: it gives a task's images side by side, from the store when they are there.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from memobench.base.errors import DataError, MemobenchError
from memobench.base.progress import silent
from memobench.base.store import Store, write_json
from memobench.base.words import Size
from memobench.data import folder, phantom
from memobench.data.files.archives import folder_of
from memobench.data.manifest import read_manifest
from memobench.data.public import _prepare as prepared
from memobench.data.public._published import ids_of_sides, published
from memobench.data.public._source import named_source
from memobench.images import Images
from memobench.task import Splits, TaskInfo

Sides = tuple[dict[str, Images | None], list[str]]
SIDES = ("train", "holdout", "test", "dev", "fresh")


def load_splits(
    task: TaskInfo,
    data: str = "phantom",
    size: Size | None = None,
    *,
    store: Store,
    skip_unreadable: bool = False,
    track: Callable[..., Iterator[Any]] = silent,
) -> tuple[Splits, Path, bool]:
    """The sides of a task, drawn or read now unless they are stored.

    Args:
        task: The task.
        data: "phantom", NAME or NAME=DIR of a public data set, or the path of a folder with a manifest.
        size: Side length in pixels, or a shape (H, W) or (D, H, W); None for the task's own.
        store: Where the images are kept between runs.
        skip_unreadable: Go on without images that are listed and absent, or cannot be read.
        track: Shows progress.

    Returns:
        The splits (memory-mapped), their folder, and whether they were stored already.

    Raises:
        UsageError: The size is not allowed.
        DataError: The folder cannot be used; the message says why and what to do.
        MemobenchError: The phantom draws other bytes here than the task promises.
    """
    shape = task.shape_at(size)
    key, build = _plan(task, data, shape, skip_unreadable, track)

    def write(into: Path, scratch: Path) -> None:
        sides, notes = build(scratch)
        if data == "phantom":
            check_promise(task, shape, digest(sides))
        for name in SIDES:
            if (images := sides.get(name)) is not None:
                (into / name).mkdir()
                images.save(into / name)
        about = {"digest": digest(sides), "notes": notes, "ids": ids_of(data, sides)}
        write_json(into / "splits.json", about)

    path, stored = store.get("data", key, write)
    return read_splits(path), path, stored


def _plan(
    task: TaskInfo, data: str, shape: tuple[int, ...], skip: bool, track: Callable[..., Iterator[Any]]
) -> tuple[dict[str, Any], Callable[[Path], Sides]]:
    """What the sides depend on, and the function that makes them, given a folder for unfinished work."""
    if data == "phantom":
        return phantom.key(task, shape), lambda _: phantom.draw_sides(task, shape, track)
    if named := named_source(data):
        source, root = named.source, folder_of(named.root)
        split = published(source.name, named.split) if named.split else None
        listed = prepared.list_all(source, root, skip_unreadable=skip, split=split)
        return (
            prepared.key(source, root, listed, shape),
            lambda scratch: prepared.read_sides(source, root, listed, shape, scratch, track),
        )
    manifest = read_manifest(folder_of(Path(data)))
    return (
        folder.key(manifest, shape, skip_unreadable=skip),
        lambda _: folder.read_sides(manifest, shape, track, skip_unreadable=skip),
    )


def check_promise(task: TaskInfo, shape: tuple[int, ...], drawn: str) -> None:
    """Refuse an embedded split that differs from the one which the task's results stand for.

    Args:
        task: The task; one without a digest promises nothing, and no task does at another size than its own.
        shape: Of the drawn images.
        drawn: Digest of the drawn sides.

    Raises:
        MemobenchError: The digests differ.
    """
    if task.digest and shape == task.shape and drawn != task.digest:
        raise MemobenchError(
            f"task {task.name}: the phantom draws other bytes here (digest {drawn[:12]}) than the task's results stand "
            f"for ({task.digest[:12]}); reinstall memobench and NumPy unchanged, or give the changed phantom or task "
            "a new version and digest"
        )


def read_splits(path: Path) -> Splits:
    """Open the splits that :func:`load_splits` wrote; the pixels stay on disk."""
    about = json.loads((path / "splits.json").read_text())
    sides = {name: Images.load(path / name) if (path / name).is_dir() else None for name in SIDES}
    missing = [name for name in SIDES if sides[name] is None and name != "dev"]
    if missing:
        raise DataError(f"{path} lacks {', '.join(missing)}; delete that folder and run again")
    return Splits(**sides, digest=about["digest"], notes=tuple(about["notes"]), ids=about.get("ids", ""))  # type: ignore[arg-type]  # checked above


def ids_of(data: str, sides: dict[str, Images | None]) -> str:
    """The digest of who stands where, of images of a public source; "" of others, whose ids are nobody else's.

    Of a published split it is the published one, where all its images are there.
    """
    named = named_source(data)
    if data == "phantom" or named is None:
        return ""
    found = ids_of_sides(named.source.name, sides)
    if not named.split:
        return found
    split = published(named.source.name, named.split)
    there = {side: (images.patient_count, len(images)) for side, images in sides.items() if images is not None}
    return split.ids if there == split.counts else found


def digest(sides: dict[str, Images | None]) -> str:
    """SHA-256 over all sides: two runs with equal digests saw the same images of the same patients."""
    parts = {name: images.digest for name, images in sides.items() if images is not None}
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()
