"""An autoencoder whose latent is a grid of codes: each a number of a vector in a learned codebook.

van den Oord et al., Neural Discrete Representation Learning, NeurIPS 2017 (codebook by moving averages: appendix A.1).
Encoder, decoder and quantiser are MONAI's; encoder and decoder are those of the KL autoencoder of the latent models, as
in Esser et al., CVPR 2021.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from monai.networks.layers.vector_quantizer import EMAQuantizer
from monai.networks.nets.autoencoderkl import Decoder, Encoder
from torch import Tensor, nn

from ._nets import groups

UNUSED = 0.1  # vectors per minibatch below which a code of the book is replaced


class QuantisedAutoencoder(nn.Module):
    """Patches of images to grids of codes and back.

    Args:
        dimensions: Axes of an image, 2 or 3.
        channels: Feature channels per level, finest first; each level after the first halves the sides.
        pixels: Input and output channels: pixels of a patch.
        blocks: Residual blocks per level.
        codes: Vectors in the codebook.
        code_channels: Channels of each.
        commitment: Weight of the squared distance of an encoded vector from its code.
        decay: Of the codebook's moving averages per step.
    """

    def __init__(  # noqa: PLR0913  the hyper-parameters of a network
        self,
        dimensions: int,
        *,
        channels: Sequence[int],
        pixels: int,
        blocks: int,
        codes: int,
        code_channels: int,
        commitment: float,
        decay: float,
    ) -> None:
        super().__init__()
        levels = len(channels)
        self.encoder = Encoder(
            dimensions,
            in_channels=pixels,
            channels=list(channels),
            out_channels=code_channels,
            num_res_blocks=[blocks] * levels,
            norm_num_groups=groups(channels),
            norm_eps=1e-6,
            attention_levels=[False] * levels,
            with_nonlocal_attn=False,
        )
        self.decoder = Decoder(
            dimensions,
            channels=list(channels),
            in_channels=code_channels,
            out_channels=pixels,
            num_res_blocks=[blocks] * levels,
            norm_num_groups=groups(channels),
            norm_eps=1e-6,
            attention_levels=[False] * levels,
            with_nonlocal_attn=False,
        )
        self.book = EMAQuantizer(
            dimensions, codes, code_channels, commitment_cost=commitment, decay=decay, ddp_sync=False
        )

    def forward(self, patches: Tensor, random: torch.Generator) -> tuple[Tensor, Tensor]:
        """Reconstruct patches (N, C, *S) in training; moves the codebook.

        Returns:
            The patches again, and the commitment loss, a scalar. The gradient passes the quantiser unchanged.
        """
        vectors = self.encoder(patches).float()
        replace_unused(self.book, vectors, random)
        quantised, commitment, _ = self.book(vectors)
        return self.decoder(quantised), commitment

    def encode(self, patches: Tensor) -> Tensor:
        """Patches (N, C, *S) to codes (N, *grid), whole numbers."""
        codes: Tensor = self.book.quantize(self.encoder(patches).float())[2]
        return codes

    def decode(self, codes: Tensor) -> Tensor:
        """Codes (N, *grid) to patches."""
        patches: Tensor = self.decoder(self.book.embed(codes))
        return patches


@torch.no_grad()
def replace_unused(book: EMAQuantizer, vectors: Tensor, random: torch.Generator) -> None:
    """Put codes that (almost) no vector chooses where vectors are: "random restarts", else most codes die.

    Dhariwal et al., Jukebox, 2020, section 3.1. Before the first step no code was ever chosen, so this also makes the
    first codebook, of encoded vectors.

    Args:
        book: The quantiser, changed in place.
        vectors: (N, C, *grid) encoded vectors of this step.
        random: Chooses among them.
    """
    unused = book.ema_cluster_size < UNUSED
    flat = vectors.movedim(1, -1).flatten(0, -2)  # (N * grid, C)
    chosen = torch.randint(len(flat), (len(unused),), generator=random).to(flat.device)
    # Without a branch on the count, for which an accelerator would have to wait.
    moved = torch.where(unused[:, None], flat[chosen], book.embedding.weight)
    sums = torch.where(unused[:, None], flat[chosen], book.ema_w)
    book.embedding.weight.copy_(moved)
    book.ema_w.copy_(sums)
    book.ema_cluster_size.copy_(torch.where(unused, 1.0, book.ema_cluster_size))
