"""A deliberately broken generator for each rule fails with a message that names the rule."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Self

import numpy as np
import pytest
import torch
from memobench.check import ContractError, check_generator, check_named
from memobench.generator import GENERATORS, Context, Generator
from memobench.images import Images


@dataclass
class Good(Generator):
    """Pixel-wise normal law of the training images."""

    scale: float = 1.0

    def fit(self, images: Images, *, context: Context) -> Self:
        self._mean = images.pixels.mean(axis=0)
        return self

    def sample(self, n: int, *, seed: int) -> np.ndarray:
        noise = np.random.default_rng(seed).normal(size=(n, *self._mean.shape))
        return np.clip(self._mean + 0.1 * self.scale * noise, 0, 1).astype(np.float32)

    def state(self) -> dict[str, Any]:
        return {"mean": self._mean}

    def restore(self, state: Mapping[str, Any], *, device: str = "cpu") -> Self:
        self._mean = state["mean"]
        return self


@dataclass
class KeepsHidden(Good):
    def __post_init__(self) -> None:
        self.hidden = 1


@dataclass
class KeepsAnArray(Good):
    start: Any = field(default_factory=lambda: np.zeros(3))


@dataclass
class NeedsAnArgument(Good):
    steps: int = field(kw_only=True)


class NoQuick(Good):
    PRESETS: ClassVar[Mapping[str, Mapping[str, Any]]] = {"smoke": {}}


class WrongPreset(Good):
    PRESETS: ClassVar[Mapping[str, Mapping[str, Any]]] = {"smoke": {}, "quick": {"steps": 3}}


class ReturnsNothing(Good):
    def fit(self, images: Images, *, context: Context) -> Self:
        super().fit(images, context=context)
        return None  # type: ignore[return-value]


class Mutates(Good):
    def fit(self, images: Images, *, context: Context) -> Self:
        images.pixels[0] = 0
        return super().fit(images, context=context)


class DropsAxis(Good):
    def sample(self, n: int, *, seed: int) -> np.ndarray:
        return super().sample(n, seed=seed)[..., :-1]


class DropsTheAxisOfOne(Good):
    def sample(self, n: int, *, seed: int) -> np.ndarray:
        samples = super().sample(n, seed=seed)
        return samples[0] if n == 1 else samples


class Doubles(Good):
    def sample(self, n: int, *, seed: int) -> np.ndarray:
        return super().sample(n, seed=seed).astype(np.float64)


class LeavesRange(Good):
    def sample(self, n: int, *, seed: int) -> np.ndarray:
        return super().sample(n, seed=seed) * 2


class GivesNaN(Good):
    def sample(self, n: int, *, seed: int) -> np.ndarray:
        return np.full((n, *self._mean.shape), np.nan, dtype=np.float32)


class IgnoresSeed(Good):
    def sample(self, n: int, *, seed: int) -> np.ndarray:
        return super().sample(n, seed=0)


class Unseeded(Good):
    def sample(self, n: int, *, seed: int) -> np.ndarray:
        return super().sample(n, seed=int(np.random.default_rng().integers(2**31)))


class MovesNumpy(Good):
    def sample(self, n: int, *, seed: int) -> np.ndarray:
        np.random.seed(seed)  # noqa: NPY002
        return super().sample(n, seed=seed)


class MovesPython(Good):
    def fit(self, images: Images, *, context: Context) -> Self:
        random.seed(context.seed)
        return super().fit(images, context=context)


class MovesTorch(Good):
    def fit(self, images: Images, *, context: Context) -> Self:
        torch.manual_seed(context.seed)
        return super().fit(images, context=context)


class ForgetsState(Good):
    def restore(self, state: Mapping[str, Any], *, device: str = "cpu") -> Self:
        self._mean = np.zeros_like(state["mean"])
        return self


class KeepsNoArrays(Good):
    def state(self) -> dict[str, Any]:
        return {"mean": object()}


class Remembers(Good):
    def fit(self, images: Images, *, context: Context) -> Self:
        before = getattr(self, "_mean", None)
        super().fit(images, context=context)
        if before is not None:
            self._mean = (self._mean + before) / 2
        return self


class TwoDimensional(Good):
    @classmethod
    def skip(cls, shape: tuple[int, ...]) -> str | None:
        return None if len(shape) == 2 else "it models pictures only"


def test_a_good_generator_passes_every_rule() -> None:
    assert len(check_generator(Good)) == 12
    assert len(check_generator(Good, (16, 16, 16))) == 12


BROKEN: list[tuple[type[Generator], str]] = [
    (KeepsHidden, "constructor"),
    (KeepsAnArray, "constructor"),
    (NeedsAnArgument, "constructor"),
    (NoQuick, "presets"),
    (WrongPreset, "presets"),
    (ReturnsNothing, "fit returns self"),
    (Mutates, "input"),
    (DropsAxis, "shape"),
    (DropsTheAxisOfOne, "shape"),
    (Doubles, "dtype"),
    (LeavesRange, "range"),
    (GivesNaN, "range"),
    (Unseeded, "same seed"),
    (IgnoresSeed, "another seed"),
    (MovesNumpy, "global random state"),
    (MovesPython, "global random state"),
    (MovesTorch, "global random state"),
    (ForgetsState, "save and load"),
    (KeepsNoArrays, "save and load"),
    (Remembers, "refit forgets"),
]


def test_every_rule_is_broken_by_a_generator() -> None:
    assert {rule for _, rule in BROKEN} == set(check_generator(Good))


@pytest.mark.parametrize(("kind", "rule"), BROKEN)
def test_each_broken_rule_is_named(kind: type[Generator], rule: str) -> None:
    with pytest.raises(ContractError, match=f'rule "{rule}" is broken'):
        check_generator(kind)


def test_a_generator_may_skip_with_a_reason() -> None:
    assert check_generator(TwoDimensional, (16, 16, 16)) == ["skipped: it models pictures only"]


@pytest.mark.parametrize("name", GENERATORS.names())
@pytest.mark.parametrize("shape", [(32, 32), (16, 16, 16)], ids=["2D", "3D"])
def test_every_registered_generator_keeps_the_contract(name: str, shape: tuple[int, ...]) -> None:
    held = check_generator(GENERATORS.get(name), shape)
    assert len(held) == 12 or held[0].startswith("skipped: ")


def test_a_file_is_checked_by_its_path(tmp_path) -> None:  # type: ignore[no-untyped-def]
    file = tmp_path / "third.py"
    file.write_text(
        "from memobench.generator import GENERATORS\n"
        "from memobench.baselines.noise import Noise\n"
        "from dataclasses import dataclass\n"
        '@GENERATORS.register("third")\n'
        "@dataclass\n"
        "class Third(Noise):\n"
        '    """Noise under another name, and too loud."""\n'
        "    def sample(self, n, *, seed):\n"
        "        return super().sample(n, seed=seed) + 1\n"
    )
    try:
        lines, passed = check_named(str(file))
    finally:
        GENERATORS._loaded.pop("third", None)
    assert not passed
    assert all('rule "range" is broken' in line for line in lines)
