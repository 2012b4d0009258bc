"""The audit: is a synthetic data set that somebody made safe to share, and which of its images are to be held back?

The package can be called: ``memobench.audit(synthetic, train, holdout)`` is :func:`memobench.audit.run.audit`.
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any


class _Audit(ModuleType):
    """A package that audits when it is called."""

    def __call__(self, *given: Any, **more: Any) -> Any:
        """See :func:`memobench.audit.run.audit`; it brings torch with it, so it is imported here."""
        from memobench.audit.run import audit

        return audit(*given, **more)


sys.modules[__name__].__class__ = _Audit
