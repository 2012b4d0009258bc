"""A variational autoencoder with one latent vector per image.

Kingma & Welling, Auto-Encoding Variational Bayes, ICLR 2014; with the weight of Higgins et al., beta-VAE, ICLR 2017. An
encoder gives each image x a normal posterior q(z|x) = N(m(x), s(x)^2), a decoder g gives each latent z a mean image,
and both maximize the evidence lower bound

    ELBO(x) = E_q log p(x|z) - beta KL(q(z|x) || N(0, 1)),    p(x|z) = N(g(z), sd^2), independent pixels.

with beta = 1 in the first paper. Samples are decoded not from the prior but from the normal distribution that has the
mean and covariance of the aggregate posterior, the mean of q(z|x) over the training images (ex-post density estimation,
Ghosh et al., From Variational to Deterministic Autoencoders, ICLR 2020). A few hundred images do not fill a prior of
dozens of dimensions: between them the decoder was never trained, and what it draws there is no anatomy. The fitted
normal keeps to the directions in which patients do differ. The networks are MONAI's VarAutoEncoder.

Good at: variety, a bound on the likelihood, fast and stable training. Bad at: detail; the mean over what a latent
leaves open is blurry. A larger ``beta`` gives blurrier images and fewer latent dimensions in use.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from memobench.generator import GENERATORS
from memobench.training.loop import step_generator, train_loop
from monai.networks.nets import VarAutoEncoder
from torch import Tensor, nn

from ._augment import augmented
from ._device import autocast
from ._fields import check_fields
from ._frame import Fit, Losses, TrainedGenerator, minibatch, training_of
from ._nets import from_patches, scaled, to_patches

LOSS_DRAWS = 4  # latents of each image that VAE.loss averages over


@GENERATORS.register("vae")
@dataclass
class VAE(TrainedGenerator):
    """The variational autoencoder in two or three dimensions, by the shape of the images.

    To train on CPUs the networks work on patches folded into channels. The loss of an image is its negative evidence
    lower bound in nats, with the weight ``beta``.

    Attributes:
        patch: Side of the folded patches, 1 folds nothing; in 2D and in 3D.
        channels: Feature channels, finest level first, at least two; each level halves the sides.
        blocks: Convolutions per residual unit; each level has one unit.
        latent: Length of the latent vector.
        beta: Weight of the Kullback-Leibler divergence; 1 is the evidence lower bound.
        sd: Standard deviation of the pixels' likelihood, for images in [0, 1].
        width: "small", "base" or "large": half, once or twice the channels.
        augment: "none", "study" or "strong": what is done to training images (:mod:`_augment`).
        views: Augmented versions of each training image in the aggregate posterior; of no consequence without
            augmentation.
        steps: Optimizer steps.
        batch: Images per minibatch; in 2D and in 3D.
        learning_rate: Highest learning rate.
        weight_decay: AdamW's decoupled weight decay.
        warm_up: Share of the steps over which the learning rate rises.
        ema: Decay of the averaged weights.
        accumulate: Minibatches per optimizer step.
    """

    patch: tuple[int, ...] = (2, 2)
    channels: tuple[int, ...] = (32, 64, 128)
    blocks: int = 1
    latent: int = 64
    beta: float = 20.0
    sd: float = 0.1
    width: str = "base"
    augment: str = "none"
    views: int = 16
    steps: int = 1500
    batch: tuple[int, ...] = (16, 8)
    learning_rate: float = 1e-3
    weight_decay: float = 1e-4
    warm_up: float = 0.05
    ema: float = 0.995
    accumulate: int = 1

    NAME: ClassVar[str] = "vae"
    PRESETS: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "smoke": {"channels": (16, 16), "latent": 8, "steps": 20, "batch": (8, 8)},
        "quick": {},
        "standard": {
            "patch": (1, 2),
            "channels": (32, 64, 128, 256),
            "blocks": 2,
            "latent": 128,
            "steps": 20_000,
            "batch": (64, 32),
            "learning_rate": 5e-4,
            "ema": 0.999,
        },
        "paper": {
            "patch": (1, 1),
            "channels": (64, 128, 256, 512),
            "blocks": 2,
            "latent": 256,
            "steps": 100_000,
            "batch": (64, 32),
            "learning_rate": 2e-4,
            "ema": 0.9999,
        },
    }

    def __post_init__(self) -> None:
        """Refuse settings that no network can have.

        Raises:
            ValueError: A count is below 1, ``sd`` or ``beta`` is out of range, or ``channels`` has one level.
        """
        check_fields(self, lists=("channels",), pairs=("patch", "batch"))
        if self.sd <= 0:
            raise ValueError(f"sd is {self.sd}; give more than 0")
        if self.beta < 0:
            raise ValueError(f"beta is {self.beta}; give at least 0")
        if len(self.channels) < 2:
            raise ValueError(f"channels has {len(self.channels)} level; give at least two")

    def _make(self, dimensions: int) -> Mapping[str, nn.Module]:
        self.patch_, self.batch_ = self._value(self.patch), self._value(self.batch)
        multiple = self._multiple()
        channels = scaled(self.channels, self.width)
        self.net_: nn.Module = VarAutoEncoder(
            dimensions,
            in_shape=(
                self.patch_**dimensions,
                *[-(-side // multiple) * multiple // self.patch_ for side in self.shape_],
            ),
            out_channels=self.patch_**dimensions,
            latent_size=self.latent,
            channels=channels,
            strides=(2,) * len(channels),
            num_res_units=self.blocks,
            norm=None,  # it would follow the last convolution too and take each image's brightness away
            act="swish",
        )
        self.latents_ = Normal(self.latent)
        return {"latent": self.latents_, "autoencoder": self.net_}

    def _multiple(self) -> int:
        return self.patch_ << len(self.channels)

    def _learn(self, pixels: Tensor, fit: Fit) -> Losses:
        """Maximize the evidence lower bound over encoder and decoder together."""
        seed = fit.seed("autoencoder")

        def loss(k: int) -> Tensor:
            real = minibatch(pixels, self.batch_, k, augment=self.augment, seed=seed).to(self.device_)
            noise = torch.randn(self.batch_, self.latent, generator=step_generator(seed, "latent", k)).to(self.device_)
            return self._negative_elbo(real, noise).mean() / pixels[0].numel()  # nats per pixel

        losses = train_loop(
            self.net_,
            loss,
            training_of(self, self.steps, self.learning_rate),
            name="autoencoder",
            context=fit.context,
            identity=fit.identity,
            batch=self.batch_,
        )
        self._fit_latents(pixels, fit.seed("views"))
        return {"autoencoder": losses}

    @torch.no_grad()
    def _fit_latents(self, pixels: Tensor, seed: int) -> None:
        """Mean and covariance of the aggregate posterior, the mixture of q(z|x) over the training images (N, 1, *S).

        The covariance of a mixture of normals is that of their means plus the mean of theirs.
        """
        means, variances = [], []
        for view in range(1 if self.augment == "none" else self.views):
            seen = augmented(pixels, self.augment, step_generator(seed, "view", view))
            for part in seen.split(self.batch_):  # type: ignore[no-untyped-call]
                mean, log_variance = self._encode(part.to(self.device_))
                means.append(mean.double())
                variances.append(log_variance.double().exp())
        every = torch.cat(means)  # (N * views, Z)
        covariance = torch.cov(every.T, correction=0) + torch.diag(torch.cat(variances).mean(dim=0))
        self.latents_.mean = every.mean(dim=0).float()
        # laid out as a stored one, since the layout decides the last bits
        self.latents_.factor = torch.linalg.cholesky(covariance).float().contiguous()

    def _negative_elbo(self, real: Tensor, noise: Tensor) -> Tensor:
        """-ELBO of each image, in nats.

        Args:
            real: (B, 1, *S) in [-1, 1].
            noise: (B, Z) standard normal.

        Returns:
            (B,)
        """
        mean, log_variance = self._encode(real)  # (B, Z) each
        latent = mean + torch.exp(0.5 * log_variance) * noise  # z ~ q(z|x), the reparameterization trick
        sd = 2 * self.sd  # pixels here span [-1, 1]
        squares = ((self._decode(latent) - real) / sd) ** 2
        misfit = 0.5 * squares + math.log(self.sd * math.sqrt(2 * math.pi))  # -log N(x; g(z), sd^2) of x in [0, 1]
        # KL(N(m, s^2) || N(0, 1)), Kingma & Welling, appendix B
        divergence = 0.5 * (mean**2 + log_variance.exp() - log_variance - 1)
        bound: Tensor = misfit.flatten(1).sum(dim=1) + self.beta * divergence.sum(dim=1)
        return bound

    def _encode(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """Images (B, 1, *S) to mean and logarithm of the variance of q(z|x), (B, Z) each."""
        with autocast(self.device_):
            mean, log_variance = self.net_.encode_forward(to_patches(pixels, self.patch_))  # type: ignore[operator]
        return mean.float(), log_variance.float()

    def _decode(self, latent: Tensor) -> Tensor:
        """Latents (B, Z) to mean images (B, 1, *S) in about [-1, 1]."""
        with autocast(self.device_):
            patches = self.net_.decode_forward(latent, use_sigmoid=False)  # type: ignore[operator]
        return from_patches(patches.float(), self.patch_)

    def _noise(self, random: torch.Generator) -> Tensor:
        return torch.randn(self.latent, generator=random)

    def _draw(self, noise: Tensor) -> Tensor:
        """The mean images g(z): pixel noise of the likelihood's standard deviation would only add grain."""
        return self._decode(self.latents_(noise))

    def _samples_at_once(self) -> int:
        return self.batch_

    def _losses(self, pixels: Tensor, seed: int) -> Tensor:
        """The mean of -ELBO over ``LOSS_DRAWS`` latents of each image; every image gets the same noise."""
        noise = torch.randn(LOSS_DRAWS, self.latent, generator=step_generator(seed, "loss")).to(self.device_)
        losses = []
        for part in pixels.split(self.batch_):  # type: ignore[no-untyped-call]
            real = part.to(self.device_)
            draws = [self._negative_elbo(real, draw.expand(len(real), -1)) for draw in noise]
            losses.append(torch.stack(draws).mean(dim=0))
        return torch.cat(losses)


class Normal(nn.Module):
    """The normal distribution that latents are drawn from.

    Args:
        length: Z, of a latent.
    """

    mean: Tensor  # (Z,)
    factor: Tensor  # (Z, Z), lower: covariance = factor factor^T

    def __init__(self, length: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(length))
        self.register_buffer("factor", torch.eye(length))

    def forward(self, noise: Tensor) -> Tensor:
        """Standard normal numbers (B, Z) to latents (B, Z)."""
        return self.mean + noise @ self.factor.T
