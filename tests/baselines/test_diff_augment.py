from __future__ import annotations

import doctest

import pytest
import torch
from memobench.baselines import _diff_augment
from memobench.baselines._diff_augment import diff_augmented
from memobench.training.loop import step_generator

SHAPES = [(32, 24), (8, 16, 16)]


def test_the_examples_hold() -> None:
    failed, tried = doctest.testmod(_diff_augment)
    assert tried > 0
    assert failed == 0


@pytest.mark.parametrize("shape", SHAPES)
def test_the_seed_decides_and_the_input_stays(shape: tuple[int, ...]) -> None:
    images = torch.rand(4, 1, *shape, generator=step_generator(0, "images"))
    before = images.clone()
    one, two, other = (diff_augmented(images, step_generator(seed, "a")) for seed in (0, 0, 1))
    assert torch.equal(images, before)
    assert one.shape == images.shape
    assert torch.equal(one, two)
    assert not torch.equal(one, other)
    assert all(not torch.equal(one[i], one[j]) for i in range(4) for j in range(i))


@pytest.mark.parametrize("shape", SHAPES)
def test_colour_changes_brightness_and_contrast_as_published(shape: tuple[int, ...]) -> None:
    images = torch.rand(300, 1, *shape, generator=step_generator(0, "images"))
    seen = _diff_augment._recoloured(images, step_generator(0, "a"))
    shift = (seen.flatten(1).mean(dim=1) - images.flatten(1).mean(dim=1)).double()
    stretch = (seen.flatten(1).std(dim=1) / images.flatten(1).std(dim=1)).double()
    assert -0.5 <= shift.min() < -0.45
    assert 0.45 < shift.max() <= 0.5
    assert 0.5 - 1e-4 <= stretch.min() < 0.55
    assert 1.45 < stretch.max() <= 1.5 + 1e-4


@pytest.mark.parametrize("shape", SHAPES)
def test_translation_moves_whole_images_by_an_eighth_at_most(shape: tuple[int, ...]) -> None:
    images = torch.zeros(300, 1, *shape)
    centre = [side // 2 for side in shape]
    images[(slice(None), 0, *centre)] = 1.0
    places = _diff_augment._translated(images, step_generator(0, "a"))[:, 0].nonzero()[:, 1:]  # one point each
    assert len(places) == 300
    moves = places - torch.tensor(centre)
    for axis, side in enumerate(shape):
        assert sorted(set(moves[:, axis].tolist())) == list(range(-(side // 8), side // 8 + 1))


@pytest.mark.parametrize("shape", SHAPES)
def test_a_square_of_half_the_side_is_cut_out(shape: tuple[int, ...]) -> None:
    seen = _diff_augment._cut(torch.ones(200, 1, *shape), step_generator(0, "a"))[:, 0]
    assert set(seen.unique().tolist()) == {0.0, 1.0}
    largest = 1
    for axis, side in enumerate(shape, start=1):
        others = tuple(other for other in range(1, seen.ndim) if other != axis)
        lengths = (seen == 0).amax(dim=others).sum(dim=1)
        assert lengths.max() == side // 2
        assert lengths.min() >= side // 4
        largest *= side // 2
    assert (seen == 0).flatten(1).sum(dim=1).max() <= largest


@pytest.mark.parametrize("shape", [(8, 8), (4, 4, 4)])
def test_gradients_are_right_to_the_second_order(shape: tuple[int, ...]) -> None:
    images = torch.rand(2, 1, *shape, dtype=torch.float64, generator=step_generator(0, "images")).requires_grad_()

    def energy(x: torch.Tensor) -> torch.Tensor:
        return diff_augmented(x, step_generator(0, "a")).pow(3).sum()

    assert torch.autograd.gradcheck(energy, images)
    assert torch.autograd.gradgradcheck(energy, images)
