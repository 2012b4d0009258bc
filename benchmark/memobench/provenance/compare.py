"""Whether code that was rewritten gives what the older code gave, and the ledger's rows for where it does.

The older code is exported from the repository into a temporary folder. Where its definitions are the same and only
stand elsewhere, there is nothing to run. Else both are run, each in a process of its own, the newer with the older's
fields, and must give the same bytes: samples in 2D and 3D, and losses of images. A preset of which results are stored
keeps its fields, besides new ones at their defaults; in the others a result is told from a present one by its fields.
"""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from memobench.base.errors import MemobenchError
from memobench.provenance.code import Provenance
from memobench.provenance.digest import MODELS, Digests
from memobench.provenance.fields import same_fields
from memobench.provenance.ledger import KINDS, PLACE, TRAINING
from memobench.provenance.probe import MARK
from memobench.provenance.source import Tree

PROBE = Path(__file__).with_name("probe.py")
STORED = "quick"  # the preset of the results in the repository
FIELDS = ("presets", "defaults")  # of what the probe says


@dataclass(frozen=True)
class Compared:
    """What was found of one model.

    Attributes:
        name: Its name.
        tree: The digest of its present syntax trees.
        stored: The digest under which the older code stores results.
        differs: What is not the same, in words; empty where all is.
    """

    name: str
    tree: str
    stored: str
    differs: tuple[str, ...]


def compare(
    checkout: Path, revision: str, models: Sequence[str] = (), *, say: Callable[[str], None] = lambda text: None
) -> tuple[list[Compared], str | None]:
    """Compare the models of a checkout with those of an older revision of it.

    Args:
        checkout: The repository's root, with the new code as it lies there.
        revision: Of the older code, as git names it.
        models: Names; empty for all. Models whose code is known already are passed over.
        say: Is told what is done.

    Returns:
        The models that were compared, and the digest under which files of others that were run with the older code are
        stored: where all models whose code is new were compared and give the same, and the older code has one.

    Raises:
        MemobenchError: There is no such revision, or its code or the present code fails.
    """
    here = Provenance(Tree.of_checkout(checkout))
    names = sorted(here.tree.entries(MODELS))
    if odd := sorted({*models} - {*names}):
        raise MemobenchError(f'there is no model "{odd[0]}" in baselines/; give one of {", ".join(names)}')
    with tempfile.TemporaryDirectory() as folder:
        before = Path(folder)
        _export(checkout, revision, before)
        (old,) = _probe(before, ["--digests"])
        new = {name: here.digests.entry(MODELS, name) for name in names}
        kind = KINDS[MODELS]
        changed = [
            name
            for name in names
            if name in old["models"] and here.ledger.stored(kind, name, new[name]) != old["models"][name]
        ]
        asked = [name for name in changed if not models or name in models]
        before_moves = Digests(Tree.of_checkout(before))
        moved = {name for name in asked if before_moves.entry(MODELS, name) == new[name]}
        found = [Compared(name, new[name], old["models"][name], ()) for name in asked if name in moved]
        for one in found:
            say(f"{one.name}: the same definitions, wherever they stand")
        if run := [name for name in asked if name not in moved]:
            say(f"{', '.join(run)}: the code was rewritten; the older code is run, then the new code")
            first = [*_probe(before, run)]
            given = {name: older["presets"] for name, older in zip(run, first, strict=True) if "presets" in older}
            for name, older, newer in zip(run, first, _probe(checkout, run, given), strict=True):
                differs = differences(older, newer)
                found.append(Compared(name, new[name], old["models"][name], differs))
                say(f"{name}: {'differs: ' + ', '.join(differs) if differs else 'the same numbers'}")
    whole = asked == changed and not any(one.differs for one in found)
    return found, (old["harness"] or None) if whole else None


def differences(older: Mapping[str, Any], newer: Mapping[str, Any]) -> tuple[str, ...]:
    """What two answers of the probe on one model do not agree in, in words.

    >>> differences({"smoke 2D": "1", "loss": "2"}, {"smoke 2D": "1", "loss": "3"})
    ('loss',)
    """
    titles = sorted({*older, *newer} - {*FIELDS})
    found = [title for title in titles if older.get(title) != newer.get(title)]
    before, now = (answer.get("presets", {}).get(STORED, {}) for answer in (older, newer))
    if not same_fields(before, now, newer.get("defaults", {})):
        found.append(f"preset {STORED}")
    return tuple(found)


def add_rows(checkout: Path, found: Sequence[Compared], harness: str | None) -> int:
    """Enter what was found to be the same into the checkout's ledger, and give the number of rows added.

    Args:
        checkout: The repository's root.
        found: Of :func:`compare`.
        harness: Of :func:`compare`.
    """
    here = Provenance(Tree.of_checkout(checkout))
    rows = [(KINDS[MODELS], one.name, one.tree, one.stored) for one in found if not one.differs]
    training = here.digests.training()
    if harness is not None and here.ledger.stored(*TRAINING, training) != harness:
        rows.append((*TRAINING, training, harness))
    for row in rows:
        here.ledger.add(*row)
    if rows:
        here.ledger.write(checkout / PLACE)
    return len(rows)


def _export(checkout: Path, revision: str, into: Path) -> None:
    """Write the files of a revision into a folder."""
    asked = ["git", "-C", str(checkout), "archive", "--format=tar", revision, "pyproject.toml"]
    asked += ["benchmark", "baselines", "tasks"]
    ledger = subprocess.run([*asked, PLACE], capture_output=True, check=False)  # noqa: S603  # words of our own
    whole = ledger if not ledger.returncode else subprocess.run(asked, capture_output=True, check=False)  # noqa: S603
    if whole.returncode:
        reason = whole.stderr.decode(errors="replace").strip().splitlines() or ["git fails"]
        raise MemobenchError(f'revision "{revision}" cannot be read: {reason[-1]}; give one that git log shows')
    with tarfile.open(fileobj=io.BytesIO(whole.stdout)) as archive:
        archive.extractall(into, filter="data")


def _probe(checkout: Path, words: Sequence[str], fields: Mapping[str, Any] | None = None) -> Iterator[dict[str, Any]]:
    """What the probe says under the sources of a checkout, line by line; with fields where they are given."""
    environment = {**os.environ, "PYTHONPATH": str(checkout / "benchmark"), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-P", str(PROBE), *([] if fields is None else ["--fields"]), *words]
    with (
        tempfile.TemporaryFile("w+") as errors,
        tempfile.TemporaryFile("w+") as given,
        subprocess.Popen(  # noqa: S603  # words of our own
            command, env=environment, stdin=_put(given, fields), stdout=subprocess.PIPE, stderr=errors, text=True
        ) as process,
    ):
        for line in process.stdout or ():
            if line.startswith(MARK):
                yield json.loads(line.removeprefix(MARK))
        if process.wait():
            errors.seek(0)
            reason = errors.read().strip().splitlines() or ["no reason given"]
            raise MemobenchError(f"the code in {checkout} fails on {' '.join(words)}: {reason[-1][:300]}; correct it")


def _put(file: IO[str], content: Any) -> IO[str]:
    """A file with JSON in it, to be read from its beginning."""
    json.dump(content, file)
    file.seek(0)
    return file
