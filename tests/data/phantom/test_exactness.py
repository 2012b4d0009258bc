"""The phantom's modules use no operation that platforms round differently."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from memobench.data import phantom

MODULES = sorted(path for path in Path(phantom.__file__).parent.glob("*.py") if path.stem != "__init__")
# exact in IEEE 754, or no arithmetic at all: sorting compares, bincount adds in a fixed order
EXACT = {
    *("abs", "maximum", "minimum", "clip", "sqrt", "floor", "ceil", "rint", "where", "ldexp", "frexp", "bincount"),
    *("array", "asarray", "arange", "zeros", "zeros_like", "ones", "ones_like", "full", "inf", "eye"),
    *("stack", "concatenate", "repeat", "tile", "pad", "take_along_axis", "broadcast_to", "broadcast_arrays"),
    *("atleast_1d", "sort", "argsort", "argmax", "nonzero", "count_nonzero", "searchsorted", "random"),
    *("subtract", "partition", "unique"),
    *("float32", "float64", "floating", "generic", "uint8", "uint64", "int16", "int32", "int64", "intp", "bool_"),
}
REDUCTIONS = {"sum", "mean", "std", "var", "dot", "prod", "cumsum", "trace"}


def inexact(source: str) -> list[str]:
    """What a module uses beyond the exact operations, with line numbers."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Attribute):
            of_numpy = isinstance(node.value, ast.Name) and node.value.id == "np"
            if (of_numpy and node.attr not in EXACT) or (not of_numpy and node.attr in REDUCTIONS):
                found.append(f"{node.lineno}: {node.attr}")
        elif isinstance(node, ast.ImportFrom) and node.module == "math":
            found += [
                f"{node.lineno}: math.{a.name}" for a in node.names if a.name not in ("sqrt", "ceil", "floor", "prod")
            ]
        elif isinstance(node, ast.Import):
            found += [f"{node.lineno}: {a.name}" for a in node.names if a.name in ("math", "scipy", "torch")]
        elif isinstance(node, ast.BinOp) and isinstance(node.op, ast.MatMult):
            found.append(f"{node.lineno}: matrix product")
        elif isinstance(node, ast.BinOp) and isinstance(node.op, ast.Pow):
            exponent = ast.literal_eval(node.right)
            if exponent != 2 and not isinstance(node.left, ast.Constant):  # a square is one product
                found.append(f"{node.lineno}: power")
    return found


@pytest.mark.parametrize("module", MODULES, ids=lambda path: path.stem)
def test_modules_compute_exactly(module: Path) -> None:
    assert inexact(module.read_text()) == []


@pytest.mark.parametrize(
    "line", ["np.exp(x)", "x.sum()", "x @ y", "x ** 0.5", "from math import sin", "import math", "np.hypot(x, y)"]
)
def test_the_check_sees_inexact_operations(line: str) -> None:
    assert inexact(line)


def test_the_check_covers_every_family() -> None:
    assert {module for module, _ in phantom.FAMILIES.values()} <= {path.stem for path in MODULES}
