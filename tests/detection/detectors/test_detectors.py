"""The contract of every registered detector: a new file is tested by being there."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from memobench.base.errors import DataError
from memobench.detection.contract import CopyDetector
from memobench.detection.detectors import DETECTORS
from memobench.detection.detectors._pairs import PairDetector, strongest
from memobench.generator import Context
from memobench.images import Images

Make = Callable[..., Images]
NAMES = DETECTORS.names()
LEARNING = {DETECTORS.get(name).TRAINED_AS: name for name in NAMES if DETECTORS.get(name).TRAINED_AS}
SIDES = ((32, 32), (16, 16, 16))


@pytest.fixture(scope="module")
def fitted() -> Callable[[str, int], tuple[CopyDetector, Images]]:
    held: dict[tuple[str, int], tuple[CopyDetector, Images]] = {}

    def smooth(patients: int, shape: tuple[int, ...], seed: int) -> Images:
        coarse = np.random.default_rng(seed).random((2 * patients, *[side // 4 for side in shape]))
        for axis in range(1, coarse.ndim):
            coarse = coarse.repeat(4, axis=axis)
        names = np.repeat([f"{seed}-p{number:02d}" for number in range(patients)], 2)
        return Images(coarse.astype(np.float32), names, np.array([f"{seed}-{n}" for n in range(2 * patients)]))

    def get(name: str, dim: int) -> tuple[CopyDetector, Images]:
        if (name, dim) not in held:
            train, holdout = (smooth(7, SIDES[dim - 2], seed) for seed in (0, 1))
            detector = DETECTORS.get(name)().fit(train, holdout, None, context=Context(0), preset="smoke")
            held[name, dim] = detector, train
        return held[name, dim]

    return get


def test_all_are_there() -> None:
    assert {"verified", "embedding", "correlation", "ssim", "l2", "published"} <= set(NAMES)


@pytest.mark.parametrize("dim", [2, 3])
@pytest.mark.parametrize("name", NAMES)
def test_a_copy_is_found(name: str, dim: int, fitted: Callable[[str, int], tuple[CopyDetector, Images]]) -> None:
    detector, train = fitted(name, dim)
    before = train.pixels.copy()
    found = detector.match(train.pixels, train)
    assert found.score.shape == found.index.shape == (14, 1)
    assert found.score.dtype == np.float32
    assert np.array_equal(found.index[:, 0], np.arange(14))
    assert np.array_equal(train.pixels, before)
    if dim == 3:
        return  # the rest is the same code, and slow
    noisy = np.clip(train.pixels + 0.02 * np.random.default_rng(0).normal(size=train.pixels.shape), 0, 1)
    again = detector.match(noisy.astype(np.float32), train)
    assert (again.index == found.index).mean() > 0.5
    assert (found.score >= again.score - 1e-5).mean() > 0.9


@pytest.mark.parametrize("name", NAMES)
def test_the_strongest_come_first_and_own_images_are_passed_over(
    name: str, fitted: Callable[[str, int], tuple[CopyDetector, Images]]
) -> None:
    detector, train = fitted(name, 2)
    found = detector.match(train.pixels[:5], train, 4)
    assert (np.diff(found.score, axis=1) <= 0).all()
    assert all(len(set(row)) == 4 for row in found.index.tolist())
    others = detector.match(train.pixels, train, 2, query_patients=train.patients)
    assert (train.patients[others.index] != train.patients[:, None]).all()
    scores, share = detector.null_scores(train)
    alone = detector.match(train.pixels, train, query_patients=train.patients)
    assert scores == pytest.approx(alone.score[:, 0], abs=1e-5)
    assert (scores <= others.score[:, 0] + 1e-5).all()  # more matches may be sought among more candidates
    assert 0 < share <= 1
    assert (scores < detector.match(train.pixels, train).score[:, 0]).all()


@pytest.mark.parametrize("name", NAMES)
def test_a_restored_detector_answers_the_same(
    name: str, fitted: Callable[[str, int], tuple[CopyDetector, Images]]
) -> None:
    detector, train = fitted(name, 2)
    again = DETECTORS.get(name)().restore(detector.state(), preset="smoke")
    queries = train.pixels[::3]
    first, second = detector.match(queries, train, 3), again.match(queries, train, 3)
    assert np.array_equal(first.index, second.index)
    assert np.array_equal(first.score, second.score)


@pytest.mark.parametrize("name", LEARNING.values())
def test_training_is_seeded(name: str, make_images: Make) -> None:
    train, holdout = make_images(8), make_images(8, seed=1)
    queries = make_images(5, seed=2).pixels

    def score(seed: int) -> np.ndarray:
        detector = DETECTORS.get(name)().fit(train, holdout, None, context=Context(seed), preset="smoke")
        return detector.match(queries, train).score

    assert np.array_equal(score(0), score(0))
    assert not np.array_equal(score(0), score(1))


@pytest.mark.parametrize("name", NAMES)
def test_what_cannot_be_matched_is_refused(
    name: str, fitted: Callable[[str, int], tuple[CopyDetector, Images]]
) -> None:
    detector, train = fitted(name, 2)
    with pytest.raises(DataError, match="k = 15"):
        detector.match(train.pixels[:2], train, 15)
    alone = train.take(train.patients == train.patients[0])
    with pytest.raises(DataError, match="other patients"):
        detector.match(alone.pixels, alone, query_patients=alone.patients)
    with pytest.raises(DataError, match=r"\(8, 8\)"):
        detector.match(np.zeros((1, 8, 8), np.float32), train)


@pytest.mark.parametrize("name", [name for name in NAMES if not DETECTORS.get(name).TRAINED_AS])
@pytest.mark.parametrize("block", [1, 3, 100])
def test_blocks_change_nothing(name: str, block: int, make_images: Make) -> None:
    pool, queries = make_images(9, scans=2), make_images(10, seed=4)
    detector = DETECTORS.get(name)()
    assert isinstance(detector, PairDetector)
    rows = detector.scores(queries.pixels, pool.pixels)
    whole = rows(slice(0, len(queries)))
    found = strongest(rows, len(queries), pool.patients, 3, block=block)
    order = np.argsort(-np.asarray(whole, dtype=float), axis=1, kind="stable")[:, :3]
    assert np.array_equal(found.index, order)
    assert found.score == pytest.approx(np.take_along_axis(whole, order, axis=1), abs=1e-6)


def test_equal_scores_go_to_the_lower_index() -> None:
    found = strongest(lambda rows: np.ones((1, 4)), 1, np.array(list("abcd")), 3)
    assert found.index.tolist() == [[0, 1, 2]]
