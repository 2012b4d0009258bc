"""Digests over a small package: what must not change them, and what must."""

from __future__ import annotations

import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest
from memobench.base.errors import MemobenchError
from memobench.detection.detectors import DETECTORS as DETECTORS_BY_NAME
from memobench.generator import GENERATORS
from memobench.provenance import code_digest, source_digest
from memobench.provenance.code import Provenance, own_sources, present
from memobench.provenance.digest import DETECTORS, HARNESS, MODELS, TRAINING, Digests
from memobench.provenance.source import Tree, parse

FILES = {
    "__init__.py": '"""A package."""\n',
    "registry.py": """
        class Registry:
            def __init__(self, kind, package): ...
    """,
    "images.py": """
        class Images:
            def take(self, index): return index
    """,
    "generator.py": """
        from memobench.registry import Registry
        class Context: seed = 0
        class Generator: ...
        GENERATORS = Registry("model", "memobench.baselines")
    """,
    "training.py": """
        import torch
        RATE = 0.1
        def train_loop(model): return torch.optim.AdamW(model, lr=RATE)
    """,
    "baselines/__init__.py": "",
    "baselines/_shared.py": '''
        """Shared."""
        import numpy as np
        SCALE = 2.0
        OTHER = 3.0
        def scaled(x):
            """Scale."""
            return SCALE * np.asarray(x)
        def shifted(x): return x + OTHER
    ''',
    "baselines/first.py": '''
        """An entry."""
        from __future__ import annotations
        from memobench.generator import GENERATORS, Generator
        from memobench.training import train_loop
        from ._shared import scaled
        @GENERATORS.register("first")
        class First(Generator):
            """It learns."""
            def fit(self, images):
                """Fit."""
                if not images:
                    raise ValueError(f"no images: {images}; give one")
                train_loop(images)
                return scaled(images)
    ''',
    "baselines/second.py": """
        from memobench.generator import GENERATORS, Generator
        from ._shared import shifted
        @GENERATORS.register("second")
        class Second(Generator):
            def fit(self, images): return shifted(images)
    """,
}

FIRST, SHARED = FILES["baselines/first.py"], FILES["baselines/_shared.py"]
Changes = dict[str, str | None]  # file to its new text; None where it is gone
Digest = Callable[..., str]


@pytest.fixture
def digest(tmp_path: Path) -> Digest:
    """``digest(name, changes)``: the digest of an entry of the package above, some files of which differ."""
    count = 0

    def made(name: str, changes: Changes | None = None) -> str:
        nonlocal count
        count += 1
        return Digests(write(tmp_path / str(count), changes or {})).entry(MODELS, name)

    return made


def write(root: Path, changes: Changes) -> Tree:
    for path, text in {**FILES, **changes}.items():
        if text is not None:
            file = root / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(textwrap.dedent(text))
    return Tree((root,))


def edited(text: str, *pairs: tuple[str, str]) -> str:
    for old, new in pairs:
        assert old in text, old
        text = text.replace(old, new)
    return text


SCALED = """
        import numpy as np
        SCALE = 2.0
        def scaled(x): return SCALE * np.asarray(x)
"""
SAME: dict[str, Changes] = {
    "docstrings": {
        "baselines/first.py": edited(FIRST, ("An entry.", "Another"), ("It learns.", "It learns well."), ("Fit.", "F")),
        "baselines/_shared.py": edited(SHARED, ("Scale.", "Times SCALE."), ("Shared.", "What is shared.")),
    },
    "a comment": {"baselines/_shared.py": edited(SHARED, ("SCALE = 2.0", "SCALE = 2.0  # twice"))},
    "annotations": {"baselines/_shared.py": edited(SHARED, ("scaled(x):", "scaled(x: object) -> object:"))},
    "the words of an error": {"baselines/first.py": edited(FIRST, ("; give one", "; give at least one"))},
    "a definition that the entry does not use": {
        "baselines/_shared.py": edited(SHARED, ("OTHER = 3.0", "OTHER = 4.0"))
    },
    "the order of definitions": {
        "baselines/_shared.py": """
        def shifted(x): return x + OTHER
        def scaled(x): return SCALE * np.asarray(x)
        OTHER, SCALE = 3.0, 2.0
        import numpy as np
        """.replace("OTHER, SCALE = 3.0, 2.0", "OTHER = 3.0; SCALE = 2.0")
    },
    "a renamed private file": {
        "baselines/_shared.py": None,
        "baselines/_scales.py": SHARED,
        "baselines/first.py": edited(FIRST, ("._shared", "._scales")),
        "baselines/second.py": None,
    },
    "a split private file": {
        "baselines/_shared.py": "from ._scales import scaled\ndef shifted(x): return x",
        "baselines/_scales.py": "from numpy import asarray\nfrom .nets.factor import SCALE\n"
        "def scaled(x): return SCALE * asarray(x)",
        "baselines/nets/__init__.py": "",
        "baselines/nets/factor.py": "SCALE = 2.0",
    },
    "a renamed function and constant": {
        "baselines/_shared.py": edited(SHARED, ("scaled", "times"), ("SCALE", "FACTOR")),
        "baselines/first.py": edited(FIRST, ("scaled", "times")),
    },
    "a moved module": {
        "training.py": None,
        "training/__init__.py": "",
        "training/loop.py": FILES["training.py"],
        "baselines/first.py": edited(FIRST, ("memobench.training", "memobench.training.loop")),
    },
    "another way to import": {
        "baselines/first.py": edited(
            FIRST,
            ("from ._shared import scaled", "from memobench.baselines import _shared as s"),
            ("return scaled", "return s.scaled"),
            ("from memobench.training import train_loop", "import memobench.training"),
            ("                train_loop(", "                memobench.training.train_loop("),
        )
    },
    "what fits the process to its machine": {
        "__init__.py": "from memobench.base.startup import settle\nsettle()\n",
        "base/startup.py": "import os\ndef settle(): os.environ['OMP_NUM_THREADS'] = '2'\n",
    },
    "an import for type checkers": {
        "baselines/first.py": edited(
            FIRST,
            (
                "from ._shared",
                "from typing import TYPE_CHECKING\n        if TYPE_CHECKING: from ._x import y\n        from ._shared",
            ),
        )
    },
}


