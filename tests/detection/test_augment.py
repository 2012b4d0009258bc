from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from memobench.detection.augment import Strength, augment, blur, rotate
from scipy import ndimage

NOTHING = Strength(
    rotation=0, scale=0, shift=0, flip=0, gamma=0, contrast=0, brightness=0, blur=0, noise=0, cut=0
)  # the identity


def random(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def smooth(n: int, *shape: int) -> torch.Tensor:
    noise = np.random.default_rng(0).random((n, *shape))
    image = np.stack([ndimage.gaussian_filter(x, 2) for x in noise])
    image = (image - image.min()) / (image.max() - image.min()) * 0.8 + 0.1
    return torch.from_numpy(image.astype(np.float32))[:, None]


@pytest.mark.parametrize("shape", [(16, 16), (24, 16), (16, 16, 16), (8, 16, 12)])
def test_views_keep_shape_and_range_and_leave_the_input_alone(shape: tuple[int, ...]) -> None:
    images = smooth(6, *shape)
    before = images.clone()
    views = augment(images, random())
    assert views.shape == images.shape
    assert views.dtype == torch.float32
    assert float(views.min()) >= 0
    assert float(views.max()) <= 1
    assert torch.equal(images, before)
    assert (views - images).abs().flatten(1).mean(dim=1).min() > 0.005  # every image is changed


def test_the_generator_is_the_only_source_of_randomness() -> None:
    images = smooth(4, 16, 16)
    state = torch.get_rng_state()
    assert torch.equal(augment(images, random(1)), augment(images, random(1)))
    assert not torch.equal(augment(images, random(1)), augment(images, random(2)))
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("shape", [(16, 16), (8, 16, 12)])
def test_no_strength_is_no_change(shape: tuple[int, ...]) -> None:
    images = smooth(3, *shape)
    assert torch.allclose(augment(images, random(), NOTHING), images, atol=1e-5)


@pytest.mark.parametrize("shape", [(16, 16), (8, 16, 12)])
def test_a_flip_mirrors_the_last_axis(shape: tuple[int, ...]) -> None:
    images = smooth(3, *shape)
    assert torch.allclose(augment(images, random(), replace(NOTHING, flip=1)), images.flip(-1), atol=1e-5)


def test_a_rotation_turns_within_the_plane() -> None:
    images = smooth(1, 33, 33)
    views = augment(images.repeat(200, 1, 1, 1), random(), replace(NOTHING, rotation=20))
    angles = np.arange(-20, 21)
    turned = np.stack([ndimage.rotate(images[0, 0].numpy(), a, reshape=False, order=1, mode="nearest") for a in angles])
    middle = (slice(None), slice(8, 25), slice(8, 25))
    gaps = np.abs(views[:, 0].numpy()[middle][:, None] - turned[middle][None]).mean(axis=(2, 3))  # (200, angles)
    assert gaps.min(axis=1).max() < 0.01  # every view is a rotation
    found = angles[gaps.argmin(axis=1)]
    assert found.min() <= -15
    assert found.max() >= 15


def test_rotate_turns_pixels_of_images_that_are_not_square_too() -> None:
    images = smooth(2, 48, 32)
    wanted = ndimage.rotate(images[:, 0].numpy(), 10, axes=(2, 1), reshape=False, order=1, mode="nearest")
    inner = (slice(None), slice(10, -10), slice(6, -6))
    gaps = [np.abs(rotate(images, angle)[:, 0].numpy() - wanted)[inner].max() for angle in (10, -10)]
    assert min(gaps) < 1e-3
    volumes = images[:, :, None].repeat(1, 1, 5, 1, 1)  # every slice turns alike
    turned = rotate(volumes, 10)
    assert torch.allclose(turned, rotate(images, 10)[:, :, None].expand_as(turned), atol=1e-5)


@pytest.mark.parametrize("shape", [(40, 30), (20, 24, 16)])
def test_blur_is_gaussian_by_each_images_own_width(shape: tuple[int, ...]) -> None:
    images = torch.rand((3, 1, *shape), generator=random())
    sigma = torch.tensor([0.0, 0.7, 1.5])
    blurred = blur(images, sigma)
    assert torch.allclose(blurred[0], images[0], atol=1e-6)
    inner = tuple(slice(7, -7) for _ in shape)
    for index in (1, 2):
        wanted = ndimage.gaussian_filter(images[index, 0].double().numpy(), float(sigma[index]), truncate=6)
        assert np.abs(blurred[index, 0].numpy() - wanted)[inner].max() < 1e-4
    constant = torch.full((2, 1, *shape), 0.3)
    assert torch.allclose(blur(constant, torch.tensor([0.5, 3.0])), constant, atol=1e-5)


def test_noise_cut_and_intensity_do_what_they_say() -> None:
    flat = torch.full((400, 1, 20, 20), 0.5)
    noisy = augment(flat, random(), replace(NOTHING, noise=0.1)).flatten(1).std(dim=1)
    assert 0.05 < float(noisy.max()) <= 0.11
    images = smooth(400, 20, 20)
    changed = (augment(images, random(), replace(NOTHING, cut=1)) - images).abs() > 1e-4
    share = changed.float().flatten(1).mean(dim=1)
    assert 0.02 < float(share.mean()) < 0.17  # a fifth to two fifths of each side, less what falls outside
    bright = augment(flat, random(), replace(NOTHING, brightness=0.1)).flatten(1).mean(dim=1)
    assert 0.4 <= float(bright.min()) < 0.42
    assert 0.58 < float(bright.max()) <= 0.6
