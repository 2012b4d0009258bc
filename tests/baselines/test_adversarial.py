"""The adversarial part of a first stage: each player's gradient, the balance between losses, and what it is for."""

from __future__ import annotations

import doctest
import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from memobench.base.errors import MemobenchError
from memobench.baselines import _adversarial
from memobench.baselines._adversarial import PatchGame, adaptive_weight, last_weights, layers
from memobench.baselines._perceptual import Perceptual
from memobench.baselines.flow import Flow
from memobench.baselines.ldm import LDM
from memobench.generator import Context
from memobench.images import Images
from memobench.training.loop import Training, seeded, step_generator, train_loop
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional as F

MakeImages = Callable[..., Images]
SHAPES = [(32, 24), (16, 16, 16)]
TINY: dict[str, Any] = {
    "channels": (8, 8),
    "autoencoder_steps": 3,
    "autoencoder_batch": (4, 4),
    "adversarial_steps": 3,
    "discriminator_channels": 4,
    "unet_channels": (8, 8),
    "steps": 2,
    "batch": (4, 4),
    "sampling_steps": 2,
}


@dataclass
class Weights:
    adversarial: float = 0.5
    features: float = 10.0
    discriminator_channels: int = 4


def game(shape: tuple[int, ...], **weights: float) -> PatchGame:
    return PatchGame(Weights(**weights), shape, torch.device("cpu"), seed=3)  # type: ignore[arg-type]


def pair(shape: tuple[int, ...]) -> tuple[nn.Module, Tensor, Tensor]:
    """An autoencoder of one layer, real images, and what it makes of them."""
    with seeded(1):
        decoder = (nn.Conv2d if len(shape) == 2 else nn.Conv3d)(1, 1, 3, padding=1)
    real = torch.rand(2, 1, *shape, generator=step_generator(0, "real")) * 2 - 1
    return decoder, real, decoder(real)


def test_the_examples_hold() -> None:
    failed, tried = doctest.testmod(_adversarial)
    assert tried > 0
    assert failed == 0


@pytest.mark.parametrize("shape", SHAPES)
def test_each_player_gets_the_gradient_of_its_own_loss(shape: tuple[int, ...]) -> None:
    """As two passes with two optimizers would compute them, written out from the equations."""
    decoder, real, made = pair(shape)
    players = game(shape)
    reconstruction = F.l1_loss(made, real)
    players.loss(made, real, reconstruction, last_weights(decoder)).backward()  # type: ignore[no-untyped-call]
    found = [parameter.grad for parameter in (*decoder.parameters(), *players.net.parameters())]

    own = list(players.net.parameters())
    of_fake, of_real = players.net(made.detach()), players.net(real)
    score = ((of_real[-1] - 1) ** 2).mean() / 2 + (of_fake[-1] ** 2).mean() / 2
    wanted_own = torch.autograd.grad(score, own)

    of_made = players.net(decoder(real))
    matched = torch.stack([(a - b.detach()).abs().mean() for a, b in zip(of_made[:-1], of_real[:-1], strict=True)])
    seen = ((of_made[-1] - 1) ** 2).mean() + 10 * matched.mean()
    mine = list(decoder.parameters())
    by_seen = torch.autograd.grad(seen, mine)
    by_rec = torch.autograd.grad(F.l1_loss(decoder(real), real), mine)
    balance = by_rec[0].norm() / (by_seen[0].norm() + 1e-6)
    wanted = [rec + 0.5 * balance * other for rec, other in zip(by_rec, by_seen, strict=True)]
    for one, other in zip(found, (*wanted, *wanted_own), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-6)


def test_without_weight_the_autoencoder_learns_from_its_own_loss_alone() -> None:
    decoder, real, made = pair((32, 24))
    reconstruction = F.l1_loss(made, real)
    wanted = torch.autograd.grad(reconstruction, list(decoder.parameters()), retain_graph=True)
    players = game((32, 24), adversarial=0.0)
    value = players.loss(made, real, reconstruction, last_weights(decoder))
    value.backward()  # type: ignore[no-untyped-call]
    for one, parameter in zip(wanted, decoder.parameters(), strict=True):
        torch.testing.assert_close(parameter.grad, one)
    assert value > reconstruction  # the discriminator's loss is in the value


@pytest.mark.parametrize("factor", [0.01, 1.0, 100.0])
def test_the_balance_does_not_depend_on_the_scale_of_a_loss(factor: float) -> None:
    weights = torch.ones(5, requires_grad=True)
    one, other = (weights**2).sum(), factor * (3 * weights).sum()
    balance = adaptive_weight(one, other, weights).item()
    norm = torch.autograd.grad(balance * other, weights)[0].norm().item()
    assert norm == pytest.approx(2 * 5**0.5, rel=1e-3)


