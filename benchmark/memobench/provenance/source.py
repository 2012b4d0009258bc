"""Memobench's own modules as syntax trees, read and never imported: what a name at the top of a module means."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from memobench.base.errors import MemobenchError

PACKAGE = "memobench"
Functions = ast.FunctionDef | ast.AsyncFunctionDef
Definitions = Functions | ast.ClassDef


@dataclass(frozen=True)
class Imported:
    """What an import binds a name to.

    Attributes:
        module: The module that is named, absolute, for example "torch" or "memobench.images".
        name: What is taken from it; "" for the module itself.
    """

    module: str
    name: str = ""

    @property
    def own(self) -> bool:
        """Whether it is memobench's."""
        return self.module.split(".")[0] == PACKAGE

    @property
    def qualified(self) -> str:
        """The full name."""
        return f"{self.module}.{self.name}" if self.name else self.module


@dataclass
class Module:
    """A module, as far as its top level tells.

    Attributes:
        name: Absolute, for example "memobench.images".
        package: What its relative imports start from.
        imports: Names that an import at the top binds, and nothing else does.
        statements: Other names, each with the statements that bind or change it, in order.
        effects: Statements that do something when the module is imported, and bind nothing of this module's own.
        stars: Modules from which everything is imported.
        loads: Modules of memobench that importing this one imports too, or their members.
    """

    name: str
    package: str
    imports: dict[str, Imported] = field(default_factory=dict)
    statements: dict[str, list[ast.stmt]] = field(default_factory=dict)
    effects: list[ast.stmt] = field(default_factory=list)
    stars: list[str] = field(default_factory=list)
    loads: list[Imported] = field(default_factory=list)


class Tree:
    """A tree of memobench's sources: this installation's, or a copy elsewhere.

    Args:
        roots: The folders that the package consists of, in the order in which Python searches them: in a checkout
            ``benchmark/memobench`` and the checkout itself, which holds the content folders.
    """

    def __init__(self, roots: tuple[Path, ...]) -> None:
        self.roots = tuple(root.resolve() for root in roots)
        self._modules: dict[str, Module | None] = {}

    @classmethod
    def of_checkout(cls, folder: Path) -> Tree:
        """The tree of a checkout."""
        return cls((folder / "benchmark" / PACKAGE, folder))

    def find(self, relative: str) -> Path | None:
        """A file of the package by its path, for example "leaderboard/provenance.json"; None where there is none."""
        return next((root / relative for root in self.roots if (root / relative).is_file()), None)

    def file(self, module: str) -> Path | None:
        """Where a module's source lies; None where memobench has no such module."""
        first, *parts = module.split(".")
        if first != PACKAGE:
            return None
        if not parts:
            return self.find("__init__.py")
        path = "/".join(parts)
        return self.find(f"{path}/__init__.py") or self.find(f"{path}.py")

    def module_of(self, file: Path) -> str | None:
        """The module that a file of memobench is; None for a file that is not part of memobench."""
        file = file.resolve()
        for place, root in enumerate(self.roots):
            if not file.is_relative_to(root):
                continue
            parts = file.relative_to(root).with_suffix("").parts
            folders = [root.joinpath(*parts[:depth]) for depth in range(1, len(parts))]
            # A checkout holds other Python files as well, which are not mounted under the package.
            if (place == 0 or folders) and all((folder / "__init__.py").is_file() for folder in folders):
                return ".".join([PACKAGE, *(part for part in parts if part != "__init__")])
        return None

    def entries(self, package: str) -> dict[str, str]:
        """The entries of a content package: name to module."""
        folder = "/".join(package.split(".")[1:])
        files = [file for root in self.roots for file in (root / folder).glob("*.py")]
        return {file.stem: f"{package}.{file.stem}" for file in sorted(files) if not file.stem.startswith("_")}

    def module(self, name: str) -> Module | None:
        """A module, read; None where memobench has none of this name.

        Raises:
            MemobenchError: It cannot be read.
        """
        if name not in self._modules:
            file = self.file(name)
            self._modules[name] = None if file is None else _module(name, file)
        return self._modules[name]


def parse(file: Path) -> ast.Module:
    """The syntax tree of a Python file.

    Raises:
        MemobenchError: It cannot be read, or is not Python.
    """
    try:
        return ast.parse(file.read_bytes())
    except OSError as error:
        raise MemobenchError(f"{file} cannot be read: {error.strerror}; restore the file") from error
    except SyntaxError as error:
        raise MemobenchError(f"{file} is not valid Python: {error.msg}, line {error.lineno}; correct it") from error
    except (ValueError, RecursionError, MemoryError) as error:  # null bytes; nesting without end
        raise MemobenchError(f"{file} is not valid Python: {type(error).__name__}; correct it") from error


