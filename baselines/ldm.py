"""Latent diffusion: a KL autoencoder, and a diffusion model of its latents.

Rombach et al., High-Resolution Image Synthesis with Latent Diffusion Models, CVPR 2022; for medical images in three
dimensions Pinaya et al., Brain Imaging Generation with Latent Diffusion Models, DGM4MICCAI 2022. The networks are
MONAI's; noise schedule, sampler and averaged weights are those of diffusers.

1. Autoencoder (:mod:`_first_stage`): an encoder gives each image x a normal posterior q(z|x) = N(m(x), s(x)^2) over
   latents z, a decoder D gives images back, and both minimise

       |D(z) - x| + gradient |grad D(z) - grad x| + kl KL(q(z|x) || N(0, 1)),    z ~ q(z|x).

   In presets `standard` and `paper` both then go on against a discriminator of patches (:mod:`_adversarial`), as
   published. From then on z is m(x), scaled to mean 0 and standard deviation 1 in each channel.
2. Diffusion: with noise e ~ N(0, 1) and a random time t, a U-Net u sees

       z_t = a_t z + s_t e,    a_t^2 = prod_{i <= t} (1 - b_i),    s_t^2 = 1 - a_t^2,

   where the noise variances b_i are linear in their square roots, and minimises (Salimans & Ho, ICLR 2022, section 4)

       |u(z_t, t) - v_t|^2,    v_t = a_t e - s_t z.

3. Sampling: from z_T ~ N(0, 1) along the probability flow to a latent z (DPM-Solver++, second order; Lu et al., 2022),
   then D(z).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
import torch
from diffusers import DDPMScheduler
from memobench.generator import GENERATORS, Context
from memobench.images import Images
from memobench.training.loop import batch_indices
from numpy.typing import NDArray
from torch import Tensor, nn

from ._device import autocast
from ._diffusion import Denoiser, amplitudes, follow_flow, loss_steps, step_times
from ._first_stage import LATENT_PRESETS, FirstStage, check_latent_fields
from ._frame import Fit, HeldOut, Losses, TrainedGenerator, training_of
from ._nets import scaled, unet


@GENERATORS.register("ldm")
@dataclass
class LDM(TrainedGenerator):
    """Latent diffusion in two or three dimensions, by the shape of the images.

    The published study found it to memorize most (Dar et al., 2025). Sides from 32 to 128 are what the presets are
    meant for. To train on CPUs the autoencoder works on patches folded into channels. A level or an image of a batch
    costs several times more in 3D than in 2D, so some fields hold two values, the first for 2D.

    Attributes:
        downsampling: Side of an image divided by side of its latent, a power of two; in 2D and in 3D.
        patch: Side of the folded patches, a power of two up to ``downsampling``, 1 folds nothing; in 2D and in 3D.
        channels: Autoencoder's feature channels, finest level first. Of these the coarsest are used: one more than
            the times a patch grid must be halved to reach the latent.
        autoencoder_blocks: Residual blocks per level of the autoencoder.
        latent_channels: Channels of a latent.
        kl: Weight of the latents' Kullback-Leibler divergence from a standard normal, per latent value.
        gradient: Weight of the L1 difference of image gradients beside that of the pixels (Mathieu et al., ICLR 2016).
        autoencoder_steps: Optimizer steps of the autoencoder.
        autoencoder_batch: Images per minibatch of the autoencoder; in 2D and in 3D.
        autoencoder_rate: Highest learning rate of the autoencoder.
        adversarial_steps: Optimizer steps of the autoencoder after those, against a discriminator of patches
            (:mod:`_adversarial`); 0: none.
        adversarial_rate: Highest learning rate of both in them.
        adversarial: Weight of what the discriminator sees, in gradients of the reconstruction's size.
        features: Weight of the discriminator's features beside its score.
        discriminator_channels: Channels of the discriminator's first layer; the next have twice as many each.
        perceptual: Weight of the perceptual loss where ``perceptual_weights`` are given.
        perceptual_weights: Safetensors file of a torchvision ResNet-50 (:mod:`_perceptual`); empty: no perceptual
            loss.
        width: "small", "base" or "large": half, once or twice the channels of both networks.
        augment: "none", "study" or "strong": what is done to training images (:mod:`_augment`).
        views: Augmented versions of each training image that are encoded; without augmentation they change nothing.
        unet_channels: U-Net's feature channels, finest level first.
        blocks: Residual blocks per level of the U-Net.
        steps: Optimizer steps of the U-Net.
        batch: Latents per minibatch of the U-Net; in 2D and in 3D.
        learning_rate: Highest learning rate of the U-Net.
        weight_decay: AdamW's decoupled weight decay, for both.
        warm_up: Share of the steps over which the learning rate rises.
        ema: Decay of the averaged weights, for both.
        accumulate: Minibatches per optimizer step, for both.
        timesteps: Length T of the diffusion in training.
        beta_start: Noise variance b_1 of the first time step.
        beta_end: Noise variance b_T of the last time step. Both as in MONAI's tutorials and the study.
        sampling_steps: Network evaluations per sample.
    """

    downsampling: tuple[int, ...] = (8, 8)
    patch: tuple[int, ...] = (4, 4)
    channels: tuple[int, ...] = (64, 64)
    autoencoder_blocks: int = 1
    latent_channels: int = 4
    kl: float = 1e-4
    gradient: float = 0.5
    autoencoder_steps: int = 2000
    autoencoder_batch: tuple[int, ...] = (8, 4)
    autoencoder_rate: float = 3e-3
    adversarial_steps: int = 0
    adversarial_rate: float = 1e-3
    adversarial: float = 0.5
    features: float = 10.0
    discriminator_channels: int = 16
    perceptual: float = 1.0
    perceptual_weights: str = ""
    width: str = "base"
    augment: str = "none"
    views: int = 16
    unet_channels: tuple[int, ...] = (64, 128)
    blocks: int = 1
    steps: int = 1650
    batch: tuple[int, ...] = (32, 16)
    learning_rate: float = 1e-3
    weight_decay: float = 1e-4
    warm_up: float = 0.05
    ema: float = 0.995
    accumulate: int = 1
    timesteps: int = 1000
    beta_start: float = 0.0015
    beta_end: float = 0.0195
    sampling_steps: int = 25

    NAME: ClassVar[str] = "ldm"
    PRESETS: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "smoke": {**LATENT_PRESETS["smoke"], "sampling_steps": 5},
        "quick": LATENT_PRESETS["quick"],
        "standard": {**LATENT_PRESETS["standard"], "sampling_steps": 50},
        "paper": {**LATENT_PRESETS["paper"], "sampling_steps": 100},
    }

    def __post_init__(self) -> None:
        """Refuse settings that no network can have.

        Raises:
            ValueError: A count is below 1, a weight below 0, a patch does not divide the downsampling, or too few
                channels are given.
        """
        check_latent_fields(self)

    def fit(self, images: Images, *, context: Context, held_out: HeldOut | None = None) -> Self:
        """Train the autoencoder, encode the images once, and train the diffusion model on their latents.

        Args:
            images: What to learn from.
            context: Seed, device and so on.
            held_out: Other images, whose loss says when the diffusion model is to stop; None: do all steps.
        """
        return self._fit(images, context, held_out)

    def _make(self, dimensions: int) -> Mapping[str, nn.Module]:
        self.batch_ = self._value(self.batch)
        self.schedule_ = DDPMScheduler(**self._schedule_settings())
        self.first_stage_ = FirstStage(self, self.shape_, self.device_)
        channels = scaled(self.unet_channels, self.width)
        self.unet_ = unet(dimensions, channels, self.latent_channels, self.blocks)
        return {"latent": self.first_stage_.scale, "autoencoder": self.first_stage_.net, "unet": self.unet_}

    def _multiple(self) -> int:
        return self.first_stage_.multiple

    def _schedule_settings(self) -> dict[str, Any]:
        return {
            "num_train_timesteps": self.timesteps,
            "beta_start": self.beta_start,
            "beta_end": self.beta_end,
            "beta_schedule": "scaled_linear",
            "prediction_type": "v_prediction",
        }

    def _learn(self, pixels: Tensor, fit: Fit) -> Losses:
        losses = self.first_stage_.train(pixels, fit)
        latents = self.first_stage_.learn_scale(pixels, seed=fit.seed("views"))  # z
        losses["diffusion model"] = self._learn_diffusion(latents, fit)
        return losses

    def _learn_diffusion(self, latents: Tensor, fit: Fit) -> NDArray[np.float32]:
        seed = fit.seed("diffusion")
        return self._denoiser().train(
            lambda k: latents[batch_indices(len(latents), self.batch_, k, seed=seed)],
            training_of(self, self.steps, self.learning_rate),
            fit,
            name="diffusion model",
            held_out=None if fit.held_out is None else self.first_stage_.encode(self._pixels(fit.held_out.images)),
        )

    def _denoiser(self) -> Denoiser:
        """The U-Net, trained at all time steps and judged at a few."""
        return Denoiser(
            self.unet_,
            self._errors,
            times=lambda shares: step_times(shares, self.timesteps),
            loss_times=loss_steps(self.timesteps),
            batch=self.batch_,
        )

    def _errors(self, latents: Tensor, noise: Tensor, times: Tensor) -> Tensor:
        return velocity_errors(self.unet_, self.schedule_, latents, noise, times)

    def _losses(self, pixels: Tensor, seed: int) -> Tensor:
        """The mean error over several times; at each, every image gets the same noise."""
        return self._denoiser().losses(self.first_stage_.encode(pixels), seed=seed)

    def _noise(self, random: torch.Generator) -> Tensor:
        return torch.randn(self.first_stage_.latent_shape, generator=random)  # z_T

    def _draw(self, noise: Tensor) -> Tensor:
        latents = follow_flow(self.unet_, noise, self._schedule_settings(), self.sampling_steps)  # z
        return self.first_stage_.decode(latents)  # D(z)

    def _samples_at_once(self) -> int:
        return self.batch_


def velocity_errors(net: nn.Module, schedule: DDPMScheduler, latents: Tensor, noise: Tensor, times: Tensor) -> Tensor:
    """The squared error |u(z_t, t) - v_t|^2 of the predicted velocity, (N,), a mean over the values of a latent.

    Args:
        net: The U-Net u.
        schedule: Gives a_t and s_t.
        latents: z, (N, C, *S).
        noise: e, as many.
        times: t, (N,) time steps.
    """
    a, s = amplitudes(schedule, times, latents.ndim)
    mixed = a * latents + s * noise  # z_t = a_t z + s_t e
    velocity = a * noise - s * latents  # v_t = a_t e - s_t z
    with autocast(latents.device):
        predicted = net(mixed, times)  # u(z_t, t)
    errors: Tensor = (predicted.float() - velocity) ** 2
    return errors.flatten(1).mean(dim=1)
