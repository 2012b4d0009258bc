"""Pages and tables from the registries: data sources, models, tasks, detectors, the decision table."""

from __future__ import annotations

from memobench.cli.listing import listing
from memobench.data.public._source import SOURCES, Source
from memobench.measure.decision import TABLE, Findings
from memobench.measure.region_words import RegionFindings
from memobench.task import TASKS

# a set of which every row has something to say
EXAMPLE = Findings(
    images=300,
    called=2,
    held_out_called=1,
    exact=1,
    certain=1,
    certain_patients=1,
    p_single=0.0002,
    groups=2,
    expected=0.3,
    held_out_groups=1,
    held_out_expected=0.3,
    p_permuted=0.004,
    p_closest=0.2,
    rate=(0.007, 0.0, 0.03),
    patients=2,
    share=0.62,
    train_patients=12,
    holdout_patients=12,
    shifted=0.8,
    pose="3 images were compared in another pose",
    empty=1,
    unread=2,
    carriers=1,
    sensitivity=0.6,
    unmet=("up to 3% of the images may be copies (95% interval), and 1% is the most allowed",),
    elsewhere="other radiographs",
    regions=RegionFindings(
        300, 3, 1, 1, 1, 1, expected=0.2, held_out_expected=0.2, p_single=0.0005, parts=((0.5, 1.0), (0.25, 0.4))
    ),
)
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
        "decision": _rows(
            ("what was found", "at best", "what is said, for example"),
            [(row.name, row.word, row.says(EXAMPLE)) for row in TABLE],
        ),
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
