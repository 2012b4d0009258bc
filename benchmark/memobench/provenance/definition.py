"""One definition as text that says what it computes, and the other definitions that it uses.

The text leaves out whatever cannot change a number: comments, docstrings, layout, the annotations of functions and
local variables, the words of exceptions, assertions and warnings, and the line that enters a class in a registry. A
name that stands for another definition of memobench becomes its place in the list of those used, so neither its own
name, nor the module where it stands, nor the way it is imported is part of the text. A name from another package is
written with its full name. The text is the same under every version of Python.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from memobench.provenance.source import PACKAGE, Functions, Imported, Module, Tree, bound, here, imported, is_text

Comprehensions = ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp
WHOLE = "*"  # in the place of a name: everything in the module
EFFECTS = "!"  # what importing the module does beside defining names
# Modules that fit a process to its machine: threads, waiting, folders. Like the device, that is no part of what a
# result is of, and their own tests see to it that they do nothing else.
MACHINE = {"memobench.base.startup"}
SKIPPED = {"ctx", "type_comment", "type_ignores", "kind", "type_params", "returns", "decorator_list"}


@dataclass(frozen=True, order=True)
class Key:
    """A definition: a module and a name at its top, or ``WHOLE``, or ``EFFECTS``."""

    module: str
    name: str


@dataclass(frozen=True)
class Definition:
    """What a definition computes.

    Attributes:
        text: Normalised.
        uses: Other definitions, in the order in which the text counts them.
    """

    text: str
    uses: tuple[Key, ...]


Meaning = Key | Imported | None  # a definition; a module of memobench or a name of another package; neither


def meaning(tree: Tree, module: Module, name: str) -> Meaning:
    """What a name at the top of a module stands for; None for builtins and names that are nowhere."""
    if name in module.statements:
        return Key(module.name, name)
    if name in module.imports:
        return follow(tree, module.imports[name])
    for star in module.stars:
        there = tree.module(star)
        if there is None:
            if star.split(".")[0] != PACKAGE:
                return Imported(star, WHOLE)
        elif (found := meaning(tree, there, name)) is not None:
            return found
    return None


def follow(tree: Tree, target: Imported) -> Meaning:
    """What an import stands for in the end, through modules that only hand it on."""
    if not target.own or not target.name:
        return target
    there = tree.module(target.module)
    if there is not None and (found := meaning(tree, there, target.name)) is not None:
        return found
    inner = f"{target.module}.{target.name}"
    if tree.file(inner) is not None:
        return Imported(inner)
    if there is None:
        return Imported(f"no {target.module}", target.name)  # it fails when it is imported
    return Key(there.name, WHOLE)  # made by the module itself, for example by its __getattr__


def registry_package(tree: Tree, key: Key) -> str | None:
    """The package whose files a registry holds; None for a definition that is no registry."""
    module = tree.module(key.module)
    for statement in module.statements.get(key.name, []) if module else []:
        value = statement.value if isinstance(statement, ast.Assign | ast.AnnAssign) else None
        if module and isinstance(value, ast.Call) and isinstance(value.func, ast.Name) and len(value.args) > 1:
            kind, package = meaning(tree, module, value.func.id), value.args[1]
            if isinstance(kind, Key) and kind.name == "Registry" and isinstance(package, ast.Constant):
                return str(package.value)
    return None


def entry_key(tree: Tree, package: str, name: str) -> Key:
    """The class that a content file registers under the file's name; the whole module where none is found."""
    module = tree.module(f"{package}.{name}")
    if module is not None:
        for top, statements in module.statements.items():
            for statement in statements:
                if isinstance(statement, ast.ClassDef) and name in _registered(statement):
                    return Key(module.name, top)
    return Key(f"{package}.{name}", WHOLE)


def define(tree: Tree, key: Key) -> Definition:
    """A definition, normalised.

    Raises:
        MemobenchError: A source cannot be read.
    """
    module = tree.module(key.module)
    if module is None:
        return Definition(f"no {key.module}", ())
    writer = _Writer(tree, module)
    if key.name == EFFECTS:
        kept = [one for one in module.effects if not _fits_machine(tree, module, one)]
        if not kept:
            return Definition("", ())
        writer.block(kept)
    elif key.name == WHOLE:
        for name in sorted({*module.statements, *module.imports}):
            writer.put(name)
            writer.refer(meaning(tree, module, name))
        for star in module.stars:
            writer.refer(Imported(star))
    else:
        writer.block(module.statements[key.name])
        writer.refer(key)  # which of the names that the statements bind
    return Definition("\x1f".join(writer.text), tuple(writer.uses))


