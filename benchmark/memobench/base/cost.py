"""What a training cost, and how its losses went: throughput, peak memory, ``losses.csv``, a log for TensorBoard."""

from __future__ import annotations

import importlib.util
import re
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

LOSSES = "losses.csv"
NO_TENSORBOARD = "no log for TensorBoard, which is not installed: pip install memobench[tensorboard]"


@dataclass(frozen=True)
class Trained:
    """The training of one network.

    Attributes:
        name: What was trained, for example "autoencoder".
        losses: (steps,) the loss of each step.
        images: Training images that went through it, each as often as it did.
        seconds: Time that this took, without interruptions; above 0.
    """

    name: str
    losses: NDArray[np.float32]
    images: int
    seconds: float

    @property
    def images_per_second(self) -> float:
        """The throughput.

        >>> Trained("net", np.zeros(2, dtype=np.float32), images=32, seconds=0.5).images_per_second
        64.0
        """
        return self.images / self.seconds


def losses_csv(trained: Sequence[Trained]) -> str:
    """The losses as a table: network, step, loss.

    >>> print(losses_csv([Trained("net", np.array([0.5, 0.25], dtype=np.float32), 2, 1.0)]), end="")
    network,step,loss
    net,0,0.5
    net,1,0.25
    """
    lines = [f"{one.name},{step},{loss:.7g}" for one in trained for step, loss in enumerate(one.losses.tolist())]
    return "\n".join(["network,step,loss", *lines]) + "\n"


def has_tensorboard() -> bool:
    """Whether TensorBoard is installed."""
    return importlib.util.find_spec("tensorboard") is not None


def write_scalars(folder: Path, name: str, losses: NDArray[np.float32], first: int) -> None:
    """Add losses to a log that TensorBoard reads, as the scalar ``loss/<name>``; nothing where it is not installed.

    Args:
        folder: Where the log lies; made where it is not there.
        name: What was trained.
        losses: (n,) of the steps from ``first``.
        first: Number of the first of these steps. What an interrupted training wrote of later ones is void.
    """
    if not has_tensorboard():
        return
    from torch.utils.tensorboard import SummaryWriter

    with SummaryWriter(str(folder), purge_step=first) as writer:
        for step, loss in enumerate(losses.tolist(), first):
            writer.add_scalar(f"loss/{name.replace(' ', '_')}", loss, step)


def peak_memory(device: str) -> tuple[int, Literal["GPU", "process"]]:
    """The most memory held so far: on CUDA what tensors held on the device, else what this process held.

    Args:
        device: A torch device name.

    Returns:
        Bytes, and whose: "GPU" (since :func:`forget_peak`) or "process" (since it began, data and detector included).
    """
    if device.startswith("cuda"):
        import torch

        return torch.cuda.max_memory_allocated(device), "GPU"
    return _process_peak(), "process"


def _process_peak() -> int:
    """Bytes, from what the system keeps: Linux has a file, POSIX ``resource``, Windows what psutil knows.

    Linux's ``resource`` knows as much, but a process begins there with the peak of the one that started it.
    """
    status = Path("/proc/self/status")
    if status.is_file() and (found := re.search(r"VmHWM:\s+(\d+) kB", status.read_text(encoding="utf-8"))):
        return int(found[1]) * 1024
    try:
        import resource
    except ImportError:
        import psutil

        memory = psutil.Process().memory_info()
        return int(getattr(memory, "peak_wset", memory.rss))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak * (1 if sys.platform == "darwin" else 1024)  # Linux counts in KiB


def forget_peak(device: str) -> None:
    """Start the peak of a GPU again; that of a process cannot be."""
    if device.startswith("cuda"):
        import torch

        torch.cuda.reset_peak_memory_stats(device)


Report = Callable[[Trained], None]


def unreported(trained: Trained) -> None:
    """Forget what a training cost: for tests and libraries."""
