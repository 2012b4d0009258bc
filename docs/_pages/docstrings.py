"""Docstrings as the manual shows them: roles as plain code, doctests as code blocks."""

from __future__ import annotations

import re
from typing import Any

import griffe

ROLE = re.compile(r":(?:class|meth|mod|func|attr|data):`~?([^`]+)`")
DOCTEST = re.compile(r"(?:^|\n)((?:>>> .*(?:\n|$))(?:(?!\s*$).*(?:\n|$))*)", flags=re.MULTILINE)


def shown(text: str) -> str:
    """A docstring as Markdown.

    >>> shown("See :meth:`a.b`.")
    'See `a.b`.'
    """
    text = ROLE.sub(r"`\1`", text).replace("``", "`")
    return DOCTEST.sub(lambda found: f"\n```pycon\n{found[1].rstrip()}\n```\n", text)


class Docstrings(griffe.Extension):
    """Changes each docstring as it is read."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """One object of the code."""
        if obj.docstring is not None:
            obj.docstring.value = re.sub(r"::\n", ":\n", shown(obj.docstring.value))
