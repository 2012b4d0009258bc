"""A detector receives the same, whoever is a member; and its answers come back in the right places."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, Self

import numpy as np
import pytest
from memobench.base.errors import DataError
from memobench.images import Images
from memobench.measure.blind import BlindPool, exact_limit


class Listening:
    """Minus the largest difference of two images; keeps a digest of all that it is given."""

    VERSION = "1"
    TRAINED_AS = None

    def __init__(self) -> None:
        self.heard = hashlib.sha256()
        self.names: list[str] = []

    def hear(self, *given: Any) -> None:
        for one in given:
            if isinstance(one, Images):
                self.names += one.patients.tolist() + one.scans.tolist()
                self.hear(one.pixels, one.patients, one.scans)
            else:
                self.heard.update(repr((one.shape, one.dtype)).encode() + np.ascontiguousarray(one).tobytes())

    def fit(self, train: Images, holdout: Images, dev: Images | None, **_: Any) -> Self:
        self.hear(train, holdout)
        return self

    def match(self, queries: np.ndarray, pool: Images, k: int = 1, query_patients: Any = None) -> Any:
        self.hear(queries, pool)
        table = -np.abs(queries[:, None] - pool.pixels[None]).max(axis=(2, 3))
        if query_patients is not None:
            table[query_patients[:, None] == pool.patients[None]] = -np.inf
        index = np.argsort(-table, axis=1, kind="stable")[:, :k]
        return SimpleNamespace(score=np.take_along_axis(table, index, axis=1), index=index)

    def null_scores(self, pool: Images) -> tuple[np.ndarray, float]:
        return self.match(pool.pixels, pool, query_patients=pool.patients).score[:, 0], 1.0


def sides(make_images: Callable[..., Images], members: np.ndarray) -> tuple[Images, Images]:
    both = make_images(12, (8, 8), scans=2)
    inside = members[np.unique(both.patients, return_inverse=True)[1]]
    return both.take(inside), both.take(~inside)


def ask(train: Images, holdout: Images, queries: np.ndarray) -> tuple[Listening, list[np.ndarray]]:
    pool, detector = BlindPool.of(train, holdout), Listening()
    detector.fit(*pool.halves, None)
    pool.null_scores(detector)
    tables = pool.tables(detector, queries[:3], queries[3:], pool.images.pixels)
    return detector, [table[:, rows] for table in tables for rows in (pool.train, pool.holdout)]


def test_a_detector_receives_the_same_whoever_is_a_member(make_images: Callable[..., Images]) -> None:
    queries = make_images(5, (8, 8), seed=1).pixels
    random = np.random.default_rng(0)
    labels = [random.permutation(np.arange(12) < 6) for _ in range(6)]
    labels += [np.arange(12) < 6, np.arange(12) >= 6]
    heard = {ask(*sides(make_images, one), queries)[0].heard.hexdigest() for one in labels}
    assert len(heard) == 1
    other = ask(*sides(make_images, labels[0]), queries[::-1])[0].heard.hexdigest()
    assert heard != {other}  # the digest does see a difference


def test_neither_names_nor_their_order_tell(make_images: Callable[..., Images]) -> None:
    train, holdout = sides(make_images, np.arange(12) < 6)  # as the embedded data: train has the first names
    detector, _ = ask(train, holdout, train.pixels[:5])
    assert not {*detector.names} & {*train.patients.tolist(), *train.scans.tolist()}
    pool = BlindPool.of(train, holdout)
    assert pool.images.patients.tolist() == sorted(pool.images.patients.tolist())
    assert 0 < np.searchsorted(np.sort(pool.train), len(pool.images) // 2) < len(train)
    halves = [half.patient_count for half in pool.halves]
    assert halves == [6, 6]


def test_scores_come_back_in_the_order_of_train_and_holdout(make_images: Callable[..., Images]) -> None:
    train, holdout = sides(make_images, np.random.default_rng(1).permutation(np.arange(12) < 6))
    queries = np.concatenate([train.pixels[:3], holdout.pixels[:2]])
    _, (first, _, _, second, pool_train, _) = ask(train, holdout, queries)
    expected = -np.abs(queries[:3, None] - train.pixels[None]).max(axis=(2, 3))
    assert np.allclose(first, expected)
    assert second.argmax(axis=1).tolist() == [0, 1]
    assert pool_train.shape == (len(train) + len(holdout), len(train))


def test_a_match_among_some_images_names_their_rows(make_images: Callable[..., Images]) -> None:
    train, holdout = sides(make_images, np.arange(12) < 6)
    pool = BlindPool.of(train, holdout)
    among = train.take(np.array([7, 2, 4]))
    found = pool.match(Listening(), train.pixels[[4, 7]], among)
    assert found.index[:, 0].tolist() == [2, 0]
    assert found.score[:, 0].tolist() == [0.0, 0.0]
    with pytest.raises(DataError, match="neither train nor holdout"):
        pool.match(Listening(), train.pixels[:1], make_images(2, (8, 8), seed=9))


def test_what_a_detector_is_given_cannot_be_changed_by_it(make_images: Callable[..., Images]) -> None:
    pool = BlindPool.of(*sides(make_images, np.arange(12) < 6))
    with pytest.raises(ValueError, match="read-only"):
        pool.images.pixels[0] = 0


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (lambda score, index: (score[:, :1], index[:, :1]), "must give k for each query"),
        (lambda score, index: (score * np.nan, index), "not finite numbers"),
        (lambda score, index: (score, np.zeros_like(index)), "twice for one query"),
    ],
)
def test_answers_that_are_none_are_refused(
    make_images: Callable[..., Images], answer: Callable[..., Any], reason: str
) -> None:
    class Broken(Listening):
        def match(self, *given: Any, **named: Any) -> Any:
            found = super().match(*given, **named)
            score, index = answer(found.score, found.index)
            return SimpleNamespace(score=score, index=index)

    train, holdout = sides(make_images, np.arange(12) < 6)
    with pytest.raises(DataError, match=reason):
        BlindPool.of(train, holdout).tables(Broken(), train.pixels[:2])


@pytest.mark.parametrize(("scores", "share"), [(np.zeros(3), 1.0), (np.full(24, np.inf), 1.0), (np.zeros(24), 0.0)])
def test_null_scores_that_are_none_are_refused(
    make_images: Callable[..., Images], scores: np.ndarray, share: float
) -> None:
    class Broken(Listening):
        def null_scores(self, pool: Images) -> tuple[np.ndarray, float]:
            return scores, share

    with pytest.raises(DataError, match="give a"):
        BlindPool.of(*sides(make_images, np.arange(12) < 6)).null_scores(Broken())


def test_a_patient_in_both_is_refused(make_images: Callable[..., Images]) -> None:
    with pytest.raises(DataError, match="stands in train and in holdout"):
        BlindPool.of(make_images(4, (8, 8)), make_images(2, (8, 8)))


def test_exact_copies_bound_tau_to_a_hair() -> None:
    limit = exact_limit(np.array([-0.4, -0.2]), np.array([0.0, -0.001]))
    assert -0.001 - 1e-6 < limit < -0.001
