"""A checkpoint as a generator: trained weights that memobench samples, and what every kind of them has in common."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from memobench.base.errors import DataError, MemobenchError
from memobench.base.seeds import derive_seed
from memobench.base.store import file_digest
from memobench.data.files.picture import grey
from memobench.data.samples import brought_to
from memobench.generator import Context, Generator
from memobench.images import Images

PICKLED = (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle")
LEARNED = "learned."  # of names in a state
MOST_OUTSIDE = 0.1  # of all values: more, and black and white are others than was said


class Sampler(Protocol):
    """How one kind of checkpoint is sampled: a dataclass whose fields are the hyper-parameters of sampling.

    Attributes:
        batch: Images drawn at once.
    """

    batch: int

    def files(self) -> list[Path]:
        """The files that the samples depend on."""
        ...

    def load(self, device: str) -> None:
        """Load the weights.

        Raises:
            MemobenchError: They cannot be used; the message says why and what to do.
        """
        ...

    def draw(self, members: range, seed: int) -> NDArray[np.float32]:
        """Images by their number, (n, *S) in [0, 1], of the model's own shape."""
        ...

    def refuses(self, shape: tuple[int, ...]) -> str | None:
        """Why it has no images for a task of this shape; None where it may have."""
        ...


@dataclass
class Checkpoint(Generator):
    """Trained weights: fitting keeps the images' shape, and learns only where the sampler is told to.

    Attributes:
        sampling: How they are sampled.
    """

    sampling: Any = None

    def fit(self, images: Images, *, context: Context) -> Self:
        """Keep the shape to which samples are brought; go on training where that is asked for."""
        self._shape, self._device = images.shape, context.device
        self._learned: dict[str, NDArray[Any]] = {}
        if self._steps:
            with kept_random_state():
                seed_everything(context.seed)
                self._learned = self.sampling.learn(images, context)
        return self

    @property
    def _steps(self) -> int:
        """For how many steps it goes on learning."""
        return int(getattr(self.sampling, "finetune", 0))

    def sample(self, n: int, *, seed: int) -> NDArray[np.float32]:
        """Draw n images, brought to the task's shape and rounded to 8 bit (:mod:`memobench.data.samples`).

        Raises:
            MemobenchError: The weights cannot be used, or what they give are no images.
        """
        sampler: Sampler = self.sampling
        with kept_random_state():
            sampler.load(self._device)
            if self._learned:
                self.sampling.recall(self._learned)
            parts = []
            for first in range(0, n, sampler.batch):
                members = range(first, min(first + sampler.batch, n))
                drawn = sampler.draw(members, derive_seed(seed, "checkpoint"))
                if drawn.ndim != len(self._shape) + 1 or len(drawn) != len(members):
                    raise MemobenchError(
                        f"the checkpoint gave {len(drawn)} images of {drawn.shape[1:]} where {len(members)} of a "
                        f"{len(self._shape)}D task were asked for; choose a task of its dimension"
                    )
                parts.append(brought_to(drawn, self._shape))
        return np.concatenate(parts)

    def state(self) -> dict[str, NDArray[Any]]:
        """The shape, and what was learned; other weights stay where they are, and the result names their digest."""
        learned = {f"{LEARNED}{name}": value for name, value in self._learned.items()}
        return {"shape": np.array(self._shape, dtype=np.int64), **learned}

    def restore(self, state: Mapping[str, NDArray[Any]], *, device: str = "cpu") -> Self:
        """Take up a shape, and what was learned."""
        self._shape, self._device = tuple(int(side) for side in state["shape"]), device
        self._learned = {name.removeprefix(LEARNED): value for name, value in state.items() if name.startswith(LEARNED)}
        return self

    def notes(self) -> list[str]:
        """That it learned from the training images, where it did."""
        if not self._steps:
            return []
        return [f"fine-tuned for {self._steps} steps on the training images, from the checkpoint's weights"]


def digest_of_files(root: Path, files: Iterable[Path]) -> str:
    """SHA-256 over the files' contents and names, relative to a folder where they lie in it."""
    lines = [
        f"{file.relative_to(root).as_posix() if file.is_relative_to(root) else file.name}\x1f{file_digest(file)}"
        for file in sorted(files)
    ]
    return hashlib.sha256("\x1e".join(lines).encode()).hexdigest()


def refuse_pickles(folder: Path, wanted: Path, how: str) -> None:
    """Say what to do where weights are missing, or stand there as pickles alone.

    Args:
        folder: Where they should lie.
        wanted: The file that is not there.
        how: How such weights are saved as safetensors.

    Raises:
        MemobenchError: Always.
    """
    if pickled := sorted(file.name for file in folder.glob("*") if file.suffix in PICKLED):
        raise MemobenchError(f"{folder / pickled[0]} is a pickle, which is never loaded; save the weights again: {how}")
    raise MemobenchError(f"there is no {wanted}; save the weights: {how}")


def as_images(values: Any, black: float, white: float, dim: int | None) -> NDArray[np.float32]:
    """What a model gave, as (n, *S) grey images in [0, 1].

    Args:
        values: (n, *S) or (n, C, *S) with 1 or 3 channels, an array or a tensor.
        black: The value of black.
        white: The value of white.
        dim: 2 or 3; None to tell by the channels.

    Raises:
        DataError: They are no images, NaN, or more than a tenth of the values lies outside of black and white.

    >>> as_images(np.zeros((2, 1, 4, 4)), -1, 1, 2).shape
    (2, 4, 4)
    """
    if hasattr(values, "detach"):
        values = values.detach().float().cpu().numpy()
    found = np.asarray(values, dtype=np.float32)
    if dim is None:
        dim = found.ndim - 2 if found.ndim > 3 and found.shape[1] in (1, 3) else found.ndim - 1
    if found.ndim == dim + 2 and found.shape[1] in (1, 3):
        found = np.asarray(grey(np.moveaxis(found, 1, -1))[0], dtype=np.float32)
    if found.ndim != dim + 1 or dim not in (2, 3):
        shape = "x".join(map(str, found.shape))
        raise DataError(
            f"the model gave values of shape {shape}; give (n, H, W) or (n, D, H, W), or with 1 or 3 channels"
        )
    if not np.isfinite(found).all():
        raise DataError("the model gave NaN or infinite values; its weights or its precision do not fit")
    unit = (found - black) / (white - black)
    outside = float(((unit < -0.01) | (unit > 1.01)).mean())
    if outside > MOST_OUTSIDE:
        raise DataError(
            f"{outside:.0%} of the model's values (from {found.min():g} to {found.max():g}) lie outside {black:g} to "
            f"{white:g}; say which are black and white with --set black=-1 --set white=1"
        )
    return np.asarray(np.clip(unit, 0, 1), dtype=np.float32)


@contextmanager
def kept_random_state() -> Iterator[None]:
    """Give the global random states of random, NumPy and torch back, whatever a model does to them."""
    import torch

    ours, theirs = random.getstate(), np.random.get_state()  # noqa: NPY002  # the global state, to give it back
    with torch.random.fork_rng():
        try:
            yield
        finally:
            random.setstate(ours)
            np.random.set_state(theirs)  # noqa: NPY002


def seed_everything(seed: int) -> None:
    """Seed the global random states of random, NumPy and torch, for code that draws from them."""
    import torch

    random.seed(seed)
    np.random.seed(seed % 2**32)  # noqa: NPY002  # for code that is not ours
    torch.manual_seed(seed)
