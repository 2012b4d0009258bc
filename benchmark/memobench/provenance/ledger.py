"""The ledger: under which digest the results of code are stored that was proven to give the same samples.

``leaderboard/provenance.json`` holds, for each entry, digests of syntax trees and the digest under which results of
that code are stored. Code without a row is stored under the digest of its own tree. Rows are added by
``python -m memobench.provenance`` alone, which runs old and new code first.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from memobench.base.errors import DataError
from memobench.provenance.digest import DETECTORS, MODELS
from memobench.provenance.source import Tree

PLACE = "leaderboard/provenance.json"
KINDS = {MODELS: "models", DETECTORS: "detectors"}
TRAINING = ("harness", "training")  # what memobench gives to models of others; :meth:`Digests.training`
DIGEST = re.compile(r"[0-9a-f]{64}")

Rows = dict[str, dict[str, dict[str, str]]]  # kind, name, digest of the tree: the digest of stored results


@dataclass
class Ledger:
    """The rows.

    Attributes:
        rows: By kind ("models", "detectors", "harness") and name.
    """

    rows: Rows = field(default_factory=dict)

    @classmethod
    def read(cls, file: Path | None) -> Ledger:
        """The ledger in a file; an empty one where there is none.

        Raises:
            DataError: The file cannot be read, or is no ledger.
        """
        if file is None:
            return cls()
        try:
            rows = json.loads(file.read_text(encoding="utf-8"))
        except OSError as error:
            raise DataError(f"{file} cannot be read: {error.strerror}; restore it from the repository") from error
        except ValueError as error:
            raise DataError(f"{file} is not valid JSON: {error}; restore it from the repository") from error
        if not _is_ledger(rows):
            raise DataError(f"{file} does not map digests to digests by kind and name; restore it from the repository")
        return cls(rows)

    @classmethod
    def of(cls, tree: Tree) -> Ledger:
        """The ledger of a tree of sources."""
        return cls.read(tree.find(PLACE))

    def stored(self, kind: str, name: str, tree: str) -> str:
        """The digest under which results are stored.

        Args:
            kind: "models", "detectors" or "harness".
            name: Of the entry.
            tree: The digest of its syntax trees.
        """
        return self.rows.get(kind, {}).get(name, {}).get(tree, tree)

    def add(self, kind: str, name: str, tree: str, stored: str) -> None:
        """Add a row."""
        self.rows.setdefault(kind, {}).setdefault(name, {})[tree] = stored

    def write(self, file: Path) -> None:
        """Write it; the same rows give the same bytes."""
        file.write_text(json.dumps(self.rows, indent=1, sort_keys=True) + "\n", encoding="utf-8")


def _is_ledger(value: Any) -> bool:
    return isinstance(value, dict) and all(
        isinstance(names, dict)
        and all(
            isinstance(row, dict)
            and all(
                DIGEST.fullmatch(tree) and isinstance(stored, str) and DIGEST.fullmatch(stored)
                for tree, stored in row.items()
            )
            for row in names.values()
        )
        for names in value.values()
    )
