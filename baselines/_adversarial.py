"""The adversarial part of a first stage: a discriminator of patches, and the features that it sees.

Esser et al., Taming Transformers for High-Resolution Image Synthesis, CVPR 2021, section 3.1; Rombach et al.,
High-Resolution Image Synthesis with Latent Diffusion Models, CVPR 2022, appendix G. A discriminator (Isola et al.,
Image-to-Image Translation with Conditional Adversarial Networks, CVPR 2017) gives each overlapping patch of an image a
score: D(x) is a map of scores, D_l(x) the features of its layer l. With x^ the reconstruction of x and least squares
(Mao et al., Least Squares Generative Adversarial Networks, ICCV 2017),

    D minimises            1/2 mean (D(x) - 1)^2 + 1/2 mean D(x^)^2
    autoencoder minimises  L_rec + adversarial lambda L_seen
                           L_seen = mean (D(x^) - 1)^2 + features mean_l mean |D_l(x^) - D_l(x)|
                           lambda = |grad_W L_rec| / (|grad_W L_seen| + 1e-6)

where L_rec is what the autoencoder minimises without D, and W are the weights of the decoder's last layer. lambda is
Esser et al.'s adaptive weight (equation 7). A fixed weight, as in MONAI's tutorials, fits one scale of L_rec; this one
holds for every preset, loss and number of axes.

The second term of L_seen is feature matching (Larsen et al., Autoencoding beyond pixels using a learned similarity
metric, ICML 2016; with all layers Wang et al., pix2pixHD, CVPR 2018). It takes the place of the perceptual loss, which
rests on weights that somebody trained on other images; where such weights are given, see :mod:`_perceptual`.

Unlike the papers: least squares in place of the hinge, which MONAI computes of a squashed score, and instance
normalisation (pix2pixHD) in place of that over the batch, so that no image depends on its neighbours.
"""

from __future__ import annotations

from typing import Protocol

import torch
from memobench.training.loop import seeded
from monai.losses.adversarial_loss import PatchAdversarialLoss
from monai.networks.nets import PatchDiscriminator
from torch import Tensor, nn
from torch.nn import functional as F

from ._device import autocast, place

LAYERS = 3  # of the discriminator after its first; three see patches of 70 x 70 pixels
SMALLEST = 3  # side of the grid that the last two convolutions, which lose one place each, leave a score of
LEAST = 1e-6  # keeps lambda finite


class AdversarialFields(Protocol):
    """The fields of a model that the adversarial part is made by; `ldm` describes them."""

    adversarial: float
    features: float
    discriminator_channels: int


class PatchGame:
    """A discriminator, and the loss of both players.

    Args:
        fields: Of the model.
        sides: Of a padded image.
        device: Where the images are.
        seed: Of the discriminator's first weights.

    Attributes:
        net: MONAI's PatchDiscriminator.
    """

    def __init__(self, fields: AdversarialFields, sides: tuple[int, ...], device: torch.device, *, seed: int) -> None:
        self.fields, self.device = fields, device
        with seeded(seed):
            made = PatchDiscriminator(
                len(sides),
                channels=fields.discriminator_channels,
                in_channels=1,
                num_layers_d=layers(min(sides)),
                norm="INSTANCE",
            )
        self.net = place(made, device, len(sides))
        self.least_squares = PatchAdversarialLoss(criterion="least_squares", no_activation_leastsq=True)

    def loss(self, made: Tensor, real: Tensor, reconstruction: Tensor, last: Tensor) -> Tensor:
        """One scalar whose gradient is that of D's loss for D's weights and the autoencoder's for all others.

        Both players move at once, so that D sees each reconstruction once.

        Args:
            made: Reconstructions x^ (B, 1, *S).
            real: x, of the same shape.
            reconstruction: L_rec, a scalar.
            last: W, of the decoder.

        Returns:
            In value L_rec plus D's loss.
        """
        fake = made.detach().requires_grad_()
        with autocast(self.device):
            of_fake, of_real = ([layer.float() for layer in self.net(images)] for images in (fake, real))
        matched = [F.l1_loss(one, other.detach()) for one, other in zip(of_fake[:-1], of_real[:-1], strict=True)]
        seen = self.least_squares(of_fake[-1], target_is_real=True, for_discriminator=False)
        seen = seen + self.fields.features * torch.stack(matched).mean()  # L_seen
        (pull,) = torch.autograd.grad(seen, fake, retain_graph=True)
        through = (pull * made).sum()  # has L_seen's gradient for the autoencoder's weights and none for D's
        weight = self.fields.adversarial * adaptive_weight(reconstruction, through, last)
        own = self.least_squares(of_real[-1], target_is_real=True, for_discriminator=True)
        own = (own + self.least_squares(of_fake[-1], target_is_real=False, for_discriminator=True)) / 2
        total: Tensor = reconstruction + weight * (through - through.detach()) + own
        return total


def adaptive_weight(one: Tensor, other: Tensor, last: Tensor) -> Tensor:
    """How much larger the gradient of one loss is than that of another, at the weights of a layer.

    >>> weights = torch.ones(4, requires_grad=True)
    >>> round(adaptive_weight((3 * weights).sum(), (2 * weights).sum(), weights).item(), 3)
    1.5
    """
    norms = [torch.autograd.grad(loss, last, retain_graph=True)[0].norm() for loss in (one, other)]
    weight: Tensor = norms[0] / (norms[1] + LEAST)
    return weight


def layers(side: int) -> int:
    """Layers that a discriminator can have on images with this shortest side, at most ``LAYERS``.

    Each but the last halves the image, as the convolution before them does.

    >>> layers(64), layers(16), layers(8)
    (3, 2, 1)
    """
    return max(1, min(LAYERS, (side // SMALLEST).bit_length() - 1))


def last_weights(decoder: nn.Module) -> Tensor:
    """The weights of a decoder's last convolution."""
    return [weight for weight in decoder.parameters() if weight.ndim > 1][-1]
