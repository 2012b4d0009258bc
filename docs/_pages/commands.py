"""The page of the commands, from click: what each does, its examples and its options."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import escape

import click
from memobench.cli import main
from memobench.cli.main import bench

HEAD = """# Commands
What `bench --help` says, command by command. Data go to stdout, everything else to stderr. Exit status: 0 done, 1 a run
or a check failed or was interrupted, 2 wrong usage.
"""
EXAMPLE = re.compile(r"^Example: (.*)$", flags=re.MULTILINE)


def commands(group: click.Group, before: str = "bench") -> Iterator[tuple[str, click.Command]]:
    """Every command with its full name, those of groups in place."""
    for name in group.list_commands(click.Context(group)):
        command = group.get_command(click.Context(group), name)
        if isinstance(command, click.Group):
            yield from commands(command, f"{before} {name}")
        elif command is not None and not command.hidden:
            yield f"{before} {name}", command


def examples(command: click.Command) -> list[str]:
    """The examples in a command's help, each on one line."""
    paragraphs = [" ".join(part.split()) for part in (command.help or "").replace("\b", "").split("\n\n")]
    return [part.removeprefix("Example: ") for part in paragraphs if part.startswith("Example: ")]


def page() -> str:
    """The page in Markdown, in the order of ``bench --help``."""
    shown = [name for names in getattr(main, "PURPOSES", {}).values() for name in names]

    def place(one: tuple[str, click.Command]) -> int:
        word = one[0].split()[1]
        return shown.index(word) if word in shown else len(shown)

    return "\n".join([HEAD, *(_entry(name, command) for name, command in sorted(commands(bench), key=place))])


def _entry(name: str, command: click.Command) -> str:
    parts = [" ".join(part.split()) for part in (command.help or "").replace("\b", "").split("\n\n")]
    words = [_text(part) for part in parts if part and not part.startswith("Example: ")]
    shown = examples(command)
    blocks = [f"```bash\n{chr(10).join(shown)}\n```"] if shown else []
    return "\n\n".join([f"## {name}", *words[:1], *blocks, *words[1:], _table(command)]) + "\n"


def _table(command: click.Command) -> str:
    context = click.Context(command)
    rows = [
        f"| `{p.make_metavar(context)}` | {_argument(p)} |" for p in command.params if isinstance(p, click.Argument)
    ]
    rows += [_row(option, context) for option in command.params if isinstance(option, click.Option)]
    return "\n".join(["| option | what it does |", "|---|---|", *rows])


def _argument(argument: click.Argument) -> str:
    return "required" if argument.required else "may be left out"


def _row(option: click.Option, context: click.Context) -> str:
    names = " ".join(f"`{name}`" for name in option.opts)
    record = option.get_help_record(context)
    words = "" if record is None else _text(record[1])
    metavar = "" if option.is_flag else f" <code>{escape(option.make_metavar(context)).replace('|', '&#124;')}</code>"
    return f"| {names}{metavar} | {words} |"


def _text(text: str) -> str:
    """Help as Markdown: nothing in it is markup but backticks."""
    text = " ".join(text.split()).replace("|", "\\|")
    return re.sub(r"([*_<[\]])(?![^`]*`(?:[^`]*`[^`]*`)*[^`]*$)", r"\\\1", text)
