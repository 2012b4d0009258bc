"""Registries: from a name to what it names, imported only when it is used.

A name is the stem of a file in a content folder (``baselines/ldm.py`` is ``ldm``), an entry point of an installed
distribution, or a file given with ``--plugin``. Listing names imports nothing; a plug-in that cannot be imported is
listed as unavailable with its reason; all others work.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import ModuleType
from typing import Generic, TypeVar

from memobench.base.errors import UsageError, suggest

T = TypeVar("T")


@dataclass
class Registry(Generic[T]):
    """Names of one kind of thing, and the things themselves once they are asked for.

    Args:
        kind: What is registered, in the singular, for messages ("model", "task").
        package: The package whose files are entries, by stem, for example ``memobench.baselines``.
        group: The entry-point group through which other distributions add entries.
    """

    kind: str
    package: str
    group: str
    _loaded: dict[str, T] = field(default_factory=dict)

    def register(self, name: str) -> Callable[[T], T]:
        """Decorator that enters a class or an object under a name.

        Raises:
            ValueError: Another object holds the name already.
        """

        def enter(thing: T) -> T:
            held = self._loaded.get(name)
            # A module that is imported a second time (a plug-in given twice) may replace its own entry.
            if held is not None and _origin(held) != _origin(thing):
                raise ValueError(f'the {self.kind} "{name}" is registered already; choose another name')
            self._loaded[name] = thing
            return thing

        return enter

    def names(self) -> list[str]:
        """All names, sorted: files of the package, entry points, and plug-ins loaded so far."""
        return sorted({*self.files(), *self._entry_points(), *self._loaded})

    def get(self, name: str) -> T:
        """What the name stands for, imported now if it was not yet.

        Raises:
            UsageError: The name is unknown (with a suggestion), or its module cannot be imported (with the reason).
        """
        if name in self._loaded:
            return self._loaded[name]
        points = self._entry_points()
        if name in self.files():
            importlib.import_module(f"{self.package}.{name}")
        elif name in points:
            try:
                loaded = points[name].load()
            except Exception as error:
                raise UsageError(
                    f'the {self.kind} "{name}" of {points[name].value} cannot be loaded: '
                    f"{type(error).__name__}: {error}; mend or uninstall that package"
                ) from error
            self._loaded.setdefault(name, loaded)
        else:
            raise UsageError(f'unknown {self.kind} "{name}"; {suggest(name, self.names())}')
        if name not in self._loaded:
            raise UsageError(f'{self.package}.{name} registers no {self.kind} "{name}"; name it as its file is named')
        return self._loaded[name]

    def files(self) -> dict[str, Path]:
        """The entries that are files of the package: name to file."""
        spec = importlib.util.find_spec(self.package)
        folders = [Path(p) for p in (spec.submodule_search_locations or [])] if spec else []
        return {f.stem: f for folder in folders for f in folder.glob("*.py") if not f.stem.startswith("_")}

    def _entry_points(self) -> dict[str, EntryPoint]:
        return {point.name: point for point in entry_points(group=self.group)}


def load_plugin(path: Path) -> None:
    """Import a Python file so that what it registers can be used by name.

    Raises:
        UsageError: The file is missing, or fails while it is imported (with its reason).
    """
    module_of(path, "plugin")


def module_of(path: Path, kind: str) -> ModuleType:
    """A Python file, imported now.

    Args:
        path: The file.
        kind: What it is taken for; part of the module's name.

    Raises:
        UsageError: The file is missing, or fails while it is imported (with its reason).
    """
    if not path.is_file():
        raise UsageError(f"plug-in {path} is not a file; give the path of a Python file")
    name = f"memobench_{kind}_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise UsageError(f"plug-in {path} is not a Python file; its name must end in .py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        del sys.modules[name]
        raise UsageError(f"plug-in {path} fails on import: {type(error).__name__}: {error}") from error
    return module


def _origin(thing: object) -> tuple[str, str]:
    return getattr(thing, "__module__", ""), getattr(thing, "__qualname__", repr(thing))
