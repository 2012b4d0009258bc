from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from memobench.base.errors import DataError
from memobench.challenge.perturb import perturb
from memobench.detection.crossfit import MIN_DEV_PATIENTS, Detector
from memobench.detection.pairs import pair_scores
from memobench.detection.parameters import EmbeddingParameters
from memobench.detection.retrieve import UNMOVED, Prepared
from memobench.detection.teach import train_verifier
from memobench.generator import Context
from memobench.images import Images

SMALL = EmbeddingParameters(channels=(8, 8, 16, 16), dimension=12, steps=3, batch=8, planted=24)
Make = Callable[..., Images]


def fit(pool: Images, dev: Images | None = None, seed: int = 0) -> Detector:
    return Detector.fit(pool, dev, SMALL, context=Context(seed))


@pytest.fixture(scope="module")
def pool() -> Images:
    rng = np.random.default_rng(0)
    coarse = rng.random((20, 8, 8)).repeat(4, axis=1).repeat(4, axis=2).astype(np.float32)
    return Images(coarse, np.repeat([f"p{i:02d}" for i in range(10)], 2), np.array([f"s{i}" for i in range(20)]))


@pytest.fixture(scope="module")
def crossed(pool: Images) -> Detector:
    return fit(pool)


@pytest.fixture(scope="module")
def dev() -> Images:
    rng = np.random.default_rng(1)
    coarse = rng.random((MIN_DEV_PATIENTS, 8, 8)).repeat(4, axis=1).repeat(4, axis=2).astype(np.float32)
    names = np.array([f"d{i:03d}" for i in range(MIN_DEV_PATIENTS)])
    return Images(coarse, names, names)


@pytest.fixture(scope="module")
def developed(pool: Images, dev: Images) -> Detector:
    return fit(pool, dev)


def test_folds_part_the_patients(pool: Images, crossed: Detector) -> None:
    assert crossed.folds is not None
    one, two = map(set, crossed.folds)
    assert not one & two
    assert one | two == set(pool.patients)
    assert abs(len(one) - len(two)) <= 1
    assert not np.array_equal(
        crossed.embeddings[0].state()["weight.stem.weight"], crossed.embeddings[1].state()["weight.stem.weight"]
    )
    assert len(crossed.verifiers) == 2
    assert not np.array_equal(crossed.verifiers[0].weights, crossed.verifiers[1].weights)


def test_dev_is_used_where_there_are_patients_enough(pool: Images, dev: Images, developed: Detector) -> None:
    assert developed.folds is None
    assert len(developed.embeddings) == 1
    assert len(developed.verifiers) == 1
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
def test_an_image_of_the_pool_matches_itself_most(
    mode: str, pool: Images, crossed: Detector, developed: Detector
) -> None:
    detector = crossed if mode == "crossed" else developed
    found = detector.match(pool.pixels, pool, k=5)
    assert found.score.shape == found.index.shape == (20, 5)
    assert found.score.dtype == np.float32
    assert np.array_equal(found.index[:, 0], np.arange(20))
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
    assert np.array_equal(scores, crossed.match(pool.pixels, pool, query_patients=pool.patients).score[:, 0])
    assert (scores <= found.score[:, 0] + 1e-4).all()  # more matches are found among more candidates
    # A new patient is judged against either fold, by the verifier that did not learn from that fold.
    new = perturb(pool.pixels, "blur", "strong", seed=0)
    assert set(fold[crossed.match(new, pool, k=3).index].ravel()) == {0, 1}
    for number in (0, 1):
        only = pool.take(fold == number)
        row, column, value = _by_hand(new, only, crossed, number)
        by_hand = np.full((len(new), len(only)), -np.inf)
        np.maximum.at(by_hand, (row, column), value)  # a pair comes with one pose or two
        best = crossed.match(new, only)
        assert np.array_equal(best.index[:, 0], by_hand.argmax(axis=1))
        assert best.score[:, 0] == pytest.approx(by_hand.max(axis=1), abs=1e-4)


def test_null_scores_of_some_are_those_of_all(pool: Images, crossed: Detector) -> None:
    scores, patients, share = crossed.null_scores(pool)
    some, asked, same = crossed.null_scores(pool, most=7)
    assert share == same
    assert len(some) == len(asked) <= 7
    for patient in np.unique(asked):
        assert some[asked == patient] == pytest.approx(scores[patients == patient], abs=1e-4)


