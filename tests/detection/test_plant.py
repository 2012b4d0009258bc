from __future__ import annotations

import numpy as np
import pytest
import torch
from memobench.base.seeds import generator_for
from memobench.detection.plant import GROUP, paste, plant
from torch import Tensor

SHAPES = [(32, 32), (24, 40), (16, 16, 16)]


def smooth(count: int, shape: tuple[int, ...], *seed: int) -> Tensor:
    coarse = generator_for(0, "plant", *seed).random((count, 1, *[side // 4 for side in shape]))
    for axis in range(2, coarse.ndim):
        coarse = coarse.repeat(4, axis=axis)
    return torch.from_numpy(coarse.astype(np.float32))


def random(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("count", [1, GROUP, 3 * GROUP + 5])
def test_planted_copies_are_images(shape: tuple[int, ...], count: int) -> None:
    images, others = smooth(count, shape), smooth(count, shape, 1)
    before = images.clone(), others.clone()
    made = plant(images, others, random())
    assert made.shape == images.shape
    assert made.dtype == torch.float32
    assert made.isfinite().all()
    assert made.min() >= 0
    assert made.max() <= 1
    assert torch.equal(images, before[0])
    assert torch.equal(others, before[1])
    assert not any(torch.equal(one, image) for one, image in zip(made, images, strict=True))


def test_the_generator_alone_decides() -> None:
    images, others = smooth(20, (32, 32)), smooth(20, (32, 32), 1)
    torch.manual_seed(0)
    one = plant(images, others, random(3))
    torch.manual_seed(1)
    state = torch.get_rng_state()
    assert torch.equal(plant(images, others, random(3)), one)
    assert torch.equal(torch.get_rng_state(), state)
    assert not torch.equal(plant(images, others, random(4)), one)


def test_others_are_mixed_into_some_groups_and_not_into_all() -> None:
    groups = 24
    images = smooth(groups * GROUP, (32, 32))
    one, two = (plant(images, smooth(groups * GROUP, (32, 32), k), random()) for k in (1, 2))
    mixed = [not torch.equal(a, b) for a, b in zip(one.split(GROUP), two.split(GROUP), strict=True)]
    # two of six kinds use them, and a group gets one to three kinds: 61% in expectation
    assert 0.35 < np.mean(mixed) < 0.85


def test_copies_keep_to_their_source() -> None:
    images, others = smooth(64, (32, 32)), smooth(64, (32, 32), 1)
    made = plant(images, others, random()).flatten(1)
    of_source = [np.corrcoef(a, b)[0, 1] for a, b in zip(made, images.flatten(1), strict=True)]
    of_others = [np.corrcoef(a, b)[0, 1] for a, b in zip(made, others.flatten(1), strict=True)]
    assert np.median(of_source) > 0.5
    assert np.median(of_others) < 0.4


@pytest.mark.parametrize("shape", SHAPES)
def test_a_pasted_part_is_a_box_of_the_other(shape: tuple[int, ...]) -> None:
    images, others = torch.zeros(200, 1, *shape), torch.ones(200, 1, *shape)
    made = paste(images, others, random())
    assert set(made.unique().tolist()) == {0.0, 1.0}
    sides = np.empty((200, len(shape)))
    for row, image in enumerate(made[:, 0]):
        for axis in range(len(shape)):
            across = tuple(k for k in range(len(shape)) if k != axis)
            kept = image.amax(dim=across).nonzero()[:, 0]
            sides[row, axis] = len(kept)
            assert len(kept) == kept[-1] - kept[0] + 1  # nothing in between is left out
        assert image.sum() == np.prod(sides[row])
    for axis, side in enumerate(shape):
        assert sides[:, axis].min() >= side // 6
        assert sides[:, axis].max() <= side // 2 + 1
        assert sides[:, axis].mean() == pytest.approx(side / 3, rel=0.1)
