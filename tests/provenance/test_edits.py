"""Edits of a copy of the sources: what voids no result, what voids which, and that both judges say the same."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from memobench.board.show import check_board
from memobench.generator import GENERATORS
from memobench.provenance.code import Provenance, present
from memobench.provenance.digest import MODELS
from memobench.provenance.ledger import PLACE
from memobench.provenance.source import Tree
from memobench.submissions.check import failures
from memobench.submissions.verify import verify

ROOT = Path(__file__).parents[2]
SUBMISSIONS = ROOT / "leaderboard" / "submissions"
NAMES = sorted(GENERATORS.files())
CONTROLS = {name for name in NAMES if GENERATORS.get(name).CONTROL}

Edit = Callable[[Path], None]


def copied(folder: Path) -> Path:
    for part in ("benchmark/memobench", "baselines"):
        shutil.copytree(ROOT / part, folder / part, ignore=shutil.ignore_patterns("__pycache__", "*.csv", "*.json"))
    (folder / PLACE).parent.mkdir()
    shutil.copy(ROOT / PLACE, folder / PLACE)
    return folder


def replace(root: Path, path: str, old: str, new: str) -> None:
    text = (root / path).read_text()
    assert old in text, old
    (root / path).write_text(text.replace(old, new))


def move(root: Path, old: str, new: str, *pairs: tuple[str, str]) -> None:
    """Move a file, and write another name wherever one of these patterns stands."""
    (root / new).parent.mkdir(exist_ok=True)
    (root / old).rename(root / new)
    for file in root.rglob("*.py"):
        text = file.read_text()
        for pattern, name in pairs:
            text = re.sub(pattern, name, text)
        file.write_text(text)


def docstring(root: Path) -> None:
    text = (root / "baselines/_transformer.py").read_text()
    (root / "baselines/_transformer.py").write_text(re.sub(r'^"""', '"""In other words: ', text, count=1))
    replace(root, "baselines/replay.py", '"""Copies', '"""Reproduces')


def comment(root: Path) -> None:
    replace(root, "baselines/_diffusion.py", "MOST_WEIGHT = 5.0", "MOST_WEIGHT = 5.0  # at most;")


def private_file(root: Path) -> None:
    move(root, "baselines/_nets.py", "baselines/_layers.py", (r"from \._nets import", "from ._layers import"))


def modules(root: Path) -> None:
    training, base = (root / "benchmark/memobench" / name for name in ("training", "base"))
    move(root, str(training / "loop.py"), str(training / "inner/loop.py"), (r"training\.loop\b", "training.inner.loop"))
    move(root, str(base / "seeds.py"), str(base / "roles/seeds.py"), (r"base\.seeds\b", "base.roles.seeds"))
    move(root, str(training / "fitting.py"), str(base / "roles/fits.py"), (r"training\.fitting\b", "base.roles.fits"))
    for package in (training / "inner", base / "roles"):
        (package / "__init__.py").write_text('"""A package."""\n')


HARMLESS: dict[str, Edit] = {
    "a docstring reworded": docstring,
    "a comment added": comment,
    "a private file renamed": private_file,
    "modules moved": modules,
}
HARMFUL: dict[str, tuple[str, str, str, set[str]]] = {  # file, before, after, entries whose numbers change
    "a weight": ("baselines/_diffusion.py", "MOST_WEIGHT = 5.0", "MOST_WEIGHT = 4.0", {"ddpm"}),
    "the times of the loss": (
        "baselines/_diffusion.py",
        "LOSS_TIMES = (0.1,",
        "LOSS_TIMES = (0.15,",
        {"ddpm", "flow", "ldm", "ldm_deduplicated", "ldm_early", "ldm_filtered", "ldm_monitored"},
    ),
    "the training loop": (
        "benchmark/memobench/training/loop.py",
        "warm_up: float = 0.05",
        "warm_up: float = 0.06",
        {*NAMES} - CONTROLS,
    ),
}


def under(tree: Path, monkeypatch: pytest.MonkeyPatch) -> Provenance:
    """Judge by the sources of a copy."""
    provenance = Provenance(Tree.of_checkout(tree))
    monkeypatch.setattr("memobench.provenance.code.present", lambda: provenance)
    # What the scores say does not depend on the code, and takes a second for each submission.
    monkeypatch.setattr("memobench.submissions.check.score_problems", lambda submission, scores: ([], []))
    return provenance


def models_that_fail() -> tuple[set[str], set[str]]:
    """The models whose submissions fail: by ``bench verify``, and by what ``bench leaderboard --check`` adds."""
    by_verify: set[str] = set()
    by_check: set[str] = set()
    all_of: dict[str, list[str]] = {}
    failing = failures(SUBMISSIONS)
    for file in sorted(SUBMISSIONS.glob("*/*/submission.json")):
        name = f"{file.parent.parent.name}/{file.parent.name}"
        model = json.loads(file.read_text())["result"]["identity"]["model"]
        all_of.setdefault(model, []).append(name)
        if len(all_of[model]) == 1:  # one of each model: it reads what the other judge reads
            verified = verify(file.parent)
            assert verified.problems == failing.get(name, []), name
            by_verify |= set() if verified.passed else {model}
    for model, names in all_of.items():
        held = [name in failing for name in names]
        assert all(held) or not any(held), model  # all submissions of one model have the same code
        if any(held):
            by_check.add(model)
    assert sum(map(len, all_of.values())) == 40
    return by_verify, by_check


@pytest.mark.parametrize("name", HARMLESS)
def test_an_edit_that_changes_no_number_changes_no_digest(tmp_path: Path, name: str) -> None:
    copy = copied(tmp_path)
    HARMLESS[name](copy)
    provenance = Provenance(Tree.of_checkout(copy))
    assert [one for one in NAMES if provenance.of_entry(MODELS, one) != present().of_entry(MODELS, one)] == []


def test_an_installed_package_gives_the_same_digests(tmp_path: Path) -> None:
    """There the content folders lie inside the package."""
    installed = copied(tmp_path) / "benchmark" / "memobench"
    for part in ("baselines", "leaderboard"):
        (tmp_path / part).rename(installed / part)
    provenance = Provenance(Tree((installed,)))
    for name in ("ldm", "replay"):
        assert provenance.of_entry(MODELS, name) == present().of_entry(MODELS, name)


def test_after_such_edits_every_submission_passes_and_so_does_the_check(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = copied(tmp_path)
    for edit in HARMLESS.values():
        edit(copy)
    under(copy, monkeypatch)
    assert models_that_fail() == (set(), set())
    assert check_board(SUBMISSIONS) == []


@pytest.mark.parametrize("name", HARMFUL)
def test_a_changed_constant_voids_the_entries_that_use_it_and_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    copy = copied(tmp_path)
    path, old, new, expected = HARMFUL[name]
    replace(copy, path, old, new)
    before = {one: present().of_entry(MODELS, one) for one in NAMES}
    provenance = under(copy, monkeypatch)
    assert {one for one in NAMES if provenance.of_entry(MODELS, one) != before[one]} == expected
    if name == "the times of the loss":
        return  # as many submissions again, which say the same
    by_verify, by_check = models_that_fail()
    submitted = {json.loads(file.read_text())["result"]["identity"]["model"] for file in SUBMISSIONS.rglob("*n.json")}
    assert by_verify == by_check == expected & submitted != set()


def stored_codes() -> dict[str, set[str]]:
    """The codes under which results are stored in the repository: of submissions and of studies, by model."""
    found: dict[str, set[str]] = {}
    files = [*SUBMISSIONS.glob("*/*/submission.json"), *(ROOT / "leaderboard" / "studies").rglob("result.json")]
    for file in files:
        content = json.loads(file.read_text())
        identity = content.get("result", content)["identity"]
        found.setdefault(identity["model"], set()).add(identity["generator_code"])
    assert len(files) >= 141
    return found


def test_all_stored_results_are_of_the_present_code() -> None:
    codes = {name: present().of_entry(MODELS, name) for name in NAMES}
    stored = stored_codes()
    void = [name for name in NAMES if name in stored and codes[name] not in stored[name]]
    assert not void, (
        f"the code of {', '.join(void)} changed, and older results are stored. Where no number changed, run "
        "python -m memobench.provenance --since REV --write; REV is the last revision at which this test passed"
    )
