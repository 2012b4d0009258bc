"""The contract that every generator must keep, as code: :func:`check_generator` and ``bench check``."""

from __future__ import annotations

import dataclasses
import json
import random
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from memobench.base.errors import MemobenchError
from memobench.base.registry import load_plugin
from memobench.base.seeds import generator_for
from memobench.generator import GENERATORS, Context, Generator
from memobench.images import Images

SHAPES = ((32, 32), (16, 16, 16))
COUNT = 6


class ContractError(MemobenchError):
    """A generator breaks a rule of the contract; the message begins with the rule's name."""


def check_generator(kind: type[Generator], shape: tuple[int, ...] = (32, 32), *, device: str = "cpu") -> list[str]:
    """Prove a generator against every rule, with its smoke preset on small made-up images.

    Args:
        kind: The generator's class.
        shape: Shape of one image, (H, W) or (D, H, W).
        device: A torch device.

    Returns:
        The names of the rules that hold, or one line "skipped: reason" where the class says it cannot model the shape.

    Raises:
        ContractError: A rule is broken; the message names the rule, what was seen and what to do.
    """
    if reason := kind.skip(shape):
        return [f"skipped: {reason}"]
    held = ["constructor", "presets"]
    _constructor(kind)
    _presets(kind)
    images, other = _images(shape, "first"), _images(shape, "second")
    before = images.pixels.copy()
    state = _global_random_state()

    def fitted(on: Images, generator: Generator | None = None) -> Generator:
        generator = generator or kind(**kind.PRESETS["smoke"])
        context = Context(seed=1, device=device, fresh=_images(shape, "fresh"))
        returned = generator.fit(on, context=context)
        _rule("fit returns self", returned is generator, f"it returned {type(returned).__name__}", "end fit with it")
        return generator

    generator = fitted(images)
    held.append("fit returns self")
    _rule("input", np.array_equal(before, images.pixels), "fit changed the training images", "work on a copy")
    held.append("input")
    samples = generator.sample(COUNT, seed=5)
    wanted = (COUNT, *shape)
    _rule("shape", samples.shape == wanted, f"samples are {samples.shape}, not {wanted}", "return (n, *S)")
    _rule("dtype", samples.dtype == np.float32, f"samples are {samples.dtype}", "return float32")
    inside = bool(np.isfinite(samples).all() and samples.min() >= 0 and samples.max() <= 1)
    _rule("range", inside, f"samples span {samples.min()} to {samples.max()}", "clip to [0, 1]")
    one = generator.sample(1, seed=5)
    _rule("shape", one.shape == (1, *shape), f"one sample has shape {one.shape}", "keep the first axis")
    held += ["shape", "dtype", "range"]
    same = np.array_equal(samples, generator.sample(COUNT, seed=5))
    _rule("same seed", same, "the same seed gave other samples", "take all randomness from the seed")
    differ = not np.array_equal(samples, generator.sample(COUNT, seed=6))
    _rule("another seed", differ, "another seed gave the same samples", "use the seed that sample is given")
    held += ["same seed", "another seed"]
    untouched = _same_state(state, _global_random_state())
    _rule(
        "global random state",
        untouched,
        "fit or sample moved the global random state of random, numpy or torch",
        "use generators of your own (torch.Generator, np.random.default_rng), or torch.random.fork_rng",
    )
    held.append("global random state")
    _save_and_load(kind, generator, samples, device)
    held.append("save and load")
    refitted = fitted(other, generator).sample(COUNT, seed=5)
    fresh = fitted(other).sample(COUNT, seed=5)
    same = np.array_equal(refitted, fresh)
    _rule("refit forgets", same, "a second fit depends on the first", "build all learned state again in fit")
    held.append("refit forgets")
    return held


