from __future__ import annotations

from functools import lru_cache

import numpy as np
import pytest
from memobench.base.errors import UsageError
from memobench.base.words import size_of
from memobench.data.folder import DEV_PATIENTS
from memobench.data.phantom import FAMILIES, draw, draw_sides
from memobench.data.splits import digest
from memobench.task import TASKS, TaskInfo

NAMES = TASKS.files()
FLAT = [name for name in NAMES if TASKS.get(name).dim == 2]


@lru_cache
def drawn_digest(name: str) -> str:
    """The digest of a task's embedded split, drawn anew at its own size."""
    task = TASKS.get(name)
    return digest(draw_sides(task, task.shape)[0])


@pytest.fixture(params=NAMES)
def task(request: pytest.FixtureRequest) -> TaskInfo:
    return TASKS.get(request.param)


def test_words_are_filled_in(task: TaskInfo) -> None:
    assert task.name in NAMES
    for text in (task.version, task.modality, task.licence, task.source, task.citation):
        assert text.strip()
        assert text == text.strip()
    assert task.family in FAMILIES


def test_the_shape_is_a_square_or_cube_of_an_allowed_size(task: TaskInfo) -> None:
    assert task.dim in (2, 3)
    assert len(set(task.shape)) == 1
    low, high = task.sizes
    assert low < high
    assert task.shape_at(None) == task.shape == task.shape_at(task.shape[0])
    assert task.shape_at(low) == (low,) * task.dim
    assert task.shape_at(high) == (high,) * task.dim
    for size in (low - 8, high + 8, low + 1, 0, -low):
        with pytest.raises(UsageError, match=f"--size {size} is no size of task {task.name}"):
            task.shape_at(size)


def test_sides_may_differ_within_the_same_number_of_pixels(task: TaskInfo) -> None:
    longest, most = task.sizes[1], task.sizes[1] ** task.dim
    wide = (10,) * (task.dim - 1) + (longest,)
    assert task.shape_at(wide) == wide
    assert task.shape_at((longest,) * task.dim) == task.shape_at(longest)
    short = wide[1:]
    for sides in ((longest, *(longest + 8,) * len(short)), (7, *short), (0, *short), (*short, 8 * longest)):
        with pytest.raises(UsageError, match="is no shape of task") as refused:
            task.shape_at(sides)
        nearest = size_of(str(refused.value).rpartition(" ")[2])
        assert isinstance(nearest, tuple)
        assert task.shape_at(nearest) == nearest
        assert np.prod(nearest) <= most
    with pytest.raises(UsageError, match="--size 16 is no size"):
        task.shape_at((16,) * task.dim)
    with pytest.raises(UsageError, match="the nearest is 32x32"):
        task.shape_at((8, 7, 8)[: task.dim])
    with pytest.raises(UsageError, match=f"has {task.dim + 1} sides, and images of task {task.name} {task.dim}; give"):
        task.shape_at((32,) * (task.dim + 1))


def test_the_shapes_of_published_volumes_are_allowed() -> None:
    for sides in ((32, 256, 256), (10, 96, 96)):
        assert TASKS.get("mr").shape_at(sides) == sides
    with pytest.raises(UsageError, match="the nearest is 33x252x252"):
        TASKS.get("ct").shape_at((33, 256, 256))


def test_the_family_draws_the_shape_and_the_smallest_size(task: TaskInfo) -> None:
    for shape in (task.shape, task.shape_at(task.sizes[0])):
        image = draw(task.family, 0, 0, size=shape[0])
        assert image.shape == shape
        assert image.dtype == np.uint8
        assert image.std() > 5


@pytest.mark.parametrize("name", FLAT)
def test_the_family_draws_the_largest_size(name: str) -> None:
    task = TASKS.get(name)
    assert draw(task.family, 0, 0, size=task.sizes[1]).shape == task.shape_at(task.sizes[1])


def test_sides_are_large_enough(task: TaskInfo) -> None:
    sizes = task.split
    assert sizes.train >= DEV_PATIENTS
    assert sizes.dev >= DEV_PATIENTS  # else the detector would have to cross-fit
    assert sizes.test >= sizes.train
    assert sizes.fresh >= task.samples  # the control gives each new patient once
    assert task.samples >= 100


def test_tasks_differ() -> None:
    tasks = [TASKS.get(name) for name in NAMES]
    for values in ([t.digest for t in tasks], [t.family for t in tasks], [t.modality for t in tasks]):
        assert len(set(values)) == len(NAMES)


def test_digests_are_sha256(task: TaskInfo) -> None:
    assert len(bytes.fromhex(task.digest)) == 32


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_embedded_split_is_what_the_task_promises(name: str) -> None:
    assert drawn_digest(name) == TASKS.get(name).digest


@pytest.mark.smoke
def test_embedded_radiographs_are_what_the_task_promises() -> None:
    assert drawn_digest("xray") == TASKS.get("xray").digest
