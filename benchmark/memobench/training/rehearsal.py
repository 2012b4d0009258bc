"""How much memory a fit will hold, from a rehearsal: two steps of each network on noise, in a process of its own.

What a step holds does not depend on what the images show, nor on how many steps follow, so two steps (the second has
the optimizer's moments) at the run's own batches, shape and precision hold what the whole training holds.
"""

from __future__ import annotations

import dataclasses
import importlib
import sys
import tempfile
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from pathlib import Path
from pickle import PicklingError

import numpy as np

from memobench.base.cost import forget_peak, peak_memory
from memobench.base.errors import MemobenchError
from memobench.base.spawned import without_main
from memobench.generator import Context, Generator
from memobench.images import Images
from memobench.task import Splits
from memobench.training import acceleration
from memobench.training.acceleration import Acceleration, accelerated

STEPS = 2


@dataclasses.dataclass(frozen=True)
class Rehearsal:
    """What is rehearsed.

    Attributes:
        generator: Unfitted, with the fields of the run.
        shape: Of one image.
        images: Training images.
        device: A torch device name.
        acceleration: Precision and compilation.
        modules: What the run has imported, which takes memory as well.
    """

    generator: Generator
    shape: tuple[int, ...]
    images: int
    device: str
    acceleration: Acceleration
    modules: tuple[str, ...] = ()


def foreseen_peak(generator: Generator, splits: Splits, device: str) -> int:
    """Bytes that a fit will hold at most: of the GPU, or of this process with the images that it has mapped.

    Args:
        generator: Unfitted.
        splits: The task's images; train is fitted.
        device: A torch device name.

    Raises:
        MemobenchError: The rehearsal failed, for example because memory does not suffice.
    """
    train = splits.train
    wanted = Rehearsal(generator, train.shape, len(train), device, acceleration.current(), imported())
    try:
        with ProcessPoolExecutor(1, get_context("spawn")) as pool, without_main():
            peak = pool.submit(_peak, wanted).result()
    except BrokenProcessPool as error:
        raise MemobenchError(
            "the rehearsal of the fit was killed, most likely for want of memory; give a smaller --size, a smaller "
            "batch (--set), or use a larger machine"
        ) from error
    except (ImportError, AttributeError, PicklingError) as error:  # a plug-in's class is not there in another process
        raise MemobenchError(f"this model cannot be rehearsed ({error}); leave out --rehearse") from error
    if device.startswith("cuda"):
        return peak
    sides = [splits.holdout, splits.test, splits.fresh, *([splits.dev] if splits.dev is not None else [])]
    beside = sum(len(side) for side in sides) * int(np.prod(train.shape)) * 4  # float32
    return max(peak + beside, peak_memory(device)[0])


def comparison(foreseen: int, held: int) -> str:
    """The words on what was foreseen and what was held, in bytes.

    >>> comparison(2_000_000_000, 1_900_000_000)
    'the fit held 1.90 GB at most; foreseen were 2.00 GB (+5%)'
    """
    return (
        f"the fit held {held / 1e9:.2f} GB at most; foreseen were {foreseen / 1e9:.2f} GB "
        f"({100 * (foreseen / held - 1):+.0f}%)"
    )


def imported() -> tuple[str, ...]:
    """The modules of memobench that this process has imported: with what they import, they take memory too."""
    return tuple(sorted(name for name in sys.modules if name.startswith("memobench.")))


def shortened(generator: Generator) -> Generator:
    """The same model with two steps of whatever it takes steps of.

    The fields that count steps are those named ``steps``, ``..._steps``.
    """
    values = {field.name: getattr(generator, field.name) for field in dataclasses.fields(generator)}
    fewer = {
        name: STEPS
        for name, value in values.items()
        if isinstance(value, int) and value > STEPS and (name == "steps" or name.endswith("_steps"))
    }
    return dataclasses.replace(generator, **fewer)


def _peak(wanted: Rehearsal) -> int:
    """In a process of its own: the peak after a short fit."""
    for name in wanted.modules:
        importlib.import_module(name)
    pixels = np.random.default_rng(0).random((wanted.images, *wanted.shape), dtype=np.float32)
    names = np.array([str(number) for number in range(wanted.images)])
    generator = shortened(wanted.generator)
    forget_peak(wanted.device)
    with tempfile.TemporaryDirectory() as folder, accelerated(wanted.acceleration):
        context = Context(0, wanted.device, checkpoints=Path(folder))
        generator.fit(Images(pixels, names, names), context=context)
        generator.state()
    return peak_memory(wanted.device)[0]
