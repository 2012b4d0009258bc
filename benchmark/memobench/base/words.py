"""The words of a command, written once: a frozen dataclass whose fields are the options.

A command of ``bench`` and its Python call take the same dataclass. Its fields say name, type and default, its docstring
says what each is for, and :func:`word` adds what neither can say. From these come the click options and the help
(:mod:`memobench.cli.options`) and, the other way round, the command line that asks for given settings
(:func:`command_words`).
"""

from __future__ import annotations

import dataclasses
import math
import re
import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from memobench.base.errors import UsageError

KEY = "word"
Size = int | tuple[int, ...]  # one side length for all axes, or each: (H, W) or (D, H, W)


@dataclass(frozen=True)
class Spelling:
    """How a field is written on the command line, beyond what its type and default say.

    Attributes:
        flag: The option's name, without dashes; None for the field's own.
        metavar: What stands for the value in the help; None for click's choice.
        choices: The values that are allowed; () for any.
        least: Smallest number allowed.
        most: Largest number allowed.
        optional: Whether a field without a default may be left out on the command line; it is None then.
        joined: A tuple written as one word, NAME,NAME, instead of by repeating the option.
        parse: Makes the value of a word, where the type alone cannot.
        spell: Makes the word of a value again.
        example: A right word, where the message of a wrong one shows one.
    """

    flag: str | None = None
    metavar: str | None = None
    choices: Sequence[str] = ()
    least: float | None = None
    most: float | None = None
    optional: bool = False
    joined: bool = False
    parse: Callable[[str], Any] | None = None
    spell: Callable[[Any], str] = str
    example: str = "steps=500"


def word(default: Any = dataclasses.MISSING, **spelling: Any) -> Any:
    """A field of a command's settings; the arguments are those of :class:`Spelling`.

    >>> @dataclass(frozen=True)
    ... class Settings:
    ...     size: int = word(64, least=8)
    >>> Settings().size
    64
    """
    made = {KEY: Spelling(**spelling)}
    if isinstance(default, dict):
        return dataclasses.field(default_factory=lambda: dict(default), metadata=made)
    return dataclasses.field(default=default, metadata=made)


def spelling_of(field: dataclasses.Field[Any]) -> Spelling:
    """How a field is written; the plain way where :func:`word` did not make it."""
    found: Spelling = field.metadata.get(KEY, Spelling())
    return found


def flag_of(field: dataclasses.Field[Any]) -> str:
    """The option of a field, for example ``--train-patients``; of one that is on by default, ``--no-store``."""
    name = (spelling_of(field).flag or field.name).replace("_", "-")
    return f"--no-{name}" if field.default is True else f"--{name}"


def types_of(kind: type) -> Mapping[str, tuple[Any, bool]]:
    """Field name to its type without None, and whether None is allowed."""
    found = {}
    for name, hint in typing.get_type_hints(kind).items():
        inner = [one for one in typing.get_args(hint) if one is not type(None)]
        optional = type(None) in typing.get_args(hint)
        found[name] = (inner[0] if optional else hint, optional)
    return found


def helps_of(kind: type) -> Mapping[str, str]:
    """Field name to its text under "Attributes:" in the class's docstring.

    >>> helps_of(Spelling)["least"]
    'Smallest number allowed.'
    """
    section = (kind.__doc__ or "").partition("Attributes:\n")[2]
    lines = re.findall(r"^ {8}(\w+): (.*(?:\n {12}.*)*)", section, re.MULTILINE)
    return {name: " ".join(text.split()) for name, text in lines}


def command_words(settings: Any) -> list[str]:
    """The options that ask for these settings; fields at their default are left out.

    >>> command_words(Spelling(flag="a", least=2.0))
    ['--flag', 'a', '--least', '2.0']
    """
    words: list[str] = []
    for field in dataclasses.fields(settings):
        value, spelling, flag = getattr(settings, field.name), spelling_of(field), flag_of(field)
        default = field.default_factory() if callable(field.default_factory) else field.default
        if value is None or value == default:
            continue
        if isinstance(value, bool):
            words += [flag]
        elif isinstance(value, Mapping):
            words += [word for name, text in value.items() for word in (flag, f"{name}={text}")]
        elif isinstance(value, tuple) and not (spelling.joined or spelling.parse):
            words += [word for one in value for word in (flag, str(one))]
        else:
            words += [flag, ",".join(map(str, value)) if spelling.joined else spelling.spell(value)]
    return words


