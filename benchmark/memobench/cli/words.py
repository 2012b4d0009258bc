"""Words of the command line that several commands take apart."""

from __future__ import annotations

from memobench.base.errors import UsageError


def fields(settings: tuple[str, ...]) -> dict[str, str]:
    """Words FIELD=VALUE to a mapping.

    Raises:
        UsageError: A word is none of these.

    >>> fields(("steps=500",))
    {'steps': '500'}
    """
    found = {}
    for word in settings:
        name, equals, value = word.partition("=")
        if not (name and equals):
            raise UsageError(f'--set takes FIELD=VALUE, not "{word}"; for example --set steps=500')
        found[name.strip()] = value.strip()
    return found


def names(words: str) -> tuple[str, ...]:
    """NAME,NAME to the names, each once.

    >>> names("vae, gan,vae")
    ('vae', 'gan')
    """
    return tuple(dict.fromkeys(name.strip() for name in words.split(",") if name.strip()))


def seeds_of(seed: int, seeds: str | None) -> range:
    """A-B to the seeds from A to B, A to the one seed A; without it the one seed that stands alone.

    Raises:
        UsageError: It is neither A-B nor A.

    >>> list(seeds_of(7, None)), list(seeds_of(0, "1-3")), list(seeds_of(0, "2"))
    ([7], [1, 2, 3], [2])
    """
    if seeds is None:
        return range(seed, seed + 1)
    first, dash, last = seeds.partition("-")
    last = last if dash else first
    if not (first.isdigit() and last.isdigit() and int(first) <= int(last)):
        raise UsageError(f'--seeds takes one seed, or A-B with A <= B, not "{seeds}"; for example --seeds 0-4')
    return range(int(first), int(last) + 1)
