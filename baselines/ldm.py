"""Latent diffusion: a KL autoencoder, and a diffusion model of its latents.

Rombach et al., High-Resolution Image Synthesis with Latent Diffusion Models, CVPR 2022; for medical images in three
dimensions Pinaya et al., Brain Imaging Generation with Latent Diffusion Models, DGM4MICCAI 2022. The networks are
MONAI's; noise schedule, sampler and averaged weights are those of diffusers.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
import torch
from diffusers import DDPMScheduler, DPMSolverMultistepScheduler
from memobench.errors import MemobenchError
from memobench.generator import GENERATORS, Context, Generator
from memobench.images import Images
from memobench.seeds import derive_seed
from memobench.training import Training, batch_indices, seeded, step_generator, train_loop
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from ._augment import augmented, check_switches
from ._device import autocast, load_weights, place, reproducible, to_images, to_pixels, weights
from ._nets import autoencoder, from_patches, scaled, to_patches, unet

LOSS_TIMES = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8)  # where LDM.loss looks, as shares of the diffusion time


@GENERATORS.register("ldm")
@dataclass
class LDM(Generator):
    """Latent diffusion in two or three dimensions, by the shape of the images.

    Images are padded inside to sides that both networks can halve, and samples are cropped back; sides from 32 to 128
    are what the presets are meant for. To train on CPUs the autoencoder works on patches folded into channels, which
    spares it the finest levels. Where 2D and 3D differ, a field holds two values, the first for 2D: a level or an
    image of a batch costs several times more in 3D.

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
        width: "small", "base" or "large": half, once or twice the channels of both networks.
        augment: "none", "study" or "strong": what is done to training images (:mod:`_augment`).
        views: Augmented versions of each training image that are encoded; of no consequence without augmentation.
        unet_channels: U-Net's feature channels, finest level first.
        blocks: Residual blocks per level of the U-Net.
        steps: Optimizer steps of the diffusion model.
        batch: Latents per minibatch of the diffusion model; in 2D and in 3D.
        learning_rate: Highest learning rate of the diffusion model.
        weight_decay: AdamW's decoupled weight decay, for both.
        warm_up: Share of the steps over which the learning rate rises.
        ema: Decay of the averaged weights, for both.
        accumulate: Minibatches per optimizer step, for both.
        timesteps: Length of the diffusion in training.
        beta_start: Noise variance of the first time step; the schedule is linear in its square root.
        beta_end: Noise variance of the last time step.
        sampling_steps: Network evaluations per sample (DPM-Solver++, second order; Lu et al., 2022).
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

    PRESETS: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "smoke": {
            "channels": (16, 16),
            "autoencoder_steps": 20,
            "autoencoder_batch": (8, 8),
            "unet_channels": (32, 32),
            "steps": 20,
            "batch": (8, 8),
            "sampling_steps": 5,
        },
        "quick": {},
        "standard": {
            "patch": (2, 4),
            "channels": (64, 128, 128),
            "autoencoder_blocks": 2,
            "autoencoder_steps": 10_000,
            "autoencoder_batch": (16, 8),
            "autoencoder_rate": 5e-4,
            "unet_channels": (128, 256, 256),
            "blocks": 2,
            "steps": 20_000,
            "batch": (64, 32),
            "learning_rate": 3e-4,
            "ema": 0.999,
            "sampling_steps": 50,
        },
        "paper": {
            "downsampling": (8, 4),
            "patch": (1, 1),
            "channels": (32, 64, 128, 128),
            "autoencoder_blocks": 2,
            "autoencoder_steps": 50_000,
            "autoencoder_batch": (8, 4),
            "autoencoder_rate": 1e-4,
            "kl": 1e-6,
            "unet_channels": (128, 256, 512),
            "blocks": 2,
            "steps": 100_000,
            "learning_rate": 1e-4,
            "ema": 0.9999,
            "sampling_steps": 100,
        },
    }

    def __post_init__(self) -> None:
        """Refuse settings that no network can have.

        Raises:
            ValueError: A count is below 1, a patch does not divide the downsampling, or too few channels are given.
        """
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            least = min(value, default=0) if isinstance(value, tuple | list) else value
            if field.type in ("int", "tuple[int, ...]") and least < 1:
                raise ValueError(f"{field.name} is {value}; give at least 1")
        check_switches(self.width, self.augment)
        for name in ("channels", "unet_channels"):
            setattr(self, name, tuple(getattr(self, name)))  # lists come from JSON
        for name in ("downsampling", "patch", "autoencoder_batch", "batch"):
            setattr(self, name, tuple(getattr(self, name)))
            if len(getattr(self, name)) != 2:
                raise ValueError(f"{name} has {len(getattr(self, name))} values; give one for 2D and one for 3D")
        for downsampling, patch in zip(self.downsampling, self.patch, strict=True):
            levels = _levels(downsampling, patch)
            if not levels or downsampling != patch << (levels - 1):
                raise ValueError(f"downsampling {downsampling} is not patch {patch} times a power of two")
            if levels > len(self.channels):
                raise ValueError(f"channels has {len(self.channels)} levels; patch and downsampling take {levels}")

    def fit(self, images: Images, *, context: Context) -> Self:
        """Train the autoencoder, encode the images once, and train the diffusion model on their latents."""
        if not len(images):
            raise MemobenchError("there are no images to fit; give at least one")
        self._build(images.shape, context.device, seed=context.seed)
        identity = json.dumps([images.digest, dataclasses.asdict(self)], sort_keys=True)
        pixels = to_pixels(images, self._multiple())
        with reproducible():
            self.history_ = {"autoencoder": self._fit_autoencoder(pixels, context, identity)}
            latents = self._encode(self._augmented_views(pixels, derive_seed(context.seed, "views")))
            axes = (0, *range(2, latents.ndim))
            self.mean_ = latents.mean(dim=axes, keepdim=True)
            self.sd_ = latents.std(dim=axes, keepdim=True, correction=0) + 1e-6
            latents = (latents - self.mean_) / self.sd_
            self.history_["diffusion model"] = self._fit_diffusion(latents, context, identity)
        return self

    # ------------------------------------------------------------------------------------------------ the autoencoder

    def _fit_autoencoder(self, pixels: Tensor, context: Context, identity: str) -> NDArray[np.float32]:
        """Minimise L1 of pixels and gradients plus a small KL divergence of the latents."""
        seed = derive_seed(context.seed, "autoencoder")
        net = self.autoencoder_

        def loss(k: int) -> Tensor:
            chosen = batch_indices(len(pixels), self.autoencoder_batch_, k, seed=seed)
            real = augmented(pixels[chosen], self.augment, step_generator(seed, "augment", k)).to(self.device_)
            with autocast(self.device_):
                mean, sd = net.encode(to_patches(real, self.patch_))  # type: ignore[operator]
                noise = torch.randn(mean.shape, generator=step_generator(seed, "latent", k)).to(mean.device)
                made = from_patches(net.decode(mean + sd * noise), self.patch_)  # type: ignore[operator]
            made, mean, sd = made.float(), mean.float(), sd.float()
            # KL(N(mean, sd^2) || N(0, 1)), Kingma & Welling 2014, appendix B
            divergence = 0.5 * (mean**2 + sd**2 - 2 * sd.log() - 1).mean()
            error = F.l1_loss(made, real) + self.gradient * gradient_difference(made, real)
            total: Tensor = error + self.kl * divergence
            return total

        training = self._training(self.autoencoder_steps, self.autoencoder_rate)
        return train_loop(net, loss, training, name="autoencoder", context=context, identity=identity)

    def _augmented_views(self, pixels: Tensor, seed: int) -> Tensor:
        """Every training image, or ``views`` augmented versions of every one: (N * views, 1, *S)."""
        if self.augment == "none":
            return pixels
        made = [augmented(pixels, self.augment, step_generator(seed, "view", view)) for view in range(self.views)]
        return torch.cat(made)

    @torch.no_grad()
    def _encode(self, pixels: Tensor) -> Tensor:
        """Images (N, 1, *S) to the means of their latents (N, C, *S / downsampling), on the device."""
        parts = []
        for part in pixels.split(self.autoencoder_batch_):  # type: ignore[no-untyped-call]
            with autocast(self.device_):
                mean, _ = self.autoencoder_.encode(to_patches(part.to(self.device_), self.patch_))  # type: ignore[operator]
            parts.append(mean.float())
        return torch.cat(parts)

    # --------------------------------------------------------------------------------------------- the diffusion model

    def _fit_diffusion(self, latents: Tensor, context: Context, identity: str) -> NDArray[np.float32]:
        """Minimise the squared error of the predicted velocity at random times (Salimans & Ho, ICLR 2022)."""
        seed = derive_seed(context.seed, "diffusion")
        schedule = self._schedule()

        def loss(k: int) -> Tensor:
            chosen = batch_indices(len(latents), self.batch_, k, seed=seed)
            random = step_generator(seed, "noise", k)
            noise = torch.randn((self.batch_, *latents.shape[1:]), generator=random).to(latents.device)
            # One time from each of `batch` equal strata, shifted at random: a quieter loss than independent times
            # (Kingma et al., Variational Diffusion Models, NeurIPS 2021, appendix I.1).
            shift = torch.rand((), generator=random)
            shares = (torch.randperm(self.batch_, generator=random) + shift) / self.batch_
            times = (shares * self.timesteps).long().clamp(max=self.timesteps - 1).to(latents.device)
            return self._velocity_error(schedule, latents[chosen], noise, times).mean()

        training = self._training(self.steps, self.learning_rate)
        return train_loop(self.unet_, loss, training, name="diffusion model", context=context, identity=identity)

    def _velocity_error(self, schedule: DDPMScheduler, latents: Tensor, noise: Tensor, times: Tensor) -> Tensor:
        """Squared error per latent (N,) of the predicted v = a_t noise - s_t latent at a_t latent + s_t noise."""
        noisy = schedule.add_noise(latents, noise, times)
        with autocast(self.device_):
            predicted = self.unet_(noisy, times)
        target: Tensor = schedule.get_velocity(latents, noise, times)
        errors: Tensor = (predicted.float() - target) ** 2
        return errors.flatten(1).mean(dim=1)

    def _schedule(self) -> DDPMScheduler:
        return DDPMScheduler(**self._schedule_settings())

    def _schedule_settings(self) -> dict[str, Any]:
        return {
            "num_train_timesteps": self.timesteps,
            "beta_start": self.beta_start,
            "beta_end": self.beta_end,
            "beta_schedule": "scaled_linear",
            "prediction_type": "v_prediction",
        }

    # ----------------------------------------------------------------------------------------------------- the samples

    @torch.no_grad()
    def sample(self, n: int, *, seed: int) -> NDArray[np.float32]:
        """Draw n images, (n, *S) float32 in [0, 1]; image i starts from noise of its own, whatever n is."""
        self._require_fitted()
        shape = (self.latent_channels, *self._latent_sides())
        samples = np.empty((n, *self.shape_), dtype=np.float32)
        with reproducible():
            for first in range(0, n, self.batch_):
                members = range(first, min(n, first + self.batch_))
                noise = [torch.randn(shape, generator=step_generator(seed, "sample", i)) for i in members]
                samples[first : members.stop] = self._decode(self._denoise(torch.stack(noise).to(self.device_)))
        return samples

    def _denoise(self, latents: Tensor) -> Tensor:
        """Follow the probability flow from noise to latents with DPM-Solver++ (Lu et al., 2022, algorithm 2)."""
        solver = DPMSolverMultistepScheduler(
            **self._schedule_settings(), solver_order=2, timestep_spacing="trailing", final_sigmas_type="zero"
        )
        solver.set_timesteps(self.sampling_steps)
        for time in solver.timesteps:
            with autocast(self.device_):
                predicted = self.unet_(latents, time.expand(len(latents)).to(self.device_))
            latents = solver.step(predicted.float(), time, latents).prev_sample
        return latents

    def _decode(self, latents: Tensor) -> NDArray[np.float32]:
        """Normalised latents to images (N, *S) in [0, 1]."""
        with autocast(self.device_):
            decoded = self.autoencoder_.decode(latents * self.sd_ + self.mean_)  # type: ignore[operator]
        return to_images(from_patches(decoded.float(), self.patch_), self.shape_)

    # -------------------------------------------------------------------------------------------- the loss of an image

    @torch.no_grad()
    def loss(self, images: Images, *, seed: int) -> NDArray[np.float32]:
        """How badly each image is denoised, (N,): lower for images that the model has learned.

        The mean squared error of the velocity over the times ``LOSS_TIMES``; at each time every image gets the same
        noise, so that images are compared with each other and not with their luck.

        Raises:
            MemobenchError: The images have another shape than those fitted.
        """
        self._require_fitted()
        if images.shape != self.shape_:
            raise MemobenchError(f"images of shape {images.shape} cannot be judged; the fitted ones are {self.shape_}")
        if not len(images):
            return np.zeros(0, dtype=np.float32)
        schedule = self._schedule()
        with reproducible():
            latents = (self._encode(to_pixels(images, self._multiple())) - self.mean_) / self.sd_
            total = torch.zeros(len(latents), device=latents.device)
            for share in LOSS_TIMES:
                time = round(share * (self.timesteps - 1))
                noise = torch.randn(latents.shape[1:], generator=step_generator(seed, "loss", time)).to(latents.device)
                errors = [
                    self._velocity_error(
                        schedule, part, noise.expand_as(part), torch.full((len(part),), time, device=part.device)
                    )
                    for part in latents.split(self.batch_)  # type: ignore[no-untyped-call]
                ]
                total += torch.cat(errors)
        return (total / len(LOSS_TIMES)).cpu().numpy()

    # ------------------------------------------------------------------------------------------------- what is learned

    def state(self) -> dict[str, NDArray[Any]]:
        """Both networks' averaged weights, the latents' mean and standard deviation, and the images' shape."""
        self._require_fitted()
        latent = {"latent.mean": self.mean_.cpu().numpy(), "latent.sd": self.sd_.cpu().numpy()}
        return {**latent, **weights(self._networks()), "shape": np.array(self.shape_, dtype=np.float32)}

    def _networks(self) -> dict[str, nn.Module]:
        return {"autoencoder": self.autoencoder_, "unet": self.unet_}

    def restore(self, state: Mapping[str, NDArray[Any]], *, device: str = "cpu") -> Self:
        """Take up what :meth:`state` gave.

        Raises:
            MemobenchError: The arrays do not belong to a model with these fields.
        """
        try:
            self._build(tuple(int(side) for side in state["shape"]), device, seed=0)
            load_weights(self._networks(), state)
            self.mean_ = torch.tensor(state["latent.mean"], device=self.device_)
            self.sd_ = torch.tensor(state["latent.sd"], device=self.device_)
        except (KeyError, RuntimeError) as error:
            first = str(error).splitlines()[0]
            raise MemobenchError(f"the state is not of this ldm ({first}); give its fields too") from error
        return self

    # -------------------------------------------------------------------------------------------------------- the rest

    def _build(self, shape: tuple[int, ...], device: str, *, seed: int) -> None:
        """Make both networks anew for images of a shape."""
        self.shape_ = tuple(shape)
        self.device_ = torch.device(device)
        dimensions = len(shape)
        which = dimensions - 2  # of the values for 2D and for 3D
        self.downsampling_, self.patch_ = self.downsampling[which], self.patch[which]
        self.batch_, self.autoencoder_batch_ = self.batch[which], self.autoencoder_batch[which]
        levels = _levels(self.downsampling_, self.patch_)
        with seeded(derive_seed(seed, "weights")):
            self.autoencoder_ = place(
                autoencoder(
                    dimensions,
                    scaled(self.channels[-levels:], self.width),
                    self.latent_channels,
                    self.autoencoder_blocks,
                    self.patch_,
                ),
                self.device_,
                dimensions,
            )
            self.unet_ = place(
                unet(dimensions, scaled(self.unet_channels, self.width), self.latent_channels, self.blocks),
                self.device_,
                dimensions,
            )

    def _multiple(self) -> int:
        """What the sides of padded images are multiples of, so that both networks can halve them."""
        return self.downsampling_ << (len(self.unet_channels) - 1)

    def _latent_sides(self) -> list[int]:
        return [-(-side // self._multiple()) * self._multiple() // self.downsampling_ for side in self.shape_]

    def _training(self, steps: int, rate: float) -> Training:
        return Training(
            steps=steps,
            learning_rate=rate,
            weight_decay=self.weight_decay,
            warm_up=self.warm_up,
            ema=self.ema,
            accumulate=self.accumulate,
        )

    def _require_fitted(self) -> None:
        if not hasattr(self, "unet_"):
            raise MemobenchError("this ldm is not fitted; call fit or restore first")


def _levels(downsampling: int, patch: int) -> int:
    """Levels of an autoencoder whose finest works on the grid of patches and whose coarsest on that of the latent."""
    return (downsampling // patch).bit_length()


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
