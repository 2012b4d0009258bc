"""The table of the public data sources in ``tasks/README.md``, made from the registry."""

from __future__ import annotations

from pathlib import Path

from memobench.data.public._source import SOURCES

BEGIN, END = "<!-- sources: begin (made by memobench.data.public._table) -->", "<!-- sources: end -->"


def source_table() -> str:
    """All sources as a GitHub table, in the order of their names."""
    head = (
        "source",
        "data set",
        "patients",
        "images",
        "tasks",
        "access",
        "split",
        "preparation",
        "licence",
        "citation",
    )
    lines = ["| " + " | ".join((*head, "stands for")) + " |", "|---" * (len(head) + 1) + "|"]
    for name in SOURCES.names():
        source = SOURCES.get(name)
        cells = (
            f"`{name}`",
            source.title,
            source.patients,
            source.images,
            ", ".join(source.tasks),
            f"{source.access}, {source.size}",
            source.split,
            str(source.recipe),
            f"{source.licence} ({source.licence_source})",
            source.citation,
            source.stands_for,
        )
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def with_table(text: str) -> str:
    """A page with its table renewed between the two marks.

    >>> BEGIN in with_table(f"before {BEGIN} old {END} after")
    True
    """
    before, _, rest = text.partition(BEGIN)
    return f"{before}{BEGIN}\n{source_table()}\n{END}{rest.partition(END)[2]}"


if __name__ == "__main__":
    page = Path(__file__).parents[4] / "tasks" / "README.md"
    page.write_text(with_table(page.read_text(encoding="utf-8")), encoding="utf-8")
