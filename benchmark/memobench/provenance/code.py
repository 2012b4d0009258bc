"""The code that is stored with a result: the digest of a class, of a file, of an entry by its name."""

from __future__ import annotations

import ast
import hashlib
import inspect
import sys
from functools import lru_cache
from pathlib import Path

from memobench.base.errors import MemobenchError
from memobench.provenance.definition import Key
from memobench.provenance.digest import Digests
from memobench.provenance.ledger import KINDS, TRAINING, Ledger
from memobench.provenance.source import PACKAGE, Tree, parse


class Provenance:
    """The digests of one tree of sources with its ledger.

    Args:
        tree: The sources.
    """

    def __init__(self, tree: Tree) -> None:
        self.tree = tree
        self.digests = Digests(tree)
        self.ledger = Ledger.of(tree)
        self._known: dict[tuple[str, str], str] = {}

    def of_definition(self, module: str, name: str) -> str:
        """The digest of a definition of memobench, for example of an entry's class.

        Raises:
            MemobenchError: A source cannot be read.
        """
        if (module, name) not in self._known:
            package, _, stem = module.rpartition(".")
            found = self.digests.definition(module, name)
            if package in KINDS:
                found = self.ledger.stored(KINDS[package], stem, found)
            self._known[module, name] = found
        return self._known[module, name]

    def of_entry(self, package: str, name: str) -> str:
        """The digest of an entry of memobench: :meth:`of_definition` of its class."""
        return self.ledger.stored(KINDS[package], name, self.digests.entry(package, name))

    def of_training(self) -> str:
        """The digest of what memobench gives to every model that it trains."""
        return self.ledger.stored(*TRAINING, self.digests.training())

    def of_file(self, file: Path) -> str:
        """The digest of an entry that a file holds, which is read and not imported.

        A file of memobench gives what its class gives. Any other counts byte for byte, with its name, its private
        neighbours (``_*.py``), the modules that it imports beside it, and what it takes from memobench.

        Raises:
            MemobenchError: A source cannot be read, or is not Python.
        """
        module = self.tree.module_of(file)
        if module is not None:
            package, _, stem = module.rpartition(".")
            return self.of_entry(package, stem) if package in KINDS else self.of_definition(module, "")
        sha = hashlib.sha256()
        used: set[Key] = set()
        for source in own_sources(file):
            sha.update(source.name.encode() + b"\x1f" + source.read_bytes())
            used |= {*self.digests.used_by_file(source)}
        taken = [self.of_training()]
        taken += sorted({self.of_definition(key.module, key.name) for key in used})
        sha.update("\x1e".join(taken).encode())
        return sha.hexdigest()


@lru_cache(maxsize=1)
def present() -> Provenance:
    """The sources that run now."""
    return Provenance(Tree(tuple(Path(folder) for folder in sys.modules[PACKAGE].__path__)))


def code_digest(kind: type) -> str:
    """The digest of a generator's or detector's code, 64 hexadecimal digits.

    Raises:
        MemobenchError: A source cannot be read.
    """
    here = present()
    if kind.__module__.startswith(f"{PACKAGE}.") and here.tree.file(kind.__module__) is not None:
        return here.of_definition(kind.__module__, kind.__qualname__)
    try:
        return here.of_file(Path(inspect.getfile(kind)))
    except (TypeError, OSError) as error:
        raise MemobenchError(f"{kind.__qualname__} has no source file; define it in a file") from error


def source_digest(file: Path) -> str:
    """:func:`code_digest` of the entry that a file holds, which is read and not imported.

    Raises:
        MemobenchError: The file cannot be read, or is not Python.
    """
    return present().of_file(file)


def own_sources(file: Path) -> list[Path]:
    """The files of an entry that is not memobench's: its own, then, by name, those beside it that belong to it.

    Raises:
        MemobenchError: A file cannot be read, or is not Python.
    """
    found = [file]
    for source in found:  # which grows on the way
        for node in ast.walk(parse(source)):
            if not isinstance(node, ast.ImportFrom) or node.level != 1:
                continue
            for name in [node.module] if node.module else [alias.name for alias in node.names]:
                beside = file.parent / f"{name}.py"
                if beside.is_file() and beside not in found:
                    found.append(beside)
    return [file, *sorted({*file.parent.glob("_*.py"), *found} - {file})]
