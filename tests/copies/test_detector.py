from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from memobench.copies.detector import MIN_DEV_PATIENTS, Detector
from memobench.copies.parameters import EmbeddingParameters
from memobench.errors import DataError
from memobench.generator import Context
from memobench.images import Images

SMALL = EmbeddingParameters(channels=(8, 8, 16, 16), dimension=12, steps=3, batch=8)
Make = Callable[..., Images]


def fit(pool: Images, dev: Images | None = None, seed: int = 0) -> Detector:
    return Detector.fit(pool, dev, SMALL, context=Context(seed))


@pytest.fixture(scope="module")
def pool() -> Images:
    rng = np.random.default_rng(0)
    coarse = rng.random((28, 8, 8)).repeat(4, axis=1).repeat(4, axis=2).astype(np.float32)
    return Images(coarse, np.repeat([f"p{i:02d}" for i in range(14)], 2), np.array([f"s{i}" for i in range(28)]))


@pytest.fixture(scope="module")
def crossed(pool: Images) -> Detector:
    return fit(pool)


@pytest.fixture(scope="module")
def dev() -> Images:
    rng = np.random.default_rng(1)
    coarse = rng.random((MIN_DEV_PATIENTS, 8, 8)).repeat(4, axis=1).repeat(4, axis=2).astype(np.float32)
    names = np.array([f"d{i:03d}" for i in range(MIN_DEV_PATIENTS)])
    return Images(coarse, names, names)


def test_folds_part_the_patients(pool: Images, crossed: Detector) -> None:
    assert crossed.folds is not None
    one, two = map(set, crossed.folds)
    assert not one & two
    assert one | two == set(pool.patients)
    assert abs(len(one) - len(two)) <= 1
    assert not np.array_equal(
        crossed.embeddings[0].state()["weight.stem.weight"], crossed.embeddings[1].state()["weight.stem.weight"]
    )


def test_dev_is_used_where_there_are_patients_enough(pool: Images, dev: Images) -> None:
    detector = fit(pool, dev)
    assert detector.folds is None
    assert len(detector.embeddings) == 1
    few = dev.take(np.arange(MIN_DEV_PATIENTS - 1))
    assert fit(pool, few).folds is not None


def test_nothing_depends_on_the_order_of_the_pool(pool: Images, crossed: Detector) -> None:
    order = np.random.default_rng(0).permutation(len(pool))
    again = fit(pool.take(order))
    mine, theirs = crossed.state(), again.state()
    assert mine.keys() == theirs.keys()
    assert all(np.array_equal(mine[key], theirs[key]) for key in mine)
    queries = np.random.default_rng(1).random((5, 32, 32)).astype(np.float32)
    found, moved = crossed.match(queries, pool, k=3), again.match(queries, pool.take(order), k=3)
    assert np.allclose(found.score, moved.score, atol=1e-5)
    assert np.array_equal(found.index, order[moved.index])


def test_another_seed_deals_other_folds(pool: Images, crossed: Detector) -> None:
    assert crossed.folds is not None
    other = fit(pool, seed=1).folds
    assert other is not None
    assert set(crossed.folds[0]) not in (set(other[0]), set(other[1]))


@pytest.mark.parametrize("mode", ["dev", "crossed"])
def test_an_image_of_the_pool_matches_itself_most(mode: str, pool: Images, dev: Images, crossed: Detector) -> None:
    detector = crossed if mode == "crossed" else fit(pool, dev)
    found = detector.match(pool.pixels, pool, k=5)
    assert found.score.shape == found.index.shape == (28, 5)
    assert found.score.dtype == np.float32
    assert np.array_equal(found.index[:, 0], np.arange(28))
    assert (np.diff(found.score, axis=1) <= 0).all()
    scores, patients, _ = detector.null_scores(pool)
    assert found.score[:, 0].min() > scores.max()
    assert np.array_equal(patients, pool.patients)
    assert (found.index >= 0).all()
    assert all(len(set(row)) == 5 for row in found.index.tolist())


def test_images_of_the_same_patient_are_never_compared(pool: Images, crossed: Detector) -> None:
    found = crossed.match(pool.pixels, pool, k=4, query_patients=pool.patients)
    assert (pool.patients[found.index] != pool.patients[:, None]).all()


def test_no_image_is_judged_by_an_embedding_that_learned_from_it(pool: Images, crossed: Detector) -> None:
    assert crossed.folds is not None
    fold = np.isin(pool.patients, crossed.folds[1]).astype(int)  # which fold each image is of
    found = crossed.match(pool.pixels, pool, k=4, query_patients=pool.patients)
    assert np.array_equal(fold[found.index], np.repeat(fold[:, None], 4, axis=1))
    scores, _, share = crossed.null_scores(pool)
    assert share == 0.5
    assert np.array_equal(scores, found.score[:, 0])
    # A new patient is judged against either fold, in the embedding that did not learn from that fold.
    new = np.random.default_rng(5).random((40, 32, 32)).astype(np.float32)
    assert set(fold[crossed.match(new, pool, k=3).index].ravel()) == {0, 1}
    only = pool.take(fold == 1)
    by_hand = crossed.embeddings[1].embed(new) @ crossed.embeddings[1].embed(only.pixels).T
    assert np.array_equal(crossed.match(new, only).index[:, 0], by_hand.argmax(axis=1))


def test_null_scores_are_standardized_in_each_embedding(pool: Images, crossed: Detector) -> None:
    assert crossed.folds is not None
    scores, patients, _ = crossed.null_scores(pool)
    for fold in crossed.folds:
        own = scores[np.isin(patients, fold)]
        assert np.median(own) == pytest.approx(0, abs=1e-4)
        low, high = np.quantile(own, [0.25, 0.75])
        assert high - low == pytest.approx(1.349, abs=1e-2)


def test_restored_detectors_are_equal(pool: Images, dev: Images, crossed: Detector) -> None:
    for detector in (crossed, fit(pool, dev)):
        again = Detector.restore(detector.state(), SMALL)
        queries = pool.pixels[:7]
        assert np.array_equal(again.match(queries, pool, k=3).score, detector.match(queries, pool, k=3).score)
        assert np.array_equal(again.null_scores(pool)[0], detector.null_scores(pool)[0])
        assert (again.folds is None) == (detector.folds is None)


def test_three_dimensions(make_images: Make) -> None:
    pool = make_images(patients=9, shape=(16, 16, 16))
    detector = Detector.fit(pool, None, replace(SMALL, steps=2), context=Context(0))
    assert np.array_equal(detector.match(pool.pixels, pool).index[:, 0], np.arange(9))
    assert detector.features(pool.pixels).shape[0] == 9


def test_what_cannot_be_matched_is_refused(pool: Images, crossed: Detector, make_images: Make) -> None:
    with pytest.raises(DataError, match="k = 29"):
        crossed.match(pool.pixels[:2], pool, k=29)
    alone = pool.take(pool.patients == pool.patients[0])
    with pytest.raises(DataError, match="other patients"):
        crossed.match(alone.pixels, alone, query_patients=alone.patients)
    with pytest.raises(DataError, match="too few"):
        fit(make_images(patients=7))  # each fold leaves fewer than four to learn from
