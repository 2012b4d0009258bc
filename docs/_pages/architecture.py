"""The picture of the architecture: the packages in their layers, from the contract that lint-imports checks."""

from __future__ import annotations

import ast
import re
import tomllib
from html import escape
from pathlib import Path

ROW, WIDTH = 34, 900


def layers(root: Path) -> list[list[str]]:
    """The layers of ``memobench``, the highest first, from pyproject.toml."""
    settings = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))
    (contract,) = (one for one in settings["tool"]["importlinter"]["contracts"] if one["type"] == "layers")
    return [[name.strip() for name in layer.split(":")] for layer in contract["layers"]]


def about(root: Path, name: str) -> str:
    """The first line of a module's docstring."""
    base = root / "benchmark" / "memobench" / name
    file = base / "__init__.py" if base.is_dir() else base.with_suffix(".py")
    text = ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or ""
    line = text.splitlines()[0] if text else ""
    return re.sub(r":\w+:`([^`]+)`", r"\1", line).replace("`", "").rstrip(".")


def picture(root: Path) -> str:
    """The layers as an SVG, one row each; a module imports only from its own row or a lower one."""
    rows = layers(root)
    height = ROW * len(rows) + 16
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img" '
        f'aria-label="The packages of memobench in their layers" font-family="sans-serif" font-size="13">',
        f'<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>',
    ]
    for row, names in enumerate(rows):
        top = 8 + ROW * row
        words = "; ".join(about(root, name) for name in names)
        lines += [
            f'<rect x="8" y="{top}" width="{WIDTH - 16}" height="{ROW - 6}" rx="4" fill="#e0f2f1" stroke="#00796b"/>',
            f'<text x="18" y="{top + 19}" font-weight="bold" fill="#004d40">{escape(", ".join(names))}</text>',
            f'<text x="190" y="{top + 19}" fill="#212121">{escape(_short(words))}</text>',
        ]
    return "\n".join([*lines, "</svg>"]) + "\n"


def _short(words: str, most: int = 92) -> str:
    return words if len(words) <= most else words[: words.rfind(" ", 0, most - 3)] + " ..."
