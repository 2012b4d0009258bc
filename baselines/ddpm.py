"""Diffusion of pixels: no autoencoder, one U-Net that sees the image itself.

Ho et al., Denoising Diffusion Probabilistic Models, NeurIPS 2020; cosine noise schedule of Nichol & Dhariwal, Improved
Denoising Diffusion Probabilistic Models, ICML 2021; the network predicts the image and is judged by the velocity, as in
Salimans & Ho, ICLR 2022, and Li & He, Back to Basics: Let Denoising Generative Models Denoise, 2025. The network is
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
from diffusers import DDPMScheduler
from memobench.base.errors import MemobenchError
from memobench.base.seeds import derive_seed
from memobench.generator import GENERATORS, Context, Generator
from memobench.images import Images
from memobench.training.loop import batch_indices, seeded, step_generator, train_loop
from memobench.training.processes import drawn
from numpy.typing import NDArray
from torch import Tensor

from ._augment import augmented
from ._device import load_weights, place, reproducible, to_images, to_pixels, weights
from ._diffusion import follow_flow, image_errors, loss_steps, mean_errors, objective, step_times
from ._fields import check_fields
from ._first_stage import foreign_state, require_shape, training_of, unfitted
from ._nets import from_patches, scaled, to_patches, unet

SCHEDULES = {"cosine": "squaredcos_cap_v2", "scaled_linear": "scaled_linear"}  # ours -> diffusers' names


@GENERATORS.register("ddpm")
@dataclass
class DDPM(Generator):
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

    Images are padded inside to sides that the network can halve, and samples are cropped back. Where 2D and 3D differ,
    a field holds two values, the first for 2D.

    Attributes:
        patch: Side of the folded patches, 1 folds nothing; in 2D and in 3D.
        unet_channels: U-Net's feature channels, finest level first.
        blocks: Residual blocks per level of the U-Net.
        width: "small", "base" or "large": half, once or twice the channels.
        augment: "none", "study" or "strong": what is done to training images, anew in each step (:mod:`_augment`).
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

    def fit(self, images: Images, *, context: Context) -> Self:
        """Minimise the squared error of the predicted velocity at random times."""
        if not len(images):
            raise MemobenchError("there are no images to fit; give at least one")
        self._build(images.shape, context.device, seed=context.seed)
        identity = json.dumps([images.digest, dataclasses.asdict(self)], sort_keys=True)
        pixels = to_pixels(images, self._multiple())
        seed = derive_seed(context.seed, "diffusion")

        def batch(k: int) -> Tensor:
            chosen = batch_indices(len(pixels), self.batch_, k, seed=seed)
            real = augmented(pixels[chosen], self.augment, step_generator(seed, "augment", k))
            return to_patches(real.to(self.device_), self.patch_)

        loss = objective(self._errors, batch, lambda shares: step_times(shares, self.timesteps), seed=seed)
        training = training_of(self, self.steps, self.learning_rate)
        with reproducible():
            losses = train_loop(
                self.unet_,
                loss,
                training,
                name="ddpm",
                context=context,
                identity=identity,
                batch=self.batch_,
                compiled=[self.unet_],
            )
        self.history_ = {"ddpm": losses}
        return self

    def _errors(self, patches: Tensor, noise: Tensor, times: Tensor) -> Tensor:
        """The weighted squared error (N,) of the predicted images, of folded ones (N, C, *S)."""
        return image_errors(self.unet_, self.schedule_, patches, noise, times)

    @torch.no_grad()
    def sample(self, n: int, *, seed: int) -> NDArray[np.float32]:
        """Draw n images, (n, *S) float32 in [0, 1]; image i starts from noise of its own, whatever n is."""
        self._require_fitted()
        multiple = self._multiple()
        shape = (1, *[-(-side // multiple) * multiple for side in self.shape_])

        def draw(members: range) -> NDArray[np.float32]:
            noise = torch.stack([torch.randn(shape, generator=step_generator(seed, "sample", i)) for i in members])
            folded = to_patches(noise.to(self.device_), self.patch_)
            made = follow_flow(self.unet_, folded, self._schedule_settings(), self.sampling_steps)
            return to_images(from_patches(made, self.patch_), self.shape_)

        with reproducible():
            return drawn(n, self.shape_, self.batch_, draw)

    @torch.no_grad()
    def loss(self, images: Images, *, seed: int) -> NDArray[np.float32]:
        """How badly each image is denoised, (N,): lower for images that the model has learned.

        The mean squared error of the velocity over several times; at each time every image gets the same noise.

        Raises:
            MemobenchError: The images have another shape than those fitted.
        """
        self._require_fitted()
        require_shape(images, self.shape_)
        if not len(images):
            return np.zeros(0, dtype=np.float32)
        patches = to_patches(to_pixels(images, self._multiple()).to(self.device_), self.patch_)
        with reproducible():
            losses = mean_errors(self._errors, patches, loss_steps(self.timesteps), batch=self.batch_, seed=seed)
        return losses.cpu().numpy()

    def state(self) -> dict[str, NDArray[Any]]:
        """The U-Net's averaged weights and the images' shape."""
        self._require_fitted()
        return {**weights({"unet": self.unet_}), "shape": np.array(self.shape_, dtype=np.float32)}

    def restore(self, state: Mapping[str, NDArray[Any]], *, device: str = "cpu") -> Self:
        """Take up what :meth:`state` gave.

        Raises:
            MemobenchError: The arrays do not belong to a model with these fields.
        """
        try:
            self._build(tuple(int(side) for side in state["shape"]), device, seed=0)
            load_weights({"unet": self.unet_}, state)
        except (KeyError, RuntimeError) as error:
            raise foreign_state("ddpm", error) from error
        return self

    def _build(self, shape: tuple[int, ...], device: str, *, seed: int) -> None:
        """Make the network anew for images of a shape."""
        self.shape_ = tuple(shape)
        self.device_ = torch.device(device)
        dimensions = len(shape)
        which = dimensions - 2  # of the values for 2D and for 3D
        self.patch_, self.batch_ = self.patch[which], self.batch[which]
        self.schedule_ = DDPMScheduler(**self._schedule_settings())
        channels = scaled(self.unet_channels, self.width)
        with seeded(derive_seed(seed, "weights")):
            net = unet(dimensions, channels, self.patch_**dimensions, self.blocks)
            self.unet_ = place(net, self.device_, dimensions)

    def _schedule_settings(self) -> dict[str, Any]:
        return {
            "num_train_timesteps": self.timesteps,
            "beta_start": 0.0015,  # the cosine schedule has no use for these two
            "beta_end": 0.0195,
            "beta_schedule": SCHEDULES[self.schedule],
            "prediction_type": "sample",
        }

    def _multiple(self) -> int:
        """What the sides of padded images are multiples of, so that the network can halve them."""
        return self.patch_ << (len(self.unet_channels) - 1)

    def _require_fitted(self) -> None:
        if not hasattr(self, "unet_"):
            raise unfitted("ddpm")