def check_named(name: str, *, device: str = "cpu") -> tuple[list[str], bool]:
    """Check a registered name, or every model that a Python file registers, in 2D and 3D.

    Returns:
        One line per model and shape, and whether all passed.

    Raises:
        UsageError: The name is unknown, or the file cannot be imported or registers nothing.
    """
    names = [name]
    if name.endswith(".py"):
        before = set(GENERATORS.names())
        load_plugin(Path(name))
        names = sorted(set(GENERATORS.names()) - before)
        if not names:
            raise MemobenchError(f'{name} registers no model; decorate its class with @GENERATORS.register("name")')
    lines, passed = [], True
    for entry in names:
        kind = GENERATORS.get(entry)
        for shape in SHAPES:
            title = f"{entry} {len(shape)}D"
            try:
                held = check_generator(kind, shape, device=device)
            except ContractError as error:
                lines.append(f"FAILED  {title}: {error}")
                passed = False
            except Exception as error:  # whatever an entry raises is a finding about the entry
                lines.append(f"FAILED  {title}: it raised {type(error).__name__}: {error}")
                passed = False
            else:
                lines.append(f"passed  {title}: {', '.join(held)}")
    return lines, passed


def _rule(name: str, holds: bool, seen: str, fix: str) -> None:
    if not holds:
        raise ContractError(f'rule "{name}" is broken: {seen}; {fix}')


def _constructor(kind: type[Generator]) -> None:
    is_dataclass = dataclasses.is_dataclass(kind)
    _rule("constructor", is_dataclass, f"{kind.__name__} is no dataclass", "decorate it with @dataclass")
    try:
        generator = kind()
        json.dumps(dataclasses.asdict(generator), allow_nan=False)
    except (TypeError, ValueError) as error:
        _rule("constructor", False, str(error), "give every field a default that JSON can hold")
    names = {field.name for field in dataclasses.fields(kind)}
    hidden = sorted(set(vars(generator)) - names)
    _rule("constructor", not hidden, f"constructing sets {', '.join(hidden)}", "store fields only; learn in fit")


def _presets(kind: type[Generator]) -> None:
    names = {field.name for field in dataclasses.fields(kind)}
    for preset in ("smoke", "quick"):
        _rule("presets", preset in kind.PRESETS, f'there is no preset "{preset}"', "add it to PRESETS")
    for preset, values in kind.PRESETS.items():
        unknown = sorted(set(values) - names)
        _rule("presets", not unknown, f'preset "{preset}" sets {", ".join(unknown)}', "use the class's fields")


def _save_and_load(kind: type[Generator], generator: Generator, samples: Any, device: str) -> None:
    from safetensors.numpy import load_file, save_file

    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "state.safetensors"
        try:
            save_file({name: np.ascontiguousarray(array) for name, array in generator.state().items()}, file)
        except Exception as error:
            _rule("save and load", False, f"state() cannot be saved: {error}", "give a dict of NumPy arrays")
        restored = kind(**dataclasses.asdict(generator)).restore(load_file(file), device=device)
    same = np.array_equal(samples, restored.sample(COUNT, seed=5))
    _rule("save and load", same, "a restored generator samples differently", "put all that was learned into state()")


def _images(shape: tuple[int, ...], name: str) -> Images:
    """Smooth made-up images of eight patients: a few blobs each, so that every model has something to learn."""
    rng = generator_for(0, "contract", name)
    grid = np.stack(np.meshgrid(*[np.linspace(-1, 1, side) for side in shape], indexing="ij"))  # (dim, *S)
    pixels = np.zeros((8, *shape))
    for image in pixels:
        for _ in range(3):
            centre = rng.uniform(-0.7, 0.7, size=(len(shape), *[1] * len(shape)))
            image += rng.uniform(0.3, 1) * np.exp(-((grid - centre) ** 2).sum(axis=0) / rng.uniform(0.05, 0.3))
    names = np.array([f"{name}-{i}" for i in range(8)])
    return Images((pixels / pixels.max()).astype(np.float32), names, names)


def _global_random_state() -> list[Any]:
    import torch

    legacy = np.random.get_state(legacy=False)  # noqa: NPY002  # reads the global state, to see that nobody moved it
    return [random.getstate(), legacy, torch.random.get_rng_state()]


def _same_state(first: list[Any], second: list[Any]) -> bool:
    numpy_same = all(np.array_equal(first[1]["state"][key], second[1]["state"][key]) for key in first[1]["state"])
    return first[0] == second[0] and numpy_same and bool((first[2] == second[2]).all())
