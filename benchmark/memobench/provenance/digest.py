"""Digests of code: of everything that can change the numbers of an entry, and of nothing else.

From an entry's class the names that it uses are followed to the definitions that they stand for, in its own module or
in others of memobench, and from these again. Each definition is normalised (:mod:`memobench.provenance.definition`).
The definitions and their uses form a graph whose edges are ordered; two graphs get one digest exactly where following
the same uses from the same entry meets the same texts, as in the minimisation of automata (Moore, Gedanken-experiments
on sequential machines, 1956). So a definition may be moved, and its module split or renamed, and nothing changes; two
definitions that trade their users do not go unnoticed.

Beside what an entry uses itself, its digest covers what hands it images, seeds and a context (:data:`HARNESS`), and
whatever a module does when it is imported, for every module that gets imported. Where a name cannot be followed (a
module handed on as an object, an import of everything) the whole module counts; where a registry is asked for another
entry, that entry.
"""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterable
from pathlib import Path

from memobench.provenance.definition import EFFECTS, WHOLE, Definition, Key, define, entry_key, follow, registry_package
from memobench.provenance.source import Imported, Tree, imported, parse

MODELS, DETECTORS = "memobench.baselines", "memobench.detection.detectors"
GIVEN = (("memobench.images", "Images"), ("memobench.generator", "Context"))
HARNESS = {  # what an entry of a package is given by those who run it
    MODELS: (*GIVEN, ("memobench.training.fitting", "_fit_context"), ("memobench.training.fitting", "_sample")),
    DETECTORS: GIVEN,
}
LOOP = ("train_loop", "Training", "Watch", "batch_indices", "step_generator", "seeded")
TRAINING = (
    *HARNESS[MODELS],
    ("memobench.generator", "Generator"),
    ("memobench.training.processes", "drawn"),
    *(("memobench.training.loop", name) for name in LOOP),
)


class Digests:
    """The digests of a tree of sources; what was read is kept.

    Args:
        tree: The sources.
    """

    def __init__(self, tree: Tree) -> None:
        self.tree = tree
        self._defined: dict[Key, Definition] = {}
        self._places: dict[str, str | None] = {}

    def entry(self, package: str, name: str) -> str:
        """The digest of an entry, by its package and name, as files have it."""
        return self.of([entry_key(self.tree, package, name)], HARNESS.get(package, GIVEN))

    def definition(self, module: str, name: str) -> str:
        """The digest of a definition, by its module and name: the same as :meth:`entry` for the class of an entry."""
        return self.of([self._found(module, name)], HARNESS.get(module.rpartition(".")[0], GIVEN))

    def training(self) -> str:
        """The digest of what memobench gives to every model that it trains: images, seeds, the training loop."""
        return self.of([], TRAINING)

    def of(self, keys: Iterable[Key], harness: Iterable[tuple[str, str]]) -> str:
        """SHA-256 over definitions, those of the harness, and all that they use."""
        roots = [[*keys], [self._found(module, name) for module, name in harness]]
        reached = self.reached([key for group in roots for key in group])
        colour = self._coloured(reached)
        groups = [sorted({colour[key] for key in group}) for group in roots]
        # All, since colours are refined only until no more of them differ, not until each has seen every other.
        groups.append(sorted({*colour.values()}))
        return _hash("\n".join(" ".join(group) for group in groups))

    def used_by_file(self, file: Path) -> list[Key]:
        """What a file that is not memobench's takes from memobench beyond what :meth:`training` covers."""
        covered = self.reached(self._found(module, name) for module, name in TRAINING)
        found: set[Key] = set()
        for node in ast.walk(parse(file)):
            targets: list[Imported] = []
            if isinstance(node, ast.Import):
                targets = [Imported(alias.name) for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and not node.level:
                targets = [target for _, target in imported(node, "")]
            for target in targets:
                if target.own:
                    found.add(self._found(target.module, target.name))
        return sorted(key for key in found if key not in covered and registry_package(self.tree, key) is None)

    def _found(self, module: str, name: str) -> Key:
        if self.tree.file(module) is None:  # moved since, or not yet there in an older revision
            if module not in self._places:
                self._places[module] = self._elsewhere(module)
            module = self._places[module] or module
        found = follow(self.tree, Imported(module, name))
        if isinstance(found, Key):
            return found
        return Key(found.module if isinstance(found, Imported) and not found.name else module, WHOLE)

    def _elsewhere(self, module: str) -> str | None:
        """The only module that defines all that the harness has of a module; None where none does, or several do."""
        wanted = {name for part in (*HARNESS.values(), TRAINING) for place, name in part if place == module}
        names = [self.tree.module_of(file) for root in self.tree.roots[:1] for file in sorted(root.rglob("*.py"))]
        modules = [self.tree.module(one) for one in names if one is not None]
        found = [one.name for one in modules if one is not None and wanted <= one.statements.keys()]
        return found[0] if len(found) == 1 else None

    def _define(self, key: Key) -> Definition:
        if key not in self._defined:
            self._defined[key] = define(self.tree, key)
        return self._defined[key]

    def reached(self, keys: Iterable[Key]) -> dict[Key, Definition]:
        """All that some definitions use, with what the modules do that are imported for it."""
        reached: dict[Key, Definition] = {}
        loaded: set[str] = set()
        waiting = [*keys]
        while waiting:
            key = waiting.pop()
            if key in reached or not self._define(key).text:  # an effect that does not count
                continue
            reached[key] = self._define(key)
            waiting += reached[key].uses
            waiting += [Key(module, EFFECTS) for module in self._load(key.module, loaded)]
        return reached

    def _load(self, name: str, loaded: set[str]) -> list[str]:
        """The modules that importing one imports for the first time, those alone that do something."""
        acting: list[str] = []
        waiting = [name]
        while waiting:
            one = waiting.pop()
            module = None if one in loaded else self.tree.module(one)
            loaded.add(one)
            if module is None:
                continue
            if module.effects:
                acting.append(one)
            waiting += [one.rpartition(".")[0], *module.stars]
            waiting += [name for target in module.loads for name in (target.module, target.qualified)]
        return acting

    def _coloured(self, reached: dict[Key, Definition]) -> dict[Key, str]:
        """A digest of each definition with what it uses, refined until it tells apart all that can be told apart."""
        colour = {key: _hash(one.text) for key, one in reached.items()}
        kinds = 0
        while len({*colour.values()}) > kinds:
            kinds = len({*colour.values()})
            before = colour
            colour = {
                key: _hash(" ".join([before[key], *(before[use] for use in one.uses)])) for key, one in reached.items()
            }
        return colour


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
