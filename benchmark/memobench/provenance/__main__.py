"""``python -m memobench.provenance``: which code is known, and new rows for the ledger."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from memobench.base.errors import MemobenchError
from memobench.base.terminal import say
from memobench.provenance.code import present
from memobench.provenance.compare import add_rows, compare
from memobench.provenance.digest import MODELS
from memobench.provenance.ledger import KINDS


def main() -> int:
    """Do what the command line says, and give the exit status: 1 where something differs."""
    parser = argparse.ArgumentParser(prog="python -m memobench.provenance", description=__doc__)
    parser.add_argument("--since", metavar="REV", help="Compare the samples of this code with those of a revision.")
    parser.add_argument("--write", action="store_true", help="Add a row to the ledger for each model that is the same.")
    parser.add_argument("--model", action="append", default=[], help="Only this model; may be given several times.")
    asked = parser.parse_args()
    if asked.since is None:
        here = present()
        for name in sorted(here.tree.entries(MODELS)):
            tree = here.digests.entry(MODELS, name)
            stored = here.ledger.stored(KINDS[MODELS], name, tree)
            sys.stdout.write(f"{name:16} {tree[:16]}  {'as ' + stored[:16] if stored != tree else 'its own'}\n")
        return 0
    checkout = Path(__file__).resolve().parents[3]
    if not (checkout / "baselines").is_dir():
        raise MemobenchError("this memobench is no checkout of the repository; run it in one, installed with pip -e")
    found, harness = compare(checkout, asked.since, asked.model, say=say)
    differing = [one for one in found if one.differs]
    if asked.write:
        sys.stdout.write(f"{add_rows(checkout, found, harness)} rows added to the ledger\n")
    elif len(found) > len(differing):
        sys.stdout.write("nothing was written; add --write to enter what is the same into the ledger\n")
    if not found:
        sys.stdout.write("all code is known already\n")
    return 1 if differing else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except MemobenchError as error:
        sys.exit(f"Error: {error}")
