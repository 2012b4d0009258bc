"""The notebooks as pages: text, code, and the outputs that are stored in them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


def pages(folder: Path) -> dict[str, str]:
    """A page for each notebook."""
    return {
        f"notebooks/{file.stem}.md": page(json.loads(file.read_text(encoding="utf-8")), file.name)
        for file in sorted(folder.glob("*.ipynb"))
    }


def page(notebook: dict[str, Any], name: str) -> str:
    """A notebook in Markdown; its pictures are within the text."""
    parts = []
    for cell in notebook["cells"]:
        source = "".join(cell["source"])
        if cell["cell_type"] == "markdown":
            parts.append(source)
        elif source:
            parts.append(f"```python\n{source}\n```")
            parts += [_output(output) for output in cell["outputs"]]
    head, *rest = parts
    note = f"This page is the notebook [{name}]({name}) with the outputs that are stored in it."
    return "\n\n".join([head, note, *rest]) + "\n"


def _output(output: dict[str, Any]) -> str:
    data = output.get("data", {})
    if "image/png" in data:
        picture = "".join(data["image/png"]).replace("\n", "")
        words = "".join(data.get("text/plain", ["a picture"])).strip("'<>")
        return f'<img src="data:image/png;base64,{picture}" alt="{words}">'
    text = "".join(output.get("text", data.get("text/plain", "")))
    return f"```text\n{text.rstrip()}\n```"
