"""What can go wrong, as one line a person can act on: the thing, the reason, the fix.

The command line prints the message alone and ends with the class's exit code.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class MemobenchError(Exception):
    """A run or a check failed for a reason that the message names (exit code 1)."""

    exit_code = 1


class UsageError(MemobenchError):
    """The words of the command are wrong: an unknown name, option or value (exit code 2)."""

    exit_code = 2


class DataError(MemobenchError):
    """Input files or images cannot be used as they are (exit code 1)."""


def suggest(word: str, known: Iterable[str]) -> str:
    """The known names, led by the likeliest one that was meant.

    >>> suggest("xry", ["ct", "xray"])
    'did you mean "xray"? Known: ct, xray'
    """
    known = sorted(known)
    close = difflib.get_close_matches(word, known, n=1)
    lead = f'did you mean "{close[0]}"? ' if close else ""
    return f"{lead}Known: {', '.join(known) or 'none'}"
