"""The first stage of the models of latents: a KL autoencoder, and latents of mean 0 and standard deviation 1.

Rombach et al., High-Resolution Image Synthesis with Latent Diffusion Models, CVPR 2022, section 3.1. It first learns to
reconstruct; then, as published, a discriminator of patches joins (:mod:`_adversarial`), for steps of their own. Under
one seed `ldm` and `flow` have the same autoencoder and minibatches, so that a comparison of the two is one of their
objectives and samplers alone.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Protocol

import numpy as np
import torch
from memobench.base.seeds import derive_seed
from memobench.training.loop import Training, step_generator, train_loop
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from ._adversarial import AdversarialFields, PatchGame, last_weights
from ._device import autocast
from ._fields import autoencoder_levels, check_fields, check_levels
from ._frame import Fit, augmented_views, minibatch, training_of
from ._nets import autoencoder, from_patches, scaled, to_patches
from ._perceptual import Perceptual

LATENT_PRESETS: Mapping[str, Mapping[str, Any]] = {
    "smoke": {
        "channels": (16, 16),
        "autoencoder_steps": 20,
        "autoencoder_batch": (8, 8),
        "unet_channels": (32, 32),
        "steps": 20,
        "batch": (8, 8),
    },
    "quick": {},
    "standard": {
        "patch": (2, 4),
        "channels": (64, 128, 128),
        "autoencoder_blocks": 2,
        "autoencoder_steps": 10_000,
        "autoencoder_batch": (16, 8),
        "autoencoder_rate": 5e-4,
        "adversarial_steps": 10_000,
        "adversarial_rate": 2e-4,
        "discriminator_channels": 64,
        "unet_channels": (128, 256, 256),
        "blocks": 2,
        "steps": 20_000,
        "batch": (64, 32),
        "learning_rate": 3e-4,
        "ema": 0.999,
    },
    "paper": {
        "downsampling": (8, 4),
        "patch": (1, 1),
        "channels": (32, 64, 128, 128),
        "autoencoder_blocks": 2,
        "autoencoder_steps": 50_000,
        "autoencoder_batch": (8, 4),
        "autoencoder_rate": 1e-4,
        "adversarial_steps": 50_000,
        "adversarial_rate": 1e-4,
        "discriminator_channels": 64,
        "kl": 1e-6,
        "unet_channels": (128, 256, 512),
        "blocks": 2,
        "steps": 100_000,
        "learning_rate": 1e-4,
        "ema": 0.9999,
    },
}


class LatentFields(AdversarialFields, Protocol):
    """The fields of a model of latents that its first stage is made and trained by; `ldm` describes them."""

    downsampling: tuple[int, ...]
    patch: tuple[int, ...]
    channels: tuple[int, ...]
    autoencoder_blocks: int
    latent_channels: int
    kl: float
    gradient: float
    autoencoder_steps: int
    autoencoder_batch: tuple[int, ...]
    autoencoder_rate: float
    adversarial_steps: int
    adversarial_rate: float
    perceptual: float
    perceptual_weights: str
    width: str
    augment: str
    accumulate: int
    views: int
    unet_channels: tuple[int, ...]


def check_latent_fields(fields: LatentFields) -> None:
    """Refuse settings that no model of latents can have, and make tuples of the lists that JSON gives.

    Raises:
        ValueError: A count is below 1, a weight below 0, a patch does not divide the downsampling, or too few channels
            are given.
    """
    pairs = ("downsampling", "patch", "autoencoder_batch", "batch")
    check_fields(fields, lists=("channels", "unet_channels"), pairs=pairs, may_be_zero=("adversarial_steps",))
    for name in ("adversarial", "features", "perceptual"):
        if not getattr(fields, name) >= 0:
            raise ValueError(f"{name} is {getattr(fields, name)}; give at least 0")
    check_levels(fields.downsampling, fields.patch, fields.channels)


class FirstStage:
    """A KL autoencoder for images of one shape, with the mean and standard deviation of its latents.

    To train on CPUs it works on patches folded into channels, which spares it the finest levels.

    Args:
        fields: Of the model that it belongs to.
        shape: Of the images.
        device: Where the images of a minibatch are brought.

    Attributes:
        net: MONAI's AutoencoderKL.
        scale: Latents to mean 0 and standard deviation 1, and back.
        multiple: What the sides of padded images are multiples of, so that autoencoder and U-Net can halve them.
        latent_shape: (C, *S / downsampling), of the latent of a padded image.
    """

    def __init__(self, fields: LatentFields, shape: tuple[int, ...], device: torch.device) -> None:
        self.fields, self.device = fields, device
        dimensions = len(shape)
        which = dimensions - 2  # of the values for 2D and for 3D
        downsampling, self.patch = fields.downsampling[which], fields.patch[which]
        self.batch = fields.autoencoder_batch[which]
        self.multiple = downsampling << (len(fields.unet_channels) - 1)
        sides = [-(-side // self.multiple) * self.multiple // downsampling for side in shape]
        self.latent_shape = (fields.latent_channels, *sides)
        channels = scaled(fields.channels[-autoencoder_levels(downsampling, self.patch) :], fields.width)
        self.net = autoencoder(dimensions, channels, fields.latent_channels, fields.autoencoder_blocks, self.patch)
        self.scale = Scale(fields.latent_channels, dimensions)

    def train(self, pixels: Tensor, fit: Fit) -> dict[str, NDArray[np.float32]]:
        """Minimise L1 of pixels and gradients plus a small KL divergence of the latents; then against a discriminator.

        Args:
            pixels: Padded training images (N, 1, *S) in [-1, 1].
            fit: Seeds and checkpoints.

        Returns:
            The loss of each step of both parts, by their names.

        Raises:
            MemobenchError: The perceptual weights cannot be used, or the training fails.
        """
        fields, seed = self.fields, fit.seed("autoencoder")
        perceptual: Perceptual | None = None
        if fields.perceptual and fields.perceptual_weights:
            perceptual = Perceptual(fields.perceptual_weights, pixels.ndim - 2, self.device)
            fit = replace(fit, identity=f"{fit.identity} {perceptual.digest}")
        training = training_of(fields, fields.autoencoder_steps, fields.autoencoder_rate)

        def loss(k: int) -> Tensor:
            return self._reconstruct(pixels, k, seed, perceptual)[0]

        losses = {"autoencoder": self._run("autoencoder", self.net, loss, training, fit)}
        if not fields.adversarial_steps:
            return losses
        sides = tuple(pixels.shape[2:])
        game = PatchGame(fields, sides, self.device, seed=fit.seed("discriminator"))
        last = last_weights(self.net.decoder)  # type: ignore[arg-type]  # torch types attributes as tensors too
        before = fields.autoencoder_steps * fields.accumulate  # minibatches

        def game_loss(k: int) -> Tensor:
            reconstruction, made, real = self._reconstruct(pixels, before + k, seed, perceptual)
            return game.loss(made, real, reconstruction, last)

        training = training_of(fields, fields.adversarial_steps, fields.adversarial_rate)
        training = replace(training, clip=math.inf)  # two players' gradients have no norm in common
        self.net.requires_grad_(True)
        both = nn.ModuleDict({"autoencoder": self.net, "discriminator": game.net})
        return {**losses, "adversarial": self._run("adversarial", both, game_loss, training, fit)}

    def _reconstruct(
        self, pixels: Tensor, k: int, seed: int, perceptual: Perceptual | None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Of minibatch k: what the autoencoder minimises by itself, the reconstructions, and the images."""
        fields, net = self.fields, self.net
        real = minibatch(pixels, self.batch, k, augment=fields.augment, seed=seed).to(self.device)  # x
        with autocast(self.device):
            mean, sd = net.encode(to_patches(real, self.patch))  # type: ignore[operator]  # q(z|x) = N(mean, sd^2)
            noise = torch.randn(mean.shape, generator=step_generator(seed, "latent", k)).to(mean.device)
            made = from_patches(net.decode(mean + sd * noise), self.patch)  # type: ignore[operator]  # D(z), z ~ q
        made, mean, sd = made.float(), mean.float(), sd.float()
        # KL(N(mean, sd^2) || N(0, 1)), Kingma & Welling 2014, appendix B
        divergence = 0.5 * (mean**2 + sd**2 - 2 * sd.log() - 1).mean()
        total: Tensor = reconstruction_error(made, real, fields.gradient) + fields.kl * divergence
        if perceptual is not None:
            total = total + fields.perceptual * perceptual(made, real, seed=derive_seed(seed, "slices", k))
        return total, made, real

    def _run(
        self, name: str, net: nn.Module, loss: Callable[[int], Tensor], training: Training, fit: Fit
    ) -> NDArray[np.float32]:
        return train_loop(
            net,
            loss,
            training,
            name=name,
            context=fit.context,
            identity=fit.identity,
            batch=self.batch,
            compiled=[self.net.encoder, self.net.decoder],  # type: ignore[list-item]  # torch types attributes as tensors too
        )

    def learn_scale(self, pixels: Tensor, *, seed: int) -> Tensor:
        """The latents of the training images (N, 1, *S), or of augmented views of them, scaled; sets the scale."""
        latents = self._means(augmented_views(pixels, self.fields.augment, self.fields.views, seed=seed))
        self.scale.learn(latents)
        scaled_latents: Tensor = self.scale(latents)
        return scaled_latents

    def encode(self, pixels: Tensor) -> Tensor:
        """Padded images (N, 1, *S) to scaled latents (N, C, *S / downsampling), on the device."""
        latents: Tensor = self.scale(self._means(pixels))
        return latents

    def decode(self, latents: Tensor) -> Tensor:
        """Scaled latents to padded images (N, 1, *S) in about [-1, 1]."""
        with autocast(self.device):
            decoded = self.net.decode(self.scale.undo(latents))  # type: ignore[operator]
        return from_patches(decoded.float(), self.patch)

    @torch.no_grad()
    def _means(self, pixels: Tensor) -> Tensor:
        """The means of the latents of images."""
        parts = []
        for part in pixels.split(self.batch):  # type: ignore[no-untyped-call]
            with autocast(self.device):
                mean, _ = self.net.encode(to_patches(part.to(self.device), self.patch))  # type: ignore[operator]
            parts.append(mean.float())
        return torch.cat(parts)


