"""An autoregressive transformer over the codes of a vector-quantised autoencoder.

Esser et al., Taming Transformers for High-Resolution Image Synthesis, CVPR 2021, after van den Oord et al., Neural
Discrete Representation Learning, NeurIPS 2017; for medical images in three dimensions Tudosiu et al.,
Morphology-preserving Autoregressive 3D Generative Modelling of the Brain, 2022. The autoencoder's parts are MONAI's.

Left out of Esser et al.: the adversarial and the perceptual loss of the autoencoder (L1 of pixels and of gradients
stand in, as for all autoencoders here), its attention at the coarsest level, and the sliding window of the transformer,
which sees whole images. So reconstructions are smoother than the paper's.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from memobench.generator import GENERATORS
from memobench.training.loop import batch_indices, step_generator, train_loop
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from ._device import autocast
from ._fields import autoencoder_levels, check_fields, check_levels
from ._first_stage import reconstruction_error
from ._frame import Fit, Losses, TrainedGenerator, augmented_views, minibatch, training_of
from ._nets import from_patches, scaled, to_patches
from ._quantised import QuantisedAutoencoder
from ._transformer import CodeTransformer


@GENERATORS.register("vqgan")
@dataclass
class VQGAN(TrainedGenerator):
    """A vector-quantised autoencoder and a transformer over its codes, in two or three dimensions.

    1. Autoencoder: the encoder's vectors z, one per place of a grid, are replaced by the nearest e of K codes:
       loss = L1(image) + gradients + commitment * |z - sg(e)|^2, sg stopping the gradient. The codes follow moving
       averages of the vectors that chose them; codes that none chooses are replaced (:mod:`_quantised`).
    2. Transformer: p(codes) = prod_i p(code_i | codes before it) over the grid in raster order, fitted by maximum
       likelihood (:mod:`_transformer`).
    3. Sampling: code by code, then the decoder.

    The only model here with an exact likelihood (of the codes). Good at whole anatomies, since each code sees all
    before it; blurred by the codebook; fitted long to few images it writes their codes down.

    The loss of an image is the negative log likelihood of its codes, in nats.

    Attributes:
        downsampling: Side of an image divided by side of its grid of codes, a power of two; in 2D and in 3D.
        patch: Side of the folded patches, a power of two up to ``downsampling``, 1 folds nothing; in 2D and in 3D.
        channels: Autoencoder's feature channels, finest level first; of these the coarsest are used, as many as the
            times that a patch grid is halved, and one.
        autoencoder_blocks: Residual blocks per level of the autoencoder.
        codes: Vectors in the codebook.
        code_channels: Channels of each.
        commitment: Weight of the commitment loss; 0.25 as van den Oord et al.
        codebook_decay: Decay of the codebook's moving averages per step, 0.99 as van den Oord et al.
        gradient: Weight of the L1 difference of image gradients beside that of the pixels (Mathieu et al., ICLR 2016).
        autoencoder_steps: Optimizer steps of the autoencoder.
        autoencoder_batch: Images per minibatch of the autoencoder; in 2D and in 3D.
        autoencoder_rate: Highest learning rate of the autoencoder.
        width: "small", "base" or "large": half, once or twice the channels of both networks.
        augment: "none", "study" or "strong": what is done to training images (:mod:`_augment`).
        views: Augmented versions of each training image that are encoded; without augmentation they change nothing.
        features: Features per position of the transformer; ``heads`` divides it.
        layers: Layers of the transformer.
        heads: Attention heads of each.
        keep: Share of the codes before the predicted one that are right in training, the others are random (`pkeep` in
            the code of Esser et al.). With all of them right and few images, a sample that left the training sequences
            once fell apart.
        steps: Optimizer steps of the transformer.
        batch: Images per minibatch of the transformer; in 2D and in 3D.
        learning_rate: Highest learning rate of the transformer.
        weight_decay: AdamW's decoupled weight decay, for both.
        warm_up: Share of the steps over which the learning rate rises.
        ema: Decay of the averaged weights, for both.
        accumulate: Minibatches per optimizer step, for both.
        temperature: The logits are divided by it in sampling, above 0; below 1 evens out what ``keep`` blurs.
        top_k: Only so many of the likeliest codes are drawn; 0 for all.
        sampling_batch: Images that are drawn at once.
    """

    downsampling: tuple[int, ...] = (8, 8)
    patch: tuple[int, ...] = (4, 4)
    channels: tuple[int, ...] = (64, 64)
    autoencoder_blocks: int = 1
    codes: int = 128
    code_channels: int = 16
    commitment: float = 0.25
    codebook_decay: float = 0.99
    gradient: float = 0.5
    autoencoder_steps: int = 2000
    autoencoder_batch: tuple[int, ...] = (8, 4)
    autoencoder_rate: float = 3e-3
    width: str = "base"
    augment: str = "none"
    views: int = 16
    features: int = 128
    layers: int = 4
    heads: int = 4
    keep: float = 0.75
    steps: int = 1000
    batch: tuple[int, ...] = (32, 32)
    learning_rate: float = 1e-3
    weight_decay: float = 1e-4
    warm_up: float = 0.05
    ema: float = 0.995
    accumulate: int = 1
    temperature: float = 0.8
    top_k: int = 0
    sampling_batch: int = 64

    NAME: ClassVar[str] = "vqgan"
    PRESETS: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "smoke": {
            "channels": (16, 16),
            "codes": 32,
            "autoencoder_steps": 20,
            "autoencoder_batch": (8, 8),
            "features": 32,
            "layers": 2,
            "steps": 20,
            "batch": (8, 8),
        },
        "quick": {},
        "standard": {
            "patch": (2, 4),
            "channels": (64, 128, 128),
            "autoencoder_blocks": 2,
            "codes": 1024,
            "code_channels": 64,
            "autoencoder_steps": 10_000,
            "autoencoder_batch": (16, 8),
            "autoencoder_rate": 5e-4,
            "features": 512,
            "layers": 8,
            "heads": 8,
            "keep": 0.9,
            "steps": 10_000,
            "batch": (64, 32),
            "learning_rate": 3e-4,
            "ema": 0.999,
        },
        "paper": {
            "patch": (1, 1),
            "channels": (32, 64, 128, 128),
            "autoencoder_blocks": 2,
            "codes": 1024,
            "code_channels": 256,
            "autoencoder_steps": 50_000,
            "autoencoder_batch": (8, 4),
            "autoencoder_rate": 1e-4,
            "features": 1024,
            "layers": 24,
            "heads": 16,
            "keep": 1.0,
            "temperature": 1.0,
            "steps": 100_000,
            "learning_rate": 1e-4,
            "ema": 0.9999,
        },
    }

    def __post_init__(self) -> None:
        """Refuse settings that no model can have.

        Raises:
            ValueError: A count or the temperature is too small, a patch does not divide the downsampling, too few
                channels are given, the heads do not divide the features, or a share is none.
        """
        pairs = ("downsampling", "patch", "autoencoder_batch", "batch")
        check_fields(self, lists=("channels",), pairs=pairs, may_be_zero=("top_k",))
        check_levels(self.downsampling, self.patch, self.channels)
        if scaled((self.features,), self.width)[0] % self.heads:
            raise ValueError(f"heads {self.heads} do not divide features {self.features} at width {self.width}")
        if not self.temperature > 0:
            raise ValueError(f"temperature is {self.temperature}; give a number above 0")
        if not 0 < self.keep <= 1:
            raise ValueError(f"keep is {self.keep}; give a number in (0, 1]")
        if not 0 <= self.codebook_decay < 1:
            raise ValueError(f"codebook_decay is {self.codebook_decay}; give a number in [0, 1)")

    def _make(self, dimensions: int) -> Mapping[str, nn.Module]:
        self.patch_, downsampling = self._value(self.patch), self._value(self.downsampling)
        self.batch_, self.autoencoder_batch_ = self._value(self.batch), self._value(self.autoencoder_batch)
        self.grid_ = tuple(-(-side // downsampling) for side in self.shape_)
        self.autoencoder_ = QuantisedAutoencoder(
            dimensions,
            channels=scaled(self.channels[-autoencoder_levels(downsampling, self.patch_) :], self.width),
            pixels=self.patch_**dimensions,
            blocks=self.autoencoder_blocks,
            codes=self.codes,
            code_channels=self.code_channels,
            commitment=self.commitment,
            decay=self.codebook_decay,
        )
        features = scaled((self.features,), self.width)[0]
        self.transformer_ = CodeTransformer(self.codes, math.prod(self.grid_), features, self.layers, self.heads)
        return {"autoencoder": self.autoencoder_, "transformer": self.transformer_}

    def _multiple(self) -> int:
        return self._value(self.downsampling)

    def _learn(self, pixels: Tensor, fit: Fit) -> Losses:
        losses = {"autoencoder": self._fit_autoencoder(pixels, fit)}
        views = augmented_views(pixels, self.augment, self.views, seed=fit.seed("views"))
        losses["transformer"] = self._fit_transformer(self._encode(views), fit)
        return losses

    def _fit_autoencoder(self, pixels: Tensor, fit: Fit) -> NDArray[np.float32]:
        """Minimise L1 of pixels and gradients plus the commitment loss; the codebook moves along."""
        seed = fit.seed("autoencoder")

        def loss(k: int) -> Tensor:
            real = minibatch(pixels, self.autoencoder_batch_, k, augment=self.augment, seed=seed).to(self.device_)
            with autocast(self.device_):
                made, commitment = self.autoencoder_(to_patches(real, self.patch_), step_generator(seed, "codes", k))
            made = from_patches(made.float(), self.patch_)
            total: Tensor = reconstruction_error(made, real, self.gradient) + commitment.float()
            return total

        return train_loop(
            self.autoencoder_,
            loss,
            training_of(self, self.autoencoder_steps, self.autoencoder_rate),
            name="autoencoder",
            context=fit.context,
            identity=fit.identity,
            batch=self.autoencoder_batch_,
            compiled=[self.autoencoder_.encoder, self.autoencoder_.decoder],
        )

    def _fit_transformer(self, codes: Tensor, fit: Fit) -> NDArray[np.float32]:
        """Minimise the negative log likelihood of a code given those before it, some of which are wrong."""
        seed = fit.seed("transformer")

        def loss(k: int) -> Tensor:
            wanted = codes[batch_indices(len(codes), self.batch_, k, seed=seed)]
            random = step_generator(seed, "wrong codes", k)
            kept = (torch.rand(wanted.shape, generator=random) < self.keep).to(self.device_)
            wrong = torch.randint(self.codes, wanted.shape, generator=random).to(self.device_)
            return self._code_losses(wanted, given=torch.where(kept, wanted, wrong)).mean()

        return train_loop(
            self.transformer_,
            loss,
            training_of(self, self.steps, self.learning_rate),
            name="transformer",
            context=fit.context,
            identity=fit.identity,
            batch=self.batch_,
            compiled=[self.transformer_],
        )

    def _code_losses(self, codes: Tensor, given: Tensor) -> Tensor:
        """-log p(code | given codes before it) of codes (N, L), in nats: (N, L)."""
        with autocast(self.device_):
            logits = self.transformer_(given)
        return F.cross_entropy(logits.float().transpose(1, 2), codes, reduction="none")

    def _noise(self, random: torch.Generator) -> Tensor:
        return torch.rand(math.prod(self.grid_), self.codes, generator=random)

    def _draw(self, noise: Tensor) -> Tensor:
        with autocast(self.device_):
            codes = self.transformer_.draw(noise, self.temperature, self.top_k)
            made = self.autoencoder_.decode(codes.reshape(-1, *self.grid_))
        return from_patches(made.float(), self.patch_)

    def _samples_at_once(self) -> int:
        return self.sampling_batch

    def _losses(self, pixels: Tensor, seed: int) -> Tensor:
        """The negative log likelihood of each image's codes, in nats. It is exact: the seed has no influence."""
        parts = self._encode(pixels).split(self.sampling_batch)  # type: ignore[no-untyped-call]
        return torch.cat([self._code_losses(part, given=part).sum(dim=1) for part in parts])

    @torch.no_grad()
    def _encode(self, pixels: Tensor) -> Tensor:
        """Images (N, 1, *S) to their codes in raster order, (N, L), on the device."""
        parts = []
        for part in pixels.split(self.autoencoder_batch_):  # type: ignore[no-untyped-call]
            with autocast(self.device_):
                codes = self.autoencoder_.encode(to_patches(part.to(self.device_), self.patch_))
            parts.append(codes.flatten(1))
        return torch.cat(parts)
