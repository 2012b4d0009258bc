from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from memobench.detection.cells import Grid, best_boxes, best_sums, box_sums, cell_agreement


@pytest.mark.parametrize(
    ("image", "shape", "counts"),
    [
        ((64, 64), (64, 64), (8, 8)),
        ((256, 128), (64, 32), (8, 4)),
        ((50, 64), (50, 64), (7, 8)),
        ((16, 16), (16, 16), (4, 4)),
        ((32, 32, 32), (32, 32, 32), (4, 4, 4)),
        ((10, 96, 96), (4, 32, 32), (1, 4, 4)),
    ],
)
def test_a_grid_covers_images_of_any_shape(
    image: tuple[int, ...], shape: tuple[int, ...], counts: tuple[int, ...]
) -> None:
    grid = Grid.of(image)
    assert (grid.shape, grid.counts) == (shape, counts)
    cells = grid.cut(grid.banded(torch.rand(2, 1, *image)))
    assert cells.shape == (int(np.prod(counts)), 2, grid.cell ** len(image))
    assert float(cells.norm(dim=2).max()) <= 1


def test_a_cell_agrees_with_itself_wherever_it_was_moved_and_with_nothing_that_is_even() -> None:
    grid = Grid.of((32, 32))
    images = 8 * (torch.rand(3, 32, 32) - 0.5)
    moved = torch.roll(images, (1, -1), dims=(1, 2))
    images[:, :4, :4] = 0  # an even cell
    cells, windows = cell_agreement(grid, images, moved)
    assert cells.shape == (64, 3, 3)
    assert windows.shape == (49, 3, 3)
    inner = cells.reshape(8, 8, 3, 3)[2:6, 2:6]
    assert all(float(inner[..., k, k].min()) > 0.9 for k in range(3))
    assert float(inner[..., 0, 1].max()) < 0.9
    assert float(cells[0].abs().max()) < 1e-6
    assert float(windows.reshape(7, 7, 3, 3)[2:5, 2:5, 1, 1].min()) > 0.9


def test_boxes_are_the_best_of_all() -> None:
    values = torch.from_numpy(np.random.default_rng(0).normal(size=(12, 5)).astype(np.float32))
    sums, boxes = best_boxes(values, (3, 4))
    grid = values.reshape(3, 4, 5)
    for k in range(5):
        every = [
            float(grid[y0:y1, x0:x1, k].sum())
            for y0, y1 in itertools.combinations(range(4), 2)
            for x0, x1 in itertools.combinations(range(5), 2)
        ]
        (y0, y1), (x0, x1) = boxes[k].tolist()
        assert float(sums[k]) == pytest.approx(max(every), abs=1e-5)
        assert float(grid[y0:y1, x0:x1, k].sum()) == pytest.approx(max(every), abs=1e-5)
    assert torch.allclose(best_sums(values, (3, 4)), sums)
    assert torch.allclose(box_sums(grid, (3, 4))[0, 0], grid.sum(dim=(0, 1)), atol=1e-5)


def test_cells_with_straight_edges_alone_are_known() -> None:
    grid = Grid.of((32, 32))
    images = torch.rand(2, 32, 32)
    images[0, :, :] = 0
    images[0, 13:] = 1  # a collimator's edge
    straight = grid.straight(images).reshape(8, 8, 2)
    assert straight[3, :, 0].all()
    assert float(straight[..., 1].float().mean()) < 0.1