def _fits_machine(tree: Tree, module: Module, statement: ast.stmt) -> bool:
    """Whether a statement only calls a function of :data:`MACHINE`, without arguments."""
    call = statement.value if isinstance(statement, ast.Expr) else None
    if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Name) or call.args or call.keywords:
        return False
    found = meaning(tree, module, call.func.id)
    return isinstance(found, Key) and found.module in MACHINE


def _registered(statement: ast.ClassDef) -> set[str]:
    return {
        str(argument.value)
        for decorator in statement.decorator_list
        if isinstance(decorator, ast.Call) and isinstance(decorator.func, ast.Attribute)
        for argument in decorator.args
        if decorator.func.attr == "register" and isinstance(argument, ast.Constant)
    }


@dataclass
class _Scope:
    """Names that a function or a class binds; the imports among them with what they stand for."""

    names: set[str]
    imports: dict[str, Imported]
    of_class: bool = False


class _Writer:
    """Writes statements of a module as normalised text."""

    def __init__(self, tree: Tree, module: Module) -> None:
        self.text: list[str] = []
        self.uses: list[Key] = []
        self._tree, self._module = tree, module
        self._scopes: list[_Scope] = []

    def put(self, *words: str) -> None:
        """Add words."""
        self.text += words

    def refer(self, found: Meaning, rest: Iterable[str] = ()) -> None:
        """Add a reference to what a name stands for, and the attributes that are taken from it.

        Args:
            found: What the name stands for.
            rest: Attributes, in order.
        """
        rest = [*rest]
        while isinstance(found, Imported) and found.own and not found.name:
            there = self._tree.module(found.module)
            if not rest or there is None:
                found = Key(found.module, WHOLE)  # the module itself is handed on
                break
            found = follow(self._tree, Imported(found.module, rest.pop(0)))
        if isinstance(found, Key):
            if (package := registry_package(self._tree, found)) is not None:
                for module in self._tree.entries(package).values():
                    self._use(Key(module, WHOLE))
            else:
                self._use(found)
        elif found is not None:
            rest = [found.qualified, *rest]
            self.put("=" + ".".join(rest))
            return
        self.put(*(f".{name}" for name in rest))

    def _use(self, key: Key) -> None:
        if key not in self.uses:
            self.uses.append(key)
        self.put(f"@{self.uses.index(key)}")

    # ------------------------------------------------------------------------------------------------------ statements

    def block(self, body: Iterable[ast.stmt]) -> None:
        """Statements in order, without those that do nothing."""
        self.put("[")
        for statement in body:
            if not is_text(statement):
                self.node(statement)
        self.put("]")

    def node(self, node: ast.AST) -> None:  # noqa: C901  one case for each kind of node
        """Any node."""
        if isinstance(node, Functions | ast.Lambda):
            self._function(node)
        elif isinstance(node, ast.ClassDef):
            self._class(node)
        elif isinstance(node, Comprehensions):
            self._comprehension(node)
        elif isinstance(node, ast.Name):
            self._name(node.id, [])
        elif isinstance(node, ast.Attribute):
            self._attribute(node)
        elif isinstance(node, ast.Call):
            self._call(node)
        elif isinstance(node, ast.Constant):
            self.put(f"{type(node.value).__name__}:{node.value!r}")
        elif isinstance(node, ast.JoinedStr):
            self._joined(node)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            self._import(node)
        elif isinstance(node, ast.AnnAssign):
            self._annotated(node)
        elif isinstance(node, ast.Raise):
            self._raise(node)
        elif isinstance(node, ast.Assert):
            self.put("(Assert")
            self.node(node.test)
            self.put(")")
        elif isinstance(node, ast.Global | ast.Nonlocal):
            self.put(type(node).__name__)
        else:
            self._plain(node)

    def _plain(self, node: ast.AST, skipped: Iterable[str] = ()) -> None:
        self.put("(" + type(node).__name__)
        for name, value in ast.iter_fields(node):
            if name in SKIPPED or name in skipped or value is None or value == []:
                continue
            self.put(name + ":")
            if isinstance(value, ast.AST):
                self.node(value)
            elif isinstance(value, list) and name in ("body", "orelse", "finalbody"):
                self.block(value)
            elif isinstance(value, list):
                self.put("[")
                for one in value:
                    if isinstance(one, ast.AST):
                        self.node(one)
                    else:
                        self.put(repr(one))
                self.put("]")
            else:
                self.put(repr(value))
        self.put(")")

    def _function(self, node: ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda) -> None:
        arguments = node.args
        if isinstance(node, Functions):
            self._decorators(node.decorator_list)
            if self._scopes:
                self.put(node.name)
            else:
                self._name(node.name, [])
        everything = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
        everything += [one for one in (arguments.vararg, arguments.kwarg) if one is not None]
        # Defaults belong to the scope outside.
        self.put("(" + type(node).__name__)
        for default in (*arguments.defaults, *arguments.kw_defaults):
            if default is None:
                self.put("None")
            else:
                self.node(default)
        for group in (arguments.posonlyargs, arguments.args, arguments.kwonlyargs):
            self.put("[", *(one.arg for one in group), "]")
        self.put(*(one.arg if one else "" for one in (arguments.vararg, arguments.kwarg)))
        dispatched = isinstance(node, Functions) and any(
            isinstance(inner, ast.Attribute) and inner.attr == "register"
            for decorator in node.decorator_list
            for inner in ast.walk(decorator)
        )
        if dispatched:  # functools.singledispatch chooses by annotation
            for one in everything:
                if one.annotation is not None:
                    self.node(one.annotation)
        body = [node.body] if isinstance(node, ast.Lambda) else node.body
        scope = self._scope_of(body)
        scope.names |= {one.arg for one in everything}
        self._scopes.append(scope)
        if isinstance(node, ast.Lambda):
            self.node(node.body)
        else:
            self.block(node.body)
        self._scopes.pop()
        self.put(")")

    def _class(self, node: ast.ClassDef) -> None:
        self._decorators(node.decorator_list)
        self.put("(ClassDef", node.name)
        for part in (*node.bases, *node.keywords):
            self.node(part)
        scope = self._scope_of(node.body)
        scope.of_class = True
        self._scopes.append(scope)
        self.block(node.body)
        self._scopes.pop()
        self.put(")")

    def _decorators(self, decorators: list[ast.expr]) -> None:
        for decorator in decorators:
            if isinstance(decorator, ast.Call) and isinstance(decorator.func, ast.Attribute):
                registry = decorator.func.value
                if decorator.func.attr == "register" and self._registry(registry) is not None:
                    continue
            self.put("decorated")
            self.node(decorator)

    def _comprehension(self, node: ast.expr) -> None:
        targets = {name for one in node.generators for name in bound(one.target)}  # type: ignore[attr-defined]
        self._scopes.append(_Scope(targets, {}))
        self._plain(node)
        self._scopes.pop()

    def _annotated(self, node: ast.AnnAssign) -> None:
        in_class = bool(self._scopes) and self._scopes[-1].of_class
        if not in_class and node.value is None:
            return
        self.put("(Assign", "targets:", "[")
        self.node(node.target)
        self.put("]")
        if in_class:  # a dataclass has fields by their annotations
            self.put("annotation:")
            self.node(node.annotation)
        if node.value is not None:
            self.put("value:")
            self.node(node.value)
        self.put(")")

    def _raise(self, node: ast.Raise) -> None:
        self.put("(Raise")
        for part in (node.exc, node.cause):
            if part is not None:
                self._without_words(part)
        self.put(")")

    def _without_words(self, node: ast.expr) -> None:
        """An exception; what it says is left out, other things that it carries are not."""
        if not isinstance(node, ast.Call):
            self.node(node)
            return
        self.put("(Call")
        self.node(node.func)
        for argument in (*node.args, *(keyword.value for keyword in node.keywords)):
            if not _is_words(argument):
                self.node(argument)
        self.put(")")

    def _import(self, node: ast.Import | ast.ImportFrom) -> None:
        for name, target in imported(node, self._module.package):
            if name == WHOLE:
                self.refer(Imported(target.module))
            elif not target.own:
                self.put("import", target.qualified)
            elif isinstance(found := follow(self._tree, target), Key):
                self.put("import")
                self.refer(found)

    # ----------------------------------------------------------------------------------------------------- expressions

    def _joined(self, node: ast.JoinedStr) -> None:
        self.put("(JoinedStr")
        words = ""  # pieces of text are cut differently by different versions of Python
        for part in node.values:
            if isinstance(part, ast.Constant):
                words += str(part.value)
                continue
            self.put(repr(words))
            words = ""
            self.node(part)
        self.put(repr(words), ")")

    def _call(self, node: ast.Call) -> None:
        function = node.func
        if isinstance(function, ast.Attribute) and function.attr == "get" and len(node.args) == 1:
            package, asked = self._registry(function.value), node.args[0]
            if package is not None and isinstance(asked, ast.Constant) and isinstance(asked.value, str):
                self._use(entry_key(self._tree, package, asked.value))
                return
        if self._qualified(function) == "warnings.warn":
            self._without_words(node)
            return
        self._plain(node)
        name = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
        first = node.args[0] if node.args and name in ("import_module", "__import__") else None
        if isinstance(first, ast.Constant) and self._tree.file(str(first.value)) is not None:
            self._use(Key(str(first.value), WHOLE))

    def _qualified(self, node: ast.expr) -> str:
        base, rest = _chain(node)
        found = self._meaning(base.id) if isinstance(base, ast.Name) else None
        return ".".join([found.qualified, *rest]) if isinstance(found, Imported) else ""

    def _registry(self, node: ast.expr) -> str | None:
        """The package of the registry that an expression names; None where it names none."""
        base, rest = _chain(node)
        if not isinstance(base, ast.Name):
            return None
        found = self._meaning(base.id)
        for name in rest:
            if not isinstance(found, Imported) or found.name or not found.own:
                return None
            found = follow(self._tree, Imported(found.module, name))
        return registry_package(self._tree, found) if isinstance(found, Key) else None

    def _attribute(self, node: ast.Attribute) -> None:
        base, rest = _chain(node)
        if isinstance(base, ast.Name):
            self._name(base.id, rest)
            return
        self.node(base)
        self.put(*(f".{name}" for name in rest))

    def _name(self, name: str, rest: list[str]) -> None:
        inner = self._scopes[-1] if self._scopes else None
        if inner is not None and inner.of_class and name in inner.names and name not in inner.imports:
            # Bound by the class, and perhaps not yet: then it is the module's.
            self.put(name, *(f".{one}" for one in rest))
            found = meaning(self._tree, self._module, name)
            if isinstance(found, Key):
                self._use(found)
            return
        found = self._meaning(name)
        if found is None:
            self.put(name, *(f".{one}" for one in rest))
        else:
            self.refer(found, rest)

    def _meaning(self, name: str) -> Meaning:
        """What a name stands for here; None for local names and builtins."""
        for scope in reversed(self._scopes):
            if scope.of_class and scope is not self._scopes[-1]:
                continue
            if name in scope.imports:
                return follow(self._tree, scope.imports[name])
            if name in scope.names:
                return None
        return meaning(self._tree, self._module, name)

    def _scope_of(self, body: Iterable[ast.AST]) -> _Scope:
        """The names that a body binds, those that it declares to be the module's left out."""
        names: set[str] = set()
        imports: dict[str, Imported] = {}
        others: set[str] = set()
        for statement in body:
            names |= {*bound(statement)}
            for node in _within(statement):
                if isinstance(node, ast.Import | ast.ImportFrom):
                    imports |= dict(imported(node, self._module.package))
                elif isinstance(node, ast.Global | ast.Nonlocal):
                    others |= {*node.names}
                elif isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
                    others |= {node.id} & imports.keys()
        # A name that is imported and assigned as well is what the scope makes of it.
        return _Scope(names - others, {name: target for name, target in imports.items() if name not in others})


def _within(statement: ast.AST) -> Iterator[ast.AST]:
    """A statement and what is inside it, in the same scope."""
    return iter([statement]) if isinstance(statement, ast.ClassDef) else here(statement)


def _chain(node: ast.expr) -> tuple[ast.expr, list[str]]:
    """``a.b.c`` as ``a`` and [b, c]."""
    rest: list[str] = []
    while isinstance(node, ast.Attribute):
        rest.insert(0, node.attr)
        node = node.value
    return node, rest


def _is_words(node: ast.expr) -> bool:
    """Whether an expression is a message: text, formatted text, or several of them put together."""
    if isinstance(node, ast.JoinedStr):
        return True
    if isinstance(node, ast.Constant):
        return isinstance(node.value, str)
    if isinstance(node, ast.BinOp):
        return _is_words(node.left) and (isinstance(node.op, ast.Mod) or _is_words(node.right))
    if isinstance(node, ast.IfExp):
        return _is_words(node.body) and _is_words(node.orelse)
    format_of = node.func if isinstance(node, ast.Call) else None
    return isinstance(format_of, ast.Attribute) and format_of.attr in ("format", "join") and _is_words(format_of.value)
