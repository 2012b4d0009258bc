from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from memobench.cli.main import PURPOSES, bench, main

ROOT = Path(__file__).parents[2]


def _bench(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as end:
        main(list(words))
    out, err = capsys.readouterr()
    return int(end.value.code or 0), out, err


@pytest.mark.parametrize(
    "words",
    [
        ["--help"],
        ["--version"],
        ["run", "--help"],
        ["challenge", "--help"],
        ["calibrate", "--help"],
        ["leaderboard", "--help"],
        ["attack", "--help"],
        ["data", "check", "--help"],
        ["check", "--help"],
        ["list"],
        ["list", "detectors"],
        ["list", "tasks", "--json"],
    ],
)
def test_light_commands_import_nothing_heavy(words: list[str]) -> None:
    heavy = ["torch", "monai", "diffusers", "scipy", "matplotlib", "pydantic", "sklearn"]
    if "list" not in words:
        heavy.append("numpy")
    code = (
        "import sys\nfrom memobench.cli.main import main\ntry:\n"
        f"    main({words!r})\nexcept SystemExit as end:\n    assert end.code in (0, None), end.code\n"
        f"found = [m for m in {heavy!r} if m in sys.modules]\nassert not found, found\n"
    )
    path = f"import sys; sys.path.insert(0, {str(ROOT / 'benchmark')!r})\n"
    done = subprocess.run([sys.executable, "-c", path + code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("words", [["list"], ["list", "data"], ["list", "data", "--json"]])
def test_what_there_is_is_listed_without_network(words: list[str]) -> None:
    """Any socket or name look-up in the fresh interpreter, and any heavy import, ends it with an error."""
    code = (
        "import socket, sys\n"
        "def refuse(*_, **__):\n    raise AssertionError('the network was asked')\n"
        "socket.socket.__init__ = refuse\nsocket.getaddrinfo = socket.create_connection = refuse\n"
        "from memobench.cli.main import main\ntry:\n"
        f"    main({words!r})\nexcept SystemExit as end:\n    assert end.code in (0, None), end.code\n"
        "heavy = ('torch', 'monai', 'medmnist', 'pooch', 'nibabel', 'pydicom', 'h5py')\n"
        "found = [m for m in heavy if m in sys.modules]\n"
        "assert not found, found\n"
    )
    path = f"import sys; sys.path.insert(0, {str(ROOT / 'benchmark')!r})\n"
    done = subprocess.run([sys.executable, "-c", path + code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "CC BY-SA 4.0" in done.stdout
    assert "decathlon_hippocampus" in done.stdout


def test_list_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    status, out, _ = _bench(capsys, "list", "--json")
    entries = json.loads(out)
    assert status == 0
    assert set(entries) == {"models", "tasks", "data", "detectors", "features"}
    assert "ldm" in [row["name"] for row in entries["models"]]
    assert all(row["about"] for row in entries["models"])


@pytest.mark.parametrize(
    ("words", "message", "status"),
    [
        (["run", "--model", "ldmm", "--task", "xray"], 'unknown model "ldmm"; did you mean "ldm"', 2),
        (["run", "--model", "noise", "--task", "xry"], 'unknown task "xry"; did you mean "xray"', 2),
        (["run", "--model", "replay", "--task", "xray", "--set", "shar=1"], 'no field "shar"; did you mean "share"', 2),
        (["run", "--model", "replay", "--task", "xray", "--set", "share=x"], 'takes float, not "x"', 2),
        (["run", "--model", "replay", "--task", "xray", "--set", "share=2"], "share=2.0 is no share", 2),
        (["run", "--model", "replay", "--task", "xray", "--set", "share=nan"], 'takes float, not "nan"', 2),
        (["run", "--model", "replay", "--task", "xray", "--set", "share"], "--set takes FIELD=VALUE", 2),
        (["run", "--model", "noise", "--task", "xray", "--preset", "big"], 'no preset "big"', 2),
        (["run", "--model", "noise", "--task", "xray", "--size", "7"], "--size 7 is no size of task xray", 2),
        (["run", "--model", "noise", "--task", "xray", "--seeds", "4-1"], "--seeds takes one seed, or A-B", 2),
        (["run", "--model", "noise", "--task", "xray", "--samples", "0"], "--samples", 2),
        (["run", "--model", "noise", "--task", "xray", "--data", "none"], "there is no folder none", 1),
        (["run", "--model", "noise", "--task", "xray", "--plugin", "none.py"], "plug-in none.py is not a file", 2),
        (["run", "--model", "noise"], "Missing option '--task'", 2),
        (["run", "--modle", "noise"], "No such option", 2),
        (["list", "things"], "things", 2),
        (["frobnicate"], "No such command", 2),
        (["attack", "none", "--detector", "l22", "--name", "C"], 'unknown detector "l22"; did you mean "l2"', 2),
        (["attack", "none", "--name", "C"], "Missing option '--detector'", 2),
        (["leaderboard", "--runs", "none"], "no results in none", 1),
        (["leaderboard", "--submissions", "none"], "no submissions in none", 1),
        (["leaderboard", "--runs", "none", "--check"], "--check are for submissions", 2),
        (["check", "nothing"], 'unknown model "nothing"', 2),
    ],
)
def test_a_mistake_is_one_line_with_its_fix(
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    words: list[str],
    message: str,
    status: int,
) -> None:
    monkeypatch.chdir(tmp_path)
    code, out, err = _bench(capsys, *words)
    assert code == status
    assert message in err
    assert err.startswith("bench: ")
    assert err.count("\n") == 1
    assert not out


def test_dry_run_writes_nothing(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    status, out, _ = _bench(capsys, "run", "--model", "replay", "--task", "xray", "--set", "share=0.3", "--dry-run")
    assert status == 0
    assert "share = 0.3" in out
    assert not list(tmp_path.iterdir())


def test_check_prints_the_rules(capsys: pytest.CaptureFixture[str]) -> None:
    status, out, _ = _bench(capsys, "check", "noise")
    assert status == 0
    assert "passed  noise 2D" in out
    assert "passed  noise 3D" in out


def test_the_help_shows_every_command_once_below_a_purpose(capsys: pytest.CaptureFixture[str]) -> None:
    names = [name for commands in PURPOSES.values() for name in commands]
    assert sorted(names) == sorted(bench.commands)
    with pytest.raises(SystemExit):
        main(["--help"])
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 80
    for name in names:
        assert sum(line.startswith(f"  {name} ") for line in lines) == 1


@pytest.mark.parametrize(
    "words",
    [
        *([name] for name, command in bench.commands.items() if not hasattr(command, "commands")),
        *(["data", name] for name in bench.commands["data"].commands),  # type: ignore[attr-defined]
    ],
    ids=" ".join,
)
def test_the_help_of_every_command_has_an_example(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main([*words, "--help"])
    shown = " ".join(capsys.readouterr().out.split())
    assert f"Example: bench {' '.join(words)}" in shown


def test_lists_fit_a_terminal_of_80_columns(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["list"])
    assert max(map(len, capsys.readouterr().out.splitlines())) <= 80
