"""Every command of README and of the manual is read by the command line itself, and those that are quick are run.

Of each command (``bench audit``, say) enough are run that every option that the pages show is run once. Trainings are
run once and otherwise checked by ``--dry-run``. Studies, calibrations, attacks and submissions take longer than these
pages are worth: the tests of these commands run them, and here their words are read.
"""

from __future__ import annotations

import contextlib
import csv
import io
import re
import shutil
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import click
import numpy as np
import pytest
from memobench.cli.main import bench, main
from PIL import Image

from .conftest import ROOT, Block, blocks_of, written

commands = import_module("commands")  # of docs/_pages, which conftest has put on the path

SMALL = ["--data", "data", "--size", "32"]  # in place of the phantom, whose drawing takes longer than all else
ADDED = {
    "run": [*SMALL, "--preset", "smoke", "--samples", "12"],
    "measure": [*SMALL, "--preset", "smoke"],
    "audit": ["--preset", "smoke"],
    "data export": SMALL,
    "leaderboard": ["--submissions", str(ROOT / "leaderboard" / "submissions")],
}
RUN = ("list", "data check", "run", "data export", "measure", "audit", "verify", "leaderboard", "export")
LONG = ("--site", "--check", "--level", "--changed", "--root")  # run by the tests of the board and of verification
CHECKPOINT = ("diffusers:", "monai:", "torch:")  # tests/checkpoints has such files
OTHERS = ("pip", "python", "pytest", "mkdocs", "git", "ruff")
ALL = [
    block
    for file in written()
    for block in blocks_of(file.read_text(encoding="utf-8"), file.relative_to(ROOT).as_posix())
]
COMMANDS = [(block, words) for block in ALL if block.language == "bash" for words in block.commands if words]
MADE = [block for block in blocks_of(commands.page(), "commands.md") if block.language == "bash"]
BENCH = [(block, words) for block, words in COMMANDS if words[0] == "bench" and not block.reason]
BENCH += [(block, words) for block in MADE for words in block.commands]
MARKED = [block for block in ALL if block.reason]


def parsed(words: list[str]) -> tuple[str, click.Context]:
    """The name of a command of ``bench``, and what click reads of it; click's error where it is wrong."""
    words = words[: words.index(">")] if ">" in words else words
    command: click.Command = bench
    context = click.Context(bench, info_name="bench")
    rest, names = words[1:], []
    while isinstance(command, click.Group) and rest and not rest[0].startswith("-"):
        name, found, rest = command.resolve_command(context, rest)
        assert found is not None
        names.append(str(name))
        command = found
    return " ".join(names), command.make_context(names[-1] if names else "bench", list(rest), parent=context)


def options(words: list[str]) -> frozenset[str]:
    return frozenset(word.partition("=")[0] for word in words if word.startswith("--"))


def chosen() -> list[tuple[Block, list[str]]]:
    """The commands to run: the ones with most options first, until every option of a command was there once."""
    seen: dict[str, set[str]] = {}
    picked = []
    for block, words in sorted((one for one in BENCH if one[0] not in MADE), key=lambda one: -len(options(one[1]))):
        if words[1].startswith("-"):
            continue
        name = kind_of(words)
        if name not in RUN or options(words) & {*LONG} or any(word.startswith(CHECKPOINT) for word in words):
            continue
        if name not in seen or options(words) - seen[name]:
            seen.setdefault(name, set()).update(options(words))
            picked.append((block, words))
    # the first run is a training, the others are checked: a model that trains nothing comes first
    return sorted(picked, key=lambda one: (RUN.index(kind_of(one[1])), "replay" not in one[1]))


def kind_of(words: list[str]) -> str:
    return " ".join(words[1:3]) if words[1] == "data" else words[1]


CHOSEN = chosen()


