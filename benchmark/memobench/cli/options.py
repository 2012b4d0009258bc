"""From the dataclass of a command's settings to its click options and help (:mod:`memobench.base.words`)."""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Callable, Mapping
from functools import wraps
from pathlib import Path
from typing import Any

import click

from memobench.base.errors import UsageError
from memobench.base.words import assignments, flag_of, helps_of, names, spelling_of, types_of
from memobench.execution.settings import Execution

Command = Callable[..., Any]

as_json_option = click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
all_option = click.option("--all", "every", is_flag=True, help="Show all metrics; by default a few.")
log_option = click.option(
    "--log",
    "trackers",
    multiple=True,
    type=click.Choice(["mlflow", "wandb", "tensorboard"]),
    help="Give the numbers and losses of the finished run to a tracker; no image goes there. May be repeated.",
)
plugin_option = click.option(
    "--plugin", multiple=True, type=click.Path(path_type=Path), help="A Python file with further entries."
)


def settings_options(kind: type, *, argument: str = "") -> Callable[[Command], Command]:
    """Give a command one option for each field of a settings dataclass; it is called with the dataclass first.

    Args:
        kind: The dataclass.
        argument: The field that is written without an option, a path; empty for none.
    """
    fields = dataclasses.fields(kind)
    types, helps = types_of(kind), helps_of(kind)

    def decorate(command: Command) -> Command:
        @wraps(command)
        def called(**words: Any) -> Any:
            values = {field.name: _value(field, types[field.name][0], words.pop(field.name)) for field in fields}
            return command(kind(**values), **words)

        wrapped: Command = called
        for field in reversed(fields):
            if field.name == argument:
                wrapped = click.argument(argument, type=click.Path(path_type=Path))(wrapped)
                continue
            wrapped = _option(field, types[field.name][0], helps.get(field.name, ""))(wrapped)
        return wrapped

    return decorate


def execution_options(command: Command) -> Command:
    """Give a command the options of :class:`Execution`; it is called with ``execution``."""

    @wraps(command)
    def called(*settings: Any, **words: Any) -> Any:
        values = {field.name: _value(field, types[field.name][0], words.pop(field.name)) for field in fields}
        execution = Execution(**values)
        execution.check()
        return command(*settings, execution=execution, **words)

    fields, types, helps = dataclasses.fields(Execution), types_of(Execution), helps_of(Execution)
    wrapped: Command = called
    for field in reversed(fields):
        wrapped = _option(field, types[field.name][0], helps.get(field.name, ""))(wrapped)
    return wrapped


def _option(field: dataclasses.Field[Any], kind: Any, text: str) -> Callable[[Command], Command]:
    spelling = spelling_of(field)
    words: dict[str, Any] = {"help": text, "metavar": spelling.metavar}
    origin = typing.get_origin(kind)
    if field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING and not spelling.optional:
        words["required"] = True
    if kind is bool:
        words["is_flag"] = True
    elif origin is Mapping or (origin is tuple and not (spelling.joined or spelling.parse)):
        words["multiple"] = True
        words["type"] = click.Path(path_type=Path) if Path in typing.get_args(kind) else str
    else:
        words["type"] = _type(kind, spelling)
        if field.default not in (dataclasses.MISSING, None, ()):
            joined = ",".join(map(str, field.default)) if spelling.joined else None
            words["default"] = joined or (spelling.spell(field.default) if spelling.parse else field.default)
            words["show_default"] = field.default != ""
    return click.option(flag_of(field), field.name, **words)


def _type(kind: Any, spelling: Any) -> Any:
    if spelling.choices:
        return click.Choice(list(spelling.choices))
    if spelling.joined or spelling.parse:
        return str
    if kind is Path:
        return click.Path(path_type=Path)
    if spelling.least is not None or spelling.most is not None:
        return (click.IntRange if kind is int else click.FloatRange)(spelling.least, spelling.most)
    return kind if kind in (int, float) else str


def _value(field: dataclasses.Field[Any], kind: Any, given: Any) -> Any:
    """A field's value from what click read."""
    spelling, origin = spelling_of(field), typing.get_origin(kind)
    if given is None and origin is tuple:
        return None if field.default is None else ()
    if kind is bool:
        return given is not field.default
    if given is None:
        return given
    if spelling.joined:
        if not all(part.strip() for part in given.split(",")):
            raise UsageError(f'{flag_of(field)} takes NAME,NAME, not "{given}"; leave no name empty')
        return names(given)
    if spelling.parse:
        return spelling.parse(given)
    if origin is Mapping:
        return assignments(given, flag_of(field), spelling.example)
    return tuple(given) if origin is tuple else given