def assignments(settings: Sequence[str], flag: str = "--set", example: str = "steps=500") -> dict[str, str]:
    """Words FIELD=VALUE to a mapping.

    Args:
        settings: The words.
        flag: The option that they were given to.
        example: A right word.

    Raises:
        UsageError: A word is not of that form.

    >>> assignments(["steps=500"])
    {'steps': '500'}
    """
    found = {}
    for text in settings:
        name, equals, value = text.partition("=")
        if not (name and equals):
            raise UsageError(f'{flag} takes FIELD=VALUE, not "{text}"; for example {flag} {example}')
        found[name.strip()] = value.strip()
    return found


def names(words: str) -> tuple[str, ...]:
    """NAME,NAME to the names, each once.

    >>> names("vae, gan,vae")
    ('vae', 'gan')
    """
    return tuple(dict.fromkeys(name.strip() for name in words.split(",") if name.strip()))


def seeds_of(words: str) -> tuple[int, ...]:
    """A-B to the seeds from A to B, A to the one seed A.

    Raises:
        UsageError: It is neither A-B nor A.

    >>> seeds_of("1-3"), seeds_of("2")
    ((1, 2, 3), (2,))
    """
    first, dash, last = words.partition("-")
    last = last if dash else first
    if not (first.isdigit() and last.isdigit() and int(first) <= int(last)):
        raise UsageError(f'--seeds takes one seed, or A-B with A <= B, not "{words}"; for example --seeds 0-4')
    return tuple(range(int(first), int(last) + 1))


def spell_seeds(seeds: Sequence[int]) -> str:
    """The word for seeds that follow one another.

    >>> spell_seeds((0, 1, 2)), spell_seeds((4,))
    ('0-2', '4')
    """
    return f"{seeds[0]}-{seeds[-1]}" if len(seeds) > 1 else str(seeds[0])


def size_of(words: str) -> Size:
    """A side length, or the sides HxW or DxHxW.

    Raises:
        UsageError: It is neither.

    >>> size_of("64"), size_of("32x256x256")
    (64, (32, 256, 256))
    """
    sides = words.lower().split("x")
    if not 1 <= len(sides) <= 3 or not all(side.isdecimal() and side.isascii() and len(side) < 7 for side in sides):
        raise UsageError(
            f'--size takes a side length, HxW or DxHxW, not "{words}"; for example --size 64 or 32x256x256'
        )
    return int(sides[0]) if len(sides) == 1 else tuple(int(side) for side in sides)


def spell_size(size: Size) -> str:
    """The word for a size or a shape.

    >>> spell_size(64), spell_size((32, 256, 256))
    ('64', '32x256x256')
    """
    return str(size) if isinstance(size, int) else "x".join(map(str, size))


def range_of(words: str) -> tuple[float, float] | str:
    """LOW,HIGH to the two numbers; the word "each" stays.

    Raises:
        UsageError: It is neither.

    >>> range_of("-1,1"), range_of("each")
    ((-1.0, 1.0), 'each')
    """
    if words == "each":
        return words
    try:
        low, high = (float(part) for part in words.split(","))
        if not low < high or not math.isfinite(high - low):
            raise ValueError(words)
    except ValueError as error:
        raise UsageError(
            f'--value-range takes LOW,HIGH or each, not "{words}"; for example --value-range -1,1'
        ) from error
    return low, high


def spell_range(values: Sequence[float] | str) -> str:
    """The word for a range.

    >>> spell_range((-1.0, 1.0)), spell_range("each")
    ('-1,1', 'each')
    """
    return values if isinstance(values, str) else ",".join(f"{value:g}" for value in values)