@pytest.mark.parametrize("name", SAME)
def test_what_cannot_change_a_number_does_not_change_the_digest(digest: Digest, name: str) -> None:
    assert digest("first", SAME[name]) == digest("first")


OTHER: dict[str, Changes] = {
    "a constant": {"baselines/_shared.py": edited(SHARED, ("SCALE = 2.0", "SCALE = 2.5"))},
    "a constant that is changed later": {"baselines/_shared.py": SHARED.rstrip() + "\n        SCALE += 1\n"},
    "a constant in the training loop": {"training.py": edited(FILES["training.py"], ("0.1", "0.2"))},
    "what entries are given": {"images.py": edited(FILES["images.py"], ("return index", "return index[:1]"))},
    "the base class": {"generator.py": edited(FILES["generator.py"], ("Generator: ...", "Generator: x = 1"))},
    "another library": {"baselines/_shared.py": edited(SHARED, ("import numpy as np", "import cupy as np"))},
    "a decorator": {"baselines/_shared.py": edited(SHARED, ("def scaled", "@np.vectorize\n        def scaled"))},
    "a default": {"baselines/_shared.py": edited(SHARED, ("scaled(x)", "scaled(x=1)"))},
    "the type of a field": {
        "baselines/first.py": edited(FIRST, ('"""It learns."""', "steps: int = 1")),
    },
    "what an exception carries": {
        "baselines/first.py": edited(FIRST, ('f"no images: {images}; give one"', "images.half")),
    },
    "an effect of importing": {"baselines/_shared.py": SHARED.rstrip() + "\n        np.seterr(all='raise')\n"},
    "an effect of importing a package": {"baselines/__init__.py": "import torch\ntorch.set_num_threads(1)\n"},
    "an effect of importing the package": {
        "__init__.py": "from memobench.base.other import settle\nsettle()\n",
        "base/other.py": "import torch\ndef settle(): torch.manual_seed(0)\n",
    },
    "an effect of importing what is not used": {
        "baselines/first.py": edited(FIRST, ("from ._shared", "from . import _loud\n        from ._shared")),
        "baselines/_loud.py": "import torch\ntorch.manual_seed(0)\n",
    },
    "an import for what it does": {
        "baselines/_shared.py": edited(SHARED, ("import numpy", "import mkl_fft\n        import numpy"))
    },
    "a change from another module": {
        "baselines/first.py": edited(
            FIRST, ("from ._shared", "from . import _shared\n        _shared.SCALE = 5\n        from ._shared")
        )
    },
    "a module handed on": {
        "baselines/first.py": edited(
            FIRST,
            ("from ._shared import scaled", "from . import _shared"),
            ("scaled(images)", "getattr(_shared, 'sca' + 'led')(images)"),
        )
    },
    "a module in place of another": {
        "baselines/_shared.py": edited(SHARED, ("SCALE * np.asarray(x)", "np.asarray(x) * SCALE")),
    },
}


@pytest.mark.parametrize("name", OTHER)
def test_what_can_change_a_number_changes_the_digest(digest: Digest, name: str) -> None:
    assert digest("first", OTHER[name]) != digest("first")


def test_a_changed_training_loop_changes_no_entry_that_trains_nothing(digest: Digest) -> None:
    for name in ("a constant in the training loop", "a constant"):
        assert digest("second", OTHER[name]) == digest("second")
    assert digest("second", SAME["a definition that the entry does not use"]) != digest("second")


