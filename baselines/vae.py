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

import dataclasses
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
import torch
from memobench.base.errors import MemobenchError
from memobench.base.seeds import derive_seed
from memobench.generator import GENERATORS, Context, Generator
from memobench.images import Images
from memobench.training.loop import Training, batch_indices, seeded, step_generator, train_loop
from memobench.training.processes import drawn
from monai.networks.nets import VarAutoEncoder
from numpy.typing import NDArray
from torch import Tensor, nn

from ._augment import augmented, check_switches
from ._device import autocast, load_weights, place, reproducible, to_images, to_pixels, weights
from ._nets import from_patches, scaled, to_patches

LOSS_DRAWS = 4  # latents of each image that VAE.loss averages over


@GENERATORS.register("vae")
@dataclass
class VAE(Generator):
    """The variational autoencoder in two or three dimensions, by the shape of the images.

    Images are padded inside to sides that the encoder can halve, and samples are cropped back. To train on CPUs the
    networks work on patches folded into channels. Where 2D and 3D differ, a field holds two values, the first for 2D.

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
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            least = min(value, default=0) if isinstance(value, tuple | list) else value
            if field.type in ("int", "tuple[int, ...]") and least < 1:
                raise ValueError(f"{field.name} is {value}; give at least 1")
        if self.sd <= 0:
            raise ValueError(f"sd is {self.sd}; give more than 0")
        if self.beta < 0:
            raise ValueError(f"beta is {self.beta}; give at least 0")
        check_switches(self.width, self.augment)
        self.channels = tuple(self.channels)  # lists come from JSON
        if len(self.channels) < 2:
            raise ValueError(f"channels has {len(self.channels)} level; give at least two")
        for name in ("patch", "batch"):
            setattr(self, name, tuple(getattr(self, name)))
            if len(getattr(self, name)) != 2:
                raise ValueError(f"{name} has {len(getattr(self, name))} values; give one for 2D and one for 3D")

    def fit(self, images: Images, *, context: Context) -> Self:
        """Maximize the evidence lower bound over encoder and decoder together."""
        if not len(images):
            raise MemobenchError("there are no images to fit; give at least one")
        self._build(images.shape, context.device, seed=context.seed)
        identity = json.dumps([images.digest, dataclasses.asdict(self)], sort_keys=True)
        pixels = to_pixels(images, self._multiple())
        seed = derive_seed(context.seed, "autoencoder")

        def loss(k: int) -> Tensor:
            chosen = batch_indices(len(pixels), self.batch_, k, seed=seed)
            real = augmented(pixels[chosen], self.augment, step_generator(seed, "augment", k)).to(self.device_)
            noise = torch.randn(self.batch_, self.latent, generator=step_generator(seed, "latent", k)).to(self.device_)
            return self._negative_elbo(real, noise).mean() / pixels[0].numel()  # nats per pixel

        training = Training(
            steps=self.steps,
            learning_rate=self.learning_rate,
            weight_decay=self.weight_decay,
            warm_up=self.warm_up,
            ema=self.ema,
            accumulate=self.accumulate,
        )
        with reproducible():
            losses = train_loop(
                self.net_,
                loss,
                training,
                name="autoencoder",
                context=context,
                identity=identity,
                batch=self.batch_,
            )
            self._fit_latents(pixels, derive_seed(context.seed, "views"))
        self.history_ = {"autoencoder": losses}
        return self

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
        self.mean_ = every.mean(dim=0).float()  # (Z,)
        # (Z, Z), lower: covariance = factor factor^T; laid out as a stored one, since the layout decides the last bits
        self.factor_ = torch.linalg.cholesky(covariance).float().contiguous()

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

    @torch.no_grad()
    def sample(self, n: int, *, seed: int) -> NDArray[np.float32]:
        """Draw n images, (n, *S) float32 in [0, 1]; image i has a latent of its own, whatever n is.

        These are the mean images g(z): pixel noise of the likelihood's standard deviation would only add grain.
        """
        self._require_fitted()

        def draw(members: range) -> NDArray[np.float32]:
            noise = [torch.randn(self.latent, generator=step_generator(seed, "sample", i)) for i in members]
            latent = self.mean_ + torch.stack(noise).to(self.device_) @ self.factor_.T  # (B, Z)
            return to_images(self._decode(latent), self.shape_)

        with reproducible():
            return drawn(n, self.shape_, self.batch_, draw)

    @torch.no_grad()
    def loss(self, images: Images, *, seed: int) -> NDArray[np.float32]:
        """Negative evidence lower bound of each image in nats, (N,): lower for images that the model has learned.

        The divergence has its weight ``beta``. The mean over ``LOSS_DRAWS`` latents; every image gets the same noise,
        so that images are compared with each other and not with their luck.

        Raises:
            MemobenchError: The images have another shape than those fitted.
        """
        self._require_fitted()
        if images.shape != self.shape_:
            raise MemobenchError(f"images of shape {images.shape} cannot be judged; the fitted ones are {self.shape_}")
        if not len(images):
            return np.zeros(0, dtype=np.float32)
        noise = torch.randn(LOSS_DRAWS, self.latent, generator=step_generator(seed, "loss")).to(self.device_)
        losses = []
        with reproducible():
            for part in to_pixels(images, self._multiple()).split(self.batch_):  # type: ignore[no-untyped-call]
                real = part.to(self.device_)
                draws = [self._negative_elbo(real, draw.expand(len(real), -1)) for draw in noise]
                losses.append(torch.stack(draws).mean(dim=0))
        return torch.cat(losses).cpu().numpy()

    def state(self) -> dict[str, NDArray[Any]]:
        """The averaged weights, the latents' mean and the factor of their covariance, and the images' shape."""
        self._require_fitted()
        latent = {"latent.mean": self.mean_.cpu().numpy(), "latent.factor": self.factor_.cpu().numpy()}
        return {**latent, **weights({"autoencoder": self.net_}), "shape": np.array(self.shape_, dtype=np.float32)}

    def restore(self, state: Mapping[str, NDArray[Any]], *, device: str = "cpu") -> Self:
        """Take up what :meth:`state` gave.

        Raises:
            MemobenchError: The arrays do not belong to a model with these fields.
        """
        try:
            self._build(tuple(int(side) for side in state["shape"]), device, seed=0)
            load_weights({"autoencoder": self.net_}, state)
            self.mean_ = torch.tensor(state["latent.mean"], device=self.device_)
            self.factor_ = torch.tensor(state["latent.factor"], device=self.device_)
        except (KeyError, RuntimeError) as error:
            first = str(error).splitlines()[0]
            raise MemobenchError(f"the state is not of this vae ({first}); give its fields too") from error
        return self

    def _build(self, shape: tuple[int, ...], device: str, *, seed: int) -> None:
        """Make the network anew for images of a shape."""
        self.shape_ = tuple(shape)
        self.device_ = torch.device(device)
        dimensions = len(shape)
        self.patch_, self.batch_ = self.patch[dimensions - 2], self.batch[dimensions - 2]
        channels = scaled(self.channels, self.width)
        multiple = self._multiple()
        padded = [-(-side // multiple) * multiple // self.patch_ for side in shape]
        with seeded(derive_seed(seed, "weights")):
            net: nn.Module = VarAutoEncoder(
                dimensions,
                in_shape=(self.patch_**dimensions, *padded),
                out_channels=self.patch_**dimensions,
                latent_size=self.latent,
                channels=channels,
                strides=(2,) * len(channels),
                num_res_units=self.blocks,
                norm=None,  # it would follow the last convolution too and take each image's brightness away
                act="swish",
            )
        self.net_ = place(net, self.device_, dimensions)

    def _multiple(self) -> int:
        """What the sides of padded images are multiples of."""
        return self.patch_ << len(self.channels)

    def _require_fitted(self) -> None:
        if not hasattr(self, "net_"):
            raise MemobenchError("this vae is not fitted; call fit or restore first")
