"""The perceptual loss of a first stage, where the user has weights of a network that was trained to see.

Zhang et al., The Unreasonable Effectiveness of Deep Features as a Perceptual Metric, CVPR 2018, as MONAI computes it
with a ResNet-50: the squared difference of the last features of two images, each of length 1, averaged over places.
Volumes are seen slice by slice along each axis, half of the slices at a time. memobench downloads no weights; those of
medical images are Mei et al., RadImageNet, 2022.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import torch
from memobench.base.errors import MemobenchError
from memobench.training.loop import seeded
from monai.losses.perceptual import PerceptualLoss
from safetensors import SafetensorError
from safetensors.torch import load
from torch import Tensor

from ._device import autocast


class Perceptual:
    """The loss with the weights of a file, which is never unpickled.

    Args:
        file: The state of a torchvision ResNet-50, as safetensors.
        dimensions: Axes of an image.
        device: Where the images are.

    Attributes:
        digest: SHA-256 of the file.

    Raises:
        MemobenchError: The file cannot be read, or is not of a ResNet-50.
    """

    def __init__(self, file: str, dimensions: int, device: torch.device) -> None:
        self.device = device
        with seeded(0):  # its first weights, which are to draw nothing from the process's random state
            net = PerceptualLoss(dimensions, network_type="resnet50", pretrained=False)
        try:
            content = Path(file).read_bytes()
            found, wanted = load(content), net.perceptual_function.model.state_dict()
            if missing := sorted({*wanted} - {*found}):
                raise MemobenchError(f"it lacks {missing[0]}")
            net.perceptual_function.model.load_state_dict({name: found[name] for name in wanted})
        except (OSError, SafetensorError, RuntimeError, MemobenchError) as error:
            raise MemobenchError(
                f"perceptual_weights {file} cannot be used ({str(error).splitlines()[0][:200]}); give a safetensors "
                "file of torchvision's resnet50, or none"
            ) from error
        self.digest = hashlib.sha256(content).hexdigest()
        self.net = net.to(device)

    def __call__(self, made: Tensor, real: Tensor, *, seed: int) -> Tensor:
        """The loss of reconstructions (B, 1, *S) in [-1, 1], a scalar; the seed chooses slices of volumes."""
        with seeded(seed), autocast(self.device):
            value: Tensor = self.net((made + 1) / 2, (real + 1) / 2)
        return value.float()