def imported(node: ast.Import | ast.ImportFrom, package: str) -> Iterator[tuple[str, Imported]]:
    """The names that an import binds, with what they are bound to; "*" for everything.

    Args:
        node: The import.
        package: The package of the module in which it stands.

    >>> [name for name, _ in imported(ast.parse("import a.b, c.d as e").body[0], "memobench")]
    ['a', 'e']
    """
    if isinstance(node, ast.Import):
        for alias in node.names:
            whole = alias.asname or "." not in alias.name
            yield alias.asname or alias.name.split(".")[0], Imported(alias.name if whole else alias.name.split(".")[0])
        return
    base = node.module or ""
    if node.level:
        above = package.split(".")
        base = ".".join([*above[: len(above) - node.level + 1], *([base] if base else [])])
    for alias in node.names:
        yield alias.asname or alias.name, Imported(base, alias.name)


def bound(node: ast.AST) -> Iterator[str]:
    """The names that a statement binds in the scope in which it stands, not those of functions or classes inside it."""
    if isinstance(node, Definitions):
        yield node.name
        for part in (*node.decorator_list, *(node.bases if isinstance(node, ast.ClassDef) else ())):
            yield from bound(part)
        return
    if isinstance(node, ast.Lambda):
        return
    if isinstance(node, ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp):
        # Only an assignment expression binds outside a comprehension.
        yield from (one.target.id for one in ast.walk(node) if isinstance(one, ast.NamedExpr))
        return
    if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store | ast.Del):
        yield node.id
    elif isinstance(node, ast.Import | ast.ImportFrom):
        yield from (alias.asname or alias.name.split(".")[0] for alias in node.names)
    elif isinstance(node, ast.ExceptHandler | ast.MatchAs | ast.MatchStar) and node.name:
        yield node.name
    elif isinstance(node, ast.MatchMapping) and node.rest:
        yield node.rest
    for child in ast.iter_child_nodes(node):
        yield from bound(child)


def is_text(node: ast.AST) -> bool:
    """Whether a statement is nothing but a constant: a docstring, an ellipsis, or nothing at all."""
    return isinstance(node, ast.Pass) or (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant))


def _module(name: str, file: Path) -> Module:
    package = name if file.name == "__init__.py" else name.rpartition(".")[0]
    module = Module(name, package)
    body = parse(file).body
    used = {node.id for statement in body for node in ast.walk(statement) if isinstance(node, ast.Name)}
    used |= {word for statement in body if _is_all(statement) for word in _words(statement)}
    for statement in _runs(body):
        _enter(module, statement, used, is_package=file.name == "__init__.py")
    for both in module.imports.keys() & module.statements.keys():
        # Bound in two ways: whichever runs last counts, so both are kept, in order.
        del module.imports[both]
        module.statements[both] = [statement for statement in body if both in {*bound(statement)}]
    return module


def _runs(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """The statements that run: those for type checkers alone do not."""
    for statement in body:
        if isinstance(statement, ast.If) and ast.unparse(statement.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING"):
            yield from _runs(statement.orelse)
        elif not is_text(statement):
            yield statement


def _enter(module: Module, statement: ast.stmt, used: set[str], *, is_package: bool) -> None:
    for node in here(statement):
        if isinstance(node, ast.Import | ast.ImportFrom):
            found = [target for _, target in imported(node, module.package)]
            if isinstance(node, ast.Import):
                found += [Imported(alias.name) for alias in node.names]
            module.loads += [target for target in found if target.own]
    if isinstance(statement, ast.Import | ast.ImportFrom):
        if isinstance(statement, ast.ImportFrom) and statement.module == "__future__":
            return
        for name, target in imported(statement, module.package):
            if name == "*":
                module.stars.append(target.module)
                continue
            module.imports[name] = target
            if not target.own and name not in used and not is_package:
                module.effects.append(statement)  # imported for what importing it does
        return
    changed = set() if isinstance(statement, Definitions) else _changed(statement)
    for name in sorted({*bound(statement)} | (changed & module.statements.keys())):
        module.statements.setdefault(name, []).append(statement)
    if changed - module.statements.keys() or _acts(statement):
        module.effects.append(statement)


def here(node: ast.AST) -> Iterator[ast.AST]:
    """A node and what is inside it and runs with it: not the insides of functions, but those of classes."""
    yield node
    if not isinstance(node, Functions | ast.Lambda):
        for child in ast.iter_child_nodes(node):
            yield from here(child)


def _changed(statement: ast.stmt) -> set[str]:
    """The names of which a statement changes a part: ``a.b = 1``, ``a[b] = 1``; "" where what it changes has none."""
    changed = set()
    for node in here(statement):
        if isinstance(node, ast.Attribute | ast.Subscript) and isinstance(node.ctx, ast.Store | ast.Del):
            base: ast.expr = node
            while isinstance(base, ast.Attribute | ast.Subscript):
                base = base.value
            changed.add(base.id if isinstance(base, ast.Name) else "")
    return changed


def _acts(statement: ast.stmt) -> bool:
    """Whether a statement does something beyond binding names: a call whose value is not kept, a check, a deletion."""
    return not isinstance(statement, Definitions) and any(
        isinstance(node, ast.Assert | ast.Delete | ast.Raise) or (isinstance(node, ast.Expr) and not is_text(node))
        for node in here(statement)
    )


def _is_all(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.Assign) and "__all__" in {*bound(statement)}


def _words(statement: ast.stmt) -> Iterator[str]:
    for node in ast.walk(statement):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value
