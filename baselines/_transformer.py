"""A small decoder-only transformer over discrete codes, which keeps keys and values so that sampling is cheap.

Radford et al., Language Models are Unsupervised Multitask Learners, 2019 (GPT-2: normalisation before each layer,
learned positions, small initial weights), without dropout. MONAI's DecoderOnlyTransformer computes the same but keeps
nothing, so that each new code costs a pass over all before it.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

Cache = list[tuple[Tensor, Tensor]]  # per layer the keys and values so far, each (N, heads, length, width / heads)


class CodeTransformer(nn.Module):
    """The probability of each code, given those before it.

    Args:
        codes: Number of different codes.
        length: Codes per image.
        width: Features per position; ``heads`` divides it.
        layers: Layers of attention and perceptron.
        heads: Attention heads.
    """

    def __init__(self, codes: int, length: int, width: int, layers: int, heads: int) -> None:
        super().__init__()
        self.begin = codes  # the token that stands before the first code
        self.tokens = nn.Embedding(codes + 1, width)
        self.positions = nn.Parameter(torch.zeros(length, width))
        self.layers = nn.ModuleList([_Layer(width, heads, residual_scale=(2 * layers) ** -0.5) for _ in range(layers)])
        self.norm = nn.LayerNorm(width)
        self.logits = nn.Linear(width, codes, bias=False)
        for weight in (self.tokens.weight, self.positions, self.logits.weight):
            nn.init.normal_(weight, std=0.02)

    def forward(self, codes: Tensor) -> Tensor:
        """Logits (N, length, codes) of each code of (N, length), computed from those before it alone."""
        first = torch.full_like(codes[:, :1], self.begin)
        x = self.tokens(torch.cat([first, codes[:, :-1]], dim=1)) + self.positions
        for layer in self.layers:
            x, _ = layer(x, None)
        logits: Tensor = self.logits(self.norm(x))
        return logits

    def step(self, token: Tensor, place: int, cache: Cache | None) -> tuple[Tensor, Cache]:
        """Logits (N, codes) of the code at ``place``, from the token (N,) before it and what the cache knows."""
        x = self.tokens(token[:, None]) + self.positions[place]
        grown: Cache = []
        for index, layer in enumerate(self.layers):
            x, entry = layer(x, cache[index] if cache else None)
            grown.append(entry)
        return self.logits(self.norm(x))[:, 0], grown

    @torch.no_grad()
    def draw(self, uniform: Tensor, temperature: float, top_k: int) -> Tensor:
        """Draw codes one after the other.

        Args:
            uniform: (N, length, codes) random numbers in [0, 1), all the randomness there is: the code with the largest
                logit / temperature + Gumbel noise is a draw from the softmax (Gumbel, 1954).
            temperature: Above 0; below 1 prefers likely codes.
            top_k: Only so many of the likeliest codes are drawn; 0 for all.

        Returns:
            (N, length) codes.
        """
        gumbel = -torch.log(-torch.log(uniform.clamp(1e-20, 1 - 1e-7)))
        count, length, codes = uniform.shape
        token = torch.full((count,), self.begin, device=uniform.device)
        cache: Cache | None = None
        drawn = []
        for place in range(length):
            logits, cache = self.step(token, place, cache)
            logits = logits.float() / temperature
            if 0 < top_k < codes:
                least = logits.topk(top_k, dim=1).values[:, -1:]
                logits = logits.masked_fill(logits < least, -math.inf)
            token = (logits + gumbel[:, place]).argmax(dim=1)
            drawn.append(token)
        return torch.stack(drawn, dim=1)


class _Layer(nn.Module):
    """Causal self-attention and a perceptron, each added to what it was given."""

    def __init__(self, width: int, heads: int, residual_scale: float) -> None:
        super().__init__()
        self.heads = heads
        self.norms = nn.ModuleList([nn.LayerNorm(width), nn.LayerNorm(width)])
        self.attention_in, self.attention_out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.perceptron_in, self.perceptron_out = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)
        for linear in (self.attention_in, self.perceptron_in, self.attention_out, self.perceptron_out):
            nn.init.normal_(linear.weight, std=0.02)
            nn.init.zeros_(linear.bias)
        for linear in (self.attention_out, self.perceptron_out):
            linear.weight.data.mul_(residual_scale)  # so that the sum over the layers starts with unit variance

    def forward(self, x: Tensor, before: tuple[Tensor, Tensor] | None) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """All positions of (N, length, width) at once, or with ``before`` the next one: (N, 1, width)."""
        count, length, width = x.shape
        parts = self.attention_in(self.norms[0](x)).reshape(count, length, 3, self.heads, width // self.heads)
        query, key, value = parts.permute(2, 0, 3, 1, 4)  # each (N, heads, length, width / heads)
        if before:
            key, value = torch.cat([before[0], key], dim=2), torch.cat([before[1], value], dim=2)
        mixed = F.scaled_dot_product_attention(query, key, value, is_causal=before is None)
        x = x + self.attention_out(mixed.transpose(1, 2).reshape(count, length, width))
        x = x + self.perceptron_out(F.gelu(self.perceptron_in(self.norms[1](x))))
        return x, (key, value)
