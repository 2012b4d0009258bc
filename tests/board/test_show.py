from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from memobench.base.errors import MemobenchError, UsageError
from memobench.board.show import make_site, show_board, show_runs

from .conftest import Shelf


@pytest.mark.parametrize("style", ["table", "github", "csv", "json", "latex", "html"])
def test_every_format_names_every_model(filled: Shelf, style: str) -> None:
    text = show_board(filled.submissions, "xray", style)
    for model in ("vae", "gan", "ldm", "flow", "replay", "fresh", "mean", "noise", "ddpm", "vqgan"):
        assert model in text


def test_one_page_needs_one_task(tmp_path: Path) -> None:
    (tmp_path / "submissions").mkdir()
    with pytest.raises(UsageError, match="--task"):
        show_board(tmp_path / "submissions", None, "html")


def test_the_site_says_where_it_begins(filled: Shelf, tmp_path: Path) -> None:
    assert (
        make_site(filled.submissions, tmp_path / "site", None) == f"12 pages; open {tmp_path / 'site' / 'index.html'}"
    )


def test_local_runs_have_three_formats(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="use table, github or json"):
        show_runs(tmp_path, None, "latex")


def test_local_runs_of_an_older_version_are_shown(tmp_path: Path) -> None:
    (tmp_path / "old").mkdir()
    old = Path(__file__).parents[1] / "fixtures" / "result_schema_2.json"
    value = json.loads(old.read_text())
    del value["challenge"], value["identity"]["measure_version"]
    (tmp_path / "old" / "result.json").write_text(json.dumps({**value, "schema_version": 1}))
    assert "fresh (control)" in show_runs(tmp_path, None, "table")
    (tmp_path / "old" / "result.json").write_text("{")
    with pytest.raises(MemobenchError, match=r"result\.json cannot be read"):
        show_runs(tmp_path, None, "table")


def test_the_board_needs_no_torch(filled: Shelf) -> None:
    import subprocess

    root = Path(__file__).parents[2]
    code = (
        f"import sys; sys.path.insert(0, {str(root / 'benchmark')!r})\n"
        "from memobench.board.show import make_site\n"
        f"make_site(__import__('pathlib').Path({str(filled.submissions)!r}), "
        f"__import__('pathlib').Path({str(filled.submissions.parent / 'site')!r}), None)\n"
        "sys.exit('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
