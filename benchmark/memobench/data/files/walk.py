"""The files of a folder that may be images, never beyond the folder itself; and names fit to be printed."""

from __future__ import annotations

import os
from pathlib import Path

_BESIDE = (".csv", ".json", ".txt")
_NAMES = ("dicomdir", "thumbs.db")


def files_in(root: Path) -> tuple[list[str], int]:
    """Every file below a folder, sorted, but hidden ones, tables and notes (.csv, .json, .txt) and DICOMDIR.

    Symbolic links are not followed, neither to files nor to folders.

    Returns:
        Paths relative to the root with forward slashes, and how many links were passed over.
    """
    found: list[str] = []
    links = 0
    for folder, folders, names in os.walk(root, followlinks=False):
        here = Path(folder)
        kept = [name for name in folders if not _hidden(name)]
        links += sum((here / name).is_symlink() for name in kept)
        folders[:] = [name for name in kept if not (here / name).is_symlink()]
        for name in names:
            if _hidden(name) or name.lower() in _NAMES or name.lower().endswith(_BESIDE):
                continue
            file = here / name
            if file.is_symlink():
                links += 1
            elif file.is_file():  # no pipe, socket or device, which would block
                found.append(file.relative_to(root).as_posix())
    return sorted(found), links


def shown(name: str) -> str:
    r"""A file's name on one line of a terminal: what cannot be printed is escaped.

    >>> shown("胸部 'a' <b>.png"), shown("a\n\x1b[2J.png")
    ("胸部 'a' <b>.png", 'a\\n\\x1b[2J.png')
    """
    return "".join(sign if sign.isprintable() else sign.encode("unicode_escape").decode() for sign in name)


def _hidden(name: str) -> bool:
    return name.startswith(".") or name == "__MACOSX"
