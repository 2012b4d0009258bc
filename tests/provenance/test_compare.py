"""The tool that adds rows to the ledger: only for what was shown to give the same bytes."""

from __future__ import annotations

import doctest
import json
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from memobench.base.errors import DataError, MemobenchError
from memobench.provenance import fields as fields_of_models
from memobench.provenance.code import Provenance
from memobench.provenance.compare import Compared, add_rows, compare, differences
from memobench.provenance.digest import MODELS
from memobench.provenance.ledger import PLACE, Ledger
from memobench.provenance.source import Tree

ROOT = Path(__file__).parents[2]
REWRITTEN = ("baselines/replay.py", "copies = round(self.share * n)", "copies = int(round(self.share * n))")
CHANGED = ("baselines/mean.py", "np.sqrt(len(averages))", "np.sqrt(len(averages) + 1)")


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A repository with the present code as its only revision; in the folder two models were changed since."""
    root = tmp_path / "repository"
    for part in ("benchmark/memobench", "baselines", "tasks"):
        shutil.copytree(ROOT / part, root / part, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", root)
    (root / PLACE).parent.mkdir()
    shutil.copy(ROOT / PLACE, root / PLACE)
    words = ["git", "-C", str(root), "-c", "user.name=a", "-c", "user.email=a@b.c"]
    for command in (["init", "-q"], ["add", "-A"], ["commit", "-q", "-m", "first"]):
        subprocess.run([*words, *command], check=True, capture_output=True)
    for path, old, new in (REWRITTEN, CHANGED):
        text = (root / path).read_text()
        assert old in text
        (root / path).write_text(text.replace(old, new))
    return root


def stored(root: Path, name: str) -> str:
    return Provenance(Tree.of_checkout(root)).of_entry(MODELS, name)


def judged(root: Path) -> None:
    found, _ = compare(root, "HEAD")
    assert [(one.name, bool(one.differs)) for one in found] == [("mean", True), ("replay", False)]
    assert "smoke 2D" in found[0].differs
    before = stored(ROOT, "replay")
    assert stored(root, "replay") != before
    assert add_rows(root, found, None) == 1
    assert stored(root, "replay") == before
    assert stored(root, "mean") != stored(ROOT, "mean")


@pytest.mark.slow
def test_code_that_was_rewritten_gets_a_row_and_code_that_differs_gets_none(repository: Path) -> None:
    judged(repository)


@pytest.mark.smoke
def test_the_same_with_the_answers_of_the_probe_given(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def answer(checkout: Path, words: Sequence[str], fields: Any = None) -> Iterator[dict[str, Any]]:
        here = Provenance(Tree.of_checkout(checkout))
        if [*words] == ["--digests"]:
            names = here.tree.entries(MODELS)
            yield {"models": {name: here.of_entry(MODELS, name) for name in names}, "harness": here.of_training()}
            return
        for name in words:
            yield {"smoke 2D": "1" if name == "replay" or checkout != repository else "2"}

    monkeypatch.setattr("memobench.provenance.compare._probe", answer)
    judged(repository)
    assert compare(repository, "HEAD", ["noise"]) == ([], None)
    with pytest.raises(MemobenchError, match='there is no model "nise" in baselines/; give one of'):
        compare(repository, "HEAD", ["nise"])


def test_a_new_field_at_its_default_is_no_difference_and_another_value_is_one() -> None:
    older = {"presets": {"quick": {"steps": 5}, "paper": {"steps": 50}}, "smoke 2D": "1"}
    for quick, added in (({"steps": 5, "extra": 0}, True), ({"steps": 5, "extra": 2}, False), ({"steps": 6}, False)):
        newer = {"presets": {"quick": quick, "paper": {}}, "defaults": {"steps": 5, "extra": 0}, "smoke 2D": "1"}
        assert differences(older, newer) == (() if added else ("preset quick",))
    assert doctest.testmod(fields_of_models).failed == 0


def test_a_revision_that_is_not_there(repository: Path) -> None:
    with pytest.raises(MemobenchError, match=r'revision "nowhere" cannot be read: .*; give one that git log shows'):
        compare(repository, "nowhere")


def test_what_is_given_to_all_models_gets_a_row_of_its_own(repository: Path) -> None:
    loop = repository / "benchmark/memobench/training/loop.py"
    before = Provenance(Tree.of_checkout(repository)).of_training()
    loop.write_text(
        loop.read_text().replace("max(1, round(self.warm_up * self.steps))", "max(round(self.warm_up * self.steps), 1)")
    )
    assert Provenance(Tree.of_checkout(repository)).of_training() != before
    assert add_rows(repository, [Compared("ldm", "0" * 64, "1" * 64, ())], before) == 2
    assert Provenance(Tree.of_checkout(repository)).of_training() == before
    assert add_rows(repository, [], before) == 0


@pytest.mark.parametrize("text", ["{", "[]", '{"models": {"ldm": {"0": "1"}}}', '{"models": 3}', "\xff"])
def test_a_damaged_ledger_is_named_in_one_line(tmp_path: Path, text: str) -> None:
    (tmp_path / "provenance.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(DataError, match=r"provenance.json .*; restore it from the repository") as raised:
        Ledger.read(tmp_path / "provenance.json")
    assert "\n" not in str(raised.value)


def test_the_committed_ledger_is_as_the_tool_writes_it(tmp_path: Path) -> None:
    ledger = Ledger.read(ROOT / PLACE)
    ledger.write(tmp_path / "again.json")
    assert (tmp_path / "again.json").read_bytes() == (ROOT / PLACE).read_bytes()
    assert {*json.loads((ROOT / PLACE).read_text())} <= {"models", "detectors", "harness"}
