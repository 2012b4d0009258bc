"""Pages and tables from the registries: data sources, models, tasks, detectors, the decision table."""

from __future__ import annotations

from memobench.cli.listing import listing
from memobench.data.public._source import SOURCES, Source
from memobench.measure.decision import TABLE
from memobench.task import TASKS

SOURCES_HEAD = """# Public data sets
`bench list data` prints this list. Figures of patients, images and sizes are for orientation. Read the licence yourself
before you use or publish anything. [Data](index.md) shows how a source is named on the command line, and how its
patients are split.
"""


def sources() -> str:
    """One section for each public data set."""
    every = [SOURCES.get(name) for name in SOURCES.names()]
    head = ["| name | modality | tasks | access | size |", "|---|---|---|---|---|"]
    rows = [
        f"| [`{one.name}`](#{one.name}) | {one.modality} | {', '.join(one.tasks)} | {one.access} | {one.size} |"
        for one in every
    ]
    return "\n".join([SOURCES_HEAD, *head, *rows, "", *(_source(one) for one in every)])


def _source(source: Source) -> str:
    facts = {
        "Patients": source.patients,
        "Images": source.images,
        "Split": source.split,
        "Preparation": str(source.recipe),
        "Licence": f"{source.licence} ({source.licence_source})",
        "How to get it": source.how_to_get,
        "Please cite": source.citation,
        "In the study of Dar et al.": f"stands for {source.stands_for}" if source.stands_for else "",
    }
    rows = [f"| {name} | {' '.join(text.split()).replace('|', ' ')} |" for name, text in facts.items() if text]
    title = f"## {source.title} {{ #{source.name} }}"
    command = f"bench run --model ldm --task {source.tasks[0]} --data {source.name}=DIR"
    return "\n".join([title, "", "| `" + source.name + "` | |", "|---|---|", *rows, "", f"    {command}", ""])


def tables() -> dict[str, str]:
    """What stands in the place of ``<!-- table: NAME -->`` in a page."""
    tasks = [TASKS.get(name) for name in TASKS.names()]
    return {
        "tasks": _rows(
            ("task", "images", "size", "training patients", "test patients", "samples"),
            [
                (
                    f"`{one.name}`",
                    one.modality,
                    " x ".join(map(str, one.shape)),
                    str(one.split.train),
                    str(one.split.test),
                    str(one.samples),
                )
                for one in tasks
            ],
        ),
        "decision": _rows(("what was found", "at best"), [(row.name, row.word) for row in TABLE]),
        **{kind: _listed(kind) for kind in ("models", "detectors", "features")},
    }


def filled(markdown: str) -> str:
    """A page with its tables in place."""
    if "<!-- table: " not in markdown:
        return markdown
    for name, table in tables().items():
        markdown = markdown.replace(f"<!-- table: {name} -->", table)
    return markdown


def _listed(kind: str) -> str:
    """Names with what is said of each."""
    entries = listing([kind])[kind]
    about = [" ".join(str(words) for key, words in one.items() if key != "name") for one in entries]
    return _rows(("name", "what it is"), [(f"`{one['name']}`", text) for one, text in zip(entries, about, strict=True)])


def _rows(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    lines = ["| " + " | ".join(cells) + " |" for cells in [head, ("---",) * len(head), *rows]]
    return "\n".join(lines)
