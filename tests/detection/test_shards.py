"""Blocks of queries as jobs: to the last bit what one process finds, and a killed worker costs its own block."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from threading import Thread

import numpy as np
import psutil
import pytest
import torch
from memobench.base.store import Store, load_arrays, save_arrays
from memobench.challenge.perturb import perturb
from memobench.detection.crossfit import Detector
from memobench.detection.parameters import EmbeddingParameters
from memobench.detection.remember import RememberingDetector
from memobench.detection.shards import Elsewhere, Question
from memobench.execution.perform import Workplace, opened
from memobench.execution.settings import Execution
from memobench.generator import Context
from memobench.images import Images

PARAMETERS = EmbeddingParameters(channels=(8, 8, 16, 16), dimension=12, steps=2, batch=8, planted=24)


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: pytest.TempPathFactory) -> tuple[Detector, Path, Images]:
    """A detector of a large pool, which is searched among an embedding's nearest images."""
    rng = np.random.default_rng(0)
    pixels = rng.random((1100, 8, 8)).astype(np.float32).repeat(2, axis=1).repeat(2, axis=2)
    names = np.array([f"p{k:04d}" for k in range(len(pixels))])
    images = Images(pixels, names, names)
    detector = Detector.fit(images.take(np.arange(24)), None, PARAMETERS, context=Context(0))
    file = tmp_path_factory.mktemp("detector") / "detector.safetensors"
    save_arrays(file, detector.state())
    return detector, file, images


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workplace]:
    """Two workers for all tests."""
    with opened(Workplace(Execution(jobs=2), tmp_path_factory.mktemp("work"))) as ready:
        yield ready


def _remembering(fitted: tuple[Detector, Path, Images], store: Path, place: Workplace | None) -> RememberingDetector:
    """A detector that has embedded nothing yet."""
    file = fitted[1]
    elsewhere = None if place is None else Elsewhere(place, file, PARAMETERS, "cpu")
    return RememberingDetector(Detector.restore(load_arrays(file), PARAMETERS), Store(store), "one", elsewhere)


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("memobench.detection.remember.KEPT", 8)
    monkeypatch.setattr("memobench.detection.remember.LEAST", 4)


@pytest.mark.usefixtures("small_blocks")
def test_blocks_elsewhere_are_the_same_to_the_last_bit(
    fitted: tuple[Detector, Path, Images], place: Workplace, tmp_path: Path
) -> None:
    images = fitted[2]
    copies = perturb(images.pixels[:16], "noise", "medium", seed=0)
    second = np.arange(len(images)) % 2 == 1
    here = _remembering(fitted, tmp_path / "here", None)
    there = _remembering(fitted, tmp_path / "there", place)
    one, two = (made.match(copies, images, second=second) for made in (here, there))
    assert one.score.tobytes() == two.score.tobytes()
    assert one.index.tobytes() == two.index.tobytes()
    best = np.take_along_axis(one.index, one.score.argmax(axis=1)[:, None], axis=1)[:, 0]
    assert np.mean(best == np.arange(16)) > 0.5  # it found what was copied
    few = images.take(np.arange(40))  # a small pool is searched in full; real queries only among other patients
    null, also = (made.null_scores(few)[0] for made in (here, there))
    assert null.tobytes() == also.tobytes()


@pytest.mark.skipif(os.name != "posix", reason="a worker is killed by a signal")
@pytest.mark.usefixtures("small_blocks")
def test_a_killed_worker_costs_its_own_block(
    fitted: tuple[Detector, Path, Images], place: Workplace, tmp_path: Path
) -> None:
    images = fitted[2].take(np.arange(100))
    queries = perturb(images.pixels[:32], "noise", "medium", seed=0)
    said: list[str] = []
    there = _remembering(fitted, tmp_path, replace(place, say=said.append))
    before: dict[Path, int] = {}

    def kill() -> None:
        """The worker that is at a block, once another block is stored."""
        mine = psutil.Process()
        for _ in range(4000):
            time.sleep(0.01)
            done = {path.parent: path.stat().st_mtime_ns for path in tmp_path.glob("match/*/key.json")}
            done = {path: when for path, when in done.items() if not path.name.endswith(".part")}
            writing = [path.name.split(".")[1].split("-")[0] for path in tmp_path.glob("match/*.part")]
            workers = {str(one.pid): one for one in mine.children()}
            if done and (busy := [workers[pid] for pid in writing if pid in workers]):
                before.update(done)
                busy[0].kill()
                return

    killer = Thread(target=kill)
    killer.start()
    found = there.match(queries, images)
    killer.join()
    assert before
    assert len(said) == 1
    assert "its worker was lost" in said[0]
    after = {path: (path / "key.json").stat().st_mtime_ns for path in before}
    assert after == before  # what was stored was not made again
    whole = _remembering(fitted, tmp_path / "here", None).match(queries, images)
    assert found.score.tobytes() == whole.score.tobytes()


def test_a_question_is_read_as_it_was_written(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    queries = rng.random((3, 8, 8)).astype(np.float32)
    for number, (patients, second) in enumerate([(None, np.array([True, False])), (np.array(["a", "b", "c"]), None)]):
        folder = tmp_path / str(number)
        folder.mkdir()
        asked = Question(queries, patients, 2, second)
        asked.save(folder)
        read = Question.load(folder)
        assert read.key(slice(1, 3), "d", "p") == asked.key(slice(1, 3), "d", "p")
        assert torch.equal(torch.tensor(np.array(read.queries)), torch.tensor(queries))
