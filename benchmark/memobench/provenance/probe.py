"""Run by its path under the sources of any revision: what the entries there are, and the samples that they draw.

It uses nothing but what every revision has: the registry, the contract of a generator, and the two functions that give
a fit its context and draw its samples. The words on its command line are names of models; it prints a line of JSON for
each. After ``--fields`` it reads JSON first, presets by model, and fits with those in place of its own. ``--digests``
alone gives their codes instead.
"""

from __future__ import annotations

import dataclasses
import hashlib
import importlib
import importlib.util
import json
import sys
import tempfile
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np

OLDER = "memobench."  # in older revisions these modules stood at the top
SHAPES = ((32, 32), (16, 16, 16))
PATIENTS, SCANS, FRESH, SAMPLES = 12, 2, 6, 4
MARK = "probe: "  # before each line of JSON, since libraries print too
FEW = 3  # steps of a training that is to be looked at, not to be good


def first_of(*names: str) -> ModuleType:
    """The first of some modules that there is."""
    for name in names:
        try:
            if importlib.util.find_spec(name) is not None:
                return importlib.import_module(name)
        except ModuleNotFoundError:  # of a package that there is not
            continue
    raise SystemExit(f"there is none of {', '.join(names)} in these sources")


def codes() -> dict[str, Any]:
    """The digest under which the present code of each model stores its results, and that of the training."""
    provenance = first_of("memobench.provenance", OLDER + "stages")
    generator = importlib.import_module("memobench.generator")
    found = {name: provenance.source_digest(file) for name, file in generator.GENERATORS.files().items()}
    code = importlib.util.find_spec(f"{provenance.__name__}.code") if hasattr(provenance, "__path__") else None
    harness = importlib.import_module(code.name).present().of_training() if code is not None else ""
    return {"models": found, "harness": harness}


def images(shape: tuple[int, ...], patients: int, seed: int) -> Any:
    """Images of some patients: smooth shapes that differ between patients, and a little between scans."""
    kind = importlib.import_module("memobench.images").Images
    rng = np.random.default_rng(seed)
    axes = np.meshgrid(*[np.linspace(-1, 1, side) for side in shape], indexing="ij")
    pixels, names, scans = [], [], []
    for patient in range(patients):
        centre, width = rng.uniform(-0.5, 0.5, len(shape)), rng.uniform(0.2, 0.6)
        for scan in range(SCANS):
            moved = centre + 0.02 * rng.standard_normal(len(shape))
            squares = sum((axis - place) ** 2 for axis, place in zip(axes, moved, strict=True))
            pixels.append(np.exp(-squares / width**2))
            names.append(f"p{patient}")
            scans.append(f"s{scan}")
    stacked = np.stack(pixels).astype(np.float32).clip(0, 1)
    return kind(stacked, np.array(names, dtype=np.str_), np.array(scans, dtype=np.str_))


def variants(kind: Any, presets: Any) -> dict[str, tuple[tuple[int, ...], dict[str, Any]]]:
    """What is fitted of a model: the preset for tests in 2D and 3D; another's networks, with few steps, augmented."""
    found: dict[str, tuple[tuple[int, ...], dict[str, Any]]] = {}
    found |= {f"smoke {len(shape)}D": (shape, dict(presets["smoke"])) for shape in SHAPES}
    fields = {one.name: one.default for one in dataclasses.fields(kind)}
    values = dict(presets["quick"])
    changes: dict[str, Any] = {}
    for name, default in fields.items():
        if name.endswith("steps") and isinstance(default, int):
            changes[name] = min(int(values.get(name, default)), FEW)
    changes |= {name: value for name, value in {"augment": "strong", "accumulate": 2}.items() if name in fields}
    if changes or kind.PRESETS["quick"]:  # else it is the one for tests again, whether all fields were given or none
        found["quick 2D, few steps"] = (SHAPES[0], values | changes)
    return found


def drawn(name: str, given: Any = None) -> dict[str, Any]:
    """The samples of a model, and its losses of images, as digests; its fields under every preset and by default.

    Args:
        name: Of the model.
        given: Presets to fit with, in place of its own.
    """
    importlib.import_module("torch").set_num_threads(1)
    generator = importlib.import_module("memobench.generator")
    fitting = first_of("memobench.training.fitting", OLDER + "fitting")
    store = first_of("memobench.base.store", OLDER + "stages")
    kind = generator.GENERATORS.get(name)
    presets = {preset: dataclasses.asdict(kind(**values)) for preset, values in kind.PRESETS.items()}
    defaults = {one.name: one.default for one in dataclasses.fields(kind) if one.default is not dataclasses.MISSING}
    found: dict[str, Any] = {"presets": presets, "defaults": defaults, "control": kind.CONTROL}
    refused: list[str] = []
    for title, (shape, values) in variants(kind, given or kind.PRESETS).items():
        if (reason := kind.skip(shape)) is not None:
            refused.append(reason)
            continue
        try:
            model = kind(**values)
        except ValueError:  # a model that refuses augmentation
            model = kind(**{**values, "augment": "none"})
        splits = SimpleNamespace(train=images(shape, PATIENTS, 0), fresh=images(shape, FRESH, 1))
        identity = SimpleNamespace(seed=5, task="probe", model=name, samples=SAMPLES, shape=shape)
        with tempfile.TemporaryDirectory() as folder:
            context = fitting._fit_context(identity, model, splits, Path(folder), "cpu")
            model.fit(splits.train, context=context)
            store.save_arrays(Path(folder) / "state.safetensors", model.state())
            pixels = fitting._sample(identity, model, Path(folder), "cpu")
        found[title] = digest(pixels)
        if hasattr(model, "loss"):
            found[f"loss, {title}"] = digest(model.loss(splits.fresh, seed=3))
    if len(refused) == len(variants(kind, kind.PRESETS)):
        raise SystemExit(f"it cannot be run here: {refused[0]}")
    return found


def digest(array: Any) -> str:
    """SHA-256 of an array's type, shape and bytes."""
    return hashlib.sha256(f"{array.dtype} {array.shape}".encode() + np.ascontiguousarray(array).tobytes()).hexdigest()


def main() -> None:
    """Print what is asked for, a line as soon as it is known."""
    asked = sys.argv[1:]
    given: dict[str, Any] = {}
    if asked[:1] == ["--fields"]:
        asked, given = asked[1:], json.load(sys.stdin)
    for found in [codes()] if asked == ["--digests"] else (drawn(name, given.get(name)) for name in asked):
        sys.stdout.write(MARK + json.dumps(found) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
