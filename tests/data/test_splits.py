from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from memobench.base.errors import DataError, MemobenchError
from memobench.base.store import Store
from memobench.data.splits import SIDES, check_promise, digest, load_splits, read_splits
from memobench.images import Images
from memobench.task import TASKS, SplitSizes, TaskInfo


@pytest.fixture(scope="module")
def task() -> TaskInfo:
    """Five small sides of radiographs that promise no digest."""
    return replace(TASKS.get("xray"), shape=(32, 32), split=SplitSizes(3, 2, 2, 2), digest="")


@pytest.fixture(scope="module")
def drawn(task: TaskInfo, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store that holds the task's sides."""
    root = tmp_path_factory.mktemp("store")
    assert not load_splits(task, store=Store(root))[2]
    return root


@pytest.fixture
def sides(task: TaskInfo, drawn: Path, tmp_path: Path) -> Path:
    """A copy of the sides' folder, to be spoiled."""
    return Path(shutil.copytree(load_splits(task, store=Store(drawn))[1], tmp_path / "sides"))


def test_sides_are_drawn_once_and_read_again(task: TaskInfo, drawn: Path) -> None:
    splits, path, stored = load_splits(task, store=Store(drawn))
    assert stored
    assert read_splits(path).digest == splits.digest
    assert splits.train.patient_count == splits.holdout.patient_count == 3
    assert splits.dev is not None
    images = [splits.train, splits.holdout, splits.test, splits.dev, splits.fresh]
    patients = [set(side.patients.tolist()) for side in images]
    assert sum(map(len, patients)) == len(set().union(*patients)) == 12
    assert digest(dict(zip(SIDES, images, strict=True))) == splits.digest


def test_a_kept_promise_passes(task: TaskInfo, drawn: Path, tmp_path: Path) -> None:
    splits, *_ = load_splits(task, store=Store(drawn))
    kept, *_ = load_splits(replace(task, digest=splits.digest), store=Store(tmp_path))
    assert kept.digest == splits.digest


def test_a_broken_promise_stops_before_anything_is_stored(task: TaskInfo, drawn: Path) -> None:
    """Sides that were stored for another promise do not stand for this one."""
    before = sorted(drawn.rglob("splits.json"))
    with pytest.raises(MemobenchError, match=r"task xray: the phantom draws other bytes here .*; reinstall memobench"):
        load_splits(replace(task, digest="0" * 64), store=Store(drawn))
    assert sorted(drawn.rglob("splits.json")) == before


def test_a_task_promises_nothing_at_another_size_or_without_a_digest(task: TaskInfo) -> None:
    check_promise(replace(task, digest="0" * 64), (40, 40), "1" * 64)
    check_promise(task, (32, 32), "1" * 64)
    with pytest.raises(MemobenchError, match=r"digest 111111111111\) than the task's results stand for \(000000000000"):
        check_promise(replace(task, digest="0" * 64), (32, 32), "1" * 64)


def test_the_digest_sees_pixels_and_names(make_images: Callable[..., Images]) -> None:
    images = make_images(patients=4)
    brighter = Images(np.minimum(images.pixels + np.float32(0.1), 1), images.patients, images.scans)
    renamed = Images(images.pixels, np.array([f"q{p}" for p in images.patients]), images.scans)
    sets: list[dict[str, Images | None]] = [
        {"train": images},
        {"train": brighter},
        {"train": renamed},
        {"holdout": images},
        {"train": images, "test": images},
    ]
    assert len({digest(sides) for sides in sets}) == 5
    assert digest({"train": images, "dev": None}) == digest({"train": images})


def test_a_folder_that_lost_a_side_is_refused(sides: Path) -> None:
    shutil.rmtree(sides / "holdout")
    with pytest.raises(DataError, match="lacks holdout; delete that folder"):
        read_splits(sides)


def test_notes_are_kept(sides: Path) -> None:
    about = json.loads((sides / "splits.json").read_text())
    (sides / "splits.json").write_text(json.dumps({**about, "notes": ["one note"]}))
    assert read_splits(sides).notes == ("one note",)
