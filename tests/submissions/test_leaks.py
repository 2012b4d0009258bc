"""The leak test on scores whose truth is known: nobody, one patient's images over and over, a few, everybody."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from memobench.detection.contract import Matches
from memobench.images import Images
from memobench.submissions.leaks import Found, judged, leak_test
from memobench.submissions.records import Leak, LeakPool
from memobench.task import Splits

SIZES: dict[LeakPool, int] = {"test": 256, "fresh": 256, "dev": 384}
COUNT, KNOWN, N = 896, 296, 256


def _pools() -> dict[LeakPool, Images]:
    return {
        name: Images(
            np.zeros((size, 1, 1), np.float32),
            np.array([f"{name}{number:04d}" for number in range(size)]),
            np.array(["1"] * size),
        )
        for name, size in SIZES.items()
    }


def _draw(rng: np.random.Generator) -> Found:
    """Samples of new patients: the best of a pool is the larger, the larger the pool (Gumbel), as for real images."""
    score = rng.gumbel(np.log(COUNT / (COUNT + KNOWN)), size=N).astype(np.float32)
    rival = rng.gumbel(np.log(KNOWN / (COUNT + KNOWN)), size=N).astype(np.float32)
    null = rng.gumbel(size=KNOWN).astype(np.float32)
    return Found(score, rng.integers(COUNT, size=N), rival, null)


def _copies(found: Found, owners: np.ndarray) -> Found:
    score, owner = found.score.copy(), found.owner.copy()
    score[: len(owners)], owner[: len(owners)] = 15.0, owners
    return Found(score, owner, found.rival, found.null)


def _leaking(rows: list[Leak]) -> set[str]:
    return {row.pool for row in rows if row.found}


def test_samples_of_new_patients_are_no_leak() -> None:
    rng, pools = np.random.default_rng(0), _pools()
    wrong = sum(bool(_leaking(judged(_draw(rng), pools, KNOWN))) for _ in range(400))
    assert wrong <= 4


@pytest.mark.parametrize(("pool", "first"), [("test", 0), ("fresh", 256), ("dev", 512)])
@pytest.mark.parametrize("count", [5, 200])
def test_images_of_other_patients_are_a_leak_of_their_pool(pool: str, first: int, count: int) -> None:
    rng, pools = np.random.default_rng(1), _pools()
    for _ in range(20):
        rows = judged(_copies(_draw(rng), first + np.arange(count)), pools, KNOWN)
        assert _leaking(rows) == {pool}
        (row,) = [row for row in rows if row.pool == pool]
        assert 0.9 * count <= row.patients <= count + 3


def test_images_that_match_everybody_are_no_leak() -> None:
    """Blurred samples score as high against train and holdout as against anybody: what they share is taken off."""
    rng, pools = np.random.default_rng(2), _pools()
    wrong = 0
    for _ in range(100):
        found = _draw(rng)
        shared = rng.normal(8, 2, size=N).astype(np.float32)
        blurred = Found(found.score + shared, found.owner, found.rival + shared, found.null)
        wrong += bool(_leaking(judged(blurred, pools, KNOWN)))
    assert wrong <= 5


def test_copies_of_train_are_no_leak_of_others() -> None:
    found = _draw(np.random.default_rng(3))
    assert not _leaking(judged(Found(found.score, found.owner, found.rival + 15, found.null), _pools(), KNOWN))


def test_one_image_over_and_over_counts_once() -> None:
    rows = judged(_copies(_draw(np.random.default_rng(4)), np.zeros(200, dtype=int)), _pools(), KNOWN)
    assert rows[0].matched >= 200
    assert rows[0].patients <= 3


def test_samples_that_match_nobody_of_a_side_are_counted_where_they_match() -> None:
    found = _copies(_draw(np.random.default_rng(5)), np.arange(20))
    rival = found.rival.copy()
    rival[:20] = -np.inf
    score = found.score.copy()
    score[20:40] = -np.inf
    assert _leaking(judged(Found(score, found.owner, rival, found.null), _pools(), KNOWN)) == {"test"}


class _Pixels:
    """A detector that compares pixels, asked as the task's own is."""

    def matching_pool(self, images: Images) -> Any:
        return SimpleNamespace(images=images)

    def match(
        self,
        queries: np.ndarray,
        pool: Any,
        *,
        query_patients: np.ndarray | None = None,
        second: np.ndarray | None = None,
        track: object = None,
    ) -> Matches:
        real = pool.images.pixels.reshape(len(pool.images), -1)
        far = ((queries.reshape(len(queries), 1, -1) - real) ** 2).mean(axis=2)
        score = -np.log(np.maximum(far, 1e-6)).astype(np.float32)
        if query_patients is not None:
            score[query_patients[:, None] == pool.images.patients] = -np.inf
        sides = [np.ones(len(real), dtype=bool)] if second is None else [~second, second]
        masked = [np.where(side, score, -np.inf) for side in sides]
        return Matches(
            np.stack([one.max(axis=1) for one in masked], axis=1),
            np.stack([one.argmax(axis=1) for one in masked], axis=1),
        )


def _splits() -> Splits:
    rng = np.random.default_rng(0)

    def side(name: str, count: int) -> Images:
        pixels = rng.random((count, 6, 6)).astype(np.float32)
        return Images(pixels, np.array([f"{name}{number:03d}" for number in range(count)]), np.array(["1"] * count))

    return Splits(side("a", 60), side("b", 60), side("c", 50), side("d", 70), side("e", 40), "0" * 64)


@pytest.mark.parametrize("given", ["train", "holdout", "test", "dev", "fresh", "new"])
def test_a_plug_in_that_returns_real_images_is_told_by_the_pool_that_they_are_of(given: str) -> None:
    splits = _splits()
    rng = np.random.default_rng(1)
    new = rng.random((40, 6, 6)).astype(np.float32)
    samples = new if given == "new" else getattr(splits, given).pixels[:40]
    rows = leak_test(samples, splits, _Pixels(), most=1000)  # type: ignore[arg-type]  # asked in the same way
    assert {row.pool: row.images for row in rows} == {"test": 50, "fresh": 40, "dev": 70}
    assert _leaking(rows) == ({given} if given in ("test", "dev", "fresh") else set())


def test_a_few_test_images_among_new_ones_are_a_leak() -> None:
    splits = _splits()
    samples = np.random.default_rng(2).random((40, 6, 6)).astype(np.float32)
    samples[:3] = splits.test.pixels[:3]
    rows = leak_test(samples, splits, _Pixels(), most=1000)  # type: ignore[arg-type]
    assert _leaking(rows) == {"test"}
    assert 3 <= next(row.patients for row in rows if row.pool == "test") <= 5