def label(one: object) -> str:
    return " ".join(one)[:70] if isinstance(one, list) else getattr(one, "page", "")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with everything that the pages name."""
    root = tmp_path_factory.mktemp("place")
    people = iter(range(1000))
    for name, count, listed in (
        ("data", 48, True),
        ("train", 24, True),
        ("holdout", 24, True),
        ("synthetic", 16, False),
        ("samples", 16, False),
        ("plain", 4, False),
        ("released", 16, False),
    ):
        _images(root / name, [next(people) for _ in range(count)], listed=listed)
    read = [np.asarray(Image.open(file)) for file in sorted((root / "samples").glob("*.png"))]
    np.savez(root / "samples.npz", samples=np.stack(read))
    np.savez(root / "scaled.npz", samples=np.stack(read).astype(np.float32) / 127.5 - 1)
    (root / "policy.toml").write_text(next(b.text for b in ALL if b.language == "toml"), encoding="utf-8")
    guide = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    files = re.findall(r"Save this as `(\w+\.py)`.*?```python\n(.*?)```", guide, flags=re.DOTALL)
    for name, text in files:
        (root / name).write_text(text, encoding="utf-8")
    (root / "leaderboard").mkdir()
    with contextlib.chdir(root):
        yield root


def _images(folder: Path, people: list[int], *, listed: bool) -> None:
    folder.mkdir()
    rows = []
    for person in people:
        coarse = np.random.default_rng(person).integers(0, 256, (8, 8), dtype=np.uint8)
        Image.fromarray(coarse.repeat(4, 0).repeat(4, 1)).save(folder / f"p{person}_0.png")
        rows.append([f"p{person}_0.png", f"p{person}", f"p{person}-0", "north" if person % 2 else "south"])
    if listed:
        with (folder / "manifest.csv").open("w", newline="") as handle:
            csv.writer(handle).writerows([["file", "patient_id", "scan_id", "site"], *rows])


def test_every_block_says_what_it_is() -> None:
    for block in ALL:
        where = f"{block.page}:{block.line}"
        assert block.language, f"{where}: this block names no language (bash for commands, text for the rest)"
        if block.language != "bash" and not block.reason:
            shown = [line for line in block.text.splitlines() if line.startswith("bench ")]
            assert not shown or block.text.startswith("#!"), f"{where}: commands stand in blocks of the language bash"


def test_every_command_is_one_that_is_known() -> None:
    for block, words in COMMANDS:
        if not block.reason:
            assert words[0] in ("bench", *OTHERS), f"{block.page}:{block.line}: {words[0]}"


@pytest.mark.parametrize(("block", "words"), BENCH, ids=label)
def test_the_command_line_takes_it(block: Block, words: list[str]) -> None:
    if words[1:] == ["--version"]:
        return
    name, context = parsed(words)
    assert name
    assert context.params is not None


@pytest.mark.parametrize("block", MARKED, ids=lambda block: f"{block.page}:{block.line}")
def test_what_is_not_run_says_why(block: Block) -> None:
    for words in block.commands:
        if words[0] == "bench" and "&&" not in words:
            parsed(words)
    pytest.skip(block.reason)


@pytest.mark.parametrize(("block", "words"), CHOSEN, ids=label)
def test_it_runs(block: Block, words: list[str], place: Path) -> None:
    name = kind_of(words)
    given = [ready(word, place) for word in words[1:]]
    extra = ADDED.get(name, [])
    taken = options(words)
    for flag, value in zip(extra[::2], extra[1::2], strict=True):
        if flag not in taken or flag == "--preset":
            given += [flag, value]
    if name == "run" and any(place.glob("runs/*/result.json")):
        given.append("--dry-run")
    if "--clean" in given:
        shutil.rmtree(place / given[given.index("--clean") + 1], ignore_errors=True)
    status, errors = bench_status(given)
    # a policy that is not met gives 1 too, as the page says
    assert status == 0 or (status == 1 and "the policy is not met" in errors), errors


def ready(word: str, place: Path) -> str:
    """A word of a page with the names of runs and submissions that there are."""
    if word.startswith("runs/"):
        return str(next(place.glob("runs/*/result.json")).parent)
    if word.startswith("leaderboard/submissions/"):
        return str(next((ROOT / "leaderboard" / "submissions" / "xray").glob("xray-fresh-*")))
    return word


def bench_status(words: list[str]) -> tuple[int, str]:
    errors = io.StringIO()
    try:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(errors):
            main(words)
    except SystemExit as end:
        return int(end.code or 0), errors.getvalue()
    return 0, errors.getvalue()


def test_all_options_of_quick_commands_are_run() -> None:
    shown: dict[str, set[str]] = {}
    for block, words in BENCH:
        if block not in MADE and not words[1].startswith("-"):
            shown.setdefault(kind_of(words), set()).update(options(words))
    run: dict[str, set[str]] = {}
    for _, words in CHOSEN:
        run.setdefault(kind_of(words), set()).update(options(words))
    for name in RUN:
        left = shown.get(name, set()) - run.get(name, set()) - {*LONG, "--weights", "--samples", "--run-their-code"}
        assert left <= {"--trained-on", "--name", "--seed", "--set"}, (name, left)
