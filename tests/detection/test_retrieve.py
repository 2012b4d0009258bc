from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch
from memobench.challenge.perturb import perturb, perturbations_for
from memobench.detection import retrieve
from memobench.detection.register import SearchGrid, band, grid_sample, masked_correlation, places, refine, seen_through
from memobench.detection.retrieve import MOVED, UNMOVED, Candidates, Prepared
from memobench.images import Images
from scipy.ndimage import gaussian_filter
from torch import Tensor

SHAPES = {2: (32, 32), 3: (16, 16, 16)}


def textured(count: int, shape: tuple[int, ...], seed: int = 0) -> np.ndarray:
    """Smooth random images in [0, 1], (N, *S)."""
    noise = np.random.default_rng(seed).normal(size=(count, *shape))
    made = []
    for image in noise:
        coarse, fine = gaussian_filter(image, 0.12 * max(shape)), gaussian_filter(image, 0.05 * max(shape))
        total = coarse / coarse.std() + fine / fine.std()
        made.append((total - total.min()) / (total.max() - total.min()))
    return np.array(made, dtype=np.float32)


def tensor(pixels: np.ndarray) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(pixels))[:, None]


def candidates(queries: Tensor, real: Tensor, **options: Any) -> Candidates:
    return retrieve.candidates(Prepared(queries), Prepared(real), **options)


def narrow(queries: Tensor, real: Tensor, found: Candidates, keep: int) -> Candidates:
    return retrieve.narrow(Prepared(queries), Prepared(real), found, keep)


def register(queries: Tensor, real: Tensor, found: Candidates) -> Iterator[tuple[slice, Tensor, Tensor, Tensor]]:
    return retrieve.register(Prepared(queries), Prepared(real), found)


def pairs(found: Candidates) -> set[tuple[int, int]]:
    return set(zip(found.rows.tolist(), found.columns.tolist(), strict=True))


CASES = [(dim, name) for dim in (2, 3) for name in perturbations_for(dim)]


@pytest.mark.parametrize(("dim", "name"), CASES)
def test_the_source_is_among_the_candidates(dim: int, name: str) -> None:
    count, pool = (24, 60) if dim == 2 else (6, 20)
    real = textured(pool, SHAPES[dim])
    queries = perturb(real[:count], name, "medium", seed=1, others=textured(count, SHAPES[dim], seed=1))
    found = pairs(candidates(tensor(queries), tensor(real)))
    assert np.mean([(row, row) in found for row in range(count)]) >= 0.95


@pytest.mark.parametrize("dim", [2, 3])
def test_each_query_has_as_many_candidates_as_documented(dim: int) -> None:
    queries, real = tensor(textured(4, SHAPES[dim])), tensor(textured(15, SHAPES[dim], seed=1))
    for least, moved in ((1, MOVED[dim]), (9, 9), (40, 15)):
        found = candidates(queries, real, least=least)
        assert torch.bincount(found.rows).tolist() == [moved + 2 * UNMOVED[dim]] * 4
        assert found.poses.shape == (4 * (moved + 2 * UNMOVED[dim]), dim, dim + 1)
        assert found.poses.isfinite().all()
        per_row = [[c for r, c in pairs(found) if r == row] for row in range(4)]
        assert all(moved <= len(columns) <= moved + UNMOVED[dim] for columns in per_row)
    few = candidates(queries, real[:1])
    assert (
        torch.bincount(few.rows).tolist() == [3] * 4
    )  # one from the coarse grid, and one from the finer one in two poses


@pytest.mark.parametrize("dim", [2, 3])
def test_narrowing_keeps_those_that_agree_best_at_half_resolution(dim: int) -> None:
    real = textured(8, SHAPES[dim])
    queries, pool = tensor(perturb(real, "rotation", "medium", seed=0, others=real[::-1])), tensor(real)
    start = torch.eye(dim, dim + 1).expand(64, -1, -1)
    free = torch.zeros(64, dtype=torch.bool)
    every = Candidates(torch.arange(8).repeat_interleave(8), torch.arange(8).repeat(8), start, free)
    found = narrow(queries, pool, every, 3)
    assert torch.bincount(found.rows).tolist() == [3] * 8
    first = found.columns.reshape(8, 3)[:, 0]
    assert (first == torch.arange(8)).float().mean() >= 0.75
    assert narrow(queries, pool, every, 1).columns.tolist() == first.tolist()
    assert len(narrow(queries, pool, every, 99).rows) == 64


def test_candidates_respect_what_is_allowed() -> None:
    real = tensor(textured(12, (32, 32)))
    allowed = torch.ones(12, 12, dtype=torch.bool)
    allowed.fill_diagonal_(fill_value=False)
    allowed[0] = False
    allowed[0, [3, 7]] = True  # fewer than are wanted
    allowed[1] = False  # none at all
    allowed[:, 5] = False
    found = candidates(real, real, allowed=allowed, least=8)
    assert allowed[found.rows, found.columns].all()
    assert {column for row, column in pairs(found) if row == 0} == {3, 7}
    assert 1 not in found.rows
    assert (torch.bincount(found.rows)[2:] == 8 + 2 * UNMOVED[2]).all()


def test_nothing_allowed_gives_no_candidates() -> None:
    images = tensor(textured(3, (32, 32)))
    found = candidates(images, images, allowed=torch.zeros(3, 3, dtype=torch.bool))
    assert len(found.rows) == len(found.columns) == len(found.poses) == 0
    assert list(register(images, images, found)) == []


