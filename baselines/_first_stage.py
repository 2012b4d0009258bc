"""A KL autoencoder and the frame of a model of its latents: what `ldm` and `flow` have in common.

Rombach et al., High-Resolution Image Synthesis with Latent Diffusion Models, CVPR 2022, section 3.1. A subclass says
how noise and latents are mixed (:meth:`LatentGenerator._errors`) and how noise becomes a latent
(:meth:`LatentGenerator._solve`). Under one seed all subclasses have the same autoencoder, minibatches and noise, so
that a comparison of two is one of their objectives and samplers alone.
"""

from __future__ import annotations

import dataclasses
import json
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
import torch
from memobench.base.errors import MemobenchError
from memobench.base.seeds import derive_seed
from memobench.generator import Context, Generator
from memobench.images import Images
from memobench.training.loop import Training, Watch, batch_indices, seeded, step_generator, train_loop
from memobench.training.processes import drawn
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from ._augment import augmented
from ._device import autocast, load_weights, place, reproducible, to_images, to_pixels, weights
from ._diffusion import mean_errors, objective
from ._fields import autoencoder_levels, check_fields, check_levels
from ._nets import autoencoder, from_patches, scaled, to_patches, unet

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
        "kl": 1e-6,
        "unet_channels": (128, 256, 512),
        "blocks": 2,
        "steps": 100_000,
        "learning_rate": 1e-4,
        "ema": 0.9999,
    },
}


@dataclass(frozen=True)
class HeldOut:
    """Images that tell when to stop training, and how.

    Attributes:
        images: What the model is not trained on.
        every: Steps from one look at their loss to the next.
        patience: Looks without a new lowest loss after which training stops.
    """

    images: Images
    every: int
    patience: int


