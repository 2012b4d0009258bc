"""The measure of a run, an audit and an attack: what was copied, how sure that is, and how good the images are.

The package can be called: ``memobench.measure(samples, task="xray")`` is :func:`memobench.face.measured.measure`.
"""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType
from typing import Any


class _Measure(ModuleType):
    """A package that measures when it is called."""

    def __call__(self, *given: Any, **more: Any) -> Any:
        """See :func:`memobench.face.measured.measure`.

        It stands above this package, which knows nothing of it: it is looked up by its name when it is called.
        """
        return import_module("memobench.face.measured").measure(*given, **more)


sys.modules[__name__].__class__ = _Measure
