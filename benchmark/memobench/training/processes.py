"""Several processes that train and sample one model together, as `torchrun` or `accelerate launch` start them.

Every process runs the same program. The first, the main one, does everything that a single process would: it alone
reads, measures and writes. The others join it in :func:`memobench.training.loop.train_loop` and where a model draws its
samples, each with a share of the minibatches. Outside :func:`process_group` nothing is exchanged and every process is
on its own, so that code that knows nothing of processes never waits for another one.

The exchange itself is accelerate's: gloo between CPUs, NCCL between GPUs.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from torch import Tensor

T = TypeVar("T")

PATIENCE = timedelta(days=2)  # the others wait while the main process trains the detector


@dataclass(frozen=True)
class Group:
    """How many processes there are, and which this one is.

    Attributes:
        count: Number of processes, at least 1.
        index: Number of this one, from 0, the main process.
    """

    count: int = 1
    index: int = 0

    @property
    def main(self) -> bool:
        """Whether this is the process that reads, measures and writes."""
        return self.index == 0


ALONE = Group()
_active: ContextVar[Group] = ContextVar("processes", default=ALONE)


def launched() -> Group:
    """The processes that a launcher started, from the variables that it sets; one where there was no launcher."""
    return Group(int(os.environ.get("WORLD_SIZE", "1")), int(os.environ.get("RANK", "0")))


def device_of_process(name: str) -> str:
    """The device of this process: of several GPUs each process of a machine takes its own.

    >>> device_of_process("cpu")
    'cpu'
    """
    return f"cuda:{os.environ.get('LOCAL_RANK', '0')}" if name == "cuda" and launched().count > 1 else name


@contextmanager
def process_group(device: str) -> Iterator[Group]:
    """Within the block the launched processes work together; without a launcher the block is as any other.

    Args:
        device: A torch device of this process; decides what carries the exchange.
    """
    group = launched()
    if group.count > 1:
        from accelerate import PartialState  # starts the exchange; a second one is the first

        PartialState(cpu=device == "cpu", timeout=PATIENCE)
    before = _active.set(group)
    try:
        yield group
    finally:
        _active.reset(before)


def leave_processes() -> None:
    """End the exchange with other processes, if there is one: its threads would else outlive the interpreter.

    A process that ends while they run is aborted now and then ("terminate called without an active exception").
    """
    if launched().count > 1:
        from torch import distributed

        if distributed.is_available() and distributed.is_initialized():
            distributed.destroy_process_group()


@contextmanager
def single_process() -> Iterator[None]:
    """Within the block each process is on its own again, for work that cannot be shared."""
    before = _active.set(ALONE)
    try:
        yield
    finally:
        _active.reset(before)


def current() -> Group:
    """The processes that work together at this place: one outside :func:`process_group`."""
    return _active.get()


def broadcast(value: T) -> T:
    """The main process's value, in every process; a meeting point of all."""
    if current().count == 1:
        return value
    from accelerate.utils import broadcast_object_list

    values: list[Any] = broadcast_object_list([value])
    shared: T = values[0]
    return shared


def shard(items: Sequence[T]) -> Sequence[T]:
    """This process's share of items, taken in turn; all of them where it is alone.

    >>> shard(range(3))
    range(0, 3)
    """
    return items[current().index :: current().count]


def all_reduce(array: NDArray[np.float32]) -> NDArray[np.float32]:
    """The sum over the processes, in each of them: what each filled of an array of zeros, put together.

    >>> all_reduce(np.ones(2, dtype=np.float32))
    array([1., 1.], dtype=float32)
    """
    if current().count == 1:
        return array
    import torch

    whole: NDArray[np.float32] = _summed(torch.from_numpy(array)).numpy()
    return whole


def drawn(
    n: int, shape: Sequence[int], batch: int, draw: Callable[[range], NDArray[np.float32]]
) -> NDArray[np.float32]:
    """Draw n images batch by batch, the batches shared by the processes; every process gets all images.

    Args:
        n: How many.
        shape: Of one image.
        batch: Images at once.
        draw: ``draw(members)`` gives the images with the numbers ``members``, (len(members), *shape), which may depend
            on nothing but these numbers.

    >>> drawn(3, (1,), 2, lambda members: np.array([[i] for i in members], dtype=np.float32)).ravel()
    array([0., 1., 2.], dtype=float32)
    """
    images = np.zeros((n, *shape), dtype=np.float32)
    for first in shard(range(0, n, batch)):
        members = range(first, min(n, first + batch))
        images[first : members.stop] = draw(members)
    return all_reduce(images)


def sum_in_place(tensors: Sequence[Tensor]) -> None:
    """Replace tensors of one type by their sums over the processes, in one exchange."""
    if current().count == 1 or not tensors:
        return
    import torch

    whole = _summed(torch.cat([tensor.reshape(-1) for tensor in tensors]))
    parts = torch.split(whole, [tensor.numel() for tensor in tensors])
    for tensor, part in zip(tensors, parts, strict=True):
        tensor.copy_(part.reshape(tensor.shape))


def _summed(tensor: Tensor) -> Tensor:
    from accelerate import PartialState
    from accelerate.utils import reduce

    home = tensor.device
    summed: Tensor = reduce(tensor.to(PartialState().device), reduction="sum")  # NCCL knows no tensors of the CPU
    return summed.to(home)
