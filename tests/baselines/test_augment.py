from __future__ import annotations

import pytest
import torch
from memobench.baselines._augment import AUGMENTATIONS, augmented, check_switches
from memobench.training.loop import step_generator

SHAPES = [(32, 24), (8, 16, 16)]


def ramps(count: int, shape: tuple[int, ...]) -> torch.Tensor:
    """Images that rise along the last axis, in [-1, 1]."""
    return torch.linspace(-1, 1, shape[-1]).expand(count, 1, *shape).clone()


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_images_stay_images_and_the_seed_decides(name: str, shape: tuple[int, ...]) -> None:
    images = torch.rand(6, 1, *shape) * 2 - 1
    before = images.clone()
    one, two, other = (augmented(images, name, step_generator(seed, "a")) for seed in (0, 0, 1))
    assert torch.equal(images, before)
    assert torch.equal(one, two)
    assert one.shape == images.shape
    assert one.min() >= -1
    assert one.max() <= 1
    assert torch.equal(one, other) == (name == "none")


@pytest.mark.parametrize("shape", SHAPES)
def test_the_study_flips_half_and_turns_by_five_degrees_at_most(shape: tuple[int, ...]) -> None:
    seen = augmented(ramps(200, shape), "study", step_generator(0, "a"))
    falls = seen.flatten(1)[:, 0] > seen.flatten(1)[:, shape[-1] - 1]
    assert 0.4 < falls.float().mean() < 0.6
    upright = torch.where(falls.reshape(-1, *[1] * (seen.ndim - 1)), seen.flip(-1), seen)
    slope = upright.diff(dim=-2).abs().amax() / upright.diff(dim=-1).abs().amax()
    assert slope < 0.13  # the tangent of five degrees is 0.087; in grey levels per pixel of a ramp


def test_a_flip_is_left_to_right_alone() -> None:
    images = torch.linspace(-1, 1, 32)[:, None].expand(50, 1, 32, 32)
    seen = augmented(images, "study", step_generator(0, "a"))
    assert (seen[:, 0, 0].mean(dim=1) < seen[:, 0, -1].mean(dim=1)).all()


def test_a_turn_is_a_turn_where_images_are_not_square(monkeypatch: pytest.MonkeyPatch) -> None:
    from memobench.baselines import _augment

    monkeypatch.setitem(_augment.AUGMENTATIONS, "turn", _augment.Augmentation(degrees=30.0))
    at = torch.stack(torch.meshgrid(torch.arange(48.0) - 23.5, torch.arange(24.0) - 11.5, indexing="ij"))
    disc = (at.square().sum(dim=0) < 64).float()[None, None] * 2 - 1
    turned = augmented(disc.expand(8, -1, -1, -1), "turn", step_generator(0, "a"))
    assert (turned - disc).abs().mean() < 0.03  # a disc stays a disc


def test_unknown_names_are_refused() -> None:
    check_switches("base", "none")
    with pytest.raises(ValueError, match=r'width is "hug"'):
        check_switches("hug", "none")
    with pytest.raises(ValueError, match=r'augment is "study1".*study'):
        check_switches("base", "study1")