def test_two_definitions_that_trade_their_users_are_noticed(digest: Digest) -> None:
    def using(first: str, second: str) -> str:
        entry = edited(
            FIRST,
            ("from ._shared import scaled", f"from ._shared import {first} as a, {second} as b"),
            ("return scaled(images)", "return a(b(images) + 1)"),
        )
        return digest("first", {"baselines/first.py": entry})

    assert using("scaled", "shifted") != using("shifted", "scaled")


def test_definitions_that_use_each_other_have_a_digest(digest: Digest) -> None:
    def text(step: int) -> Changes:
        return {
            "baselines/_shared.py": f"""
            def scaled(x): return shifted(x - {step}) if x else x
            def shifted(x): return scaled(x - 1) if x else x
            """
        }

    assert digest("first", text(1)) == digest("first", text(1)) != digest("first", text(2))


def test_whoever_hands_a_module_on_uses_all_of_it(digest: Digest) -> None:
    entry = {
        "baselines/first.py": edited(
            FIRST, ("from ._shared import scaled", "from . import _shared"), ("scaled(images)", "vars(_shared)")
        )
    }
    later: Changes = {**entry, **SAME["a definition that the entry does not use"]}
    assert digest("first", entry) != digest("first", later)


@pytest.mark.parametrize("word", ["'second'", "images"])
def test_an_entry_asked_of_the_registry_counts(digest: Digest, word: str) -> None:
    text = edited(FIRST, ("return scaled(images)", f"return GENERATORS.get({word})"))
    before = digest("first", {"baselines/first.py": text})
    after = digest("first", {"baselines/first.py": text, **SAME["a definition that the entry does not use"]})
    assert before != after


@pytest.mark.parametrize(
    ("text", "words"),
    [("def f(:\n", "is not valid Python: "), ("x = 1\0", "is not valid Python: ")],
)
def test_a_file_that_is_not_python_is_named_in_one_line(digest: Digest, tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(MemobenchError, match=f"_shared.py {words}") as raised:
        digest("first", {"baselines/_shared.py": text})
    assert "\n" not in str(raised.value)
    (tmp_path / "plugin.py").write_text(text)
    with pytest.raises(MemobenchError, match=f"plugin.py {words}"):
        source_digest(tmp_path / "plugin.py")


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(MemobenchError, match=r"none.py cannot be read: .*; restore the file"):
        parse(tmp_path / "none.py")


def test_a_file_of_somebody_else_counts_to_the_last_byte(tmp_path: Path) -> None:
    text = "from memobench.training import train_loop\nA = 1\n"
    tree = write(tmp_path / "package", {})
    file = tmp_path / "mine.py"

    def found(text: str, tree: Tree = tree) -> str:
        file.write_text(text)
        return Provenance(tree).of_file(file)

    assert found(text) == found(text) != found(text + "# a comment\n")
    before = found(text)
    (tmp_path / "_beside.py").write_text("B = 1\n")
    assert found(text) != before
    (tmp_path / "_beside.py").unlink()
    assert found(text) == before
    assert found(text, write(tmp_path / "other", OTHER["a constant in the training loop"])) != before
    assert found(text, write(tmp_path / "same", SAME["docstrings"])) == before
    using = text + "from memobench.baselines._shared import scaled\n"
    assert found(using, write(tmp_path / "scaled", OTHER["a constant"])) != found(using)


def test_the_files_of_an_entry_of_somebody_else(tmp_path: Path) -> None:
    for name, text in {"a": "from .b import B\n", "b": "from . import d\n", "_c": "", "d": "", "e": ""}.items():
        (tmp_path / f"{name}.py").write_text(text)
    assert [file.stem for file in own_sources(tmp_path / "a.py")] == ["a", "_c", "b", "d"]
    assert [file.stem for file in own_sources(tmp_path / "e.py")] == ["e", "_c"]


def test_what_entries_are_given_is_there() -> None:
    """A harness that was moved or renamed must be named again, or nothing of it would be covered."""
    here = present()
    for module, name in {*TRAINING, *(one for package in (MODELS, DETECTORS) for one in HARNESS[package])}:
        assert name in here.tree.module(module).statements, f"{module}.{name}"


def test_a_class_and_its_file_give_the_same_digest() -> None:
    here = present()
    for package in (MODELS, DETECTORS):
        for name, module in here.tree.entries(package).items():
            file = here.tree.file(module)
            assert file is not None
            assert here.of_file(file) == here.of_entry(package, name)
    for registry, name in ((GENERATORS, "replay"), (GENERATORS, "mean"), (DETECTORS_BY_NAME, "l2")):
        assert code_digest(registry.get(name)) == source_digest(registry.files()[name])
