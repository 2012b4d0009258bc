"""A class of plain torch with its weights: ``torch:FILE.py:CLASS`` and ``--weights FILE.safetensors``.

The class is made without arguments, takes its weights by ``load_state_dict``, and has a method ``sample(n)``, which may
take ``generator=``, ``seed=`` or ``device=`` too. What it draws from torch's, NumPy's or Python's global random state
is seeded, and given back. The file is your own code and is run.
"""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from memobench.base.errors import MemobenchError, UsageError
from memobench.base.registry import module_of
from memobench.base.seeds import derive_seed
from memobench.checkpoints.checkpoint import as_images, refuse_pickles, seed_everything

HOW = 'safetensors.torch.save_file(model.state_dict(), "w.safetensors")'


@dataclass
class TorchSampler:
    """Calls ``sample`` of a class.

    Attributes:
        black: The value of black in what ``sample`` gives.
        white: The value of white.
        batch: Images drawn at once.
    """

    black: float = 0.0
    white: float = 1.0
    batch: int = 32

    def at(self, file: Path, name: str, weights: Path | None) -> None:
        """Look at the files.

        Raises:
            UsageError: One is missing.
        """
        if not file.is_file() or file.suffix != ".py":
            raise UsageError(f"there is no Python file {file}; give torch:FILE.py:CLASS")
        if weights is not None and weights.suffix != ".safetensors":
            raise UsageError(f"{weights} is no safetensors file; save the weights again: {HOW}")
        if weights is not None and not weights.is_file():
            refuse_pickles(weights.parent, weights, HOW)
        self._file, self._name, self._weights = file, name, weights

    def files(self) -> list[Path]:
        """The file of the class, and the weights."""
        return [self._file, *([self._weights] if self._weights else [])]

    def refuses(self, shape: tuple[int, ...]) -> str | None:
        """Only its samples tell."""
        return None

    def load(self, device: str) -> None:
        """See :class:`memobench.checkpoints.checkpoint.Sampler`."""
        kind = self._kind(module_of(self._file, "torch"))
        try:
            model = kind()
        except TypeError as error:
            raise UsageError(
                f"{self._name}() cannot be made without arguments ({error}); give them defaults"
            ) from error
        if self._weights is not None:
            self._load_weights(model, self._weights)
        if not callable(getattr(model, "sample", None)):
            raise UsageError(f"{self._name} has no method sample(n); add one that gives (n, H, W) or (n, 1, H, W)")
        self._model: Any = model.to(device).eval() if hasattr(model, "to") else model
        self._device = device

    def draw(self, members: range, seed: int) -> NDArray[np.float32]:
        """See :class:`memobench.checkpoints.checkpoint.Sampler`."""
        import torch

        seed = derive_seed(seed, "batch", members.start)
        seed_everything(seed)
        takes = inspect.signature(self._model.sample).parameters
        every = any(one.kind is inspect.Parameter.VAR_KEYWORD for one in takes.values())
        offered = {"generator": torch.Generator().manual_seed(seed), "seed": seed, "device": self._device}
        given = {name: value for name, value in offered.items() if name in takes and not every}
        try:
            with torch.no_grad():
                made = self._model.sample(len(members), **given)
        except Exception as error:
            raise MemobenchError(f"{self._name}.sample raised {type(error).__name__}: {_line(error)}") from error
        return as_images(made, self.black, self.white, None)

    def _kind(self, module: ModuleType) -> Any:
        kind = getattr(module, self._name, None)
        if not inspect.isclass(kind):
            known = ", ".join(name for name, value in vars(module).items() if inspect.isclass(value)) or "none"
            raise UsageError(f"{self._file} has no class {self._name}; its classes are: {known}")
        return kind

    def _load_weights(self, model: Any, weights: Path) -> None:
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        try:
            model.load_state_dict(load_file(weights))
        except (SafetensorError, OSError) as error:
            raise MemobenchError(f"{weights} cannot be read ({_line(error)}); save the weights again: {HOW}") from error
        except (RuntimeError, AttributeError) as error:
            raise MemobenchError(f"{weights} holds no weights of {self._name} ({_line(error)})") from error


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]
