"""A generative adversarial network: the regularized relativistic GAN.

Huang et al., The GAN is dead; long live the GAN! A Modern GAN Baseline (R3GAN), NeurIPS 2024. Two networks play: the
generator G turns noise into images, the discriminator D scores images, and each pair of a real and a generated image
is compared (relativistic pairing, Jolicoeur-Martineau, ICLR 2019). With f(t) = log(1 + exp(t)):

    D minimizes  E f(D(G(z)) - D(x)) + gamma / 2 (E |grad D(x)|^2 + E |grad D(G(z))|^2)      (R1 and R2)
    G minimizes  E f(D(x) - D(G(z)))

The pairing leaves no minimum at which the generator has dropped a part of the data, and the two zero-centred gradient
penalties (Mescheder et al., ICML 2018; Roth et al., NeurIPS 2017) make the game converge near its solution. The
networks are residual and without normalization; weights are averaged. On a few hundred images the discriminator also
needs differentiable augmentation (Zhao et al., NeurIPS 2020).

Good at: sharp images, and samples in a single pass. Bad at: variety where patients are few (samples are similar), and
it gives no likelihood.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from memobench.generator import GENERATORS
from memobench.training.loop import Training, step_generator, train_loop
from monai.networks.layers.factories import Conv
from torch import Tensor, nn
from torch.nn import functional as F

from ._diff_augment import diff_augmented
from ._fields import check_fields
from ._frame import Fit, Losses, TrainedGenerator, minibatch
from ._nets import from_patches, scaled, to_patches

SLOPE = 0.2  # of the leaky rectifiers


@GENERATORS.register("gan")
@dataclass
class GAN(TrainedGenerator):
    """The regularized relativistic GAN in two or three dimensions, by the shape of the images.

    To train on CPUs the networks work on patches folded into channels. It has no likelihood; the loss of an image is
    how unreal the discriminator finds it, -D(x).

    Attributes:
        patch: Side of the folded patches, a power of two, 1 folds nothing; in 2D and in 3D.
        channels: Feature channels of both networks, finest level first; each level after the first halves the sides.
        levels: How many levels of ``channels``, the coarsest, are used at most; in 2D and in 3D.
        blocks: Residual blocks per level.
        noise: Length of the noise vector z.
        gamma: Weight of both gradient penalties at the first step, for images of 64 x 64 pixels; it grows in
            proportion to the pixels (the paper's grows even faster: 2 at 64 x 64, 150 at 256 x 256).
        gamma_last: Their weight at the last step; between the two it falls along half a cosine.
        diff_augment: Whether both networks see images through differentiable augmentation (:mod:`_diff_augment`).
        width: "small", "base" or "large": half, once or twice the channels of both networks.
        augment: "none", "study" or "strong": what is done to training images (:mod:`_augment`).
        steps: Optimizer steps, each of both networks at once.
        batch: Pairs of a real and a generated image per minibatch; in 2D and in 3D.
        learning_rate: Highest learning rate of both networks (Adam without momentum, as in the paper).
        beta2: Decay of Adam's second moment.
        warm_up: Share of the steps over which the learning rate rises.
        ema: Decay of the averaged weights.
        accumulate: Minibatches per optimizer step.
    """

    patch: tuple[int, ...] = (2, 4)
    channels: tuple[int, ...] = (32, 48, 96, 128)
    levels: tuple[int, ...] = (4, 3)
    blocks: int = 1
    noise: int = 64
    gamma: float = 0.5
    gamma_last: float = 0.05
    diff_augment: bool = True
    width: str = "base"
    augment: str = "none"
    steps: int = 2000
    batch: tuple[int, ...] = (8, 6)
    learning_rate: float = 1e-3
    beta2: float = 0.99
    warm_up: float = 0.02
    ema: float = 0.995
    accumulate: int = 1

    NAME: ClassVar[str] = "gan"
    PRESETS: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "smoke": {"channels": (16, 16), "patch": (4, 4), "steps": 20, "batch": (4, 4), "noise": 16},
        "quick": {},
        "standard": {
            "patch": (2, 2),
            "channels": (64, 128, 256, 256),
            "levels": (4, 4),
            "blocks": 2,
            "gamma": 2.0,
            "gamma_last": 0.2,
            "steps": 40_000,
            "batch": (32, 16),
            "learning_rate": 3e-4,
            "ema": 0.999,
        },
        # The paper's 64 x 64 faces: its blocks, gamma, noise and rate, half its widths, convolutions without groups.
        "paper": {
            "patch": (1, 1),
            "channels": (192, 384, 384, 384, 384),
            "levels": (5, 4),
            "blocks": 2,
            "gamma": 2.0,
            "gamma_last": 0.2,
            "steps": 200_000,
            "batch": (64, 16),
            "learning_rate": 2e-4,
            "ema": 0.9995,
        },
    }

    def __post_init__(self) -> None:
        """Refuse settings that no network can have.

        Raises:
            ValueError: A count is below 1, a weight is negative, or a patch is no power of two.
        """
        check_fields(self, lists=("channels",), pairs=("patch", "levels", "batch"))
        for name in ("gamma", "gamma_last"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} is {getattr(self, name)}; give at least 0")
        for side in self.patch:
            if side & (side - 1):
                raise ValueError(f"patch {side} is no power of two")

    def _make(self, dimensions: int) -> Mapping[str, nn.Module]:
        self.patch_, self.batch_ = self._value(self.patch), self._value(self.batch)
        channels = self._channels()
        base = [-(-side // self._multiple()) for side in self.shape_]  # sides of the coarsest grid
        self.generator_ = Synthesis(self.noise, base, channels, self.blocks, self.patch_)
        self.discriminator_ = Discriminator(base, channels, self.blocks, self.patch_)
        return {"generator": self.generator_, "discriminator": self.discriminator_}

    def _multiple(self) -> int:
        return self.patch_ << (len(self._channels()) - 1)

    def _channels(self) -> tuple[int, ...]:
        """Feature channels of the levels in use, finest first."""
        return scaled(self.channels[-self._value(self.levels) :], self.width)

    def _learn(self, pixels: Tensor, fit: Fit) -> Losses:
        """Train both networks against each other."""
        seed = fit.seed("adversarial")

        def loss(k: int) -> Tensor:
            real = minibatch(pixels, self.batch_, k, augment=self.augment, seed=seed).to(self.device_)
            noise = torch.randn(self.batch_, self.noise, generator=step_generator(seed, "noise", k)).to(self.device_)
            return self._game(real, noise, self._penalty(k), step_generator(seed, "diff augment", k))

        training = Training(
            steps=self.steps,
            learning_rate=self.learning_rate,
            betas=(0.0, self.beta2),
            warm_up=self.warm_up,
            clip=math.inf,
            ema=self.ema,
            accumulate=self.accumulate,
        )
        losses = train_loop(
            nn.ModuleDict(self.networks_),
            loss,
            training,
            name="networks",
            context=fit.context,
            identity=fit.identity,
            batch=self.batch_,
        )
        return {"networks": losses}

    def _game(self, real: Tensor, noise: Tensor, gamma: float, random: torch.Generator) -> Tensor:
        """One scalar whose gradient is that of D's loss for D's weights and that of G's loss for G's weights.

        Both players move at once, as in the analysis of the penalties' convergence. Then G's gradient costs nothing
        more: with a = D(G(z)) - D(x), that of f(-a) by G(z) is -sigmoid(-a) grad D(G(z)), and R2 knows grad D(G(z)).

        Args:
            real: (B, 1, *S) in [-1, 1].
            noise: (B, Z).
            gamma: Weight of the penalties.
            random: Draws the differentiable augmentation.

        Returns:
            A scalar, in value D's loss.
        """
        made = self.generator_(noise)  # G(z), (B, 1, *S)
        real, fake = real.detach().requires_grad_(), made.detach().requires_grad_()
        both = torch.cat([real, fake])
        seen = diff_augmented(both, random) if self.diff_augment else both
        scores = self.discriminator_(seen)  # (2 B,)
        to_real, to_fake = torch.autograd.grad(scores.sum(), (real, fake), create_graph=True)
        penalties = to_real.square().flatten(1).sum(dim=1) + to_fake.square().flatten(1).sum(dim=1)  # R1 + R2, (B,)
        advantage = scores[len(real) :] - scores[: len(real)]  # a = D(G(z)) - D(x), (B,)
        game = F.softplus(advantage).mean() + gamma / 2 * penalties.mean()  # D's loss; f = softplus
        pull = -torch.sigmoid(-advantage.detach()) / len(real)  # derivative of the mean of f(-a) by D(G(z)), (B,)
        gradient = pull.reshape(-1, *[1] * (made.ndim - 1)) * to_fake.detach()
        total: Tensor = game + (gradient * (made - made.detach())).sum()  # adds 0, with the gradient of G's loss by G
        return total

    def _penalty(self, minibatch: int) -> float:
        """Weight of the gradient penalties at a minibatch: half a cosine from ``gamma`` to ``gamma_last``, to size."""
        share = minibatch / (self.steps * self.accumulate)
        weight = self.gamma_last + (self.gamma - self.gamma_last) * 0.5 * (1 + math.cos(math.pi * share))
        return weight * math.prod(self.shape_) / 4096

    def _noise(self, random: torch.Generator) -> Tensor:
        return torch.randn(self.noise, generator=random)

    def _draw(self, noise: Tensor) -> Tensor:
        images: Tensor = self.generator_(noise)
        return images

    def _samples_at_once(self) -> int:
        return self.batch_

    def _losses(self, pixels: Tensor, seed: int) -> Tensor:
        """How unreal the discriminator finds each image: -D(x).

        Not a likelihood, which a GAN does not have, but what a membership attack on one uses (Hayes et al., LOGAN,
        PoPETs 2019). Deterministic, so ``seed`` is not used; only differences of it mean anything.
        """
        parts = pixels.split(self.batch_)  # type: ignore[no-untyped-call]
        return -torch.cat([self.discriminator_(part.to(self.device_)) for part in parts])


class Residual(nn.Module):
    """A residual block without normalization: x + W3 s(W2 s(W1 x)), of kernels 1, 3, 1 (R3GAN, section 3.3).

    W3 starts at zero and the others smaller by depth^(-1/4), so that depth does not blow up what passes (Fixup, Zhang
    et al., ICLR 2019).
    """

    def __init__(self, dimensions: int, channels: int, depth: int) -> None:
        super().__init__()
        scale = depth**-0.25
        self.first = convolution(dimensions, channels, channels, 1, scale)
        self.second = convolution(dimensions, channels, channels, 3, scale)
        self.third = convolution(dimensions, channels, channels, 1, 0.0)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, *S) to the same shape."""
        inner = F.leaky_relu(self.first(x), SLOPE)
        inner = F.leaky_relu(self.second(inner), SLOPE)
        outer: Tensor = x + self.third(inner)
        return outer


class Synthesis(nn.Module):
    """The generator: noise weighs a learned basis on the coarsest grid, which is refined level by level."""

    def __init__(self, noise: int, base: Sequence[int], channels: Sequence[int], blocks: int, patch: int) -> None:
        super().__init__()
        dimensions, depth = len(base), blocks * len(channels)
        self.patch, self.smooth = patch, "bilinear" if dimensions == 2 else "trilinear"
        self.basis = nn.Parameter(torch.randn(channels[-1], *base))
        self.weigh = nn.Linear(noise, channels[-1])
        nn.init.normal_(self.weigh.weight, std=noise**-0.5)
        coarse_first = list(reversed(channels))
        self.widen = nn.ModuleList(
            convolution(dimensions, before, after, 1) for before, after in itertools.pairwise(coarse_first)
        )
        self.levels = nn.ModuleList(
            nn.Sequential(*[Residual(dimensions, count, depth) for _ in range(blocks)]) for count in coarse_first
        )
        self.last = convolution(dimensions, channels[0], patch**dimensions, 3)  # 3 joins the patches

    def forward(self, noise: Tensor) -> Tensor:
        """Noise (B, Z) to images (B, 1, *S)."""
        weight = self.weigh(noise).reshape(len(noise), -1, *[1] * (self.basis.ndim - 1))
        x = self.levels[0](self.basis * weight)  # (B, C, *base)
        for widen, level in zip(self.widen, self.levels[1:], strict=True):
            x = level(F.interpolate(widen(x), scale_factor=2, mode=self.smooth))
        return from_patches(self.last(x), self.patch)


class Discriminator(nn.Module):
    """The generator's mirror image: levels from fine to coarse, then one linear score."""

    def __init__(self, base: Sequence[int], channels: Sequence[int], blocks: int, patch: int) -> None:
        super().__init__()
        dimensions, depth = len(base), blocks * len(channels)
        self.patch, self.pool = patch, F.avg_pool2d if dimensions == 2 else F.avg_pool3d
        self.first = convolution(dimensions, patch**dimensions, channels[0], 3)
        self.levels = nn.ModuleList(
            nn.Sequential(*[Residual(dimensions, count, depth) for _ in range(blocks)]) for count in channels
        )
        self.widen = nn.ModuleList(
            convolution(dimensions, before, after, 1) for before, after in itertools.pairwise(channels)
        )
        self.score = nn.Linear(channels[-1] * math.prod(base), 1)
        nn.init.normal_(self.score.weight, std=self.score.in_features**-0.5)

    def forward(self, images: Tensor) -> Tensor:
        """Images (B, 1, *S) to scores (B,)."""
        x = self.levels[0](self.first(to_patches(images, self.patch)))
        for widen, level in zip(self.widen, self.levels[1:], strict=True):
            x = level(widen(self.pool(x, 2)))
        scores: Tensor = self.score(x.flatten(1))[:, 0]
        return scores


def convolution(dimensions: int, before: int, after: int, kernel: int, scale: float = 1.0) -> nn.Module:
    """A convolution that keeps the sides, begun with weights of variance scale^2 / fan-in and biases of zero.

    >>> convolution(3, 2, 5, 3).weight.shape
    torch.Size([5, 2, 3, 3, 3])
    """
    made: nn.Module = Conv[Conv.CONV, dimensions](before, after, kernel, padding=kernel // 2)
    with torch.no_grad():
        made.weight.normal_(0, scale * (before * kernel**dimensions) ** -0.5)  # type: ignore[operator]
        made.bias.zero_()  # type: ignore[operator]
    return made
