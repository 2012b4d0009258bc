"""What mkdocs calls while it builds the manual: the pages that are made from the code stand beside the written ones.

Generated are the API from ``memobench.__all__``, the commands from click, the data sources and the decision table from
their registries, and the pages that show a document of the repository (rules, board, studies, guide).
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
for place in (HERE, HERE.parents[1] / "benchmark"):
    if str(place) not in sys.path:
        sys.path.insert(0, str(place))

import api  # noqa: E402
import architecture  # noqa: E402
import commands  # noqa: E402
import documents  # noqa: E402
import notebooks  # noqa: E402
import registries  # noqa: E402
from mkdocs.structure.files import File, Files  # noqa: E402

ROOT = HERE.parents[1]


def on_files(files: Files, config: Any) -> Files:
    """Add the generated pages and pictures."""
    texts = {
        "api.md": api.page(ROOT),
        "commands.md": commands.page(),
        "data/sources.md": registries.sources(),
        **documents.pages(ROOT),
        **notebooks.pages(ROOT / "docs" / "notebooks"),
        "contribute/architecture.svg": architecture.picture(ROOT),
    }
    for uri, text in texts.items():
        files.append(File.generated(config, uri, content=text))
    for uri, path in documents.pictures(ROOT).items():
        files.append(File.generated(config, uri, abs_src_path=str(path)))
    return files


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Fill the places of tables that are made from the code."""
    return registries.filled(markdown)