def _by_hand(
    queries: np.ndarray, real: Images, detector: Detector, number: int, allowed: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    tensors = [Prepared(torch.from_numpy(np.array(pixels))[:, None]) for pixels in (queries, real.pixels)]
    mask = None if allowed is None else torch.from_numpy(allowed)
    judge = detector.verifiers[number], torch.ones(len(real), dtype=torch.bool)
    return pair_scores(*tensors, [judge], allowed=mask, least=2)


def test_null_scores_are_those_of_each_folds_own_verifier(pool: Images, crossed: Detector) -> None:
    assert crossed.folds is not None
    scores, patients, _ = crossed.null_scores(pool)
    assert np.isfinite(scores).all()
    for number, members in enumerate(crossed.folds):
        own = pool.take(np.isin(patients, members))
        other = own.patients[:, None] != own.patients[None, :]
        row, _, value = _by_hand(own.pixels, own, crossed, number, other)
        best = np.full(len(own), -np.inf)
        np.maximum.at(best, row, value)
        assert scores[np.isin(patients, members)] == pytest.approx(best, abs=1e-4)


@pytest.mark.parametrize("name", ["noise", "gamma", "rotation", "scale_and_crop", "flip", "blend"])
def test_planted_copies_score_above_every_stranger(name: str, pool: Images, crossed: Detector) -> None:
    rng = np.random.default_rng(9)
    strangers = rng.random((10, 8, 8)).repeat(4, axis=1).repeat(4, axis=2).astype(np.float32)
    copies = perturb(pool.pixels[::2], name, "weak", seed=0, others=strangers)
    found = crossed.match(copies, pool)
    assert np.array_equal(found.index[:, 0], np.arange(0, 20, 2))
    unlike = crossed.match(perturb(strangers, name, "weak", seed=1, others=strangers[::-1].copy()), pool)
    assert found.score.min() > unlike.score.max()


def test_equal_images_get_a_finite_score_that_nothing_exceeds(pool: Images, crossed: Detector) -> None:
    twice = Images(
        np.concatenate([pool.pixels, pool.pixels[:3]]),
        np.concatenate([pool.patients, pool.patients[:3]]),
        np.concatenate([pool.scans, ["t0", "t1", "t2"]]),
    )
    equal = crossed.match(pool.pixels, twice, k=2)
    assert np.isfinite(equal.score).all()
    assert [set(row) for row in equal.index[:3].tolist()] == [{n, 20 + n} for n in range(3)]
    assert equal.score[:3, 0] == pytest.approx(equal.score[:3, 1], abs=1e-3)
    changed = crossed.match(perturb(pool.pixels, "noise", "medium", seed=0), pool)
    others, _, _ = crossed.null_scores(pool)
    assert (equal.score[:, 0] > changed.score[:, 0]).mean() > 0.9
    assert equal.score[:, 0].min() > others.max()


def test_blank_queries_and_blank_images_get_finite_scores(pool: Images, crossed: Detector) -> None:
    blank = np.stack([np.full((32, 32), value, dtype=np.float32) for value in (0, 0.5, 1)])
    mixed = pool.take(np.arange(4)).joined(Images(blank, np.array(["b0", "b1", "b2"]), np.array(["b"] * 3)))
    found = crossed.match(mixed.pixels, mixed, k=7)
    assert np.isfinite(found.score).all()
    assert np.array_equal(np.sort(found.index, axis=1), np.tile(np.arange(7), (7, 1)))
    assert np.array_equal(found.index[:4, 0], np.arange(4))


@pytest.mark.parametrize("k", [1, 2, 6])
def test_more_matches_begin_with_fewer(k: int, pool: Images, crossed: Detector) -> None:
    queries = perturb(pool.pixels[:8], "noise", "weak", seed=0)
    most = crossed.match(queries, pool, k=10)
    found = crossed.match(queries, pool, k=k)
    assert found.score.shape == found.index.shape == (8, k)
    assert np.array_equal(found.index[:, 0], most.index[:, 0])
    assert (found.score <= most.score[:, :k] + 1e-4).all()  # fewer candidates are asked for


def test_the_order_of_the_pool_and_the_queries_beside_one_do_not_matter(pool: Images, crossed: Detector) -> None:
    queries = perturb(pool.pixels[:9], "rotation", "weak", seed=0)
    found = crossed.match(queries, pool, k=2)
    order = np.random.default_rng(3).permutation(len(pool))
    moved = crossed.match(queries, pool.take(order), k=2)
    assert np.array_equal(order[moved.index], found.index)
    assert moved.score == pytest.approx(found.score, abs=1e-3)
    alone = np.concatenate([crossed.match(queries[row : row + 1], pool, k=2).score for row in range(9)])
    assert alone == pytest.approx(found.score, abs=1e-3)


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr("memobench.detection.pool.LARGE", 6)
    monkeypatch.setattr("memobench.detection.pool.SHORTLIST", 6)
    return 6


def test_a_large_pool_is_narrowed_down_by_the_embedding(short: int, pool: Images, crossed: Detector) -> None:
    found = crossed.match(pool.pixels, pool, k=1)
    assert np.array_equal(found.index[:, 0], np.arange(20))
    scores, _, share = crossed.null_scores(pool)
    assert share == 0.5
    assert found.score[:, 0].min() > scores.max()
    own = crossed.match(pool.pixels, pool, k=short, query_patients=pool.patients)
    # real images meet their own fold alone: the nearest in the embedding, and those most alike as they stand
    assert crossed.folds is not None
    fold = np.isin(pool.patients, crossed.folds[1]).astype(int)
    for number in (0, 1):
        members = np.flatnonzero(fold == number)
        vectors = crossed.embeddings[number].embed(pool.pixels[members])
        near = vectors @ vectors.T
        near[pool.patients[members][:, None] == pool.patients[members][None, :]] = -np.inf
        listed = members[np.argsort(-near, axis=1)[:, :short]]
        for row, few in zip(own.index[members].tolist(), listed.tolist(), strict=True):
            assert len(set(row) - set(few)) <= UNMOVED[2]


def test_a_blend_is_found_beyond_the_shortlist(short: int, pool: Images, crossed: Detector) -> None:
    others = pool.pixels[::-1].copy()
    blends = perturb(pool.pixels, "blend", "medium", seed=0, others=others)
    found = crossed.match(blends, pool).index[:, 0]
    assert np.mean(found == np.arange(len(pool))) >= 0.9


def test_a_shortlist_finds_the_very_copies_that_the_whole_pool_shows(
    monkeypatch: pytest.MonkeyPatch, pool: Images, crossed: Detector
) -> None:
    queries = perturb(pool.pixels, "blur", "weak", seed=0)
    whole = crossed.match(queries, pool)
    monkeypatch.setattr("memobench.detection.pool.LARGE", 6)
    monkeypatch.setattr("memobench.detection.pool.SHORTLIST", 6)
    few = crossed.match(queries, pool)
    assert np.array_equal(few.index, whole.index)
    assert few.score == pytest.approx(whole.score, abs=1e-3)


def test_in_a_large_pool_each_image_is_judged_by_what_has_not_learned_from_it(
    short: int, pool: Images, crossed: Detector
) -> None:
    assert crossed.folds is not None
    queries = perturb(pool.pixels, "blur", "weak", seed=0)
    found = crossed.match(queries, pool)
    assert np.array_equal(found.index[:, 0], np.arange(len(pool)))
    for number, members in enumerate(crossed.folds):
        own = np.flatnonzero(np.isin(pool.patients, members))
        row, column, value = _by_hand(queries[own], pool.take(own), crossed, number)
        best = {r: v for r, c, v in sorted(zip(row, column, value, strict=True), key=lambda t: t[2]) if r == c}
        assert found.score[own, 0] == pytest.approx([best[r] for r in range(len(own))], abs=1e-3)


def test_a_pool_made_ready_once_gives_the_same_matches(short: int, pool: Images, crossed: Detector) -> None:
    ready = crossed.matching_pool(pool)
    queries = perturb(pool.pixels[:6], "noise", "weak", seed=0)
    for patients in (None, pool.patients[:6]):
        once = crossed.match(queries, pool, query_patients=patients)
        for _ in range(2):
            again = crossed.match(queries, ready, query_patients=patients)
            assert np.array_equal(again.score, once.score)
            assert np.array_equal(again.index, once.index)


def test_queries_in_blocks_are_matched_alike(monkeypatch: pytest.MonkeyPatch, pool: Images, crossed: Detector) -> None:
    whole = crossed.match(pool.pixels, pool, k=2, query_patients=pool.patients)
    monkeypatch.setattr("memobench.detection.crossfit.BLOCK", 5)
    parts = crossed.match(pool.pixels, pool, k=2, query_patients=pool.patients)
    assert np.array_equal(parts.index, whole.index)
    assert parts.score == pytest.approx(whole.score, abs=1e-3)


def test_the_verifier_learns_alike_from_a_thinned_lesson(short: int, pool: Images) -> None:
    one, again = (train_verifier(pool, 12, context=Context(0)) for _ in range(2))
    assert np.array_equal(one.weights, again.weights)
    other = train_verifier(pool, 12, context=Context(1))
    assert not np.array_equal(one.weights, other.weights)


def test_restored_detectors_are_equal(pool: Images, crossed: Detector, developed: Detector) -> None:
    for detector in (crossed, developed):
        again = Detector.restore(detector.state(), SMALL)
        queries = pool.pixels[:7]
        assert np.array_equal(again.match(queries, pool, k=3).score, detector.match(queries, pool, k=3).score)
        assert np.array_equal(again.null_scores(pool)[0], detector.null_scores(pool)[0])
        assert (again.folds is None) == (detector.folds is None)


def test_three_dimensions(make_images: Make) -> None:
    pool = make_images(patients=9, shape=(16, 16, 16))
    detector = Detector.fit(pool, None, replace(SMALL, steps=2, planted=24), context=Context(0))
    assert np.array_equal(detector.match(pool.pixels, pool).index[:, 0], np.arange(9))
    assert detector.features(pool.pixels).shape[0] == 9


@pytest.mark.parametrize("large", [False, True])
def test_two_sides_are_searched_as_one(
    pool: Images, crossed: Detector, developed: Detector, monkeypatch: pytest.MonkeyPatch, large: bool
) -> None:
    """Who stands where changes no candidate: the better side's best is the whole pool's, whatever the sides."""
    if large:
        monkeypatch.setattr("memobench.detection.pool.LARGE", 4)
        monkeypatch.setattr("memobench.detection.pool.SHORTLIST", 8)
    rng = np.random.default_rng(3)
    queries = np.concatenate([pool.pixels[:6], rng.random((6, 32, 32), dtype=np.float32)])
    for detector in (crossed, developed):
        whole = detector.match(queries, pool)
        for _ in range(3):
            second = rng.random(len(pool)) < 0.5
            found = detector.match(queries, pool, second=second)
            assert found.score.shape == found.index.shape == (12, 2)
            assert np.array_equal(found.score.max(axis=1), whole.score[:, 0])
            better = found.score.argmax(axis=1)
            assert np.array_equal(found.index[np.arange(12), better], whole.index[:, 0])
            assert np.array_equal(found.index < 0, np.isneginf(found.score))
            for side, rows in enumerate((np.flatnonzero(~second), np.flatnonzero(second))):
                assert np.isin(found.index[:, side], [-1, *rows]).all()
        lonely = detector.match(queries, pool, second=np.zeros(len(pool), dtype=bool))
        assert np.array_equal(lonely.score[:, 0], whole.score[:, 0])
        assert np.isneginf(lonely.score[:, 1]).all()


def test_what_cannot_be_matched_is_refused(pool: Images, crossed: Detector, make_images: Make) -> None:
    with pytest.raises(DataError, match="k = 21"):
        crossed.match(pool.pixels[:2], pool, k=21)
    alone = pool.take(pool.patients == pool.patients[0])
    with pytest.raises(DataError, match="other patients"):
        crossed.match(alone.pixels, alone, query_patients=alone.patients)
    with pytest.raises(DataError, match=r"queries of shape \(16, 16\).*learned \(32, 32\)"):
        crossed.match(np.zeros((1, 16, 16), dtype=np.float32), pool)
    with pytest.raises(DataError, match=r"pool of shape \(40, 32\)"):
        crossed.match(pool.pixels, make_images(shape=(40, 32)))
    with pytest.raises(DataError, match="too few"):
        fit(make_images(patients=7))  # each fold leaves fewer than four to learn from