@pytest.mark.parametrize("side", [6, 8, 12, 16, 24, 48, 64, 128])
@pytest.mark.parametrize("dimensions", [2, 3])
def test_every_size_of_image_has_a_discriminator(side: int, dimensions: int) -> None:
    if dimensions == 3 and side > 24:
        return
    shape = (side,) * dimensions
    scores = game(shape).net(torch.zeros(1, 1, *shape))[-1]
    assert min(scores.shape[2:]) >= 1
    assert layers(side) <= 3


@pytest.mark.parametrize("kind", [LDM, Flow])
def test_the_discriminator_changes_the_first_stage_and_is_not_kept(kind: Any, make_images: MakeImages) -> None:
    images = make_images(patients=4)
    plain, other, same = (
        kind(**{**TINY, "adversarial": weight}).fit(images, context=Context(seed=0)) for weight in (0.0, 0.5, 0.5)
    )
    states = [model.state() for model in (plain, other, same)]
    assert states[0].keys() == states[1].keys()
    assert not any("discriminator" in name for name in states[0])
    assert all(np.array_equal(states[1][name], states[2][name]) for name in states[1])
    assert any(not np.array_equal(states[0][name], states[1][name]) for name in states[0])
    assert [len(losses) for losses in other.history_.values()] == [3, 3, 2]


def test_the_first_steps_are_those_without_a_discriminator(make_images: MakeImages) -> None:
    images = make_images(patients=4)
    alone = LDM(**{**TINY, "adversarial_steps": 0}).fit(images, context=Context(seed=0))
    both = LDM(**TINY).fit(images, context=Context(seed=0))
    assert np.array_equal(alone.history_["autoencoder"], both.history_["autoencoder"])
    assert "adversarial" not in alone.history_


class Grain(nn.Module):
    """Grain that no autoencoder can foresee, of an amplitude that it learns: L1 wants none, the images have it."""

    def __init__(self) -> None:
        super().__init__()
        self.amplitude = nn.Parameter(torch.full((1, 1), 0.5))

    def forward(self, grain: Tensor) -> Tensor:
        made: Tensor = self.amplitude * grain
        return made


@pytest.mark.parametrize("adversarial", [0.0, 2.0])
def test_what_l1_leaves_out_is_put_back(adversarial: float) -> None:
    players, decoder = game((16, 16), adversarial=adversarial), Grain()
    both = nn.ModuleDict({"autoencoder": decoder, "discriminator": players.net})

    def loss(k: int) -> Tensor:
        real, other = torch.randn(2, 8, 1, 16, 16, generator=step_generator(0, "grain", k))
        made = decoder(other)
        return players.loss(made, real, F.l1_loss(made, real), last_weights(decoder))

    train_loop(both, loss, Training(steps=150, learning_rate=0.02, ema=0.9), name="players", context=Context(seed=0))
    amplitude = abs(decoder.amplitude.item())
    assert amplitude > 0.7 if adversarial else amplitude < 0.1


def resnet(folder: Path) -> Path:
    import torchvision

    file = folder / "weights.safetensors"
    with seeded(0):
        save_file(torchvision.models.resnet50(weights=None).state_dict(), file)
    return file


def test_given_weights_of_a_network_its_features_are_compared(tmp_path: Path, make_images: MakeImages) -> None:
    file = resnet(tmp_path)
    seen = Perceptual(str(file), 2, torch.device("cpu"))
    assert seen.digest == hashlib.sha256(file.read_bytes()).hexdigest()
    images = torch.rand(2, 1, 32, 32, generator=step_generator(0, "images")) * 2 - 1
    assert seen(images, images, seed=0) == 0
    assert seen(images, -images, seed=0) > 0
    volumes = torch.rand(1, 1, 16, 16, 16, generator=step_generator(0, "volumes"))
    before = torch.random.get_rng_state()
    in_3d = Perceptual(str(file), 3, torch.device("cpu"))
    values = [in_3d(volumes, -volumes, seed=seed) for seed in (0, 0, 1)]
    assert values[0] == values[1]
    assert values[0] != values[2]  # other slices
    assert torch.equal(before, torch.random.get_rng_state())
    patients = make_images(patients=4)
    plain, other = (
        LDM(**TINY, perceptual_weights=words).fit(patients, context=Context(seed=0)) for words in ("", str(file))
    )
    assert not np.array_equal(plain.history_["autoencoder"], other.history_["autoencoder"])


@pytest.mark.parametrize("content", [None, b"", b"junk", {"weight": torch.zeros(2)}])
def test_weights_that_are_none_are_named_in_one_line(content: Any, tmp_path: Path, make_images: MakeImages) -> None:
    file = tmp_path / "weights.safetensors"
    if isinstance(content, bytes):
        file.write_bytes(content)
    elif content is not None:
        save_file(content, file)
    with pytest.raises(
        MemobenchError, match=r"perceptual_weights .*weights\.safetensors cannot be used .*or none"
    ) as raised:
        LDM(**TINY, perceptual_weights=str(file)).fit(make_images(patients=4), context=Context(seed=0))
    assert "\n" not in str(raised.value)
