"""How a model is computed where that is of no consequence for what is computed: precision and compilation.

Chosen per run, like the device, and recorded with the fit. A model asks for the choice where it computes, so that no
model carries it among its hyper-parameters.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Literal

from memobench.base.errors import MemobenchError, UsageError, suggest

Precision = Literal["auto", "float32", "bfloat16"]
PRECISIONS: tuple[Precision, ...] = ("auto", "float32", "bfloat16")


@dataclass(frozen=True)
class Acceleration:
    """Precision and compilation of the networks.

    Attributes:
        precision: "float32", "bfloat16" (mixed: weights, losses and moments stay float32), or "auto", which is bfloat16
            on CUDA and float32 elsewhere: most CPUs are not faster in bfloat16, and what is trained is to be the same.
        compile: Whether networks are compiled by torch.compile before they are trained. It costs a minute or so, and
            pays in long trainings on GPUs only.

    Raises:
        UsageError: There is no such precision.
    """

    precision: str = "auto"
    compile: bool = False

    def __post_init__(self) -> None:
        """Refuse unknown words."""
        if self.precision not in PRECISIONS:
            raise UsageError(f'unknown precision "{self.precision}"; {suggest(self.precision, PRECISIONS)}')

    def bfloat16(self, device: str) -> bool:
        """Whether networks compute in bfloat16 on a kind of device.

        >>> Acceleration().bfloat16("cpu"), Acceleration().bfloat16("cuda"), Acceleration("float32").bfloat16("cuda")
        (False, True, False)
        """
        return self.precision == "bfloat16" or (self.precision == "auto" and device == "cuda")


_chosen: ContextVar[Acceleration] = ContextVar("acceleration")


def current() -> Acceleration:
    """What was chosen at this place; the defaults where nothing was."""
    return _chosen.get(Acceleration())


@contextmanager
def accelerated(choice: Acceleration) -> Iterator[None]:
    """Within the block models compute as chosen."""
    before = _chosen.set(choice)
    try:
        yield
    finally:
        _chosen.reset(before)


def device_of(name: str) -> str:
    """The torch device that a word of ``--device`` means: "auto" is cuda where there is one, else cpu.

    Raises:
        MemobenchError: There is no such device, or it cannot be used.
    """
    import torch

    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        torch.empty(1, device=name)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise MemobenchError(f'device "{name}" cannot be used: {reason}; choose --device cpu or auto') from error
    return name