class Scale(nn.Module):
    """Latents to mean 0 and standard deviation 1 in each channel, and back.

    Args:
        channels: Of a latent.
        dimensions: Axes of a latent, 2 or 3.
    """

    mean: Tensor  # (1, C, 1, ...)
    sd: Tensor

    def __init__(self, channels: int, dimensions: int) -> None:
        super().__init__()
        shape = (1, channels, *[1] * dimensions)
        self.register_buffer("mean", torch.zeros(shape))
        self.register_buffer("sd", torch.ones(shape))

    def learn(self, latents: Tensor) -> None:
        """Take mean and standard deviation of latents (N, C, *S)."""
        axes = (0, *range(2, latents.ndim))
        self.mean = latents.mean(dim=axes, keepdim=True)
        self.sd = latents.std(dim=axes, keepdim=True, correction=0) + 1e-6

    def forward(self, latents: Tensor) -> Tensor:
        """(N, C, *S) to the same, scaled."""
        return (latents - self.mean) / self.sd

    def undo(self, latents: Tensor) -> Tensor:
        """The inverse."""
        return latents * self.sd + self.mean


def reconstruction_error(made: Tensor, real: Tensor, gradient: float) -> Tensor:
    """L1 of pixels plus ``gradient`` times that of image gradients; images (N, 1, *S), a scalar."""
    return F.l1_loss(made, real) + gradient * gradient_difference(made, real)


def gradient_difference(made: Tensor, real: Tensor) -> Tensor:
    """Mean absolute difference of the finite differences along each axis (Mathieu et al., ICLR 2016, equation 6).

    Args:
        made: Images (N, 1, *S).
        real: Images of the same shape.

    Returns:
        A scalar: the mean over the axes.

    >>> ramp = torch.arange(4.0).expand(1, 1, 4, 4)
    >>> gradient_difference(ramp, ramp + 5).item(), gradient_difference(ramp, 2 * ramp).item()
    (0.0, 0.5)
    """
    axes = range(2, real.ndim)
    return torch.stack([(made - real).diff(dim=axis).abs().mean() for axis in axes]).mean()
