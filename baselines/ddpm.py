"""Diffusion of pixels: no autoencoder, one U-Net that sees the image itself.

Ho et al., Denoising Diffusion Probabilistic Models, NeurIPS 2020; cosine noise schedule of Nichol & Dhariwal, Improved
Denoising Diffusion Probabilistic Models, ICML 2021; the network predicts the image and is judged by the velocity, as in
Salimans & Ho, ICLR 2022, and Li & He, Back to Basics: Let Denoising Generative Models Denoise, 2025. The network is
MONAI's; noise schedule, sampler and averaged weights are those of diffusers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from diffusers import DDPMScheduler
from memobench.generator import GENERATORS
from torch import Tensor, nn

from ._diffusion import Denoiser, follow_flow, image_errors, loss_steps, step_times
from ._fields import check_fields
from ._frame import Fit, Losses, TrainedGenerator, minibatch, training_of
from ._nets import from_patches, scaled, to_patches, unet

SCHEDULES = {"cosine": "squaredcos_cap_v2", "scaled_linear": "scaled_linear"}  # ours -> diffusers' names


@GENERATORS.register("ddpm")
@dataclass
class DDPM(TrainedGenerator):
    """Diffusion of pixels in two or three dimensions, by the shape of the images.

    1. At a random time t the U-Net sees a_t image + s_t noise and predicts the image; the loss is the squared error of
       the velocity v = a_t noise - s_t image that follows from it, its weight capped where noise is faint
       (:func:`_diffusion.image_errors`). a_t^2 + s_t^2 = 1, and for the cosine schedule a_t is proportional to
       cos((t / T + 0.008) / 1.008 * pi / 2).
    2. Sampling: the probability flow from noise to an image.

    The U-Net works on patches of pixels folded into channels (Luhman & Luhman, Improving Diffusion Model Efficiency
    Through Patching, 2022): a patch of 8 makes a 2D step some 60 times cheaper. A patch then has as many pixels as
    the U-Net has channels, in 3D more, through which noise does not fit but images do; a U-Net of this size that
    predicted the velocity gave noisy images. Large patches show as seams where training is short.

    Sees pixels themselves, so nothing is lost in an autoencoder; slower to learn an anatomy, and coarser after equal
    time, than the latent models, in 3D by far.

    Attributes:
        patch: Side of the folded patches, 1 folds nothing; in 2D and in 3D.
        unet_channels: U-Net's feature channels, finest level first.
        blocks: Residual blocks per level of the U-Net.
        width: "small", "base" or "large": half, once or twice the channels.
        augment: "none", "study" or "strong": what is done to training images in each step (:mod:`_augment`).
        steps: Optimizer steps.
        batch: Images per minibatch; in 2D and in 3D.
        learning_rate: Highest learning rate.
        weight_decay: AdamW's decoupled weight decay.
        warm_up: Share of the steps over which the learning rate rises.
        ema: Decay of the averaged weights.
        accumulate: Minibatches per optimizer step.
        timesteps: Length T of the diffusion in training.
        schedule: "cosine", or "scaled_linear" with noise variances from 0.0015 to 0.0195 as in MONAI's tutorials.
        sampling_steps: Network evaluations per sample (DPM-Solver++, second order; Lu et al., 2022).
    """

    patch: tuple[int, ...] = (8, 8)
    unet_channels: tuple[int, ...] = (64, 128)
    blocks: int = 1
    width: str = "base"
    augment: str = "none"
    steps: int = 2000
    batch: tuple[int, ...] = (32, 16)
    learning_rate: float = 1e-3
    weight_decay: float = 1e-4
    warm_up: float = 0.05
    ema: float = 0.995
    accumulate: int = 1
    timesteps: int = 1000
    schedule: str = "cosine"
    sampling_steps: int = 25

    NAME: ClassVar[str] = "ddpm"
    PRESETS: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "smoke": {"unet_channels": (16, 32), "steps": 20, "batch": (8, 8), "sampling_steps": 5},
        "quick": {},
        "standard": {
            "patch": (2, 2),
            "unet_channels": (64, 128, 256, 256),
            "blocks": 2,
            "steps": 30_000,
            "batch": (64, 16),
            "learning_rate": 3e-4,
            "ema": 0.999,
            "sampling_steps": 50,
        },
        "paper": {
            "patch": (1, 1),
            "unet_channels": (128, 256, 256, 256),
            "blocks": 2,
            "steps": 200_000,
            "batch": (64, 8),
            "learning_rate": 2e-4,
            "ema": 0.9999,
            "sampling_steps": 100,
        },
    }

    def __post_init__(self) -> None:
        """Refuse settings that no model can have.

        Raises:
            ValueError: A count is below 1, a pair is none, or a schedule or switch does not exist.
        """
        check_fields(self, lists=("unet_channels",), pairs=("patch", "batch"))
        if self.schedule not in SCHEDULES:
            raise ValueError(f'schedule is "{self.schedule}"; give one of {", ".join(SCHEDULES)}')

    def _make(self, dimensions: int) -> Mapping[str, nn.Module]:
        self.patch_, self.batch_ = self._value(self.patch), self._value(self.batch)
        self.schedule_ = DDPMScheduler(**self._schedule_settings())
        self.unet_ = unet(dimensions, scaled(self.unet_channels, self.width), self.patch_**dimensions, self.blocks)
        return {"unet": self.unet_}

    def _multiple(self) -> int:
        return self.patch_ << (len(self.unet_channels) - 1)

    def _schedule_settings(self) -> dict[str, Any]:
        return {
            "num_train_timesteps": self.timesteps,
            "beta_start": 0.0015,  # the cosine schedule has no use for these two
            "beta_end": 0.0195,
            "beta_schedule": SCHEDULES[self.schedule],
            "prediction_type": "sample",
        }

    def _learn(self, pixels: Tensor, fit: Fit) -> Losses:
        seed = fit.seed("diffusion")

        def patches(k: int) -> Tensor:
            real = minibatch(pixels, self.batch_, k, augment=self.augment, seed=seed)
            return to_patches(real.to(self.device_), self.patch_)

        training = training_of(self, self.steps, self.learning_rate)
        return {"ddpm": self._denoiser().train(patches, training, fit, name="ddpm")}

    def _denoiser(self) -> Denoiser:
        return Denoiser(
            self.unet_,
            self._errors,
            times=lambda shares: step_times(shares, self.timesteps),
            loss_times=loss_steps(self.timesteps),
            batch=self.batch_,
        )

    def _errors(self, patches: Tensor, noise: Tensor, times: Tensor) -> Tensor:
        """The weighted squared error (N,) of the predicted images, of folded ones (N, C, *S)."""
        return image_errors(self.unet_, self.schedule_, patches, noise, times)

    def _losses(self, pixels: Tensor, seed: int) -> Tensor:
        """The mean squared error of the velocity over several times; at each, every image gets the same noise."""
        return self._denoiser().losses(to_patches(pixels.to(self.device_), self.patch_), seed=seed)

    def _noise(self, random: torch.Generator) -> Tensor:
        multiple = self._multiple()
        return torch.randn((1, *[-(-side // multiple) * multiple for side in self.shape_]), generator=random)

    def _draw(self, noise: Tensor) -> Tensor:
        patches = to_patches(noise, self.patch_)
        made = follow_flow(self.unet_, patches, self._schedule_settings(), self.sampling_steps)
        return from_patches(made, self.patch_)

    def _samples_at_once(self) -> int:
        return self.batch_
