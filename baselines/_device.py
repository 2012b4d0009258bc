"""Between images and networks: pixels in and out, devices, precision, reproducible convolutions, weights as arrays."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from memobench.images import Images
from memobench.training import acceleration
from numpy.typing import NDArray
from torch import Tensor, nn

from ._nets import crop, pad


def to_pixels(images: Images, multiple: int) -> Tensor:
    """Images as (N, 1, *S) in [-1, 1], padded until ``multiple`` divides every side, on the CPU; always a copy."""
    return pad(torch.tensor(np.asarray(images.pixels))[:, None] * 2 - 1, multiple)


def to_images(pixels: Tensor, shape: Sequence[int]) -> NDArray[np.float32]:
    """Pixels (N, 1, *padded) in [-1, 1] to images (N, *S) in [0, 1], cropped and clipped.

    >>> to_images(torch.full((2, 1, 8, 8), 3.0), (5, 8)).max()
    np.float32(1.0)
    """
    images: NDArray[np.float32] = ((crop(pixels, shape)[:, 0].float() + 1) / 2).clamp(0, 1).cpu().numpy()
    return images


def place(net: nn.Module, device: torch.device, dimensions: int) -> nn.Module:
    """Move a network to a device; on CUDA with channels last, which its tensor cores want."""
    net = net.to(device)
    if device.type == "cuda":
        net.to(memory_format=torch.channels_last if dimensions == 2 else torch.channels_last_3d)
    return net


def autocast(device: torch.device) -> torch.autocast:
    """Compute in bfloat16 where that was chosen, by default on CUDA alone (:mod:`memobench.training.acceleration`)."""
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=acceleration.current().bfloat16(device.type))


@contextmanager
def reproducible() -> Iterator[None]:
    """Have CUDA's convolutions choose algorithms that give the same bits every time."""
    with torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True):
        yield


def weights(nets: Mapping[str, nn.Module]) -> dict[str, NDArray[Any]]:
    """The weights of several networks as named arrays, ``network.weight``."""
    return {
        f"{name}.{key}": np.array(tensor.detach().cpu().numpy(), order="C")
        for name, net in nets.items()
        for key, tensor in net.state_dict().items()
    }


def load_weights(nets: Mapping[str, nn.Module], state: Mapping[str, NDArray[Any]]) -> None:
    """Give networks the weights that :func:`weights` gave, and make them ready to sample.

    Raises:
        RuntimeError: The arrays are not of these networks.
    """
    for name, net in nets.items():
        start = f"{name}."
        net.load_state_dict({key[len(start) :]: torch.tensor(state[key]) for key in state if key.startswith(start)})
        net.requires_grad_(False).eval()
