"""Runs the notebooks of the manual and stores their outputs: ``python docs/_pages/run_notebooks.py [NAME ...]``."""

from __future__ import annotations

import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import nbformat
from nbclient import NotebookClient

FOLDER = Path(__file__).resolve().parents[1] / "notebooks"
STREAMS = ("stderr",)


def executed(file: Path, parameters: str = "") -> nbformat.NotebookNode:
    """A notebook after it ran, in a folder of its own.

    Args:
        file: The notebook.
        parameters: What replaces the code of the cell with the tag "parameters"; empty for nothing.

    Raises:
        nbclient.exceptions.CellExecutionError: A cell failed.
    """
    book = nbformat.read(file, as_version=4)
    for cell in book.cells:
        if parameters and "parameters" in cell.metadata.get("tags", []):
            cell.source = parameters
    with TemporaryDirectory() as folder:
        NotebookClient(book, timeout=1800, resources={"metadata": {"path": folder}}).execute()
    return book


def stored(book: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """A notebook as it is committed: without times, progress and the name of this machine's Python."""
    book.metadata = {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    for cell in book.cells:
        cell.metadata.pop("execution", None)
        if cell.cell_type == "code":
            cell.outputs = [output for output in cell.outputs if output.get("name") not in STREAMS]
    return book


if __name__ == "__main__":
    for notebook in [FOLDER / f"{name}.ipynb" for name in sys.argv[1:]] or sorted(FOLDER.glob("*.ipynb")):
        nbformat.write(stored(executed(notebook)), notebook)