def test_candidates_do_not_depend_on_the_order_of_the_pool() -> None:
    queries, real = tensor(textured(5, (32, 32))), tensor(textured(20, (32, 32), seed=1))
    order = torch.from_numpy(np.random.default_rng(0).permutation(20))
    found, moved = candidates(queries, real), candidates(queries, real[order])
    assert pairs(found) == {(row, int(order[column])) for row, column in pairs(moved)}


def test_images_that_stand_still_start_from_where_they_stand() -> None:
    for dim, shape in SHAPES.items():
        images = tensor(textured(5, shape))
        found = candidates(images, images)
        assert len(SearchGrid.unmoved(dim).degrees) == 1
        own = found.rows == found.columns
        identity = torch.eye(dim, dim + 1).expand(int(own.sum()), -1, -1)
        assert own.sum() == 15  # by the coarse grid, and by the finer one to be registered or not
        assert torch.allclose(found.poses[own], identity, atol=1e-3)  # the first registered at half resolution


@pytest.mark.parametrize("dim", [2, 3])
def test_registration_lays_the_source_over_the_query(dim: int) -> None:
    real = textured(8, SHAPES[dim])
    queries = perturb(real, "rotation", "medium", seed=0, others=real[::-1])
    found = candidates(tensor(queries), tensor(real))
    before, after = np.full((2, len(found.rows)), np.nan)
    seen = []
    for part, query, image, pose in register(tensor(queries), tensor(real), found):
        seen += range(len(found.rows))[part]
        assert torch.equal(query, tensor(queries)[found.rows[part]])
        assert torch.equal(image, tensor(real)[found.columns[part]])
        for poses, into in ((found.poses[part], before), (pose, after)):
            values, inside = grid_sample(image, seen_through(poses, places(SHAPES[dim])))
            into[part] = masked_correlation(query.flatten(1), values[:, 0], inside.float())
    assert seen == list(range(len(found.rows)))  # each pair once, in order
    own = (found.rows == found.columns).numpy()
    best = [after[own & (found.rows == row).numpy()].max() for row in range(8)]
    assert np.median(best) > 0.97
    assert np.median(after[own]) > np.median(before[own])


def test_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    queries, real = tensor(textured(4, (32, 32))), tensor(textured(7, (32, 32), seed=1))
    found = candidates(queries, real)
    whole = torch.cat([pose for *_, pose in register(queries, real, found)])
    monkeypatch.setattr("memobench.detection.retrieve.PIXELS", 1)
    parts = [pose for *_, pose in register(queries, real, found)]
    assert len(parts) == -(-len(found.rows) // 8)
    assert torch.allclose(torch.cat(parts), whole, atol=1e-3)


def test_registration_refines_at_full_resolution() -> None:
    real = tensor(textured(3, (32, 32)))
    found = candidates(real, real, least=3)
    full = band(real, 32 / 64, 32 / 8)
    for part, *_, pose in register(real, real, found):
        _, reached = refine(full[found.rows[part]], full[found.columns[part]], pose, steps=0)
        _, began = refine(full[found.rows[part]], full[found.columns[part]], found.poses[part], steps=0)
        same = found.rows[part] == found.columns[part]
        assert (reached[same] > 0.999).all()
        assert reached.median() > began.median()


@pytest.mark.parametrize("dim", [2, 3])
def test_what_stands_still_is_judged_where_it_was_found_too(dim: int) -> None:
    real = textured(12, SHAPES[dim])
    queries = tensor(perturb(real, "blend", "medium", seed=0, others=real[::-1].copy()))
    found = candidates(queries, tensor(real))
    assert torch.bincount(found.rows[found.settled]).tolist() == [UNMOVED[dim]] * 12
    for part, *_, pose in register(queries, tensor(real), found):
        settled = found.settled[part]
        assert torch.equal(pose[settled], found.poses[part][settled])
        assert not torch.equal(pose[~settled], found.poses[part][~settled])


def test_blocks_of_queries_change_no_candidates(monkeypatch: pytest.MonkeyPatch) -> None:
    queries, real = tensor(textured(7, (32, 32))), tensor(textured(9, (32, 32), seed=1))
    whole = candidates(queries, real)
    monkeypatch.setattr("memobench.detection.retrieve.PAIRS", 20)
    parts = candidates(queries, real)
    assert torch.equal(parts.rows, whole.rows)
    assert torch.equal(parts.columns, whole.columns)
    assert torch.allclose(parts.poses, whole.poses, atol=1e-5)


def test_the_finer_grid_searches_beyond_what_is_near() -> None:
    real = textured(12, (32, 32))
    images, near = tensor(real), torch.zeros(12, 1, dtype=torch.int64)
    found = candidates(images, images, near=near)
    own = found.rows == found.columns
    assert set(found.rows[own].tolist()) == set(range(12))
    assert (found.columns[:12] == 0).all()


def test_blank_images_are_finite(make_images: Callable[..., Images]) -> None:
    blank = torch.cat([torch.full((2, 1, 32, 32), 0.5), tensor(make_images(3).pixels)])
    found = candidates(blank, blank)
    for *_, pose in register(blank, blank, found):
        assert pose.isfinite().all()
    assert pairs(found) >= {(row, row) for row in (2, 3, 4)}