@dataclass
class LatentGenerator(Generator):
    """A KL autoencoder, and a U-Net that turns noise into its latents; abstract.

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
        steps: Optimizer steps of the model of latents.
        batch: Latents per minibatch of the model of latents; in 2D and in 3D.
        learning_rate: Highest learning rate of the model of latents.
        weight_decay: AdamW's decoupled weight decay, for both.
        warm_up: Share of the steps over which the learning rate rises.
        ema: Decay of the averaged weights, for both.
        accumulate: Minibatches per optimizer step, for both.
        NAME: The registry's name, for messages.
        STAGE: What the model of latents is called in progress, checkpoints and ``history_``.
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

    NAME: ClassVar[str]
    STAGE: ClassVar[str]

    def __post_init__(self) -> None:
        """Refuse settings that no network can have.

        Raises:
            ValueError: A count is below 1, a patch does not divide the downsampling, or too few channels are given.
        """
        pairs = ("downsampling", "patch", "autoencoder_batch", "batch")
        check_fields(self, lists=("channels", "unet_channels"), pairs=pairs)
        check_levels(self.downsampling, self.patch, self.channels)

    # ------------------------------------------------------------------------------------------ what a subclass gives

    @abstractmethod
    def _errors(self, latents: Tensor, noise: Tensor, times: Tensor) -> Tensor:
        """The squared error (N,) of what the U-Net predicts of normalised latents mixed with noise (N, C, *S)."""

    @abstractmethod
    def _training_times(self, shares: Tensor) -> Tensor:
        """Evenly spread shares (B,) in [0, 1] to the times (B,) at which one minibatch is trained."""

    @abstractmethod
    def _loss_times(self) -> Sequence[int | float]:
        """The times at which :meth:`loss` looks."""

    @abstractmethod
    def _solve(self, noise: Tensor) -> Tensor:
        """Noise (N, C, *S) to normalised latents."""

    # ------------------------------------------------------------------------------------------------------------ fit

    def fit(self, images: Images, *, context: Context, held_out: HeldOut | None = None) -> Self:
        """Train the autoencoder, encode the images once, and train the model of their latents.

        Args:
            images: What to learn from.
            context: Seed, device and so on.
            held_out: Other images, whose loss says when the model of latents has had enough; None: do all steps.
        """
        if not len(images):
            raise MemobenchError("there are no images to fit; give at least one")
        self._build(images.shape, context.device, seed=context.seed)
        parts: list[Any] = [images.digest, dataclasses.asdict(self)]
        if held_out is not None:
            parts += [held_out.images.digest, held_out.every, held_out.patience]
        identity = json.dumps(parts, sort_keys=True)
        pixels = to_pixels(images, self._multiple())
        with reproducible():
            self.history_ = {"autoencoder": self._fit_autoencoder(pixels, context, identity)}
            views = augmented_views(pixels, self.augment, self.views, seed=derive_seed(context.seed, "views"))
            latents = self._encode(views)
            axes = (0, *range(2, latents.ndim))
            self.mean_ = latents.mean(dim=axes, keepdim=True)
            self.sd_ = latents.std(dim=axes, keepdim=True, correction=0) + 1e-6
            latents = (latents - self.mean_) / self.sd_
            self.history_[self.STAGE] = self._fit_latents(latents, context, identity, held_out)
        return self

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
            total: Tensor = reconstruction_error(made, real, self.gradient) + self.kl * divergence
            return total

        training = training_of(self, self.autoencoder_steps, self.autoencoder_rate)
        return train_loop(
            net,
            loss,
            training,
            name="autoencoder",
            context=context,
            identity=identity,
            batch=self.autoencoder_batch_,
            compiled=[net.encoder, net.decoder],  # type: ignore[list-item]  # torch types attributes as tensors too
        )

    def _fit_latents(
        self, latents: Tensor, context: Context, identity: str, held_out: HeldOut | None
    ) -> NDArray[np.float32]:
        """Minimise the error of what the U-Net predicts, at random times."""
        seed = derive_seed(context.seed, "diffusion")

        def batch(k: int) -> Tensor:
            return latents[batch_indices(len(latents), self.batch_, k, seed=seed)]

        loss = objective(self._errors, batch, self._training_times, seed=seed)
        training = training_of(self, self.steps, self.learning_rate)
        return train_loop(
            self.unet_,
            loss,
            training,
            name=self.STAGE,
            context=context,
            identity=identity,
            batch=self.batch_,
            compiled=[self.unet_],
            watch=None if held_out is None else self._watch(held_out, seed=derive_seed(context.seed, "held out")),
        )

    def _watch(self, held_out: HeldOut, *, seed: int) -> Watch:
        """Judge the model of latents by the mean :meth:`loss` of images that it is not trained on."""
        latents = (self._encode(to_pixels(held_out.images, self._multiple())) - self.mean_) / self.sd_

        @torch.no_grad()
        def loss() -> float:
            errors = mean_errors(self._errors, latents, self._loss_times(), batch=self.batch_, seed=seed)
            return float(errors.mean())

        return Watch(loss, held_out.every, held_out.patience)

    # ------------------------------------------------------------------------------------------------ sample and loss

    @torch.no_grad()
    def sample(self, n: int, *, seed: int) -> NDArray[np.float32]:
        """Draw n images, (n, *S) float32 in [0, 1]; image i starts from noise of its own, whatever n is."""
        self._require_fitted()
        shape = (self.latent_channels, *self._latent_sides())

        def draw(members: range) -> NDArray[np.float32]:
            noise = [torch.randn(shape, generator=step_generator(seed, "sample", i)) for i in members]
            return self._decode(self._solve(torch.stack(noise).to(self.device_)))

        with reproducible():
            return drawn(n, self.shape_, self.batch_, draw)

    @torch.no_grad()
    def loss(self, images: Images, *, seed: int) -> NDArray[np.float32]:
        """How badly each image is restored from noise, (N,): lower for images that the model has learned.

        The mean error over several times; at each time every image gets the same noise.

        Raises:
            MemobenchError: The images have another shape than those fitted.
        """
        self._require_fitted()
        require_shape(images, self.shape_)
        if not len(images):
            return np.zeros(0, dtype=np.float32)
        with reproducible():
            latents = (self._encode(to_pixels(images, self._multiple())) - self.mean_) / self.sd_
            losses = mean_errors(self._errors, latents, self._loss_times(), batch=self.batch_, seed=seed)
        return losses.cpu().numpy()

    @torch.no_grad()
    def _encode(self, pixels: Tensor) -> Tensor:
        """Images (N, 1, *S) to the means of their latents (N, C, *S / downsampling), on the device."""
        parts = []
        for part in pixels.split(self.autoencoder_batch_):  # type: ignore[no-untyped-call]
            with autocast(self.device_):
                mean, _ = self.autoencoder_.encode(to_patches(part.to(self.device_), self.patch_))  # type: ignore[operator]
            parts.append(mean.float())
        return torch.cat(parts)

    def _decode(self, latents: Tensor) -> NDArray[np.float32]:
        """Normalised latents to images (N, *S) in [0, 1]."""
        with autocast(self.device_):
            decoded = self.autoencoder_.decode(latents * self.sd_ + self.mean_)  # type: ignore[operator]
        return to_images(from_patches(decoded.float(), self.patch_), self.shape_)

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
            raise foreign_state(self.NAME, error) from error
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
        channels = scaled(self.channels[-autoencoder_levels(self.downsampling_, self.patch_) :], self.width)
        width = scaled(self.unet_channels, self.width)
        with seeded(derive_seed(seed, "weights")):
            first = autoencoder(dimensions, channels, self.latent_channels, self.autoencoder_blocks, self.patch_)
            self.autoencoder_ = place(first, self.device_, dimensions)
            self.unet_ = place(unet(dimensions, width, self.latent_channels, self.blocks), self.device_, dimensions)

    def _multiple(self) -> int:
        """What the sides of padded images are multiples of, so that both networks can halve them."""
        return self.downsampling_ << (len(self.unet_channels) - 1)

    def _latent_sides(self) -> list[int]:
        return [-(-side // self._multiple()) * self._multiple() // self.downsampling_ for side in self.shape_]

    def _require_fitted(self) -> None:
        if not hasattr(self, "unet_"):
            raise unfitted(self.NAME)


def unfitted(name: str) -> MemobenchError:
    """The error of a model that is used before it has learned anything."""
    return MemobenchError(f"this {name} is not fitted; call fit or restore first")


def foreign_state(name: str, error: Exception) -> MemobenchError:
    """The error of a state that belongs to another model, from the first line of what went wrong."""
    return MemobenchError(f"the state is not of this {name} ({str(error).splitlines()[0]}); give its fields too")


def require_shape(images: Images, shape: tuple[int, ...]) -> None:
    """Refuse to judge images of a shape that was not fitted.

    Raises:
        MemobenchError: They have another shape.
    """
    if images.shape != shape:
        raise MemobenchError(f"images of shape {images.shape} cannot be judged; the fitted ones are {shape}")


def training_of(generator: Any, steps: int, rate: float) -> Training:
    """How a network of a generator is trained, by its fields weight_decay, warm_up, ema and accumulate."""
    return Training(
        steps=steps,
        learning_rate=rate,
        weight_decay=generator.weight_decay,
        warm_up=generator.warm_up,
        ema=generator.ema,
        accumulate=generator.accumulate,
    )


def augmented_views(pixels: Tensor, augment: str, views: int, *, seed: int) -> Tensor:
    """Every training image, or ``views`` augmented versions of every one: (N * views, 1, *S)."""
    if augment == "none":
        return pixels
    return torch.cat([augmented(pixels, augment, step_generator(seed, "view", view)) for view in range(views)])


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
