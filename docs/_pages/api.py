"""The page of the Python API: an entry for each name in ``memobench.__all__``."""

from __future__ import annotations

import ast
from pathlib import Path

HEAD = """# API
Everything that `import memobench` offers, from its docstrings. [Python](python.md) shows it in use. What is not listed
here may change without notice.

`memobench.__version__` is the version as a string.
"""


def places(root: Path) -> dict[str, str]:
    """Where each name of ``memobench.__all__`` is defined, read without importing anything heavy.

    Raises:
        KeyError: A name of ``__all__`` is imported nowhere.
    """
    tree = ast.parse((root / "benchmark" / "memobench" / "__init__.py").read_text(encoding="utf-8"))
    imports = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module]
    where = {name.asname or name.name: f"{node.module}.{name.name}" for node in imports for name in node.names}
    (names,) = (
        ast.literal_eval(node.value)
        for node in tree.body
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "__all__"
    )
    return {name: where[name] for name in names}


def page(root: Path) -> str:
    """The page in Markdown."""
    entries = []
    for name, place in places(root).items():
        if name == "__version__":
            continue
        entries.append(f"::: {place}\n    options:\n      heading: memobench.{name}\n      toc_label: {name}\n")
    return "\n".join([HEAD, *entries])
